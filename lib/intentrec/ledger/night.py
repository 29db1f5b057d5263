"""A run's view of the tables that build_examples and all after it read, and of the nights before."""

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.errors import InputError
from intentrec.examples import Encoding, Night, SeenRule, Shape
from intentrec.io import kept_for
from intentrec.ledger.run import Run
from intentrec.sessions import BotRules, flagged_as_of
from intentrec.tables import EXAMPLES, FEATURE_VOCABULARY, ITEMS, RULES, RUNS, SESSIONS, VOCABULARY, Table, in_force

_LONGEST_READ = timedelta(days=2)  # of a training and its evaluation; the table is made with 30 days


def tonight(run: Run, table: Table) -> DataFrame:
    """Read the rows of the run date."""
    return run.warehouse.read(table).where(F.col("run_date") == F.lit(run.run_date))


def night_of(run: Run) -> Night:
    """Read what the run date sees; ``vocabulary`` and ``feature_vocabulary`` must have been written."""
    settings, actions = run.config.examples, run.config.input.actions
    weights = None if actions is None else {name: action.weight for name, action in actions.items()}
    encoding = Encoding(settings.fields, settings.max_categories, weights)
    return Night(
        run_date=run.run_date,
        cutoff=run.cutoff,
        encoding=encoding,
        shape=Shape(run.run_date, settings.history_length, len(encoding.columns)),
        window_days=settings.window_days,
        seen=run.config.recommendations.seen,
        sessions=flagged_as_of(
            run.warehouse.read(SESSIONS), run.cutoff.end_of(run.run_date), BotRules.of(run.config.sessions.bots)
        ),
        items=tonight(run, ITEMS),
        vocabulary=tonight(run, VOCABULARY),
        features=tonight(run, FEATURE_VOCABULARY),
        seen_rules=_seen_rules(run),
    )


def _seen_rules(run: Run) -> tuple[SeenRule, ...]:
    if not run.config.input.rules:
        return ()
    at_work = (F.col("kind") == "seen") & in_force(run.cutoff.end_of(run.run_date))
    return SeenRule.of(tonight(run, RULES).where(at_work))


def pinned_examples(run: Run) -> tuple[DataFrame, list[str]]:
    """Return tonight's rows of the newest version of ``examples``, and exactly the files that hold them.

    Raises:
        InputError: a vacuum might remove the files while they are read.
    """
    kept = kept_for(run.warehouse.properties(EXAMPLES))
    if kept < _LONGEST_READ:
        raise InputError(
            f"table examples: files of older versions are kept for {kept}, wanted at least {_LONGEST_READ}, or a "
            "vacuum may take them from a training; set delta.deletedFileRetentionDuration to 'interval 30 days'"
        )
    version = run.warehouse.version(EXAMPLES)
    rows = run.warehouse.read(EXAMPLES, version).where(F.col("run_date") == F.lit(run.run_date))
    return rows, run.warehouse.files(EXAMPLES, version, run_date=run.run_date)


def counted(run: Run, stage: str, counter: str) -> dict[date, int]:
    """Return what a stage has counted for every run date in which it finished, all its runs of the date together."""
    if not run.warehouse.exists(RUNS):
        return {}
    finished = run.warehouse.read(RUNS).where((F.col("stage") == stage) & (F.col("status") == "finished"))
    pairs = finished.select("run_date", F.explode("counters").alias("pair")).where(F.col("pair.key") == counter)
    totals = pairs.groupBy("run_date").agg(F.sum("pair.value").alias("total"))
    return {row.run_date: row.total for row in totals.collect()}
