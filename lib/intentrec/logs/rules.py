"""Files of rules, of all sources -> judged rows."""

from datetime import date
from functools import reduce

from pyspark.sql import DataFrame, SparkSession

from intentrec.config import InputConfig
from intentrec.events import Erased, RuleNames, columns_of_rules, judge_rules, mark_erased_rules
from intentrec.logs.finding import find_files
from intentrec.logs.reading import Asked, read_rows


def read_rules(
    spark: SparkSession, settings: InputConfig, run_date: date, timezone: str, erased: Erased | None
) -> DataFrame | None:
    """Read and judge the rules of all sources together; None where there is no source.

    Args:
        spark: the session.
        settings: sources, and what rules may speak of.
        run_date: stands in paths.
        timezone: of iso times without an offset.
        erased: users of whom nothing is read; None: nobody was erased.

    Returns:
        rows of ``judge_rules``.

    Raises:
        InputError: a source matches no file.
        ConfigError: an option is unknown for its format.
    """
    names, parts = RuleNames.of(settings), []
    for source in settings.rules:
        columns = columns_of_rules(source)
        asked = Asked.of(source.format, columns, (), source.options)
        rows = mark_erased_rules(read_rows(spark, find_files(spark, source, run_date), asked, {}), erased)
        parts.append(judge_rules(rows, source, names, timezone))
    return reduce(DataFrame.unionByName, parts) if parts else None
