"""rules, items, users -> the rules in force as rows with item indices, and what each user's rows are. On Spark."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from intentrec.rules.compiling import Indices, RuleRow, Rules
from intentrec.tables import USER_ID, fields_of_items, fields_of_users, in_force

_CONTENT = ("rule", "kind", "item_field", "item_value", "user_field", "user_value", "amount", "days")
_ASKED = "row INT, kind STRING, item_field STRING, item_value STRING, days INT"


@dataclass(frozen=True, slots=True)
class Moment:
    """What rules are matched with: the rows of one run date, and its end.

    Attributes:
        rules: RULES rows.
        items: ITEMS rows.
        users: USERS rows.
        vocabulary: VOCABULARY rows; an item without index cannot be on a list.
        until: aware; where the run date ends and its lists begin to serve.
    """

    rules: DataFrame
    items: DataFrame
    users: DataFrame
    vocabulary: DataFrame
    until: datetime


def gather_rules(moment: Moment, eligible_V: NDArray[np.bool_], k: int) -> Rules:
    """Collect the rules in force and the items that each matches; rows about one user stay where they are.

    Args:
        moment: what they are matched with.
        eligible_V: bool by item index, what the catalogue allows.
        k: places of a list.
    """
    rows = _rows_of(moment)
    audiences = sorted({(row["user_field"], row["user_value"]) for row in rows if row["user_field"] is not None})
    numbers = {pair: number for number, pair in enumerate(audiences)}
    asked = [(number, *(row[name] for name in ("kind", "item_field", "item_value", "days")))
             for number, row in enumerate(rows)]  # fmt: skip
    found = _matches(moment, moment.rules.sparkSession.createDataFrame(asked, _ASKED)).toArrow() if rows else None
    matched = _split(found, len(rows))
    compiled = (
        RuleRow(
            rule=row["rule"], kind=row["kind"], items_N=items_N, amount=row["amount"] or 0.0, open=row["open"],
            audience=numbers.get((row["user_field"], row["user_value"])),
            values_N=values_N if row["kind"] == "cap" and row["item_value"] is None else None,
        )
        for row, (items_N, values_N) in zip(rows, matched, strict=True)
    )  # fmt: skip
    return Rules(tuple(compiled), eligible_V, k, tuple(audiences))


def _rows_of(moment: Moment) -> list[Row]:
    """Collect the rows, in an order that their content gives; `available` bars outside of its windows."""
    open_ = in_force(moment.until).alias("open")
    shared = (F.col("kind") != "seen") & (F.coalesce("user_field", F.lit("")) != USER_ID)
    rows = moment.rules.where(shared).select(*_CONTENT, "starts_at", "ends_at", open_)
    found = rows.where(F.col("open") | (F.col("kind") == "available")).collect()
    return sorted(found, key=lambda row: tuple((row[name] is not None, row[name]) for name in (*_CONTENT, "starts_at")))


def _matches(moment: Moment, asked: DataFrame) -> DataFrame:
    """Return row, item_index, value: what each row matches; value of a cap of every value alone."""
    indices = moment.vocabulary.select("item_id", "item_index")
    items = moment.items.select("item_id", "published_at").join(indices, "item_id")
    fields = fields_of_items(moment.items).join(items, "item_id")
    one = fields.withColumnsRenamed({"field": "item_field", "value": "item_value"})
    nothing = F.lit(None).cast("string").alias("value")
    told = [F.col("row"), F.col("kind"), F.col("days"), F.col("item_index"), F.col("published_at")]
    pairs = asked.where(F.col("item_value").isNotNull()).join(one, ["item_field", "item_value"]).select(*told, nothing)
    every_value = asked.where(F.col("item_field").isNotNull() & F.col("item_value").isNull())
    values = every_value.join(fields, F.col("item_field") == F.col("field")).select(*told, "value")
    all_items = asked.where(F.col("item_field").isNull()).crossJoin(items).select(*told, nothing)
    matched = pairs.unionByName(values).unionByName(all_items)
    old = F.col("published_at") < F.lit(moment.until) - F.make_dt_interval(F.col("days"))
    aged = F.when(F.col("kind") == "max_age", old).when(F.col("days").isNotNull(), ~old).otherwise(F.lit(True))
    return matched.where(aged).select("row", "item_index", "value").distinct()


def _split(found: pa.Table | None, num_rows: int) -> list[tuple[Indices, Indices]]:
    """Return for every row its items, ascending, and the number of each match's value."""
    if found is None:
        return []
    row_M, item_M = found["row"].to_numpy(), found["item_index"].to_numpy().astype(np.int64)
    names = found["value"].fill_null("").to_pylist()
    value_M = np.unique(np.array(names, dtype=object), return_inverse=True)[1] if names else np.zeros(0, np.int64)
    order_M = np.lexsort((value_M, item_M, row_M))
    bounds = np.searchsorted(row_M[order_M], np.arange(1, num_rows))
    items, values = (np.split(array_M[order_M], bounds) for array_M in (item_M, value_M))
    numbered = [np.unique(own, return_inverse=True)[1].astype(np.int64) for own in values]
    return list(zip(items, numbered, strict=True))


def addressed(histories: DataFrame, moment: Moment, audiences: Sequence[tuple[str, str]]) -> DataFrame:
    """Add to every user what rules say of him alone.

    Args:
        histories: HISTORIES rows.
        moment: what the rules are matched with.
        audiences: of the rules.

    Returns:
        HISTORIES columns, ``seen`` with the items that are excluded for the user, and audiences ARRAY<INT>, ascending.
    """
    hidden = hidden_items(moment).groupBy("user_id").agg(F.collect_set("item_index").alias("hidden"))
    told = histories.join(hidden, "user_id", "left").withColumn(
        "seen", F.when(F.col("hidden").isNull(), F.col("seen")).otherwise(F.array_sort(F.array_union("seen", "hidden")))
    )
    pairs = [(number, field, value) for number, (field, value) in enumerate(audiences)]
    named = histories.sparkSession.createDataFrame(pairs, "audience INT, field STRING, value STRING")
    own = fields_of_users(moment.users).join(F.broadcast(named), ["field", "value"])
    belongs = own.groupBy("user_id").agg(F.array_sort(F.collect_set("audience")).alias("audiences"))
    none = F.array().cast("array<int>")
    rows = told.drop("hidden").join(belongs, "user_id", "left")
    return rows.withColumn("audiences", F.coalesce("audiences", none))


def hidden_items(moment: Moment) -> DataFrame:
    """Return rule, user_id, item_index: what is excluded for one user, however many of these rows there are."""
    alone = (F.col("kind") == "exclude") & (F.col("user_field") == USER_ID) & in_force(moment.until)
    rows = moment.rules.where(alone).select("rule", F.col("user_value").alias("user_id"), "item_field", "item_value")
    fields = fields_of_items(moment.items).join(moment.vocabulary.select("item_id", "item_index"), "item_id")
    same = (F.col("item_field") == F.col("field")) & (F.col("item_value") == F.col("value"))
    return rows.join(fields, same).select("rule", "user_id", "item_index").distinct()
