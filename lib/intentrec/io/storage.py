"""The files below a table's location, on this machine or on any storage that Spark reads: sizes, removal."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


class Storage:
    """A folder of files, whatever they belong to."""

    def __init__(self, spark: SparkSession, location: str) -> None:
        """Name the place; nothing is read yet.

        Args:
            spark: the session, whose Hadoop reaches other storage.
            location: folder or URL.
        """
        self.location = location
        plain = location.removeprefix("file://").removeprefix("file:")
        self._folder = Path(plain) if "://" not in plain else None
        self._spark = spark

    def sizes(self) -> dict[str, int]:
        """Return path below the location: bytes, of every file, hidden ones and checksums too."""
        if self._folder is not None:
            files = (path for path in self._folder.rglob("*") if path.is_file())
            return {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in files}
        system, root = self._hadoop()
        start = len(root.toString().rstrip("/")) + 1
        found = system.listFiles(root, True)
        sizes = {}
        while found.hasNext():
            status = found.next()
            sizes[status.getPath().toString()[start:]] = int(status.getLen())
        return sizes

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error."""
        if self._folder is not None:
            for name in names:
                (self._folder / name).unlink(missing_ok=True)
            return
        system, root = self._hadoop()
        java = self._spark.sparkContext._jvm
        assert java is not None
        for name in names:
            system.delete(java.org.apache.hadoop.fs.Path(root, name), False)

    def _hadoop(self) -> tuple[Any, Any]:
        java = self._spark.sparkContext._jvm
        assert java is not None
        path = java.org.apache.hadoop.fs.Path(self.location)
        system = path.getFileSystem(self._spark._jsparkSession.sessionState().newHadoopConf())
        return system, system.makeQualified(path)
