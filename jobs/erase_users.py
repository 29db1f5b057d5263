"""Users leave every table, file and old version, and raw logs do not bring them back. Safe to run again."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from intentrec.keeping.erasing import asked_users, drop_requests, erase, purge_erased
from intentrec.keeping.receipts import write_receipt
from intentrec.ledger import Errand, Run, run_errand


def flags(parser: ArgumentParser) -> None:
    """Name users beside those in table erasure_requests; a command line can be seen by others on the machine."""
    parser.add_argument("--user", action="append", default=[], metavar="ID", help="a user_id, byte-exact; repeatable")
    parser.add_argument(
        "--user-file", action="append", default=[], type=Path, metavar="FILE", help="one user_id a line; repeatable"
    )


def erase_users(run: Run, given: Namespace) -> dict[str, int]:
    """Erase who is asked for, remove old versions once their time has come, and write the receipt."""
    users = asked_users(run, given.user, given.user_file)
    rows, touched = erase(run, users) if users else ({}, [])
    drop_requests(run, users)
    purged = purge_erased(run)
    counters = {
        "users": len(users),
        "rows_removed": sum(rows.values()),
        "files_removed": sum(map(len, purged.files.values())) + len(touched),
        "users_purged": len(purged.hashes),
    }
    if users or purged.hashes:
        facts = {
            **counters,
            "retention_hours": run.config.erasure.retention_hours,
            "rows_removed_of": rows,
            "artifacts_removed": touched,
            "files_removed_of": purged.files,
            "purged_user_hashes": purged.hashes,
        }
        run.log(f"receipt: {write_receipt(run, 'erasures', facts)}")
    return counters


ERRAND = Errand(name="erase_users", body=erase_users, flags=flags)

if __name__ == "__main__":
    sys.exit(run_errand(ERRAND))
