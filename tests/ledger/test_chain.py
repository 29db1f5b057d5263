"""A stage that is run alone reads nothing that belongs to other rows or other code: the matrix of mismatches."""

from dataclasses import replace
from datetime import date

import pytest

from intentrec.config import STAGES
from intentrec.errors import InputError
from intentrec.ledger.chain import Identity, input_hash, refuse_broken_chain

DAY = date(2024, 5, 1)


def chain(**changed: str) -> dict[str, Identity]:
    """Finished stages, each built on the one before; of those named, another fingerprint."""
    found: dict[str, Identity] = {}
    before = None
    for stage in STAGES:
        found[stage] = before = Identity(input_hash(changed.get(stage, stage), before), "config", "1.0")
    return found


def refused(stage: str, finished: dict[str, Identity]) -> str:
    with pytest.raises(InputError) as told:
        refuse_broken_chain(stage, finished, DAY, "1.0")
    return str(told.value)


@pytest.mark.parametrize("stage", STAGES)
def test_stages_that_are_built_on_each_other_are_accepted(stage: str) -> None:
    refuse_broken_chain(stage, chain(), DAY, "1.0")


BEFORE = [(stage, before) for place, stage in enumerate(STAGES) for before in STAGES[:place]]


@pytest.mark.parametrize(("stage", "before"), BEFORE)
def test_a_stage_that_has_not_finished_is_named(stage: str, before: str) -> None:
    finished = {name: identity for name, identity in chain().items() if name != before}
    assert refused(stage, finished) == (
        f"table runs: {before} has not finished for run date 2024-05-01, wanted by {stage}; "
        "run it first, or jobs/nightly.py"
    )


@pytest.mark.parametrize(("stage", "before"), BEFORE)
def test_a_stage_that_another_version_ran_is_named(stage: str, before: str) -> None:
    finished = chain()
    finished[before] = replace(finished[before], code_version="0.9")
    assert refused(stage, finished) == (
        f"table runs: {before} of run date 2024-05-01 was run by intentrec 0.9, wanted 1.0, which {stage} is run by; "
        f"run jobs/nightly.py, or begin with --from {before}"
    )


@pytest.mark.parametrize(("stage", "before"), [(stage, before) for stage, before in BEFORE if before != STAGES[0]])
def test_a_stage_that_was_not_run_since_the_one_before_it_changed_is_named(stage: str, before: str) -> None:
    changed = STAGES[STAGES.index(before) - 1]
    finished = {**chain(), changed: chain(**{changed: "other files"})[changed]}
    assert refused(stage, finished) == (
        f"table runs: {before} of run date 2024-05-01 was not run since the stage before it changed, wanted by "
        f"{stage}; run jobs/nightly.py, or begin with --from {before}"
    )


def test_a_changed_config_of_the_stage_before_counts_as_a_change() -> None:
    finished = chain()
    finished["build_examples"] = replace(finished["build_examples"], config_hash="longer histories")
    assert "train_model of run date 2024-05-01 was not run since" in refused("evaluate_model", finished)
    refuse_broken_chain("train_model", finished, DAY, "1.0")  # it is about to run on what is there now


def test_the_hash_of_what_a_stage_sees_holds_both_its_own_and_what_it_is_built_on() -> None:
    first = Identity(input_hash("files", None), "c", "1.0")
    assert len(first.input_hash) == 64
    assert input_hash("x", first)[:32] == input_hash("x", None)[:32] != input_hash("y", None)[:32]
    assert input_hash("x", first)[32:] == first.content() != replace(first, code_version="1.1").content()
