from pyspark.sql import functions as F

from intentrec.events.times import as_text, instant_us, plausible, slipped

NINE = 1_714_554_000_000_000  # 2024-05-01T09:00:00Z


def read(spark, unit, timezone, *texts):
    rows = spark.createDataFrame([(number, text) for number, text in enumerate(texts)], "number INT, text STRING")
    return [row[0] for row in rows.orderBy("number").select(instant_us("text", unit, timezone)).collect()]


def test_numbers_are_read_in_their_unit_without_loss(spark):
    assert read(spark, "s", None, "1714554000", "1714554000.000001", "1.714554e9", " 1714554000 ", "x", "", None) == [
        NINE, NINE + 1, NINE, NINE, None, None, None,
    ]  # fmt: skip
    assert read(spark, "ms", None, "1714554000001", "-1") == [NINE + 1000, -1000]
    assert read(spark, "us", None, "1714554000000001", "9223372036854775808") == [NINE + 1, 2**63 - 1]
    assert read(spark, "ns", None, "1714554000000001999", "1714554000000000000.5") == [NINE + 1, NINE]


def test_iso_texts_need_their_offset(spark):
    good = ["2024-05-01T09:00:00Z", "2024-05-01 11:00:00+02:00", "2024-05-01T11:00:00+0200", "2024-05-01T04:00-05"]
    assert read(spark, "iso", None, *good, "2024-05-01T09:00:00.123456789Z", "2024-05-01T09:00:00,5z") == [
        NINE, NINE, NINE, NINE, NINE + 123_456, NINE + 500_000,
    ]  # fmt: skip
    bad = [
        "2024-05-01T09:00:00",
        "2024-05-01",
        "2024-02-30T00:00:00Z",
        "2024-05-01T23:59:60Z",
        "09:00:00Z",
        "2024",
        "now",
    ]
    assert read(spark, "iso", None, *bad) == [None] * len(bad)


def test_a_zone_reads_local_texts_over_both_clock_changes(spark):
    texts = [
        "2024-05-01T11:00:00", "2024-05-01T09:00:00Z", "2024-05-01", "2024-03-31T02:30:00", "2024-10-27T02:30:00", "x",
    ]  # fmt: skip
    spring, autumn = 1_711_848_600_000_000, 1_729_989_000_000_000  # 01:30 UTC (skipped hour), 00:30 UTC (first of two)
    assert read(spark, "iso", "Europe/Berlin", *texts) == [NINE, NINE, NINE - 11 * 3_600_000_000, spring, autumn, None]


def test_slips_of_a_unit_are_told_from_mere_nonsense(spark):
    micros = [NINE, NINE // 1000, NINE // 10**6, NINE * 1000, 0, -NINE, 2**63 - 1, 10**15]
    rows = spark.createDataFrame([(number, value) for number, value in enumerate(micros)], "number INT, us BIGINT")
    found = rows.orderBy("number").select(plausible(F.col("us")), slipped(F.col("us"))).collect()
    assert [tuple(row) for row in found] == [
        (True, False), (False, True), (False, True), (False, True), (False, False), (False, False), (False, False),
        (True, False),
    ]  # fmt: skip
    assert rows.limit(1).select(as_text(F.col("us"))).collect()[0][0] == "2024-05-01T09:00:00.000000Z"
