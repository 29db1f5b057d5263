"""Written lists -> which rules they break, from the lists and the tables of the night alone.

Nothing here knows how lists are made: no index, no mask, no order of candidates. A boost leaves no trace that could be
checked; all other kinds are.
"""

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.errors import GateError
from intentrec.rules.gathering import Moment
from intentrec.tables import RULES, SEGMENT, USER_ID, fields_of_items, fields_of_users, in_force

_PAIR = ["user_field", "user_value"]
_FOUND = ("rule", "kind", "reader", "item_id")
_NO_PIN = "none"  # named where a row says pinned and no rule does


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Lists to check.

    Attributes:
        table: that they are of, for errors.
        entries: reader STRING, rank INT, item_id, source.
        belongs: reader, user_field, user_value, certain: what the reader is, or, not certain, may be.
        k: items of every list that has limits; None: only what may be shown is checked.
        events: user_id, item_id, action, occurred_at before the end of the night; None: no reader has a past.
        seen: reader, item_id: what HISTORIES leaves out; None: as above.
    """

    table: str
    entries: DataFrame
    belongs: DataFrame
    k: int | None = None
    events: DataFrame | None = None
    seen: DataFrame | None = None

    @classmethod
    def of_users(cls, staged: DataFrame, moment: Moment, k: int, events: DataFrame, histories: DataFrame) -> "Written":
        """Return the lists of users.

        Args:
            staged: RECOMMENDATIONS_STAGED rows.
            moment: tables of the night.
            k: items of every list.
            events: user_id, item_id, action, occurred_at.
            histories: HISTORIES rows.
        """
        entries = _entries(staged.withColumnRenamed("user_id", "reader"))
        own = fields_of_users(moment.users).select(
            F.col("user_id").alias("reader"), F.col("field").alias("user_field"), F.col("value").alias("user_value"),
            F.lit(True).alias("certain"),
        )  # fmt: skip
        indices = histories.select(F.col("user_id").alias("reader"), F.explode("seen").alias("item_index"))
        seen = indices.join(moment.vocabulary.select("item_id", "item_index"), "item_index").select("reader", "item_id")
        return cls(table="recommendations_staged", entries=entries, belongs=own, k=k, events=events, seen=seen)

    @classmethod
    def of_segments(cls, lists: DataFrame, moment: Moment, k: int, everybody: str) -> "Written":
        """Return the lists of segments (SEGMENT_RECOMMENDATIONS rows): whoever is in one may be anything else."""
        entries = _entries(lists.withColumnRenamed("segment", "reader"))
        own = F.col("reader") == F.col("user_value")
        may_be = (F.col("user_field") != SEGMENT) | own | (F.col("reader") == everybody)
        pairs = entries.select("reader").distinct().crossJoin(_pairs(moment)).where(may_be)
        certain = (F.col("user_field") == SEGMENT) & own & (F.col("reader") != everybody)
        belongs = pairs.withColumn("certain", certain)
        return cls(table="segment_recommendations", entries=entries, belongs=belongs, k=k)

    @classmethod
    def of_items(cls, similar: DataFrame, moment: Moment) -> "Written":
        """Return the neighbours of items (item_id, items), which anybody may read."""
        near = similar.withColumnRenamed("item_id", "reader").withColumn(
            "items", F.transform("items", lambda item: item.withField("source", F.lit("model")))
        )
        belongs = near.select("reader").distinct().crossJoin(_pairs(moment)).withColumn("certain", F.lit(False))
        return cls(table="similar_items", entries=_entries(near), belongs=belongs)


def audit_lists(written: Written, moment: Moment) -> None:
    """Check every rule in force on written lists, in one Spark action where there are rules.

    Raises:
        GateError: a rule is broken; names it, how many lists break it, and one of them with an item.
    """
    found = broken_rules(written, moment).collect()
    if found:
        worst = max(found, key=lambda row: (row["lists"], row["rule"]))
        raise GateError(
            f"table {written.table}: audit of rule {worst['rule']!r} ({worst['kind']}) fails for {worst['lists']:,} "
            f"lists, for example of {worst['reader']!r} with item {worst['item_id']!r}; the old lists stay. Look "
            "at the example there, then run again"
        )


def broken_rules(written: Written, moment: Moment) -> DataFrame:
    """Count the lists that break each rule.

    Returns:
        One row per broken rule: rule, kind, lists BIGINT, and the smallest reader with an item_id of his.
    """
    found = _barred(written.entries, written, moment).unionByName(_hidden(written.entries, written, moment))
    if written.k is not None:
        parts = [_over_caps(written, moment), _under_shares(written, moment, written.k), _wrong_pins(written, moment)]
        found = reduce(DataFrame.unionByName, parts, found)
    if written.events is not None:
        found = found.unionByName(_seen_too_soon(written.entries, written.events, moment))
    lists = F.count_distinct("reader").alias("lists")
    example = F.min(F.struct("reader", "item_id")).alias("example")
    return found.groupBy("rule", "kind").agg(lists, example).select("rule", "kind", "lists", "example.*")


def _entries(lists: DataFrame) -> DataFrame:
    item = lists.select("reader", F.explode("items").alias("item"))
    return item.select("reader", "item.rank", "item.item_id", "item.source")


def _pairs(moment: Moment) -> DataFrame:
    return (
        moment.rules.where(F.col("user_field").isNotNull() & (F.col("user_field") != USER_ID)).select(_PAIR).distinct()
    )


def _rules(moment: Moment, *kinds: str) -> DataFrame:
    """Return the rows of some kinds that are in force and speak of groups of users or all; windows are always."""
    there = in_force(moment.until) | (F.col("kind") == "available")
    shared = F.coalesce("user_field", F.lit("")) != USER_ID
    return moment.rules.where(F.col("kind").isin(*kinds) & there & shared)


def _of_items(moment: Moment, rules: DataFrame) -> DataFrame:
    """Return the rows' columns and item_id, published_at and value: every item that each row is about."""
    items = moment.items.select("item_id", "published_at")
    fields = fields_of_items(moment.items).join(items, "item_id")
    same_value = F.col("item_value").isNull() | (F.col("item_value") == F.col("value"))
    by_field = fields.join(F.broadcast(rules), (F.col("field") == F.col("item_field")) & same_value)
    everything = items.withColumn("value", F.lit(None).cast("string"))
    of_all = everything.crossJoin(F.broadcast(rules.where(F.col("item_field").isNull())))
    columns = ["item_id", "published_at", "value", *RULES.schema.names]
    return by_field.select(columns).unionByName(of_all.select(columns))


