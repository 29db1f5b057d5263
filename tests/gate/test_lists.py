from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from chispa import assert_df_equality

from intentrec.errors import GateError
from intentrec.gate import CHECKS, ListInputs, check_lists, violations
from intentrec.tables import HISTORIES, ITEMS, RECOMMENDATIONS_STAGED, VOCABULARY

DAY = date(2024, 5, 1)
FOUND = "check STRING, num_users BIGINT, example_user STRING"


def row(rank, item, score, source="model", propensity=None):
    return (rank, item, score, source, None, None, propensity)


GOOD = [row(1, "tea", 2.0), row(2, "cup", 2.0, "prior"), row(3, "pot", 1.0, "fallback")]

WRONG_LISTS = {
    "length": GOOD[:2],
    "ranks": [GOOD[1], GOOD[0], GOOD[2]],
    "source": [*GOOD[:2], row(3, "pot", 1.0, "chance")],
    "finite": [row(1, "tea", float("inf")), *GOOD[1:]],
    "falling": [*GOOD[:2], row(3, "pot", 2.5)],
    "distinct": [*GOOD[:2], row(3, "tea", 1.0)],
    "available": [*GOOD[:2], row(3, "milk", 1.0)],
    "not_seen": [*GOOD[:2], row(3, "jam", 1.0)],
    "propensity": [*GOOD[:2], row(3, "pot", 1.0, propensity=0.0)],
}


@pytest.fixture(scope="module")
def lists(spark):
    def made(items_of_users, active=("ann", "bob")):
        staged = [(DAY, user, items, "m1", "run", None) for user, items in items_of_users]
        histories = [(DAY, user, [4], [0], [], [4], 1, datetime(2024, 5, 1, tzinfo=UTC)) for user in active]
        items = [
            (DAY, item, None, [], None, item != "milk", [], "run") for item in ("tea", "cup", "pot", "jam", "milk")
        ]
        vocabulary = [
            (DAY, item, index, datetime(2024, 4, 1, tzinfo=UTC))
            for index, item in enumerate(["tea", "cup", "pot", "jam"], 1)
        ]
        return ListInputs(
            spark.createDataFrame(staged, RECOMMENDATIONS_STAGED.schema),
            spark.createDataFrame(histories, HISTORIES.schema),
            spark.createDataFrame(items, ITEMS.schema),
            spark.createDataFrame(vocabulary, VOCABULARY.schema),
        )

    return made


def test_good_lists_pass_and_are_counted(lists):
    assert check_lists(lists([("ann", GOOD), ("bob", GOOD)]), k=3, num_short=0) == 2


def test_scores_may_rise_where_a_policy_put_something_else_first(lists):
    inputs = lists([("ann", WRONG_LISTS["falling"]), ("bob", GOOD)])
    assert check_lists(replace(inputs, reordered=True), k=3, num_short=0) == 2
    with pytest.raises(GateError, match="check falling fails for 1 users"):
        check_lists(inputs, k=3, num_short=0)


def test_every_check_finds_the_list_that_breaks_it_and_no_other(spark, lists):
    broken = [(f"user_{name}", items) for name, items in WRONG_LISTS.items()]
    active = [user for user, _ in broken] + ["twice", "good"]
    inputs = lists([*broken, ("twice", GOOD), ("twice", GOOD), ("stranger", GOOD), ("good", GOOD)], active)
    expected = [(name, 1, f"user_{name}") for name in WRONG_LISTS]
    expected += [("user_once", 1, "twice"), ("active_user", 1, "stranger")]
    expected += [("active", 11, "good"), ("listed", 12, "good")]
    actual = violations(inputs, k=3).select("check", "num_users", "example_user")
    assert_df_equality(
        actual,
        spark.createDataFrame(expected, FOUND),
        ignore_row_order=True,
        ignore_nullable=True,
        ignore_metadata=True,
    )
    assert {name for name, _, _ in expected} - {"active", "listed"} == set(CHECKS)


