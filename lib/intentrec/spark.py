"""The Spark session: an active one is used as it is, else one is started with Delta."""

import logging
import os
import pwd
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from socketserver import BaseServer
from typing import Any

from delta import configure_spark_with_delta_pip
from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from intentrec.errors import SetupError

DELTA_PACKAGE = "io.delta:delta-spark_2.13:4.0.1"
_DELTA_JARS = ("io.delta_delta-spark_2.13-4.0.1.jar", "io.delta_delta-storage-4.0.1.jar")  # as Ivy names them
_EXECUTORS_S = 10.0
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_LOG_CONFIG = Path(__file__).with_name("log4j2.properties")

# What every session of ours computes with; a value that the config sets wins.
_SESSION_CONF = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.ansi.enabled": "true",
    # Rows that go to Python at once; with a limit in bytes Spark measures its buffers after every row, a fifth of the
    # splitter's time.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
    "spark.sql.execution.arrow.maxBytesPerBatch": "2147483647",
    # Delta's default of 50 makes every commit on a small table take seconds.
    "spark.databricks.delta.snapshotPartitions": "2",
}
_STATIC_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",  # its bars would cut our log lines
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    # With a Hive metastore Delta enters a placeholder and then the columns, which Hive refuses in a long trace of Java.
    "spark.hadoop.hive.metastore.disallow.incompatible.col.type.changes": "false",
    # Else every call on a column asks Java for its place in the caller's file: 0.6 ms instead of 0.1 ms.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
_LOCAL_CONF = {
    "spark.driver.memory": "4g",  # the JVM's default of 1g is below what a night of 300,000 events needs
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
}


def start_spark(name: str, master: str, conf: Mapping[str, str], jars: str | None = None) -> tuple[SparkSession, bool]:
    """Return a session that knows Delta and computes in UTC, and whether it was started here.

    Args:
        name: the application's name.
        master: used only where no session is active and spark-submit names none.
        conf: further settings; they win over ours.
        jars: folder with Delta's jars; without it they come from the local Ivy cache, or are fetched once.

    Raises:
        SetupError: Java or the jars are missing, or the active session lacks Delta.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers start the first python3 on PATH otherwise
    logging.getLogger("py4j").setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_not_of_py4j)
    active = _active()
    if active is not None:
        session = active.newSession()  # our settings stay ours: the caller's session keeps its own
    else:
        session = _start(name, master, conf, jars)
    try:
        _configure(session, conf)
        _check_delta(session)
    except SetupError:
        if active is None:
            session.stop()
        raise
    return session, active is None


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    """Leave out what py4j writes to the root logger once Java has died: traces, even after the error's one line."""
    return record.module not in ("java_gateway", "clientserver")


def _leave_out_that_java_has_gone(server: BaseServer) -> None:
    """Java keeps a connection to this server once a task has run in Python; its end is an error to socketserver."""
    tell = server.handle_error

    def told(request: Any, client: Any) -> None:
        if not isinstance(sys.exception(), EOFError | ConnectionError):
            tell(request, client)

    server.handle_error = told  # type: ignore[method-assign, assignment]


def _active() -> SparkSession | None:
    """Return the session of this thread, else that of the process: a thread that the caller made has none itself."""
    found = SparkSession.getActiveSession()
    if found is None and SparkContext._active_spark_context is not None:
        return SparkSession.builder.getOrCreate()
    return found


def _configure(session: SparkSession, conf: Mapping[str, str]) -> None:
    for key, value in {**_SESSION_CONF, **conf}.items():
        if session.conf.isModifiable(key):
            try:
                session.conf.set(key, value)
            except (PySparkException, Py4JError) as error:
                raise SetupError(f"spark.conf: {key} was refused by Spark: {_first_line(error)}") from error


def _start(name: str, master: str, conf: Mapping[str, str], jars: str | None) -> SparkSession:
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # under spark-submit the JVM runs already
    found = _jars_in(jars) if jars is not None else [] if submitted else fetched_jars()
    builder = SparkSession.builder.appName(name)
    try:
        settings = {**_defaults(master, submitted), **conf}
        if not submitted:
            settings[_JAVA_OPTIONS] = _java_options(conf.get(_JAVA_OPTIONS, ""))
        for key, value in settings.items():
            builder = builder.config(key, value)
        if found:
            builder = builder.config("spark.jars", ",".join([*found, *_listed(conf, "spark.jars")]))
        elif not submitted:
            builder = configure_spark_with_delta_pip(builder, _listed(conf, "spark.jars.packages"))
        session = builder.getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        raise SetupError(
            f"Spark did not start with master {master}: {_first_line(error)}. "
            "Wanted Java 17 and Delta's jars: see JAVA_HOME, or give a folder of jars as spark.jars"
        ) from error
    session.sparkContext.setLogLevel("FATAL")  # a failed task is told once, by the job, with its cause
    _leave_out_that_java_has_gone(session.sparkContext._accumulatorServer)
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        # pyspark writes 20 KB of JSON about an error before it raises it; whoever catches it says what it means.
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    return session


