"""Which column is the user, the item, the time: told by names first, then by values, then by their order."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from intentrec.errors import InputError
from intentrec.starter.profiles import Profile

_USER = {
    "user", "users", "visitor", "customer", "client", "member", "uid", "account", "person", "people", "reader",
    "viewer", "listener", "player", "shopper", "subscriber", "guest", "buyer", "patron", "profile", "cookie", "who",
    "author", "reviewer", "owner", "fullvisitor", "userhash", "login", "anonymous", "distinct",
}  # fmt: skip
_SESSION = {"session", "sess", "visit", "sid", "ssid"}
_ITEM = {
    "item", "items", "iid", "product", "article", "movie", "film", "book", "track", "song", "video", "hotel", "offer",
    "listing", "sku", "asin", "isbn", "content", "news", "page", "reference", "business", "recipe", "show", "ad",
    "restaurant", "venue", "poi", "game", "app", "job", "post", "photo", "artist", "object", "what", "doc", "document",
    "merchandise", "goods", "pid", "parent", "url", "title", "nid", "story", "clip", "podcast", "course",
}  # fmt: skip
_WEAK_ITEM = {"url", "title", "parent", "page", "reference", "object", "show", "name", "what", "artist"}
_TIME = {
    "time", "timestamp", "ts", "date", "datetime", "at", "when", "occurred", "utc", "epoch", "clock", "unixtime",
    "eventtime", "created", "logged",
}  # fmt: skip
_WEAK_TIME = {"start", "end", "first", "last", "session", "birth", "release", "published", "updated", "signup"}
_ACTION = {
    "action", "event", "behavior", "behaviour", "activity", "interaction", "verb", "operation", "feedback", "did",
    "act", "eventtype", "eventname", "actiontype",
}  # fmt: skip
_WEAK_ACTION = {"type", "kind", "name"}
ACTION_WORDS = {
    "view": 1.0, "click": 1.0, "pv": 1.0, "play": 1.0, "read": 1.0, "listen": 1.0, "watch": 1.0, "impression": 0.0,
    "pageview": 1.0, "detail": 1.0, "interaction": 1.0, "visit": 1.0, "open": 1.0, "rate": 2.0, "rating": 2.0,
    "like": 2.0, "fav": 2.0, "favorite": 2.0, "favourite": 2.0, "wish": 2.0, "wishlist": 2.0, "save": 2.0,
    "share": 2.0, "bookmark": 2.0, "cart": 3.0, "addtocart": 3.0, "basket": 3.0, "add": 3.0, "checkout": 3.0,
    "clickout": 5.0, "buy": 5.0, "purchase": 5.0, "order": 5.0, "transaction": 5.0, "book": 5.0, "booking": 5.0,
    "subscribe": 5.0, "search": 1.0, "filter": 0.5, "sort": 0.5, "remove": 0.0, "dislike": 0.0, "refund": 0.0,
}  # fmt: skip
_DESCRIBING = {"name", "title", "text", "description", "summary", "path", "url"}  # an id stands beside them, if any
_UNDOING = ("remove", "dislike", "refund")
_NOT_AN_ID = {
    "category", "cat", "type", "kind", "agent", "country", "region", "city", "segment", "age", "gender", "price",
    "count", "size", "num", "number", "rating", "score", "rank", "level", "group", "genre", "brand", "device", "os",
    "status", "language", "referrer", "platform", "quantity", "amount", "total", "lat", "lon", "zip", "ip",
}  # fmt: skip
_SEQUENCE = {"step", "seq", "sequence", "ordinal", "hit"}
_VALUE = {"rating", "stars", "dwell", "duration", "score", "value", "watch", "playtime", "seconds", "overall"}
_EVENT_ID = {"event", "log", "row", "request", "hit", "record", "uuid", "guid", "interaction", "message"}
_MOST_ACTIONS = 100
_FEWEST_IDS = 5


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column is which.

    Attributes:
        columns: our field: their column.
        guessed: the fields for which no name spoke, only values and order.
        clock: where the times are days alone, the column that holds times of day, if there is one.
    """

    columns: Mapping[str, Profile]
    guessed: tuple[str, ...]
    clock: str | None = None


def roles_of(profiles: Sequence[Profile]) -> Roles:
    """Say which column is which.

    Raises:
        InputError: no column holds a time, a user or an item; the columns are named.
    """
    time = _best(profiles, _time_score)
    if time is None:
        raise _nothing_for("occurred_at", "times: epoch numbers or ISO texts of 1990 to 2099", profiles)
    left = [column for column in profiles if column is not time and column.time_unit is None and not column.clock]
    # numbers that happen to lie in the range of times may still be ids, if their name says so
    left += [column for column in profiles if column is not time and column.time_unit not in (None, "iso")]
    left = sorted(left, key=lambda column: column.position)
    action = _best(left, _action_score, 3.0)
    others = [column for column in left if column is not action]
    user = _best(others, _user_score, 2.0)
    item = _best([column for column in others if column is not user], _item_score, 2.0)
    guessed = [name for name, found in (("user_id", user), ("item_id", item)) if found is None]
    ids = [column for column in others if column not in (user, item) and _could_be_id(column)]
    if user is None:
        user = ids.pop(0) if len(ids) > (item is None) else None
    if user is None:
        raise _nothing_for("user_id", "ids of users or sessions", profiles)
    if item is None:
        item = ids.pop(0) if ids else None
    if item is None:
        raise _nothing_for("item_id", "ids of items", profiles)
    found = {"user_id": user, "item_id": item, "occurred_at": time}
    found |= {} if action is None else {"action": action}
    clocks = [column.name for column in profiles if column.clock] if time.midnights else []
    return Roles({**found, **_optional(left, found)}, tuple(guessed), next(iter(clocks), None))


