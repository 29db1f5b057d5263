import logging

import pytest

from intentrec.errors import InputError, SetupError, TrainingError
from intentrec.model.distributed.horovod_ranks import RankLostError
from intentrec.model.distributed.notes import Notes, leave_failure, leave_start, log_into


class HorovodInternalError(RuntimeError):
    """As Horovod's own."""


def test_ranks_have_started_once_each_has_said_so(tmp_path):
    notes = Notes(tmp_path, 2)
    leave_start(tmp_path, 1)
    leave_start(tmp_path, 1)
    assert not notes.all_started()
    leave_start(tmp_path, 0)
    assert notes.all_started()
    assert not notes.any_failed()


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (InputError("items.json: is\nmissing"), InputError, "rank 3 of 4: items.json: is missing"),
        (SetupError("disk: full"), SetupError, "rank 3 of 4: disk: full"),
        (ZeroDivisionError("1 / 0"), TrainingError, "rank 3 of 4: ZeroDivisionError: 1 / 0"),
        (MemoryError(), TrainingError, "rank 3 of 4: MemoryError"),
    ],
)
def test_a_failure_is_told_with_its_rank_and_keeps_its_kind(tmp_path, error, kind, said):
    notes = Notes(tmp_path, 4)
    leave_failure(tmp_path, 1, HorovodInternalError("the others are gone"))
    leave_failure(tmp_path, 2, RuntimeError("Horovod has been shut down. This was caused by"))
    leave_failure(tmp_path, 0, RankLostError("waited 8 s"))
    assert notes.any_failed()
    assert notes.failure() is None  # these only lost the last
    leave_failure(tmp_path, 3, error)
    assert (type(notes.failure()), str(notes.failure())) == (kind, said)


def test_notes_that_cannot_be_read_hide_no_other_error(tmp_path):
    (tmp_path / "00001.failed").mkdir()  # reading it is an OSError
    assert Notes(tmp_path, 2).failure() is None


def test_the_log_arrives_in_whole_lines_and_each_once(tmp_path):
    notes = Notes(tmp_path, 2)
    assert notes.new_lines() == []
    handler = log_into(tmp_path)
    assert handler.mode == "w"  # a mount may refuse "a"
    handler.emit(logging.LogRecord("intentrec", logging.INFO, "", 0, "epoch 1 – done", None, None))
    assert notes.new_lines() == ["epoch 1 – done"]
    with (tmp_path / "log").open("a") as log:
        log.write("epoch 2\nepo")
    assert notes.new_lines() == ["epoch 2"]
    with (tmp_path / "log").open("a") as log:
        log.write("ch 3\n")
    assert notes.new_lines() == ["epoch 3"]
    handler.close()


def test_a_folder_that_a_rank_does_not_see_is_no_reason_to_fail(tmp_path):
    nowhere = tmp_path / "none"
    leave_start(nowhere, 0)
    leave_failure(nowhere, 0, InputError("x"))
    assert isinstance(log_into(nowhere), logging.NullHandler)
    assert not nowhere.exists()