def _defaults(master: str, submitted: bool) -> dict[str, str]:
    """Return our settings, without those that spark-submit was given: they are its user's wish."""
    ours = {**_STATIC_CONF, **_SESSION_CONF}
    if not submitted:
        local = {**_LOCAL_CONF, "spark.sql.shuffle.partitions": str(_cores(master))}
        return {"spark.master": master, **(local if master.startswith("local") else {}), **ours}
    SparkContext._ensure_initialized()  # connects to the JVM, without which SparkConf is empty
    given = SparkConf()
    effective = given.get("spark.master") or master
    if effective.startswith("local"):
        ours["spark.sql.shuffle.partitions"] = str(_cores(effective))
    return {key: value for key, value in {"spark.master": master, **ours}.items() if not given.contains(key)}


def _cores(master: str) -> int:
    inside = master.removeprefix("local").strip("[]").split(",")[0]
    return max(2, int(inside) if inside.isdigit() else os.cpu_count() or 2)


def _java_options(given: str) -> str:
    """Return the options for Java: those given, and our setting of the log, which leaves out all but errors.

    Until the session runs, Spark's own setting writes a dozen lines of warnings and advice. A log that the user has set
    up stays as it is.
    """
    if "log4j" in given or "SPARK_CONF_DIR" in os.environ or not _LOG_CONFIG.is_file():
        return given
    return f"{given} -Dlog4j2.configurationFile={_LOG_CONFIG.as_uri()}".strip()


def _listed(conf: Mapping[str, str], key: str) -> list[str]:
    return [name.strip() for name in conf.get(key, "").split(",") if name.strip()]


def fetched_jars() -> list[str]:
    """Return Delta's jars as Ivy has fetched them; none if it has not. Ivy itself says so in 25 lines each time."""
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # the user's home as Java sees it
    except KeyError:  # a container's user without a name
        home = Path.home()
    for folder in sorted(home.glob(".ivy2*/jars"), reverse=True):  # the name carries Ivy's version
        jars = [folder / name for name in _DELTA_JARS]
        if all(jar.is_file() for jar in jars):
            return list(map(str, jars))
    return []


def _jars_in(folder: str) -> list[str]:
    jars = sorted(map(str, Path(folder).glob("*.jar")))
    if not any("delta-spark" in jar for jar in jars):
        raise SetupError(
            f"spark.jars: {folder} holds no delta-spark jar, wanted that of {DELTA_PACKAGE} and delta-storage"
        )
    return jars


def _check_delta(session: SparkSession) -> None:
    """Name what is missing before the first table is touched."""
    java = session.sparkContext._jvm
    assert java is not None
    try:
        java.java.lang.Class.forName("io.delta.tables.DeltaTable", False, _class_loader(session))
    except Py4JError:
        raise SetupError(
            f"Spark {session.version} runs without Delta's jars, wanted {DELTA_PACKAGE}: "
            f"add --packages {DELTA_PACKAGE} to spark-submit, or the library to the cluster"
        ) from None
    databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ  # has Delta without the extension
    if not databricks and "DeltaSparkSessionExtension" not in (session.conf.get("spark.sql.extensions", None) or ""):
        raise SetupError(
            "the active Spark session lacks Delta: set spark.sql.extensions to "
            f"{_STATIC_CONF['spark.sql.extensions']} and spark.sql.catalog.spark_catalog to "
            f"{_STATIC_CONF['spark.sql.catalog.spark_catalog']} where it is started"
        )


def _class_loader(session: SparkSession) -> object:
    java = session.sparkContext._jvm
    assert java is not None
    return java.java.lang.Thread.currentThread().getContextClassLoader()


def _first_line(error: BaseException) -> str:
    lines = [line.strip(" :") for line in str(error).splitlines()]
    said = (line for line in lines if line and not line.startswith("An error occurred while"))
    return next(said, type(error).__name__)


def slots(session: SparkSession, wanted: int = 0) -> int | None:
    """Return how many tasks can run at once; None where executors come and go with the work.

    Args:
        session: the session.
        wanted: executors that have just been started may still report: while there are fewer, they get ten seconds.
    """
    if session.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return None
    context = session.sparkContext._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    deadline = time.monotonic() + _EXECUTORS_S
    while True:  # defaultParallelism is at least 2 and may be set: it tells no slots
        found = int(context.maxNumConcurrentTasks(profile))
        if found >= wanted or str(session.sparkContext.master).startswith("local") or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def shipped_code(session: SparkSession) -> tuple[str, ...]:
    """Return the names of the Python files and archives that the session has sent to its executors."""
    names = session.sparkContext._python_includes or ()
    return tuple(name for name in names if not name.endswith(".jar"))  # spark-submit counts those of --packages too


def versions() -> dict[str, str]:
    """Return the versions of what decides a result."""
    names = ("pyspark", "delta-spark", "petastorm", "pyarrow", "numpy", "torch", "horovod")
    return {name: _installed(name) for name in names}


def _installed(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "missing"
