"""Lists under limits are those of somebody who looks at every candidate, one after the other."""

import numpy as np
import pytest

from intentrec.rules import Chosen, Found, Reader, RuleRow, Rules, select, take

K = 10
NUM_USERS, NUM_ITEMS = 1000, 300


def row(kind, items, rule=None, **more):
    return RuleRow(rule=rule or kind, kind=kind, items_N=np.asarray(items, dtype=np.int64), **more)


def compiled(*rows, num_items=NUM_ITEMS, k=K, eligible=None):
    eligible_V = np.ones(num_items + 1, dtype=bool) if eligible is None else eligible
    eligible_V[0] = False
    return Rules(rows, eligible_V, k, (("segment", "kids"), ("country", "DE")))


class Shop:
    """Scores of every user and item, and what each user has seen."""

    def __init__(self, num_users=NUM_USERS, num_items=NUM_ITEMS, seed=3, seen=40):
        rng = np.random.default_rng(seed)
        # Half of the scores are equal to others: ties go to the smaller index. Many are negative.
        self.scores_UV = np.round(rng.normal(-1, 2, (num_users, num_items + 1)), 1)
        self.seen = [np.unique(rng.integers(1, num_items + 1, rng.integers(0, seen))) for _ in range(num_users)]
        self.depths = []

    def order_of(self, user, view):
        scores_V = self.scores_UV[user] + view.bias(len(self.scores_UV[user]))
        scores_V[self.seen[user]] = -np.inf
        order = np.argsort(-scores_V, kind="stable")
        return order[np.isfinite(scores_V[order])], scores_V

    def fetch(self, view, users):
        def best(rows, n):
            self.depths.append((len(rows), n))
            items_RN, scores_RN = np.zeros((len(rows), n), np.int64), np.full((len(rows), n), -np.inf)
            for place, row_ in enumerate(rows.tolist()):
                order, scores_V = self.order_of(users[row_], view)
                own = order[:n]
                items_RN[place, : len(own)], scores_RN[place, : len(own)] = own, scores_V[own]
            return Found(items_RN, scores_RN, items_RN[:, -1] > 0)

        return best

    def lists(self, rules, users, *audiences):
        view = rules.view(Reader.user(audiences))
        chosen = select(view, [self.seen[user] for user in users], self.fetch(view, users), len(rules.listed))
        return view, chosen


def greedy(rules, view, order, seen):
    """Choose one list as slowly as it is said: the pins, then each candidate whose groups are all open."""
    items = [0] * view.k
    for slot, item in zip(view.pin_slots_P, view.pin_items_P, strict=True):
        if view.allowed_V[item] and item not in seen:
            items[slot] = int(item)
    passed = dict.fromkeys(rules.listed, 0)
    for item in order:
        if 0 not in items:
            break
        full = [
            group
            for group in (set(view.groups_VM[item].tolist()) - {len(view.limits_G) - 1})
            if sum(group in view.groups_VM[other] for other in items if other) >= view.limits_G[group]
        ]
        if full:
            passed[rules.listed[view.rule_of_G[min(full)]]] += 1
        else:
            items[items.index(0)] = int(item)
    return items, list(passed.values())


def shop_rules(rng, eligible=None):
    """All rules together: eligibility for two audiences, boosts, caps of 40 brands and 6 categories, pins, a share."""
    items = np.arange(1, NUM_ITEMS + 1)
    brands = rng.integers(0, 40, NUM_ITEMS)
    first, second = rng.integers(0, 6, NUM_ITEMS), rng.integers(0, 6, NUM_ITEMS)
    categories = np.unique(np.stack([np.tile(items, 2), np.concatenate([first, second])]), axis=1)
    return compiled(
        row("exclude", items[::17]),
        row("exclude", items[5::9], rule="not for kids", audience=0),
        row("only_for", items[3::11], audience=1),
        row("available", items[::23], open=False),
        row("stock", items[::29], amount=0.0),
        row("max_age", items[::31]),
        row("boost", items[first == 0], amount=3.0),
        row("boost", items[first == 1], rule="less", amount=0.2, audience=0),
        row("cap", items, rule="brand", amount=1.0, values_N=brands),
        row("cap", categories[0], rule="category", amount=4.0, values_N=categories[1]),
        row("pin", [100], rule="top", amount=1.0),
        row("pin", [200], rule="third for kids", amount=3.0, audience=0),
        row("min_share", items[-60:], rule="new", amount=0.4),
        eligible=eligible,
    )


@pytest.mark.parametrize("audiences", [(), (0,), (1,), (0, 1)])
def test_lists_under_all_rules_have_k_items_and_are_those_of_brute_force(audiences):
    rules, shop = shop_rules(np.random.default_rng(8)), Shop()
    users = np.arange(NUM_USERS)[sum(audiences) :: 4]
    view, chosen = shop.lists(rules, users, *audiences)
    for place, user in enumerate(users):
        order, scores_V = shop.order_of(user, view)
        items, passed = greedy(rules, view, order, shop.seen[user])
        assert 0 not in items
        assert (chosen.items_BK[place].tolist(), chosen.passed_BC[place].tolist()) == (items, passed), user
        own = ~chosen.pinned_BK[place]
        assert chosen.scores_BK[place, own].tolist() == scores_V[chosen.items_BK[place, own]].tolist()
        assert (np.diff(chosen.scores_BK[place, own]) <= 0).all()
        assert chosen.items_BK[place, ~own].tolist() == [
            item for item in view.pin_items_P if item not in shop.seen[user]
        ]


