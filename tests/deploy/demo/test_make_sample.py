"""The demo's log: split by UTC day, sorted by time, complete, small, and without anybody's Twitter id."""

import gzip
import importlib.util
import re
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

DEMO = Path(__file__).resolve().parents[3] / "deploy" / "demo"


@pytest.fixture
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_sample_under_test", DEMO / "make_sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ratings_are_split_by_utc_month_then_day_and_sorted_by_time(sample: ModuleType) -> None:
    ratings = """\
2::0111161::9::1377907199
10::0111161::7::1377907200
9::0068646::8::1377907200
1::0068646::10::1377820800
3::0111161::6::1375315199
4::0111161::6::1375315200
"""
    assert sample.dated_logs(ratings) == {
        "history/2013-07.dat.gz": "3::0111161::6::1375315199\n",  # the last second of July
        "logs/2013-08-01.dat.gz": "4::0111161::6::1375315200\n",
        "logs/2013-08-30.dat.gz": "1::0068646::10::1377820800\n2::0111161::9::1377907199\n",  # first and last second
        "logs/2013-08-31.dat.gz": "9::0068646::8::1377907200\n10::0111161::7::1377907200\n",  # ties by user, as numbers
    }


def test_the_same_ratings_give_the_same_bytes(sample: ModuleType, tmp_path: Path) -> None:
    sample._pack(tmp_path / "a" / "log.gz", "1::2::3::4\n")
    sample._pack(tmp_path / "b" / "log.gz", "1::2::3::4\n")
    assert (tmp_path / "a" / "log.gz").read_bytes() == (tmp_path / "b" / "log.gz").read_bytes()


def bundled_logs() -> dict[str, list[str]]:
    """Return the lines of each file, by the date in its name."""
    files = sorted([*(DEMO / "history").glob("*.dat.gz"), *(DEMO / "logs").glob("*.dat.gz")])
    return {log.name.removesuffix(".dat.gz"): gzip.decompress(log.read_bytes()).decode().splitlines() for log in files}


def test_the_bundled_log_holds_the_whole_snapshot_by_month_and_by_day() -> None:
    logs = bundled_logs()
    for dated, lines in logs.items():
        seconds = [int(line.split("::")[3]) for line in lines]
        assert seconds == sorted(seconds)
        assert {datetime.fromtimestamp(second, UTC).date().isoformat()[: len(dated)] for second in seconds} == {dated}
    assert list(logs)[:7] == ["2013-02", "2013-03", "2013-04", "2013-05", "2013-06", "2013-07", "2013-08-01"]
    assert (len(logs), list(logs)[-1]) == (6 + 31 + 1, "2013-09-01")
    assert sum(map(len, logs.values())) == 100_000


def test_every_rated_movie_is_in_the_catalogue() -> None:
    movies = gzip.decompress((DEMO / "movies.dat.gz").read_bytes()).decode().splitlines()
    known = {movie.split("::")[0] for movie in movies}
    rated = {line.split("::")[1] for lines in bundled_logs().values() for line in lines}
    assert len(known) == len(movies) == 10_506
    assert rated <= known


def test_the_bundle_stays_under_two_megabytes_and_ships_its_licence() -> None:
    bundled = [path for path in DEMO.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in bundled) < 2_000_000
    assert not [path for path in bundled if "users" in path.name]
    assert re.search(
        r"MIT License[\s\S]*Copyright \(c\) 2013 Simon Dooms", (DEMO / "LICENSE.MovieTweetings").read_text()
    )
