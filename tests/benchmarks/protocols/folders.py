"""Folders of data, plain or gzip -> one log of numbered events.

N events   S sessions   V items + 1 (0 is padding)   C columns of features   K categories of an item
"""

import csv
import gzip
import re
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from intentrec.model.shape import Field

Integers = NDArray[np.int64]
BEGIN_S = 946_684_800  # 2000-01-01: where times that had to be invented begin
MINUTE_S, DAY_S, WEEK_S = 60, 86_400, 604_800
_TEXT = "utf-8-sig"  # with or without a byte order mark


@dataclass(frozen=True)
class Log:
    """Events in the order of their sequences, oldest first; items are numbered by first appearance.

    Attributes:
        sequence_N: number of the user or session, ascending.
        item_N: from 1; 0 is none.
        time_N: UTC seconds; invented where the folder has none, so that order and windows mean something.
        items: name of item 1, 2, ...
        timed: whether the times are real.
        session_N: number of the session, where users have several; else as ``sequence_N``.
        start_N: UTC seconds at which the event's session started.
        feature_CN: value indices of ``fields``, 0 is none.
        fields: names and sizes of the event features.
        values: of each field, the name of value 1, 2, ...
        categories_VK: value indices of the field categories, main category first; K is 0 without them.
    """

    sequence_N: Integers
    item_N: Integers
    time_N: Integers
    items: tuple[str, ...]
    timed: bool
    session_N: Integers
    start_N: Integers
    feature_CN: Integers
    fields: tuple[Field, ...] = ()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    categories_VK: Integers = field(default_factory=lambda: np.zeros((0, 0), np.int64))


def opened(path: Path) -> TextIO:
    """Open a text file, packed or plain."""
    return gzip.open(path, "rt", encoding=_TEXT) if path.suffix == ".gz" else path.open(encoding=_TEXT)


def only(folder: Path, pattern: str) -> Path:
    """Return the one file whose name matches; ends the program where there is none, or several."""
    found = sorted(path for path in folder.iterdir() if re.fullmatch(pattern + r"(\.gz)?", path.name))
    if len(found) != 1:
        sys.exit(f"{folder}: wanted one file named {pattern}[.gz], found {len(found)}")
    return found[0]


def numbered(folder: Path, stem: str, ending: str) -> list[Path]:
    """Return all files STEM_<number>ENDING[.gz] by number; ends the program where one is missing or twice there."""
    pattern = re.compile(re.escape(stem) + r"_(\d+)" + re.escape(ending) + r"(\.gz)?")
    found = sorted((int(hit[1]), path) for path in folder.iterdir() if (hit := pattern.fullmatch(path.name)))
    if not found:
        sys.exit(f"{folder}: holds no file named {stem}_<number>{ending}[.gz]")
    for (number, path), (following, other) in pairwise(found):
        if following != number + 1:
            sys.exit(f"{folder}: wanted one file of each number, {path.name} is followed by {other.name}")
    return [path for _, path in found]


def by_appearance(names_N: NDArray[np.generic]) -> tuple[Integers, tuple[str, ...]]:
    """Number names from 1 in the order of their first appearance."""
    codes_N, names = pd.factorize(names_N)
    return codes_N.astype(np.int64) + 1, tuple(map(str, names))


def rated_items(folder: Path, max_categories: int) -> Log:
    """Read users' items in order, and the items' genres.

    Forms: ml1m_sequences, without times; ml100k and movietweetings_100k, with times.

    Of every item the first ``max_categories`` genres are kept.
    """
    for ending, read in ((".inter", _interactions), ("ratings.dat", _ratings)):
        if any(path.name.removesuffix(".gz").endswith(ending) for path in folder.iterdir()):
            return read(folder, max_categories)
    path = only(folder, r"(?!README).*\.txt")
    rows = _pairs(path, ("user", "item"))
    if not len(rows):
        sys.exit(f"{path}: holds no line")
    users_N = pd.factorize(rows["user"])[0].astype(np.int64)
    order_N = np.argsort(users_N, kind="stable")
    users_N, items_N = users_N[order_N], rows["item"].to_numpy()
    codes_N, names = by_appearance(items_N[order_N])
    within_N = np.arange(len(users_N)) - np.searchsorted(users_N, users_N)
    genres = _genres_of_sequences(folder, items_N)
    return _of_users(users_N, codes_N, BEGIN_S + within_N, names, (genres, max_categories), timed=False)


