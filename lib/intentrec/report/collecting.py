"""tables -> ReportData: what one run date left in the warehouse."""

from datetime import timedelta
from itertools import takewhile

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from intentrec.baselines import is_baseline
from intentrec.gate import BY_GATE
from intentrec.ledger import Run, tonight
from intentrec.report.data import (
    Coverage,
    Day,
    Epoch,
    IntentShare,
    NightFigure,
    Rejected,
    ReportData,
    SampleItem,
    SampleUser,
    Score,
    SessionLength,
    StageRows,
    Trade,
)
from intentrec.rules import eligible_items
from intentrec.tables import (
    AFTER_POLICIES,
    BEFORE_POLICIES,
    EVENTS,
    EVENTS_QUARANTINE,
    GATE_DECISIONS,
    HISTORIES,
    ITEMS,
    METRICS,
    RECOMMENDATIONS,
    RUNS,
    SESSIONS,
    USER_INTENTS,
    VOCABULARY,
)

_READ = (
    EVENTS, EVENTS_QUARANTINE, GATE_DECISIONS, HISTORIES, ITEMS, METRICS, RECOMMENDATIONS, RUNS, SESSIONS, USER_INTENTS,
    VOCABULARY,
)  # fmt: skip
_DAYS_SHOWN = 60
_LENGTHS = ((1, "1"), (2, "2"), (5, "3-5"), (10, "6-10"), (20, "11-20"), (50, "21-50"))
_LONGEST = "over 50"
_SHOWN = ("ndcg", "hit_rate", "recall", "mrr", "coverage")


def collect_report(run: Run) -> ReportData:
    """Read what the report of the run date shows; tables of stages that never ran are empty."""
    run.warehouse.create([table for table in _READ if not run.warehouse.exists(table)])
    decision = tonight(run, GATE_DECISIONS).where(F.col("verdict").isin(*BY_GATE))
    decided = decision.orderBy(F.desc("decided_at")).first()
    figures = tonight(run, METRICS).collect()
    lists = tonight(run, RECOMMENDATIONS)
    first = lists.select("model_id").first()
    return ReportData(
        run_id=run.run_id,
        run_date=run.run_date,
        warehouse=run.config.warehouse,
        model_id=first["model_id"] if first else None,
        verdict=decided["verdict"] if decided else None,
        reason=decided["reason"] if decided else None,
        warnings=tuple(outcome.message for outcome in run.outcomes if outcome.message),
        stages=_stages(run),
        rejected=_rejected(run),
        scores=_scores(figures, decided, run.config.evaluation.k),
        epochs=_epochs(figures),
        days=_days(run),
        session_lengths=_session_lengths(run),
        intents=_intents(run),
        coverage=_coverage(run, lists),
        trades=_trades(figures),
        samples=_samples(run, lists),
        figures=_night_figures(figures),
        refusals=_refusals(run),
        published=first is not None,
    )


def _stages(run: Run) -> tuple[StageRows, ...]:
    """Show a skipped stage with what it counted when it ran."""
    done = tonight(run, RUNS).where(F.col("status") == "finished").select("stage", "counters", "finished_at").collect()
    last = {row["stage"]: row["counters"] for row in sorted(done, key=lambda row: row["finished_at"])}
    return tuple(
        StageRows(
            outcome.stage,
            outcome.status,
            outcome.seconds,
            tuple((pair["key"], pair["value"]) for pair in last.get(outcome.stage, [])),
        )
        for outcome in run.outcomes
    )


def _rejected(run: Run) -> tuple[Rejected, ...]:
    where = F.concat_ws(":", "source_file", "line")
    counts = (
        tonight(run, EVENTS_QUARANTINE)
        .groupBy("reason")
        .agg(F.count(F.lit(1)).alias("rows"), F.min(where).alias("one"))
    )
    return tuple(
        Rejected(row["reason"], row["rows"], row["one"]) for row in counts.orderBy(F.desc("rows"), "reason").collect()
    )


def _night_figures(figures: list[Row]) -> tuple[NightFigure, ...]:
    own = [row for row in figures if row["stage"] == "write_recommendations"]
    return tuple(NightFigure(*row) for row in sorted((row["metric"], row["segment"], row["value"]) for row in own))


def _refusals(run: Run) -> int:
    """Count the nights up to this one whose last word of the gate was a refusal, back to the first that was none."""
    by_gate = run.warehouse.read(GATE_DECISIONS).where(F.col("verdict").isin(*BY_GATE))
    until = (
        by_gate.where(F.col("run_date") <= F.lit(run.run_date)).select("run_date", "verdict", "decided_at").collect()
    )
    last = {row["run_date"]: row["verdict"] for row in sorted(until, key=lambda row: row["decided_at"])}
    newest_first = [verdict for _, verdict in sorted(last.items(), reverse=True)]
    return len(list(takewhile(lambda verdict: verdict == "refused", newest_first)))


def _scores(figures: list[Row], decided: Row | None, sizes: tuple[int, ...]) -> tuple[Score, ...]:
    """Show challenger and champion, then the baselines; metrics in a fixed order, the first k of the config first."""
    judged = [row for row in figures if row["stage"] == "evaluate_model" and row["segment"] == "all"]
    judged = [row for row in judged if row["metric"] in _SHOWN]
    roles = {decided["model_id"]: "challenger", decided["against"]: "champion"} if decided else {}
    places = {k: number for number, k in enumerate(sizes)}
    order = {"challenger": 0, "champion": 1, "baseline": 2}

    def role(row: Row) -> str:
        return "baseline" if is_baseline(row["model_id"]) else roles.get(row["model_id"], "champion")

    def place(row: Row) -> tuple[int, int, int, str]:
        return places.get(row["k"], len(sizes)), _SHOWN.index(row["metric"]), order[role(row)], row["model_id"]

    judged.sort(key=place)
    return tuple(
        Score(row["model_id"], role(row), row["metric"], row["k"], row["value"], row["low"], row["high"])
        for row in judged
    )


