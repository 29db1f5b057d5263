"""The actions of a sample: how often each is seen, what it may count, whether it comes with an item."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from intentrec.starter.roles import ACTION_WORDS, action_word

_MAIN_SHAPE = 0.6  # share of all items that look alike, from which on others count as text
_FEW = 0.05  # an action of which fewer items look like items comes without one


@dataclass(frozen=True, slots=True)
class SeenAction:
    """An action, its share of the rows, a proposed weight, and whether its rows name an item."""

    name: str
    share: float
    weight: float
    has_item: bool


def seen_actions(actions: Sequence[str | None], items: Sequence[str | None]) -> tuple[SeenAction, ...]:
    """Count actions, most frequent first; ties by name.

    An action has no item if its rows mostly lack one, or if what stands there does not look like the items of the
    others: a word where those are numbers, say. Where no known word counts anything, as in a log of impressions alone,
    every action with an item counts 1: without a target no model can be trained.
    """
    rows = Counter(action for action in actions if action is not None)
    shapes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for action, item in zip(actions, items, strict=True):
        if action is not None and item is not None:
            shapes[action][shape(item)] += 1
    common = sum(shapes.values(), Counter[str]()).most_common(1)
    of_all = sum(counts.total() for counts in shapes.values())
    main = common[0][0] if common and common[0][1] >= _MAIN_SHAPE * of_all else None
    total = rows.total()
    found = []
    for name, count in sorted(rows.items(), key=lambda entry: (-entry[1], entry[0])):
        looks_like_items = main is None or shapes[name][main] >= _FEW * max(1, shapes[name].total())
        has_item = shapes[name].total() >= 0.5 * count and looks_like_items
        word = action_word(name)
        weight = 1.0 if word is None else ACTION_WORDS[word]
        found.append(SeenAction(name, count / total, weight if has_item else 0.0, has_item))
    if not any(action.weight > 0 for action in found):
        found = [replace(action, weight=1.0) if action.has_item else action for action in found]
    return tuple(found)


def shape(text: str) -> str:
    """Return what kinds of characters a text is made of, in order and without repeats: ``B07-2`` gives a9-9."""
    kinds = re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", text))
    # letters and digits mixed, as in hex ids, change places from id to id: they are one kind
    return re.sub(r"[a9]{3,}", "x", kinds)
