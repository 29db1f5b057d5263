"""The lists of one worker's users, as arrays until the end: best items, then what is popular, then the reasons.

B users of an Arrow batch   Q queries of a user   D width   K places   M candidates   V items + 1 (0 is padding)
C categories kept per item   N labels of a head
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from intentrec.baselines import Additive
from intentrec.cluster.judging import Indices
from intentrec.cluster.recommenders import known_to, masked, ragged
from intentrec.cluster.reranking import Asking, NewItems, Scores, rerank
from intentrec.cluster.scoring.columns import EXPLORE, FALLBACK, MODEL, PRIOR, Lists, Said, Users
from intentrec.cluster.scoring.evidence import added_at, added_to, followed_items
from intentrec.cluster.scoring.limits import fill_places, keep_limits
from intentrec.cluster.scoring.plan import ScoringPlan
from intentrec.model.inference import Encoded, Histories, Scorer
from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k
from intentrec.policies import user_seeds
from intentrec.rules import Found


class ListMaker:
    """Makes lists by one plan and one loaded model."""

    def __init__(self, plan: ScoringPlan, scorer: Scorer | None) -> None:
        self._plan, self._scorer, view = plan, scorer, plan.limits
        self._num_pinned = 0 if view is None else int(view.allowed_V[view.pin_items_P].sum())
        if scorer is None:
            return
        num_known = scorer.shape.num_items + 1
        self._num_known = num_known
        assert plan.prior is not None
        self._prior = plan.prior
        self._categories_VC = scorer.network.items.categories_VK.numpy()
        offset_V = np.zeros(num_known, np.float32)
        item_V = plan.prior.item_scores(scorer.bias_V, num_known)
        if plan.reranking is not None:
            offset_V = plan.reranking.offset_V[:num_known]
            young_V = plan.bias_V + plan.reranking.offset_V
            young_V[:num_known] += item_V.numpy()
            self._new = NewItems(scorer, plan.reranking, young_V)
            own_VC = plan.reranking.categories_VC
            self._categories_VC = np.where(own_VC > len(scorer.labels.get("category", ())), 0, own_VC)
        self._network_V = masked(offset_V, plan.allowed[:num_known]) + item_V
        self._mixed_V = self._network_V + torch.from_numpy(plan.bias_V[:num_known])

    def lists_of(self, users: Users) -> tuple[Lists, Said | None]:
        """Return the users' lists, and what the model says of the users."""
        if self._scorer is None:
            return self._filled(self._kept(Lists.empty(len(users), self._plan.k), None, users), users.seen), None
        past = Histories(users.items, users.times, users.features)
        known = known_to(self._scorer.shape, self._plan.fields, past)
        said = self._scorer.encode(known)
        queries_BQD = self._prior.personal(said.queries_BQD, users.items)
        lists = self._kept(self._best(queries_BQD, said, users), queries_BQD, users)
        lists = self._filled(self._with_reasons(lists, said, known.items, users), users.seen)
        return lists, (said, self._scorer.labels)

    def _best(self, queries_BQD: Tensor, said: Encoded, users: Users) -> Lists:
        """Return the best items of model and prior together, in the order that the policies want.

        A place is the prior's where the network alone would not have had its item among the candidates.
        """
        pool = self._candidates(queries_BQD, users, self._plan.pool)
        lists = Lists.empty(len(users), self._plan.k)
        items_BK, scores_BK, propensity_BK = *pool, lists.propensity_BK
        how = self._plan.reranking
        if how is not None:
            new = self._new.best(queries_BQD, users.seen, how.num_new(self._plan.k))
            past = Histories(users.items, users.times, users.features)
            asking = Asking(past, said, user_seeds(users.user_ids.to_pylist(), how.night))
            chosen = rerank(pool, new, asking, how, self._plan.k, self._num_pinned)
            items_BK, scores_BK, propensity_BK = chosen.items_BK, chosen.scores_BK, chosen.propensity_BK
        sources_BK = lists.sources_BK
        if self._plan.bias_V.any() or self._plan.cold is not None or self._plan.sources:
            alone_BM, _ = self._top(queries_BQD, users.seen, self._network_V, self._plan.pool)
            raised_BK = _within(items_BK, pool[0]) & ~_within(items_BK, alone_BM)
            sources_BK = np.where(raised_BK, PRIOR, MODEL).astype(np.int8)
        sources_BK = np.where(np.isnan(propensity_BK), sources_BK, EXPLORE).astype(np.int8)
        return replace(
            lists, items_BK=items_BK, scores_BK=scores_BK, sources_BK=sources_BK, propensity_BK=propensity_BK
        )

    def _candidates(self, queries_BQD: Tensor, users: Users, depth: int) -> tuple[Indices, Scores]:
        """Return the best items_BM and scores_BM; of users with few events together with their segment's popularity."""
        added = added_to(self._plan, users.items, self._num_known - 1)
        items_BM, scores_BM = self._top(queries_BQD, users.seen, self._mixed_V, depth, added)
        cold = self._plan.cold
        if cold is None:
            return items_BM, scores_BM
        assert users.segments is not None
        events_B = np.array([len(own) for own in users.items])
        segments_B = np.array([0 if name is None else cold.segments.get(name, 0) for name in users.segments])
        few = np.flatnonzero(events_B < cold.events)
        kinds = np.unique(np.stack([events_B[few], segments_B[few]], axis=1), axis=0)
        for events, segment in kinds.tolist():
            rows = few[(events_B[few] == events) & (segments_B[few] == segment)]
            trust = events / (events + cold.shrink_events)
            popular_V = torch.from_numpy(cold.popularity_SV[segment, : self._num_known])
            if self._plan.boost_V is not None:  # else trust would shrink it: odds of 100 for one event became 2
                popular_V = popular_V + torch.from_numpy(self._plan.boost_V[: self._num_known])
            bias_V = trust * self._mixed_V + (1 - trust) * popular_V
            own = trust * queries_BQD[torch.from_numpy(rows)]
            added = added_to(self._plan, [users.items[row] for row in rows], self._num_known - 1)
            if added is not None:
                added = added._replace(values=np.float32(trust) * added.values)
            items_BM[rows], scores_BM[rows] = self._top(own, [users.seen[row] for row in rows], bias_V, depth, added)
        return items_BM, scores_BM

    def _top(
        self, queries_BQD: Tensor, seen: Sequence[Indices], bias_V: Tensor, depth: int, added: Additive | None = None
    ) -> tuple[Indices, Scores]:
        assert self._scorer is not None
        excluded = Ragged.of([own[own < self._num_known] for own in seen])
        additive = None if added is None else ragged(added, slice(0, len(seen)))
        found = top_k(queries_BQD, self._scorer.items_VD, depth, bias_V=bias_V, excluded=excluded, additive=additive)
        return found.items_BK.numpy(), found.scores_BK.numpy().astype(np.float64)

    def _kept(self, lists: Lists, queries_BQD: Tensor | None, users: Users) -> Lists:
        """Keep the rules' limits and pins: what was chosen first, then as deep as it takes."""
        view = self._plan.limits
        if view is None:
            return lists

        def deeper(rows: Indices, depth: int) -> Found:
            if queries_BQD is None:
                return Found.nothing(len(rows))
            items_RN, scores_RN = self._candidates(
                queries_BQD[torch.from_numpy(rows)], users.some(rows.tolist()), depth
            )
            return Found(items_RN, scores_RN, items_RN[:, -1] > 0)

        pins_BP = self._scores_of(view.pin_items_P, queries_BQD, users.items)
        return keep_limits(view, self._plan.num_rules, lists, users.seen, deeper, pins_BP)

    def _scores_of(self, items_P: Indices, queries_BQD: Tensor | None, items: Sequence[Indices]) -> Scores:
        """Return the model's scores_BP of pinned items; 0 for an item that it does not know."""
        scores_BP = np.zeros((len(items), len(items_P)))
        if queries_BQD is None or self._scorer is None:
            return scores_BP
        known_P = np.flatnonzero(items_P < self._num_known)
        own_P = torch.from_numpy(items_P[known_P])
        bias_P = self._prior.item_scores(self._scorer.bias_V, self._num_known)[own_P]
        bias_P = bias_P + torch.from_numpy(self._plan.bias_V)[own_P]
        vectors_PD = self._scorer.items_VD[own_P]  # multiplied one by one: other users change no bit
        scores_BP[:, known_P] = ((queries_BQD[:, :, None] * vectors_PD).sum(dim=3).amax(dim=1) + bias_P).numpy()
        added = added_to(self._plan, items, self._num_known - 1)
        return scores_BP + added_at(added, len(items), items_P)

    def _with_reasons(self, lists: Lists, said: Encoded, past: Sequence[Indices], users: Users) -> Lists:
        """Name for every place a past item and its intent, the likeliest of the item's own categories.

        The past item is the nearest one; where the prior raised the place, the one that the item often follows.
        """
        assert self._scorer is not None
        known_BK = np.where(lists.items_BK < self._num_known, lists.items_BK, 0)
        because_BK = self._scorer.nearest(torch.from_numpy(known_BK), past).numpy()
        raised_BK = np.where(lists.sources_BK == PRIOR, known_BK, 0)
        followed_BK = followed_items(self._plan, users.items, raised_BK)
        because_BK = np.where(followed_BK > 0, followed_BK, because_BK)
        if "category" not in said.heads:
            return replace(lists, because_BK=because_BK)
        own_BKC = self._categories_VC[np.where(lists.items_BK < len(self._categories_VC), lists.items_BK, 0)]
        chances_BN = np.concatenate([np.full((len(own_BKC), 1), -1.0), said.heads["category"].numpy()], axis=1)
        own_chances_BKC = np.take_along_axis(chances_BN[:, None, :], own_BKC, axis=2)
        best_BK1 = own_chances_BKC.argmax(axis=2)[:, :, None]
        return replace(lists, because_BK=because_BK, intents_BK=np.take_along_axis(own_BKC, best_BK1, axis=2)[:, :, 0])

    def _filled(self, lists: Lists, seen: list[Indices]) -> Lists:
        """Fill short lists with what is popular; scores go on falling from where the model's end."""
        if self._plan.limits is not None:
            return fill_places(self._plan.limits, lists, seen, self._plan.filler, self._plan.filler_scores)
        lengths_B = (lists.items_BK > 0).sum(axis=1)
        short = np.flatnonzero(lengths_B < self._plan.k)
        if not len(short):
            return lists
        items_BK, scores_BK, sources_BK = lists.items_BK.copy(), lists.scores_BK.copy(), lists.sources_BK.copy()
        for row in short.tolist():
            length = int(lengths_B[row])
            missing = self._plan.k - length
            taken = np.concatenate([seen[row], items_BK[row, :length]])
            nearest = slice(0, missing + len(taken))  # no more than what is taken can be missing from these
            free = ~np.isin(self._plan.filler[nearest], taken)
            fillers = self._plan.filler[nearest][free][:missing]
            values = self._plan.filler_scores[nearest][free][:missing].astype(np.float64)
            highest = float(scores_BK[row, :length].min()) if length else math.inf
            drop = min(0.0, highest - values[0]) if len(values) else 0.0
            places = slice(length, length + len(fillers))
            items_BK[row, places], sources_BK[row, places] = fillers, FALLBACK
            scores_BK[row, places] = np.minimum(values + drop, highest)  # the sum is rounded
        return replace(lists, items_BK=items_BK, scores_BK=scores_BK, sources_BK=sources_BK)


def _within(items_BK: Indices, others_BM: Indices) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    found: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (items_BK[:, :, None] == others_BM[:, None, :]).any(axis=2)
    return found
