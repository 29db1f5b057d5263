"""Rules that cannot be kept together are named before a list is made. numpy alone.

V items + 1 (0 is padding)   N items that a row matches   G groups of items
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from intentrec.errors import InputError
from intentrec.rules.compiling import Reader, RuleRow, Rules, View, barred_by, least_of

Kinds = Mapping[tuple[int, ...], int]  # audiences of a user, ascending: how many users have just these
_MOST_KINDS = 500  # of users that are looked at, the largest: some seconds; who is short beyond them is counted later


def refuse_impossible(rules: Rules, users: Kinds, most_short: float) -> None:
    """Refuse rules that leave no list of K to some kind of user.

    What is named is impossible whatever the scores are. A user whose own past leaves him too few items is no matter of
    the rules: he is left out and counted.

    Args:
        rules: in force.
        users: tonight's, by audiences.
        most_short: share of users that may be left out for too few items.

    Raises:
        InputError: two pins want one rank, an item is pinned twice, a pinned item is barred for all who should see
            it, pins or shares break a limit, or fewer than K items can be had under the rules.
    """
    for pin in (row for row in rules.rows if row.kind == "pin"):
        _refuse_idle_pin(rules, pin, users)
    short: Counter[str] = Counter()
    largest = sorted(users.items(), key=lambda kind: (-kind[1], kind[0]))[:_MOST_KINDS]
    for audiences, num_users in largest:
        reader = Reader.user(audiences)
        view, told = rules.view(reader), _told(rules, audiences)
        _refuse_clashing_pins(rules.of("pin", reader.certain), told)
        _refuse_pins_above_limits(rules, reader, view, told)
        problem = next(_shortages(rules, reader, view.allowed_V), None)
        if problem is not None:
            short[problem + told] += num_users
    if short.total() > most_short * sum(users.values()):
        problem, num_users = short.most_common(1)[0]
        raise _impossible(f"{problem}, for {num_users:,} of {sum(users.values()):,} users")


def count_barred(rules: Rules, users: Kinds) -> dict[str, int]:
    """Count the candidates, pairs of a user and an item, that each rule bars; a pair may count for several rules.

    Args:
        rules: in force.
        users: tonight's, by audiences.

    Returns:
        rule_KIND:NAME -> pairs, of every barring rule.
    """
    counts = {}
    for (kind, rule), rows in rules.barring.items():
        named = {row.audience for row in rows}
        readers: Counter[frozenset[int]] = Counter()  # far fewer than kinds of users: a rule names few audiences
        for audiences, num_users in users.items():
            readers[frozenset(audiences) & named] += num_users
        items = {own: int(rules.eligible_V[barred_by(kind, rows, Reader.user(own))].sum()) for own in readers}
        counts[f"rule_{kind}:{rule}"] = sum(num_users * items[own] for own, num_users in readers.items())
    return counts


def _impossible(problem: str) -> InputError:
    return InputError(f"table rules: {problem}; correct the rules, nothing was scored")


def _told(rules: Rules, audiences: tuple[int, ...]) -> str:
    pairs = [f"{field} is {value!r}" for field, value in (rules.audiences[number] for number in audiences)]
    return f" where {' and '.join(pairs)}" if pairs else ""


def _refuse_idle_pin(rules: Rules, pin: RuleRow, users: Kinds) -> None:
    """Refuse a pin that nobody can be shown; where some may see the item, the others' place is filled as all are."""
    if pin.amount > rules.k:
        raise _impossible(f"pin {pin.rule!r} wants rank {pin.amount:.0f}, wanted at most {rules.k}")
    asked = [audiences for audiences in users if pin.audience is None or pin.audience in audiences]
    if not asked:
        return
    if not len(pin.items_N) or not rules.eligible_V[pin.items_N[0]]:
        raise _impossible(
            f"pin {pin.rule!r} wants an item that no list can hold: not in the catalogue, not available, or never met"
        )
    barring = set()
    for audiences in asked:
        own = {rule for _, rule, barred in rules.barred(Reader.user(audiences)) if pin.items_N[0] in barred}
        if not own:
            return
        barring |= own
    raise _impossible(
        f"pin {pin.rule!r} wants an item that rule {_named(sorted(barring))} bars for all who should see it"
    )


