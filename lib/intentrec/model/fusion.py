"""One event -> one vector: item, features, calendar, pause and item age.

B rows   L events, left-padded   C columns of features   D width   E width of a field
V items + 1 (0 is padding and unknown)   K categories kept per item
"""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intentrec.model.dropout import Dropout
from intentrec.model.intents import NUM_AGES, age_buckets
from intentrec.model.layers import NUM_PAUSES, pause_buckets
from intentrec.model.shape import Catalogue, NetworkShape

_HOURS = 168  # of a week
_ITEM_STD = 0.02  # first logits are dot products of about 0.02 * sqrt(width): a nearly uniform start


class ItemTable(nn.Module):
    """Item vectors: one per item plus the sum of its categories'; the same vectors are read and predicted.

    Row 0 stands for every unknown item.
    """

    categories_VK: Tensor

    def __init__(self, shape: NetworkShape, catalogue: Catalogue) -> None:
        """Build the tables; ``catalogue`` must have ``shape.num_items`` items."""
        super().__init__()
        assert catalogue.num_items == shape.num_items
        self.id_drop = shape.id_drop
        self.ids = nn.Embedding(shape.num_items + 1, shape.width)
        nn.init.normal_(self.ids.weight, std=_ITEM_STD)
        self.categories = nn.Embedding(shape.num_categories + 1, shape.width, padding_idx=0)
        nn.init.zeros_(self.categories.weight)  # an item starts as its own vector; categories learn what items share
        self.bias = nn.Parameter(torch.zeros(shape.num_items + 1)) if shape.item_bias else None
        self.register_buffer("categories_VK", catalogue.categories_VC, persistent=False)

    def features(self) -> Tensor:
        """Return float [V, D]: the part of every vector that comes from the item's categories."""
        if self.categories_VK.shape[1] == 0:
            return torch.zeros_like(self.ids.weight)
        return F.embedding_bag(self.categories_VK, self.categories.weight, mode="sum", padding_idx=0)

    def vectors(self) -> Tensor:
        """Return float [V, D], row 0 included."""
        return self.ids.weight + self.features()

    def read(self, items_BL: Tensor, vectors_VD: Tensor) -> Tensor:
        """Return float [B, L, D] of the events' items; in training some ids are read as unknown.

        Source: the feature path is trained as in DropoutNet (Volkovs et al., NeurIPS 2017), section 4.
        """
        read_BLD = F.embedding(items_BL, vectors_VD)
        if not self.training or self.id_drop == 0:
            return read_BLD
        own_BLD = F.embedding(items_BL, self.ids.weight)
        dropped_BL = torch.rand(items_BL.shape, device=items_BL.device) < self.id_drop
        return torch.where(dropped_BL[..., None], read_BLD - own_BLD + self.ids.weight[0], read_BLD)


class EventFusion(nn.Module):
    """Join everything known of an event when it happened."""

    published_V: Tensor

    def __init__(self, shape: NetworkShape, catalogue: Catalogue) -> None:
        """Build one small table per field that ``shape`` switches on."""
        super().__init__()
        self.shape = shape
        field_width = max(shape.width // 4, 4)
        read = shape.fields if shape.read_features else ()
        self.item_scale = math.sqrt(shape.width)
        small = partial(_small_table, width=field_width, std=_ITEM_STD * self.item_scale)  # as large as the scaled item
        self.fields = nn.ModuleDict({field.name: small(field.num_values + 1, empty=0) for field in read})
        sizes = {"hour": _HOURS, "pause": NUM_PAUSES + 1, "age": NUM_AGES + 1} if shape.read_time else {}
        self.times = nn.ModuleDict({name: small(size, empty=None) for name, size in sizes.items()})
        inputs = shape.width + field_width * (len(self.fields) + len(self.times))
        self.joined = nn.Linear(inputs, shape.width, bias=False)  # a bias would outweigh inputs of this size
        self.norm, self.dropout = nn.LayerNorm(shape.width), Dropout(shape.dropout)
        self.register_buffer("published_V", catalogue.published_V, persistent=False)

    def forward(self, item_BLD: Tensor, items_BL: Tensor, times_BL: Tensor, features_BCL: Tensor) -> Tensor:
        """Return float [B, L, D], 0 at padding.

        Args:
            item_BLD: what ``ItemTable.read`` gives.
            items_BL: int64 item indices.
            times_BL: int64 UTC seconds, 0 is padding.
            features_BCL: int64 value indices, 0 is none.
        """
        parts = [item_BLD * self.item_scale]
        for name, table in self.fields.items():
            parts.append(table(features_BCL[:, self.shape.columns_of(name)]).sum(dim=1))
        for name, table in self.times.items():
            parts.append(table(self._clock(name, items_BL, times_BL)))
        joined_BLD = self.dropout(self.norm(self.joined(torch.cat(parts, dim=-1))))
        out_BLD: Tensor = joined_BLD * (times_BL != 0)[..., None]
        return out_BLD

    def _clock(self, name: str, items_BL: Tensor, times_BL: Tensor) -> Tensor:
        """Return int64 buckets: hour of the week (UTC), pause before it (0: none), or item age (0: unknown)."""
        if name == "hour":
            return times_BL.div(3600, rounding_mode="floor").remainder(_HOURS)
        if name == "age":
            return age_buckets(times_BL - self.published_V[items_BL]).add(1).masked_fill(items_BL == 0, 0)
        before_BL = F.pad(times_BL[:, :-1], (1, 0))
        return pause_buckets(times_BL - before_BL).add(1).masked_fill(before_BL == 0, 0)


def _small_table(size: int, width: int, std: float, empty: int | None) -> nn.Embedding:
    """Return a table of normal numbers; row ``empty``, if any, is and stays 0."""
    table = nn.Embedding(size, width, padding_idx=empty)
    with torch.no_grad():
        table.weight.normal_(std=std)
        if empty is not None:
            table.weight[empty].zero_()
    return table
