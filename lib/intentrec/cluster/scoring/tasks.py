"""histories -> candidates on Spark: one task after the other, one thread of torch each."""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import torch
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema

from intentrec.cluster.scoring.columns import HISTORY, Users, candidate_rows
from intentrec.cluster.scoring.plan import ScoringPlan, load_scorer, num_tasks
from intentrec.cluster.scoring.ruled import Makers
from intentrec.tables import CANDIDATES

_USERS_AT_ONCE = 1024  # what is made for them stays below 50 MB with lists of 100 chosen from 500


def score(histories: DataFrame, plan: Broadcast[ScoringPlan], num_users: int) -> DataFrame:
    """Score users task by task, one torch thread each: as many tasks run as Spark has cores.

    Equal users give equal candidates to the last bit, however ``histories`` is partitioned or ordered, and whoever
    else is scored.

    Args:
        histories: rows of ``with_origin``, with the user's segment (or null) where the plan has a ``cold``, and with
            audiences where it has rules.
        plan: broadcast from the driver.
        num_users: how many rows those are.

    Returns:
        CANDIDATES rows, in no particular order.

    Raises:
        InputError: a file of the model is missing or changed.
    """
    if plan.value.folder is not None:
        load_scorer(plan.value)  # here first: an error of a task would reach the user as a trace of Java
    schema = CANDIDATES.schema
    asked = ["user_id", *HISTORY, "made_from", *(["segment"] if plan.value.cold is not None else [])]
    asked += ["audiences"] if plan.value.rules is not None else []
    chosen = histories.select(*asked).repartition(num_tasks(num_users), "user_id")
    # Of 250 kinds of users a batch met most, and 16 makers are kept: 10 ms for each of the others, batch after batch.
    alike = ["audiences"] if plan.value.rules is not None else []
    chosen = chosen.sortWithinPartitions(*alike, "user_id")
    return chosen.mapInArrow(task_of(plan, to_arrow_schema(schema)), schema)


def task_of(
    plan: Broadcast[ScoringPlan], schema: pa.Schema, threads: int = 1
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Return what a task does with its rows; it works without Spark too, for any Arrow batches.

    Args:
        plan: broadcast from the driver.
        schema: of CANDIDATES.
        threads: of torch.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(threads)
        scoring = plan.value
        makers = Makers(scoring, None if scoring.folder is None else load_scorer(scoring))
        for batch in batches:
            for start in range(0, batch.num_rows, _USERS_AT_ONCE):
                for users, maker in makers.of(Users.of(batch.slice(start, _USERS_AT_ONCE))):
                    yield candidate_rows(users, *maker.lists_of(users), scoring.items, schema)

    return run
