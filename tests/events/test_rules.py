from datetime import UTC, date, datetime
from functools import partial

import pytest
from tests.frames import assert_frames_equal

from intentrec.config import InputConfig, RulesSource
from intentrec.errors import InputError
from intentrec.events import RuleNames, columns_of_rules, count_unknown, judge_rules, refuse_bad_rules, rules_of
from intentrec.tables import EVENTS, ITEMS, RULE_COLUMNS, RULES, USERS

DAY = date(2024, 5, 1)
SOURCE = RulesSource(path="rules.json", format="json")
NAMES = RuleNames(("item_id", "brand", "categories"), ("user_id", "segment"), ("buy", "view"))


def read(spark, *rows, row_kind="row"):
    names = [*columns_of_rules(SOURCE)]
    fixed = (
        "kind STRING, source_file STRING, content_sha256 STRING, line BIGINT, raw STRING, reason STRING, detail STRING"
    )
    values = [
        (row_kind, "rules.json", "sha", line, "text", row.get("reason"), row.get("detail"),
         *(row.get("kind" if name == "rule_kind" else name) for name in names))
        for line, row in enumerate(rows, 1)
    ]  # fmt: skip
    return spark.createDataFrame(values, ", ".join([fixed, *(f"{name} STRING" for name in names)]))


def judged(spark, *rows, **more):
    return judge_rules(read(spark, *rows, **more), SOURCE, NAMES, "Europe/Berlin")


def rule(kind, **columns):
    return {"rule": "r", "kind": kind, **columns}


TEA = {"item_field": "categories", "item_value": "tea"}
KIDS = {"user_field": "segment", "user_value": "kids"}
GOOD = [
    rule("available", **TEA, starts_at="2024-05", ends_at="2024-06-01T09:30:00Z", rule="a"),
    rule("only_for", **TEA, **KIDS, rule="b"),
    rule("exclude", item_field="item_id", item_value="i1", user_field="user_id", user_value="ann", rule="c"),
    rule("max_age", days="0", rule="d"),
    rule("stock", item_field="item_id", item_value="i1", amount="0", rule="e"),
    rule("seen", rule="f"),
    rule("boost", **TEA, amount="0.001", rule="g"),
    rule("cap", item_field="brand", amount="1", rule="h"),
    rule("pin", item_field="item_id", item_value="i1", amount="1e4", rule="i"),
    rule("min_share", days="1000000", amount="1", rule="j"),
    rule("stock", item_field="item_id", item_value="i2", amount="-3", rule="k"),
]
WRONG = {
    "rule: null or absent, every row must have one": {"kind": "exclude", **TEA, "rule": None},
    "kind: 'exlude', wanted one of available, only_for, exclude": rule("exlude", **TEA),
    "kind: null or absent": rule(None),
    "amount: '2', wanted nothing there: exclude has no amount": rule("exclude", **TEA, amount="2"),
    "item_field: null or absent, every exclude must have one": rule("exclude"),
    "amount: null or absent, every boost must have one": rule("boost", **TEA),
    "amount: '0', wanted a number from 0.001 to 1000": rule("boost", **TEA, amount="0"),
    "amount: '1.5', wanted a whole number from 1 to 10000": rule("cap", item_field="brand", amount="1.5"),
    "amount: 'many', wanted a number from -1e+12 to 1e+12": rule("stock", **TEA, amount="many"),
    "amount: 'NaN', wanted a number from 0.001 to 1": rule("min_share", **TEA, amount="NaN"),
    "amount: '1.01', wanted a number from 0.001 to 1": rule("min_share", **TEA, amount="1.01"),
    "days: '-1', wanted a whole number from 0 to 1000000": rule("max_age", days="-1"),
    "days: '1000001', wanted a whole number from 0 to 1000000": rule("max_age", days="1000001"),
    "days: '9999999999', wanted a whole number from 0 to 1000000": rule("seen", days="9999999999"),
    "starts_at: 'soon', wanted a time in iso": rule("exclude", **TEA, starts_at="soon"),
    "ends_at: '2024-05-01', wanted an instant after starts_at": rule(
        "exclude", **TEA, starts_at="2024-05-01", ends_at="2024-05-01"
    ),
    "starts_at, ends_at: available must have one of them": rule("available", **TEA),
    "item_field: 'brnad', wanted one of item_id, brand": rule("exclude", item_field="brnad", item_value="x"),
    "user_field: 'land', wanted one of user_id, segment": rule("exclude", **TEA, user_field="land", user_value="DE"),
    "action: 'steal', wanted one of buy, view": rule("seen", action="steal"),
    "item_field: 'brand', wanted item_id: one item stands": rule("pin", item_field="brand", item_value="x", amount="1"),
    "item_field: 'item_id', wanted what several items share": rule("cap", item_field="item_id", amount="1"),
    "user_field: 'user_id', wanted what several users share": rule(
        "boost", **TEA, amount="2", user_field="user_id", user_value="ann"
    ),
    "item_value, days: min_share must have one of them": rule("min_share", amount="0.5"),
    "item_value: null or absent, wanted with the other": rule("max_age", days="1", item_field="brand"),
    "user_field: null or absent, wanted with the other": rule("exclude", **TEA, user_value="kids"),
    "not JSON": {"reason": "malformed_row", "detail": "not JSON"},
}  # fmt: skip


