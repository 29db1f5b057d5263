"""Raw logs of any size with the truth beside them: ``python tests/benchmarks/generate_logs.py FOLDER --events 100000``.

One file of JSON lines a day under ``logs/``, ``items.csv``, and under ``truth/`` the events and sessions before it all
was spoilt, and the number of every fault that was put in. People and items follow Zipf's law; a session has an intent
(a category, known or new to the person, to look or to buy) which drives its actions and its next items; nights are
quiet; items appear day by day.

Shape letters: S sessions, E events, I items.
"""

import argparse
import dataclasses
import gzip
import json
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ACTIONS = ("view", "cart", "buy")
DEVICES = ("phone", "desk", "tablet")
DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
# Shares of a day's sessions by hour, UTC: few at night, most in the evening.
RHYTHM = np.array([2, 1, 1, 1, 1, 2, 3, 5, 6, 6, 6, 6, 7, 7, 6, 6, 6, 7, 8, 9, 10, 9, 6, 3], dtype=float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is drawn, and what is spoilt afterwards; shares are of all events.

    Attributes:
        events: about so many, before repeats.
        users: people.
        items: of the catalogue, a tenth of which appears after the first day.
        categories: of the items.
        days: files.
        first_day: of the first file.
        gap_minutes: sessions of a person are further apart than this, their events are not.
        skew_share: of events that one more person makes.
        bots: users who look at one item once a second for ten minutes.
        duplicates: share of lines that stand twice, the second time a file later where there is one.
        late: share of events in a file of up to ``late_days`` later.
        late_days: days.
        malformed: share of lines cut in two.
        unit_slips: share of lines with seconds for milliseconds.
        clock_jumps: share of people whose clock goes back two hours in the middle of their first session.
        repeated_files: files that come again under another name.
        damaged_files: further files that break off.
        seed: of every random number.
    """

    events: int = 100_000
    users: int = 5_000
    items: int = 2_000
    categories: int = 20
    days: int = 7
    first_day: date = date(2024, 5, 1)
    gap_minutes: int = 30
    skew_share: float = 0.0
    bots: int = 0
    duplicates: float = 0.0
    late: float = 0.0
    late_days: int = 2
    malformed: float = 0.0
    unit_slips: float = 0.0
    clock_jumps: float = 0.0
    repeated_files: int = 0
    damaged_files: int = 0
    seed: int = 1

    @property
    def start_ms(self) -> int:
        """First instant, in milliseconds since 1970."""
        return int(datetime.combine(self.first_day, datetime.min.time(), UTC).timestamp() * 1000)


def write_logs(folder: Path, spec: Spec) -> dict[str, int]:
    """Write logs, catalogue and truth into a new folder; return the number of every fault."""
    rng = np.random.default_rng(spec.seed)
    catalogue = draw_items(rng, spec)
    events, sessions = draw_events(rng, spec, catalogue)
    lines, faults = spoil(rng, spec, events)
    for part in ("logs", "truth"):
        (folder / part).mkdir(parents=True)
    for day, own in lines.groupby("file", sort=True):
        name = (spec.first_day + timedelta(days=int(day))).isoformat()
        _write(folder / "logs" / f"{name}.json.gz", own["text"])
    faults |= _spoil_files(folder / "logs", spec)
    catalogue.to_csv(folder / "items.csv", index=False)
    sessions.to_parquet(folder / "truth" / "sessions.parquet", index=False)
    events.to_parquet(folder / "truth" / "events.parquet", index=False)
    facts = {
        **dataclasses.asdict(spec),
        "first_day": spec.first_day.isoformat(),
        "faults": faults,
        "events": len(events),
    }
    (folder / "truth" / "facts.json").write_text(json.dumps(facts, indent=2))
    return faults


def draw_items(rng: np.random.Generator, spec: Spec) -> pd.DataFrame:
    """Return item_id, category and published (a date), the most popular item first."""
    late = np.arange(spec.items) % 10 == 9
    appears = np.where(late, rng.integers(0, spec.days, spec.items), -1)
    category = rng.integers(0, spec.categories, spec.items)
    return pd.DataFrame({
        "item_id": [f"i{number}" for number in range(spec.items)],
        "category": [f"c{number}" for number in category],
        "published": [(spec.first_day + timedelta(days=int(day))).isoformat() for day in appears],
    })  # fmt: skip


def draw_events(rng: np.random.Generator, spec: Spec, catalogue: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the events in the order of time, and the sessions that they make."""
    sessions = _draw_sessions(rng, spec)
    sizes_S = sessions["num_events"].to_numpy()
    of_E = np.repeat(np.arange(len(sessions)), sizes_S)
    place_E = np.arange(len(of_E)) - np.repeat(np.cumsum(sizes_S) - sizes_S, sizes_S)
    events = pd.DataFrame({
        "user": sessions["user"].to_numpy()[of_E],
        "at": sessions["started_ms"].to_numpy()[of_E] + _offsets(sessions, of_E, place_E),
        "item": _draw_walks(rng, spec, catalogue, sessions, of_E, place_E),
        "action": _draw_actions(rng, sessions, of_E),
        "device": np.array(DEVICES)[sessions["user"].to_numpy()[of_E] % 3],
    })  # fmt: skip
    if spec.bots:
        bots = _bots(spec)
        events = pd.concat([events, bots[0]], ignore_index=True)
        sessions = pd.concat([sessions, bots[1]], ignore_index=True)
    events = events.sort_values(["at", "user"], kind="stable", ignore_index=True)
    events.insert(0, "id", [f"e{number}" for number in range(len(events))])
    sessions["ended_ms"] = sessions["started_ms"] + sessions["lasts_ms"]
    told = ["user", "started_ms", "ended_ms", "num_events", "category", "is_new", "buys"]
    return events, sessions[told].sort_values(["user", "started_ms"], ignore_index=True)


def _draw_sessions(rng: np.random.Generator, spec: Spec) -> pd.DataFrame:
    number = max(1, int(spec.events * (1 - spec.skew_share)) // 5)
    popular = 1 / np.arange(1, spec.users + 1) ** 0.8
    user_S = rng.choice(spec.users, number, p=popular / popular.sum())
    hour = rng.choice(24, number, p=RHYTHM / RHYTHM.sum())
    start_S = rng.integers(0, spec.days, number) * DAY_MS + hour * HOUR_MS + rng.integers(0, HOUR_MS, number)
    size_S = rng.geometric(0.2, number)
    pause_S = (
        np.minimum(rng.exponential(2 * MINUTE_MS, number), spec.gap_minutes * MINUTE_MS * 0.9).astype(np.int64) + 1
    )
    order = np.lexsort((start_S, user_S))
    user_S, start_S, size_S, pause_S = (column[order] for column in (user_S, start_S, size_S, pause_S))
    lasts_S = (size_S - 1) * pause_S
    # A session begins at its time, or more than a gap after the one before it: a running maximum, person by person.
    room_S = np.cumsum(lasts_S + spec.gap_minutes * MINUTE_MS + 1)
    room_S = np.concatenate(([0], room_S[:-1]))
    start_S = pd.Series(start_S - room_S).groupby(user_S).cummax().to_numpy() + room_S
    category_S = (user_S * 7 + np.where(rng.random(number) < 0.3, rng.integers(1, spec.categories, number), 0)) % (
        spec.categories
    )
    sessions = pd.DataFrame({
        "user": user_S, "started_ms": spec.start_ms + start_S, "lasts_ms": lasts_S, "num_events": size_S,
        "pause_ms": pause_S, "category": category_S, "buys": rng.random(number) < 0.15,
    })  # fmt: skip
    sessions["is_new"] = ~sessions.duplicated(["user", "category"])
    sessions = sessions[start_S + lasts_S < spec.days * DAY_MS]
    return pd.concat([sessions, _skewed(spec)], ignore_index=True) if spec.skew_share else sessions


def _skewed(spec: Spec) -> pd.DataFrame:
    """Return the sessions of one more person, ten a day, long enough for the whole share."""
    number = 10 * spec.days
    size = max(1, int(spec.events * spec.skew_share) // number)
    room = DAY_MS // 10 - 2 * spec.gap_minutes * MINUTE_MS
    pause = max(1, min(MINUTE_MS, room // size))
    return pd.DataFrame({
        "user": spec.users + spec.bots, "started_ms": spec.start_ms + np.arange(number) * (DAY_MS // 10),
        "lasts_ms": (size - 1) * pause, "num_events": size, "pause_ms": pause, "category": 0, "buys": False,
        "is_new": False,
    })  # fmt: skip


def _offsets(sessions: pd.DataFrame, of_E: Any, place_E: Any) -> Any:
    return sessions["pause_ms"].to_numpy()[of_E] * place_E


def _draw_walks(
    rng: np.random.Generator, spec: Spec, catalogue: pd.DataFrame, sessions: pd.DataFrame, of_E: Any, place_E: Any
) -> Any:
    """Return an item for every event: a walk through the category from a popular start, with jumps by popularity."""
    category_I = catalogue["category"].str[1:].astype(int).to_numpy()
    members = np.argsort(category_I, kind="stable")  # by category, the most popular first
    size_C = np.maximum(np.bincount(category_I, minlength=spec.categories), 1)
    first_C = np.concatenate(([0], np.cumsum(size_C)[:-1]))
    category_E = sessions["category"].to_numpy()[of_E]
    start_S = rng.random(len(sessions)) ** 3
    jumps = rng.random(len(of_E)) < 0.2
    rank_E = np.floor(np.where(jumps, rng.random(len(of_E)) ** 3, start_S[of_E]) * size_C[category_E]).astype(np.int64)
    rank_E = (rank_E + np.where(jumps, 0, place_E)) % size_C[category_E]
    item_E = members[np.minimum(first_C[category_E] + rank_E, len(members) - 1)]
    day_E = (sessions["started_ms"].to_numpy()[of_E] - spec.start_ms) // DAY_MS
    appears_I = np.array([(date.fromisoformat(text) - spec.first_day).days for text in catalogue["published"]])
    return np.where(appears_I[item_E] > day_E, item_E - item_E % 10, item_E)  # one that is there from the start


def _draw_actions(rng: np.random.Generator, sessions: pd.DataFrame, of_E: Any) -> Any:
    drawn = rng.random(len(of_E))
    buys = sessions["buys"].to_numpy()[of_E]
    return np.array(ACTIONS)[np.where(buys & (drawn < 0.15), 2, np.where(drawn < np.where(buys, 0.4, 0.05), 1, 0))]


def _bots(spec: Spec) -> tuple[pd.DataFrame, pd.DataFrame]:
    users = spec.users + np.arange(spec.bots)
    started = spec.start_ms + 12 * HOUR_MS
    seconds = np.tile(np.arange(600), spec.bots)
    events = {
        "user": np.repeat(users, 600),
        "at": started + seconds * 1000,
        "item": 0,
        "action": "view",
        "device": "desk",
    }
    session = {"user": users, "started_ms": started, "lasts_ms": 599_000, "num_events": 600, "category": -1}
    return pd.DataFrame(events), pd.DataFrame({**session, "is_new": False, "buys": False})


def spoil(rng: np.random.Generator, spec: Spec, events: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the lines with their file, a day's number, and the number of every fault of a line."""
    jumped = _jumps(rng, spec, events)
    at = events["at"].to_numpy() - np.where(jumped, 2 * HOUR_MS, 0)
    file = np.clip((events["at"].to_numpy() - spec.start_ms) // DAY_MS, 0, spec.days - 1)
    late = (rng.random(len(events)) < spec.late) & (file < spec.days - 1)
    file = np.where(late, np.minimum(file + rng.integers(1, spec.late_days + 1, len(events)), spec.days - 1), file)
    slipped = rng.random(len(events)) < spec.unit_slips
    told = zip(
        events["id"], events["user"], events["item"], np.where(slipped, at // 1000, at), events["action"],
        events["device"], strict=True,
    )  # fmt: skip
    form = '{{"id": "{}", "user": "u{}", "item": "i{}", "at": {}, "action": "{}", "device": "{}"}}'
    texts = [form.format(*fields) for fields in told]
    cut = (rng.random(len(events)) < spec.malformed) & ~slipped
    texts = [text[: len(text) // 2] if is_cut else text for text, is_cut in zip(texts, cut, strict=True)]
    lines = pd.DataFrame({"file": file, "text": texts})
    twice = (rng.random(len(events)) < spec.duplicates) & ~cut & ~slipped
    again = lines[twice].assign(file=np.minimum(lines["file"][twice] + 1, spec.days - 1))
    faults = {"late": late, "unit_slips": slipped, "malformed": cut, "duplicates": twice, "clock_jumps": jumped}
    counted = {name: int(mask.sum()) for name, mask in faults.items()} | {"bots": spec.bots}
    return pd.concat([lines, again], ignore_index=True), counted


def _jumps(rng: np.random.Generator, spec: Spec, events: pd.DataFrame) -> Any:
    """Mark the later events of the first day of people whose clock goes back; never before the first file."""
    chosen = rng.random(spec.users + spec.bots + 1) < spec.clock_jumps
    into_the_day = events["at"].to_numpy() - spec.start_ms
    first_day = (into_the_day < DAY_MS) & (into_the_day >= 2 * HOUR_MS)
    later = events.groupby("user").cumcount().to_numpy() >= 2
    return chosen[events["user"].to_numpy()] & first_day & later


def _spoil_files(logs: Path, spec: Spec) -> dict[str, int]:
    files = sorted(logs.iterdir())
    for file in files[: spec.repeated_files]:
        shutil.copy(file, file.with_name(f"again-{file.name}"))
    for file in files[: spec.damaged_files]:
        file.with_name(f"damaged-{file.name}").write_bytes(file.read_bytes()[:-20])
    return {"repeated_files": len(files[: spec.repeated_files]), "damaged_files": len(files[: spec.damaged_files])}


def _write(file: Path, texts: Any) -> None:
    with gzip.GzipFile(file, "wb", compresslevel=1, mtime=0) as packed:
        packed.write(("\n".join(texts) + "\n").encode())


def main(argv: list[str] | None = None) -> int:
    """Read a flag for every part of ``Spec``; the defaults are clean logs."""
    parser = argparse.ArgumentParser(prog="tests/benchmarks/generate_logs.py")
    parser.add_argument("folder", type=Path, help="new folder")
    for field in dataclasses.fields(Spec):
        kind = date.fromisoformat if field.type is date else field.type
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    found = vars(parser.parse_args(argv))
    faults = write_logs(found.pop("folder"), Spec(**found))
    print(json.dumps(faults))
    return 0


if __name__ == "__main__":
    sys.exit(main())
