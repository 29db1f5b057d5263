"""Where the session comes from, and what is said when it cannot work."""

import logging
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from intentrec import spark as ours
from intentrec.errors import SetupError
from intentrec.spark import shipped_code, slots, start_spark, versions

# A process of its own: the session is started, used and stopped here, then one without Delta, then a dead JVM.
ALONE = """
import os, signal, sys
from pathlib import Path
from pyspark.sql import SparkSession
from intentrec.errors import IntentrecError
from intentrec.ledger import run_job
from intentrec.spark import start_spark
from tests.generated import JAVA_OPTIONS
from tests.ledger.nights import DAY, Night, write_config

conf = {"spark.app.note": "kept", "spark.driver.extraJavaOptions": JAVA_OPTIONS}
session, started = start_spark("alone", "local[3]", conf)
print(started, session.conf.get("spark.sql.session.timeZone"), session.conf.get("spark.sql.shuffle.partitions"))
print(session.conf.get("spark.app.note"), session.sparkContext.master, session.conf.get("spark.ui.enabled"))
session.range(3).write.format("delta").save(sys.argv[1] + "/table")
print(session.read.format("delta").load(sys.argv[1] + "/table").count())
session.stop()

bare = SparkSession.builder.master("local[1]").config("spark.sql.extensions", "").getOrCreate()
try:
    start_spark("guest", "local[1]", {})
except IntentrecError as error:
    print(error.exit_code, error)
print(bare.range(5).count())
bare.stop()
try:
    start_spark("nowhere", "nonsense", {})
except IntentrecError as error:
    print(error.exit_code, str(error).replace("\\n", "LINE BREAK"))

def kill_the_jvm(run):
    run.spark.sparkContext.parallelize([1]).map(str).collect()  # Java keeps a connection to Python from now on
    os.kill(run.spark.sparkContext._gateway.proc.pid, signal.SIGKILL)
    os.waitpid(run.spark.sparkContext._gateway.proc.pid, 0)
    run.spark.range(3).count()

night = Night()
night.does["ingest_events"] = kill_the_jvm
config = write_config(Path(sys.argv[1]))
print(run_job(night.stage("ingest_events"), argv=["--config", str(config), "--run-date", str(DAY)]))
"""


def test_a_session_is_started_configured_and_its_end_is_named(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["lib", "."])}, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    lines = [line for line in ended.stdout.splitlines() if not re.match(r"\d\d:\d\d:\d\d ", line)]
    assert lines[:4] == ["True UTC 3", "kept local[3] false", "3", *lines[3:4]], ended.stderr[-2000:]
    assert lines[3].startswith("7 the active Spark session lacks Delta: set spark.sql.extensions to io.delta.sql.")
    assert lines[4] == "5"
    assert lines[5].startswith("7 Spark did not start with master nonsense: ")
    assert lines[5].endswith("Wanted Java 17 and Delta's jars: see JAVA_HOME, or give a folder of jars as spark.jars")
    assert "LINE BREAK" not in lines[5]
    assert lines[6] == "7"
    assert ended.stderr.splitlines()[-1].startswith("the Java process died: "), ended.stderr[-2000:]
    for noise in ("Ivy", "resolution report", "WARN ", "default log", "To adjust logging", "ERROR:root", "Traceback"):
        assert noise not in ended.stderr


def test_traces_of_py4j_on_the_root_logger_are_left_out_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    root.addFilter(ours._is_not_of_py4j)
    for module, told in (("java_gateway", "Exception while sending command."), ("mine", "kept")):
        root.handle(logging.LogRecord("root", logging.ERROR, f"/lib/{module}.py", 1, told, None, None))
    assert caplog.messages == ["kept"]


def test_java_gets_our_setting_of_the_log_beside_the_users_options_unless_the_user_has_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SPARK_CONF_DIR", raising=False)
    ours_alone = f"-Dlog4j2.configurationFile={ours._LOG_CONFIG.as_uri()}"
    assert ours._LOG_CONFIG.is_file()
    assert ours._java_options("") == ours_alone
    assert ours._java_options("-Xss4m") == f"-Xss4m {ours_alone}"
    assert ours._java_options("-Dlog4j2.configurationFile=mine") == "-Dlog4j2.configurationFile=mine"
    monkeypatch.setenv("SPARK_CONF_DIR", "/etc/spark")
    assert ours._java_options("-Xss4m") == "-Xss4m"


