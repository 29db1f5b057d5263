"""The demo's log: split by UTC day, sorted by time, complete, small, and without anybody's Twitter id."""

import gzip
import importlib.util
import re
from datetime import UTC, date, datetime
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


def test_ratings_are_split_by_utc_day_and_sorted_by_time(sample: ModuleType) -> None:
    ratings = (
        "2::0111161::9::1377907199\n10::0111161::7::1377907200\n9::0068646::8::1377907200\n1::0068646::10::1377820800\n"
    )
    assert sample.daily_logs(ratings) == {
        date(2013, 8, 30): "1::0068646::10::1377820800\n2::0111161::9::1377907199\n",  # its first and its last second
        date(2013, 8, 31): "9::0068646::8::1377907200\n10::0111161::7::1377907200\n",  # ties by user, as numbers
    }


def test_the_same_ratings_give_the_same_bytes(sample: ModuleType, tmp_path: Path) -> None:
    sample._pack(tmp_path / "a" / "log.gz", "1::2::3::4\n")
    sample._pack(tmp_path / "b" / "log.gz", "1::2::3::4\n")
    assert (tmp_path / "a" / "log.gz").read_bytes() == (tmp_path / "b" / "log.gz").read_bytes()


def test_the_bundled_log_holds_the_whole_snapshot_one_file_a_day() -> None:
    logs = sorted((DEMO / "logs").glob("*.dat.gz"))
    rows = 0
    for log in logs:
        lines = gzip.decompress(log.read_bytes()).decode().splitlines()
        rows += len(lines)
        seconds = [int(line.split("::")[3]) for line in lines]
        assert seconds == sorted(seconds)
        assert {datetime.fromtimestamp(second, UTC).date().isoformat() for second in seconds} == {log.name[:10]}
    assert (len(logs), rows) == (186, 100_000)


def test_every_rated_movie_is_in_the_catalogue() -> None:
    movies = gzip.decompress((DEMO / "movies.dat.gz").read_bytes()).decode().splitlines()
    known = {movie.split("::")[0] for movie in movies}
    rated = {
        line.split("::")[1]
        for log in (DEMO / "logs").glob("*.dat.gz")
        for line in gzip.decompress(log.read_bytes()).decode().splitlines()
    }
    assert len(known) == len(movies) == 10_506
    assert rated <= known


def test_the_bundle_stays_under_two_megabytes_and_ships_its_licence() -> None:
    bundled = [path for path in DEMO.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in bundled) < 2_000_000
    assert not [path for path in bundled if "users" in path.name]
    assert re.search(
        r"MIT License[\s\S]*Copyright \(c\) 2013 Simon Dooms", (DEMO / "LICENSE.MovieTweetings").read_text()
    )
