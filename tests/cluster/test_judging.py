from datetime import UTC, date, datetime

import numpy as np
import pytest
import torch
from tests.cluster.worlds import FIELDS, artifact_of, histories_of

from intentrec.baselines import PopularityBaseline, TransitionBaseline, TransitionTable, popularity, transitions
from intentrec.cluster import judging
from intentrec.cluster.judging import (
    CountingRecommender,
    JudgedUsers,
    ModelRecommender,
    collect_counts,
    collect_judged,
    collect_transitions,
    known_to,
    masked,
    shrunk,
)
from intentrec.config import Cutoff, SeenConfig
from intentrec.examples import JUDGED_COLUMNS, Encoding, Night, Shape
from intentrec.metrics import Relevant
from intentrec.model.inference import Histories, Scorer
from intentrec.model.shape import Field
from intentrec.tables import FEATURE_VOCABULARY, ITEMS, SESSIONS, VOCABULARY

NIGHT = date(2024, 5, 3)
COUNTS = {1: np.array([0, 0, 3, 0, 3, 0]), 24: np.array([0, 7, 9, 0, 5, 7])}  # best first: 2, 4, 1, 5, 3
# what follows: 1 -> 2 (3 of 4), 1 -> 3 (1 of 4); 2 -> 3 (always)
FOLLOWERS = TransitionTable.of(
    np.array([2, 1, 1]), np.array([3, 3, 2]), np.array([60, 60, 180]), np.array([60, 240, 240]), num_items=5
)
ALL_OF_FIVE = np.array([False, True, True, True, True, True])


def arrays(*rows):
    return [np.array(row, dtype=np.int64) for row in rows]


def users_of(items, seen):
    nothing = arrays(*[[] for _ in items])
    return JudgedUsers(Histories(arrays(*items), nothing, nothing), arrays(*seen), Relevant.of([[9]] * len(items)))


@pytest.mark.parametrize("chunk", [2048, 2])
def test_popularity_lists_what_is_counted_most_without_what_is_seen_or_not_allowed(monkeypatch, chunk):
    monkeypatch.setattr(judging, "_CHUNK", chunk)
    users = users_of([[1], [2], [3]], [[], [2, 1], [4]])
    popular = PopularityBaseline.of(COUNTS, 1)
    recommender = CountingRecommender(popular, ALL_OF_FIVE)
    assert recommender.name == "popularity_1h"
    assert recommender.recommend(users, 3).tolist() == [[2, 4, 1], [4, 5, 3], [2, 1, 5]]
    without_2 = CountingRecommender(popular, np.array([False, True, False, True, True, True]))
    assert without_2.recommend(users, 4).tolist() == [[4, 1, 5, 3], [4, 5, 3, 0], [1, 5, 3, 0]]  # 0: nothing is left


@pytest.mark.parametrize("chunk", [2048, 2])
def test_transitions_list_what_followed_the_last_known_item_then_what_is_popular(monkeypatch, chunk):
    monkeypatch.setattr(judging, "_CHUNK", chunk)
    baseline = TransitionBaseline.of(FOLLOWERS, PopularityBaseline.of(COUNTS, 1))
    users = users_of([[4, 1], [1, 2, 0], [1, 5], [0]], [[4, 1], [], [], []])
    lists = CountingRecommender(baseline, ALL_OF_FIVE).recommend(users, 3)
    assert lists.tolist() == [[2, 3, 5], [3, 2, 4], [2, 4, 1], [2, 4, 1]]
    without_3 = CountingRecommender(baseline, np.array([False, True, True, False, True, True]))
    assert without_3.recommend(users, 3).tolist()[1] == [2, 4, 1]


def test_nobody_gets_no_list():
    scorer = Scorer(artifact_of(5))
    model = ModelRecommender("m", scorer, FIELDS, np.zeros(6, np.float32), ALL_OF_FIVE)
    for recommender in (CountingRecommender(PopularityBaseline.of(COUNTS, 1), ALL_OF_FIVE), model):
        assert recommender.recommend(users_of([], []), 3).shape == (0, 3)


