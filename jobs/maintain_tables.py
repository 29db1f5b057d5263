"""Old nights, small files and old versions go; safe beside a night, and to run again."""

import sys
from argparse import Namespace

from intentrec.keeping.maintaining import maintain
from intentrec.keeping.receipts import write_receipt
from intentrec.ledger import Errand, Run, run_errand


def maintain_tables(run: Run, _given: Namespace) -> dict[str, int]:
    """Maintain all tables and the artifacts, and write what became of them."""
    counters, facts = maintain(run)
    run.log(f"receipt: {write_receipt(run, 'maintenance', {**counters, **facts})}")
    return counters


ERRAND = Errand(name="maintain_tables", body=maintain_tables, alone=False)

if __name__ == "__main__":
    sys.exit(run_errand(ERRAND))
