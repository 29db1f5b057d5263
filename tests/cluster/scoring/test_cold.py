import numpy as np
import pytest

from intentrec.cluster.scoring import cold, cold_start_of
from intentrec.config import ColdStartConfig

ITEMS = ("", "cup", "pot", "tea")


def test_every_segment_has_its_own_popularity_and_everybodys_comes_first(spark, monkeypatch):
    rows = [("kids", "cup", 2), ("kids", "pot", 3), ("pros", "tea", 9), ("few", "cup", 1), ("kids", "gone", 5)]
    counted = spark.createDataFrame(rows, "segment STRING, item_id STRING, num_events BIGINT")
    monkeypatch.setattr(cold, "_MOST_SEGMENTS", 2)
    found = cold_start_of(ColdStartConfig(events=4), counted, np.array([0, 3, 3, 9]), ITEMS, 2.0)
    assert found.segments == {"kids": 1, "pros": 2}  # 10 and 9 events; the smallest one is left to everybody's
    wanted = [[0, 3, 3, 9], [0, 2, 3, 0], [0, 0, 0, 9]]
    assert found.popularity_SV == pytest.approx(2 * np.log1p(10 * np.array(wanted)))
    assert (found.events, found.shrink_events) == (4, 5.0)
    assert cold_start_of(ColdStartConfig(), counted, np.array([0, 3, 3, 9]), ITEMS, 2.0) is None
