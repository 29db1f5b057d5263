"""What a run needs before its first stage, and gives back after its last: lock, Spark session, log."""

import logging
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from intentrec.ledger.lock import HeldError, folder_lock, lease, local_folder
from intentrec.ledger.run import Command, Run
from intentrec.spark import start_spark

logger = logging.getLogger("intentrec")


@contextmanager
def open_run(command: Command, *, locked: bool = True) -> Iterator[Run]:
    """Take the lock, start Spark or use the active session, and end what was started here.

    Without the lock nothing may be written but inside of ``brief_lock``.

    Raises:
        PublishError: another run holds the warehouse.
        SetupError: the warehouse cannot be written, or Spark or Delta is missing.
    """
    config = command.config
    run_id = f"{command.run_date:%Y%m%d}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    conf = {key: str(value) for key, value in config.spark.conf.items()}
    with ExitStack() as stack:
        folder = local_folder(config.warehouse)
        if folder is not None and locked:
            # Before Spark starts, so that a second run ends within seconds.
            stack.enter_context(folder_lock(folder, run_id))
        spark, started_here = start_spark("intentrec", config.spark.master, conf, config.spark.jars)
        if started_here:
            stack.callback(_stop, spark)
        run = Run(command, spark, run_id)
        if folder is None and locked:
            run.check_lock = stack.enter_context(lease(run.warehouse))
        yield run


@contextmanager
def brief_lock(run: Run) -> Iterator[bool]:
    """Hold the warehouse for one step of a job that does not hold it as a whole; a night that starts waits for it.

    Yields:
        Whether it is held; False: another run holds it, nothing may be written.
    """
    folder = local_folder(run.config.warehouse)
    with ExitStack() as stack:
        try:
            if folder is not None:
                stack.enter_context(folder_lock(folder, run.run_id, brief=True))
            else:
                stack.enter_context(lease(run.warehouse, brief=True))
        except HeldError:
            yield False
        else:
            yield True


def _stop(spark: SparkSession) -> None:
    with suppress(Exception):  # a JVM that died cannot be stopped; what killed it is what the user must read
        spark.stop()


@contextmanager
def log_to_terminal() -> Iterator[None]:
    """Write the package's log lines to standard output, with the time; entered by jobs, never by the library.

    The lines go nowhere else meanwhile: Horovod, petastorm or the program that we run in may have given the root logger
    a handler of its own, which would write each of them a second time.
    """
    handler = _Terminal()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])


class _Terminal(logging.StreamHandler[Any]):
    """Write to what standard output is now: a notebook gives every cell another one."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout
        super().emit(record)
