"""Every kind of rule: lists that keep it, to the limit, and lists that break it."""

from datetime import timedelta

import pytest
from tests.rules.worlds import DAY, UNTIL, moment, of

from intentrec.errors import GateError
from intentrec.rules import Written, audit_lists, broken_rules
from intentrec.tables import HISTORIES, RECOMMENDATIONS_STAGED, SEGMENT_RECOMMENDATIONS

BOUGHT = [("bob", "i6", "buy", UNTIL - timedelta(days=3)), ("bob", "i4", "view", UNTIL - timedelta(days=1))]
SEEN = {"dan": ["i8"]}
# One rule per name, with all rules in force together; the lists of each user and who breaks what.
RULES = [
    of("available", "item_id", "i1", rule="window", starts_at=UNTIL + timedelta(hours=1)),
    of("available", "item_id", "i1", rule="window", ends_at=UNTIL),
    of("available", "item_id", "i2", rule="open", starts_at=UNTIL, ends_at=UNTIL + timedelta(hours=1)),
    of("only_for", "item_id", "i4", "country", "DE", rule="german"),
    of("exclude", "item_id", "i5", "segment", "kids", rule="no kids"),
    of("exclude", "item_id", "i5", rule="over", ends_at=UNTIL),
    of("max_age", "brand", "fir", rule="fresh", days=6),  # i6 is six days old, i7 seven
    of("stock", "item_id", "i3", rule="gone", amount=0),
    of("stock", "item_id", "i2", rule="there", amount=1),
    of("seen", "item_id", "i6", rule="again", action="buy", days=3),
    of("seen", "item_id", "i4", rule="buy only", action="buy"),
    of("boost", "brand", "elm", rule="more", amount=2),
    of("exclude", "item_id", "i8", "user_id", "cyd", rule="complaint"),
]
LISTS = {
    "ann": ["i2", "i4", "i6"],  # keeps all
    "bob": ["i4", "i5", "i6"],  # german, no kids, again (three days ago to the second)
    "cyd": ["i1", "i3", "i8"],  # window, gone, complaint
    "dan": ["i2", "i5", "i7"],  # fresh; i5 is for him
}
BROKEN = {
    ("german", "only_for"): (1, "bob", "i4"),
    ("no kids", "exclude"): (1, "bob", "i5"),
    ("again", "seen"): (1, "bob", "i6"),
    ("window", "available"): (1, "cyd", "i1"),
    ("gone", "stock"): (1, "cyd", "i3"),
    ("complaint", "exclude"): (1, "cyd", "i8"),
    ("fresh", "max_age"): (1, "dan", "i7"),
}


def entry(rank, item, source="model"):
    return (rank, item, 1.0, source, None, None, None)


def lists(spark, night, of_users, k=3):
    rows = {
        user: [entry(rank, *(item if isinstance(item, tuple) else (item,))) for rank, item in enumerate(own, 1)]
        for user, own in of_users.items()
    }
    staged = [(DAY, user, own, "m", "r", None) for user, own in rows.items()]
    histories = [(DAY, user, [1], [0], [], [int(item[1]) for item in own], 1, UNTIL) for user, own in SEEN.items()]
    events = spark.createDataFrame(BOUGHT, "user_id STRING, item_id STRING, action STRING, occurred_at TIMESTAMP")
    return Written.of_users(
        spark.createDataFrame(staged, RECOMMENDATIONS_STAGED.schema), night, k, events,
        spark.createDataFrame(histories, HISTORIES.schema),
    )  # fmt: skip


def segments(spark, of_segments):
    rows = [
        (DAY, segment, [entry(rank, item, "fallback") for rank, item in enumerate(own, 1)], "m", "r")
        for segment, own in of_segments.items()
    ]
    return spark.createDataFrame(rows, SEGMENT_RECOMMENDATIONS.schema)


def similar(spark, *near):
    return spark.createDataFrame(
        [*near], "item_id STRING, items ARRAY<STRUCT<rank: INT, item_id: STRING, score: DOUBLE>>"
    )


def broken(written, night):
    rows = broken_rules(written, night).collect()
    return {(row["rule"], row["kind"]): (row["lists"], row["reader"], row["item_id"]) for row in rows}


def test_every_rule_of_single_items_finds_the_lists_that_break_it_and_no_other(spark):
    night = moment(spark, *RULES)
    assert broken(lists(spark, night, LISTS), night) == BROKEN


def test_limits_of_whole_lists_are_checked_at_their_limit(spark):
    night = moment(
        spark,
        of("cap", "brand", rule="brand", amount=2),  # i1, i2, i3 are oak; i4, i5 elm
        of("cap", "categories", "gift", "segment", "old", rule="old gifts", amount=1),
        of("min_share", rule="new", amount=0.3, days=3),  # of three places 0.9, so one of i1, i2, i3
    )
    found = broken(
        lists(
            spark,
            night,
            {
                "ann": ["i1", "i2", "i4"],  # two oak, two new
                "bob": ["i1", "i2", "i3"],  # three oak
                "cyd": ["i3", "i4", "i6"],  # two gifts, and is old
                "dan": ["i4", "i5", "i6"],  # nothing new; two elm
            },
        ),
        night,
    )
    assert found == {
        ("brand", "cap"): (1, "bob", "i1"),
        ("old gifts", "cap"): (1, "cyd", "i3"),
        ("new", "min_share"): (1, "dan", None),
    }


