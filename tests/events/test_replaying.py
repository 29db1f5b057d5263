from datetime import UTC, date, datetime

from chispa import assert_df_equality
from pyspark.sql import Row

from intentrec.events import Count, Rejected, left_in_quarantine, newest_dates, read_rejected, with_unread_rows
from intentrec.tables import EVENTS_QUARANTINE, INGESTED_FILES

DAY = date(2024, 5, 1)
TEN = datetime(2024, 5, 1, 10, tzinfo=UTC)
TEN_US = 1_714_557_600_000_000


def refused(path, line, reason, sha256, at="10:00:00"):
    detail = f"occurred_at: 2024-05-01T{at}.000000Z is not before 2024-05-01T00:00:00+00:00"
    return DAY, path, line, "text", reason, detail, sha256, "run"


def quarantine(spark, *rows):
    return spark.createDataFrame(rows, EVENTS_QUARANTINE.schema)


def test_the_quarantine_tells_which_lines_are_due(spark):
    rows = quarantine(
        spark,
        refused("a", 9, "future", "s1", "09:59:59"),
        refused("a", 1, "future", "s1", "09:00:00"),
        refused("a", 2, "future", "s1", "10:00:00"),  # not before the end
        refused("a", 3, "bad_id", "s1", "09:00:00"),
        refused("a", 4, "future", "s2", "11:00:00"),
        refused("b", None, "file_unreadable", "s3"),
    )
    found = read_rejected(rows, TEN_US)
    assert sorted(found, key=lambda part: part.content_sha256) == [
        Rejected("a", "s1", 4, (1, 9)),
        Rejected("a", "s2", 1, ()),
        Rejected("b", "s3", 1, ()),
    ]


def test_refused_rows_stay_that_were_not_read_again(spark):
    part = [refused("a", 1, "future", "s1"), refused("a", 2, "bad_id", "s1"), refused("a", None, "bad_id", "s1")]
    same_elsewhere = [refused("copy", 1, "future", "s1"), refused("whole_too", 1, "future", "s2")]
    whole = [refused("b", 1, "future", "s2")]
    other = [refused("a", 1, "future", "s3")]
    left = left_in_quarantine(
        quarantine(spark, *part, *same_elsewhere, *whole, *other),
        [("a", "s1"), ("b", "s2")],
        {"a": {"s1": (1,)}, "unread": {"s3": (1,)}},
    )
    expected = quarantine(spark, *part[1:], *same_elsewhere)
    assert_df_equality(left, expected, ignore_row_order=True, ignore_column_order=True, ignore_nullable=True)


def test_rows_that_were_not_read_again_count_as_booked(spark):
    def book(path, sha256, *counts):
        return path, sha256, 10, TEN, *counts, DAY, "run", TEN

    rows = [book("a", "s1", 20, 12, 3, 5), book("a", "s2", 7, 7, 0, 0), book("b", "s1", 9, 9, 0, 0)]
    booked = spark.createDataFrame(rows, INGESTED_FILES.schema).collect()
    counts = {
        ("a", "s1"): Count(accepted=2, duplicate=1, quarantined={"too_late": 1}),  # of 4 lines that were due
        ("b", "s1"): Count(accepted=8, duplicate=1),  # whole
    }
    whole = with_unread_rows(counts, booked, {"a": {"s1": (1, 2, 3, 4)}})
    shown = {file: (c.num_read, c.accepted, c.duplicate, c.num_quarantined) for file, c in whole.items()}
    assert shown == {("a", "s1"): (20, 14, 4, 2), ("b", "s1"): (9, 8, 1, 0)}


def test_a_content_keeps_the_newest_run_date_that_read_it():
    old, new = date(2024, 5, 1), date(2024, 5, 9)
    booked = [Row(path="a", content_sha256="1", run_date=new), Row(path="b", content_sha256="2", run_date=old)]
    files = [("a", "1"), ("b", "2"), ("c", "3")]
    middle = date(2024, 5, 5)
    assert newest_dates(files, booked, middle) == {("a", "1"): new, ("b", "2"): middle, ("c", "3"): middle}
