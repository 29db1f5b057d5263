"""The exact top-K engine: dot products of queries with all items, the best k of each.

B users   Q queries of a user   D width   V items   K kept   G groups of items   R rows of a chunk   U rows of some
"""

import torch
from torch import Tensor

from intentrec.model.halves import ROWS, Asked, best_by_halves, blocks_in, worth_halves
from intentrec.model.ragged import Ragged
from intentrec.model.selection import GROUP, NEVER, TopK, best, num_groups

CHUNK = 176  # queries at once: with 100,000 items the reused buffer has 70 MB; 128 took 6 % longer, 208 no less
BUDGET = 96 * 2**20  # bytes beside the vectors and the result, unless ROWS queries alone need more


def top_k(
    queries_BD: Tensor,
    items_VD: Tensor,
    k: int,
    *,
    bias_V: Tensor | None = None,
    excluded: Ragged | None = None,
    additive: Ragged | None = None,
) -> TopK:
    """Return the k best of ``queries_BD @ items_VD.T + bias_V + additive``, item 0 and ``excluded`` left out.

    Exact in float32: first the k groups of GROUP items with the greatest maxima are found, which hold the k best
    items, then those among their members; the groups are found in the same way. Group j holds items j, j + G, j + 2G,
    ... so that maxima are taken over contiguous memory. Where the processor multiplies bfloat16 a shortlist comes from
    there, scored again in float32 and proven to hold the best; rows without the proof are scored as above. Other
    queries change no bit of a query's scores.

    Args:
        queries_BD: float32, on the device where the work is done; or [B, Q, D], where an item's dot product is the
            greatest of a user's Q queries.
        items_VD: float32 item vectors; row 0 is never returned.
        k: items per query, more than there are items allowed.
        bias_V: float32 added to every query's scores; -inf leaves an item out for all.
        excluded: items left out, per query.
        additive: scores added, per query.

    Raises:
        ValueError: an item of ``excluded`` or ``additive`` is no row of ``items_VD``, or a score is NaN.
    """
    for name, ragged in (("excluded", excluded), ("additive", additive)):
        if ragged is not None:
            ragged.check(name, len(items_VD))
    queries_BQD = queries_BD if queries_BD.dim() == 3 else queries_BD[:, None]
    kept = min(k, len(items_VD))
    found = _found(queries_BQD, items_VD, kept, bias_V, (excluded, additive))
    added = None if additive is None else additive.values_N
    _refuse_nan(
        found.scores_BK,
        queries=queries_BQD,
        items=items_VD[1:],
        bias=None if bias_V is None else bias_V[1:],
        additive=added,
    )
    pad, missing = torch.nn.functional.pad, (0, k - kept)
    return TopK(pad(found.scores_BK, missing, value=NEVER), pad(found.items_BK, missing, value=0))


def _found(
    queries_BQD: Tensor, items_VD: Tensor, k: int, bias_V: Tensor | None, extra: tuple[Ragged | None, Ragged | None]
) -> TopK:
    """Return the k best by halves where they are proven, all others by products in float32."""
    blocks = blocks_in(BUDGET, items_VD, k) if queries_BQD.shape[1] == 1 and worth_halves(items_VD) else None
    if blocks is None:
        return _by_singles(queries_BQD, items_VD, k, bias_V, extra)
    own_V = torch.zeros(len(items_VD)) if bias_V is None else bias_V.clone()
    own_V[0] = NEVER
    found, sure_B = best_by_halves(Asked(queries_BQD[:, 0], items_VD, own_V, *extra), k, blocks)
    open_U = (~sure_B).nonzero()[:, 0]
    if len(open_U):
        some = tuple(None if own is None else own.some(open_U) for own in extra)
        rest = _by_singles(queries_BQD[open_U], items_VD, k, bias_V, (some[0], some[1]))
        found.scores_BK[open_U], found.items_BK[open_U] = rest.scores_BK, rest.items_BK
    return found


