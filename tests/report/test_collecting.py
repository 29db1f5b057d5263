"""A warehouse filled by hand -> what the report of one night shows."""

from datetime import UTC, date, datetime, timedelta

from tests.ledger.nights import DAY, command, write_config

from intentrec.ledger import Outcome, Run
from intentrec.report import (
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
    collect_report,
)
from intentrec.tables import (
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

BEFORE = DAY - timedelta(days=1)
NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
MIDNIGHT = datetime(2024, 2, 1, tzinfo=UTC)


def event(number: int, day: date) -> tuple[object, ...]:
    return (f"e{number}", "ann", "tea", "view", NOON, 0, None, [], day, "a", 1, "r", NOON)


def session(name: str, day: date, size: int, start: datetime = NOON) -> tuple[object, ...]:
    events = [(start, number, f"{name}{number}", "tea", "view", None, []) for number in range(size)]
    return (name, "ann", start, start, size, events, [], start, day, "r")


def items() -> list[tuple[object, ...]]:
    """Four may be listed: old is gone, late comes tomorrow, new has no event yet."""
    titles = {"tea": "Tea", "cup": None, "pot": "Pot", "jug": "Jug", "old": "Old", "late": "Late", "new": "New"}
    return [
        (DAY, name, title, [], MIDNIGHT if name == "late" else NOON, name != "old", [], "r")
        for name, title in titles.items()
    ]


def listed(user: str, *rows: tuple[str, str, str | None]) -> tuple[object, ...]:
    own = [
        (rank, name, 1.0 / rank, source, None, because, None) for rank, (name, source, because) in enumerate(rows, 1)
    ]
    return (DAY, user, own, "m2-refit", "r", None)


def said(user: str, action: str, category: str) -> tuple[object, ...]:
    heads = [(head, [(best, 0.6), ("other", 0.4)]) for head, best in (("action", action), ("category", category))]
    return (DAY, user, heads, [("action", 0.5), ("category", 0.5)], "action", [], "m2-refit", "r", None)


def figure(stage: str, name: str, metric: str, k: int | None, value: float, **at: object) -> tuple[object, ...]:
    segment, step, day = at.get("segment", "all"), at.get("step"), at.get("day", DAY)
    ends = (value - 0.5, value + 0.5) if k else (None, None)
    return (day, stage, name, segment, metric, k, step, value, *ends, None, "r")


def run_row(run_id: str, hour: int, status: str, counters: list[tuple[str, int]]) -> tuple[object, ...]:
    at = datetime(2024, 2, 1, hour, tzinfo=UTC)
    return (run_id, DAY, "ingest_events", status, at, at, [], [], "i", "c", "v", counters, None)


ROWS = {
    EVENTS: [event(1, DAY), event(2, DAY), event(3, DAY - timedelta(days=60)), event(4, DAY - timedelta(days=61)),
             event(5, DAY + timedelta(days=1))],
    SESSIONS: [session("a", DAY, 1), session("b", BEFORE, 4), session("c", DAY, 5), session("d", DAY, 51),
               session("e", DAY, 2, MIDNIGHT)],
    EVENTS_QUARANTINE: [(DAY, "a", 12, None, "wrong_type", None, "h", "r"),
                        (DAY, "a", 7, None, "wrong_type", None, "h", "r"),
                        (DAY, "b.gz", None, None, "unreadable_file", None, "h", "r"),
                        (BEFORE, "c", 1, None, "other_night", None, "h", "r")],
    ITEMS: items(),
    VOCABULARY: [(DAY, name, index, NOON) for index, name in enumerate(("tea", "cup", "pot", "jug", "old", "late"), 1)],
    HISTORIES: [(DAY, "ann", [5, 1, 1, 0], [1] * 4, [], [], 4, NOON), (DAY, "bob", [1], [1], [], [], 1, NOON)],
    RECOMMENDATIONS: [listed("ann", ("cup", "model", "old"), ("pot", "prior", None), ("jug", "fallback", None)),
                      listed("bob", ("cup", "model", "tea"), ("pot", "model", None), ("tea", "model", None))],
    USER_INTENTS: [said("ann", "buy", "hot"), said("bob", "view", "hot"), said("cyd", "buy", "hot")],
    GATE_DECISIONS: [(DAY, "m2", "refused", "m1", None, [], "first try", "r", NOON),
                     (DAY, "m2", "promoted", "m1", "m2-refit", [], "because it is better", "r", MIDNIGHT),
                     (DAY, "m9", "pinned", None, None, [], "by hand", "r", MIDNIGHT + timedelta(hours=1))],
    METRICS: [
        figure("evaluate_model", "popularity_24h", "ndcg", 3, 0.1), figure("evaluate_model", "m1", "ndcg", 3, 0.2),
        figure("evaluate_model", "m2", "coverage", 3, 0.9), figure("evaluate_model", "m2", "ndcg", 2, 0.4),
        figure("evaluate_model", "m2", "ndcg", 3, 0.3), figure("evaluate_model", "m2", "map", 3, 0.5),
        figure("evaluate_model", "m2", "accuracy", None, 0.5, segment="action"),
        figure("evaluate_model", "m0", "ndcg", 3, 0.7, day=BEFORE),
        figure("evaluate_model", "m2", "coverage", 3, 0.2, segment="policies: off"),
        figure("evaluate_model", "m2", "coverage", 3, 0.3, segment="policies: on"),
        figure("evaluate_model", "m2", "ndcg", 3, 0.4, segment="policies: off"),
        figure("evaluate_model", "m2", "ndcg", 3, 0.1, segment="policies: on"),
        figure("train_model", "m2", "validation_loss", None, 4.5, step=1),
        figure("train_model", "m2", "train_loss", None, 4.0, step=2),
        figure("train_model", "m2", "train_loss", None, 5.0, step=1),
        figure("train_model", "m2", "train_loss", None, 0.7, step=1, segment="action"),
        figure("train_model", "popularity_24h", "ndcg", 3, 0.1, segment="validation"),
        figure("evaluate_model", "m2", "ndcg", 3, 0.6, segment="cold"),
        figure("write_recommendations", "m2-refit", "list_churn", None, 0.25),
        figure("write_recommendations", "m2-refit", "intent_shift", None, 0.5, segment="action"),
    ],
    RUNS: [run_row("r2", 2, "finished", [("rows", 8)]), run_row("r1", 1, "finished", [("rows", 5)]),
           run_row("r3", 3, "failed", [("rows", 1)])],
}  # fmt: skip


def test_a_night_is_collected_from_its_own_rows_and_a_new_warehouse_is_empty(spark, tmp_path):
    config = command(write_config(tmp_path), "evaluation.k=[3, 2]", "recommendations.k=3")
    run = Run(config, spark, "r9")
    place = config.config.warehouse
    assert collect_report(run) == ReportData(
        run_id="r9", run_date=DAY, warehouse=place, coverage=(Coverage(2, 0, 0), Coverage(3, 0, 0))
    )
    for table, rows in ROWS.items():
        run.warehouse.append(table, spark.createDataFrame(rows, table.schema).coalesce(1))
    run.outcomes = [
        Outcome(stage="ingest_events", status="skipped", seconds=0.5),
        Outcome(stage="build_sessions", status="finished", seconds=2.0, message="a day is missing"),
    ]
    assert collect_report(run) == ReportData(
        run_id="r9",
        run_date=DAY,
        warehouse=place,
        model_id="m2-refit",
        verdict="promoted",
        reason="because it is better",
        warnings=("a day is missing",),
        stages=(
            StageRows("ingest_events", "skipped", 0.5, (("rows", 8),)),  # as it last finished
            StageRows("build_sessions", "finished", 2.0, ()),
        ),
        rejected=(Rejected("wrong_type", 2, "a:12"), Rejected("unreadable_file", 1, "b.gz")),
        scores=(  # the config's first k first, challenger before champion before baselines
            Score("m2", "challenger", "ndcg", 3, 0.3, -0.2, 0.8),
            Score("m1", "champion", "ndcg", 3, 0.2, -0.3, 0.7),
            Score("popularity_24h", "baseline", "ndcg", 3, 0.1, -0.4, 0.6),
            Score("m2", "challenger", "coverage", 3, 0.9, 0.4, 1.4),
            Score("m2", "challenger", "ndcg", 2, 0.4, -0.09999999999999998, 0.9),
        ),
        epochs=(Epoch(1, 5.0, 4.5), Epoch(2, 4.0, None)),
        days=(Day(DAY - timedelta(days=60), 1, 0), Day(DAY, 2, 4)),
        session_lengths=(SessionLength("1", 1), SessionLength("3-5", 2), SessionLength("over 50", 1)),
        intents=(
            IntentShare("action", "buy", 2 / 3),
            IntentShare("action", "view", 1 / 3),
            IntentShare("category", "hot", 1.0),
        ),
        figures=(NightFigure("intent_shift", "action", 0.5), NightFigure("list_churn", "all", 0.25)),
        refusals=0,  # the last word of this night is a promotion
        published=True,
        coverage=(Coverage(2, 2, 4), Coverage(3, 4, 4)),  # cup and pot stand in the first two places
        trades=(Trade("ndcg", 3, 0.4, 0.1), Trade("coverage", 3, 0.2, 0.3)),
        samples=(
            SampleUser(
                "ann",  # bob's history is too short to show
                ("Old", "Tea", "Tea"),
                (
                    SampleItem(1, "cup", "model", "Old"),  # an item without a title has its id
                    SampleItem(2, "Pot", "prior", None),
                    SampleItem(3, "Jug", "fallback", None),
                ),
            ),
        ),
    )


def test_refusals_are_counted_by_night_back_to_the_last_promotion(spark, tmp_path):
    run = Run(command(write_config(tmp_path)), spark, "r9")
    run.warehouse.create([GATE_DECISIONS])

    def decided(days_before, verdict, hour):
        at = datetime(2024, 2, 9, hour, tzinfo=UTC)
        return (DAY - timedelta(days=days_before), "m", verdict, None, None, [], "because", "r", at)

    rows = [
        decided(4, "refused", 1),
        decided(3, "refused", 2),
        decided(3, "promoted", 3),  # the night ran again
        decided(2, "promoted", 4),
        decided(2, "refused", 5),
        decided(1, "refused", 6),
        decided(1, "pinned", 7),  # by a person
        decided(-1, "promoted", 8),  # a later night
    ]
    run.warehouse.append(GATE_DECISIONS, spark.createDataFrame(rows, GATE_DECISIONS.schema))
    assert collect_report(run).refusals == 2
