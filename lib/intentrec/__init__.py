"""Nightly batch recommender: raw click logs in, top-K lists out, all in Delta tables."""

__version__ = "0.1.0"
