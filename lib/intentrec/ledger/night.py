"""A run's view of the tables that build_examples and all after it read."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.examples import Encoding, Night, Shape
from intentrec.ledger.run import Run
from intentrec.tables import EXAMPLES, FEATURE_VOCABULARY, ITEMS, SESSIONS, VOCABULARY, Table


def tonight(run: Run, table: Table) -> DataFrame:
    """Read the rows of the run date."""
    return run.warehouse.read(table).where(F.col("run_date") == F.lit(run.run_date))


def night_of(run: Run) -> Night:
    """Read what the run date sees; ``vocabulary`` and ``feature_vocabulary`` must have been written."""
    settings, actions = run.config.examples, run.config.input.actions
    weights = None if actions is None else {name: action.weight for name, action in actions.items()}
    encoding = Encoding(settings.event_features, settings.max_categories, weights)
    return Night(
        run_date=run.run_date,
        cutoff=run.cutoff,
        encoding=encoding,
        shape=Shape(run.run_date, settings.history_length, len(encoding.columns)),
        window_days=settings.window_days,
        seen=run.config.recommendations.seen,
        sessions=run.warehouse.read(SESSIONS),
        items=tonight(run, ITEMS),
        vocabulary=tonight(run, VOCABULARY),
        features=tonight(run, FEATURE_VOCABULARY),
    )


def pinned_examples(run: Run) -> tuple[DataFrame, list[str]]:
    """Return tonight's rows of the newest version of ``examples``, and exactly the files that hold them."""
    version = run.warehouse.version(EXAMPLES)
    rows = run.warehouse.read(EXAMPLES, version).where(F.col("run_date") == F.lit(run.run_date))
    return rows, run.warehouse.files(EXAMPLES, version, run_date=run.run_date)