def test_pins_stand_where_they_should_unless_the_user_may_not_have_the_item(spark):
    night = moment(
        spark,
        of("pin", "item_id", "i8", rule="top", amount=1),
        of("pin", "item_id", "i2", "segment", "kids", rule="kids", amount=2),
        of("exclude", "item_id", "i2", "country", "FR", rule="not in France"),
    )
    pinned = "pinned"
    good = {
        "ann": [("i8", pinned), ("i2", pinned), "i1"],
        "bob": [("i8", pinned), "i1", "i3"],  # of the kids, but in France
        "dan": ["i1", "i2", "i3"],  # has seen i8
    }
    assert broken(lists(spark, night, good), night) == {}
    wrong = {
        "ann": [("i8", pinned), "i1", ("i2", pinned)],  # a rank too low
        "cyd": ["i8", ("i1", pinned), "i3"],  # i8 stands at its rank; nobody pins i1
        "bob": ["i1", "i3", "i4"],  # i8 is missing
    }
    assert broken(lists(spark, night, wrong), night) == {
        ("kids", "pin"): (1, "ann", "i2"),
        ("none", "pin"): (2, "ann", "i2"),
        ("top", "pin"): (1, "bob", "i8"),
    }


def test_lists_of_many_readers_hold_what_all_of_them_may_see(spark):
    night = moment(
        spark,
        of("exclude", "item_id", "i1", "country", "DE", rule="not in Germany"),
        of("exclude", "item_id", "i2", "segment", "old", rule="not for old"),
        of("only_for", "item_id", "i3", "segment", "kids", rule="for kids"),
        of("cap", "brand", rule="brand", amount=1),
    )
    told = segments(spark, {"kids": ["i2", "i4"], "old": ["i1", "i2"], "all": ["i3", "i4"]})
    found = broken(Written.of_segments(told, night, 2, "all"), night)
    assert found == {
        ("not in Germany", "exclude"): (1, "old", "i1"),
        ("not for old", "exclude"): (1, "old", "i2"),
        ("for kids", "only_for"): (1, "all", "i3"),
        ("brand", "cap"): (1, "old", "i1"),
    }
    near = similar(spark, ("i9", [(1, "i3", 0.9), (2, "i4", 0.8)]), ("i8", [(1, "i4", 0.9), (2, "i5", 0.8)]))
    assert broken(Written.of_items(near, night), night) == {("for kids", "only_for"): (1, "i9", "i3")}


def test_a_segment_or_an_item_that_is_called_as_a_user_is_has_none_of_his_rules(spark):
    night = moment(
        spark,
        of("exclude", "item_id", "i1", "user_id", "kids", rule="complaint"),
        of("exclude", "item_id", "i1", "user_id", "i9", rule="complaint"),
        of("exclude", "item_id", "i2", "segment", "all", rule="for those of all"),
    )
    told = segments(spark, {"kids": ["i1", "i2"], "all": ["i1", "i3"]})
    assert broken(Written.of_segments(told, night, 2, "all"), night) == {}
    near = similar(spark, ("i9", [(1, "i1", 0.9)]))
    assert broken(Written.of_items(near, night), night) == {}


def test_windows_of_one_audience_open_an_item_for_no_other(spark):
    shut, open_ = {"ends_at": UNTIL}, {"starts_at": UNTIL - timedelta(days=1)}
    night = moment(
        spark,
        of("available", "item_id", "i1", "country", "DE", rule="by country", **shut),
        of("available", "item_id", "i1", "country", "FR", rule="by country", **open_),
        of("available", "item_id", "i2", "country", "FR", rule="France", **open_),  # others are not spoken of
        of("available", "item_id", "i3", "country", "DE", rule="kids at least", **shut),
        of("available", "item_id", "i3", "segment", "kids", rule="kids at least", **open_),
    )
    own = {"ann": ["i2", "i3"], "bob": ["i1", "i2"], "cyd": ["i1", "i3"], "dan": ["i1", "i3"]}
    assert broken(lists(spark, night, own, k=2), night) == {
        ("by country", "available"): (1, "cyd", "i1"),
        ("kids at least", "available"): (1, "cyd", "i3"),
    }
    told = segments(spark, {"kids": ["i2", "i3"], "old": ["i1", "i2"], "all": ["i2", "i3"]})
    assert broken(Written.of_segments(told, night, 2, "all"), night) == {
        ("by country", "available"): (1, "old", "i1"),
        ("kids at least", "available"): (1, "all", "i3"),
    }


@pytest.mark.parametrize("least", [2, 1])
def test_a_share_that_no_decimals_can_write_is_kept_at_its_limit(spark, least):
    night = moment(spark, of("min_share", "brand", "oak", rule="oak", amount=2 / 3))  # two of three
    own = [f"i{number}" for number in range(1, least + 1)] + ["i4", "i5"]
    found = broken(lists(spark, night, {"ann": own[:3]}), night)
    assert found == ({} if least == 2 else {("oak", "min_share"): (1, "ann", None)})


@pytest.mark.parametrize("good", [True, False])
def test_a_broken_rule_is_named_with_a_user_and_an_item(spark, good):
    night = moment(spark, of("exclude", "categories", "gift", rule="no gifts"))
    written = lists(spark, night, {"ann": ["i1", "i2", "i5"], "bob": ["i1", "i2", "i5" if good else "i4"]})
    if good:
        audit_lists(written, night)
        return
    with pytest.raises(GateError) as refused:
        audit_lists(written, night)
    assert str(refused.value) == (
        "table recommendations_staged: audit of rule 'no gifts' (exclude) fails for 1 lists, for example of 'bob' with "
        "item 'i4'; the old lists stay. Look at the example there, then run again"
    )
