"""Rules in a worker's plan: forty users of four kinds, a model of thirty items and three that it does not know."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.cluster.worlds import artifact_of, histories_of, plan_of, scores_BV

from intentrec.cluster.reranking import Reranking
from intentrec.cluster.scoring import load_scorer
from intentrec.cluster.scoring.cold import ColdStart
from intentrec.cluster.scoring.columns import EXPLORE, FALLBACK, MODEL, PINNED, PRIOR, Users
from intentrec.cluster.scoring.ruled import Makers, plan_for
from intentrec.config import PoliciesConfig
from intentrec.model.inference import Histories
from intentrec.rules import Reader, RuleRow, Rules

K, NUM_ITEMS, NUM_USERS = 6, 33, 40
CATEGORY = np.arange(NUM_ITEMS) % 3  # of items 1, 2, 3, ...


def row(kind, *items, rule=None, **more):
    return RuleRow(rule=rule or kind, kind=kind, items_N=np.array(items, dtype=np.int64), **more)


def rules(*rows):
    eligible_V = np.arange(NUM_ITEMS + 1) > 0
    return Rules(rows, eligible_V, K, (("segment", "kids"), ("country", "DE")))


CAP = row("cap", *range(1, NUM_ITEMS + 1), amount=3.0, values_N=CATEGORY)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    artifact, lengths = artifact_of(30), [1 + number % 7 for number in range(NUM_USERS)]
    histories = histories_of(lengths, 30, num_values=2)
    random = np.random.default_rng(5)
    seen = [np.unique(random.integers(1, NUM_ITEMS + 1, 6)) for _ in lengths]
    audiences = [np.array([[], [0], [1], [0, 1]][number % 4], dtype=np.int64) for number in range(NUM_USERS)]
    users = Users(
        pa.array([f"u{number}" for number in range(NUM_USERS)]),
        [own.astype(np.int64) for own in histories.items], histories.times,
        [own.astype(np.int64) for own in histories.features], seen, None, pa.array([0] * NUM_USERS), audiences,
    )  # fmt: skip
    counts = np.arange(NUM_ITEMS + 1)[::-1].copy()
    plan = plan_of(NUM_ITEMS, K, artifact, tmp_path_factory.mktemp("m") / "model", filler_counts=counts)
    return artifact, plan, users


def made(plan, users, without_model=False):
    """Return user -> (items, scores, sources, passed)."""
    lists = {}
    for own, maker in Makers(plan, None if without_model else load_scorer(plan)).of(users):
        found, _ = maker.lists_of(own)
        passed_BC = found.passed_BC if found.passed_BC is not None else [None] * len(own)
        for place, user in enumerate(own.user_ids.to_pylist()):
            lists[user] = (found.items_BK[place], found.scores_BK[place], found.sources_BK[place], passed_BC[place])
    return lists


@pytest.mark.parametrize("without_model", [False, True])
def test_without_rules_in_force_no_bit_changes(world, without_model):
    _, plan, users = world
    plain = made(plan, replace(users, audiences=None), without_model)
    together = replace(users, audiences=[np.zeros(0, np.int64)] * NUM_USERS)
    for loose in ((), (row("boost", 3, amount=1.0),), (row("exclude"),), (row("cap", 1, 2, amount=2.0),)):
        ruled = made(replace(plan, rules=rules(*loose)), together, without_model)
        for user, (items, scores, sources, _) in plain.items():
            assert ruled[user][0].tolist() == items.tolist()
            assert ruled[user][1].tobytes() == scores.tobytes()
            assert ruled[user][2].tolist() == sources.tolist()


@pytest.mark.parametrize("without_model", [False, True])
def test_all_rules_together_give_every_user_k_items_that_keep_them(world, without_model):
    _, plan, users = world
    ruled = rules(
        row("exclude", 4, 32),
        row("exclude", 5, 8, 11, rule="no kids", audience=0),
        row("only_for", 7, 10, audience=1),
        row("boost", 9, 12, amount=20.0),
        row("pin", 31, amount=2.0, rule="unknown to the model"),
        row("pin", 3, amount=5.0, rule="for kids", audience=0),
        row("min_share", 13, 14, 16, 17, 31, 33, amount=0.5),
        CAP,
    )
    lists = made(replace(plan, rules=ruled), users, without_model)
    assert len(lists) == NUM_USERS
    for number, user in enumerate(users.user_ids.to_pylist()):
        items, scores, sources, _ = lists[user]
        audiences, seen = set(users.audiences[number].tolist()), set(users.seen[number].tolist())
        assert len(set(items.tolist()) - {0}) == K
        assert not seen & set(items.tolist())
        barred = {4, 32} | ({5, 8, 11} if 0 in audiences else set()) | (set() if 1 in audiences else {7, 10})
        assert not barred & set(items.tolist())
        assert np.bincount(CATEGORY[items - 1]).max() <= 3
        assert len(set(items.tolist()) & {13, 14, 16, 17, 31, 33}) >= 3
        pins = {1: 31, **({4: 3} if 0 in audiences else {})}
        assert {slot: items[slot] for slot in np.flatnonzero(sources == PINNED)} == {
            slot: item for slot, item in pins.items() if item not in seen
        }
        ranked = scores[sources != PINNED]
        assert (np.diff(ranked) <= 0).all()
        assert np.isfinite(scores).all()
        assert set(sources) <= ({PINNED, FALLBACK} if without_model else {MODEL, PRIOR, PINNED, FALLBACK})


def test_a_boost_adds_its_logarithm_to_the_logit_and_a_pin_has_the_models_score(world):
    artifact, plan, users = world
    ruled = rules(row("boost", 9, amount=20.0), row("pin", 3, amount=1.0))
    lists = made(replace(plan, rules=ruled), replace(users, audiences=[np.zeros(0, np.int64)] * NUM_USERS))
    wanted = scores_BV(artifact, Histories(users.items, users.times, users.features), plan)
    plain = made(plan, replace(users, audiences=None))
    boosted = 0
    for number, user in enumerate(users.user_ids.to_pylist()):
        items, scores, sources, _ = lists[user]
        trust = len(users.items[number]) / (len(users.items[number]) + 1.0) if plan.prior.shrink_events else 1.0
        if sources[0] == PINNED:
            assert scores[0] == pytest.approx(trust * wanted[number, 3], abs=1e-5)
        if 9 in items:
            boosted += 9 not in plain[user][0]
            own = scores[items.tolist().index(9)]
            assert own == pytest.approx(wanted[number, 9] + np.log(20), abs=1e-5)
    assert boosted


def test_a_boost_is_as_large_for_users_with_few_events(world):
    _, plan, users = world
    nothing = np.zeros((1, NUM_ITEMS + 1), np.float32)
    cold = ColdStart(events=9, shrink_events=5.0, segments={}, popularity_SV=nothing)  # every user has fewer events
    users = replace(users, audiences=[np.zeros(0, np.int64)] * NUM_USERS, segments=[None] * NUM_USERS)
    whole = replace(plan, cold=cold, k=NUM_ITEMS - 9)  # so long that the item is in both lists
    plain = made(replace(whole, rules=rules(row("boost", 9, amount=1.0))), users)
    boosted = made(replace(whole, rules=rules(row("boost", 9, amount=20.0))), users)
    compared = 0
    for user, (items, scores, _, _) in plain.items():
        found, more, _, _ = boosted[user]
        if 9 in items and 9 in found:
            gained = more[found.tolist().index(9)] - scores[items.tolist().index(9)]
            assert gained == pytest.approx(np.log(20), abs=1e-5)
            compared += 1
    assert compared > 9


def test_pins_take_no_place_from_what_is_drawn_or_new(world):
    _, plan, users = world
    pins = [row("pin", 20, rule="first", amount=1.0), row("pin", 21, rule="second", amount=3.0)]
    reranking = Reranking(
        policies=PoliciesConfig(explore_places=1, new_item_share=0.2), gap_s=60, night="",
        categories_VC=np.zeros((NUM_ITEMS + 1, 1), np.int64), offset_V=np.zeros(NUM_ITEMS + 1, np.float32),
        young_V=np.isin(np.arange(NUM_ITEMS + 1), range(22, 34)),
    )  # fmt: skip
    policies = replace(plan, rules=rules(*pins), reranking=reranking)
    for own, maker in Makers(policies, load_scorer(policies)).of(users):
        lists, _ = maker.lists_of(own)
        assert ((lists.sources_BK == EXPLORE).sum(axis=1) == 1).all()
        assert (np.isin(lists.items_BK, range(22, 34)).sum(axis=1) >= 2).all()  # 0.2 of 6 places are 2
        assert (lists.items_BK > 0).all()


def test_candidates_that_a_limit_kept_off_are_counted_by_rule(world):
    _, plan, users = world
    tight = rules(row("cap", *range(1, NUM_ITEMS + 1), rule="one each", amount=2.0, values_N=CATEGORY))
    lists = made(replace(plan, rules=tight), users)
    plain = made(plan, replace(users, audiences=None))
    for user, (items, _, _, passed) in lists.items():
        better = np.bincount(CATEGORY[plain[user][0] - 1], minlength=3)
        if (better <= 2).all():
            assert passed.tolist() == [0]
            assert items.tolist() == plain[user][0].tolist()
        else:
            assert passed[0] >= np.maximum(better - 2, 0).sum()


def test_a_list_stays_short_where_the_rules_leave_too_little(world):
    _, plan, users = world
    few = rules(row("exclude", *range(6, NUM_ITEMS + 1)))  # five items are left, of which some have been seen
    lists = made(replace(plan, rules=few), users)
    for number, user in enumerate(users.user_ids.to_pylist()):
        left = set(range(1, 6)) - set(users.seen[number].tolist())
        assert set(lists[user][0].tolist()) - {0} == left
        assert 0 in lists[user][0]


def test_a_plan_without_rules_is_the_same_for_all(world):
    assert plan_for(world[1], Reader.user(())) is world[1]
