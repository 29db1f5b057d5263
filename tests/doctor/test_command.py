import json

import pytest
import yaml

from intentrec.config import load_config
from intentrec.doctor import command, run_doctor


@pytest.fixture
def log(tmp_path):
    rows = [{"user": f"u{n % 9}", "item": n % 40, "ts": 1_714_521_600 + 60 * n} for n in range(400)]
    (tmp_path / "log.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "log.json"


def test_a_suggestion_goes_to_standard_output_and_its_plot_to_here(log, monkeypatch, capsys):
    monkeypatch.chdir(log.parent)
    assert run_doctor(["--suggest-config", str(log)]) == 0
    said = capsys.readouterr()
    assert yaml.safe_load(said.out)["input"]["events"][0]["columns"] == {
        "user_id": "user", "item_id": "item", "occurred_at": "ts",
    }  # fmt: skip
    assert (log.parent / "session_gaps.png").read_bytes().startswith(b"\x89PNG")
    assert "pauses and the gap: session_gaps.png" in said.err


def test_a_suggestion_can_be_written_beside_its_plot_and_never_over_a_file(log, capsys):
    out = log.parent / "new" / "shop.yaml"
    assert run_doctor(["--suggest-config", str(log), "--out", str(out)]) == 0
    load_config(out)
    assert (log.parent / "new" / "shop.gaps.png").exists()
    before = out.read_text()
    assert run_doctor(["--suggest-config", str(log), "--out", str(out)]) == 2
    assert "is there already and is left as it is" in capsys.readouterr().err
    assert out.read_text() == before


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        ([], 2, "wanted --config FILE, or --suggest-config GLOB"),
        (["--config", "a.yaml", "--out", "b"], 2, "wanted --config FILE, or --suggest-config GLOB"),
        (["--suggest-config", "/none/*.gz"], 3, "no file with content matches"),
    ],
)
def test_one_line_says_what_was_wanted(flags, code, said, capsys):
    assert run_doctor(flags) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["2024-W18-3", "20240501", "2024-02-30", "1.5.2024"])
def test_a_run_date_is_read_as_the_jobs_read_it(text, capsys):
    with pytest.raises(SystemExit) as ended:
        run_doctor(["--config", "a.yaml", "--run-date", text])
    assert ended.value.code == 2
    wanted = f"jobs/doctor.py: argument --run-date: must be a day as YYYY-MM-DD, is '{text}'; see --help\n"
    assert capsys.readouterr().err == wanted


def test_a_fault_of_the_system_that_the_jobs_name_is_named_here_too(monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "examine", full)
    assert run_doctor(["--config", "a.yaml"]) == 7
    assert "No space left on device. What to do:" in capsys.readouterr().err

    def ours(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(command, "examine", ours)
    with pytest.raises(ZeroDivisionError):
        run_doctor(["--config", "a.yaml"])


def test_a_place_that_cannot_be_written_is_an_error_of_the_surroundings(log, capsys):
    assert run_doctor(["--suggest-config", str(log), "--out", "/proc/none/shop.yaml"]) == 7
    assert "cannot be written" in capsys.readouterr().err
