"""What the two jobs read that keep a warehouse: erase_users and maintain_tables."""

from typing import Annotated

from pydantic import Field, StrictInt

from intentrec.config.section import Count, Section


class ErasureConfig(Section):
    """erase_users, and what keeps raw logs from bringing erased users back."""

    key_variable: str = Field(
        "INTENTREC_ERASURE_KEY",
        description="environment variable with the secret key of the hashes in erased_users, at least 16 bytes; keep "
        "it as long as the raw logs: under another key nobody is recognised, and that is refused",
    )
    key_file: str | None = Field(None, description="file that holds the key instead; what stands around it is no part")
    retention_hours: StrictInt = Field(
        0,
        ge=0,
        description="hours in which old versions, which still hold an erased user, can be read; after them erase_users "
        "or maintain_tables removes their files; 0: at once",
    )


class MaintenanceConfig(Section):
    """maintain_tables: what is kept for how long."""

    run_date_days: Count = Field(
        90, description="days before the run date; rows and model files of older nights are removed"
    )
    keep_days: dict[str, Annotated[StrictInt, Field(gt=0)] | None] = Field(
        {},
        description="table: its own days, null for ever; events, sessions, events_quarantine, and tables without a "
        "date are kept for ever unless they stand here",
    )
    retention_hours: StrictInt = Field(
        168, ge=0, description="hours in which old versions can be read; those of a night under way in any case"
    )
    small_file_mb: Count = Field(
        64, description="lists, intents and sessions are written anew, ordered by user, where their files are smaller"
    )
