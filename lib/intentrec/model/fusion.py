"""One event -> one vector: item, features, calendar, pause and item age.

B rows   L events, left-padded   C columns of features   D width   E width of a field
V items + 1 (0 is padding and unknown)
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
_STD = 0.02  # times sqrt(width): fields start as large as the scaled item
_TAKEN = frozenset(dir(nn.ModuleDict()))


class EventFusion(nn.Module):
    """Join everything known of an event when it happened."""

    published_V: Tensor

    def __init__(self, shape: NetworkShape, catalogue: Catalogue) -> None:
        """Build one small table per field that ``shape`` switches on."""
        super().__init__()
        self.shape = shape
        self.dropout = Dropout(shape.dropout)
        self.register_buffer("published_V", catalogue.published_V, persistent=False)
        if not shape.fuses_events:
            return
        field_width = max(shape.width // 4, 4)
        read = shape.fields if shape.read_features else ()
        self.item_scale = math.sqrt(shape.width)
        small = partial(_small_table, width=field_width, std=_STD * self.item_scale)
        self.fields = nn.ModuleDict({_key(field.name): small(field.num_values + 1, empty=0) for field in read})
        sizes = {"hour": _HOURS, "pause": NUM_PAUSES + 1, "age": NUM_AGES + 1} if shape.read_time else {}
        self.times = nn.ModuleDict({name: small(size, empty=None) for name, size in sizes.items()})
        inputs = shape.width + field_width * (len(self.fields) + len(self.times))
        self.joined = nn.Linear(inputs, shape.width, bias=False)  # a bias would outweigh inputs of this size
        self.norm = nn.LayerNorm(shape.width)

    def forward(self, item_BLD: Tensor, ids_BL: Tensor, times_BL: Tensor, features_BCL: Tensor) -> Tensor:
        """Return float [B, L, D], 0 at padding.

        Args:
            item_BLD: what ``ItemTable.read`` gives.
            ids_BL: int64 item indices that are read; 0 has no age, be it unknown or dropped.
            times_BL: int64 UTC seconds, 0 is padding.
            features_BCL: int64 value indices, 0 is none.
        """
        valid_BL1 = (times_BL != 0)[..., None]
        if not self.shape.fuses_events:
            alone_BLD: Tensor = self.dropout(item_BLD) * valid_BL1
            return alone_BLD
        parts = [item_BLD * self.item_scale]
        for field in self.shape.fields if len(self.fields) else ():
            parts.append(self.fields[_key(field.name)](features_BCL[:, self.shape.columns_of(field.name)]).sum(dim=1))
        for name, table in self.times.items():
            parts.append(table(self._clock(name, ids_BL, times_BL)))
        joined_BLD = self.dropout(self.norm(self.joined(torch.cat(parts, dim=-1))))
        out_BLD: Tensor = joined_BLD * valid_BL1
        return out_BLD

    def _clock(self, name: str, ids_BL: Tensor, times_BL: Tensor) -> Tensor:
        """Return int64 buckets: hour of the week (UTC), pause before it (0: none), or item age (0: unknown)."""
        if name == "hour":
            return times_BL.div(3600, rounding_mode="floor").remainder(_HOURS)
        if name == "age":
            return age_buckets(times_BL - self.published_V[ids_BL]).add(1).masked_fill(ids_BL == 0, 0)
        before_BL = F.pad(times_BL[:, :-1], (1, 0))
        return pause_buckets(times_BL - before_BL).add(1).masked_fill(before_BL == 0, 0)


def _key(name: str) -> str:
    """Return what a context column is called among modules: torch refuses dots, and its own words, as "type" is."""
    return f"({name.replace('.', ':')})" if "." in name or name in _TAKEN else name


def _small_table(size: int, width: int, std: float, empty: int | None) -> nn.Embedding:
    """Return a table of normal numbers; row ``empty``, if any, is and stays 0."""
    table = nn.Embedding(size, width, padding_idx=empty)
    with torch.no_grad():
        table.weight.normal_(std=std)
        if empty is not None:
            table.weight[empty].zero_()
    return table
