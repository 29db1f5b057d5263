"""Places kept for new items, which no popularity and few events speak for.

B users   P places   J candidates among the new items
"""

import numpy as np
from numpy.typing import NDArray

from intentrec.policies.taste import Indices


def with_new_items(listed: tuple[Indices, NDArray[np.float64]], new: tuple[Indices, NDArray[np.float64]],
                   young_V: NDArray[np.bool_], least: int) -> tuple[Indices, NDArray[np.float64]]:  # fmt: skip
    """Let the best new items take the place of the last others, until a list has ``least`` of them.

    Args:
        listed: int64 [B, P] items and float64 scores, best first, item 0 in an empty place; empty places stay.
        new: the same of the best new items for each user, J of them.
        young_V: whether an item is new.
        least: places for new items; 0 changes nothing.

    Returns:
        Items and scores: what was listed in its order, then the new ones that came in, best first. A list has fewer
        than ``least`` new items only where its user has no more new candidates.
    """
    items_BP, scores_BP = listed
    new_BJ, new_scores_BJ = new
    if not least or not new_BJ.shape[1]:
        return items_BP, scores_BP
    filled_BP = items_BP > 0
    own_BP = young_V[items_BP] & filled_BP
    fresh_BJ = (new_BJ > 0) & ~(new_BJ[:, :, None] == items_BP[:, None, :]).any(axis=2)
    others_B = (filled_BP & ~own_BP).sum(axis=1)
    wanted_B = np.minimum.reduce([np.maximum(least - own_BP.sum(axis=1), 0), fresh_BJ.sum(axis=1), others_B])
    from_end_BP = np.cumsum((filled_BP & ~own_BP)[:, ::-1], axis=1)[:, ::-1]  # the last of the others is 1
    leaves_BP = filled_BP & ~own_BP & (from_end_BP <= wanted_B[:, None])
    comes_BJ = fresh_BJ & (np.cumsum(fresh_BJ, axis=1) <= wanted_B[:, None])
    both = np.concatenate([np.where(leaves_BP, 0, items_BP), np.where(comes_BJ, new_BJ, 0)], axis=1)
    scores = np.concatenate([scores_BP, new_scores_BJ], axis=1)
    order = np.argsort(both == 0, axis=1, kind="stable")[:, : items_BP.shape[1]]  # what is empty goes to the end
    return np.take_along_axis(both, order, axis=1), np.take_along_axis(scores, order, axis=1)
