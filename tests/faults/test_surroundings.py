"""The same night on machines that are set up otherwise: time zone, language, a disk without room."""

import shutil
import subprocess

import pytest
from tests.generated import SECOND_NIGHT
from tests.running import reason_of
from tests.tables_oracle import contents


@pytest.mark.parametrize(
    "variables",
    [
        {"TZ": "America/New_York"},
        {
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "tr_TR.UTF-8",
            "JDK_JAVA_OPTIONS": "-Duser.language=tr -Duser.country=TR",
        },
    ],
    ids=["new_york", "turkish"],
)
def test_the_tables_do_not_depend_on_zone_and_language_of_the_machine(copy_before, undisturbed, variables) -> None:
    copy = copy_before("ingest_events")
    done = copy.process(SECOND_NIGHT, **variables)
    assert done.returncode == 0, done.stderr
    assert contents(copy.warehouse) == undisturbed


def test_a_full_disk_is_named_and_the_night_goes_on_when_there_is_room(copy_before, undisturbed, tmp_path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        copy = copy_before("ingest_events")
        small = type(copy)(disk / "copy", copy.logs)
        shutil.copytree(copy.folder, small.folder)
        room = shutil.disk_usage(disk).free
        filler = disk / "filler"
        filler.write_bytes(b"0" * (room - 200_000))
        full = small.process(SECOND_NIGHT)
        assert full.returncode == 7, full.stderr
        reason = reason_of(full.stderr)
        assert "No space left on device" in reason
        print(f"\n{reason}")
        filler.unlink()
        again = small.process(SECOND_NIGHT)
        assert again.returncode == 0, again.stderr
        assert contents(small.warehouse) == undisturbed
    finally:
        subprocess.run(["umount", disk], check=True)
