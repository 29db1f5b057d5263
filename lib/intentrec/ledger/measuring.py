"""What a night's lists are like, and how far the night has drifted: tables -> figures, and rows of ``metrics``."""

from datetime import date
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.examples import Night
from intentrec.gate import (
    CHAMPION,
    YESTERDAY,
    ListFigures,
    catalogue_counts,
    drift_figures,
    event_counts,
    gather,
    intent_counts,
    list_counts,
    list_figures,
    overlap_counts,
)
from intentrec.ledger.champion import champion_of
from intentrec.ledger.figures import Measured, record_figures
from intentrec.ledger.night import tonight
from intentrec.ledger.run import Run
from intentrec.tables import ITEMS, RECOMMENDATIONS, RECOMMENDATIONS_STAGED, USER_INTENTS, VOCABULARY, Table

LISTS = "write_recommendations"  # the stage whose figures these are


def newest_published(run: Run) -> date | None:
    """Return the newest run date before tonight that has published lists; None: there is none."""
    published = run.warehouse.read(RECOMMENDATIONS).where(F.col("run_date") < F.lit(run.run_date))
    newest = published.agg(F.max("run_date").alias("run_date")).first()
    assert newest is not None
    day: date | None = newest["run_date"]
    return day


def measure_lists(run: Run, night: Night, maker: str, num_eligible: int, intents: DataFrame) -> ListFigures:
    """Measure tonight's staged lists and intents, in one Spark action, and record what of it belongs to the night.

    ``users_kept`` and ``overlap`` are compared with the newest lists that are published now, so they are not recorded:
    on a night that is filled in later they would differ from those of a run in order.

    Args:
        run: of the job that has staged the lists.
        night: of the run date.
        maker: the model, or the baseline, that made the lists.
        num_eligible: items that may be recommended tonight.
        intents: USER_INTENTS rows of tonight, not published yet.
    """
    counts = gather(reduce(DataFrame.unionByName, _counted(run, night, intents)).collect())
    figures = list_figures(counts, num_eligible)
    shares = {
        "catalogue_coverage": figures.coverage,
        "exposure_gini": figures.gini,
        "exposure_top_share": figures.top_share,
        "fallback_share": figures.fallback_share,
    }
    k = run.config.recommendations.k
    measured = [
        Measured(maker, "all", name, k, None, value, num_users=figures.num_lists)
        for name, value in shares.items()
        if value is not None
    ]
    measured += [Measured(maker, each.segment, each.metric, None, None, each.value) for each in drift_figures(counts)]
    record_figures(run, LISTS, measured)
    return figures


def _counted(run: Run, night: Night, intents: DataFrame) -> list[DataFrame]:
    staged, champion, yesterday = tonight(run, RECOMMENDATIONS_STAGED), champion_of(run), newest_published(run)

    def of(table: Table, day: date) -> DataFrame:
        return run.warehouse.read(table).where(F.col("run_date") == F.lit(day))

    parts = [list_counts(staged), intent_counts(intents, "intents_now")]
    if yesterday is not None:
        parts.append(overlap_counts(staged, of(RECOMMENDATIONS, yesterday), YESTERDAY))
    known = None
    if champion is not None:
        known = of(VOCABULARY, champion.run_date)
        parts += [
            overlap_counts(staged, of(RECOMMENDATIONS, champion.run_date), CHAMPION),
            intent_counts(of(USER_INTENTS, champion.run_date), "intents_then"),
            catalogue_counts(night.items, of(ITEMS, champion.run_date)),
        ]
    return [*parts, event_counts(night.events(1), known, night.encoding.places)]
