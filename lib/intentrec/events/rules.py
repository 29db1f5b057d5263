"""Files of rules -> rules as of a run date. A row that says nothing sure refuses the run: a rule is never dropped."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from intentrec.config import Derived, InputConfig, RulesSource
from intentrec.errors import InputError
from intentrec.events.erasing import ERASED, Erased, is_of_erased
from intentrec.events.reasons import problem, required, sound_id, wrong_type
from intentrec.events.times import instant_us
from intentrec.tables import (
    CATEGORIES,
    ITEM_ID,
    RULE_COLUMNS,
    RULE_KINDS,
    RULES,
    SEGMENT,
    USER_ID,
    fields_of_items,
    fields_of_users,
)

_OWN_FIELDS = {ITEM_ID, "title", CATEGORIES, "published_at", "available", USER_ID, SEGMENT}  # no attributes
_MOST_DAYS = 1_000_000  # 2,738 years; from 106,751,992 on they are no interval of Spark's, and the night would end
_JUDGED = ("kind", "source_file", "content_sha256", "line", "raw", "reason", "detail")
_KIND = "rule_kind"  # the rows that files are read into have a column kind of their own
_OF_KIND = tuple(column for column in RULE_COLUMNS if column not in ("rule", "kind"))


@dataclass(frozen=True, slots=True)
class RuleNames:
    """What rules may speak of, so that a misspelt field is met before it does nothing.

    Attributes:
        item_fields: item_id and, with a catalogue, categories and its attributes.
        user_fields: user_id and, with a users file, segment and its attributes.
        actions: as input.actions; None: any.
    """

    item_fields: tuple[str, ...]
    user_fields: tuple[str, ...]
    actions: tuple[str, ...] | None

    @classmethod
    def of(cls, settings: InputConfig) -> "RuleNames":
        """Read them from the config."""
        items, users = ([] if part is None else [*part.columns] for part in (settings.items, settings.users))
        item_fields = [name for name in items if name not in _OWN_FIELDS or name == CATEGORIES]
        user_fields = [name for name in users if name not in _OWN_FIELDS or name == SEGMENT]
        actions = None if settings.actions is None else tuple(sorted(settings.actions))
        return cls((ITEM_ID, *sorted(item_fields)), (USER_ID, *sorted(user_fields)), actions)


def columns_of_rules(source: RulesSource) -> Mapping[str, str | Derived]:
    """Return our name: where its text comes from; ``kind`` is named ``rule_kind``."""
    columns: dict[str, str | Derived] = {name: name for name in RULE_COLUMNS}
    if source.columns:
        columns = {ours: theirs for ours, theirs in source.columns.items()}  # noqa: C416 dict() keeps the narrow keys
    return {_KIND if ours == "kind" else ours: theirs for ours, theirs in columns.items()}


def mark_erased_rules(rows: DataFrame, erased: Erased | None) -> DataFrame:
    """Give rows about one user who was erased another kind: they are read no further.

    Args:
        rows: kind among others, and the texts of ``columns_of_rules``.
        erased: None: nobody was.
    """
    if erased is None or not {"user_field", "user_value"} <= set(rows.columns):
        return rows
    user = F.when(F.col("user_field") == USER_ID, F.col("user_value"))
    gone = is_of_erased(erased, user, F.lit(None).cast("string"))
    return rows.withColumn("kind", F.when((F.col("kind") == "row") & gone, F.lit(ERASED)).otherwise(F.col("kind")))


def judge_rules(rows: DataFrame, source: RulesSource, names: RuleNames, timezone: str) -> DataFrame:
    """Type the rows of a rules file and name the first problem of each.

    Args:
        rows: kind, source_file, content_sha256, line, raw, reason, detail and the texts of ``columns_of_rules``.
        source: mapping, unit of starts_at and ends_at.
        names: what rules may speak of.
        timezone: of iso times without an offset.

    Returns:
        kind, source_file, line, reason, detail; rule, rule_kind, item_field, item_value, user_field, user_value,
        action, amount, days, starts_at, ends_at.
    """
    missing = {name for name in ("rule", _KIND, *_OF_KIND) if name not in rows.columns}
    rows = rows.withColumns({name: F.lit(None).cast("string") for name in missing}) if missing else rows
    starts, ends = (instant_us(name, source.time_unit, timezone, partial=True) for name in ("starts_at", "ends_at"))
    amount, days = F.col("amount").try_cast("double"), F.col("days").try_cast("int")
    no_days = F.col("days").isNotNull() & (days.isNull() | (days < 0) | (days > _MOST_DAYS))
    problems = [
        required("rule"),
        sound_id("rule"),
        required(_KIND),
        F.when(~F.col(_KIND).isin(*RULE_KINDS), wrong_type(_KIND, f"one of {', '.join(RULE_KINDS)}")),
        *_unlike_its_kind(amount),
        F.when(no_days, wrong_type("days", f"a whole number from 0 to {_MOST_DAYS}")),
        *(_unreadable(name, read, source.time_unit) for name, read in (("starts_at", starts), ("ends_at", ends))),
        F.when(ends <= starts, wrong_type("ends_at", "an instant after starts_at")),
        *_unknown_names(names),
    ]
    met = F.when(F.col("reason").isNotNull(), F.struct("reason", "detail"))
    found = F.when(F.col("kind") == "row", F.coalesce(met, *problems))
    judged = rows.withColumn("_found", found)
    return judged.select(
        "kind", "source_file", "line", F.col("_found.reason").alias("reason"),
        F.coalesce("_found.detail", "detail").alias("detail"), "rule", _KIND, "item_field", "item_value", "user_field",
        "user_value", "action", amount.alias("amount"), days.alias("days"),
        F.timestamp_micros(starts).alias("starts_at"), F.timestamp_micros(ends).alias("ends_at"),
    )  # fmt: skip


def _unlike_its_kind(amount: Column) -> list[Column]:
    """Refuse a column that the row's kind wants and that is empty, one that it has no use for, and a wrong amount."""
    problems = []
    for name, kind in RULE_KINDS.items():
        own = F.col(_KIND) == name
        for column in _OF_KIND:
            there = F.col(column).isNotNull()
            if column in kind.wants:
                wanted = problem("missing_field", f"{column}: null or absent, every {name} must have one")
                problems.append(F.when(own & ~there, wanted))
            elif column not in kind.may:
                problems.append(F.when(own & there, wrong_type(column, f"nothing there: {name} has no {column}")))
        if kind.amount is not None:
            least, most = kind.amount
            wrong = F.coalesce((amount < least) | (amount > most) | F.isnan(amount), F.lit(True))
            if kind.whole:
                wrong = wrong | (amount != F.floor(amount))
            number = f"a {'whole ' if kind.whole else ''}number from {least:g} to {most:g}"
            problems.append(F.when(own & wrong, wrong_type("amount", number)))
    windowless = (F.col(_KIND) == "available") & F.col("starts_at").isNull() & F.col("ends_at").isNull()
    problems.append(F.when(windowless, problem("missing_field", "starts_at, ends_at: available must have one of them")))
    return problems


