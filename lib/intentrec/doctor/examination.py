"""All checks, in the order in which a night would meet their faults."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

from intentrec.config import Config, is_catalog, load_config
from intentrec.doctor import inputs, java, machine, packages, places, ranks
from intentrec.doctor.findings import Finding, failed, misconfigured, passed, warned
from intentrec.doctor.limits import check_limits
from intentrec.doctor.tables import check_tables
from intentrec.errors import ConfigError, IntentrecError
from intentrec.io import Warehouse
from intentrec.ledger.lock import local_folder
from intentrec.spark import slots, start_spark


def examine(file: Path, overrides: Sequence[str], run_date: date) -> list[Finding]:
    """Check machine, packages, config, logs and places; start Spark only if nothing failed, and look at the tables.

    Nothing is written but files of a moment that tell whether a folder can be written.
    """
    findings = [packages.check_python(), java.check_java(os.environ)]
    try:
        config = load_config(file, overrides)
    except ConfigError as error:
        findings += packages.check_packages(packages.installed(), ranks=2)
        return [
            *findings,
            misconfigured("config", str(error), "correct the key; all of them: deploy/conf/reference.yaml"),
        ]
    findings += packages.check_packages(packages.installed(), config.training.workers)
    findings += before_spark(config, file, run_date)
    if any(finding.level == "FAIL" for finding in findings):
        return [
            *findings,
            warned("tables", "not looked at: Spark is started when nothing above fails", "mend that first"),
        ]
    return [*findings, *_with_spark(config)]


def before_spark(config: Config, file: Path, run_date: date) -> Iterator[Finding]:
    """Check what can be seen without Spark."""
    yield passed("config", f"{file}: every key is known and within its bounds")
    yield from check_limits(config.sessions)
    yield java.check_jars(config.spark.jars)
    yield ranks.check_horovod(config.training.workers)
    yield from ranks.check_slots(config)
    seen = inputs.check_inputs(config, run_date)
    yield from seen.findings
    written = places.places_of(config)
    yield from places.check_places(written)
    yield places.check_lock(config.warehouse)
    yield from machine.check_disk(written, sum(file.size for file in seen.files))
    yield from machine.check_memory(config)
    yield from machine.check_ports(dict(config.spark.conf))
    yield machine.check_open_files()
    changes = [file.modified_at for file in seen.files] + list(_commit_times(config))
    yield machine.check_clock(config, run_date, max(changes, default=None))
    yield _time_zone(config)


def _time_zone(config: Config) -> Finding:
    here = time.tzname[0]
    days = f"days are those of {config.timezone} from {config.day_starts_at}"
    return passed("time zone", f"{days}; this machine's {here} plays no part: all times are computed in UTC")


def _commit_times(config: Config) -> Iterator[datetime]:
    folder = local_folder(config.warehouse)
    with suppress(OSError):  # a folder that may not be read is named by check_places
        for log in () if folder is None else folder.glob("*/_delta_log"):
            yield datetime.fromtimestamp(log.stat().st_mtime, UTC)


def _with_spark(config: Config) -> Iterator[Finding]:
    conf = {key: str(value) for key, value in config.spark.conf.items()}
    try:
        spark, started_here = start_spark("doctor", config.spark.master, conf, config.spark.jars)
    except IntentrecError as error:
        yield failed("spark", str(error), "see what it says; the checks of java and jars above")
        return
    try:
        workers = config.training.workers if config.training.launcher == "spark" else 0
        num_slots = slots(spark, workers)
        room = "executors that come and go" if num_slots is None else f"{num_slots} slots"
        yield passed("spark", f"{spark.version} on {spark.sparkContext.master} with Delta, {room}")
        if workers > 1 and num_slots is not None and num_slots < workers:  # one rank takes no slot, as in train_model
            remedy = f"set training.workers to {max(1, num_slots)}, or give the cluster more cores"
            yield misconfigured("slots", f"training.workers {workers}, but Spark has {num_slots} slots", remedy)
        warehouse = Warehouse(spark, config.warehouse, in_catalog=is_catalog(config.warehouse))
        yield from check_tables(warehouse, config)
    except IntentrecError as error:
        yield misconfigured("tables", str(error), "correct `warehouse`")
    finally:
        if started_here:
            spark.stop()