def _refuse_clashing_pins(pins: Sequence[RuleRow], told: str) -> None:
    ranks: dict[int, str] = {}
    items: dict[int, str] = {}
    for pin in pins:
        rank, item = int(pin.amount), int(pin.items_N[0]) if len(pin.items_N) else 0
        if rank in ranks:
            raise _impossible(f"pins {_named([ranks[rank], pin.rule])} want rank {rank}{told}")
        if item and item in items:
            raise _impossible(f"pins {_named([items[item], pin.rule])} want one item twice{told}")
        ranks[rank] = items[item] = pin.rule


def _refuse_pins_above_limits(rules: Rules, reader: Reader, view: View, told: str) -> None:
    shown = view.pin_items_P[view.allowed_V[view.pin_items_P]]
    if view.groups_VM is None or not len(shown):
        return
    counts_G = np.bincount(view.groups_VM[shown].ravel(), minlength=len(view.limits_G))[:-1]
    broken_G = np.flatnonzero(counts_G > view.limits_G[:-1])
    if len(broken_G):
        pins = _named([pin.rule for pin in rules.of("pin", reader.certain)])
        raise _impossible(f"pins {pins} break the limit of rule {rules.listed[view.rule_of_G[broken_G[0]]]!r}{told}")


def _shortages(rules: Rules, reader: Reader, can_V: NDArray[np.bool_]) -> Iterator[str]:
    """Yield why the items that can be had make no list of K, the plainest reason first."""
    k, num_items = rules.k, int(can_V.sum())
    if num_items < k:
        taken = {rule: int(rules.eligible_V[barred].sum()) for _, rule, barred in rules.barred(reader)}
        most = max(taken, key=lambda rule: taken[rule], default=None)
        by = "" if most is None else f", rule {most!r} bars {taken[most]:,}"
        yield f"{num_items:,} items can be had{by}, wanted at least {k}"
    caps = rules.of("cap", reader.certain)
    for cap in caps:
        if _most_of(cap, can_V) < k:
            yield f"cap {cap.rule!r} lets a list hold at most {_most_of(cap, can_V):,} items, wanted {k}"
    shares = [(row, least_of(row.amount, k), _within(row, can_V)) for row in rules.of("min_share", reader.certain)]
    for share, least, own_V in shares:
        wants = f"min_share {share.rule!r} wants {least} of {k} places"
        if own_V.sum() < least:
            yield f"{wants}, {int(own_V.sum()):,} such items can be had"
        for cap in caps:
            if _most_of(cap, own_V) < least:
                yield f"{wants}, cap {cap.rule!r} leaves {_most_of(cap, own_V)}"
    for place, (share, least, own_V) in enumerate(shares):
        for other, others_least, others_V in shares[:place]:
            both = least + others_least - int((own_V & others_V).sum())
            if both > k:
                yield f"min_share {_named([other.rule, share.rule])} want {both} places together, wanted at most {k}"


def _within(share: RuleRow, can_V: NDArray[np.bool_]) -> NDArray[np.bool_]:
    own_V = np.zeros_like(can_V)
    own_V[share.items_N] = True
    return own_V & can_V


def _most_of(cap: RuleRow, can_V: NDArray[np.bool_]) -> int:
    """Return an upper bound of how many of some items a cap lets stand on one list."""
    there_N = can_V[cap.items_N]
    values_N = np.zeros_like(cap.items_N) if cap.values_N is None else cap.values_N
    free = int(can_V.sum()) - len(np.unique(cap.items_N[there_N]))
    return free + int(np.minimum(np.bincount(values_N[there_N], minlength=1), int(cap.amount)).sum())


def _named(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in dict.fromkeys(names))
