import errno
import json
import os
import stat

import pytest

from intentrec.errors import InputError, SetupError
from intentrec.model.manifest import MANIFEST, file_sha256, verify_folder, write_folder


def fill(folder):
    (folder / "a.txt").write_text("abc")
    (folder / "b.txt").write_text("")


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "model", fill, "model")
    return tmp_path / "model"


def test_every_file_is_listed_with_its_sha256_and_size(tmp_path):
    files = write_folder(tmp_path / "deep" / "model", fill, "model")
    assert [(name, size) for name, _, size in files[:2]] == [("a.txt", 3), ("b.txt", 0)]
    assert files[0][1] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc"
    assert files[2][0] == MANIFEST
    assert files[2][1] == file_sha256(tmp_path / "deep" / "model" / MANIFEST)
    verify_folder(tmp_path / "deep" / "model", files)


def test_a_folder_is_replaced_whole(folder):
    write_folder(folder, lambda new: (new / "c.txt").write_text("c"), "model")
    assert sorted(path.name for path in folder.iterdir()) == ["c.txt", MANIFEST]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]  # nothing temporary stays


def test_a_failed_write_leaves_the_old_folder(folder):
    def fail(new):
        (new / "a.txt").write_text("half")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match=r"stop"):
        write_folder(folder, fail, "model")
    verify_folder(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_full_disk_is_told_in_one_line(folder):
    def full(new):
        raise OSError(28, "No space left on device")

    with pytest.raises(SetupError, match=r"model: cannot be written \(No space left on device\); free space"):
        write_folder(folder, full, "model")


def failing_sync(monkeypatch, code, on_folders):
    """Let fsync fail on folders, or on files."""
    real = os.fsync

    def sync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode) is on_folders:
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_mount_that_flushes_no_folders_is_written_to_all_the_same(tmp_path, monkeypatch, code):
    failing_sync(monkeypatch, code, on_folders=True)
    verify_folder(tmp_path / "model", write_folder(tmp_path / "model", fill, "model"))


@pytest.mark.parametrize(("code", "on_folders"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_any_other_flush_that_fails_refuses_the_folder(tmp_path, monkeypatch, code, on_folders):
    failing_sync(monkeypatch, code, on_folders)
    with pytest.raises(SetupError, match="model: cannot be written"):
        write_folder(tmp_path / "model", fill, "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "a.txt").write_text("abd"), "a.txt: has other bytes than when it was written"),
        (lambda folder: (folder / "a.txt").write_text("abcd"), "a.txt: has 4 bytes, wanted 3"),
        (lambda folder: (folder / "a.txt").unlink(), "a.txt: is missing"),
        (lambda folder: (folder / "x.pkl").write_text("x"), "x.pkl: is not in the manifest"),
        (lambda folder: (folder / MANIFEST).unlink(), "manifest.json: is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{}"), "manifest.json: is no manifest"),
        (lambda folder: (folder / MANIFEST).write_text("not json"), "manifest.json: is no manifest"),
    ],
)
def test_damage_is_refused_and_named(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        verify_folder(folder)


def test_a_manifest_may_not_name_files_outside(folder):
    entry = {"name": "../secret", "sha256": "0", "bytes": 1}
    (folder / MANIFEST).write_text(json.dumps({"files": [entry]}))
    with pytest.raises(InputError, match=r"names a file outside the folder"):
        verify_folder(folder)


def test_a_manifest_that_was_rewritten_with_its_files_is_caught_by_the_record(tmp_path, folder):
    files = write_folder(folder, fill, "model")
    write_folder(folder, lambda new: (new / "a.txt").write_text("xyz"), "model")
    verify_folder(folder)  # in itself it is sound
    with pytest.raises(InputError, match=r"a.txt: has other bytes|b.txt: is missing"):
        verify_folder(folder, files)


def test_what_a_killed_writer_left_is_removed_by_the_next_one_and_nothing_else(tmp_path):
    for name in (".m1-abcd1234", ".m1-notes", ".m2-abcd1234"):
        (tmp_path / name).mkdir()
    write_folder(tmp_path / "m1", lambda new: (new / "a").write_text("x"), "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".m1-notes", ".m2-abcd1234", "m1"]
