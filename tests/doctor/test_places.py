import os
import tempfile
from pathlib import Path

import pytest

from intentrec.doctor import places
from intentrec.doctor.machine import existing
from intentrec.doctor.places import check_lock, check_places, places_of
from intentrec.ledger.lock import folder_lock


def test_a_folder_that_cannot_be_written_fails_and_one_to_be_made_passes(tmp_path, monkeypatch):
    (found,) = check_places({"warehouse": tmp_path / "a" / "b"})
    assert (found.level, found.found) == ("PASS", f"warehouse {tmp_path}/a/b: will be made in {tmp_path}")
    assert not [*tmp_path.iterdir()]

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(places.tempfile, "NamedTemporaryFile", refuse)
    (found,) = check_places({"warehouse": tmp_path})
    assert (found.level, "cannot be written: Permission denied" in found.found) == ("FAIL", True)
    assert "key warehouse" in found.remedy


def test_a_folder_that_may_not_be_looked_into_is_named_and_not_stumbled_over(tmp_path, monkeypatch):
    inner, exists, open_ = tmp_path / "private" / "wh", Path.exists, os.open

    def forbidden(place, *more, **options):
        if str(place).startswith(str(inner)):
            raise PermissionError(13, "Permission denied", str(place))
        return (exists if isinstance(place, Path) and not more else open_)(place, *more, **options)

    (tmp_path / "private").mkdir()
    monkeypatch.setattr(Path, "exists", forbidden)
    assert existing(inner) == tmp_path / "private"
    monkeypatch.setattr(places.os, "open", forbidden)
    found = check_lock(str(inner))
    assert (found.level, found.found) == ("FAIL", f"{inner}/.lock cannot be opened: Permission denied")


def test_a_running_night_is_told(tmp_path):
    assert check_lock(str(tmp_path)).found == "nobody holds the warehouse"
    with folder_lock(tmp_path, "run-1"):
        found = check_lock(str(tmp_path))
        assert (found.level, "run-1" in found.found) == ("WARN", True)
    assert check_lock(str(tmp_path)).level == "PASS"
    assert check_lock("main.shop").found == "of a catalog: seen by the job"


@pytest.mark.parametrize(("warehouse", "names"), [("main.shop", {"artifacts"}), ("/w", {"warehouse", "artifacts"})])
def test_the_places_are_those_on_this_machine(tmp_path, warehouse, names, monkeypatch):
    from intentrec.config import load_config

    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    file = tmp_path / "c.yaml"
    file.write_text(
        f"warehouse: {warehouse}\nartifacts: /a\n"
        "input: {events: {path: a, format: csv, columns: {user_id: u, occurred_at: t}}}\n"
    )
    found = places_of(load_config(file))
    assert set(found) == names | {"spark.local.dir"}
    assert found["spark.local.dir"] == Path(tempfile.gettempdir())
