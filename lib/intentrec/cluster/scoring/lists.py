"""The lists of one worker's users, as arrays until the end: best items, then what is popular, then the reasons.

B users of an Arrow batch   Q queries of a user   D width   K places   V items + 1 (0 is padding)
C categories kept per item   N labels of a head
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from intentrec.cluster.judging import Indices
from intentrec.cluster.recommenders import known_to, masked
from intentrec.cluster.scoring.columns import FALLBACK, MODEL, PRIOR, Lists, Users
from intentrec.cluster.scoring.plan import ScoringPlan
from intentrec.model.inference import Encoded, Histories, Scorer
from intentrec.model.topk import Ragged, TopK, top_k

Said = tuple[Encoded, Mapping[str, Sequence[str]]]  # and head -> labels


class ListMaker:
    """Makes lists by one plan and one loaded model."""

    def __init__(self, plan: ScoringPlan, scorer: Scorer | None) -> None:
        self._plan, self._scorer = plan, scorer
        if scorer is None:
            return
        num_known = scorer.shape.num_items + 1
        self._num_known = num_known
        assert plan.prior is not None
        self._prior = plan.prior
        self._network_V = masked(np.zeros(num_known, np.float32), plan.allowed[:num_known])
        self._network_V += plan.prior.item_scores(scorer.bias_V, num_known)
        self._mixed_V = self._network_V + torch.from_numpy(plan.bias_V[:num_known])
        self._categories_VC = scorer.network.items.categories_VK.numpy()

    def lists_of(self, users: Users) -> tuple[Lists, Said | None]:
        """Return the users' lists, and what the model says of the users."""
        if self._scorer is None:
            return self._filled(Lists.empty(len(users), self._plan.k), users.seen), None
        past = Histories(users.items, users.times, users.features)
        known = known_to(self._scorer.shape, self._plan.fields, past)
        said = self._scorer.encode(known)
        lists = self._best(self._prior.personal(said.queries_BQD, users.items), users.seen)
        lists = self._filled(self._with_reasons(lists, said, known.items), users.seen)
        return lists, (said, self._scorer.labels)

    def _best(self, queries_BQD: Tensor, seen: list[Indices]) -> Lists:
        """Return the best items of model and prior together.

        A place is the prior's where the network alone would not have listed its item.
        """
        mixed = self._top(queries_BQD, seen, self._mixed_V)
        lists = Lists.empty(*mixed.items_BK.shape)
        sources_BK = lists.sources_BK
        if self._plan.bias_V.any():
            alone = self._top(queries_BQD, seen, self._network_V)
            found_BK = (mixed.items_BK[:, :, None] == alone.items_BK[:, None, :]).any(dim=2).numpy()
            sources_BK = np.where(found_BK, MODEL, PRIOR).astype(np.int8)
        return replace(
            lists,
            items_BK=mixed.items_BK.numpy(),
            scores_BK=mixed.scores_BK.numpy().astype(np.float64),
            sources_BK=sources_BK,
        )

    def _top(self, queries_BQD: Tensor, seen: list[Indices], bias_V: Tensor) -> TopK:
        assert self._scorer is not None
        excluded = Ragged.of([own[own < self._num_known] for own in seen])
        return top_k(queries_BQD, self._scorer.items_VD, self._plan.k, bias_V=bias_V, excluded=excluded)

    def _with_reasons(self, lists: Lists, said: Encoded, past: Sequence[Indices]) -> Lists:
        """Name for every place the nearest past item, and the likeliest of the item's own categories: its intent."""
        assert self._scorer is not None
        because_BK = self._scorer.nearest(torch.from_numpy(lists.items_BK), past).numpy()
        if "category" not in said.heads:
            return replace(lists, because_BK=because_BK)
        own_BKC = self._categories_VC[lists.items_BK]
        chances_BN = np.concatenate([np.full((len(own_BKC), 1), -1.0), said.heads["category"].numpy()], axis=1)
        own_chances_BKC = np.take_along_axis(chances_BN[:, None, :], own_BKC, axis=2)
        best_BK1 = own_chances_BKC.argmax(axis=2)[:, :, None]
        return replace(lists, because_BK=because_BK, intents_BK=np.take_along_axis(own_BKC, best_BK1, axis=2)[:, :, 0])

    def _filled(self, lists: Lists, seen: list[Indices]) -> Lists:
        """Fill short lists with what is popular; scores go on falling from where the model's end."""
        lengths_B = (lists.items_BK > 0).sum(axis=1)
        short = np.flatnonzero(lengths_B < self._plan.k)
        if not len(short):
            return lists
        items_BK, scores_BK, sources_BK = (
            array.copy() for array in (lists.items_BK, lists.scores_BK, lists.sources_BK)
        )
        for row in short.tolist():
            length = int(lengths_B[row])
            missing = self._plan.k - length
            taken = np.concatenate([seen[row], items_BK[row, :length]])
            nearest = slice(0, missing + len(taken))  # no more than what is taken can be missing from these
            free = ~np.isin(self._plan.filler[nearest], taken)
            fillers = self._plan.filler[nearest][free][:missing]
            values = self._plan.filler_scores[nearest][free][:missing].astype(np.float64)
            highest = scores_BK[row, length - 1] if length else math.inf
            drop = min(0.0, highest - values[0]) if len(values) else 0.0
            places = slice(length, length + len(fillers))
            items_BK[row, places], sources_BK[row, places] = fillers, FALLBACK
            scores_BK[row, places] = np.minimum(values + drop, highest)  # the sum is rounded
        return replace(lists, items_BK=items_BK, scores_BK=scores_BK, sources_BK=sources_BK)
