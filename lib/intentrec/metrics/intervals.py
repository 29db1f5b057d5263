"""Bootstrap intervals over users.

U users   M columns of figures   N resamples   C resamples of a chunk

Users are resampled by position, so callers sort them by user_id: equal input then gives equal intervals.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9  # of every interval in the product
_CHUNK_CELLS = 2**21  # counts held at once: 16 MiB of float64, whatever the number of users


class Interval(NamedTuple):
    """A figure with the ends of its 90 % bootstrap interval."""

    value: float
    low: float
    high: float


_NOTHING = Interval(float("nan"), float("nan"), float("nan"))


def bootstrap_mean(values_U: NDArray[np.floating[Any]], seed: int, num: int = 1000) -> Interval:
    """Return the mean over users with its 90 % percentile interval.

    Args:
        values_U: one finite figure per user, in user_id order.
        seed: of the resampling.
        num: resamples.

    Returns:
        Mean, 5 % and 95 % quantile of the resampled means; all nan where there is no user.

    Raises:
        ValueError: a figure is not finite.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    return bootstrap_means(np.asarray(values_U)[:, None], seed, num)[0]


def bootstrap_means(values_UM: NDArray[np.floating[Any]], seed: int, num: int = 1000) -> tuple[Interval, ...]:
    """Return ``bootstrap_mean`` of every column; all columns share the resampled users.

    Raises:
        ValueError: a figure is not finite.
    """
    values_UM = _on_exact_grid(values_UM)
    if not len(values_UM):
        return (_NOTHING,) * values_UM.shape[1]
    means_M = values_UM.sum(axis=0) / len(values_UM)
    resampled_NM = _resampled_means(values_UM, seed, num)
    return tuple(
        Interval(float(mean), *_ends(resampled_N)) for mean, resampled_N in zip(means_M, resampled_NM.T, strict=True)
    )


def paired_relative_difference(
    challenger_U: NDArray[np.floating[Any]], champion_U: NDArray[np.floating[Any]], seed: int, num: int = 1000
) -> Interval:
    """Return (mean of challenger - mean of champion) / mean of champion, users resampled in pairs.

    Where the champion's mean is 0, the difference is 0 for a challenger of 0, else infinite with its sign.

    Args:
        challenger_U: one finite figure per user.
        champion_U: the same figure of the same users, in the same order.
        seed: of the resampling.
        num: resamples.

    Returns:
        The point estimate and its 90 % interval; all nan where there is no user.

    Raises:
        ValueError: the two differ in length, or a figure is not finite.
    """
    if np.shape(challenger_U) != np.shape(champion_U):
        raise ValueError(f"paired users wanted, got {np.shape(challenger_U)} and {np.shape(champion_U)}")
    values_U2 = _on_exact_grid(np.stack([challenger_U, champion_U], axis=1))
    if not len(values_U2):
        return _NOTHING
    point_1 = _relative_difference(values_U2.sum(axis=0, keepdims=True) / len(values_U2))
    differences_N = _relative_difference(_resampled_means(values_U2, seed, num))
    return Interval(float(point_1[0]), *_ends(differences_N))


def _relative_difference(means_N2: NDArray[np.float64]) -> NDArray[np.float64]:
    challenger_N, champion_N = means_N2.T
    difference_N = challenger_N - champion_N
    at_zero_N = np.where(difference_N == 0, 0.0, np.copysign(np.inf, difference_N))
    return np.divide(difference_N, champion_N, out=at_zero_N, where=champion_N != 0)


def _resampled_means(values_UM: NDArray[np.float64], seed: int, num: int) -> NDArray[np.float64]:
    num_users = len(values_UM)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // num_users)
    means_NM = np.empty((num, values_UM.shape[1]))
    for start in range(0, num, chunk):
        size = min(chunk, num - start)
        counts_CU = np.empty((size, num_users))
        for row in range(size):
            drawn_U = generator.integers(0, num_users, num_users)
            counts_CU[row] = np.bincount(drawn_U, minlength=num_users)
        means_NM[start : start + size] = counts_CU @ values_UM / num_users
    return means_NM


def _on_exact_grid(values_UM: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Round to a grid on which float64 adds any resample exactly.

    Then neither the order of users nor the threads of the matrix product change a bit of what reaches a table.
    The grid is 2^-37 (7e-12) for 20,000 users and figures up to 1.
    """
    values_UM = np.asarray(values_UM, dtype=np.float64)
    if not np.isfinite(values_UM).all():
        raise ValueError("a figure of a user is not finite")
    greatest_M = np.abs(values_UM).max(axis=0, initial=0) * len(values_UM)
    exponent_M = np.ceil(np.log2(np.where(greatest_M == 0, 1.0, greatest_M))).astype(int) - 52
    rounded_UM: NDArray[np.float64] = np.ldexp(np.round(np.ldexp(values_UM, -exponent_M)), exponent_M)
    return rounded_UM


def _ends(resampled_N: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low = np.quantile(resampled_N, tail, method="lower")  # no interpolation: infinite differences stay defined
    high = np.quantile(resampled_N, 1 - tail, method="higher")
    return float(low), float(high)
