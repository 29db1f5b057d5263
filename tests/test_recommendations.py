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
            ),
            ("bob", [("tea", 2.0, "model", None, None, None)], [], [], [], 6),
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


def test_a_small_segment_is_filled_with_what_everybody_likes(spark):
    counts = spark.createDataFrame([("kids", "cup", 1)], "segment STRING, item_id STRING, num_events BIGINT")
    popular = spark.createDataFrame(
        [("tea", 0, 0.75), ("cup", 1, 0.5), ("pot", 2, 0.25)], "item_id STRING, place INT, score DOUBLE"
    )

    def row(rank, item, score):
        return (rank, item, score, "fallback", None, None, None)

    expected = spark.createDataFrame(
        [
            (DAY, "all", [row(1, "tea", 0.75), row(2, "cup", 0.5)], "m1", "r1"),
            (DAY, "kids", [row(1, "cup", 1.0), row(2, "tea", 0.75)], "m1", "r1"),
        ],
        SEGMENT_RECOMMENDATIONS.schema,
    )
    assert_frames_equal(segment_lists(counts, popular, 2, ORIGIN), expected)
