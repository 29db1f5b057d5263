"""On random data every metric that another library knows by the same definition has that library's value.

RecTools judges the lists; torchmetrics and torch judge the labels. Serendipity, debiased recall and the share of wanted
categories are defined otherwise there; for those the arithmetic in their own tests has to do.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from rectools.metrics import (
    MAP,
    MRR,
    NDCG,
    CatalogCoverage,
    HitRate,
    IntraListDiversity,
    MeanInvUserFreq,
    PairwiseHammingDistanceCalculator,
    Precision,
    Recall,
)
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from intentrec.metrics.labels import label_figures
from intentrec.metrics.lists import intra_list_diversity, novelty
from intentrec.metrics.ranking import Relevant, coverage, ranking_metrics

USERS, ITEMS, PLACES = 200, 60, 12
LISTS_UK = 1 + np.random.default_rng(4).permuted(np.tile(np.arange(ITEMS), (USERS, 1)), axis=1)[:, :PLACES]
SHOWN = pd.DataFrame(
    {
        "user_id": np.repeat(np.arange(USERS), PLACES),
        "item_id": LISTS_UK.ravel(),
        "rank": np.tile(np.arange(1, PLACES + 1), USERS),
    }
)


def chosen(most: int) -> list[NDArray[np.int64]]:
    """Draw 1 to ``most`` items for every user."""
    random, items = np.random.default_rng(most), np.arange(1, ITEMS + 1)
    return [random.choice(items, int(random.integers(1, most + 1)), replace=False) for _ in range(USERS)]


def as_frame(items_of_users: list[NDArray[np.int64]]) -> pd.DataFrame:
    owners = np.repeat(np.arange(USERS), [len(items) for items in items_of_users])
    return pd.DataFrame({"user_id": owners, "item_id": np.concatenate(items_of_users)})


@pytest.mark.parametrize("k", [1, 5, 10])
@pytest.mark.parametrize(
    ("name", "theirs", "most"),
    [
        ("hit_rate", HitRate, 20),
        ("recall", Recall, 20),
        ("precision", Precision, 20),
        ("mrr", MRR, 20),
        ("ndcg", lambda k: NDCG(k=k, divide_by_achievable=True), 20),
        ("map", MAP, 1),  # divided by all relevant items there, by those that fit into the list here
    ],
)
def test_a_ranking_metric_is_that_of_rectools(name: str, theirs: Any, most: int, k: int) -> None:
    relevant = chosen(most)
    expected_U = theirs(k=k).calc_per_user(SHOWN, as_frame(relevant)).sort_index().to_numpy()
    np.testing.assert_allclose(ranking_metrics(LISTS_UK, Relevant.of(relevant), k)[name], expected_U, atol=1e-12)


def test_map_is_that_of_rectools_where_all_relevant_items_fit() -> None:
    relevant = chosen(10)
    expected_U = MAP(k=10).calc_per_user(SHOWN, as_frame(relevant)).sort_index().to_numpy()
    np.testing.assert_allclose(ranking_metrics(LISTS_UK, Relevant.of(relevant), 10)["map"], expected_U, atol=1e-12)


@pytest.mark.parametrize("users", [1, 4, USERS])
def test_coverage_is_that_of_rectools(users: int) -> None:
    shown = SHOWN[SHOWN["user_id"] < users]
    catalogue = np.arange(1, ITEMS + 1)
    assert coverage(LISTS_UK[:users], catalogue, 5) == CatalogCoverage(k=5, normalize=True).calc(shown, catalogue)


def test_novelty_is_that_of_rectools() -> None:
    known = as_frame(chosen(20))
    counts_V = np.bincount(known["item_id"], minlength=ITEMS + 1)
    expected_U = MeanInvUserFreq(k=10).calc_per_user(SHOWN, known).sort_index().to_numpy()
    np.testing.assert_allclose(novelty(LISTS_UK, counts_V, USERS, 10), expected_U, atol=1e-12)


def test_intra_list_diversity_is_that_of_rectools() -> None:
    """Of vectors with three ones each, Hamming's distance is six times 1 - cosine."""
    features_VF, random = np.zeros((ITEMS + 1, 8)), np.random.default_rng(6)
    for item in range(1, ITEMS + 1):
        features_VF[item, random.choice(8, 3, replace=False)] = 1.0
    calculator = PairwiseHammingDistanceCalculator(pd.DataFrame(features_VF[1:], index=np.arange(1, ITEMS + 1)))
    expected_U = IntraListDiversity(k=5, distance_calculator=calculator).calc_per_user(SHOWN).sort_index().to_numpy()
    np.testing.assert_allclose(intra_list_diversity(LISTS_UK, features_VF, 5), expected_U / 6, atol=1e-12)


def test_label_figures_are_those_of_torchmetrics_and_torch() -> None:
    generator = torch.Generator().manual_seed(5)
    probabilities_NC = torch.randn(4000, 7, generator=generator, dtype=torch.float64).mul(2).softmax(dim=1)
    labels_N = torch.multinomial(probabilities_NC.sqrt(), 1, generator=generator)[:, 0]  # the head is too sure
    truth_NC = torch.nn.functional.one_hot(labels_N, 7)
    figures = label_figures(probabilities_NC.numpy(), truth_NC.bool().numpy())
    expected = {
        "accuracy": multiclass_accuracy(probabilities_NC, labels_N, 7, average="micro"),
        "nll": torch.nn.functional.nll_loss(probabilities_NC.log(), labels_N),
        "ece": multiclass_calibration_error(probabilities_NC, labels_N, 7, n_bins=15, norm="l1"),
        "brier": 7 * torch.nn.functional.mse_loss(probabilities_NC, truth_NC.double()),
    }
    assert float(expected["ece"]) > 0.1
    for name, value in expected.items():
        assert getattr(figures, name) == pytest.approx(float(value), abs=1e-6), name
