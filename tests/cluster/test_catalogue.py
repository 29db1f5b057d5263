from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import torch
from tests.cluster.worlds import DAY

from intentrec.cluster.catalogue import Numbers, collect_newcomers, collect_numbers, no_newcomers
from intentrec.config import Cutoff
from intentrec.examples import Encoding, Night, Shape
from intentrec.model.checkpoint import Vocabulary
from intentrec.model.shape import Catalogue, Field
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, SESSIONS, VOCABULARY


def at(hour):
    return datetime(2024, 5, 2, hour, tzinfo=UTC)


NUMBERS = Numbers(
    vocabulary=Vocabulary(("cup", "pot"), {"action": ("view",)}),
    fields=(Field("action", 1),),
    catalogue=Catalogue(torch.tensor([[0], [1], [2]]), torch.tensor([0, 90, 200])),
    first_seen_V=np.array([0, 100, 200]),
    eligible=np.array([False, True, True]),
)


def test_the_numbers_of_a_night_are_collected_in_the_order_of_the_item_index(spark):
    items = [
        ("tea", ["drink", "hot", "leaf"], at(0)),  # a third category, of two that are kept
        ("cup", ["ware", "unknown"], None),
        ("pot", [], at(5)),
    ]
    vocabulary = [
        ("tea", 2, at(3)),
        ("cup", 1, at(1)),
        ("pot", 3, at(2)),
        ("lost", 4, at(4)),
    ]  # lost left the catalogue
    features = [("categories", "hot", 2), ("categories", "drink", 1), ("categories", "leaf", 3),
                ("categories", "ware", 4), ("action", "view", 1), ("device", "phone", 1),
                ("dropped", "x", 1)]  # fmt: skip
    night = Night(
        run_date=DAY, cutoff=Cutoff("UTC", "00:00"), encoding=Encoding(("device", "categories", "action"), 2),
        shape=Shape(DAY, 9, 4), window_days=None, seen=None, sessions=spark.createDataFrame([], SESSIONS.schema),
        items=spark.createDataFrame(
            [(DAY, name, None, own, day, True, [], "r") for name, own, day in items], ITEMS.schema
        ),
        vocabulary=spark.createDataFrame([(DAY, *row) for row in vocabulary], VOCABULARY.schema),
        features=spark.createDataFrame([(DAY, *row) for row in features], FEATURE_VOCABULARY.schema),
    )  # fmt: skip
    numbers = collect_numbers(night, spark.createDataFrame([("pot",), ("tea",), ("new",)], "item_id STRING"))
    assert numbers.vocabulary == Vocabulary(
        ("cup", "tea", "pot", "lost"),
        {"device": ("phone",), "categories": ("drink", "hot", "leaf", "ware"), "action": ("view",)},
    )
    assert numbers.fields == (Field("device", 1), Field("categories", 4, columns=2), Field("action", 1))
    assert numbers.catalogue.categories_VC.tolist() == [[0, 0], [4, 0], [1, 2], [0, 0], [0, 0]]
    assert numbers.first_seen_V.tolist() == [0, *(int(at(hour).timestamp()) for hour in (1, 3, 2, 4))]
    # cup has no date in the catalogue, tea an earlier one, pot one after its first event, lost is in no catalogue
    assert numbers.catalogue.published_V.tolist() == [0, *(int(at(hour).timestamp()) for hour in (1, 0, 2, 4))]
    assert numbers.eligible.tolist() == [False, False, True, True, False]


def test_newcomers_are_eligible_young_and_without_an_event(spark):
    items = [
        ("tea", ["drink"], at(5)),  # has events
        ("old", ["drink"], at(2)),
        ("jar", ["ware", "drink"], at(3)),  # from the very instant on
        ("hat", [], at(4)),
        ("when", ["drink"], None),
        ("gone", ["drink"], at(4)),  # not eligible
    ]
    night = Night(
        run_date=DAY, cutoff=Cutoff("UTC", "00:00"), encoding=Encoding(("categories",), 2), shape=Shape(DAY, 9, 4),
        window_days=None, seen=None, sessions=spark.createDataFrame([], SESSIONS.schema),
        items=spark.createDataFrame(
            [(DAY, name, None, own, day, True, [], "r") for name, own, day in items], ITEMS.schema
        ),
        vocabulary=spark.createDataFrame([(DAY, "tea", 1, at(5))], VOCABULARY.schema),
        features=spark.createDataFrame(
            [(DAY, "categories", "drink", 1), (DAY, "categories", "ware", 2)], FEATURE_VOCABULARY.schema
        ),
    )  # fmt: skip
    eligible = spark.createDataFrame([(name,) for name, *_ in items if name != "gone"], "item_id STRING")
    found = collect_newcomers(night, eligible, at(3))
    assert found.items == ("hat", "jar")
    assert found.categories_NC.tolist() == [[0, 0], [2, 1]]
    assert len(no_newcomers(2)) == 0
    assert no_newcomers(2).categories_NC.shape == (0, 2)


def test_an_item_may_be_listed_from_the_second_after_its_first_event_on():
    def seconds(number):
        return datetime.fromtimestamp(number, UTC)

    assert NUMBERS.allowed_before(seconds(200)).tolist() == [False, True, False]
    assert NUMBERS.allowed_before(seconds(201)).tolist() == [False, True, True]
    without_1 = replace(NUMBERS, eligible=np.array([False, False, True]))
    assert without_1.allowed_before(seconds(201)).tolist() == [False, False, True]


def test_the_content_changes_with_names_categories_first_events_and_what_may_be_listed():
    others = [
        replace(NUMBERS, vocabulary=Vocabulary(("cup", "jug"), {"action": ("view",)})),
        replace(NUMBERS, vocabulary=Vocabulary(("cup", "pot"), {"action": ("buy",)})),
        replace(NUMBERS, catalogue=replace(NUMBERS.catalogue, categories_VC=torch.tensor([[0], [2], [2]]))),
        replace(NUMBERS, catalogue=replace(NUMBERS.catalogue, published_V=torch.tensor([0, 91, 200]))),
        replace(NUMBERS, first_seen_V=np.array([0, 100, 201])),
        replace(NUMBERS, eligible=np.array([False, True, False])),
    ]
    assert len({numbers.content for numbers in (NUMBERS, *others)}) == 7
    assert replace(NUMBERS, eligible=NUMBERS.eligible.copy()).content == NUMBERS.content