def _unreadable(name: str, read: Column, unit: str) -> Column:
    return F.when(F.col(name).isNotNull() & read.isNull(), wrong_type(name, f"a time in {unit}"))


def _unknown_names(names: RuleNames) -> list[Column]:
    kind, item_field, user_field = F.col(_KIND), F.col("item_field"), F.col("user_field")
    problems = [
        _none_of("item_field", names.item_fields),
        _none_of("user_field", names.user_fields),
        F.when(
            (kind == "pin") & (item_field != ITEM_ID), wrong_type("item_field", f"{ITEM_ID}: one item stands at a rank")
        ),
        F.when((kind == "cap") & (item_field == ITEM_ID), wrong_type("item_field", "what several items share")),
        F.when(
            (user_field == USER_ID) & (kind != "exclude"),
            wrong_type("user_field", f"what several users share: only exclude speaks of one {USER_ID}"),
        ),
        F.when(
            (kind == "min_share") & F.col("item_value").isNull() & F.col("days").isNull(),
            problem("missing_field", "item_value, days: min_share must have one of them"),
        ),
        *(_half_a_pair(f"{side}_field", f"{side}_value") for side in ("item", "user")),
    ]
    return problems if names.actions is None else [*problems, _none_of("action", names.actions)]


def _none_of(name: str, known: Collection[str]) -> Column:
    return F.when(~F.col(name).isin(*known), wrong_type(name, f"one of {', '.join(known)}"))


def _half_a_pair(field: str, value: str) -> Column:
    """Refuse a field without its value, or a value without its field; a cap counts every value of its field."""
    lacks_value = F.col(field).isNotNull() & F.col(value).isNull() & (F.col(_KIND) != "cap")
    absent = ": null or absent, wanted with the other"
    return F.coalesce(
        F.when(lacks_value, problem("missing_field", value, absent)),
        F.when(F.col(value).isNotNull() & F.col(field).isNull(), problem("missing_field", field, absent)),
    )


