"""Lists that need no second scoring: of a user for whom nothing has changed that his list is made of.

A list is a function of the plan and the user's row of HISTORIES. A hash of both stands beside every published list, so
what is reused equals what scoring would give, whichever night it comes from. It can only be where the plan is the same:
the model, what may be recommended, rules, config, package, and tonight's popularity as far as the prior weighs it. With
``prior.weight`` or a weight of evidence above 0 every event moves scores, and all users are scored. A list with
fallback rows is never reused: they change with the popularity of the night.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np
from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec import __version__
from intentrec.cluster.scoring.columns import HISTORY
from intentrec.cluster.scoring.plan import ScoringPlan
from intentrec.tables import CANDIDATES

# The files have hashes; the filler is of fallback rows alone.
_LEFT_OUT = ("folder", "filler", "filler_scores", "filler_counts")


def plan_digest(plan: ScoringPlan) -> str:
    """Return a SHA-256 of everything in the plan that a list without fallback rows depends on, and of the version."""
    digest = hashlib.sha256(__version__.encode())
    draws = plan.reranking is not None and plan.reranking.policies.explore_places
    _add(digest, plan, () if draws else ("night",))
    return digest.hexdigest()


def with_origin(histories: DataFrame, digest: str) -> DataFrame:
    """Add made_from BIGINT: a hash of the plan's digest and of all that is read of the user.

    Args:
        histories: HISTORIES rows, with a segment and audiences where the plan reads them.
        digest: of ``plan_digest``.
    """
    read = [name for name in (*HISTORY, "segment", "audiences") if name in histories.columns]
    lengths = [F.size(name) for name in read if name != "segment"]  # a hash of arrays knows not where one ends
    return histories.withColumn("made_from", F.xxhash64(F.lit(digest), *lengths, *read))


def unchanged(histories: DataFrame, lists: DataFrame, intents: DataFrame, k: int, *, has_heads: bool) -> DataFrame:
    """Find the users whose published list is what scoring would give.

    Args:
        histories: rows of ``with_origin``.
        lists: RECOMMENDATIONS rows of one run date.
        intents: USER_INTENTS rows of the same run date.
        k: items of every list.
        has_heads: whether the plan's model says anything of intents.

    Returns:
        CANDIDATES rows.
    """
    by = ["user_id", "made_from"]
    whole = lists.where((F.size("items") == k) & ~F.exists("items", lambda item: item["source"] == "fallback"))
    found = histories.select(*by).join(whole.select(*by, "items"), by)
    if has_heads:
        said = intents.select(*by, "heads", "head_weights", "embedding")
        found = found.join(said, by)
    else:
        empty = {name: CANDIDATES.schema[name].dataType for name in ("heads", "head_weights", "embedding")}
        found = found.withColumns({name: F.array().cast(of) for name, of in empty.items()})
    items = F.transform("items", lambda item: item.dropFields("rank"))
    nobody_counts = F.array().cast("array<bigint>")  # what rules kept off these lists was counted when they were made
    return CANDIDATES.conform(found.withColumns({"items": items, "passed": nobody_counts}))


def _add(digest: "hashlib._Hash", value: object, left_out: tuple[str, ...]) -> None:
    """Add a value of the plan; one of a kind that is not known here is an error, never passed over."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, BaseModel):
        digest.update(value.model_dump_json().encode())
    elif is_dataclass(value):
        for field in fields(value):
            if field.name not in (*_LEFT_OUT, *left_out):
                digest.update(field.name.encode())
                _add(digest, getattr(value, field.name), left_out)
    elif isinstance(value, Mapping):
        _add(digest, tuple(sorted(value.items())), left_out)
    elif isinstance(value, tuple):
        digest.update(f"tuple {len(value)}".encode())
        for each in value:
            _add(digest, each, left_out)
    elif value is None or isinstance(value, str | int | float | bool):
        digest.update(f"{value!r},".encode())
    else:
        raise TypeError(f"plan: a {type(value).__name__} has no digest yet")
