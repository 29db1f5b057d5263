"""Are the lists of a night like lists that may be published: limits of ``recommendations.checks``."""

from intentrec.config import ChecksConfig
from intentrec.errors import GateError
from intentrec.gate.figures import ListFigures

_SECTION = "recommendations.checks"


def broken_limits(figures: ListFigures, limits: ChecksConfig, by_model: bool) -> tuple[str, ...]:
    """Name the limits that the lists break, each with the figure and by how much; a figure at its limit passes.

    Args:
        figures: of the night; what is None there is not compared.
        limits: of the config.
        by_model: whether a model made the lists; where popularity did, all rows are fallback and no limit to them
            holds.
    """
    least = (
        ("min_users_kept", figures.users_kept, limits.min_users_kept),
        ("min_coverage", figures.coverage, limits.min_coverage),
        ("min_overlap", figures.overlap, limits.min_overlap),
    )
    most = (
        ("max_gini", figures.gini, limits.max_gini),
        ("max_top_share", figures.top_share, limits.max_top_share),
        ("max_fallback_share", figures.fallback_share if by_model else None, limits.max_fallback_share),
        ("max_overlap", figures.overlap, limits.max_overlap),
    )
    low = [(name, value, limit, "least") for name, value, limit in least if _below(value, limit)]
    high = [(name, value, limit, "most") for name, value, limit in most if _below(limit, value)]
    return tuple(
        f"check {name}: {value:.4f}, wanted at {bound} {limit:g} ({abs(value - limit):.4f} beyond)"
        for name, value, limit, bound in (*low, *high)
        if value is not None and limit is not None
    )


def refuse_broken_limits(broken: tuple[str, ...], limits: ChecksConfig) -> str | None:
    """Refuse lists that break a limit.

    Returns:
        What a person is to be warned of in a dry run; None: nothing.

    Raises:
        GateError: the mode is enforce; every broken limit is named.
    """
    if not broken or limits.mode == "disabled":
        return None
    told = f"table recommendations_staged: {'; '.join(broken)}"
    if limits.mode == "dry_run":
        return f"{told}; published all the same: {_SECTION}.mode is dry_run"
    remedy = f"Look at the lists there; if they are right, set the limit in {_SECTION} and run again"
    raise GateError(f"{told}; the old lists stay. {remedy}")


def _below(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one < other
