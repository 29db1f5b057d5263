"""events -> encoded events: items, times, weights and features as numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.config import column_of_number
from intentrec.examples.bins import begins_of, bin_at, number_of
from intentrec.examples.vocabularies import context_value


@dataclass(frozen=True, slots=True)
class Encoding:
    """How events become numbers.

    Attributes:
        fields: names of ``ExamplesConfig.fields``.
        max_categories: of an item; further ones are left out.
        weights: action: weight as a training target; None: every event weighs 1.
    """

    fields: tuple[str, ...]
    max_categories: int
    weights: Mapping[str, float] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns of ``features`` in their order: one per field, ``max_categories`` for categories."""
        return tuple(name for field in self.fields for name in self._columns_of(field))

    @property
    def places(self) -> dict[str, int]:
        """Return of every field its first place in ``columns``."""
        return {field: self.columns.index(self._columns_of(field)[0]) for field in self.fields}

    def _columns_of(self, field: str) -> list[str]:
        return [f"categories_{place}" for place in range(self.max_categories)] if field == "categories" else [field]


def item_categories(items: DataFrame, features: DataFrame, max_categories: int) -> DataFrame:
    """Look up the numbers of each item's first categories.

    Args:
        items: ITEMS rows of one run date.
        features: FEATURE_VOCABULARY rows of the same run date.
        max_categories: further ones are left out.

    Returns:
        One row per item: item_id, categories ARRAY<INT> of exactly ``max_categories`` in catalogue order, 0 is none.
    """
    numbers = features.where(F.col("field") == "categories").select("value", "value_index")
    first = items.select("item_id", F.posexplode(F.slice("categories", 1, max_categories)).alias("place", "value"))
    known = first.join(F.broadcast(numbers), "value")
    listed = known.groupBy("item_id").agg(F.array_sort(F.collect_list(F.struct("place", "value_index"))).alias("found"))
    padding = F.array_repeat(F.lit(0), max_categories)
    indices = F.transform("found", lambda entry: entry["value_index"])
    return listed.select("item_id", F.slice(F.concat(indices, padding), 1, max_categories).alias("categories"))


def encode(
    events: DataFrame, vocabulary: DataFrame, features: DataFrame, categories: DataFrame, encoding: Encoding
) -> DataFrame:
    """Replace ids and feature values by their numbers.

    Args:
        events: rows of ``timeline``.
        vocabulary: VOCABULARY rows of one run date.
        features: FEATURE_VOCABULARY rows of the same run date.
        categories: rows of ``item_categories``.
        encoding: the fields and weights.

    Returns:
        One row per event: user_id, by_bot, occurred_at, sequence, event_id, action, value, item_index (0 unknown or
        none), weight (FLOAT, 0 where the item is unknown and in a bot's session; an event that came without an item has
        its action's), features ARRAY<INT> in the order of
        ``encoding.columns``.
    """
    lookup = F.broadcast(vocabulary.select("item_id", "item_index").join(categories, "item_id", "left"))
    joined = events.join(lookup, "item_id", "left")
    item = F.coalesce("item_index", F.lit(0))
    weight = F.lit(1.0) if encoding.weights is None else _weight_of(encoding.weights)
    is_target = ((item > 0) | F.col("item_id").isNull()) & ~F.col("by_bot")  # without an item the action is a target
    joined, columns = _with_features(joined, features, encoding)
    return joined.select(
        "user_id",
        "by_bot",
        "occurred_at",
        "sequence",
        "event_id",
        "action",
        "value",
        item.alias("item_index"),
        F.when(is_target, weight).otherwise(F.lit(0.0)).cast("float").alias("weight"),
        columns.alias("features"),
    )


def _weight_of(weights: Mapping[str, float]) -> Column:
    table = F.create_map(*[F.lit(part) for action, weight in sorted(weights.items()) for part in (action, weight)])
    return F.coalesce(table[F.col("action")], F.lit(0.0))


def _with_features(events: DataFrame, features: DataFrame, encoding: Encoding) -> tuple[DataFrame, Column]:
    """Join the number of each field's value; return the events and the array of all of them."""
    parts: list[Column] = []
    for position, field in enumerate(encoding.fields):
        if field == "categories":
            parts.append(F.coalesce("categories", F.array_repeat(F.lit(0), encoding.max_categories)))
            continue
        if column_of_number(field) is not None:
            begins = f"begins_{position}"
            events = events.crossJoin(F.broadcast(begins_of(features, field, begins)))
            parts.append(F.array(bin_at(number_of(field), F.col(begins))))
            continue
        value, index = f"value_{position}", f"index_{position}"
        numbers = features.where(F.col("field") == field).select(
            F.col("value").alias(value), F.col("value_index").alias(index)
        )
        found = F.col("action") if field == "action" else context_value(field)
        events = events.withColumn(value, found).join(F.broadcast(numbers), value, "left")
        parts.append(F.array(F.coalesce(index, F.lit(0))))
    return events, F.concat(*parts) if parts else F.array().cast("array<int>")
