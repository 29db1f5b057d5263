import pytest
import yaml

from intentrec.starter.page import config_page, scalar
from intentrec.starter.suggesting import suggest


@pytest.mark.parametrize("text", ["user_id", "yes", "a b", "12", "null", 'q"', "Käse", "a: b", "", "#x", "user.id"])
def test_a_text_is_read_back_as_the_same_text(text):
    assert yaml.safe_load(f"[{scalar(text)}]") == [text]


def test_the_page_says_what_was_seen_and_what_to_check(tmp_path):
    rows = [f"{n % 30};{100 + n % 50};2024-05-0{1 + n % 9} 10:00:00;{'view' if n % 4 else 'no'}" for n in range(400)]
    (tmp_path / "a.csv").write_text("\n".join(["customer;product;when;action", *rows, "broken"] * 1) + "\n" + "x\n" * 9)
    page = config_page(suggest(str(tmp_path / "a.csv")))
    assert "all of one file: 410 rows, 30 users" in page
    assert "timezone: UTC" in page
    assert "CHECK: the times carry no offset" in page
    assert "CHECK: 2.4% of the sample is unusable" in page  # 10 of 410 rows
    values = yaml.safe_load(page)
    assert values["input"]["actions"] == {"view": 1, "no": 1}
    assert values["input"]["max_rejected_share"] == 0.05  # twice as much, rounded up
    assert values["monitoring"] == {"max_quarantine_share": 0.05}  # or every such night would warn
    assert "# 75.00% of the rows" in page
    assert values["input"]["events"][0]["options"] == {"sep": ";", "header": True}


def test_a_sound_log_keeps_the_usual_limits(tmp_path):
    rows = [f"u{n % 30},{100 + n % 50},2024-05-0{1 + n % 9} 10:00:00" for n in range(400)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    page = config_page(suggest(str(tmp_path / "a.csv")))
    assert "max_rejected_share: 0.01 " in page
    assert "monitoring" not in page
    assert "days alone" not in page


def test_a_clock_in_a_column_of_its_own_is_named(tmp_path):
    rows = [f"2024-05-0{1 + n % 9},{n % 24:02d}:30:00,u{n % 30},{100 + n % 50}" for n in range(400)]
    (tmp_path / "a.csv").write_text("\n".join(["date,time of day,user,item", *rows]) + "\n")
    page = config_page(suggest(str(tmp_path / "a.csv")))
    assert "# CHECK: date holds days alone: every event would be at midnight" in page
    assert '# CHECK: "time of day" looks like its clock: deliver both in one column' in page
    values = yaml.safe_load(page)
    assert values["input"]["events"][0]["columns"] == {"user_id": "user", "item_id": "item", "occurred_at": "date"}
    assert "context" not in values["input"]["events"][0]
