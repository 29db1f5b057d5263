"""The lists' own checks: what is wrong is never published."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.errors import GateError

MAX_SHORT_SHARE = 0.001  # of active users that may be left out because fewer than K items are eligible for them
_NAMED = 5  # rules in an error
SOURCES = ("model", "prior", "fallback", "pinned", "explore")

# What is checked of every user, in the order in which it is reported: name -> what it wants.
CHECKS = {
    "user_once": "one list per user",
    "active_user": "a list only for a user to score",
    "length": "exactly K items",
    "ranks": "ranks 1 to K in order",
    "source": f"a source of {', '.join(SOURCES)}",
    "finite": "finite scores",
    "falling": "scores that never rise from one model, prior or fallback row to the next",
    "distinct": "no item twice",
    "available": "items that the catalogue holds and that are available",
    "not_seen": "no item that recommendations.seen leaves out",
    "propensity": "propensity null, or above 0 and at most 1",
}


@dataclass(frozen=True, slots=True)
class ListInputs:
    """Rows of one run date that the checks compare.

    Attributes:
        staged: RECOMMENDATIONS_STAGED rows.
        histories: HISTORIES rows, one per user to score.
        items: ITEMS rows.
        vocabulary: VOCABULARY rows of the model that made the lists, or of a night before it: indices never change.
        reordered: a policy put other things before the scores: they need not fall.
    """

    staged: DataFrame
    histories: DataFrame
    items: DataFrame
    vocabulary: DataFrame
    reordered: bool = False


def check_lists(inputs: ListInputs, k: int, num_short: int, *, rules: Sequence[str] = ()) -> int:
    """Check all lists in one Spark action.

    Args:
        inputs: rows of one run date.
        k: items that every list must have.
        num_short: users left out because fewer than ``k`` items are eligible for them, as the scoring counted.
        rules: names of those that kept candidates off these users' lists, the worst first.

    Returns:
        Number of lists.

    Raises:
        GateError: a check found a wrong list, a user to score has none without being counted as short, too many
            are short, or there is no user to score. Names check, number of users and one of them.
    """
    found = {row["check"]: row for row in violations(inputs, k).collect()}
    num_lists, num_active = (found[name]["num_users"] if name in found else 0 for name in ("listed", "active"))
    where = "table recommendations_staged"
    kept = "; the old lists stay. Look at the example there, then run again"
    for name, wanted in CHECKS.items():
        if name in found:
            row = found[name]
            wrong = f"check {name} fails for {row['num_users']} users, for example {row['example_user']!r}"
            raise GateError(f"{where}: {wrong}: wanted {wanted}{kept}")
    if num_active == 0:
        raise GateError(f"table histories: no user to score, wanted at least one{kept}")
    missing = found["missing"]["num_users"] if "missing" in found else 0
    if missing != num_short:
        example = f", for example {found['missing']['example_user']!r}" if missing else ""
        raise GateError(
            f"{where}: check every_user: {missing} of {num_active} users have no list{example}, "
            f"wanted the {num_short} that were counted as short of items{kept}"
        )
    if num_short > MAX_SHORT_SHARE * num_active:
        raise GateError(_too_many_short(where, (num_short, num_active), k, rules))
    return int(num_lists)


def _too_many_short(where: str, users: tuple[int, int], k: int, rules: Sequence[str]) -> str:
    short, wanted = f"{where}: check short_users: {users[0]} of {users[1]} users", f"at most {MAX_SHORT_SHARE:.1%}"
    advice = "ower recommendations.k, or set recommendations.seen.days"
    if not rules:
        return f"{short} have fewer than {k} eligible items, wanted {wanted}. L{advice}"
    named = ", ".join(repr(name) for name in rules[:_NAMED]) + (", ..." if len(rules) > _NAMED else "")
    return (
        f"{short} have lists shorter than {k} under the limits of rules {named}, wanted {wanted}. Loosen these rules "
        f"(caps, least shares), l{advice}"
    )


def violations(inputs: ListInputs, k: int) -> DataFrame:
    """Count the users of each failed check.

    Args:
        inputs: rows of one run date.
        k: items that every list must have.

    Returns:
        One row per check that failed for anybody: check, num_users BIGINT, example_user (the smallest). Besides the
        names of CHECKS: ``missing`` (users to score without a list), ``active`` (users to score), ``listed`` (lists).
    """
    failed_checks = [F.when(failed, F.lit(name)) for name, failed in _failures().items()]
    return (
        _per_user(inputs, k)
        .select("user_id", F.explode(F.array_compact(F.array(*failed_checks))).alias("check"))
        .groupBy("check")
        .agg(F.count(F.lit(1)).alias("num_users"), F.min("user_id").alias("example_user"))
    )


def _failures() -> dict[str, Column]:
    listed, active = F.col("num_lists").isNotNull(), F.col("seen").isNotNull()
    return {name: F.col(f"wrong_{name}") for name in (*_OF_ONE_LIST, "available")} | {
        "user_once": F.col("num_lists") > 1,
        "active_user": listed & ~active,
        "not_seen": F.arrays_overlap("indices", "seen"),  # null, as all above, for a user without a list
        "missing": active & ~listed,
        "active": active,
        "listed": listed,
    }


def _per_user(inputs: ListInputs, k: int) -> DataFrame:
    """One row per user with a list or a history; several lists of a user are judged together."""
    wrong = {f"wrong_{name}": column for name, column in _wrong_in_a_list(k).items()}
    if inputs.reordered:
        wrong["wrong_falling"] = F.lit(False)
    rows = inputs.staged.select(
        "user_id",
        *(column.alias(name) for name, column in wrong.items()),
        F.posexplode_outer("items.item_id").alias("place", "item_id"),  # a list without items gives one row of nulls
    )
    catalogue = inputs.items.select("item_id", "available")
    known = inputs.vocabulary.select("item_id", "item_index")
    lists = (
        rows.join(catalogue, "item_id", "left")
        .join(known, "item_id", "left")
        .groupBy("user_id")
        .agg(
            F.count_if(F.coalesce("place", F.lit(0)) == 0).alias("num_lists"),
            *(F.bool_or(name).alias(name) for name in wrong),
            F.bool_or(~F.coalesce("available", F.lit(False))).alias("wrong_available"),
            F.collect_set("item_index").alias("indices"),
        )
    )
    return lists.join(inputs.histories.select("user_id", "seen"), "user_id", "full")


_OF_ONE_LIST = ("length", "ranks", "source", "finite", "falling", "distinct", "propensity")


def _wrong_in_a_list(k: int) -> dict[str, Column]:
    """Return for each of _OF_ONE_LIST whether the column ``items`` breaks it; null counts as broken."""
    items = F.col("items")
    ids = F.col("items.item_id")
    ranked = F.filter(items, lambda item: item["source"].isin("model", "prior", "fallback"))
    scores = F.transform(ranked, lambda item: item["score"])
    num_steps = F.greatest(F.size(scores) - 1, F.lit(0))
    earlier, later = F.slice(scores, F.lit(1), num_steps), F.slice(scores, F.lit(2), num_steps)
    right = {
        "length": F.size(items) == k,
        "ranks": F.col("items.rank") == F.transform(items, lambda _, place: place + 1),
        "source": F.forall(items, lambda item: F.coalesce(item["source"].isin(*SOURCES), F.lit(False))),
        "finite": F.forall(items, lambda item: F.coalesce(F.abs(item["score"]) < F.lit(float("inf")), F.lit(False))),
        "falling": ~F.exists(F.zip_with(earlier, later, lambda before, after: after > before), lambda rises: rises),
        "distinct": F.size(F.array_distinct(ids)) == F.size(ids),
        "propensity": F.forall(
            items, lambda item: item["propensity"].isNull() | ((item["propensity"] > 0) & (item["propensity"] <= 1))
        ),
    }
    return {name: ~F.coalesce(column, F.lit(False)) for name, column in right.items()}
