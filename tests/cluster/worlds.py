"""Tiny models and the users they score, built directly: nothing here is trained."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import torch
from pyspark.sql.pandas.types import to_arrow_schema

from intentrec.cluster.priors import Prior
from intentrec.cluster.reranking import Reranking
from intentrec.cluster.scoring import ScoringPlan, tasks
from intentrec.config import PoliciesConfig
from intentrec.model.checkpoint import Artifact, Vocabulary, save_artifact
from intentrec.model.inference import Histories, Scorer
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, Field, preset_shape
from intentrec.tables import CANDIDATES

DAY = date(2024, 5, 2)
FIELDS = (Field("action", 2), Field("categories", 3, columns=2))
USERS = pa.schema(
    [
        ("user_id", pa.string()),
        ("items", pa.list_(pa.int32())),
        ("times", pa.list_(pa.int64())),
        ("features", pa.list_(pa.int32())),
        ("seen", pa.list_(pa.int32())),
    ]
)
NAMES = {"action": ("view", "buy"), "categories": ("red", "green", "blue")}


def catalogue_of(num_items):
    """Item i has main category 1 + i mod 3, and none besides."""
    items = torch.arange(num_items + 1)
    categories_VC = torch.stack([1 + items % 3, torch.zeros_like(items)], dim=1)
    categories_VC[0] = 0
    return Catalogue(categories_VC, torch.where(items > 0, 1_700_000_000 + items * 3600, 0))


def artifact_of(num_items=8, preset="intent", fields=FIELDS, **facts):
    """A network with random weights, whose item vectors are as long as those of a trained one."""
    torch.manual_seed(7)
    shape = preset_shape(preset, num_items, fields, width=8, layers=1)
    catalogue = catalogue_of(num_items)
    if not shape.num_categories:
        catalogue = replace(catalogue, categories_VC=torch.zeros_like(catalogue.categories_VC))
    weights = IntentNetwork(shape, catalogue).state_dict()
    weights["items.ids.weight"] = torch.randn(num_items + 1, 8)
    return Artifact(shape, weights, catalogue, Vocabulary(ids(num_items), NAMES), facts)


def ids(num_items):
    return tuple(f"i{index:02d}" for index in range(1, num_items + 1))


def histories_of(lengths, num_items, num_values=3):
    random = np.random.default_rng(3)
    return Histories(
        items=[random.integers(0, num_items + 1, length).astype(np.int32) for length in lengths],
        times=[1_700_000_000 + np.cumsum(random.integers(60, 90_000, length)) for length in lengths],
        features=[random.integers(0, num_values + 1, 3 * length).astype(np.int32) for length in lengths],
    )


def plan_of(num_items, k, artifact=None, folder=None, **changes):
    """A plan for a night of ``num_items`` items, all allowed, the filler in the order of their numbers."""
    files = () if artifact is None else save_artifact(folder, artifact)
    values = {
        "folder": None if artifact is None else str(folder),
        "files": files,
        "fields": FIELDS,
        "items": ("", *ids(num_items)),
        "prior": Prior(12.0, 1.0),
        "bias_V": np.zeros(num_items + 1, np.float32),
        "allowed": np.arange(num_items + 1) > 0,
        "filler": np.arange(1, num_items + 1),
        "filler_scores": np.linspace(0.9, 0.1, num_items, dtype=np.float32),
        "k": k,
    }
    return ScoringPlan(**{**values, **changes})


def scorer_of(*taste):
    """A model of three items whose scores for user u are taste[u] times +1, -1 and 0."""
    scorer = Scorer(artifact_of(3))
    scorer.items_VD = torch.zeros(4, 8)
    scorer.items_VD[1:, 0] = torch.tensor([1.0, -1.0, 0.0])
    queries = torch.zeros(len(taste), 1, 8)
    queries[:, 0, 0] = torch.tensor(taste)
    return scorer, queries


def lists_of(plan, histories, seen, segments=None):
    """Run what Spark runs in a task, here."""
    users = [f"u{row}" for row in range(len(seen))]
    arrays = [
        pa.array([np.asarray(own).tolist() for own in rows])
        for rows in (histories.items, histories.times, histories.features, seen)
    ]
    batch = pa.Table.from_arrays([pa.array(users), *arrays], USERS.names).cast(USERS)
    batch = batch.append_column("made_from", pa.array(range(len(seen)), pa.int64()))
    if segments is not None:
        batch = batch.append_column("segment", pa.array(segments, pa.string()))
    batch = batch.to_batches()[0]
    task = tasks.task_of(SimpleNamespace(value=plan), to_arrow_schema(CANDIDATES.schema))
    return [row for made in task([batch.slice(0, 0), batch]) for row in made.to_pylist()]


def scores_BV(artifact, histories, plan):
    """The network's scores with the prior, by plain matrix products; -inf where an item may not be recommended."""
    scorer = Scorer(artifact)
    num_known = artifact.shape.num_items + 1
    scores = (scorer.encode(histories).queries_BQD[:, 0] @ scorer.items_VD.T).numpy() + plan.bias_V[:num_known]
    return np.where(plan.allowed[:num_known], scores, -np.inf)


ONE_USER = Histories([np.array([2, 5])], [np.array([1_700_100_000, 1_700_100_060])], [np.ones(6, np.int64)])


def reranking_for(num_items, **policies):
    """The policies of a night of these items; the last two are new."""
    return Reranking(
        policies=PoliciesConfig(**policies),
        categories_VC=catalogue_of(num_items).categories_VC.numpy(),
        young_V=np.arange(num_items + 1) > num_items - 2,
        offset_V=np.zeros(num_items + 1, np.float32),
        gap_s=1800,
        night="2024-05-03",
    )
