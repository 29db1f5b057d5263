"""What a job did, for whoever has to show it: one JSON file per run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intentrec.ledger import Run
from intentrec.report import put_text


def write_receipt(run: Run, kind: str, facts: Mapping[str, Any]) -> Path:
    """Write ``<artifacts>/<kind>/<run id>.json`` in one step.

    Raises:
        SetupError: the file cannot be written.
    """
    path = Path(str(run.config.artifacts), kind, f"{run.run_id}.json")
    head = {"run_id": run.run_id, "run_date": run.run_date.isoformat(), "warehouse": run.config.warehouse}
    put_text(path, json.dumps({**head, **facts}, indent=1, default=str) + "\n", "receipt")
    return path
