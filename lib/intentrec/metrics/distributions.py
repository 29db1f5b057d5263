"""How unequal counts are, and how far two distributions lie apart.

N things that were counted   L labels
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer[Any]]


def gini(counts_N: Counts) -> float:
    """Return the Gini coefficient of counts, those of 0 included.

    Returns:
        0: all equal; 1 - 1 / N: one thing has everything; nan where nothing was counted.

    Source: Dorfman, A formula for the Gini coefficient (Review of Economics and Statistics 1979), for discrete incomes.
    """
    sorted_N = np.sort(np.asarray(counts_N, dtype=np.int64))
    num, total = len(sorted_N), int(sorted_N.sum())
    if not total:
        return float("nan")
    weighted = int((np.arange(1, num + 1) * sorted_N).sum())
    return (2 * weighted - (num + 1) * total) / (num * total)


def top_share(counts_N: Counts, share: float) -> float:
    """Return what the greatest counts have of all: those of a ``share`` of the things, rounded up.

    Returns:
        From 0 to 1; nan where nothing was counted.
    """
    sorted_N = np.sort(np.asarray(counts_N, dtype=np.int64))[::-1]
    total = int(sorted_N.sum())
    return int(sorted_N[: ceil(share * len(sorted_N))].sum()) / total if total else float("nan")


def jensen_shannon(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Return the Jensen-Shannon divergence of two counts of labels, in bits.

    Returns:
        0: equal shares; 1: no label in common; nan where one of them counts nothing. The order of labels changes
            nothing.

    Source: Lin, Divergence measures based on the Shannon entropy (IEEE Transactions on Information Theory 1991),
    section IV, with equal weights.
    """
    labels = sorted({*one, *other})
    counts_2L = np.array([[counts.get(label, 0) for label in labels] for counts in (one, other)], dtype=np.float64)
    totals_2 = counts_2L.sum(axis=1)
    if not totals_2.all():
        return float("nan")
    shares_2L = counts_2L / totals_2[:, None]
    middle_L = shares_2L.mean(axis=0)
    ratios_2L = np.divide(shares_2L, middle_L, out=np.ones_like(shares_2L), where=shares_2L > 0)
    return max(0.0, float((shares_2L * np.log2(ratios_2L)).sum() / 2))
