"""The model run on Spark: the only package where Spark and torch meet."""
