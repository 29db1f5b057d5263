"""The tables by which users are erased."""

from intentrec.tables.declaration import Table

ERASURE_REQUESTS = Table(
    name="erasure_requests",
    row="user to erase",
    writer="whoever takes the requests; erase_users removes what it has done",
    key=("user_id",),
    columns="""
        user_id       STRING  NOT NULL  COMMENT 'as in events',
        requested_at  TIMESTAMP         COMMENT 'UTC'
    """,
)
ERASED_USERS = Table(
    name="erased_users",
    row="user whose rows were erased and stay out",
    writer="erase_users",
    key=("user_hash",),
    provenance=("run_id", "erased_at", "purged_at"),
    columns="""
        user_hash  STRING     NOT NULL  COMMENT 'HMAC-SHA256 of the user_id in hex, under the key of erasure.key_variable or erasure.key_file',
        key_mark   STRING     NOT NULL  COMMENT 'tells one key from another, and nothing else of it',
        run_date   DATE       NOT NULL  COMMENT 'the run date that erase_users was started with',
        erased_at  TIMESTAMP  NOT NULL  COMMENT 'UTC, from when on the user is kept out',
        purged_at  TIMESTAMP            COMMENT 'UTC, when the last file of an old version was gone; null: not yet, see erasure.retention_hours',
        run_id     STRING     NOT NULL  COMMENT 'the run that erased the user'
    """,
)