def test_nulls_and_numbers_that_are_none_are_wrong_too(lists):
    nan = [row(1, "tea", float("nan")), *GOOD[1:]]
    null_item = [*GOOD[:2], row(3, None, 1.0)]
    null_score = [*GOOD[:2], row(3, "pot", None)]
    above_one = [*GOOD[:2], row(3, "pot", 1.0, propensity=1.5)]
    users = [("ann", nan), ("bob", null_item), ("cat", null_score), ("dan", above_one), ("eve", [])]
    found = {f["check"]: f for f in violations(lists(users, [user for user, _ in users]), k=3).collect()}
    assert found["finite"]["num_users"] == 2
    assert found["available"]["example_user"] == "bob"
    assert found["propensity"]["example_user"] == "dan"
    assert found["length"]["example_user"] == "eve"


def test_pinned_and_explored_rows_may_stand_anywhere_and_propensity_may_be_one(lists):
    mixed = [row(1, "tea", 1.0), row(2, "cup", 9.0, "pinned"), row(3, "pot", 5.0, "explore", propensity=1.0)]
    assert check_lists(lists([("ann", mixed), ("bob", GOOD)]), k=3, num_short=0) == 2


def test_a_wrong_list_is_refused_with_check_count_and_example(lists):
    inputs = lists([("ann", WRONG_LISTS["falling"]), ("bob", WRONG_LISTS["falling"])])
    with pytest.raises(GateError) as refused:
        check_lists(inputs, k=3, num_short=0)
    assert str(refused.value) == (
        "table recommendations_staged: check falling fails for 2 users, for example 'ann': wanted scores that never "
        "rise from one model, prior or fallback row to the next; the old lists stay. Look at the example there, then "
        "run again"
    )


def test_a_user_without_list_must_have_been_counted_as_short(lists):
    message = "check every_user: 1 of 2 users have no list, for example 'bob', wanted the 0 that were counted as short"
    with pytest.raises(GateError, match=message):
        check_lists(lists([("ann", GOOD)]), k=3, num_short=0)


def test_more_counted_as_short_than_missing_is_refused(lists):
    with pytest.raises(GateError, match="check every_user: 0 of 2 users have no list, wanted the 1"):
        check_lists(lists([("ann", GOOD), ("bob", GOOD)]), k=3, num_short=1)


def test_short_users_pass_up_to_one_in_a_thousand(lists):
    users = [f"u{number:04}" for number in range(1000)]
    everybody = [(user, GOOD) for user in users]
    assert check_lists(lists(everybody[1:], users), k=3, num_short=1) == 999
    message = "check short_users: 2 of 1000 users have fewer than 3 eligible items, wanted at most 0.1%"
    with pytest.raises(GateError, match=message):
        check_lists(lists(everybody[2:], users), k=3, num_short=2)


def test_rules_that_left_too_many_short_are_named_and_to_be_loosened(lists):
    users = [f"u{number:04}" for number in range(1000)]
    inputs = lists([(user, GOOD) for user in users[2:]], users)
    with pytest.raises(GateError) as refused:
        check_lists(inputs, k=3, num_short=2, rules=("brand", "new"))
    assert str(refused.value) == (
        "table recommendations_staged: check short_users: 2 of 1000 users have lists shorter than 3 under the limits "
        "of rules 'brand', 'new', wanted at most 0.1%. Loosen these rules (caps, least shares), lower "
        "recommendations.k, or set recommendations.seen.days"
    )
    with pytest.raises(GateError, match=r"of rules 'a', 'b', 'c', 'd', 'e', \.\.\., wanted"):
        check_lists(inputs, k=3, num_short=2, rules=("a", "b", "c", "d", "e", "f"))


def test_nobody_to_score_is_refused(lists):
    with pytest.raises(GateError, match="table histories: no user to score, wanted at least one"):
        check_lists(lists([], active=()), k=3, num_short=0)