def refuse_bad_rules(judged: DataFrame) -> int:
    """Refuse rules of which one cannot be understood; one Spark action, two if a rule is doubtful.

    Args:
        judged: of ``judge_rules``, of all sources.

    Returns:
        number of rows.

    Raises:
        InputError: a column is missing, a row is wrong, there is no row, a row stands twice, or a name has two kinds.
    """
    first = F.min(F.struct("source_file", "line", "detail")).alias("first")
    groups = judged.groupBy("kind", F.col("reason").isNotNull().alias("bad"))
    found = groups.agg(F.count(F.lit(1)).alias("rows"), first).collect()
    for group in found:
        if group.kind == "foreign":
            told = f"{group.first.source_file}: {group.first.detail}"
            raise InputError(f"{told}; correct input.rules.columns or the file, no table was changed")
    for group in found:
        if group.kind == "row" and group.bad:
            place = f"{group.first.source_file}:{group.first.line or 'whole file'}"
            detail = group.first.detail.replace(_KIND, "kind")
            others = f" ({group.rows:,} such rows)" if group.rows > 1 else ""
            raise InputError(f"input.rules: {place}: {detail}{others}; correct the rule, no table was changed")
    total = sum(int(group.rows) for group in found if group.kind == "row")
    if not total:
        raise InputError(
            "input.rules: the files hold no row, wanted at least one; deliver them again or drop input.rules"
        )
    _refuse_doubtful(judged.where(F.col("kind") == "row"))
    return total


def _refuse_doubtful(rules: DataFrame) -> None:
    place = F.struct("source_file", "line")
    same = rules.groupBy("rule", _KIND, *_OF_KIND).agg(F.sort_array(F.collect_list(place)).alias("places"))
    twice = same.where(F.size("places") > 1).select("rule", F.lit("stands twice").alias("wrong"), "places")
    of_kind = rules.groupBy("rule", _KIND).agg(F.min(place).alias("place"))
    kinds = of_kind.groupBy("rule").agg(F.sort_array(F.collect_list("place")).alias("places"))
    mixed = kinds.where(F.size("places") > 1).select("rule", F.lit("is of two kinds").alias("wrong"), "places")
    doubtful = twice.unionByName(mixed).orderBy("rule", "wrong").first()
    if doubtful is not None:
        where = ", ".join(f"{found.source_file}:{found.line}" for found in doubtful.places[:2])
        raise InputError(
            f"input.rules: rule {doubtful.rule!r} {doubtful.wrong} ({where}), wanted once and of one kind; "
            "correct the rule, no table was changed"
        )


def rules_of(judged: DataFrame, run_date: date, run_id: str) -> DataFrame:
    """Return the RULES rows of a run date from sound rows of ``judge_rules``."""
    rules = judged.where(F.col("kind") == "row").drop("kind").withColumnRenamed(_KIND, "kind")
    return RULES.conform(rules.withColumns({"run_date": F.lit(run_date), "run_id": F.lit(run_id)}))


def count_unknown(rules: DataFrame, items: DataFrame, users: DataFrame, events: DataFrame) -> dict[str, int]:
    """Count the rows that speak of an item, a user or a segment that nobody knows; one Spark action.

    Args:
        rules: RULES rows of a run date.
        items: ITEMS rows of it.
        users: USERS rows of it.
        events: EVENTS rows before its end: a user may be in no users file.

    Returns:
        rules_unknown_items, rules_unknown_users, rules_unknown_segments (any field of users but user_id).
    """
    known_items = fields_of_items(items).select("field", "value")
    known_users = fields_of_users(users).select("field", "value")
    known_users = known_users.unionByName(events.select(F.lit(USER_ID).alias("field"), F.col(USER_ID).alias("value")))
    item, user = _marked(known_items, "item"), _marked(known_users, "user")
    told = rules.join(item, ["item_field", "item_value"], "left").join(user, ["user_field", "user_value"], "left")
    no_item = F.col("item_value").isNotNull() & F.col("item_known").isNull()
    no_user = F.col("user_value").isNotNull() & F.col("user_known").isNull()
    one_user = F.col("user_field") == USER_ID
    counts = told.agg(
        F.count_if(no_item).alias("rules_unknown_items"),
        F.count_if(no_user & one_user).alias("rules_unknown_users"),
        F.count_if(no_user & ~one_user).alias("rules_unknown_segments"),
    ).collect()[0]
    return counts.asDict()


def _marked(known: DataFrame, side: str) -> DataFrame:
    names = [F.col(name).alias(f"{side}_{name}") for name in ("field", "value")]
    return known.distinct().select(*names, F.lit(True).alias(f"{side}_known"))
