"""How consumers use each table: a query, how fresh its rows are, how long they stay. TABLES.md shows it."""

from dataclasses import dataclass

from intentrec.tables.declaration import Table


@dataclass(frozen=True, slots=True)
class Usage:
    """What a consumer may rely on beyond the columns.

    Attributes:
        query: Spark SQL that runs as it stands where the tables have their names.
        fresh: when rows appear and what may still change them.
    """

    query: str
    fresh: str


_NIGHT = "one set of rows per night, replaced whole when the night is run again"
_LAST = "with the night's last commit, so its newest run_date is always complete; a refused night leaves the one before"
_USAGE = {
    "events": Usage(
        "SELECT action, count(*) AS events FROM events WHERE event_date = DATE'2024-05-01' GROUP BY action",
        "within the night that read the file; late rows up to `input.late_days` join their own day; nothing is updated",
    ),
    "events_quarantine": Usage(
        "SELECT source_file, reason, count(*) AS rows FROM events_quarantine GROUP BY ALL ORDER BY rows DESC",
        "with events; rows that came too early leave once a later night has accepted them",
    ),
    "ingested_files": Usage(
        "SELECT path, rows_read, rows_accepted + rows_duplicate + rows_quarantined AS told FROM ingested_files",
        "with events, one row per content of a file",
    ),
    "items": Usage(
        "SELECT item_id, title, categories FROM items WHERE run_date = DATE'2024-05-01' AND available", _NIGHT
    ),
    "users": Usage(
        "SELECT segment, count(*) AS users FROM users WHERE run_date = DATE'2024-05-01' GROUP BY ALL", _NIGHT
    ),
    "rules": Usage(
        "SELECT rule, kind, count(*) AS rows FROM rules WHERE run_date = DATE'2024-05-01' GROUP BY ALL", _NIGHT
    ),
    "sessions": Usage(
        "SELECT session_id, user_id, inline(events) FROM sessions WHERE session_date = DATE'2024-05-01' LIMIT 20",
        "after events; a late event can join, part or move the sessions around it, which are then written again",
    ),
    "vocabulary": Usage("SELECT max(item_index) AS items FROM vocabulary WHERE run_date = DATE'2024-05-01'", _NIGHT),
    "feature_vocabulary": Usage(
        "SELECT field, count(*) AS values FROM feature_vocabulary WHERE run_date = DATE'2024-05-01' GROUP BY field",
        _NIGHT,
    ),
    "examples": Usage(
        "SELECT split, length_bucket, count(*) AS rows FROM examples WHERE run_date = DATE'2024-05-01' GROUP BY ALL",
        f"{_NIGHT}; made for the trainer, consumers take histories or sessions",
    ),
    "histories": Usage(
        "SELECT user_id, size(items) AS events FROM histories WHERE run_date = DATE'2024-05-01' LIMIT 20", _NIGHT
    ),
    "models": Usage(
        "SELECT run_date, model_id, kind, warm_started_from FROM models ORDER BY run_date DESC",
        "a row per trained model, never changed",
    ),
    "gate_decisions": Usage(
        "SELECT run_date, verdict, model_id, against, reason FROM gate_decisions ORDER BY decided_at DESC",
        "appended by every night that judges; the newest row of a run date counts",
    ),
    "metrics": Usage(
        "SELECT run_date, model_id, value, low, high FROM metrics WHERE stage = 'evaluate_model' AND segment = 'all' "
        "AND metric = 'ndcg' AND k = 10 ORDER BY run_date, value DESC",
        "one set of rows per night and stage, replaced whole when the stage is run again",
    ),
    "recommendations_staged": Usage(
        "SELECT count(*) AS lists FROM recommendations_staged WHERE run_date = DATE'2024-05-01'",
        "before the lists are checked: for looking into a refused night, never for serving",
    ),
    "user_intents": Usage(
        "SELECT user_id, head, labels[0].label AS likeliest FROM (SELECT user_id, inline(heads) FROM user_intents "
        "WHERE run_date = DATE'2024-05-01')",
        f"{_NIGHT}, just before recommendations",
    ),
    "segment_recommendations": Usage(
        "SELECT segment, items.item_id AS item_ids FROM segment_recommendations WHERE run_date = DATE'2024-05-01'",
        f"{_NIGHT}, just before recommendations",
    ),
    "similar_items": Usage(
        "SELECT item_id, items[0].item_id AS nearest FROM similar_items WHERE run_date = DATE'2024-05-01'",
        f"{_NIGHT}, just before recommendations",
    ),
    "recommendations": Usage(
        "SELECT user_id, inline(items) FROM recommendations WHERE run_date = (SELECT max(run_date) FROM recommendations)",
        _LAST,
    ),
    "runs": Usage(
        "SELECT run_date, stage, status, finished_at - started_at AS took, message FROM runs ORDER BY finished_at DESC",
        "after every stage",
    ),
    "erasure_requests": Usage(
        "SELECT user_id, requested_at FROM erasure_requests ORDER BY requested_at",
        "written by you, emptied by erase_users",
    ),
    "erased_users": Usage("SELECT count(*) AS users FROM erased_users", "with the erasure; keyed hashes alone, no id"),
}

CHANGES = """\
## When a schema changes

Tables only grow. A later version may add a table, a column at the end or a field at the end of a struct; what is here keeps its name,
its type, its unit and its place in the key. New columns may be null in rows that were written before. So a consumer

- names its columns (`SELECT user_id, items`, never `SELECT *` into a fixed shape), and reads struct fields by name;
- ignores values of `source`, `verdict`, `reason`, `metric` and `flags` that it does not know: such lists may grow;
- asks `run_date` for the night, and the newest `run_date` of `recommendations` for what to serve;
- keeps the Delta version that it has read when it follows the change data feed of `events` or `recommendations`.

For example, a version that tells the price of each recommended item would add `price: DOUBLE` at the end of the struct in
`recommendations.items`: every query above runs as before, and the rows of older nights hold null there. What would break a
reader (a renamed column, another type, another meaning) comes as a new table beside the old one, and CHANGELOG.md marks it
`[Breaking]`.

## How long rows stay

Where `maintain_tables` runs, nights older than `maintenance.run_date_days` (90) go, but for what a champion still needs; events and
sessions stay for ever unless `maintenance.keep_days` says otherwise. Old versions of a table can be read, and its change data feed
followed, for `maintenance.retention_hours` (7 days), those of `examples` for 30 days. A consumer that has been away for longer, or
that meets an erasure, reads the newest run date whole and goes on from there.
"""


def usage_of(table: Table) -> Usage | None:
    """Return how a table is used; None for one that consumers have no business with."""
    return _USAGE.get(table.name)
