"""Two DAGs for Airflow 3: the whole night as one task, or one task a stage. Switch one of them on.

Set these in the environment of the workers:
    INTENTREC_HOME    folder of the checkout, set up with `make install`
    INTENTREC_CONFIG  the YAML file
    INTENTREC_SUBMIT  what starts a job; default: the checkout's own Python. On a cluster, a spark-submit with its flags

A repeated task skips what has finished for the same inputs, so clearing one is safe; a second run at the same time ends
with exit code 6. Back-fill with `airflow backfill create`: every run date touches its own rows alone.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

STAGES = ("ingest_events", "build_sessions", "build_examples", "train_model", "evaluate_model", "write_recommendations")
# The interval that ends at 02:30 began the day before: its start is the run date.
COMMAND = (
    '${INTENTREC_SUBMIT:-"$INTENTREC_HOME/.venv/bin/python"} "$INTENTREC_HOME/jobs/%s.py" '
    '--config "$INTENTREC_CONFIG" --run-date {{ data_interval_start | ds }}'
)
SETTINGS = {
    "schedule": CronDataIntervalTimetable("30 2 * * *", timezone="UTC"),
    "start_date": datetime(2024, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "tags": ["intentrec"],
    "default_args": {
        "retries": 1,  # a crash or a lost machine; a config that is wrong fails again within seconds
        "retry_delay": timedelta(minutes=10),
        "append_env": True,
        "execution_timeout": timedelta(hours=8),
    },
}

with DAG("intentrec_night", description="raw logs to lists, one task", **SETTINGS):
    BashOperator(task_id="nightly", bash_command=COMMAND % "nightly")

with DAG("intentrec_stages", description="raw logs to lists, one task a stage", **SETTINGS):
    before = None
    for stage in STAGES:
        task = BashOperator(task_id=stage, bash_command=COMMAND % stage)
        if before is not None:
            before >> task
        before = task
