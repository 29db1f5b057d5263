"""A night with something in every part, and titles as they come from outside."""

from datetime import date

import pytest

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
)

_EMPTY = ReportData(run_id="r0", run_date=date(2024, 5, 1), warehouse="/w")
_FULL = ReportData(
    run_id="r1",
    run_date=date(2024, 5, 2),
    warehouse="/w",
    model_id="m1",
    verdict="promoted",
    reason="promoted: +3.00% to the best baseline popularity_1h (wanted at least 0)",
    warnings=("1 user is short of items",),
    stages=(StageRows("ingest_events", "finished", 12.34, (("rows_read", 1234), ("rows_accepted", 1233))),),
    rejected=(Rejected("wrong_type", 1, "a.json.gz:7"),),
    scores=(
        Score("m1", "challenger", "ndcg", 10, 0.1234, 0.12, 0.13),
        Score("m1", "challenger", "coverage", 10, 0.5, None, None),
        Score("popularity_1h", "baseline", "ndcg", 10, 0.1198, 0.11, 0.125),
        Score("m1", "challenger", "ndcg", 20, 0.2, 0.19, 0.21),
    ),
    epochs=(Epoch(1, 5.5, 5.4), Epoch(2, 5.1, None)),
    days=(Day(date(2024, 5, 1), 1000, 90), Day(date(2024, 5, 2), 1500, 120)),
    session_lengths=(SessionLength("1", 50), SessionLength("2 to 3", 40)),
    intents=(IntentShare("category", "Tea & $cups_$", 0.75), IntentShare("action", "buy", 0.5)),
    coverage=(Coverage(10, 30, 120),),
    trades=(Trade("ndcg", 10, 0.2, 0.19), Trade("coverage", 10, 0.0, 0.5)),
    figures=(NightFigure("intent_shift", 'category" odd', 0.25), NightFigure("list_churn", "all", 0.5)),
    refusals=2,
    published=True,
    samples=(
        SampleUser(
            "ann",
            ("<b>Tea</b>", "Kanne 茶 \x1b[31m"),
            (
                SampleItem(1, "<script>alert(1)</script>", "model", "[red]Tea[/red]"),
                SampleItem(2, "Pot", "prior", None, "category: Tea"),
                SampleItem(3, "Jug", "explore", "Pot", None, 0.125),
                SampleItem(4, "Cup", "fallback", None),
                SampleItem(5, "Mug", "pinned", None),
            ),
        ),
    ),
)


@pytest.fixture
def full_night():
    return _FULL


@pytest.fixture
def empty_night():
    return _EMPTY
