"""Ten items and lists of four: which rules leave no list to somebody."""

import numpy as np
import pytest

from intentrec.errors import InputError
from intentrec.rules import RuleRow, Rules, count_barred, refuse_impossible

EVERYBODY = {(): 900, (0,): 100}  # users by audiences


def row(kind, *items, rule=None, **more):
    return RuleRow(rule=rule or kind, kind=kind, items_N=np.array(items, dtype=np.int64), **more)


def rules(*rows, k=4, gone=()):
    eligible_V = np.ones(11, dtype=bool)
    eligible_V[[0, *gone]] = False
    return Rules(rows, eligible_V, k, (("segment", "kids"), ("country", "DE")))


ALL = range(1, 11)
BRANDS = np.repeat(np.arange(5), 2)  # two items each
IMPOSSIBLE = {
    "pin 'top' wants rank 5, wanted at most 4": [row("pin", 1, rule="top", amount=5.0)],
    "pin 'top' wants an item that no list can hold": [row("pin", rule="top", amount=1.0)],
    "pin 'top' wants an item that rule 'out' bars for all who should see it": [
        row("pin", 1, rule="top", amount=1.0),
        row("exclude", 1, rule="out"),
    ],
    "pins 'a' and 'b' want rank 2 where segment is 'kids'; ": [
        row("pin", 1, rule="a", amount=2.0),
        row("pin", 2, rule="b", amount=2.0, audience=0),
    ],
    "pins 'a' and 'b' want one item twice; ": [
        row("pin", 1, rule="a", amount=2.0),
        row("pin", 1, rule="b", amount=3.0),
    ],
    "pins 'a' and 'b' break the limit of rule 'brand'; ": [
        row("pin", 1, rule="a", amount=1.0),
        row("pin", 2, rule="b", amount=2.0),
        row("cap", *ALL, rule="brand", amount=1.0, values_N=BRANDS),
    ],
    "pins 'a' break the limit of rule 'new'; ": [
        row("pin", 1, rule="a", amount=1.0),
        row("min_share", 7, 8, 9, 10, rule="new", amount=1.0),
    ],
    "3 items can be had, rule 'most' bars 6, wanted at least 4, for 900 of 1,000 users": [
        row("exclude", *range(1, 7), rule="most"),
        row("stock", 7, amount=0.0),
    ],
    "cap 'two' lets a list hold at most 3 items, wanted 4": [row("cap", *range(1, 10), rule="two", amount=2.0)],
    "min_share 'new' wants 3 of 4 places, 2 such items can be had": [row("min_share", 1, 2, rule="new", amount=0.75)],
    "min_share 'new' wants 2 of 4 places, cap 'one' leaves 1": [
        row("min_share", 1, 2, rule="new", amount=0.5),
        row("cap", 1, 2, 3, rule="one", amount=1.0),
    ],
    "min_share 'new' and 'ours' want 5 places together, wanted at most 4": [
        row("min_share", 1, 2, 3, rule="new", amount=0.75),
        row("min_share", 3, 4, 5, rule="ours", amount=0.75),
    ],
}


@pytest.mark.parametrize("problem", IMPOSSIBLE)
def test_impossible_rules_are_named(problem):
    with pytest.raises(InputError) as refused:
        refuse_impossible(rules(*IMPOSSIBLE[problem]), EVERYBODY, 0.001)
    assert str(refused.value).startswith(f"table rules: {problem}")
    assert str(refused.value).endswith("; correct the rules, nothing was scored")


POSSIBLE = {
    "the last rank": [row("pin", 1, amount=4.0)],
    "a pin that some may see": [row("pin", 1, amount=1.0), row("exclude", 1, audience=0)],
    "a pin for an audience that nobody is in": [row("pin", amount=1.0, audience=1)],
    "a rank for each of two audiences": [
        row("pin", 1, rule="a", amount=2.0, audience=0),
        row("pin", 2, rule="b", amount=2.0, audience=1),  # nobody is in both tonight
    ],
    "pins up to a limit": [row("pin", 1, amount=1.0), row("cap", *ALL, amount=1.0, values_N=BRANDS)],
    "just k items": [row("exclude", *range(1, 7))],
    "a cap that lets k items stand": [row("cap", *range(1, 9), amount=2.0)],
    "just enough new items": [row("min_share", 1, 2, amount=0.5), row("cap", 1, 2, 3, amount=2.0)],
    "shares that one item serves twice": [
        row("min_share", 1, 2, 3, rule="new", amount=0.75),
        row("min_share", 2, 3, 4, rule="ours", amount=0.75),
    ],
}


@pytest.mark.parametrize("what", POSSIBLE)
def test_rules_at_their_limit_are_possible(what):
    refuse_impossible(rules(*POSSIBLE[what]), EVERYBODY, 0.001)


def test_an_item_that_the_catalogue_holds_back_cannot_be_pinned():
    with pytest.raises(InputError, match="pin 'pin' wants an item that no list can hold"):
        refuse_impossible(rules(row("pin", 3, amount=1.0), gone=(3,)), EVERYBODY, 0.001)


def test_few_users_without_a_list_are_left_out_and_more_are_refused():
    barred = rules(row("exclude", *range(1, 9), audience=0, rule="kids"))
    refuse_impossible(barred, {(): 999, (0,): 1}, 0.001)
    message = "2 items can be had, rule 'kids' bars 8, wanted at least 4 where segment is 'kids', for 2 of 1,000 users"
    with pytest.raises(InputError, match=message):
        refuse_impossible(barred, {(): 998, (0,): 2}, 0.001)


def test_what_is_barred_is_counted_in_pairs_of_user_and_item():
    some = [row("exclude", 1, 2, rule="a"), row("exclude", 2, 3, 4, rule="b", audience=0), row("cap", 1, amount=1.0)]
    counted = count_barred(rules(*some, gone=(4,)), EVERYBODY)
    assert counted == {"rule_exclude:a": 2 * 1000, "rule_exclude:b": 2 * 100}
