from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from tests.cluster.worlds import DAY, ids, plan_of

from intentrec.cluster.segments import segment_candidates, segment_list
from intentrec.rules import RuleRow, Rules
from intentrec.tables import VOCABULARY

ALL = "all"
MIDNIGHT = datetime(2024, 5, 1, tzinfo=UTC)
AUDIENCES = (("segment", "kids"), ("segment", "old"), ("country", "DE"))
COUNTS = np.array([0, 9, 8, 7, 6, 5, 4])  # everybody's events of items 1 to 6, which is the filler's order


def row(kind, *items, **more):
    return RuleRow(rule=kind, kind=kind, items_N=np.array(items, dtype=np.int64), **more)


def plan(*rules, k=3):
    made = Rules(rules, np.arange(7) > 0, k, AUDIENCES) if rules else None
    return plan_of(6, k, filler_counts=COUNTS, filler_scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), rules=made)


def own(*events):
    return [{"order": -number, "item_id": f"i{item:02}", "item_index": item} for item, number in events]


def names(listed):
    return [(int(item["item_id"][1:]), item["score"], item["source"]) for item in listed]


def test_a_segments_own_items_come_first_and_what_everybody_likes_follows():
    listed = segment_list(plan(), "kids", ALL, own((6, 4), (2, 1)))
    assert names(listed) == [(6, 4.0, "fallback"), (2, 1.0, "fallback"), (1, 0.9, "fallback")]
    assert names(segment_list(plan(), ALL, ALL, [])) == [(item, 1.0 - item / 10, "fallback") for item in (1, 2, 3)]


@pytest.mark.parametrize(
    ("rule", "kids", "old", "everybody"),
    [
        (row("exclude", 6), [2, 1, 3], [2, 1, 3], [1, 2, 3]),
        (row("exclude", 6, 1, audience=0), [2, 3, 4], [6, 2, 1], [2, 3, 4]),
        (row("exclude", 6, 1, audience=2), [2, 3, 4], [2, 3, 4], [2, 3, 4]),  # any of them may be in DE
        (row("only_for", 6, 1, audience=0), [6, 2, 1], [2, 3, 4], [2, 3, 4]),
        (row("boost", 2, amount=9.0), [2, 6, 1], [2, 6, 1], [2, 1, 3]),
        (row("pin", 5, amount=1.0, audience=0), [5, 6, 2], [6, 2, 1], [1, 2, 3]),
        (row("cap", 6, 2, 3, amount=1.0), [6, 1, 4], [6, 1, 4], [1, 2, 4]),
        (row("min_share", 4, 5, amount=0.5), [6, 4, 5], [6, 4, 5], [1, 4, 5]),
    ],
)
def test_segments_keep_the_rules_as_all_their_readers_need_it(rule, kids, old, everybody):
    made = plan(rule)
    listed = [segment_list(made, name, ALL, own((6, 4), (2, 1))) for name in ("kids", "old")]
    listed.append(segment_list(made, ALL, ALL, []))
    assert [[item for item, _, _ in names(items)] for items in listed] == [kids, old, everybody]
    pinned = [item for items in listed for item, _, source in names(items) if source == "pinned"]
    assert pinned == ([5] if rule.kind == "pin" else [])


def test_lists_come_from_events_by_segment(spark):
    counts = [("kids", "i06", 4), ("kids", "i02", 4), ("kids", "new", 9), ("old", "i03", 1)]
    counts.append((ALL, "i06", 7))  # of users whose segment is called so: the list of everybody is everybody's
    vocabulary = [(DAY, name, index, MIDNIGHT) for index, name in enumerate(ids(6), 1)]
    known = spark.createDataFrame(vocabulary, VOCABULARY.schema)
    shared = SimpleNamespace(value=plan())
    events = spark.createDataFrame(counts, "segment STRING, item_id STRING, num_events BIGINT")
    found = segment_candidates(events, known, shared, ALL).collect()
    assert len(found) == 3
    assert {row["segment"]: [item["item_id"] for item in row["items"]] for row in found} == {
        "kids": ["i02", "i06", "i01"], "old": ["i03", "i01", "i02"], "all": ["i01", "i02", "i03"],
    }  # fmt: skip