def _pairs(path: Path, names: tuple[str, str]) -> pd.DataFrame:
    """Read lines that begin with two names, whatever they look like; empty lines count for nothing."""
    with opened(path) as lines:
        rows = [(number, line.split(maxsplit=2)) for number, line in enumerate(lines, 1) if line.strip()]
    for number, row in rows:
        if len(row) < 2:
            sys.exit(f"{path}: line {number}: wanted two names, {' and '.join(names)}, is {row[0]!r}")
    return pd.DataFrame([row[:2] for _, row in rows], columns=list(names), dtype=object)


def _genres_of_sequences(folder: Path, item_N: NDArray[np.str_]) -> dict[str, list[str]]:
    """Return item -> genres: row n of ratings_ordered belongs to line n of the sequences, and names the movie."""
    if not any(path.name.startswith("movies.tsv") for path in folder.iterdir()):
        return {}
    with opened(only(folder, r"ratings_ordered\.csv")) as lines:
        movies_N = pd.read_csv(lines, usecols=["movie_id"], dtype=str, keep_default_na=False)["movie_id"].to_numpy()
    with opened(only(folder, r"movies\.tsv")) as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines if line.strip()]
    genres = {row[0]: row[2].split("|") for row in rows if len(row) > 2}
    return {item: genres.get(movie, []) for item, movie in set(zip(item_N.tolist(), movies_N.tolist(), strict=True))}