def _spoken_of(rows: DataFrame, written: Written) -> DataFrame:
    """Add whether a row speaks of its reader, for certain or perhaps."""
    told = rows.join(written.belongs, ["reader", *_PAIR], "left")
    everybody = F.col("user_field").isNull()
    perhaps, surely = everybody | F.col("certain").isNotNull(), everybody | F.coalesce("certain", F.lit(False))
    return told.withColumns({"perhaps": perhaps, "surely": surely})


def _barred(pairs: DataFrame, written: Written, moment: Moment) -> DataFrame:
    """Return which of the pairs of reader and item_id a rule bars."""
    rules = _rules(moment, "available", "only_for", "exclude", "max_age", "stock")
    rows = pairs.select("reader", "item_id").join(_of_items(moment, rules), "item_id")
    kind, old = F.col("kind"), F.col("published_at") < F.lit(moment.until) - F.make_dt_interval(F.col("days"))
    open_, audience = in_force(moment.until), F.struct(*(F.coalesce(name, F.lit("")).alias(name) for name in _PAIR))
    spoken_to, let_in = (F.collect_set(F.when(told, audience)) for told in (F.col("perhaps"), F.col("perhaps") & open_))
    bars = {
        "exclude": F.bool_or("perhaps"),
        "max_age": F.bool_or(F.col("perhaps") & old),
        "stock": F.bool_or(F.col("amount") <= 0),
        # Shut for one audience that a reader may be of, unless a window of his own is open.
        "available": ~F.bool_or(F.col("surely") & open_) & (F.size(F.array_except(spoken_to, let_in)) > 0),
        "only_for": ~F.bool_or("surely"),
    }
    broken = F.coalesce(*(F.when(kind == name, wrong) for name, wrong in bars.items()))
    judged = _spoken_of(rows, written).groupBy("reader", "item_id", "rule", "kind").agg(broken.alias("broken"))
    return judged.where("broken").select(*_FOUND)