def _trades(figures: list[Row]) -> tuple[Trade, ...]:
    judged = [row for row in figures if row["stage"] == "evaluate_model"]
    before, after = (
        {(row["metric"], row["k"]): row["value"] for row in judged if row["segment"] == segment}
        for segment in (BEFORE_POLICIES, AFTER_POLICIES)
    )
    names = sorted(before.keys() & after.keys(), key=lambda name: (name[0] != "ndcg", name))
    return tuple(Trade(metric, k, before[metric, k], after[metric, k]) for metric, k in names)


def _epochs(figures: list[Row]) -> tuple[Epoch, ...]:
    losses: dict[int, dict[str, float]] = {}
    for row in figures:
        if row["stage"] == "train_model" and row["segment"] == "all" and row["step"] is not None:
            losses.setdefault(row["step"], {})[row["metric"]] = row["value"]
    return tuple(
        Epoch(step, found["train_loss"], found.get("validation_loss"))
        for step, found in sorted(losses.items())
        if "train_loss" in found
    )


def _days(run: Run) -> tuple[Day, ...]:
    since = run.run_date - timedelta(days=_DAYS_SHOWN)

    def per_day(rows: DataFrame, day: str) -> dict[object, int]:
        shown = rows.where(F.col(day).between(F.lit(since), F.lit(run.run_date)))
        return {row[day]: row["count"] for row in shown.groupBy(day).count().collect()}

    events = per_day(run.warehouse.read(EVENTS), "event_date")
    sessions = per_day(run.warehouse.read(SESSIONS), "session_date")
    return tuple(Day(day, events[day], sessions.get(day, 0)) for day in sorted(events))  # type: ignore[type-var,arg-type]


def _session_lengths(run: Run) -> tuple[SessionLength, ...]:
    label = F.lit(_LONGEST)
    for most, name in reversed(_LENGTHS):
        label = F.when(F.col("num_events") <= most, name).otherwise(label)
    seen = run.warehouse.read(SESSIONS).where(F.col("started_at") < F.lit(run.cutoff.end_of(run.run_date)))
    counts = {row["label"]: row["count"] for row in seen.groupBy(label.alias("label")).count().collect()}
    return tuple(
        SessionLength(name, counts[name]) for name in (*(name for _, name in _LENGTHS), _LONGEST) if name in counts
    )


def _intents(run: Run) -> tuple[IntentShare, ...]:
    heads = tonight(run, USER_INTENTS).select(F.inline("heads"))
    best = heads.select("head", F.col("labels")[0]["label"].alias("label"))
    counts = best.groupBy("head", "label").count().orderBy("head", F.desc("count"), "label").collect()
    totals: dict[str, int] = {}
    for row in counts:
        totals[row["head"]] = totals.get(row["head"], 0) + row["count"]
    return tuple(IntentShare(row["head"], row["label"], row["count"] / totals[row["head"]]) for row in counts)


def _coverage(run: Run, lists: DataFrame) -> tuple[Coverage, ...]:
    allowed = eligible_items(tonight(run, ITEMS), run.cutoff.end_of(run.run_date))
    eligible = allowed.join(tonight(run, VOCABULARY), "item_id", "left_semi").count()
    ranks = lists.select(F.inline("items")).groupBy("item_id").agg(F.min("rank").alias("best"))
    sizes = sorted(
        {k for k in (*run.config.evaluation.k, run.config.recommendations.k) if k <= run.config.recommendations.k}
    )
    shown = ranks.agg(*[F.count_if(F.col("best") <= k).alias(str(k)) for k in sizes]).first()
    assert shown is not None
    return tuple(Coverage(k, shown[str(k)], eligible) for k in sizes)


def _samples(run: Run, lists: DataFrame) -> tuple[SampleUser, ...]:
    """Show three users with a few events, chosen by hash so that they stay the same for the same night."""
    some = (
        tonight(run, HISTORIES)
        .where(F.size("items").between(4, 12))
        .join(lists.select("user_id", F.col("items").alias("list")), "user_id")
    )
    users = (
        some.orderBy(F.xxhash64("user_id"))
        .limit(3)
        .select("user_id", F.col("items").alias("history"), "list")
        .collect()
    )
    if not users:
        return ()
    numbers = {index for user in users for index in user["history"]}
    known = tonight(run, VOCABULARY).where(F.col("item_index").isin(*numbers))
    ids = {row["item_index"]: row["item_id"] for row in known.collect()}
    wanted = {*ids.values(), *(item["item_id"] for user in users for item in user["list"])}
    wanted |= {item["because_item_id"] for user in users for item in user["list"] if item["because_item_id"]}
    found = tonight(run, ITEMS).where(F.col("item_id").isin(*wanted)).select("item_id", "title").collect()
    titles = {row["item_id"]: row["title"] or row["item_id"] for row in found}

    def title(item_id: str | None) -> str | None:
        return None if item_id is None else titles.get(item_id, item_id)

    return tuple(
        SampleUser(
            user["user_id"],
            tuple(title(ids[index]) or "" for index in user["history"] if index in ids),
            tuple(
                SampleItem(
                    item["rank"],
                    title(item["item_id"]) or "",
                    item["source"],
                    title(item["because_item_id"]),
                    item["intent"],
                    item["propensity"],
                )
                for item in user["list"]
            ),
        )
        for user in users
    )
