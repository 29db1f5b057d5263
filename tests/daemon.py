"""What Spark's Python workers are forked from in the tests: the packages of their tasks are imported once.

A worker would import torch by itself, 4 s of processor time, and Spark ends it after a minute without work.
"""

import pandas as pd  # noqa: F401
import torch  # noqa: F401
from pyspark.daemon import manager

if __name__ == "__main__":
    manager()