def _hidden(pairs: DataFrame, written: Written, moment: Moment) -> DataFrame:
    """Return which of the pairs a rule hides from one user; a segment or an item may be called as a user is."""
    of_users = F.lit(written.events is not None)
    alone = (F.col("user_field") == USER_ID) & in_force(moment.until) & of_users
    rows = moment.rules.where(alone).withColumn("reader", F.col("user_value"))
    fields = fields_of_items(moment.items)
    same = (F.col("item_field") == F.col("field")) & (F.col("item_value") == F.col("value"))
    hidden = rows.join(fields, same).select(*_FOUND)
    return hidden.join(pairs.select("reader", "item_id"), ["reader", "item_id"], "left_semi").select(*_FOUND)


def _over_caps(written: Written, moment: Moment) -> DataFrame:
    rows = written.entries.select("reader", "item_id").join(_of_items(moment, _rules(moment, "cap")), "item_id")
    spoken = _spoken_of(rows, written).where("surely")
    one = ["reader", "rule", "kind", "source_file", "line", "value", "amount"]
    counted = spoken.groupBy(one).agg(F.count_distinct("item_id").alias("items"), F.min("item_id").alias("item_id"))
    return counted.where(F.col("items") > F.col("amount")).select(*_FOUND)


def _under_shares(written: Written, moment: Moment, k: int) -> DataFrame:
    rules = _rules(moment, "min_share")
    wanted = _spoken_of(written.entries.select("reader").distinct().crossJoin(F.broadcast(rules)), written)
    young = F.col("days").isNull() | (F.col("published_at") >= F.lit(moment.until) - F.make_dt_interval(F.col("days")))
    own = _of_items(moment, rules).where(young).select("source_file", "line", "item_id").distinct()
    there = written.entries.select("reader", "item_id").join(own, "item_id")
    counted = there.groupBy("reader", "source_file", "line").agg(F.count(F.lit(1)).alias("items"))
    told = wanted.where("surely").join(counted, ["reader", "source_file", "line"], "left")
    short = F.coalesce("items", F.lit(0)) < F.ceil(F.col("amount") * k - 1e-9)  # 0.3 * 10 is not 3 in binary
    return told.where(short).withColumn("item_id", F.lit(None).cast("string")).select(*_FOUND)


def _wrong_pins(written: Written, moment: Moment) -> DataFrame:
    """Return pinned rows without a pin, and pins without their row although the item may be shown to the reader."""
    rules = _rules(moment, "pin").withColumn("rank", F.col("amount").cast("int"))
    pins = rules.select("rule", "kind", F.col("item_value").alias("item_id"), "rank", *_PAIR)
    readers = written.entries.select("reader").distinct()
    wanted = _spoken_of(readers.crossJoin(F.broadcast(pins)), written).where("surely").select(*_FOUND, "rank")
    place = ["reader", "item_id", "rank"]
    pinned = written.entries.where(F.col("source") == "pinned")
    stray = pinned.join(wanted, place, "left_anti")
    stray = stray.withColumns({"rule": F.lit(_NO_PIN), "kind": F.lit("pin")}).select(*_FOUND)
    missing = wanted.join(written.entries, place, "left_anti")
    pairs = missing.select("reader", "item_id").distinct()
    excused = _barred(pairs, written, moment).unionByName(_hidden(pairs, written, moment)).select("reader", "item_id")
    if written.seen is not None:
        excused = excused.unionByName(written.seen)
    return stray.unionByName(missing.join(excused, ["reader", "item_id"], "left_anti").select(*_FOUND))


def _seen_too_soon(entries: DataFrame, events: DataFrame, moment: Moment) -> DataFrame:
    met = entries.select("reader", "item_id").join(
        events.withColumnRenamed("user_id", "reader").withColumnRenamed("action", "done"), ["reader", "item_id"]
    )
    rules = _of_items(moment, _rules(moment, "seen"))
    same_action = F.col("action").isNull() | (F.col("action") == F.col("done"))
    soon = F.col("days").isNull() | (_age_us(moment) <= F.col("days") * F.lit(86_400_000_000))
    again = F.coalesce("days", F.lit(1)) > 0  # 0 days: it may be back at once
    return met.join(rules, "item_id").where(same_action & soon & again).select(*_FOUND).distinct()


def _age_us(moment: Moment) -> Column:
    return F.unix_micros(F.lit(moment.until)) - F.unix_micros("occurred_at")
