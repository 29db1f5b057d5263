"""Ten items, two of a list of four; item 0 is padding."""

import numpy as np
import pytest

from intentrec.rules import Reader, RuleRow, Rules

ALL = frozenset[int]()


def row(kind, *items, rule=None, **more):
    return RuleRow(rule=rule or kind, kind=kind, items_N=np.array(items, dtype=np.int64), **more)


def rules(*rows, k=4, eligible=range(1, 11)):
    eligible_V = np.zeros(11, dtype=bool)
    eligible_V[list(eligible)] = True
    return Rules(rows, eligible_V, k, (("segment", "kids"), ("country", "DE")))


def allowed(compiled, *audiences):
    return np.flatnonzero(compiled.view(Reader.user(audiences)).allowed_V).tolist()


def test_without_rules_what_the_catalogue_allows_is_allowed_and_nothing_is_added():
    view = rules(eligible=(1, 3)).view(Reader.user(()))
    assert np.flatnonzero(view.allowed_V).tolist() == [1, 3]
    assert view.plain
    assert view.factors_V is None
    assert view.bias(4).tolist() == [-np.inf, 0.0, -np.inf, 0.0]


@pytest.mark.parametrize(
    ("rows", "barred"),
    [
        ([row("exclude", 2, 3)], [2, 3]),
        ([row("exclude", 2, audience=0)], []),  # of an audience that the user is not in
        ([row("max_age", 4)], [4]),  # what is too old stands there already
        ([row("stock", 5, amount=0.0), row("stock", 6, amount=0.5)], [5]),
        ([row("available", 2, 3, open=False), row("available", 3, 4, open=True)], [2]),  # one open window is enough
        ([row("available", 2, rule="a", open=True), row("available", 2, rule="b", open=False)], [2]),  # of each rule
        ([row("only_for", 2, 3, audience=0)], [2, 3]),
        ([row("boost", 2, amount=2.0), row("cap", 3, amount=1.0), row("pin", 4, amount=1.0)], []),
    ],
)
def test_what_each_kind_bars_for_a_user_without_audiences(rows, barred):
    assert allowed(rules(*rows)) == [item for item in range(1, 11) if item not in barred]


def test_an_audience_is_barred_and_let_in():
    compiled = rules(row("exclude", 2, audience=0), row("only_for", 3, audience=1), row("only_for", 3, 4, audience=0))
    assert set(range(1, 11)) - set(allowed(compiled)) == {3, 4}
    assert set(range(1, 11)) - set(allowed(compiled, 0)) == {2}
    assert set(range(1, 11)) - set(allowed(compiled, 1)) == {4}
    assert set(range(1, 11)) - set(allowed(compiled, 0, 1)) == {2}


def test_a_list_of_many_readers_holds_what_all_of_them_may_see():
    compiled = rules(row("exclude", 2, audience=1), row("only_for", 3, audience=1), row("only_for", 4, audience=0))
    barred = {
        segment: set(range(1, 11)) - set(np.flatnonzero(compiled.view(compiled.reader_of(segment)).allowed_V))
        for segment in ("kids", "old", None)
    }
    assert barred == {"kids": {2, 3}, "old": {2, 3, 4}, None: {2, 3, 4}}
    kids_out = rules(row("exclude", 2, audience=0))
    seen_by = [kids_out.view(kids_out.reader_of(segment)).allowed_V[2] for segment in ("kids", "old", None)]
    assert seen_by == [False, True, False]


