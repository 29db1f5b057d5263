"""The one network: events -> short term -> intents -> next item. Presets switch parts off.

B rows   L events, left-padded   C columns of features   D width   V items + 1 (0 is padding and unknown)
H intent heads   N labels of a head
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intentrec.model.fusion import EventFusion, ItemTable
from intentrec.model.intents import head_sizes
from intentrec.model.layers import Encoder, GatedBlock, Timeline
from intentrec.model.shape import Catalogue, NetworkShape


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the network says after every event, of the event that follows.

    Attributes:
        queries_BLD: dot products with item vectors are the items' logits.
        head_logits: head -> [B, L, N].
        alpha_BLH: shares of the heads in ``intents_BLD``, in the shape's order; H is 0 without heads.
        intents_BLD: Z, the mixture of all heads; 0 without heads.
    """

    queries_BLD: Tensor
    head_logits: dict[str, Tensor]
    alpha_BLH: Tensor
    intents_BLD: Tensor


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


class IntentNetwork(nn.Module):
    """Predict the next event's intents and, from them, its item.

    Source: IntentRec (arXiv 2408.05353), section 3, with LiGR blocks for its Transformers.
    """

    def __init__(self, shape: NetworkShape, catalogue: Catalogue) -> None:
        """Build the parts that ``shape`` switches on; random numbers come from torch's global generator."""
        super().__init__()
        self.shape = shape
        block = (shape.attention_heads, shape.dropout, shape.read_time)
        self.items = ItemTable(shape, catalogue)
        self.fusion = EventFusion(shape, catalogue)
        self.short_term = GatedBlock(shape.width, *block) if shape.short_term_days is not None else None
        inputs = 1 if self.short_term is None else 2
        self.intent_encoder: Encoder | None = None
        self.intents: IntentMixture | None = None
        if shape.heads:
            self.intent_encoder = Encoder(inputs, shape.width, shape.intent_layers, block)
            self.intents = IntentMixture(head_sizes(shape), shape.width)
            inputs += 1
        self.item_encoder = Encoder(inputs, shape.width, shape.layers, block)

    def forward(
        self, items_BL: Tensor, times_BL: Tensor, features_BCL: Tensor, vectors_VD: Tensor | None = None
    ) -> Predictions:
        """Read whole rows; what is said after event k depends on no later event, and not on the padding.

        Args:
            items_BL: int64 item indices, oldest first, padded with 0 on the left.
            times_BL: int64 UTC seconds since 1970; 0 is padding.
            features_BCL: int64 value indices of every column, 0 is none.
            vectors_VD: what ``item_vectors`` gives, if the caller has it already.
        """
        vectors_VD = self.item_vectors() if vectors_VD is None else vectors_VD
        timeline = Timeline.of(times_BL)
        event_BLD = self.fusion(self.items.read(items_BL, vectors_VD), items_BL, times_BL, features_BCL)
        parts = [event_BLD]
        if self.short_term is not None:
            assert self.shape.short_term_days is not None
            recent = timeline.within(times_BL, self.shape.short_term_days)
            parts.append(self.short_term(event_BLD, recent))
        logits: dict[str, Tensor] = {}
        alpha_BLH = event_BLD.new_zeros(*items_BL.shape, 0)
        intents_BLD = torch.zeros_like(event_BLD)
        if self.intent_encoder is not None and self.intents is not None:
            logits, alpha_BLH, intents_BLD = self.intents(self.intent_encoder(parts, timeline))
            parts.append(intents_BLD)
        return Predictions(self.item_encoder(parts, timeline), logits, alpha_BLH, intents_BLD)

    def item_vectors(self) -> Tensor:
        """Return float [V, D]; row 0 stands for unknown items and is never recommended."""
        return self.items.vectors()

    def item_bias(self) -> Tensor | None:
        """Return float [V], the items' own scores, if the shape has them."""
        return self.items.bias