def test_jars_that_were_fetched_are_taken_without_asking_ivy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours.pwd, "getpwuid", raise_key_error)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    folder = tmp_path / ".ivy2.5.2" / "jars"
    folder.mkdir(parents=True)
    delta, storage = (folder / f"io.delta_delta-{name}-4.0.1.jar" for name in ("spark_2.13", "storage"))
    delta.write_text("")
    assert ours.fetched_jars() == []  # half of it
    storage.write_text("")
    assert ours.fetched_jars() == [str(delta), str(storage)]
    assert all(ours.DELTA_PACKAGE.rsplit(":")[-1] in name for name in ours._DELTA_JARS)
    assert ours._listed({"spark.jars": "a.jar, b.jar,"}, "spark.jars") == ["a.jar", "b.jar"]
    assert ours._listed({}, "spark.jars") == []


def raise_key_error(_: int) -> None:
    raise KeyError("no such user")


def test_an_active_session_is_used_and_keeps_its_own_settings(spark: SparkSession) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    session, started = start_spark("guest", "local[7]", {"spark.sql.shuffle.partitions": "13"})
    assert not started
    assert session.sparkContext is spark.sparkContext
    assert session.conf.get("spark.sql.shuffle.partitions") == "13"
    assert spark.conf.get("spark.sql.shuffle.partitions") == before
    assert session.conf.get("spark.databricks.delta.snapshotPartitions") == "2"
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        session, _ = start_spark("guest", "local[7]", {})
        assert session.conf.get("spark.sql.session.timeZone") == "UTC"
        assert spark.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")


def test_a_thread_of_the_caller_finds_the_session_too(spark: SparkSession) -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(start_spark("guest", "local[7]", {})[1]))
    thread.start()
    thread.join()
    assert found == [False]


def test_a_session_without_the_jars_of_delta_is_named(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    java = spark.sparkContext._jvm
    assert java is not None
    bare = java.java.lang.ClassLoader.getPlatformClassLoader()  # Java's own classes and no jar of Spark's
    monkeypatch.setattr(ours, "_class_loader", lambda _: bare)
    with pytest.raises(SetupError) as caught:
        start_spark("guest", "local[7]", {})
    assert str(caught.value) == (
        f"Spark {spark.version} runs without Delta's jars, wanted io.delta:delta-spark_2.13:4.0.1: add --packages "
        "io.delta:delta-spark_2.13:4.0.1 to spark-submit, or the library to the cluster"
    )
    assert spark.range(2).count() == 2


def test_a_setting_that_spark_refuses_is_named(spark: SparkSession) -> None:
    with pytest.raises(SetupError, match=r"spark.conf: spark.sql.shuffle.partitions was refused by Spark: ") as caught:
        start_spark("guest", "local[7]", {"spark.sql.shuffle.partitions": "many"})
    assert "\n" not in str(caught.value)


def test_a_folder_of_jars_must_hold_delta(tmp_path: Path) -> None:
    (tmp_path / "other.jar").write_text("")
    with pytest.raises(SetupError) as caught:
        ours._start("name", "local[1]", {}, str(tmp_path))
    assert str(caught.value) == (
        f"spark.jars: {tmp_path} holds no delta-spark jar, wanted that of io.delta:delta-spark_2.13:4.0.1 "
        "and delta-storage"
    )
    (tmp_path / "delta-spark_2.13-4.0.1.jar").write_text("")
    assert ours._jars_in(str(tmp_path)) == [f"{tmp_path}/delta-spark_2.13-4.0.1.jar", f"{tmp_path}/other.jar"]


@pytest.mark.parametrize(
    ("master", "cores"), [("local", 2), ("local[1]", 2), ("local[8]", 8), ("local[8,3]", 8), ("local[*]", None)]
)
def test_a_local_session_shuffles_into_as_many_parts_as_it_has_cores(master: str, cores: int | None) -> None:
    wanted = max(2, os.cpu_count() or 2) if cores is None or master == "local" else cores
    assert ours._cores(master) == wanted


def test_slots_are_the_tasks_that_run_at_once(spark: SparkSession) -> None:
    assert slots(spark) == 2
    assert slots(spark, 9) == 2  # on one machine nobody else is waited for


def test_shipped_code_is_named_without_jars(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped_code(spark) == ()
    monkeypatch.setattr(spark.sparkContext, "_python_includes", ["intentrec-0.1.0.zip", "io.delta.jar", "more.py"])
    assert shipped_code(spark) == ("intentrec-0.1.0.zip", "more.py")


def test_where_executors_come_with_the_work_nobody_knows_the_slots() -> None:
    class Growing:
        """A session whose cluster grows with its work: that can be set at its start alone."""

        conf = {"spark.dynamicAllocation.enabled": "true"}  # noqa: RUF012

    assert slots(Growing(), 9) is None  # type: ignore[arg-type]


def test_versions_name_what_is_installed_and_what_is_missing() -> None:
    found = versions()
    assert list(found) == ["pyspark", "delta-spark", "petastorm", "pyarrow", "numpy", "torch", "horovod"]
    assert found["pyspark"] == "4.0.5"
    assert ours._installed("no-such-package") == "missing"
