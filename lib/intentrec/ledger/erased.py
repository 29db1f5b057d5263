"""Who stays out: the secret key, and the hashes in ``erased_users`` that were made with it."""

import os
from pathlib import Path

from intentrec.config import ErasureConfig
from intentrec.errors import SetupError
from intentrec.events import Erased, key_mark
from intentrec.ledger.run import Run
from intentrec.tables import ERASED_USERS

_LEAST_BYTES = 16


def erased_users(run: Run) -> Erased | None:
    """Return the users whom ingest leaves out; None: nobody was ever erased here, and no key is needed.

    Raises:
        SetupError: there are some and the key is missing, or is another one than theirs.
    """
    if not run.warehouse.exists(ERASED_USERS):
        return None
    rows = run.warehouse.read(ERASED_USERS).select("user_hash", "key_mark").collect()
    if not rows:
        return None
    key = erasure_key(run.config.erasure)
    if {row["key_mark"] for row in rows} != {key_mark(key)}:
        raise SetupError(
            f"table erased_users: its {len(rows):,} hashes were made with another key than that in "
            f"{_place(run.config.erasure)}, wanted theirs: users who were erased would come back. Restore the key"
        )
    return Erased(key, frozenset(row["user_hash"] for row in rows))


def erasure_key(settings: ErasureConfig) -> bytes:
    """Read the secret key from its file, else from the environment.

    Raises:
        SetupError: there is none, or it is shorter than 16 bytes.
    """
    where = _place(settings)
    if settings.key_file is not None:
        try:
            key = Path(settings.key_file).read_bytes().strip()
        except OSError as error:
            raise SetupError(f"erasure.key_file: {settings.key_file}: {error.strerror}; restore the file") from None
    else:
        key = os.environ.get(settings.key_variable, "").strip().encode()
    if len(key) < _LEAST_BYTES:
        raise SetupError(
            f"{where} holds {len(key)} bytes, wanted the secret key of erased_users, at least {_LEAST_BYTES}: "
            "set it to what `openssl rand -hex 32` prints once, and keep it"
        )
    return key


def _place(settings: ErasureConfig) -> str:
    if settings.key_file is not None:
        return f"erasure.key_file {settings.key_file}"
    return f"the environment variable {settings.key_variable} (erasure.key_variable)"
