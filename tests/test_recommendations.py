from datetime import date

from tests.frames import assert_frames_equal

from intentrec.recommendations import Origin, ranked_lists, segment_lists, user_intents
from intentrec.tables import CANDIDATES, RECOMMENDATIONS_STAGED, SEGMENT_RECOMMENDATIONS, USER_INTENTS

DAY = date(2024, 5, 1)
ORIGIN = Origin(DAY, "m1", "r1")
HEADS = [("novelty", [("discover", 0.75), ("continue", 0.25)])]
WEIGHTS = [("category", 0.5), ("action", 0.5)]


def candidates(spark):
    return spark.createDataFrame(
        [
            (
                "ann",
                [
                    ("tea", 2.0, "model", "novelty", "cup", None),
                    ("pot", 1.0, "explore", None, None, 0.25),
                    ("jar", 0.5, "model", None, None, None),
                ],
                HEADS,
                WEIGHTS,
                [1.0, 2.0],
                5,
                [4],
            ),
            ("bob", [("tea", 2.0, "model", None, None, None)], [], [], [], 6, []),
        ],
        CANDIDATES.schema,
    )  # fmt: skip


def test_lists_are_cut_and_numbered_and_short_ones_left_out(spark):
    items = [(1, "tea", 2.0, "model", "novelty", "cup", None), (2, "pot", 1.0, "explore", None, None, 0.25)]
    expected = spark.createDataFrame([(DAY, "ann", items, "m1", "r1", 5)], RECOMMENDATIONS_STAGED.schema)
    assert_frames_equal(ranked_lists(candidates(spark), 2, ORIGIN), expected)


def test_the_primary_head_has_the_greatest_weight_and_ties_go_by_name(spark):
    expected = spark.createDataFrame(
        [(DAY, "ann", HEADS, WEIGHTS, "action", [1.0, 2.0], "m1", "r1", 5)], USER_INTENTS.schema
    )
    assert_frames_equal(user_intents(candidates(spark), ORIGIN), expected)


def test_the_lists_of_segments_are_numbered_and_short_ones_left_out(spark):
    tea, cup = ("tea", 3.0, "fallback"), ("cup", 0.75, "pinned")
    rows = spark.createDataFrame(
        [("all", [tea, cup]), ("kids", [cup])],
        "segment STRING, items ARRAY<STRUCT<item_id: STRING, score: DOUBLE, source: STRING>>",
    )
    items = [(1, "tea", 3.0, "fallback", None, None, None), (2, "cup", 0.75, "pinned", None, None, None)]
    expected = spark.createDataFrame([(DAY, "all", items, "m1", "r1")], SEGMENT_RECOMMENDATIONS.schema)
    assert_frames_equal(segment_lists(rows, 2, ORIGIN), expected)
