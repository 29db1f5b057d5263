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
    assert "# 75.00% of the rows" in page
    assert values["input"]["events"][0]["options"] == {"sep": ";", "header": True}