def test_without_limits_and_pins_the_best_k_are_the_list_bit_for_bit():
    shop = Shop(num_users=20)
    rules = compiled(row("exclude", [7]), row("boost", [8], amount=2.0))
    view, chosen = shop.lists(rules, np.arange(20))
    items_BK, scores_BK, _ = shop.fetch(view, np.arange(20))(np.arange(20), K)
    assert chosen.items_BK.tobytes() == items_BK.tobytes()
    assert chosen.scores_BK.tobytes() == scores_BK.tobytes()
    assert shop.depths == [(20, K), (20, K)]


def test_limits_that_never_bind_change_no_bit():
    shop, users = Shop(num_users=20), np.arange(20)
    _, plain = shop.lists(compiled(), users)
    items = np.arange(1, NUM_ITEMS + 1)
    loose = compiled(row("cap", items, amount=K - 1.0, values_N=items - 1), row("min_share", items, amount=1.0))
    _, chosen = shop.lists(loose, users)
    assert chosen.items_BK.tobytes() == plain.items_BK.tobytes()
    assert chosen.scores_BK.tobytes() == plain.scores_BK.tobytes()
    assert chosen.passed_BC.sum() == 0


@pytest.mark.parametrize(("most", "wanted"), [(1, [1, 4, 6, 7]), (2, [1, 2, 4, 5]), (3, [1, 2, 3, 4])])
def test_a_cap_passes_over_what_is_one_too_many(most, wanted):
    rules = compiled(
        row("cap", [1, 2, 3, 4, 5], amount=float(most), values_N=np.array([0, 0, 0, 1, 1])), k=4, num_items=9
    )
    view = rules.view(Reader.user(()))
    lists = Chosen.empty(1, 4, 1)
    still_open = take(view, lists, np.arange(1, 10)[None], -np.arange(9.0)[None])
    assert lists.items_BK.tolist() == [wanted]
    assert not still_open.any()


@pytest.mark.parametrize(("share", "wanted"), [(0.5, [1, 2, 8, 9]), (0.25, [1, 2, 3, 8]), (1.0, [8, 9, 0, 0])])
def test_a_least_share_holds_places_for_items_far_down(share, wanted):
    rules = compiled(row("min_share", [8, 9], amount=share), k=4, num_items=9)
    lists = Chosen.empty(1, 4, 1)
    take(rules.view(Reader.user(())), lists, np.arange(1, 10)[None], -np.arange(9.0)[None])
    assert lists.items_BK.tolist() == [wanted]


def test_a_pin_stands_at_its_rank_unless_the_user_has_seen_it():
    shop = Shop(num_users=2, num_items=9, seen=1)
    shop.seen = [np.array([], np.int64), np.array([5])]
    shop.scores_UV = -np.tile(np.arange(10.0), (2, 1))
    rules = compiled(row("pin", [5], amount=2.0), row("pin", [9], rule="last", amount=4.0), k=4, num_items=9)
    _, chosen = shop.lists(rules, np.arange(2))
    assert chosen.items_BK.tolist() == [[1, 5, 2, 9], [1, 2, 3, 9]]
    assert chosen.pinned_BK.tolist() == [[False, True, False, True], [False, False, False, True]]


def test_a_barred_pin_leaves_its_place_to_the_others():
    shop = Shop(num_users=1, num_items=9, seen=1)
    rules = compiled(row("pin", [5], amount=2.0), row("exclude", [5], audience=0), k=4, num_items=9)
    _, chosen = shop.lists(rules, np.arange(1), 0)
    assert 5 not in chosen.items_BK
    assert not chosen.pinned_BK.any()


def test_whoever_is_not_full_is_looked_at_again_deeper_and_others_are_not():
    shop = Shop(num_users=3, seen=1)
    shop.scores_UV = -np.tile(np.arange(NUM_ITEMS + 1.0), (3, 1))
    shop.scores_UV[0, 290:] = 1.0  # the first user's best are no such items
    capped = np.arange(1, 251)
    rules = compiled(row("cap", capped, amount=2.0))
    _, chosen = shop.lists(rules, np.arange(3))
    assert chosen.items_BK.tolist() == [[*range(290, 300)], *[[1, 2, *range(251, 259)]] * 2]
    assert shop.depths == [(3, 40), (2, 160), (2, 640)]
    assert chosen.passed_BC.tolist() == [[0], [248], [248]]


def test_a_list_stays_open_where_the_candidates_end():
    shop = Shop(num_users=1, num_items=30, seen=1)
    rules = compiled(row("cap", np.arange(1, 31), amount=3.0), num_items=30)
    _, chosen = shop.lists(rules, np.arange(1))
    assert (chosen.items_BK[0] > 0).tolist() == [True] * 3 + [False] * 7
    assert shop.depths == [(1, 40)]  # 30 items cannot fill 40 places: there are no more


def test_many_groups_are_counted_some_users_at_a_time(monkeypatch):
    rules, shop = shop_rules(np.random.default_rng(8)), Shop(num_users=50)
    _, together = shop.lists(rules, np.arange(50))
    monkeypatch.setattr("intentrec.rules.selecting._COUNTS_AT_ONCE", 200)
    _, apart = shop.lists(rules, np.arange(50))
    assert apart.items_BK.tobytes() == together.items_BK.tobytes()
    assert len(shop.depths) > 10


def test_filling_counts_what_stands_there_already():
    rules = compiled(row("cap", [1, 2, 3], amount=2.0), k=4, num_items=9)
    lists = Chosen.empty(1, 4, 1)
    lists.items_BK[0] = [0, 1, 0, 0]
    take(rules.view(Reader.user(())), lists, np.array([[2, 3, 4, 5]]), np.array([[0.4, 0.3, 0.2, 0.1]]))
    assert lists.items_BK.tolist() == [[2, 1, 4, 5]]
    assert lists.scores_BK.tolist() == [[0.4, 0.0, 0.2, 0.1]]
