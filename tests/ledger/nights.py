"""Small stages under the real names, and a config for them, for the tests of the ledger."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from intentrec.config import load_config
from intentrec.ledger import Command, Run, Stage
from intentrec.tables import ITEMS, USERS, VOCABULARY, Table

DAY = date(2024, 1, 31)
NAMES = ("ingest_events", "build_sessions", "build_examples")
WRITES = dict(zip(NAMES, (ITEMS, USERS, VOCABULARY), strict=True))

CONFIG = """\
warehouse: {warehouse}
artifacts: artifacts
input:
  events: {{path: "logs/*.json", format: json, columns: {{user_id: u, occurred_at: t}}}}
spark: {{master: "local[2]", conf: {{spark.sql.shuffle.partitions: 2}}}}
"""


def write_config(folder: Path, warehouse: str = "warehouse") -> Path:
    file = folder / "config.yaml"
    file.write_text(CONFIG.format(warehouse=warehouse))
    return file


def command(config: Path, *overrides: str, **flags: bool) -> Command:
    return Command(config=load_config(config, overrides), run_date=DAY, **flags)


class Night:
    """Stages that write down that they ran; ``sees`` is what their fingerprints find, ``does`` what they do then."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.sees: dict[str, str] = dict.fromkeys(NAMES, "")
        self.does: dict[str, Callable[[Run], object]] = {}

    def stage(self, name: str) -> Stage:
        def body(run: Run) -> dict[str, int]:
            self.ran.append(name)
            self.does.get(name, lambda _: None)(run)
            return {"rows": 3, "a": 1}

        table: Table = WRITES[name]
        return Stage(name=name, body=body, reads=(), writes=(table,), fingerprint=lambda _: self.sees[name])

    def stages(self, names: Sequence[str] = NAMES) -> list[Stage]:
        return [self.stage(name) for name in names]

    def executed(self) -> list[str]:
        """Return what ran since the last call."""
        ran, self.ran = self.ran, []
        return ran


def raising(error: BaseException) -> Callable[[Run], object]:
    def fail(_: Run) -> None:
        raise error

    return fail
