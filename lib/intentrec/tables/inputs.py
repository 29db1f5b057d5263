"""The tables from the raw logs to what the model reads, in flow order."""

from intentrec.tables.declaration import Table

_EVENT = (
    "STRUCT<occurred_at: TIMESTAMP, sequence: BIGINT, event_id: STRING, item_id: STRING, action: STRING, value: DOUBLE, "
    "context: ARRAY<STRUCT<key: STRING, value: STRING>>>"
)
BOT_FLAG = "bot_"  # what the flags of sessions begin with that no person made
_PAIRS = "ARRAY<STRUCT<key: STRING, value: STRING>>"

EVENTS = Table(
    name="events",
    row="accepted event",
    writer="ingest_events",
    key=("event_id",),
    partition=("event_date",),
    provenance=("source_file", "source_line", "run_id", "ingested_at"),
    properties={"delta.enableChangeDataFeed": "true"},
    columns=f"""
        event_id     STRING     NOT NULL  COMMENT 'from the log, or a hash of all mapped fields',
        user_id      STRING     NOT NULL  COMMENT 'byte-exact from the log',
        item_id      STRING               COMMENT 'byte-exact from the log; null only for actions declared without an item',
        action       STRING     NOT NULL  COMMENT 'from the log; event where the log has none',
        occurred_at  TIMESTAMP  NOT NULL  COMMENT 'UTC',
        sequence     BIGINT     NOT NULL  COMMENT 'order among events of one instant; 0 where the log has none',
        value        DOUBLE               COMMENT 'from the log, for example dwell seconds or a price',
        context      {_PAIRS}   NOT NULL  COMMENT 'further fields kept, sorted by key',
        event_date   DATE       NOT NULL  COMMENT 'UTC day of occurred_at',
        source_file  STRING     NOT NULL  COMMENT 'the file this event came from',
        source_line  BIGINT               COMMENT 'line or row number in the file, from 1',
        run_id       STRING     NOT NULL  COMMENT 'the run that accepted it',
        ingested_at  TIMESTAMP  NOT NULL  COMMENT 'UTC, time of writing'
    """,
)
EVENTS_QUARANTINE = Table(
    name="events_quarantine",
    row="rejected row or file",
    writer="ingest_events",
    key=("source_file", "line", "reason"),
    partition=("run_date",),
    provenance=("run_date", "run_id"),
    columns="""
        run_date        DATE    NOT NULL  COMMENT 'the run date that read it',
        source_file     STRING  NOT NULL  COMMENT 'the file it came from',
        line            BIGINT            COMMENT 'line or row number in the file, from 1; null for a whole file',
        raw             STRING            COMMENT 'the text as delivered, cut at 64 KiB',
        reason          STRING  NOT NULL  COMMENT 'one of a closed list, see README',
        detail          STRING            COMMENT 'column, value and what was wanted',
        content_sha256  STRING  NOT NULL  COMMENT 'of the file',
        run_id          STRING  NOT NULL  COMMENT 'the run that rejected it'
    """,
)
INGESTED_FILES = Table(
    name="ingested_files",
    row="input file content",
    writer="ingest_events",
    key=("path", "content_sha256"),
    provenance=("modified_at", "run_date", "run_id", "ingested_at"),
    checks={
        "books_balance": "rows_read = rows_accepted + rows_duplicate + rows_quarantined",
    },
    columns="""
        path              STRING     NOT NULL  COMMENT 'the file as found by the glob',
        content_sha256    STRING     NOT NULL  COMMENT 'of the bytes as delivered',
        size              BIGINT     NOT NULL  COMMENT 'bytes as delivered',
        modified_at       TIMESTAMP            COMMENT 'UTC, of the file',
        rows_read         BIGINT     NOT NULL  COMMENT 'rows in the file; 1 for a file rejected whole',
        rows_accepted     BIGINT     NOT NULL  COMMENT 'rows that are in events because of this file',
        rows_duplicate    BIGINT     NOT NULL  COMMENT 'rows already known',
        rows_quarantined  BIGINT     NOT NULL  COMMENT 'rows in events_quarantine',
        run_date          DATE       NOT NULL  COMMENT 'the run date that read it',
        run_id            STRING     NOT NULL  COMMENT 'the run that read it',
        ingested_at       TIMESTAMP  NOT NULL  COMMENT 'UTC, time of writing'
    """,
)
ITEMS = Table(
    name="items",
    row="item, as of a run date",
    writer="ingest_events",
    key=("run_date", "item_id"),
    partition=("run_date",),
    provenance=("run_id",),
    columns=f"""
        run_date      DATE           NOT NULL  COMMENT 'as of the end of this date',
        item_id       STRING         NOT NULL  COMMENT 'as in events',
        title         STRING                   COMMENT 'for people',
        categories    ARRAY<STRING>  NOT NULL  COMMENT 'as listed in the catalogue, main category first',
        published_at  TIMESTAMP                COMMENT 'UTC; from the catalogue, else the first event',
        available     BOOLEAN        NOT NULL  COMMENT 'false: never recommended',
        attributes    {_PAIRS}       NOT NULL  COMMENT 'further fields, sorted by key',
        run_id        STRING         NOT NULL  COMMENT 'the run that wrote it'
    """,
)
USERS = Table(
    name="users",
    row="user, as of a run date",
    writer="ingest_events",
    key=("run_date", "user_id"),
    partition=("run_date",),
    provenance=("run_id",),
    columns=f"""
        run_date    DATE      NOT NULL  COMMENT 'as of the end of this date',
        user_id     STRING    NOT NULL  COMMENT 'as in events',
        segment     STRING              COMMENT 'for lists of users without history',
        attributes  {_PAIRS}  NOT NULL  COMMENT 'further fields, sorted by key',
        run_id      STRING    NOT NULL  COMMENT 'the run that wrote it'
    """,
)
SESSIONS = Table(
    name="sessions",
    row="session",
    writer="build_sessions",
    key=("session_id",),
    partition=("session_date",),
    provenance=("run_id",),
    checks={"in_order": "started_at <= ended_at", "not_empty": "num_events = size(events) AND num_events > 0"},
    columns=f"""
        session_id        STRING           NOT NULL  COMMENT 'SHA-256 of start (microseconds) and user',
        user_id           STRING           NOT NULL  COMMENT 'as in events',
        started_at        TIMESTAMP        NOT NULL  COMMENT 'UTC, first event',
        ended_at          TIMESTAMP        NOT NULL  COMMENT 'UTC, last event',
        num_events        INT              NOT NULL  COMMENT 'size of events',
        events            ARRAY<{_EVENT}>  NOT NULL  COMMENT 'oldest first, ties by sequence, then event_id',
        flags             ARRAY<STRING>    NOT NULL  COMMENT 'sorted: bot_ and the rule of sessions.bots; clock_back (sessions.flag_clock_back); cut_at_start, cut_at_end (forced by max_hours or max_events)',
        chain_started_at  TIMESTAMP        NOT NULL  COMMENT 'UTC, start of the run of events without a longer pause than the gap, of which forced cuts made this session',
        session_date      DATE             NOT NULL  COMMENT 'UTC day of started_at',
        run_id            STRING           NOT NULL  COMMENT 'the run that built it'
    """,
)
VOCABULARY = Table(
    name="vocabulary",
    row="item known to a model",
    writer="build_examples",
    key=("run_date", "item_id"),
    partition=("run_date",),
    checks={"index_from_one": "item_index > 0"},
    columns="""
        run_date       DATE       NOT NULL  COMMENT 'the night it belongs to',
        item_id        STRING     NOT NULL  COMMENT 'as in events',
        item_index     INT        NOT NULL  COMMENT 'from 1 without holes; 0 is padding and unknown',
        first_seen_at  TIMESTAMP  NOT NULL  COMMENT 'UTC, first event of the item'
    """,
)
FEATURE_VOCABULARY = Table(
    name="feature_vocabulary",
    row="value of an event feature known to a model",
    writer="build_examples",
    key=("run_date", "field", "value"),
    partition=("run_date",),
    checks={"index_from_one": "value_index > 0"},
    columns="""
        run_date     DATE    NOT NULL  COMMENT 'the night it belongs to',
        field        STRING  NOT NULL  COMMENT 'one of examples.event_features, or number(NAME) for one of examples.numeric_features',
        value        STRING  NOT NULL  COMMENT 'as in events or items; of numbers the least of a bin, as >= 5.0',
        value_index  INT     NOT NULL  COMMENT 'from 1 without holes within a field; 0 is padding and unknown'
    """,
)
EXAMPLES = Table(
    name="examples",
    row="training sequence",
    writer="build_examples",
    key=("run_date", "split", "length_bucket", "row_id"),
    partition=("run_date", "split", "length_bucket"),
    properties={"delta.enableDeletionVectors": "false", "delta.deletedFileRetentionDuration": "interval 30 days"},
    columns="""
        run_date       DATE           NOT NULL  COMMENT 'the night it belongs to',
        split          STRING         NOT NULL  COMMENT 'train, validation or holdout: where the targets lie',
        length_bucket  INT            NOT NULL  COMMENT 'length of every array, events',
        row_id         BIGINT         NOT NULL  COMMENT 'hash of user and position, unique within run_date and split',
        length         INT            NOT NULL  COMMENT 'events that are not padding',
        items          ARRAY<INT>     NOT NULL  COMMENT 'item_index, oldest first, padded with 0 on the left',
        times          ARRAY<BIGINT>  NOT NULL  COMMENT 'UTC, seconds since 1970, padded with 0 on the left',
        weights        ARRAY<FLOAT>   NOT NULL  COMMENT 'weight of the event as a target; 0: context only',
        features       ARRAY<INT>     NOT NULL  COMMENT 'value_index of each column of examples.event_features and numeric_features, one column after the other, each length_bucket long'
    """,
)
HISTORIES = Table(
    name="histories",
    row="user to score",
    writer="build_examples",
    key=("run_date", "user_id"),
    partition=("run_date",),
    columns="""
        run_date       DATE           NOT NULL  COMMENT 'as of the end of this date',
        user_id        STRING         NOT NULL  COMMENT 'as in events',
        items          ARRAY<INT>     NOT NULL  COMMENT 'item_index of the latest events, oldest first, not padded; 0 is an event without a known item',
        times          ARRAY<BIGINT>  NOT NULL  COMMENT 'UTC, seconds since 1970',
        features       ARRAY<INT>     NOT NULL  COMMENT 'as in examples, each column as long as items',
        seen           ARRAY<INT>     NOT NULL  COMMENT 'item_index of every item that recommendations.seen excludes, ascending',
        num_events     BIGINT         NOT NULL  COMMENT 'events of the user until the end of run_date',
        last_event_at  TIMESTAMP      NOT NULL  COMMENT 'UTC'
    """,
)
