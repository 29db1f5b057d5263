"""What a job did, for whoever has to show it: one JSON file per run."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from intentrec.crashes import crash_point
from intentrec.errors import SetupError
from intentrec.ledger import Run


def write_receipt(run: Run, kind: str, facts: Mapping[str, Any]) -> Path:
    """Write ``<artifacts>/<kind>/<run id>.json`` in one step.

    Raises:
        SetupError: the file cannot be written.
    """
    path = Path(str(run.config.artifacts), kind, f"{run.run_id}.json")
    head = {"run_id": run.run_id, "run_date": run.run_date.isoformat(), "warehouse": run.config.warehouse}
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({**head, **facts}, indent=1, default=str) + "\n", encoding="utf-8")
        crash_point("receipt:before_rename")
        beside.replace(path)
        crash_point("receipt:after_rename")
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise SetupError(
            f"{path}: cannot be written ({error.strerror}); set artifacts to a folder with space and rights, run again"
        ) from None
    return path
