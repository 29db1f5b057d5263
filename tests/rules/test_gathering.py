from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.frames import assert_frames_equal
from tests.rules.worlds import DAY, UNTIL, moment, of

from intentrec.rules import addressed, gather_rules, hidden_items
from intentrec.tables import HISTORIES

HOUR = timedelta(hours=1)
RULES = [
    of("exclude", "categories", "gift"),
    of("exclude", "brand", "oak", "country", "DE"),
    of("available", "item_id", "i1", starts_at=UNTIL),  # begins as the night ends: open
    of("available", "item_id", "i2", ends_at=UNTIL),  # ends with it: closed
    of("boost", "brand", "elm", amount=2, starts_at=UNTIL + HOUR),  # not yet in force
    of("boost", "brand", "fir", amount=3, ends_at=UNTIL),  # no longer
    of("boost", "brand", "oak", amount=4, starts_at=UNTIL, ends_at=UNTIL + HOUR),
    of("max_age", days=6),  # i7 is a week old; i8 has no date
    of("max_age", "brand", "oak", rule="fresh oak", days=2),
    of("max_age", rule="ancient", days=1_000_000),
    of("min_share", rule="new", amount=0.5, days=2),
    of("cap", "categories", amount=2),
    of("cap", "categories", "gift", rule="gifts", amount=1),
    of("pin", "item_id", "unknown", amount=1),
    of("seen", "categories", "tea", days=9),  # is no matter of lists: histories hold what is seen
    of("exclude", "item_id", "i3", "user_id", "ann", rule="complaint"),  # of one user: stays on Spark
    of("exclude", "categories", "gift", "user_id", "bob", rule="complaint"),
    of("exclude", "item_id", "i4", "user_id", "ann", rule="over", ends_at=UNTIL),
]  # fmt: skip
MATCHED = [  # rule, audience, amount, open, items
    ("exclude", None, 0.0, True, [3, 4]),
    ("exclude", 0, 0.0, True, [1, 2, 3]),
    ("available", None, 0.0, True, [1]),
    ("available", None, 0.0, False, [2]),
    ("boost", None, 4.0, True, [1, 2, 3]),
    ("max_age", None, 0.0, True, [7]),
    ("fresh oak", None, 0.0, True, [3]),
    ("ancient", None, 0.0, True, []),
    ("new", None, 0.5, True, [1, 2]),
    ("cap", None, 2.0, True, [1, 2, 3, 3, 4, 5, 6]),
    ("gifts", None, 1.0, True, [3, 4]),
    ("pin", None, 1.0, True, []),
]


@pytest.fixture(scope="module")
def night(spark):
    return moment(spark, *RULES)


def test_rules_in_force_are_gathered_with_what_they_match(night):
    rules = gather_rules(night, np.ones(9, dtype=bool), k=4)
    found = [(row.rule, row.audience, row.amount, row.open, row.items_N.tolist()) for row in rules.rows]
    assert sorted(found, key=repr) == sorted(MATCHED, key=repr)
    assert rules.audiences == (("country", "DE"),)
    cap = next(row for row in rules.rows if row.rule == "cap")
    gift, tea = 0, 1
    assert cap.values_N.tolist() == [tea, tea, gift, tea, gift, tea, tea]
    assert all(row.values_N is None for row in rules.rows if row is not cap)


def test_users_are_told_their_audiences_and_what_is_excluded_for_them_alone(spark, night):
    def history(user, *seen):
        return (DAY, user, [1], [0], [], list(seen), 1, datetime(2024, 5, 1, tzinfo=UTC))

    histories = spark.createDataFrame([history("ann", 1, 7), history("bob"), history("zoe", 2)], HISTORIES.schema)
    told = addressed(histories, night, [("country", "DE"), ("segment", "kids")])
    expected = [("ann", [1, 3, 7], [0, 1]), ("bob", [3, 4], [1]), ("zoe", [2], [])]
    assert_frames_equal(
        told.select("user_id", "seen", "audiences"),
        spark.createDataFrame(expected, "user_id STRING, seen ARRAY<INT>, audiences ARRAY<INT>"),
    )
    hidden = [("complaint", "ann", 3), ("complaint", "bob", 3), ("complaint", "bob", 4)]
    assert sorted(map(tuple, hidden_items(night).collect())) == hidden


def test_without_rules_nothing_is_gathered(spark):
    rules = gather_rules(moment(spark), np.ones(9, dtype=bool), k=4)
    assert (rules.rows, rules.audiences, rules.listed) == ((), (), ())