def test_windows_of_one_audience_open_an_item_for_no_other():
    by_country = Rules(
        (
            row("available", 1, audience=1, open=False), row("available", 1, 2, audience=2, open=True),
            row("available", 3, audience=1, open=False), row("available", 3, audience=0, open=True),
            row("available", 4, open=False), row("available", 4, audience=0, open=True),
        ),
        np.arange(11) > 0, 4, (("segment", "kids"), ("country", "DE"), ("country", "FR")),
    )  # fmt: skip
    views = {name: by_country.view(by_country.reader_of(name)) for name in ("kids", "old", None)}
    barred = {name: (np.flatnonzero(~view.allowed_V[1:]) + 1).tolist() for name, view in views.items()}
    assert barred == {"kids": [1], "old": [1, 3, 4], None: [1, 3, 4]}
    of_users = [sorted(set(range(1, 11)) - set(allowed(by_country, *own))) for own in ((), (0,), (1,), (2,), (0, 1))]
    assert of_users == [[4], [], [1, 3, 4], [4], [1]]


def test_boosts_multiply_odds_and_popularity_and_are_no_bias_at_factor_one():
    compiled = rules(
        row("boost", 2, 3, rule="a", amount=2.0),
        row("boost", 3, rule="b", amount=0.5),
        row("boost", 4, amount=8.0, audience=0),
    )
    view = compiled.view(Reader.user(()))
    assert view.bias(5).tolist() == [-np.inf, 0.0, np.float32(np.log(2)), 0.0, 0.0]
    assert compiled.view(Reader.user((0,))).bias(5)[4] == np.float32(np.log(8))
    counts_V = np.array([0, 10, 6, 5, 1, *[0] * 6])
    filler = np.array([1, 2, 3, 4, 5])
    assert view.popular(filler, counts_V).tolist() == [2, 1, 3, 4, 5]  # 2 counts 12
    assert rules().view(Reader.user(())).popular(filler, counts_V).tolist() == filler.tolist()
    even = rules(row("boost", 3, amount=1.2)).view(Reader.user(()))
    assert even.popular(filler, counts_V).tolist() == [1, 2, 3, 4, 5]  # 3 counts 6 as well: it came after 2


def test_a_pinned_item_takes_its_place_and_no_other():
    compiled = rules(row("pin", 7, rule="late", amount=3.0), row("pin", 2, rule="first", amount=1.0, audience=0))
    view = compiled.view(Reader.user(()))
    assert (view.pin_slots_P.tolist(), view.pin_items_P.tolist(), view.plain) == ([2], [7], False)
    assert np.isneginf(view.bias(11)).nonzero()[0].tolist() == [0, 7]
    assert np.isneginf(view.bias(7)).nonzero()[0].tolist() == [0]  # the model knows fewer items than the catalogue
    assert view.popular(np.array([7, 1]), np.zeros(11)).tolist() == [1]
    both = compiled.view(Reader.user((0,)))
    assert (both.pin_slots_P.tolist(), both.pin_items_P.tolist()) == ([0, 2], [2, 7])


def test_limits_are_groups_of_items_and_a_least_share_limits_all_others():
    values = np.array([0, 1, 0, 1])
    compiled = rules(
        row("cap", 1, 1, 2, 3, rule="brand", amount=1.0, values_N=values),
        row("cap", 3, 4, rule="tea", amount=2.0),
        row("min_share", 3, 5, rule="new", amount=0.5),
        row("cap", 9, rule="never", amount=4.0),  # of four places four: no limit
    )
    view = compiled.view(Reader.user(()))
    assert view.limits_G[:-1].tolist() == [1, 1, 2, 2]
    assert [compiled.listed[rule] for rule in view.rule_of_G] == ["brand", "brand", "tea", "new"]
    groups = [sorted(set(own.tolist()) - {4}) for own in view.groups_VM]
    assert groups[:6] == [[], [0, 1, 3], [0, 3], [1, 2], [2, 3], []]
    assert groups[6:] == [[3]] * 5


@pytest.mark.parametrize(("share", "others"), [(0.25, 7), (0.3, 7), (0.31, 6), (1.0, 0), (0.001, 9)])
def test_a_share_is_rounded_up_to_whole_places(share, others):
    view = rules(row("min_share", 1, amount=share), k=10).view(Reader.user(()))
    assert view.limits_G[0] == others
