from dataclasses import replace

import numpy as np
import pytest
from tests.cluster.worlds import plan_of
from tests.rules.worlds import DAY, UNTIL, moment, of

from intentrec.cluster.ruling import apply_rules, count_passed, shortening_rules
from intentrec.errors import InputError
from intentrec.rules import RuleRow, Rules
from intentrec.tables import CANDIDATES, HISTORIES


def histories(spark, *users):
    rows = [(DAY, user, [1], [0], [], seen, 1, UNTIL) for user, seen in users]
    return spark.createDataFrame(rows, HISTORIES.schema)


def test_a_plan_learns_the_rules_and_what_they_bar_is_counted_in_pairs(spark):
    night = moment(
        spark,
        of("exclude", "brand", "oak", "segment", "kids", rule="kids"),  # three items, for ann and bob
        of("stock", "item_id", "i4", amount=0),
        of("exclude", "item_id", "i5", "user_id", "ann", rule="complaint"),
        of("exclude", "item_id", "i5", "user_id", "zoe", rule="complaint"),  # nobody to score tonight
    )
    people = histories(spark, ("ann", [1]), ("bob", []), ("dan", [7, 8]))
    ruled = apply_rules(plan_of(8, 3, filler_counts=np.zeros(9, np.int64)), people, night)
    try:
        assert ruled.counters == {
            "rule_exclude:kids": 6, "rule_stock:stock": 3, "rule_exclude:complaint": 1, "rule_seen": 3,
        }  # fmt: skip
        told = {row["user_id"]: (row["seen"], row["audiences"]) for row in ruled.histories.collect()}
        assert told == {"ann": ([1, 5], [0]), "bob": ([], [0]), "dan": ([7, 8], [])}
        assert len(ruled.plan.rules.rows) == 2
    finally:
        ruled.histories.unpersist()


def test_what_one_user_may_not_have_is_kept_from_him_among_items_that_nobody_has_met(spark):
    night = moment(spark, of("exclude", "brand", "elm", "user_id", "ann", rule="no elm"))  # i4 and i5
    night = replace(night, vocabulary=night.vocabulary.where("item_index < 5"))  # i5 and later had no event
    known = np.arange(6) > 0
    plan = plan_of(5, 2, filler_counts=np.zeros(5, np.int64), allowed=known)
    ruled = apply_rules(replace(plan, items=("", "i1", "i2", "i3", "i4", "i5")), histories(spark, ("ann", [1])), night)
    try:
        assert [row["seen"] for row in ruled.histories.collect()] == [[1, 4, 5]]
        assert ruled.counters == {"rule_exclude:no elm": 2, "rule_seen": 1}
    finally:
        ruled.histories.unpersist()


def test_impossible_rules_are_refused_before_anything_is_scored(spark):
    night = moment(spark, of("exclude", "categories", "tea"))
    with pytest.raises(InputError, match=r"table rules: 3 items can be had, rule 'exclude' bars 5, wanted at least 4"):
        apply_rules(plan_of(8, 4, filler_counts=np.zeros(9, np.int64)), histories(spark, ("ann", [])), night)


def test_candidates_that_were_passed_over_are_counted_by_rule(spark):
    def row(kind, rule):
        return RuleRow(rule=rule, kind=kind, items_N=np.array([1]), amount=1.0)

    rules = Rules((row("cap", "brand"), row("stock", "gone"), row("min_share", "new")), np.ones(3, dtype=bool), 2)
    rows = [(user, [], [], [], [], 0, passed) for user, passed in (("ann", [4, 0]), ("bob", [1, 0]))]
    found = count_passed(spark.createDataFrame(rows, CANDIDATES.schema), rules)
    assert found == {"rule_cap:brand": 5, "rule_min_share:new": 0}


def test_rules_that_left_users_short_are_named_the_worst_first(spark):
    def row(rule):
        return RuleRow(rule=rule, kind="cap", items_N=np.array([1]), amount=1.0)

    item = ("i1", 1.0, "model", None, None, None)
    rules = Rules((row("brand"), row("tea"), row("idle"), row("ally")), np.ones(3, dtype=bool), 2)
    rows = [
        (user, [item] * size, [], [], [], 0, passed)
        for user, size, passed in (
            ("ann", 1, [2, 3, 0, 2]),
            ("bob", 0, [2, 3, 0, 2]),
            ("cyd", 2, [99, 0, 9, 0]),  # a whole list
            ("dan", 2, []),  # reused
        )
    ]
    candidates = spark.createDataFrame(rows, CANDIDATES.schema)
    assert shortening_rules(candidates, rules, 2) == ("tea", "ally", "brand")
    assert shortening_rules(candidates.where("size(items) = 2"), rules, 2) == ()
