from datetime import date

import pytest

from intentrec.config import InputConfig
from intentrec.errors import InputError
from intentrec.events import Erased
from intentrec.logs import read_rules

EVENTS = {"path": "a", "format": "json", "columns": {"user_id": "u", "occurred_at": "t"}}
DAY = date(2024, 5, 1)


def settings(*sources):
    return InputConfig.model_validate({"events": EVENTS, "rules": list(sources)})


def test_several_sources_are_one_set_of_rules_and_erased_users_are_in_none(spark, tmp_path):
    rule = '{{"rule": "{0}", "kind": "exclude", "item_field": "item_id", "item_value": "i", "user_field": "user_id", '
    lines = [rule.format(user) + f'"user_value": "{user}"}}\n' for user in ("ann", "bob")]
    (tmp_path / "rules-2024-05-01.json").write_text("".join(lines))
    (tmp_path / "stock.csv").write_text("sku,left\ntea,0\n")
    stock = {
        "path": f"{tmp_path}/stock.csv", "format": "csv",
        "columns": {"rule": {"constant": "stock"}, "kind": {"constant": "stock"}, "item_field": {"constant": "item_id"},
                    "item_value": "sku", "amount": "left"},
    }  # fmt: skip
    sources = settings({"path": f"{tmp_path}/rules-{{run_date}}.json", "format": "json"}, stock)
    erased = Erased.of(b"key", ["bob"])
    rows = read_rules(spark, sources, DAY, "UTC", erased).where("kind != 'file'").collect()
    found = {row["rule"]: (row["kind"], row["rule_kind"], row["amount"], row["reason"]) for row in rows}
    assert found == {
        "ann": ("row", "exclude", None, None),
        "bob": ("erased", "exclude", None, None),
        "stock": ("row", "stock", 0.0, None),
    }


def test_without_a_source_there_are_no_rules_and_a_missing_file_is_named(spark, tmp_path):
    assert read_rules(spark, settings(), DAY, "UTC", None) is None
    with pytest.raises(InputError, match=r"none.json: no file matches"):
        read_rules(spark, settings({"path": f"{tmp_path}/none.json", "format": "json"}), DAY, "UTC", None)