@pytest.mark.parametrize("own_bias", [False, True])
def test_a_model_lists_the_greatest_of_its_scores_and_the_prior(monkeypatch, own_bias):
    monkeypatch.setattr(judging, "_CHUNK", 4)
    scorer = Scorer(artifact_of(8))
    random = np.random.default_rng(2)
    if own_bias:
        scorer.bias_V = torch.from_numpy(random.random(9).astype(np.float32))
    histories = histories_of([1, 3, 2, 5, 4, 6], 8, num_values=2)
    seen = arrays([1, 2], [], [8], [3, 10], [5], [9])
    bias_V = random.random(11).astype(np.float32)
    allowed = np.arange(11) != 4
    allowed[0] = False
    users = JudgedUsers(histories, seen, Relevant.of([[1]] * 6))
    # tonight has 10 items; 9 and 10 are new to the model
    lists = ModelRecommender("m", scorer, FIELDS, bias_V, allowed).recommend(users, 3)
    scores = (scorer.encode(histories).queries_BD @ scorer.items_VD.T).numpy() + bias_V[:9]
    scores += scorer.bias_V.numpy() if own_bias else 0
    scores[:, [0, 4]] = -np.inf
    for row, own in enumerate(seen):
        scores[row, own[own < 9]] = -np.inf
    assert lists.tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :3].tolist()


def test_what_came_after_a_models_vocabularies_is_unknown_to_it():
    shape = artifact_of(5).shape  # action of 2 values, categories of 3 in two columns
    given = Histories(arrays([5, 6, 1], [7]), arrays([1, 2, 3], [4]), arrays([1, 2, 3, 3, 4, 0, 1, 3, 9], [3, 1, 4]))
    known = known_to(shape, (Field("action", 3), Field("categories", 9, columns=2)), given)
    assert [own.tolist() for own in known.items] == [[5, 0, 1], [0]]
    assert [own.tolist() for own in known.features] == [[1, 2, 0, 3, 0, 0, 1, 3, 0], [0, 1, 0]]
    assert known.times is given.times


def test_a_models_event_features_are_found_by_name_wherever_tonight_has_them():
    shape = artifact_of(5).shape
    tonight = (Field("device", 4), Field("categories", 3), Field("action", 2))  # one category less, one field more
    known = known_to(shape, tonight, Histories(arrays([5, 1]), arrays([1, 2]), arrays([4, 4, 3, 1, 2, 1])))
    assert known.features[0].tolist() == [2, 1, 3, 1, 0, 0]
    none_left = known_to(shape, (), Histories(arrays([5, 1]), arrays([1, 2]), arrays([])))
    assert none_left.features[0].tolist() == [0] * 6
    none_wanted = known_to(
        artifact_of(5, "sasrec", fields=()).shape, FIELDS, Histories(arrays([5]), arrays([1]), arrays([1, 2, 3]))
    )
    assert none_wanted.features[0].tolist() == []


def test_a_mask_leaves_the_bias_of_what_is_allowed():
    bias_V = masked(np.array([1.0, 2.0, 3.0], np.float32), np.array([False, True, False]))
    assert bias_V.tolist() == [float("-inf"), 2.0, float("-inf")]
    assert bias_V.dtype == torch.float32


def test_the_first_users_keep_all_that_is_theirs():
    users = JudgedUsers(Histories(arrays([1], [2, 3], [4]), arrays([5], [6, 7], [8]), arrays([9], [8, 7], [6])),
                        arrays([1], [2], []), Relevant.of([[4], [5, 6], [7]]))  # fmt: skip
    two = users.first(2)
    assert len(two) == 2
    assert [own.tolist() for own in two.histories.items] == [[1], [2, 3]]
    assert [own.tolist() for own in two.histories.times] == [[5], [6, 7]]
    assert [own.tolist() for own in two.histories.features] == [[9], [8, 7]]
    assert [own.tolist() for own in two.seen] == [[1], [2]]
    assert (two.relevant.offsets.tolist(), two.relevant.items.tolist()) == ([0, 1, 3], [4, 5, 6])
    assert len(users.first(9)) == 3


def test_collected_rows_become_arrays_in_user_order_and_windows_without_events_zeros(spark):
    rows = [("b", [2, 3], [5, 6], [8, 9], [2], [4, 5]), ("a", [1], [7], [3], [], [6])]
    users = collect_judged(spark.createDataFrame(rows, JUDGED_COLUMNS).orderBy("user_id"))
    assert [own.tolist() for own in users.histories.items] == [[1], [2, 3]]
    assert [own.tolist() for own in users.histories.times] == [[7], [5, 6]]
    assert [own.tolist() for own in users.histories.features] == [[3], [8, 9]]
    assert [own.tolist() for own in users.seen] == [[], [2]]
    assert (users.relevant.offsets.tolist(), users.relevant.items.tolist()) == ([0, 1, 3], [6, 4, 5])

    counted = spark.createDataFrame([(24, 3, 5), (24, 1, 2)], "hours INT, item_index INT, num_events BIGINT")
    counts = collect_counts(counted, (1, 24), 3)
    assert {hours: found.tolist() for hours, found in counts.items()} == {1: [0, 0, 0, 0], 24: [0, 2, 0, 5]}

    pairs = [(2, 3, 60, 60), (1, 3, 60, 240), (1, 2, 180, 240)]
    table = collect_transitions(
        spark.createDataFrame(pairs, "item_index INT, successor_index INT, weight BIGINT, total BIGINT"), 5
    )
    assert table.offsets.tolist() == FOLLOWERS.offsets.tolist()
    assert table.successors.tolist() == FOLLOWERS.successors.tolist() == [2, 3, 3]
    assert table.shares.tolist() == [0.75, 0.25, 1.0]


