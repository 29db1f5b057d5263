"""A night that is run after a later one, and promotes a model that the later one should have started from."""

from pathlib import Path

from tests.generated import FIRST_NIGHT, SECOND_NIGHT, write_rules
from tests.running import Flow
from tests.tables_oracle import contents

from intentrec.tables import GATE_DECISIONS, MODELS

KEPT_FOR_EVER = {MODELS.name, GATE_DECISIONS.name}  # the model made without a champion stays in them


def test_a_night_filled_in_leaves_later_ones_alone_until_they_run_again(before, undisturbed, tmp_path: Path) -> None:
    mixed = Flow.at(tmp_path / "mixed", before["end"].logs)
    write_rules(mixed.config, mixed.logs)
    done = mixed.forked(SECOND_NIGHT)
    assert done.returncode == 0, done.stderr
    later = contents(mixed.warehouse, run_date=SECOND_NIGHT)
    done = mixed.forked(FIRST_NIGHT)
    assert done.returncode == 0, done.stderr
    assert contents(mixed.warehouse, run_date=SECOND_NIGHT) == later
    done = mixed.forked(SECOND_NIGHT)
    assert done.returncode == 0, done.stderr
    assert "ingest_events skipped" in done.stdout
    assert "build_examples skipped" not in done.stdout  # its champion is another one now
    found = contents(mixed.warehouse)
    assert {name for name in found if found[name] != undisturbed[name]} == KEPT_FOR_EVER
    print("\na night filled in before a later one: tables equal once the later one has run again")
