"""The one network: events -> short term -> intents -> next item. Presets switch parts off.

B rows   L events, left-padded   C columns of features   D width   Q queries of an event
H intent heads   N labels of a head
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intentrec.model.fusion import EventFusion
from intentrec.model.intents import head_sizes
from intentrec.model.items import ItemTable, ItemVectors
from intentrec.model.layers import Encoder, GatedBlock, Timeline
from intentrec.model.long_term import LongTerm
from intentrec.model.readouts import Last, readout_of
from intentrec.model.shape import ACTION, Catalogue, NetworkShape


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the network says after every event, of the event that follows.

    Attributes:
        queries_BLQD: dot products with item vectors are the items' logits, the greatest of Q where there are several.
        head_logits: head -> [B, L, N].
        alpha_BLH: shares of the heads in ``intents_BLD``, in the shape's order; H is 0 without heads.
        intents_BLD: Z, the mixture of all heads; 0 without heads.
    """

    queries_BLQD: Tensor
    head_logits: dict[str, Tensor]
    alpha_BLH: Tensor
    intents_BLD: Tensor


Said = tuple[dict[str, Tensor], Tensor, Tensor]  # head_logits, alpha_BLH and intents_BLD of Predictions


class IntentMixture(nn.Module):
    """Intent heads, and their probabilities mixed into Z by attention.

    The probabilities are projected, not the hidden state: what Z tells the item encoder can be read from them.

    Source: IntentRec (arXiv 2408.05353), section 3.3.
    """

    def __init__(self, sizes: dict[str, int], width: int) -> None:
        """Build one head and one projection for each of ``sizes`` (head -> number of labels)."""
        super().__init__()
        self.heads = nn.ModuleDict({head: nn.Linear(width, size) for head, size in sizes.items()})
        self.projected = nn.ModuleDict({head: nn.Linear(size, width) for head, size in sizes.items()})
        self.attention = nn.Linear(width, 1, bias=False)  # a bias would not change the softmax

    def forward(self, hidden_BLD: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return head -> logits [B, L, N], alpha [B, L, H] and Z [B, L, D]."""
        logits = {name: head(hidden_BLD) for name, head in self.heads.items()}
        projected = [self.projected[name](logits_BLN.softmax(dim=-1)) for name, logits_BLN in logits.items()]
        projected_BLHD = torch.stack(projected, dim=2)
        alpha_BLH = self.attention(projected_BLHD).squeeze(-1).softmax(dim=-1)
        return logits, alpha_BLH, (alpha_BLH[..., None] * projected_BLHD).sum(dim=2)


class FlatHeads(nn.Module):
    """Intent heads that nothing reads: all weigh the same, and Z is 0."""

    def __init__(self, sizes: dict[str, int], width: int) -> None:
        """Build one head for each of ``sizes`` (head -> number of labels)."""
        super().__init__()
        self.heads = nn.ModuleDict({head: nn.Linear(width, size) for head, size in sizes.items()})

    def forward(self, hidden_BLD: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return head -> logits [B, L, N], alpha [B, L, H] and Z [B, L, D]."""
        logits = {name: head(hidden_BLD) for name, head in self.heads.items()}
        alpha_BLH = hidden_BLD.new_full((*hidden_BLD.shape[:2], len(logits)), 1 / len(logits))
        return logits, alpha_BLH, torch.zeros_like(hidden_BLD)


class WantedAction(nn.Module):
    """What a query adds for the action that is wanted of the next event.

    In training that is the action the next event has. Lists are made for one action, or for all of them as likely as
    the head says: scores are dot products, so the mean of the actions' vectors gives the mean of their scores.

    Source: MB-STR (Yuan et al., SIGIR 2022), behaviour-specific prediction, as a causal query.
    """

    def __init__(self, num_actions: int, width: int, target: int) -> None:
        """Build one vector per action, at first 0; ``target`` is the value index that lists are made for, 0: none."""
        super().__init__()
        self.target = target
        self.actions = nn.Embedding(num_actions + 1, width, padding_idx=0)
        nn.init.zeros_(self.actions.weight)

    def forward(self, wanted_BL: Tensor | None, action_logits_BLN: Tensor | None) -> Tensor:
        """Return float [D] or [B, L, D]; ``wanted_BL`` holds int64 value indices, 0 for unknown ones."""
        if wanted_BL is not None:
            return self.actions(wanted_BL)  # type: ignore[no-any-return]
        if self.target:
            return self.actions.weight[self.target]
        assert action_logits_BLN is not None  # preset_shape sees to it
        return action_logits_BLN.softmax(dim=-1) @ self.actions.weight[1:]


class IntentNetwork(nn.Module):
    """Predict the next event's intents and, from them, its item.

    Source: IntentRec (arXiv 2408.05353), section 3, with LiGR blocks for its Transformers.
    """

    def __init__(self, shape: NetworkShape, catalogue: Catalogue) -> None:
        """Build the parts that ``shape`` switches on; random numbers come from torch's global generator."""
        super().__init__()
        self.shape = shape
        self.items = ItemTable(shape, catalogue)
        self.fusion = EventFusion(shape, catalogue)
        self.short_term: GatedBlock | None = None
        inputs = 1
        if shape.short_term_days is not None:
            self.short_term = GatedBlock(shape.width, shape.attention_heads, shape.dropout, shape.read_time)
            inputs += 1
        self.long_term = LongTerm(shape, catalogue) if shape.long_term else None
        inputs += shape.long_term
        self.intent_encoder: Encoder | None = None
        self.intents: IntentMixture | None = None
        self.flat_heads: FlatHeads | None = None
        if shape.heads and shape.feed_intents:
            self.intent_encoder = Encoder(inputs, shape, shape.intent_layers)
            self.intents = IntentMixture(head_sizes(shape), shape.width)
            inputs += 1
        elif shape.heads:
            self.flat_heads = FlatHeads(head_sizes(shape), shape.width)
        encodes = shape.encoder != "none" or inputs > 1
        self.item_encoder = Encoder(inputs, shape, shape.layers) if encodes else None
        self.readout = readout_of(shape)
        action = shape.field(ACTION) if shape.condition_on_action else None
        self.wanted = WantedAction(action.num_values, shape.width, shape.target_action) if action else None

    def forward(
        self,
        items_BL: Tensor,
        times_BL: Tensor,
        features_BCL: Tensor,
        vectors: ItemVectors | None = None,
        wanted_BL: Tensor | None = None,
    ) -> Predictions:
        """Read whole rows; what is said after event k depends on no later event, and not on the padding.

        Args:
            items_BL: int64 item indices, oldest first, padded with 0 on the left.
            times_BL: int64 UTC seconds since 1970; 0 is padding.
            features_BCL: int64 value indices of every column, 0 is none.
            vectors: of all items, or of those in ``items_BL`` and more, if the caller has them already.
            wanted_BL: int64 value index of the action wanted of the event after each one, where the shape has a
                condition on it; None: as the shape says.
        """
        vectors = self.items.whole() if vectors is None else vectors
        timeline = Timeline.of(times_BL)
        parts, said = self._read(items_BL, times_BL, features_BCL, vectors, timeline)
        hidden_BLD = parts[0] if self.item_encoder is None else self.item_encoder(parts, timeline)
        if self.flat_heads is not None:
            said = self.flat_heads(hidden_BLD)
        return self._answered(self.readout(hidden_BLD, timeline), said, wanted_BL)

    def of_last(self, items_BL: Tensor, times_BL: Tensor, features_BCL: Tensor, vectors: ItemVectors) -> Predictions:
        """Return what ``forward`` says after the last event of every row, L is 1, for less work where that is possible.

        The last layer then has one event to answer for; a readout of all events needs them all.
        """
        timeline = Timeline.of(times_BL)
        parts, said = self._read(items_BL, times_BL, features_BCL, vectors, timeline)
        if isinstance(self.readout, Last):
            last_B1D = parts[0][:, -1:] if self.item_encoder is None else self.item_encoder.of_last(parts, timeline)
            queries_B1QD = self.readout(last_B1D, timeline.of_last())
        else:
            hidden_BLD = parts[0] if self.item_encoder is None else self.item_encoder(parts, timeline)
            last_B1D, queries_B1QD = hidden_BLD[:, -1:], self.readout(hidden_BLD, timeline)[:, -1:]
        if self.flat_heads is not None:
            return self._answered(queries_B1QD, self.flat_heads(last_B1D), None)
        logits, alpha_BLH, intents_BLD = said
        last = {head: logits_BLN[:, -1:] for head, logits_BLN in logits.items()}, alpha_BLH[:, -1:], intents_BLD[:, -1:]
        return self._answered(queries_B1QD, last, None)

    def _read(
        self, items_BL: Tensor, times_BL: Tensor, features_BCL: Tensor, vectors: ItemVectors, timeline: Timeline
    ) -> tuple[list[Tensor], Said]:
        """Return what the item encoder reads, the events first, and what the intents are that it reads of."""
        ids_BL = self.items.drop(items_BL)
        event_BLD = self.fusion(self.items.read(items_BL, ids_BL, vectors), ids_BL, times_BL, features_BCL)
        parts = [event_BLD]
        if self.short_term is not None:
            assert self.shape.short_term_days is not None
            recent = timeline.within(times_BL, self.shape.short_term_days)
            parts.append(self.short_term(event_BLD, recent))
        if self.long_term is not None:
            parts.append(self.long_term(items_BL, times_BL, timeline))
        if self.intent_encoder is None or self.intents is None:
            return parts, ({}, event_BLD.new_zeros(*items_BL.shape, 0), torch.zeros_like(event_BLD))
        said: Said = self.intents(self.intent_encoder(parts, timeline))
        return [*parts, said[2]], said

    def _answered(self, queries_BLQD: Tensor, said: Said, wanted_BL: Tensor | None) -> Predictions:
        if self.wanted is not None:
            queries_BLQD = queries_BLQD + self.wanted(wanted_BL, said[0].get(ACTION)).unsqueeze(-2)
        if self.shape.cosine_scale is not None:
            queries_BLQD = F.normalize(queries_BLQD, dim=-1) * self.shape.cosine_scale
        return Predictions(queries_BLQD, *said)
