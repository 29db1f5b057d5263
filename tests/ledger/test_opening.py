"""What a run takes before its first stage and gives back after its last."""

import logging
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.ledger.nights import command, write_config

from intentrec.ledger import open_run
from intentrec.ledger.lock import LEASES, folder_lock
from intentrec.ledger.opening import log_to_terminal


def test_a_folder_is_locked_while_the_run_is_open_and_an_active_session_outlives_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    with open_run(command(write_config(tmp_path))) as run:
        assert run.run_id in (tmp_path / "warehouse" / ".lock").read_text()
        assert run.spark.sparkContext is spark.sparkContext
        assert run.spark.conf.get("spark.sql.shuffle.partitions") == "2"
    with folder_lock(tmp_path / "warehouse", "next"):
        assert spark.range(2).count() == 2


def test_a_catalog_is_leased_while_the_run_is_open(spark: SparkSession, tmp_path: Path) -> None:
    config = write_config(tmp_path, "spark_catalog.opened_shop")
    try:
        with open_run(command(config)) as run:
            run.check_lock()
            assert [row["run_id"] for row in run.warehouse.read(LEASES).collect()] == [run.run_id]
        assert run.warehouse.read(LEASES).count() == 0
        assert not (tmp_path / "spark_catalog.opened_shop").exists()
    finally:
        spark.sql("DROP SCHEMA IF EXISTS spark_catalog.opened_shop CASCADE")


def test_log_lines_go_once_to_what_standard_output_is_now(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever handlers others have put on the root logger, before or meanwhile; afterwards all is as it was."""
    logger, root, theirs = logging.getLogger("intentrec"), logging.getLogger(), logging.StreamHandler(sys.stderr)
    before = list(logger.handlers), logger.level, logger.propagate
    root.addHandler(theirs)
    try:
        with log_to_terminal():
            with log_to_terminal():
                logger.info("hello")
            logging.getLogger("intentrec.model").info("epoch 1")
            written = capsys.readouterr()
            assert written.out.count("INFO hello\n") == 1
            assert written.out.count("INFO epoch 1\n") == 1
            assert written.err == ""
        assert (list(logger.handlers), logger.level, logger.propagate) == before
        logger.warning("to whom it concerns")
        assert capsys.readouterr() == ("", "to whom it concerns\n")
    finally:
        root.removeHandler(theirs)
