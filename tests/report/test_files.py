import pytest

from intentrec.errors import SetupError
from intentrec.report.files import put_text


def test_a_file_replaces_the_old_one_and_what_a_killed_run_left(tmp_path):
    path = tmp_path / "new" / "summary.json"
    put_text(path, "old")
    (path.parent / ".summary.json.123").write_text("half")
    put_text(path, "é")
    assert path.read_text(encoding="utf-8") == "é"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        SetupError, match=r"file/x.prom: the report cannot be written \(.*\). Set artifacts to a folder"
    ):
        put_text(tmp_path / "file" / "x.prom", "text")