def test_rules_of_every_kind_are_typed(spark):
    rows = judged(spark, *GOOD).persist()
    assert refuse_bad_rules(rows) == len(GOOD)
    at = partial(datetime, 2024)  # as Spark gives them: UTC, naive
    found = {row["rule"]: row.asDict() for row in rules_of(rows, DAY, "run").collect()}
    assert [found[row["rule"]]["kind"] for row in GOOD] == [row["kind"] for row in GOOD]
    nothing = dict.fromkeys(RULE_COLUMNS)
    assert {name: found["a"][name] for name in RULE_COLUMNS} == {
        **nothing, **TEA, "rule": "a", "kind": "available",
        "starts_at": at(4, 30, 22), "ends_at": at(6, 1, 9, 30),
    }  # fmt: skip
    assert {name: found["i"][name] for name in RULE_COLUMNS} == {
        **nothing, "rule": "i", "kind": "pin", "item_field": "item_id", "item_value": "i1", "amount": 10_000.0,
    }  # fmt: skip
    assert found["j"]["days"] == 1_000_000
    assert found["k"]["amount"] == -3.0
    assert (found["d"]["days"], found["d"]["run_date"], found["d"]["line"]) == (0, DAY, 4)
    rows.unpersist()


def test_every_wrong_row_is_told_with_its_first_problem(spark):
    rows = judged(spark, *WRONG.values()).orderBy("line").collect()
    told = [row["detail"].replace("rule_kind", "kind") for row in rows]
    assert [detail[: len(wanted)] for detail, wanted in zip(told, WRONG, strict=True)] == list(WRONG)
    assert all(row["reason"] for row in rows)


def test_one_wrong_doubled_or_missing_rule_refuses_all(spark):
    wrong = judged(spark, GOOD[0], rule("exclude", **TEA, amount="2"), rule("exclude", **TEA, amount="3"))
    with pytest.raises(InputError) as refused:
        refuse_bad_rules(wrong)
    assert str(refused.value) == (
        "input.rules: rules.json:2: amount: '2', wanted nothing there: exclude has no amount (2 such rows); correct "
        "the rule, no table was changed"
    )
    with pytest.raises(InputError, match=r"rule 'r' stands twice \(rules.json:1, rules.json:2\), wanted once and of"):
        refuse_bad_rules(judged(spark, rule("exclude", **TEA), rule("exclude", **TEA)))
    with pytest.raises(InputError, match=r"rule 'r' is of two kinds \(rules.json:1, rules.json:2\)"):
        refuse_bad_rules(judged(spark, rule("exclude", **TEA), rule("max_age", days="1")))
    with pytest.raises(InputError, match=r"input.rules: the files hold no row, wanted at least one"):
        refuse_bad_rules(judged(spark))
    foreign = judged(spark, {"detail": "column 'kind' is missing"}, row_kind="foreign")
    with pytest.raises(InputError, match=r"rules.json: column 'kind' is missing; correct input.rules.columns"):
        refuse_bad_rules(foreign)


def test_references_that_nobody_knows_are_counted(spark):
    items = spark.createDataFrame([(DAY, "i1", None, ["tea"], None, True, [("brand", "oak")], "r")], ITEMS.schema)
    users = spark.createDataFrame([(DAY, "ann", "kids", [], "r")], USERS.schema)
    at = datetime(2024, 5, 1, tzinfo=UTC)
    events = spark.createDataFrame([("e", "bob", "i1", "view", at, 0, None, [], DAY, "f", 1, "r", at)], EVENTS.schema)
    rows = [
        ("item_id", "i1", "user_id", "ann"),
        ("categories", "tea", "user_id", "bob"),
        ("brand", "oak", "segment", "kids"),
        ("item_id", "i2", None, None),
        ("brand", "elm", "user_id", "cyd"),
        ("brand", None, "segment", "old"),
    ]
    nothing = [None] * 5
    written = [(DAY, "r", "exclude", *row, *nothing, "f", line, "r") for line, row in enumerate(rows)]
    rules = spark.createDataFrame(written, RULES.schema)
    assert count_unknown(rules, items, users, events) == {
        "rules_unknown_items": 2, "rules_unknown_users": 1, "rules_unknown_segments": 1,
    }  # fmt: skip


def test_names_come_from_the_config_and_columns_of_their_own_names_need_no_mapping():
    source = {"path": "a", "format": "json", "columns": {"user_id": "u", "occurred_at": "t"}}
    settings = InputConfig.model_validate({
        "events": source, "actions": {"view": 1, "buy": 2},
        "items": {
            "path": "i", "format": "csv", "columns": {"item_id": "a", "title": "b", "categories": "c", "maker": "d"},
        },
        "users": {"path": "u", "format": "csv", "columns": {"user_id": "a", "land": "b"}},
    })  # fmt: skip
    assert RuleNames.of(settings) == RuleNames(("item_id", "categories", "maker"), ("user_id", "land"), ("buy", "view"))
    bare = InputConfig.model_validate({"events": source})
    assert RuleNames.of(bare) == RuleNames(("item_id",), ("user_id",), None)
    assert list(columns_of_rules(SOURCE)) == ["rule", "rule_kind", *RULE_COLUMNS[2:]]
    mapped = RulesSource(path="s", format="csv", columns={"rule": {"constant": "stock"}, "kind": "k", "amount": "left"})
    assert columns_of_rules(mapped)["rule_kind"] == "k"
    with pytest.raises(ValueError, match="must map kind"):
        RulesSource(path="s", format="csv", columns={"rule": "r"})


def test_columns_that_are_not_mapped_are_empty(spark):
    rows = read(spark, rule("max_age", days="3")).select(
        "kind", "source_file", "content_sha256", "line", "raw", "reason", "detail", "rule", "rule_kind", "days"
    )
    assert_frames_equal(
        judge_rules(rows, SOURCE, NAMES, "UTC").select("rule", "rule_kind", "days", "amount", "reason"),
        spark.createDataFrame(
            [("r", "max_age", 3, None, None)], "rule STRING, rule_kind STRING, days INT, amount DOUBLE, reason STRING"
        ),
    )
