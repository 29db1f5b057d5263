"""What a stage measured -> metrics."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from math import isnan

from intentrec.ledger.run import Run
from intentrec.tables import METRICS


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of METRICS without what all rows of a stage have in common."""

    model_id: str
    segment: str
    metric: str
    k: int | None
    step: int | None
    value: float
    low: float | None = None
    high: float | None = None
    num_users: int | None = None


def figure_rows(measured: Iterable[Measured]) -> list[tuple[object, ...]]:
    """Return what was measured as rows; what could not be (nan) is left out."""
    return [astuple(each) for each in measured if not isnan(each.value)]


def record_figures(run: Run, stage: str, measured: Iterable[Measured]) -> None:
    """Replace the stage's figures of the run date; what could not be measured (nan) is left out."""
    rows = [(run.run_date, stage, *row, run.run_id) for row in figure_rows(measured)]
    run.warehouse.replace(METRICS, run.spark.createDataFrame(rows, METRICS.schema), run_date=run.run_date, stage=stage)
