"""Books come down to the rows that are there, never up, and balance."""

from intentrec.keeping.books import Entry, restated

A1, A2, B = Entry("a", "1", 5, 1, 2), Entry("a", "2", 3, 0, 0), Entry("b", "3", 4, 0, 1)


def test_nothing_changes_where_all_rows_are_there() -> None:
    assert restated([A1, A2, B], {"a": 8, "b": 4}, {("a", "1"): 2, ("b", "3"): 1}) == []


def test_numbers_come_down_to_what_is_there_and_the_newest_content_of_a_path_gives_first() -> None:
    found = restated([A1, A2, B], {"a": 4}, {("a", "1"): 1, ("b", "3"): 7})
    assert found == [Entry("a", "2", 0, 0, 0), Entry("a", "1", 4, 1, 1), Entry("b", "3", 0, 0, 1)]
    assert [entry.rows_read for entry in found] == [0, 6, 1]
    # Once they are written, a second time changes nothing.
    assert restated([found[1], found[0], found[2]], {"a": 4}, {("a", "1"): 1, ("b", "3"): 7}) == []
