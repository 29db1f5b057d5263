"""Rows of users who were erased: recognised by a keyed hash, and left out before anything is judged or written."""

import hmac
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

ERASED = "erased"  # the kind of such a row
_MARKED = b"intentrec: which key is this"
# What can stand around an id in a row that no reader could take apart; twice, since an id may hold one of the second.
# And once more for an id that a pattern takes from the middle of a word: uid=ab12_xyz.
_AROUND = (re.compile(r"[\s\"',;|{}\[\]()]+"), re.compile(r"[^\w.@+-]+"), re.compile(r"[^\w.@+-]+|_"))
_PLAIN = re.compile(r"[\w.@+-]+")
# Sentences are full of numbers: one that may be an id is taken for one where a user is spoken of.
_NUMBER = re.compile(r"(?<![\w@])[\d.,:+%-]*\d[\d.,:+%-]*(?![\w@])")
_NUMBER_OF_USER = re.compile(r"(?:\buser(?:_id)?\W{1,3}|')([\d.,:+%-]*\d)", re.IGNORECASE)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Erased:
    """The users who stay out.

    Attributes:
        key: of the hashes; never shown.
        hashes: of their ids, see ``keyed_hash``.
        odd: ids in which separators stand, as texts may hold them; known only while they are being erased.
    """

    @classmethod
    def of(cls, key: bytes, user_ids: Iterable[str]) -> Self:
        """Recognise users whose ids are known, in texts of unknown form too."""
        ids = sorted(user_ids)
        odd = [user_id for user_id in ids if not _PLAIN.fullmatch(user_id)]
        forms = {form for user_id in odd for form in (user_id, _escaped(user_id, False), _escaped(user_id, True))}
        return cls(key, frozenset(keyed_hash(key, user_id) for user_id in ids), tuple(sorted(forms)))

    key: bytes = field(repr=False)
    hashes: frozenset[str]
    odd: tuple[str, ...] = field(default=(), repr=False)

    def holds(self, user_id: str) -> bool:
        """Return whether this user was erased."""
        return keyed_hash(self.key, user_id) in self.hashes

    def named_in(self, text: str) -> bool:
        """Return whether one of them is named in a text of unknown form: between quotes or separators, or odd."""
        if any(form in text for form in self.odd):
            return True
        words = {word for around in _AROUND for word in around.split(text)}
        words |= {_unescaped(quoted) for quoted in _QUOTED.findall(text)}
        return any(self.holds(word) for word in words - {""})

    def named_in_prose(self, text: str) -> bool:
        """Return whether a message, a reason or a report names one; of plain numbers those after "user" or a quote."""
        if any(form in text for form in self.odd) or any(map(self.holds, _NUMBER_OF_USER.findall(text))):
            return True
        return self.named_in(_NUMBER.sub(" ", text))


def _escaped(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


def keyed_hash(key: bytes, user_id: str) -> str:
    """Return HMAC-SHA256 in hex: without the key nobody can tell, not even by trying all ids, whose it is."""
    return hmac.digest(key, user_id.encode("utf-8", "surrogatepass"), "sha256").hex()


def key_mark(key: bytes) -> str:
    """Return what tells this key from another one, and nothing else of it."""
    return hmac.digest(key, _MARKED, "sha256").hex()[:16]


def mark_erased(rows: DataFrame, erased: Erased | None) -> DataFrame:
    """Turn the kind of every row that belongs to an erased user into ``erased``.

    A row whose user could be read is compared by its user; one that could not be taken apart by all that its text
    names.

    Args:
        rows: kind, raw and user_id among others, as text.
        erased: who stays out; None: nobody.
    """
    if erased is None or not erased.hashes:
        return rows
    marked = is_of_erased(erased, F.col("user_id"), F.when(F.col("user_id").isNull(), F.col("raw")))
    return rows.withColumn("kind", F.when((F.col("kind") == "row") & marked, ERASED).otherwise(F.col("kind")))


def is_of_erased(erased: Erased, user_id: Column, text: Column) -> Column:
    """Return whether a row's user was erased, or, where it has none, its text names one who was."""
    find: Any = pandas_udf  # its stubs know no iterators of pairs
    found: Column = find(_finder(erased), "boolean")(user_id, text)
    return found


def _finder(erased: Erased) -> Any:
    def find(pairs: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for users, texts in pairs:
            found = []
            known: dict[str, bool] = {}
            for user, text in zip(users, texts, strict=True):
                if user is None:
                    found.append(text is not None and erased.named_in(text))
                    continue
                if user not in known:
                    known[user] = erased.holds(user)
                found.append(known[user])
            yield pd.Series(found, dtype=bool)

    return find