def _nothing_for(field: str, wanted: str, profiles: Sequence[Profile]) -> InputError:
    return InputError(
        f"{field}: none of the columns {', '.join(column.name for column in profiles)} looks like it, wanted {wanted}; "
        "write the config by hand, see deploy/conf/reference.yaml"
    )


def _best(columns: Sequence[Profile], score: Callable[[Profile], float], least: float = 0.5) -> Profile | None:
    rated = [(score(column), -column.position, column) for column in columns]
    best = max(rated, key=lambda entry: entry[:2], default=None)
    return best[2] if best is not None and best[0] >= least else None


def _time_score(column: Profile) -> float:
    if column.time_unit is None or column.filled < 0.9:
        return 0.0
    named = 3.0 * bool(column.tokens & _TIME) - 1.5 * bool(column.tokens & _WEAK_TIME)
    if column.time_unit != "iso" and not column.tokens & _TIME and column.tokens & (_USER | _ITEM | _SESSION):
        return 0.0
    # of two clocks the one that moves with every event: a session's start repeats
    return 1.0 + named + column.num_distinct / max(1, column.num_rows)


def _could_be_id(column: Profile) -> bool:
    few = min(_FEWEST_IDS, max(2, column.num_rows // 10))
    unique = column.num_rows > 50 and column.num_distinct > 0.98 * column.num_rows
    fraction = column.numeric > 0.9 and column.whole < 0.9
    return column.filled >= 0.5 and column.num_distinct >= few and not unique and not fraction


def _id_score(column: Profile, words: set[str], weak: Collection[str] = ()) -> float:
    named = column.tokens & words
    if not named or not column.num_distinct or (column.numeric > 0.9 and column.whole < 0.9):
        return 0.0
    score = 3.0 if named - set(weak) else 2.0
    score += "id" in column.tokens
    score -= 2.5 * bool(column.tokens & _NOT_AN_ID) + 0.9 * bool(column.tokens & _DESCRIBING)
    return score - 1.0 * (column.num_distinct < _FEWEST_IDS <= column.num_rows // 10)


def _user_score(column: Profile) -> float:
    if column.filled < 0.9:
        return 0.0
    score = _id_score(column, _USER)
    if score >= 2.0:
        return score
    if {"device", "id"} <= column.tokens:
        return 2.5  # better than a session, which stands for a user where nothing else does
    return 2.0 if _id_score(column, _SESSION) >= 2.0 else 0.0


def _item_score(column: Profile) -> float:
    return 0.0 if column.filled < 0.2 else _id_score(column, _ITEM, _WEAK_ITEM)


def _action_score(column: Profile) -> float:
    if not 1 <= column.num_distinct <= _MOST_ACTIONS or column.filled < 0.9 or column.numeric > 0.9 > column.whole:
        return 0.0
    name = 3.0 * bool(column.tokens & _ACTION and "id" not in column.tokens) + 1.0 * bool(column.tokens & _WEAK_ACTION)
    known = sum(rows for text, rows in column.counts.items() if action_word(text) is not None)
    spoken = 3.0 * (known >= 0.5 * column.counts.total())
    return name + spoken - 2.0 * bool(column.tokens & _NOT_AN_ID - {"type", "kind"})


def action_word(text: str) -> str | None:
    """Return the first word of an action that is known, such as purchase in ``Purchase_done``."""
    letters = "".join(character if character.isalpha() else " " for character in text.lower())
    joined = letters.replace(" ", "")
    found = [word for word in letters.split() if word in ACTION_WORDS]
    if joined in ACTION_WORDS:
        return joined
    undone = [word for word in found if word in _UNDOING]  # remove_from_cart is no cart
    return undone[0] if undone else max(found, key=lambda word: ACTION_WORDS[word], default=None)


def _optional(columns: Sequence[Profile], found: Mapping[str, Profile]) -> dict[str, Profile]:
    left = [column for column in columns if column not in found.values()]
    optional: dict[str, Profile] = {}
    for column in left:
        unique = column.filled == 1.0 and column.num_distinct == column.num_rows
        if "event_id" not in optional and unique and "id" in column.tokens and _is_event_id(column):
            optional["event_id"] = column
        elif "sequence" not in optional and column.tokens & _SEQUENCE and column.whole > 0.999:
            optional["sequence"] = column
        elif "value" not in optional and (column.tokens & _VALUE or _is_rating(column)) and column.numeric > 0.999:
            optional["value"] = column
    return optional


def _is_rating(column: Profile) -> bool:
    """Return whether a column without a name holds few different numbers."""
    return re.fullmatch(r"_c\d+", column.name) is not None and 2 <= column.num_distinct <= _MOST_ACTIONS


def _is_event_id(column: Profile) -> bool:
    return bool(column.tokens & _EVENT_ID) or column.tokens == {"id"}
