"""Lists -> figures per list, kept round by round; rounds -> the figures of the report.

U lists
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from intentrec.cluster.judging import JudgedDay
from intentrec.metrics import (
    bootstrap_means,
    coverage,
    debiased_recall,
    intra_list_diversity,
    novelty,
    paired_relative_difference,
    ranking_metrics,
    serendipity,
)

KEYS = {"hit_rate": "hr", "ndcg": "ndcg", "recall": "recall", "mrr": "mrr"}
ASIDE = "_full"  # ends the name of a round that is trained from nothing for comparison
LISTS = "lists"
LENGTHS = ((1, 2), (3, 9), (10, 49), (50, float("inf")))  # events
_SEED = 1  # of the bootstrap
PerList = dict[str, NDArray[np.float64]]


class Asked(Protocol):
    """A model or a baseline."""

    def recommend(self, day: JudgedDay, k: int) -> NDArray[np.int64]:
        """Return items_UK, best first."""


def judged(
    asked: Asked, days: Sequence[JudgedDay], sizes: Sequence[int], categories_VK: NDArray[np.int64]
) -> tuple[PerList, dict[str, float]]:
    """Return every figure of every list, ``hr@10`` and so on -> U, and those of all lists together.

    Args:
        asked: for lists of the greatest size.
        days: of the test.
        sizes: lengths that are judged; the first also for novelty and the like.
        categories_VK: of the items, for diversity.
    """
    found: dict[str, list[NDArray[np.float64]]] = {}
    together: list[dict[str, float]] = []
    for day in days:
        if not len(day.users):
            continue
        items_UK = asked.recommend(day, max(sizes))
        for size in sizes:
            for name, values_U in ranking_metrics(items_UK, day.users.relevant, size).items():
                if name in KEYS:
                    found.setdefault(f"{KEYS[name]}@{size}", []).append(values_U)
        for name, values_U in _beside(items_UK, day, sizes[0], categories_VK).items():
            found.setdefault(f"{name}@{sizes[0]}", []).append(values_U)
        together.append(_together(items_UK, day, sizes[0]))
    means = {f"{name}@{sizes[0]}": float(np.mean([own[name] for own in together])) for name in together[0]}
    return {name: np.concatenate(parts) for name, parts in found.items()}, means


def _beside(items_UK: NDArray[np.int64], day: JudgedDay, k: int, categories_VK: NDArray[np.int64]) -> PerList:
    """Return what the lists are like besides right; popularity is that of the longest window."""
    counts_V = day.counts[max(day.counts)]
    popular_V = np.argsort(-counts_V, kind="stable")[: k + 1]
    expected_UK = np.tile(popular_V[popular_V > 0][:k], (len(items_UK), 1))
    found = {
        "novelty": novelty(items_UK, counts_V, max(1, int(counts_V.sum())), k),
        "serendipity": serendipity(items_UK, day.users.relevant, expected_UK, k),
    }
    if categories_VK.shape[1]:
        several_VF = np.zeros((len(categories_VK), int(categories_VK.max()) + 1), dtype=np.float32)
        np.put_along_axis(several_VF, categories_VK, 1.0, axis=1)
        found["diversity"] = intra_list_diversity(items_UK, several_VF[:, 1:], k)
    return found


def _together(items_UK: NDArray[np.int64], day: JudgedDay, k: int) -> dict[str, float]:
    return {
        "coverage": coverage(items_UK, np.flatnonzero(day.allowed), k),
        "debiased_recall": debiased_recall(items_UK, day.users.relevant, day.counts[max(day.counts)], k),
    }


def segments(days: Sequence[JudgedDay]) -> PerList:
    """Return what the lists are told apart by: events of the history, at most as many as the model reads."""
    return {"length": np.array([len(own) for day in days for own in day.users.histories.items], dtype=np.float64)}


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


def save_round(path: Path, figures: Mapping[str, PerList], notes: Mapping[str, float]) -> None:
    """Write the figures of a round: who -> figure -> U."""
    arrays = {
        f"{who}|{key}": values_U.astype(np.float32) for who, own in figures.items() for key, values_U in own.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new.npz")
    np.savez_compressed(new, notes=np.array(json.dumps(dict(notes))), **arrays)
    new.rename(path)


def load_round(path: Path) -> tuple[dict[str, PerList], dict[str, float]]:
    """Read what ``save_round`` wrote."""
    figures: dict[str, PerList] = {}
    with np.load(path) as stored:
        notes: dict[str, float] = json.loads(str(stored["notes"]))
        for name in stored.files:
            if name != "notes":
                who, _, key = name.partition("|")
                figures.setdefault(who, {})[key] = stored[name].astype(np.float64)
    return figures, notes


def report(rounds: Mapping[str, tuple[dict[str, PerList], dict[str, float]]], *, each: bool) -> dict[str, float]:
    """Return all figures of the report: means over rounds of the means over lists.

    Args:
        rounds: name -> what ``load_round`` gave.
        each: the figures of every round too, under its name.
    """
    if not rounds:
        return {}
    beside = {name: kept for name, kept in rounds.items() if name.endswith(ASIDE)}
    rounds = {name: kept for name, kept in rounds.items() if name not in beside}
    found: dict[str, float] = {"rounds": float(len(rounds))}
    everybody = [figures for figures, _ in rounds.values()]
    found["lists"] = float(sum(len(next(iter(figures["model"].values()))) for figures in everybody))
    for who in (who for who in everybody[0] if who != LISTS):
        for key in everybody[0][who]:
            means = [float(figures[who][key].mean()) for figures in everybody]
            found[_named(who, key)] = float(np.mean(means))
            if each and len(rounds) > 1:
                found |= {f"{name}:{_named(who, key)}": mean for name, mean in zip(rounds, means, strict=True)}
    for key in everybody[0]["model"]:
        if key.startswith(("hr", "ndcg", "mrr")):
            found |= _compared(everybody, key)
    found |= _of_segments(everybody)
    for name, (figures, notes) in {**rounds, **beside}.items() if each else ():
        found[f"{name}:lists"] = float(len(next(iter(figures["model"].values()))))
        found |= {f"{name}:{note}": value for note, value in notes.items()}
    for name, (figures, notes) in beside.items():
        found |= {f"{name}:{key}": float(values_U.mean()) for key, values_U in figures["model"].items()}
        own = rounds.get(name.removesuffix(ASIDE))
        if own is not None:
            found[f"{name.removesuffix(ASIDE)}:cost_ratio"] = _cost(own[1]) / _cost(notes)
    return {key: round(value, 6) for key, value in found.items()}


def _of_segments(everybody: Sequence[Mapping[str, PerList]]) -> dict[str, float]:
    """Return the model's and V-SkNN's figures of lists with few and many events before them."""
    found: dict[str, float] = {}
    length_U = np.concatenate([figures[LISTS]["length"] for figures in everybody])
    for low, high in LENGTHS:
        chosen_U = (length_U >= low) & (length_U <= high)
        name = f"segment:events_{low}_{high:g}"
        found[f"{name}:lists"] = float(chosen_U.sum())
        for who in ("model", "baseline:vsknn"):
            keys = [key for key in everybody[0].get(who, {}) if key.startswith("ndcg") and chosen_U.any()]
            for key in keys:
                values_U = np.concatenate([figures[who][key] for figures in everybody])
                found[f"{name}:{_named(who, key)}"] = float(values_U[chosen_U].mean())
    return found


def _cost(notes: Mapping[str, float]) -> float:
    return notes.get("train_s", 0.0) + notes.get("refit_train_s", 0.0)


def _named(who: str, key: str) -> str:
    return key if who == "model" else f"{who}:{key}"


def _compared(everybody: Sequence[Mapping[str, PerList]], key: str) -> dict[str, float]:
    """Return the interval of the model's figure, and its paired relative difference to the best baseline.

    Every round counts the same, as in the figure itself, however many lists it has.
    """
    lists = sum(len(figures["model"][key]) for figures in everybody)

    def pooled(who: str) -> NDArray[np.float64]:
        of_rounds = [figures[who][key] for figures in everybody]
        return np.concatenate([values_U * (lists / len(everybody) / len(values_U)) for values_U in of_rounds])

    model_U = pooled("model")
    (interval,) = bootstrap_means(model_U[:, None], _SEED)
    found = {f"{key}:low": interval.low, f"{key}:high": interval.high}
    baselines = [who for who in everybody[0] if who.startswith("baseline:")]
    if baselines:
        best = max(baselines, key=lambda who: float(np.mean([figures[who][key].mean() for figures in everybody])))
        for name, who in (("best_baseline", best), *_gate(baselines)):
            difference = paired_relative_difference(model_U, pooled(who), _SEED)
            ends = {"": difference.value, ":low": difference.low, ":high": difference.high}
            found |= {f"vs_{name}:{key}{end}": value for end, value in ends.items() if np.isfinite(value)}
    return found


def _gate(baselines: Iterable[str]) -> list[tuple[str, str]]:
    return [("vsknn", who) for who in baselines if who == "baseline:vsknn"]
