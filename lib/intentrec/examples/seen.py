"""events -> which items a list leaves out because its user has met them, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.config import SeenConfig
from intentrec.tables import fields_of_items

_FOR_EVER = 1_000_000  # days
_RULES = "item_field STRING, item_value STRING, ruled_action STRING, days INT"


@dataclass(frozen=True, slots=True)
class SeenRule:
    """A rule of kind seen: what is said of the actions and items that it matches, before recommendations.seen.

    Attributes:
        item_field: as in RULES; None: all items.
        item_value: what the field holds.
        action: None: any.
        days: an item may return after so many; 0: at once; None: never.
    """

    item_field: str | None
    item_value: str | None
    action: str | None
    days: int | None

    @classmethod
    def of(cls, rules: DataFrame) -> tuple["SeenRule", ...]:
        """Collect rows of RULES of this kind, in the order of their content."""
        rows = rules.select("item_field", "item_value", "action", "days").collect()
        return tuple(sorted((cls(*row) for row in rows), key=repr))


def seen_events(
    events: DataFrame,
    vocabulary: DataFrame,
    settings: SeenConfig | None,
    rules: Sequence[SeenRule] = (),
    items: DataFrame | None = None,
) -> DataFrame:
    """Select the events that make an item seen, and say for how long.

    Args:
        events: rows of ``timeline``, of all time: a shorter window would bring old items back.
        vocabulary: VOCABULARY rows of one run date.
        settings: for what no rule matches; None: nothing is seen.
        rules: of several that match the one with the most days decides.
        items: ITEMS rows, wanted with rules.

    Returns:
        user_id, item_index, occurred_at, days INT (null: for ever).
    """
    known = F.broadcast(vocabulary.select("item_id", "item_index"))
    if rules:
        assert items is not None
        return _ruled(events.join(known, "item_id"), settings, _by_item(rules, items, vocabulary))
    if settings is not None and settings.actions != "all":
        events = events.where(F.col("action").isin(*settings.actions))
    days = None if settings is None else settings.days
    rows = events.join(known, "item_id")
    rows = rows.select("user_id", "item_index", "occurred_at", F.lit(days).cast("int").alias("days"))
    return rows if settings is not None else rows.where(F.lit(False))


def seen_items(seen: DataFrame, keys: Sequence[str] = ("user_id",)) -> DataFrame:
    """Collect the items that a list leaves out.

    Args:
        seen: rows of ``seen_events``, and the keys.
        keys: columns that name a list.

    Returns:
        One row per key with a seen item: the keys, seen ARRAY<INT> ascending.
    """
    return seen.groupBy(*keys).agg(F.array_sort(F.collect_set("item_index")).alias("seen"))


def _ruled(events: DataFrame, settings: SeenConfig | None, by_item: DataFrame) -> DataFrame:
    default = F.lit(0)
    if settings is not None:
        lasting = F.lit(_FOR_EVER if settings.days is None else settings.days)
        seen = F.lit(True) if settings.actions == "all" else F.col("action").isin(*settings.actions)
        default = F.when(seen, lasting).otherwise(default)
    own = by_item.where(F.col("ruled_action").isNotNull()).withColumnsRenamed({"ruled_action": "action", "days": "own"})
    any_ = by_item.where(F.col("ruled_action").isNull()).select("item_index", F.col("days").alias("any"))
    rows = events.join(F.broadcast(own), ["item_index", "action"], "left").join(F.broadcast(any_), "item_index", "left")
    days = F.coalesce(F.greatest("own", "any"), default)  # greatest leaves nulls out
    rows = rows.withColumn("days", days).where(F.col("days") > 0)
    lasting = F.when(F.col("days") < _FOR_EVER, F.col("days"))
    return rows.select("user_id", "item_index", "occurred_at", lasting.alias("days"))


def _by_item(rules: Sequence[SeenRule], items: DataFrame, vocabulary: DataFrame) -> DataFrame:
    """Return item_index, ruled_action (null: any), days: the strictest of the rules that match an item."""
    said = [(rule.item_field, rule.item_value, rule.action, _FOR_EVER if rule.days is None else rule.days)
            for rule in rules]  # fmt: skip
    rows = items.sparkSession.createDataFrame(said, _RULES)
    indices = vocabulary.select("item_id", "item_index")
    fields = fields_of_items(items).withColumnsRenamed({"field": "item_field", "value": "item_value"})
    columns = ["item_index", "ruled_action", "days"]
    some = fields.join(F.broadcast(rows), ["item_field", "item_value"]).join(indices, "item_id").select(columns)
    every = indices.crossJoin(F.broadcast(rows.where(F.col("item_field").isNull()))).select(columns)
    return some.unionByName(every).groupBy("item_index", "ruled_action").agg(F.max("days").alias("days"))
