"""A person's word: what it changes, what the next nights make of it, and what is refused."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jobs.override import ERRAND
from tests.generated import FIRST_NIGHT, SECOND_NIGHT
from tests.running import Flow
from tests.tables_oracle import contents, rows_of, versions

from intentrec.ledger import PUBLISHED, run_errand
from intentrec.tables import GATE_DECISIONS, MODELS, RECOMMENDATIONS, RUNS

BECAUSE = ("--reason", "half of the lists are socks")
LAST = ("--only", "write_recommendations")


def overridden(flow: Flow, night, *flags: str) -> int:
    return run_errand(ERRAND, argv=flow.arguments(night, *flags))


def makers(flow: Flow, night) -> set[str]:
    return {row["model_id"] for row in rows_of(flow.warehouse, RECOMMENDATIONS, run_date=night)}


def decisions(flow: Flow, night) -> list[tuple[str, str]]:
    rows = sorted(rows_of(flow.warehouse, GATE_DECISIONS, run_date=night), key=lambda row: row["decided_at"])
    return [(row["verdict"], row["model_id"]) for row in rows]


@pytest.fixture(scope="module")
def copy(flow: Flow, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return flow.copied_to(tmp_path_factory.mktemp("override") / "copy")


def test_withdrawn_lists_vanish_and_stay_away_until_they_are_lifted(flow: Flow, copy: Flow, capfd) -> None:
    (maker,) = makers(copy, SECOND_NIGHT)
    published = versions(copy.warehouse)[RECOMMENDATIONS.name]
    for _ in range(2):  # twice equals once
        assert overridden(copy, SECOND_NIGHT, "--withdraw", *BECAUSE) == 0
        assert versions(copy.warehouse)[RECOMMENDATIONS.name] == published + 1  # one commit
        assert decisions(copy, SECOND_NIGHT)[-2:] == [
            ("promoted", decisions(flow, SECOND_NIGHT)[0][1]),
            ("withdrawn", maker),
        ]
    left = [rows_of(copy.warehouse, table) for table in PUBLISHED]
    assert {row["run_date"] for rows in left for row in rows} == {FIRST_NIGHT}  # readers fall back to it
    capfd.readouterr()
    assert copy.night(SECOND_NIGHT, *LAST) == 0
    assert "were withdrawn (half of the lists are socks) and are not published again" in capfd.readouterr().out
    assert copy.night(SECOND_NIGHT, *LAST, "--strict") == 5  # skipped, and still withdrawn
    assert [rows_of(copy.warehouse, table) for table in PUBLISHED] == left
    assert overridden(copy, SECOND_NIGHT, "--lift", "--reason", "socks are fine") == 0
    assert copy.night(SECOND_NIGHT, *LAST) == 0
    found, before = contents(copy.warehouse), contents(flow.warehouse)
    assert {name for name in found if found[name] != before[name]} == {GATE_DECISIONS.name}
    told = rows_of(copy.warehouse, RUNS, stage="override")
    assert [row["status"] for row in told] == ["finished"] * 3


def test_a_demoted_model_serves_no_more_and_a_pinned_one_is_the_next_champion(flow: Flow, copy: Flow, capfd) -> None:
    judged = {night: decisions(flow, night)[0][1] for night in (FIRST_NIGHT, SECOND_NIGHT)}
    refits = {row["challenger_id"]: row["model_id"] for row in rows_of(flow.warehouse, MODELS, kind="refit")}
    assert makers(copy, SECOND_NIGHT) == {refits[judged[SECOND_NIGHT]]}
    assert overridden(copy, SECOND_NIGHT, "--demote", judged[SECOND_NIGHT], *BECAUSE) == 0
    assert f"the champion of the nights after {SECOND_NIGHT}: {judged[FIRST_NIGHT]}" in capfd.readouterr().out
    assert copy.night(SECOND_NIGHT, *LAST) == 0
    assert makers(copy, SECOND_NIGHT) == {refits[judged[FIRST_NIGHT]]}
    for _ in range(2):
        assert overridden(copy, SECOND_NIGHT, "--pin", judged[SECOND_NIGHT], "--reason", "it was not the model") == 0
        assert f"the champion of the nights after {SECOND_NIGHT}: {judged[SECOND_NIGHT]}" in capfd.readouterr().out
    assert decisions(copy, SECOND_NIGHT)[-2:] == [("demoted", judged[SECOND_NIGHT]), ("pinned", judged[SECOND_NIGHT])]
    *_, pin = sorted(rows_of(copy.warehouse, GATE_DECISIONS), key=lambda row: row["decided_at"])
    assert pin["serving_model_id"] == refits[judged[SECOND_NIGHT]]
    assert contents(copy.warehouse, run_date=FIRST_NIGHT) == contents(flow.warehouse, run_date=FIRST_NIGHT)


@pytest.fixture
def unchanged(flow: Flow, copy: Flow) -> Iterator[Flow]:
    before = versions(copy.warehouse)
    yield copy
    after = versions(copy.warehouse)
    assert {name for name in after if after[name] != before[name]} <= {RUNS.name}


@pytest.mark.parametrize(
    ("night", "flags", "line"),
    [
        (
            "2024-05-09",
            ("--withdraw",),
            f"table recommendations: no lists of 2024-05-09 are published, .* those of {SECOND_NIGHT}, {FIRST_NIGHT}",
        ),
        (str(FIRST_NIGHT), ("--lift",), f"the lists of {FIRST_NIGHT} are not withdrawn, wanted a withdrawal to lift"),
        (str(FIRST_NIGHT), ("--pin", "nobody"), r"model_id nobody is missing, wanted a trained one: \w+ \(refit of "),
        (str(FIRST_NIGHT), ("--pin", ""), "model_id is missing, wanted a trained one"),
        (str(FIRST_NIGHT), ("--demote", "nobody"), "model_id nobody is missing"),
        (str(FIRST_NIGHT), ("--pin", "LATER"), f"was trained for {SECOND_NIGHT}, after {FIRST_NIGHT}, wanted one that"),
        (str(FIRST_NIGHT), ("--demote", "LATER"), f"was neither promoted nor pinned up to {FIRST_NIGHT}, wanted one"),
    ],
)
def test_what_cannot_be_overridden_is_refused_in_one_line(
    unchanged: Flow, flow: Flow, capfd, night, flags, line
) -> None:
    later = decisions(flow, SECOND_NIGHT)[0][1]
    flags = tuple(flag.replace("LATER", later) for flag in flags)
    argv = ["--config", str(unchanged.config), "--run-date", night, *flags, *BECAUSE]
    capfd.readouterr()
    assert run_errand(ERRAND, argv=argv) == 3
    err = capfd.readouterr().err.strip()
    assert "\n" not in err
    assert re.search(line, err), err


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--withdraw",), "the following arguments are required: --reason"),
        (("--withdraw", "--reason", " "), "argument --reason: must be a sentence of at most 500 characters, is ' '"),
        (("--withdraw", "--reason", "x" * 501), "argument --reason: must be a sentence of at most 500 characters"),
        (BECAUSE, "one of the arguments --withdraw --lift --pin --demote is required"),
        (("--withdraw", "--lift", *BECAUSE), "argument --lift: not allowed with argument --withdraw"),
        (("--pin", *BECAUSE), "argument --pin: expected one argument"),
        (("--withdraw", "--strict", *BECAUSE), "unrecognized arguments: --strict"),
    ],
)
def test_flags_in_a_wrong_form_are_refused_in_one_line(tmp_path: Path, capfd, flags, line) -> None:
    with pytest.raises(SystemExit) as ended:
        run_errand(ERRAND, argv=["--config", str(tmp_path / "c.yaml"), "--run-date", "2024-05-04", *flags])
    assert ended.value.code == 2
    err = capfd.readouterr().err.strip()
    assert err.startswith("jobs/override.py: ")
    assert line in err
    assert "\n" not in err


def test_help_explains_every_flag(capfd) -> None:
    with pytest.raises(SystemExit) as ended:
        run_errand(ERRAND, argv=["--help"])
    assert ended.value.code == 0
    out = capfd.readouterr().out
    assert "Overrides the gate, with a reason" in out
    assert all(flag in out for flag in ("--withdraw", "--lift", "--pin", "--demote", "--reason", "--run-date"))