def _interactions(folder: Path, max_categories: int) -> Log:
    with opened(only(folder, r".*\.inter")) as lines:
        rows = pd.read_csv(lines, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
    rows.columns = [name.partition(":")[0] for name in rows.columns]
    genres: dict[str, list[str]] = {}
    if any(path.name.endswith((".item", ".item.gz")) for path in folder.iterdir()):
        with opened(only(folder, r".*\.item")) as lines:
            found = pd.read_csv(lines, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
        genres = {row.iloc[0]: row.iloc[3].split() for _, row in found.iterrows()}
    return _in_time(rows, genres, max_categories)


def _ratings(folder: Path, max_categories: int) -> Log:
    path = only(folder, r"ratings\.dat")
    fields = _fields(path, 4)
    rows = pd.DataFrame(fields, columns=["user_id", "item_id", "rating", "timestamp"], dtype=object)
    genres: dict[str, list[str]] = {}
    if any(path.name.startswith("movies.dat") for path in folder.iterdir()):
        genres = {item: own.split("|") for item, _, own in _fields(only(folder, r"movies\.dat"), 3)}
    return _in_time(rows, genres, max_categories)


def _fields(path: Path, number: int) -> list[list[str]]:
    with opened(path) as lines:
        rows = [(at, line.rstrip("\n").split("::")) for at, line in enumerate(lines, 1) if line.strip()]
    for at, row in rows:
        if len(row) != number:
            sys.exit(f"{path}: line {at}: wanted {number} fields with :: between them, has {len(row)}")
    return [row for _, row in rows]


def _in_time(rows: pd.DataFrame, genres: dict[str, list[str]], max_categories: int) -> Log:
    """Return rows of user_id, item_id and timestamp as a log, each user's in the order of time."""
    users_N = np.unique(rows["user_id"].to_numpy(), return_inverse=True)[1]
    clock_N = rows["timestamp"].astype(float).to_numpy()
    order_N = np.lexsort((np.arange(len(rows)), clock_N, users_N))
    codes_N, names = by_appearance(rows["item_id"].to_numpy()[order_N])
    times_N = clock_N[order_N].astype(np.int64)
    return _of_users(users_N[order_N], codes_N, times_N, names, (genres, max_categories), timed=True)


def _of_users(
    users_N: Integers, codes_N: Integers, times_N: Integers, names: tuple[str, ...],
    of_items: tuple[dict[str, list[str]], int], *, timed: bool,
) -> Log:  # fmt: skip
    genres, kept = of_items
    values = tuple(sorted({genre for own in genres.values() for genre in own if genre}))
    index = {genre: place for place, genre in enumerate(values, 1)}
    categories_VK = np.zeros((len(names) + 1, kept if values else 0), np.int64)
    if values:
        for item, name in enumerate(names, 1):
            own = [index[genre] for genre in genres.get(name, []) if genre][:kept]
            categories_VK[item, : len(own)] = own
    fields = (Field("categories", len(values), kept),) if values else ()
    return Log(
        users_N, codes_N, times_N, names, timed, users_N, times_N, categories_VK[codes_N].T,
        fields, {"categories": values} if values else {}, categories_VK,
    )  # fmt: skip


def session_lines(folder: Path) -> tuple[Log, list[tuple[list[str], str]]]:
    """Read one session a line, a minute apart, and the tests (prefix, label): the form of sbr_diginetica."""
    learnt, asked = only(folder, r"train_sessions\.txt"), only(folder, r"test_examples\.tsv")
    with opened(learnt) as lines:
        sessions = [line.split() for line in lines if line.strip()]
    if not sessions:
        sys.exit(f"{learnt}: holds no session")
    tests = []
    with opened(asked) as lines:
        for number, line in enumerate(lines, 1):
            prefix, _, label = line.partition("\t")
            if prefix.strip() and label.strip():
                tests.append((prefix.split(), label.strip()))
            elif line.strip():
                sys.exit(f"{asked}: line {number}: wanted items, a tab and the next item, is {line.strip()!r}")
    lengths_S = np.array([len(session) for session in sessions])
    session_N = np.repeat(np.arange(len(sessions)), lengths_S)
    codes_N, names = by_appearance(np.array([item for session in sessions for item in session], dtype=object))
    start_N = BEGIN_S + session_N * MINUTE_S
    within_N = np.arange(len(codes_N)) - np.repeat(np.cumsum(lengths_S) - lengths_S, lengths_S)
    log = Log(session_N, codes_N, start_N + within_N, names, False, session_N, start_N, _nothing(codes_N))
    return log, tests


def period_files(folder: Path) -> tuple[Log, Integers]:
    """Read lines "session item" of one period a file: the form of ader_diginetica; also the period of each event.

    A session that goes on in the next period is another one there. Periods are weeks, evenly filled.
    """
    parts = []
    for number, path in enumerate(numbered(folder, "period", ".txt")):
        rows = _pairs(path, ("session", "item"))
        time_N = BEGIN_S + number * WEEK_S + np.arange(len(rows)) * WEEK_S // max(len(rows), 1)
        parts.append(rows.assign(period=number, time=time_N))
    rows = pd.concat(parts, ignore_index=True)
    if not len(rows):
        sys.exit(f"{folder}: no file holds a line")
    codes_N, names = by_appearance(rows["item"].to_numpy())
    own_N, names_of = pd.factorize(rows["session"])
    key_N = rows["period"].to_numpy() * len(names_of) + own_N
    session_N = pd.factorize(key_N)[0].astype(np.int64)  # by first click, so by period and time
    order_N = np.argsort(session_N, kind="stable")
    session_N, codes_N, time_N = session_N[order_N], codes_N[order_N], rows["time"].to_numpy()[order_N]
    start_N = time_N[np.searchsorted(session_N, session_N)]
    log = Log(session_N, codes_N, time_N, names, False, session_N, start_N, _nothing(codes_N))
    return log, rows["period"].to_numpy()[order_N]


def _nothing(codes_N: Integers) -> Integers:
    return np.zeros((0, len(codes_N)), np.int64)
