"""Raw log files -> rows of text with their file and line; a damaged file is refused whole."""

from intentrec.logs.finding import LogFile, find_files
from intentrec.logs.reading import Asked, read_rows

__all__ = ["Asked", "LogFile", "find_files", "read_rows"]
