"""Rules as arrays: what the rules in force tonight say to one kind of reader. numpy alone.

V items + 1 (0 is padding)   N items that a row matches   P pins   G groups of items that a list may hold so many of
M most groups of one item   K places of a list
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from intentrec.tables import SEGMENT

Indices = NDArray[np.int64]
BARRING = ("available", "only_for", "exclude", "max_age", "stock")
LISTED = ("cap", "min_share")  # kinds that pass candidates over while a list is made
_GROUPS_KEPT = 8  # sets of groups: 2 MB each at 100,000 items and three groups an item


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleRow:
    """A row of RULES that is in force, and what it matches.

    Attributes:
        rule: name; rows of one name are one rule.
        kind: of RULE_KINDS, but never seen: what users have seen stands in HISTORIES.
        items_N: int64 item indices; of max_age the ones that are too old, of min_share with days the young ones.
        audience: index of the users that it speaks of; None: all.
        amount: as in RULES.
        open: of available: whether the window holds this moment.
        values_N: of a cap of every value: which value the match is about, from 0; an item may have several.
    """

    rule: str
    kind: str
    items_N: Indices
    audience: int | None = None
    amount: float = 0.0
    open: bool = False
    values_N: Indices | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Who reads a list: audiences that all its readers belong to, and those that some may belong to.

    A user belongs for certain to all of his own. A segment's list is read by whoever is in the segment: what one of
    them may not be shown is not on it, and what is only for another audience neither.
    """

    certain: frozenset[int]
    possible: frozenset[int]

    @classmethod
    def user(cls, audiences: Collection[int]) -> "Reader":
        """Return a user."""
        own = frozenset(audiences)
        return cls(own, own)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """The rules for one kind of reader.

    Attributes:
        k: places of a list.
        allowed_V: bool, what the catalogue allows and no rule bars.
        factors_V: float64 boosts, 1 where there is none; None without boosts.
        pin_slots_P: int64 places from 0, ascending.
        pin_items_P: int64 item indices.
        groups_VM: int64 groups of every item, filled up with G; None where no group has a limit.
        limits_G: int64 most items of each group, at last one without limit.
        rule_of_G: int64 index into ``Rules.listed`` of each group.
    """

    k: int
    allowed_V: NDArray[np.bool_]
    factors_V: NDArray[np.float64] | None
    pin_slots_P: Indices
    pin_items_P: Indices
    groups_VM: Indices | None
    limits_G: Indices
    rule_of_G: Indices

    @property
    def plain(self) -> bool:
        """Return whether the best K allowed items are the list."""
        return self.groups_VM is None and not len(self.pin_slots_P)

    def bias(self, num_items: int) -> NDArray[np.float32]:
        """Return what joins the scores of the first ``num_items`` rows, -inf where an item may not fill a place.

        A logit is a log of odds and may be negative, so a boost by f adds ln f: the odds are multiplied. The prior's
        popularity is a logarithm as well.
        """
        free_V = self.allowed_V[:num_items].copy()
        free_V[self.pin_items_P[self.pin_items_P < num_items]] = False  # they have their places
        boosts_V = np.zeros(num_items) if self.factors_V is None else np.log(self.factors_V[:num_items])
        return np.where(free_V, boosts_V, -np.inf).astype(np.float32)

    def popular(self, filler_F: Indices, counts_V: NDArray[np.int64]) -> Indices:
        """Return the filler that may fill a place, by boosted counts; equal ones in the order in which they came.

        Args:
            filler_F: item indices, the most popular first.
            counts_V: events of every item in the window that the order is of.
        """
        free_F = self.allowed_V[filler_F] & ~np.isin(filler_F, self.pin_items_P)
        filler_F = filler_F[free_F]
        if self.factors_V is None:
            return filler_F
        order_F = np.argsort(-counts_V[filler_F] * self.factors_V[filler_F], kind="stable")
        return np.asarray(filler_F[order_F])


