"""Java and Delta's jars."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from intentrec.doctor.findings import Finding, failed, passed, warned
from intentrec.spark import DELTA_PACKAGE, fetched_jars

_WORKS = (17, 21)  # Spark 4.0's own; 17 is the one that was run
_RUN_WITH = 17


def check_java(environment: Mapping[str, str]) -> Finding:
    """Want the Java that Spark will start: that of JAVA_HOME, else the first on PATH."""
    home = environment.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java", path=environment.get("PATH"))
    remedy = "install a Java 17 (openjdk-17-jre-headless, say) and set JAVA_HOME to its folder"
    if java is None:
        return failed("java", "no java on PATH, and JAVA_HOME is not set", remedy)
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 the user's own Java
    except (OSError, subprocess.TimeoutExpired) as error:
        return failed("java", f"{java} cannot be run: {error}", remedy)
    number = re.search(r'version "(?:1\.)?(\d+)', said.stderr + said.stdout)
    if number is None:
        return failed("java", f"{java} does not tell its version", remedy)
    version = int(number[1])
    if version not in _WORKS:
        return failed("java", f"{java} is Java {version}, Spark 4.0 wants 17 or 21", remedy)
    if version != _RUN_WITH:
        return warned("java", f"{java} is Java {version}, nights were run with {_RUN_WITH}", remedy)
    return passed("java", f"{version} at {java}")


def check_jars(folder: str | None, environment: Mapping[str, str] = os.environ) -> Finding:
    """Want Delta's two jars in the config's folder, or in the cache that they are fetched into."""
    if "PYSPARK_GATEWAY_PORT" in environment or "DATABRICKS_RUNTIME_VERSION" in environment:
        return passed("jars", "those of the session that runs already")
    if folder is None:
        if fetched_jars():
            return passed("jars", f"{DELTA_PACKAGE} is in Ivy's cache")
        remedy = "let this machine reach Maven Central at the first start, or give a folder of jars as spark.jars"
        return warned("jars", f"{DELTA_PACKAGE} is not in Ivy's cache and will be fetched", remedy)
    names = sorted(jar.name for jar in Path(folder).glob("*.jar"))
    wanted = {part: DELTA_PACKAGE.rsplit(":", 1)[1] for part in ("delta-spark_2.13", "delta-storage")}
    missing = [
        f"{part}-{version}.jar"
        for part, version in wanted.items()
        if not any(name.endswith(f"{part}-{version}.jar") for name in names)
    ]
    if missing:
        there = ", ".join(names[:5]) or "nothing"
        remedy = f"put them there, or leave spark.jars out where {DELTA_PACKAGE} can be fetched"
        return failed("jars", f"spark.jars: {folder} lacks {' and '.join(missing)}, it holds {there}", remedy)
    return passed("jars", f"{', '.join(wanted)} {DELTA_PACKAGE.rsplit(':', 1)[1]} in {folder}")
