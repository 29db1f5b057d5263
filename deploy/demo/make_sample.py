"""Make the demo's raw logs from the MovieTweetings 100K snapshot: one gzip file a day, lines sorted by time.

    python deploy/demo/make_sample.py --snapshot FOLDER

FOLDER holds ratings.dat.gz and movies.dat.gz (github.com/sidooms/MovieTweetings, snapshots/100K, gzipped).
Its users.dat holds Twitter ids, no job needs it, so it is left out. The same input gives the same bytes.
"""

import argparse
import gzip
from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent


def daily_logs(ratings: str) -> dict[date, str]:
    """Split ``user::movie::rating::seconds`` lines into UTC days, each sorted by time, then user, then movie."""
    days: dict[date, list[str]] = defaultdict(list)
    for line in sorted(ratings.splitlines(), key=_order):
        days[datetime.fromtimestamp(_order(line)[0], UTC).date()].append(line)
    return {day: "".join(f"{line}\n" for line in lines) for day, lines in days.items()}


def _order(line: str) -> tuple[int, int, str]:
    user, movie, _, seconds = line.split("::")
    return int(seconds), int(user), movie


def _pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))  # no time inside: same input, same bytes


def main() -> None:
    """Write logs/YYYY-MM-DD.dat.gz and movies.dat.gz beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshot", type=Path, required=True, help="folder with ratings.dat.gz and movies.dat.gz")
    snapshot = parser.parse_args().snapshot
    logs = daily_logs(gzip.decompress((snapshot / "ratings.dat.gz").read_bytes()).decode())
    for day, text in logs.items():
        _pack(HERE / "logs" / f"{day}.dat.gz", text)
    _pack(HERE / "movies.dat.gz", gzip.decompress((snapshot / "movies.dat.gz").read_bytes()).decode())
    print(f"{sum(text.count(chr(10)) for text in logs.values())} ratings in {len(logs)} days -> {HERE / 'logs'}")


if __name__ == "__main__":
    main()