def _refuse_nan(scores_BK: Tensor, **given: Tensor | None) -> None:
    """Refuse NaN, looking at what was given only where the scores are suspicious.

    A NaN is above all numbers, so it would stand in the first place. Where more scores are equal to the k-th best than
    there is room for, the list is chosen by comparing, which NaN does not survive: then two equal scores end it.
    """
    first_B, last_B = scores_BK[:, :1].flatten(), scores_BK[:, -1:].flatten()
    met = bool(first_B.isnan().any())
    doubtful_B = (scores_BK[:, -2:-1].flatten() == last_B) & (last_B > NEVER) if scores_BK.shape[1] > 1 else None
    if not met and (doubtful_B is None or not doubtful_B.any()):
        return
    wrong = [name for name, values in given.items() if values is not None and values.isnan().any()]
    if wrong or met:
        told = f"NaN in {' and '.join(wrong)}" if wrong else "products or sums of infinite numbers are NaN"
        raise ValueError(f"top_k: {told}, wanted numbers or -inf; look at the model's weights and the prior")


def _by_singles(
    queries_BQD: Tensor, items_VD: Tensor, k: int, bias_V: Tensor | None, extra: tuple[Ragged | None, Ragged | None]
) -> TopK:
    """Return the k best by products in float32."""
    device, rows, num_items = queries_BQD.device, len(queries_BQD), len(items_VD)
    at_once = chunk_rows(num_items, k, queries_BQD.shape[1])
    buffered = -(-min(at_once, rows) // ROWS) * ROWS
    buffer_RV = torch.full((buffered, num_groups(num_items) * GROUP), NEVER, device=device)
    found = TopK(
        torch.empty(rows, k, device=device), torch.empty(rows, k, dtype=torch.int64, device=device)
    )  # fmt: skip
    for start in range(0, rows, at_once):
        chunk = slice(start, min(start + at_once, rows))
        padded_RQD = torch.nn.functional.pad(queries_BQD[chunk], (0, 0, 0, 0, 0, (start - chunk.stop) % ROWS))
        _score(buffer_RV[: len(padded_RQD), :num_items], padded_RQD, items_VD, bias_V)
        scores_RV = buffer_RV[: chunk.stop - start]
        _amend(scores_RV, chunk, *extra)
        found.scores_BK[chunk], found.items_BK[chunk] = best(scores_RV, k)
    return found


def chunk_rows(num_items: int, k: int, num_queries: int = 1) -> int:
    """Return how many users are scored at once, so that all that is made for them stays within BUDGET.

    A user needs 4 bytes an item (twice that with several queries), a GROUP-th of it for the maxima, and 12 bytes for
    each member of his k best groups, counted twice as they are sorted.
    """
    groups = num_groups(num_items)
    scores = 4 * groups * GROUP * (1 if num_queries == 1 else 2)
    per_row = scores + 4 * groups + 2 * 12 * GROUP * min(k, groups)
    return max(ROWS, min(CHUNK, BUDGET // per_row // ROWS * ROWS))


def _score(scores_RV: Tensor, queries_RQD: Tensor, items_VD: Tensor, bias_V: Tensor | None) -> None:
    """Write the scores into a part of the reused buffer."""
    if queries_RQD.shape[1] == 1 and bias_V is not None:
        torch.addmm(bias_V, queries_RQD[:, 0], items_VD.T, out=scores_RV)
        return
    torch.mm(queries_RQD[:, 0], items_VD.T, out=scores_RV)
    for query in range(1, queries_RQD.shape[1]):
        torch.maximum(scores_RV, queries_RQD[:, query] @ items_VD.T, out=scores_RV)
    if bias_V is not None:
        scores_RV += bias_V


def _amend(scores_RV: Tensor, chunk: slice, excluded: Ragged | None, additive: Ragged | None) -> None:
    """Add and exclude, in place, what is given for the queries of a chunk."""
    flat, device = scores_RV.view(-1), scores_RV.device
    if additive is not None:
        positions_N, values_N = additive.flat(chunk, scores_RV.shape[1])
        assert values_N is not None
        flat.index_add_(0, positions_N.to(device), values_N.to(device))
    if excluded is not None:
        flat.index_fill_(0, excluded.flat(chunk, scores_RV.shape[1])[0].to(device), NEVER)
    scores_RV[:, 0] = NEVER