def at(day, hour, minute=0):
    return datetime(2024, 5, day, hour, minute, tzinfo=UTC)


def session(user, *events):
    """One session of a user: (instant, item) each."""
    listed = [(when, 0, f"{user}-{when}", item, "view", None, []) for when, item in events]
    first, last = events[0][0], events[-1][0]
    return (f"{user}-{first}", user, first, last, len(events), listed, [], first, first.date(), "r")


def told(spark, sessions):
    """Return all that judging on NIGHT, its last day, is made of."""
    vocabulary = [(NIGHT, name, index, at(1, 0)) for index, name in enumerate(("cup", "jug", "pot", "tea"), 1)]
    items = [(NIGHT, name, None, [], None, True, [], "r") for _, name, _, _ in vocabulary]
    night = Night(
        run_date=NIGHT, cutoff=Cutoff("UTC", "00:00"), encoding=Encoding((), 1), shape=Shape(NIGHT, 9, 0),
        window_days=None, seen=SeenConfig(), sessions=spark.createDataFrame(sessions, SESSIONS.schema),
        items=spark.createDataFrame(items, ITEMS.schema),
        vocabulary=spark.createDataFrame(vocabulary, VOCABULARY.schema),
        features=spark.createDataFrame([], FEATURE_VOCABULARY.schema),
    )  # fmt: skip
    since, events = night.end(1), night.events().persist()
    users = collect_judged(night.judged(events, since, night.end(), 10))
    counts = collect_counts(popularity(events, since, (24, 72)), (24, 72), 4)
    followers = collect_transitions(transitions(events, since, 5), 4)
    events.unpersist()
    popular = PopularityBaseline.of(counts, 24)
    allowed = np.arange(5) > 0
    baselines = (popular, TransitionBaseline.of(followers, popular))
    lists = [CountingRecommender(baseline, allowed).recommend(users, 2).tolist() for baseline in baselines]
    relevant = [
        users.relevant.items[start:end].tolist()
        for start, end in zip(users.relevant.offsets, users.relevant.offsets[1:], strict=False)
    ]
    before = ([own.tolist() for own in users.histories.items], [own.tolist() for own in users.seen],
              {hours: found.tolist() for hours, found in counts.items()}, followers.successors.tolist(),
              lists)  # fmt: skip
    return before, relevant


def test_an_event_at_or_after_a_cut_off_changes_nothing_that_lies_before_it(spark):
    past = [
        session("ann", (at(2, 8), "cup"), (at(2, 9), "pot")),
        session("bob", (at(2, 10), "cup"), (at(2, 23, 59), "jug")),
    ]
    day = [session("ann", (at(3, 12), "tea")), session("bob", (at(3, 13), "pot"))]
    before, relevant = told(spark, past + day)
    assert before == (
        [[1, 3], [1, 2]],
        [[1, 3], [1, 2]],
        {24: [0, 2, 1, 1, 0], 72: [0, 2, 1, 1, 0]},
        [2, 3],
        [[[2, 4], [3, 4]], [[2, 4], [3, 4]]],
    )
    assert relevant == [[4], [3]]
    # Planted in the judged day, from its first instant on: it is relevant, and nothing else moves.
    first_instant = session("ann", *[(at(3, 0, minute), "jug") for minute in range(30)])
    # Planted from the first instant after the run date on: not even that.
    future = [session("bob", *[(at(4, 0, minute), "tea") for minute in range(30)]), session("cyd", (at(4, 1), "jug"))]
    assert told(spark, [*past, *day, first_instant, *future]) == (before, [[2, 4], [3]])


def test_short_histories_shrink_what_the_network_says():
    queries = torch.ones(3, 2)
    items = [np.zeros(length, np.int64) for length in (1, 4, 12)]
    assert torch.allclose(shrunk(queries, items, 4.0), torch.tensor([[0.2] * 2, [0.5] * 2, [0.75] * 2]))
    assert torch.equal(shrunk(queries, items, 0.0), queries)
