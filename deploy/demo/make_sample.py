"""Make the demo's raw logs from the MovieTweetings 100K snapshot: gzip files, lines as published, sorted by time.

History is one file a month, as an archive would be; from DAILY_FROM on, when the nightly runs begin, one file a day.

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
DAILY_FROM = date(2013, 8, 1)


def dated_logs(ratings: str) -> dict[str, str]:
    """Split ``user::movie::rating::seconds`` lines into UTC months and days, by file name.

    Lines are sorted by time, then user, then movie.
    """
    logs: dict[str, list[str]] = defaultdict(list)
    for line in sorted(ratings.splitlines(), key=_order):
        day = datetime.fromtimestamp(_order(line)[0], UTC).date()
        logs[f"logs/{day}" if day >= DAILY_FROM else f"history/{day:%Y-%m}"].append(line)
    return {f"{name}.dat.gz": "".join(f"{line}\n" for line in lines) for name, lines in logs.items()}


def _order(line: str) -> tuple[int, int, str]:
    user, movie, _, seconds = line.split("::")
    return int(seconds), int(user), movie


def _pack(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))  # no time inside: same input, same bytes


def main() -> None:
    """Write history/YYYY-MM.dat.gz, logs/YYYY-MM-DD.dat.gz and movies.dat.gz beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snapshot", type=Path, required=True, help="folder with ratings.dat.gz and movies.dat.gz")
    snapshot = parser.parse_args().snapshot
    logs = dated_logs(gzip.decompress((snapshot / "ratings.dat.gz").read_bytes()).decode())
    for name, text in logs.items():
        _pack(HERE / name, text)
    _pack(HERE / "movies.dat.gz", gzip.decompress((snapshot / "movies.dat.gz").read_bytes()).decode())
    print(f"{sum(text.count(chr(10)) for text in logs.values())} ratings in {len(logs)} files -> {HERE}")


if __name__ == "__main__":
    main()
