"""Rules as data: which items, for which users, when, how much. The closed list of what a rule can say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.tables.declaration import Table

ITEM_ID, CATEGORIES = "item_id", "categories"  # item fields beside the names of the catalogue's attributes
USER_ID, SEGMENT = "user_id", "segment"  # user fields beside the names of the users' attributes

_ITEM = ("item_field", "item_value")
_USER = ("user_field", "user_value")
_WHEN = ("starts_at", "ends_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleKind:
    """What the rows of one kind must and may hold.

    Attributes:
        means: for people, after "an item that matches".
        wants: columns that every row must hold, beside rule and kind.
        may: columns that a row may hold; any other must be empty, so that nobody believes in a limit that is none.
        amount: least and greatest amount, both allowed; None where a row has none.
        whole: the amount is a whole number.
    """

    means: str
    wants: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    amount: tuple[float, float] | None = None
    whole: bool = False


RULE_KINDS: Mapping[str, RuleKind] = {
    "available": RuleKind(
        means="is shown only from starts_at until before ends_at; several rows of a rule are several windows",
        wants=_ITEM,
        may=(*_USER, *_WHEN),
    ),
    "only_for": RuleKind(
        means="is shown only to users who match one of the rule's rows for it", wants=(*_ITEM, *_USER), may=_WHEN
    ),
    "exclude": RuleKind(means="is not shown", wants=_ITEM, may=(*_USER, *_WHEN)),
    "max_age": RuleKind(
        means="is not shown when it was published more than days ago", wants=("days",), may=(*_ITEM, *_USER, *_WHEN)
    ),
    "stock": RuleKind(  # oversold items stand below 0 in exports
        means="is not shown when its amount is 0 or less", wants=(*_ITEM, "amount"), may=_WHEN, amount=(-1e12, 1e12)
    ),
    "seen": RuleKind(
        means="returns so many days after the user's action, with 0 at once, without days never; the strictest rule "
        "that matches decides, and before recommendations.seen",
        may=(*_ITEM, "action", "days", *_WHEN),
    ),
    "boost": RuleKind(
        means="has its odds multiplied by amount: its logit grows by ln(amount), its popularity amount times",
        wants=(*_ITEM, "amount"),
        may=(*_USER, *_WHEN),
        amount=(0.001, 1000),
    ),
    "cap": RuleKind(
        means="shares its list with at most amount - 1 others of the same value; without item_value each value is "
        "capped by itself",
        wants=("item_field", "amount"),
        may=("item_value", *_USER, *_WHEN),
        amount=(1, 10_000),
        whole=True,
    ),
    "pin": RuleKind(
        means="stands at rank amount", wants=(*_ITEM, "amount"), may=(*_USER, *_WHEN), amount=(1, 10_000), whole=True
    ),
    "min_share": RuleKind(
        means="and, with days, was published at most so long ago, makes up at least this share of every list",
        wants=("amount",),
        may=("days", *_ITEM, *_USER, *_WHEN),
        amount=(0.001, 1),
    ),
}

RULES = Table(
    name="rules",
    row="row of a rule, as of a run date",
    writer="ingest_events",
    key=("run_date", "source_file", "line"),
    partition=("run_date",),
    provenance=("source_file", "line", "run_id"),
    checks={"kinds": f"kind IN ({', '.join(repr(kind) for kind in RULE_KINDS)})"},
    columns="""
        run_date     DATE       NOT NULL  COMMENT 'as of the end of this date',
        rule         STRING     NOT NULL  COMMENT 'name; rows of one name are one rule, of one kind',
        kind         STRING     NOT NULL  COMMENT 'available, only_for, exclude, max_age, stock, seen, boost, cap, pin or min_share',
        item_field   STRING               COMMENT 'item_id, categories, or an attribute of items; null: all items',
        item_value   STRING               COMMENT 'what the field holds',
        user_field   STRING               COMMENT 'user_id, segment, or an attribute of users; null: all users',
        user_value   STRING               COMMENT 'what the field holds',
        action       STRING               COMMENT 'of seen: the action that makes an item seen; null: any',
        amount       DOUBLE               COMMENT 'of stock: pieces; boost: factor; cap: most of a list; pin: rank; min_share: share of a list',
        days         INT                  COMMENT 'of max_age, min_share: greatest age; of seen: until an item may return, null: never',
        starts_at    TIMESTAMP            COMMENT 'UTC; not before; null: always',
        ends_at      TIMESTAMP            COMMENT 'UTC; not from here on; null: for ever',
        source_file  STRING     NOT NULL  COMMENT 'the file this row came from',
        line         BIGINT     NOT NULL  COMMENT 'line or row number in the file, from 1',
        run_id       STRING     NOT NULL  COMMENT 'the run that wrote it'
    """,
)
RULE_COLUMNS = ("rule", "kind", *_ITEM, *_USER, "action", "amount", "days", *_WHEN)  # as a rules file names them


def in_force(until: datetime) -> Column:
    """Return whether a row of RULES is in force: from starts_at, not from ends_at on."""
    now = F.lit(until)
    begun = F.col("starts_at").isNull() | (F.col("starts_at") <= now)
    return begun & (F.col("ends_at").isNull() | (F.col("ends_at") > now))


def fields_of_items(items: DataFrame) -> DataFrame:
    """Return what rules match items by: one row per item, field and value; item_id, field, value.

    Args:
        items: ITEMS rows of one run date.
    """
    return _fields(items, ITEM_ID, {ITEM_ID: F.array(ITEM_ID), CATEGORIES: F.col(CATEGORIES)})


def fields_of_users(users: DataFrame) -> DataFrame:
    """Return what rules match users by: one row per user, field and value; user_id, field, value.

    Args:
        users: USERS rows of one run date.
    """
    return _fields(users, USER_ID, {USER_ID: F.array(USER_ID), SEGMENT: F.array(SEGMENT)})


def _fields(rows: DataFrame, key: str, own: Mapping[str, Column]) -> DataFrame:
    pairs = [_as_pairs(F.lit(field), values) for field, values in own.items()]
    given = F.transform("attributes", lambda pair: F.struct(pair["key"].alias("field"), pair["value"].alias("value")))
    long = rows.select(key, F.explode(F.concat(*pairs, given)).alias("pair")).select(key, "pair.field", "pair.value")
    return long.where(F.col("value").isNotNull())


def _as_pairs(field: Column, values: Column) -> Column:
    return F.transform(values, lambda value: F.struct(field.alias("field"), value.alias("value")))
