"""Is the challenger promoted, and which model is the champion of a night.

U users
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from intentrec.config import GateConfig
from intentrec.gate.segments import Members, compare_segments, falls
from intentrec.metrics import paired_relative_difference

_NO_SEGMENTS: Mapping[str, Members] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Judged:
    """One recommender's deciding figure on the held-out users.

    Attributes:
        name: model_id, or the name of a baseline.
        values_U: the figure of each user, higher is better, users in user_id order.
    """

    name: str
    values_U: NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Decision:
    """A row of GATE_DECISIONS.

    Attributes:
        verdict: promoted or refused.
        passed: what the judgement alone says; differs from the verdict in a dry run.
        against: the champion, else the best baseline; null where nothing was judged.
        figures: what was compared, sorted by key; shares are relative differences.
        reason: one sentence.
    """

    verdict: str
    passed: bool
    against: str | None
    figures: tuple[tuple[str, float], ...]
    reason: str


def decide(
    challenger: Judged,
    champion: Judged | None,
    baselines: Sequence[Judged],
    settings: GateConfig,
    seed: int,
    segments: Mapping[str, Members] = _NO_SEGMENTS,
) -> Decision:
    """Promote the challenger if it is not worse than the champion and not below the best baseline.

    Not worse: the lower end of the 90 % interval of its paired relative difference to the champion is above
    -margin, and in no segment of enough users it falls beyond segment_margin (``falls``). The best baseline is the
    one with the greatest mean, the first of equals. Without a champion the baseline alone decides; without a user to
    judge on the challenger is refused.

    Args:
        challenger: judged on users it has not seen.
        champion: of the nights before, on the same users; None on a first night.
        baselines: at least one, on the same users.
        settings: enforce; dry_run judges and promotes anyway; disabled promotes without judging.
        seed: of the bootstrap.
        segments: name -> which of the users belong to it; compared with the champion only.

    Raises:
        ValueError: users differ in number, or there is no baseline.
    """
    if settings.mode == "disabled":
        return Decision("promoted", True, None, (), "promoted without judging: evaluation.gate.mode is disabled")
    if not len(challenger.values_U):
        # An empty day is no reason to replace what serves.
        reason = "no user has a history before the held-out days and something new in them"
        return _decision(False, settings.mode, champion.name if champion else None, {"num_users": 0.0}, reason)
    best = max(baselines, key=lambda baseline: float(np.mean(baseline.values_U)))
    against_best = paired_relative_difference(challenger.values_U, best.values_U, seed)
    figures = {"challenger": float(np.mean(challenger.values_U)), "num_users": float(len(challenger.values_U))}
    figures |= {"best_baseline": float(np.mean(best.values_U)), **_named("to_baseline", against_best)}
    beats_baseline = against_best.value >= 0
    reason = f"{against_best.value:+.2%} to the best baseline {best.name} (wanted at least 0)"
    not_worse = True
    if champion is not None:
        not_worse, told, more = _to_champion(challenger, champion, settings, seed, segments)
        figures |= more
        reason = f"{told}; {reason}"
    passed = beats_baseline and not_worse
    return _decision(passed, settings.mode, champion.name if champion else best.name, figures, reason)


def champion_before(decisions: DataFrame, run_date: date, *, serving: bool = False) -> DataFrame:
    """Select the decision that made the champion of a night: the last model promoted or pinned before it.

    The last night wins. Within a night a pin outranks the gate, so that running the night again does not undo a
    person's choice; of several decisions of the gate only the last one counts, even if it is a refusal; of several
    pins the last. A demotion names a judged or a serving model: it ends promotions of that model up to its own
    run date, and pins decided before it.

    Args:
        decisions: GATE_DECISIONS rows of any nights.
        run_date: decisions of this date and later are not looked at.
        serving: who serves on that night, if it promotes nobody: its own demotions count as well.

    Returns:
        The row of ``decisions``, or no row.
    """
    before = decisions.where(F.col("run_date") < F.lit(run_date))
    by_gate = F.col("verdict").isin("promoted", "refused")
    latest = F.max(F.when(by_gate, F.col("decided_at"))).over(Window.partitionBy("run_date"))
    made = before.withColumn("latest", latest).where(
        (F.col("verdict") == "pinned") | ((F.col("verdict") == "promoted") & (F.col("decided_at") == F.col("latest")))
    )
    no_later = F.col("run_date") <= F.lit(run_date) if serving else F.col("run_date") < F.lit(run_date)
    demoted = decisions.where(no_later & (F.col("verdict") == "demoted")).select(
        F.col("model_id").alias("demoted_id"),
        F.col("run_date").alias("demoted_date"),
        F.col("decided_at").alias("demoted_at"),
    )
    ended = (
        F.col("demoted_id").eqNullSafe(F.col("model_id")) | F.col("demoted_id").eqNullSafe(F.col("serving_model_id"))
    ) & (
        ((F.col("verdict") == "promoted") & (F.col("demoted_date") >= F.col("run_date")))
        | (F.struct("demoted_date", "demoted_at") > F.struct("run_date", "decided_at"))
    )
    return (
        made.join(F.broadcast(demoted), ended, how="left_anti")
        .orderBy(F.desc("run_date"), F.col("verdict") != "pinned", F.desc("decided_at"), "model_id")
        .limit(1)
        .select(*decisions.columns)
    )


def _to_champion(
    challenger: Judged, champion: Judged, settings: GateConfig, seed: int, segments: Mapping[str, Members]
) -> tuple[bool, str, dict[str, float]]:
    """Return whether the challenger is not worse, in all and in any segment, a sentence, and what was compared."""
    difference = paired_relative_difference(challenger.values_U, champion.values_U, seed)
    compared = compare_segments(challenger.values_U, champion.values_U, segments, settings, seed)
    fallen = falls(compared, settings)
    figures = {"champion": float(np.mean(champion.values_U)), "margin": settings.margin}
    figures |= _named("to_champion", difference) | {f"to_champion[{e.name}]": e.difference.value for e in compared}
    told = (
        f"{difference.value:+.2%} to the champion {champion.name}, lower 90 % bound {difference.low:+.2%} "
        f"(wanted above {-settings.margin:+.2%})"
    )
    return difference.low > -settings.margin and not fallen, "; ".join([*fallen, told]), figures


def _named(prefix: str, interval: tuple[float, float, float]) -> dict[str, float]:
    return {f"{prefix}{end}": figure for end, figure in zip(("", "_low", "_high"), interval, strict=True)}


def _decision(passed: bool, mode: str, against: str | None, figures: dict[str, float], reason: str) -> Decision:
    verdict = "promoted" if passed or mode == "dry_run" else "refused"
    dry = "" if passed or mode != "dry_run" else "dry run, would be refused: "
    return Decision(verdict, passed, against, tuple(sorted(figures.items())), f"{verdict}: {dry}{reason}")
