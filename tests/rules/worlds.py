"""A small shop: eight items of three brands and two categories, users of two segments and two countries."""

from datetime import UTC, date, datetime, timedelta

from intentrec.rules import Moment
from intentrec.tables import ITEMS, RULES, USERS, VOCABULARY

DAY = date(2024, 5, 1)
UNTIL = datetime(2024, 5, 2, tzinfo=UTC)
NAMES = tuple(f"i{number}" for number in range(1, 9))  # item i1 has index 1
BRANDS = ("oak", "oak", "oak", "elm", "elm", "fir", "fir", None)
KINDS = (["tea"], ["tea"], ["tea", "gift"], ["gift"], ["tea"], ["tea"], [], [])
AGES = (1, 2, 3, 4, 5, 6, 7, None)  # days, to the second
PEOPLE = (("ann", "kids", "DE"), ("bob", "kids", "FR"), ("cyd", "old", "DE"), ("dan", None, None))


def moment(spark, *rules):
    """Return the night's tables with these rules, each a dict with the columns that it has."""
    items = [
        (DAY, name, None, kinds, None if age is None else UNTIL - timedelta(days=age), True,
         [("brand", brand)] if brand else [], "r")
        for name, brand, kinds, age in zip(NAMES, BRANDS, KINDS, AGES, strict=True)
    ]  # fmt: skip
    users = [(DAY, user, segment, [("country", land)] if land else [], "r") for user, segment, land in PEOPLE]
    vocabulary = [(DAY, name, index, UNTIL) for index, name in enumerate(NAMES, 1)]
    written = [
        {"run_date": DAY, "rule": rule["kind"], "source_file": "rules.json", "line": line, "run_id": "r", **rule}
        for line, rule in enumerate(rules, 1)
    ]
    rows = [tuple(rule.get(name) for name in RULES.schema.names) for rule in written]
    return Moment(
        rules=spark.createDataFrame(rows, RULES.schema),
        items=spark.createDataFrame(items, ITEMS.schema),
        users=spark.createDataFrame(users, USERS.schema),
        vocabulary=spark.createDataFrame(vocabulary, VOCABULARY.schema),
        until=UNTIL,
    )


def of(kind, field=None, value=None, user=None, who=None, **more):
    """Return a rule: item field and value, user field and value, and further columns."""
    more = {name: float(own) if name == "amount" else own for name, own in more.items()}
    return {"kind": kind, "item_field": field, "item_value": value, "user_field": user, "user_value": who, **more}
