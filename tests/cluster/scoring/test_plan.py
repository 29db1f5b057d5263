from intentrec.cluster.scoring import num_tasks


def test_rows_are_split_by_their_number_alone():
    assert [num_tasks(rows) for rows in (0, 80_000, 80_001, 1_000_000)] == [8, 8, 9, 100]
