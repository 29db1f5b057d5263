"""histories -> candidates on Spark: one task after the other, one thread of torch each."""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import torch
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema

from intentrec.cluster.scoring.columns import HISTORY, Users, candidate_rows
from intentrec.cluster.scoring.lists import ListMaker
from intentrec.cluster.scoring.plan import ScoringPlan, load_scorer, num_tasks
from intentrec.tables import CANDIDATES


def score(histories: DataFrame, plan: Broadcast[ScoringPlan], num_users: int) -> DataFrame:
    """Score users task by task, one torch thread each: as many tasks run as Spark has cores.

    Equal users give equal candidates to the last bit, however ``histories`` is partitioned or ordered.

    Args:
        histories: HISTORIES rows.
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
    chosen = histories.select("user_id", *HISTORY).repartition(num_tasks(num_users), "user_id")
    chosen = chosen.sortWithinPartitions("user_id")
    return chosen.mapInArrow(_task(plan, to_arrow_schema(schema)), schema)


def _task(
    plan: Broadcast[ScoringPlan], schema: pa.Schema
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        scoring = plan.value
        maker = ListMaker(scoring, None if scoring.folder is None else load_scorer(scoring))
        for batch in batches:
            if batch.num_rows:
                users = Users.of(batch)
                yield candidate_rows(users, *maker.lists_of(users), scoring.items, schema)

    return run
