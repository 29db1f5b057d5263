"""A night's rules on the way to its scoring plan: gathered, refused where they are impossible, counted."""

from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.cluster.scoring import ScoringPlan
from intentrec.gate import MAX_SHORT_SHARE
from intentrec.rules import Moment, Rules, addressed, count_barred, gather_rules, hidden_items, refuse_impossible


@dataclass(frozen=True, slots=True)
class Ruled:
    """What is scored, and by which plan.

    Attributes:
        plan: with the rules in force.
        histories: rows of ``addressed``, cached: the caller unpersists them.
        counters: candidates, pairs of a user and an item, that each rule took away.
    """

    plan: ScoringPlan
    histories: DataFrame
    counters: dict[str, int]


def apply_rules(plan: ScoringPlan, histories: DataFrame, moment: Moment) -> Ruled:
    """Put the rules in force into the plan, and what they say of each user alone into the histories.

    Args:
        plan: without rules.
        histories: HISTORIES rows.
        moment: rules, and what they are matched with.

    Raises:
        InputError: no list can keep the rules.
    """
    assert plan.filler_counts is not None
    num_known, eligible_V = len(plan.filler_counts), plan.allowed
    if plan.reranking is not None:
        eligible_V = eligible_V | plan.reranking.young_V  # of whom the policies alone know
    newcomers = [(name, num_known + place) for place, name in enumerate(plan.items[num_known:])]
    known = moment.vocabulary.select("item_id", "item_index")
    if newcomers:
        later = histories.sparkSession.createDataFrame(newcomers, "item_id STRING, item_index INT")
        known = known.unionByName(later)
    moment = replace(moment, vocabulary=known)
    rules = gather_rules(moment, eligible_V, plan.k)
    told = addressed(histories, moment, rules.audiences).persist()
    kinds = {tuple(row["audiences"]): row["count"] for row in told.groupBy("audiences").count().collect()}
    refuse_impossible(rules, kinds, MAX_SHORT_SHARE)
    hidden = hidden_items(moment).join(histories.select("user_id"), "user_id", "left_semi").groupBy("rule").count()
    counters = count_barred(rules, kinds)
    for row in hidden.collect():
        counters[f"rule_exclude:{row['rule']}"] = counters.get(f"rule_exclude:{row['rule']}", 0) + row["count"]
    seen = histories.agg(F.sum(F.size("seen"))).collect()[0][0]
    return Ruled(replace(plan, rules=rules), told, {**counters, "rule_seen": int(seen or 0)})


def count_passed(candidates: DataFrame, rules: Rules) -> dict[str, int]:
    """Count the better candidates that each rule with a limit kept off the lists: rule_KIND:NAME -> number.

    Args:
        candidates: CANDIDATES rows, cached.
        rules: that they were made with.
    """
    kinds = {row.rule: row.kind for row in rules.rows}
    counts = dict.fromkeys((f"rule_{kinds[name]}:{name}" for name in rules.listed), 0)
    totals = candidates.select(F.posexplode("passed").alias("place", "passed")).groupBy("place").agg(F.sum("passed"))
    for place, total in totals.collect():
        counts[f"rule_{kinds[rules.listed[place]]}:{rules.listed[place]}"] = total
    return counts


def shortening_rules(candidates: DataFrame, rules: Rules, k: int) -> tuple[str, ...]:
    """Name the rules with a limit that left users short, whose limits passed over the most of these users' candidates.

    Args:
        candidates: CANDIDATES rows, cached.
        rules: that they were made with.
        k: items of a whole list.

    Returns:
        Names, most first, ties by name; none where no limit passed anything over, or nobody is short.
    """
    short = candidates.where(F.size("items") < k)
    totals = short.select(F.posexplode("passed").alias("place", "passed")).groupBy("place").agg(F.sum("passed"))
    found = [(-total, rules.listed[place]) for place, total in totals.collect() if total]
    return tuple(name for _, name in sorted(found))
