"""Raw log files -> rows of text with their file and line; a damaged file is refused whole."""

from intentrec.logs.finding import LogFile, find_files, find_local_files
from intentrec.logs.reading import Asked, read_head, read_rows
from intentrec.logs.rules import read_rules

__all__ = ["Asked", "LogFile", "find_files", "find_local_files", "read_head", "read_rows", "read_rules"]