@dataclass(frozen=True, eq=False)
class Rules:
    """All rules in force at one moment.

    Attributes:
        rows: in force.
        eligible_V: bool, what the catalogue allows; never padding.
        k: places of a list.
        audiences: user field and value of every audience.
    """

    rows: tuple[RuleRow, ...]
    eligible_V: NDArray[np.bool_]
    k: int
    audiences: tuple[tuple[str, str], ...] = ()

    @property
    def num_rows(self) -> int:
        """Return V."""
        return len(self.eligible_V)

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """Return the rules that pass candidates over while a list is made."""
        return tuple(dict.fromkeys(row.rule for row in self.rows if row.kind in LISTED))

    @cached_property
    def barring(self) -> dict[tuple[str, str], list[RuleRow]]:
        """Return the rows of the rules that bar items, by kind and name."""
        found: dict[tuple[str, str], list[RuleRow]] = {}
        for row in self.rows:
            if row.kind in BARRING:
                found.setdefault((row.kind, row.rule), []).append(row)
        return found

    @cached_property
    def _groups_known(self) -> dict[frozenset[int], tuple[Indices | None, Indices, Indices]]:
        return {}

    def reader_of(self, segment: str | None) -> Reader:
        """Return whoever reads the list of a segment; None: anybody, of whom nothing is certain."""
        every = range(len(self.audiences))
        certain = frozenset(number for number in every if self.audiences[number] == (SEGMENT, segment))
        other = (number for number in every if segment is None or self.audiences[number][0] != SEGMENT)
        return Reader(certain, certain.union(other))

    def view(self, reader: Reader) -> View:
        """Compile what the rules say to one kind of reader."""
        allowed_V = self.eligible_V.copy()
        for _, _, barred in self.barred(reader):
            allowed_V[barred] = False
        pins = sorted(
            (int(row.amount) - 1, int(row.items_N[0])) for row in self.of("pin", reader.certain) if len(row.items_N)
        )
        slots_P, items_P = np.array(pins, dtype=np.int64).reshape(-1, 2).T
        groups_VM, limits_G, rule_of_G = self._groups(reader)
        return View(
            k=self.k, allowed_V=allowed_V, factors_V=self._factors(reader), pin_slots_P=slots_P, pin_items_P=items_P,
            groups_VM=groups_VM, limits_G=limits_G, rule_of_G=rule_of_G,
        )  # fmt: skip

    def of(self, kind: str, audiences: Collection[int]) -> list[RuleRow]:
        """Return the rows of a kind that speak of all users or of one of the audiences."""
        return [row for row in self.rows if row.kind == kind and (row.audience is None or row.audience in audiences)]

    def barred(self, reader: Reader) -> Iterator[tuple[str, str, Indices]]:
        """Yield kind, rule and the item indices, ascending, that it bars; an item may be barred by several."""
        for (kind, rule), rows in self.barring.items():
            yield kind, rule, barred_by(kind, rows, reader)

    def _factors(self, reader: Reader) -> NDArray[np.float64] | None:
        boosts = self.of("boost", reader.certain)
        if not boosts:
            return None
        factors_V = np.ones(self.num_rows)
        for row in boosts:
            factors_V[row.items_N] *= row.amount
        return factors_V

    def _groups(self, reader: Reader) -> tuple[Indices | None, Indices, Indices]:
        """Return groups_VM, limits_G and rule_of_G; many kinds of readers have the same."""
        spoken_to = reader.certain & {row.audience for row in self.rows if row.kind in LISTED}
        if spoken_to not in self._groups_known:
            if len(self._groups_known) >= _GROUPS_KEPT:
                self._groups_known.clear()
            self._groups_known[frozenset(spoken_to)] = self._new_groups(reader)
        return self._groups_known[frozenset(spoken_to)]

    def _new_groups(self, reader: Reader) -> tuple[Indices | None, Indices, Indices]:
        items: list[Indices] = []
        groups: list[Indices] = []
        limits: list[int] = []
        owners: list[int] = []
        for row in [row for kind in LISTED for row in self.of(kind, reader.certain)]:
            members_N, values_N, limit = self._limited(row)
            if limit >= self.k or not len(members_N):
                continue
            num_values = int(values_N.max()) + 1
            items.append(members_N)
            groups.append(values_N + len(limits))
            limits += [limit] * num_values
            owners += [self.listed.index(row.rule)] * num_values
        if not items:
            return None, np.array([self.k], np.int64), np.zeros(0, np.int64)
        limits_G = np.array([*limits, np.iinfo(np.int64).max])
        groups_VM = _side_by_side(np.concatenate(items), np.concatenate(groups), self.num_rows, len(limits))
        return groups_VM, limits_G, np.array(owners, dtype=np.int64)

    def _limited(self, row: RuleRow) -> tuple[Indices, Indices, int]:
        """Return items, the value of each, and how many of one value a list may hold.

        A least share of some items is a greatest number of all others.
        """
        if row.kind == "min_share":
            others_N = np.setdiff1d(np.arange(1, self.num_rows), row.items_N)
            return others_N, np.zeros_like(others_N), self.k - least_of(row.amount, self.k)
        values_N = np.zeros_like(row.items_N) if row.values_N is None else row.values_N
        return row.items_N, values_N, int(row.amount)


def barred_by(kind: str, rows: Sequence[RuleRow], reader: Reader) -> Indices:
    """Return the item indices, ascending, that the rows of one rule bar for a reader."""
    if kind == "only_for":
        return np.setdiff1d(_joined(rows), _joined([row for row in rows if row.audience in reader.certain]))
    spoken_to = [row for row in rows if row.audience is None or row.audience in reader.possible]
    if kind == "available":
        doubtful = {row.audience for row in spoken_to if row.audience not in reader.certain}  # None, for all, too
        shut: Indices = np.concatenate([_shut(spoken_to, reader.certain | {None, one}) for one in {None, *doubtful}])
        return np.unique(shut)
    return _joined([row for row in spoken_to if kind != "stock" or row.amount <= 0])


def _shut(rows: Sequence[RuleRow], audiences: Collection[int | None]) -> Indices:
    """Return the items that have windows for one of the audiences, none of them open."""
    own = [row for row in rows if row.audience in audiences]
    return np.setdiff1d(_joined(own), _joined([row for row in own if row.open]))


def least_of(share: float, k: int) -> int:
    """Return how many of ``k`` places make up a share: 0.3 of 10 are 3, whatever 0.3 * 10 is in binary."""
    return math.ceil(share * k - 1e-9)


def _joined(rows: Sequence[RuleRow]) -> Indices:
    joined: Indices = np.unique(np.concatenate([np.zeros(0, np.int64), *(row.items_N for row in rows)]))
    return joined


def _side_by_side(items_N: Indices, groups_N: Indices, num_rows: int, nothing: int) -> Indices:
    """Return the groups of every item in one row, filled up with ``nothing``."""
    order_N = np.lexsort((groups_N, items_N))
    items_N, groups_N = items_N[order_N], groups_N[order_N]
    sizes_V = np.bincount(items_N, minlength=num_rows)
    places_N = np.arange(len(items_N)) - np.repeat(np.cumsum(sizes_V) - sizes_V, sizes_V)
    groups_VM = np.full((num_rows, int(sizes_V.max())), nothing, dtype=np.int64)
    groups_VM[items_N, places_N] = groups_N
    return groups_VM
