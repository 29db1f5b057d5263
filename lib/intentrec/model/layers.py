"""Attention that knows order and time, the gated block around it, recurrent units, and encoders made of them.

B rows   L events, left-padded   D width   H attention heads   E width of one head
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from intentrec.model.dropout import Dropout
from intentrec.model.shape import NetworkShape

NUM_POSITIONS = 256  # distances in events; all beyond share the last one
NUM_PAUSES = 80  # logarithmic buckets: e^(79 * 0.301) s is 670 years
_PAUSE_STEP = 0.301  # of ln(seconds), so a bucket ends at 1.35 times its start
_DAY_S = 86400


def pause_buckets(seconds: Tensor) -> Tensor:
    """Return int64 buckets ``floor(ln(max(seconds, 1)) / 0.301)``, at most NUM_PAUSES - 1.

    Source: models of the HSTU family (Zhai et al., arXiv 2402.17152, appendix), relative attention bias.
    """
    return (seconds.clamp(min=1).to(torch.float64).log() / _PAUSE_STEP).long().clamp(max=NUM_PAUSES - 1)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Which events of a row an event may look at, and how far they lie back. Reads times only, never a later one.

    Attributes:
        valid_BL: bool, the events that are not padding.
        allowed_BLL: bool, [row, looking, looked at]: not later, not padding; an event always sees itself, so that
            no row of the attention is masked whole (its softmax would be nan).
        distances_LL: int64, events between the two, clipped.
        pauses_BLL: int64 bucket of the seconds between the two.
    """

    valid_BL: Tensor
    allowed_BLL: Tensor
    distances_LL: Tensor
    pauses_BLL: Tensor

    @classmethod
    def of(cls, times_BL: Tensor) -> "Timeline":
        """Read a batch: int64 UTC seconds, 0 is padding."""
        length = times_BL.shape[1]
        valid_BL = times_BL != 0
        steps_L = torch.arange(length, device=times_BL.device)
        distances_LL = steps_L[:, None] - steps_L[None, :]
        itself_LL = distances_LL == 0
        allowed_BLL = ((distances_LL >= 0) & valid_BL[:, None, :]) | itself_LL
        pauses_BLL = pause_buckets(times_BL[:, :, None] - times_BL[:, None, :])
        return cls(valid_BL, allowed_BLL, distances_LL.clamp(0, NUM_POSITIONS - 1), pauses_BLL)

    def of_last(self) -> "Timeline":
        """Return the same with the last event of every row alone looking."""
        return Timeline(
            self.valid_BL[:, -1:], self.allowed_BLL[:, -1:], self.distances_LL[-1:], self.pauses_BLL[:, -1:]
        )  # fmt: skip

    def within(self, times_BL: Tensor, days: float) -> "Timeline":
        """Return the same with sight cut at ``days`` before the looking event; exactly ``days`` is still seen."""
        recent_BLL = times_BL[:, :, None] - times_BL[:, None, :] <= round(days * _DAY_S)
        return Timeline(self.valid_BL, self.allowed_BLL & recent_BLL, self.distances_LL, self.pauses_BLL)


class _LookedUp(torch.autograd.Function):
    """A value for every head and bucket; the gradient of a value is a weighted count of its bucket.

    With rows of 200 events embedding's own gradient took 28 % of a whole training step on the CPU, the count takes 1 %.
    """

    @staticmethod
    def forward(ctx: Any, table_PH: Tensor, buckets_BLL: Tensor) -> Tensor:
        ctx.save_for_backward(buckets_BLL)
        ctx.size = len(table_PH)
        return torch.stack([values_P.take(buckets_BLL) for values_P in table_PH.T], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BHLL: Tensor) -> tuple[Tensor, None]:
        (buckets_BLL,) = ctx.saved_tensors
        buckets_N = buckets_BLL.flatten()
        sums = [
            torch.bincount(buckets_N, grad_BLL.flatten().double(), minlength=ctx.size)
            for grad_BLL in grad_BHLL.unbind(1)
        ]
        return torch.stack(sums, dim=1).to(grad_BHLL.dtype), None


def looked_up(table_PH: Tensor, buckets_BLL: Tensor) -> Tensor:
    """Return ``table_PH[buckets_BLL]`` as float [B, H, L, L]; on a GPU embedding's own way is fast and repeatable."""
    if table_PH.device.type == "cpu":
        apply: Callable[..., Tensor] = _LookedUp.apply
        return apply(table_PH, buckets_BLL)
    return F.embedding(buckets_BLL, table_PH).permute(0, 3, 1, 2)


class TimedAttention(nn.Module):
    """Multi-head attention with a scalar bias per distance and, where asked for, per pause.

    Source: Zhai et al., arXiv 2402.17152, relative attention bias; the pause is taken to the looking event's own time,
    since the next event's time is unknown when a list is made.
    """

    def __init__(self, width: int, heads: int, dropout: float, read_time: bool) -> None:
        """Build the layer; biases start at 0, plain attention."""
        super().__init__()
        self.heads, self.dropout = heads, Dropout(dropout)
        self.projected = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.distance_bias = nn.Parameter(torch.zeros(heads, NUM_POSITIONS))
        self.pause_bias = nn.Parameter(torch.zeros(NUM_PAUSES, heads)) if read_time else None

    def forward(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, L, D]: every event's mixture of those it may look at."""
        rows, length, width = x_BLD.shape
        split = self.projected(x_BLD).view(rows, length, 3, self.heads, width // self.heads)
        query_BHLE, key_BHLE, value_BHLE = split.permute(2, 0, 3, 1, 4)
        return self._mixed(query_BHLE, key_BHLE, value_BHLE, timeline)

    def of_last(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, 1, D]: the last event's mixture alone."""
        rows, length, width = x_BLD.shape
        asking, asked = self.projected.weight[:width], self.projected.weight[width:]
        query_BH1E = F.linear(x_BLD[:, -1:], asking).view(rows, 1, self.heads, width // self.heads).transpose(1, 2)
        split = F.linear(x_BLD, asked).view(rows, length, 2, self.heads, width // self.heads)
        key_BHLE, value_BHLE = split.permute(2, 0, 3, 1, 4)
        return self._mixed(query_BH1E, key_BHLE, value_BHLE, timeline.of_last())

    def _mixed(self, query_BHLE: Tensor, key_BHLE: Tensor, value_BHLE: Tensor, timeline: Timeline) -> Tensor:
        scores_BHLL = query_BHLE @ key_BHLE.transpose(2, 3) / math.sqrt(query_BHLE.shape[-1])
        scores_BHLL = scores_BHLL + self.distance_bias[:, timeline.distances_LL]
        if self.pause_bias is not None:
            scores_BHLL = scores_BHLL + looked_up(self.pause_bias, timeline.pauses_BLL)
        scores_BHLL = scores_BHLL.masked_fill(~timeline.allowed_BLL[:, None], float("-inf"))
        shares_BHLL = self.dropout(scores_BHLL.softmax(dim=-1))
        mixed_BLD = (shares_BHLL @ value_BHLE).transpose(1, 2).flatten(2)
        out_BLD: Tensor = self.out(mixed_BLD)
        return out_BLD


class GatedBlock(nn.Module):
    """A LiGR block: ``x + sigmoid(W1 x) * attention(LN x)``, then ``x + sigmoid(W2 x) * SwiGLU(LN x)``.

    Source: Borisyuk et al., LiGR (arXiv 2502.03417), section 3; SwiGLU of 4 times the width without bias.
    """

    def __init__(self, width: int, heads: int, dropout: float, read_time: bool) -> None:
        """Build the layers with torch's default initialisation."""
        super().__init__()
        self.attention = TimedAttention(width, heads, dropout, read_time)
        self.attention_norm, self.attention_gate = nn.LayerNorm(width), nn.Linear(width, width)
        self.forward_norm, self.forward_gate = nn.LayerNorm(width), nn.Linear(width, width)
        self.widened = nn.Linear(width, 8 * width, bias=False)
        self.narrowed = nn.Linear(4 * width, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, L, D]."""
        return self._gated(x_BLD, self.attention(self.attention_norm(x_BLD), timeline))

    def of_last(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, 1, D] of the last event, for a sixth of the products."""
        return self._gated(x_BLD[:, -1:], self.attention.of_last(self.attention_norm(x_BLD), timeline))

    def _gated(self, x_BLD: Tensor, attended_BLD: Tensor) -> Tensor:
        x_BLD = x_BLD + self.attention_gate(x_BLD).sigmoid() * self.dropout(attended_BLD)
        gate, value = self.widened(self.forward_norm(x_BLD)).chunk(2, dim=-1)
        widened = self.dropout(F.silu(gate) * value)
        out_BLD: Tensor = x_BLD + self.forward_gate(x_BLD).sigmoid() * self.dropout(self.narrowed(widened))
        return out_BLD


class Recurrent(nn.Module):
    """Gated recurrent units over the events of a row, whatever padding stands before them.

    A unit goes on moving through padding, so rows are turned until their events come first.

    Source: GRU4Rec (Hidasi et al., arXiv 1511.06939), section 3.1.
    """

    def __init__(self, width: int, dropout: float) -> None:
        """Build one layer with torch's default initialisation."""
        super().__init__()
        self.units, self.dropout = nn.GRU(width, width, batch_first=True), Dropout(dropout)

    def forward(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, L, D]; an event's is made of it and those before it."""
        length = x_BLD.shape[1]
        padding_B1 = length - timeline.valid_BL.sum(dim=1, keepdim=True)
        steps_L = torch.arange(length, device=x_BLD.device)
        first_BLD = _turned(x_BLD, (steps_L + padding_B1) % length)
        out_BLD: Tensor = self.units(first_BLD)[0]
        return self.dropout(_turned(out_BLD, (steps_L - padding_B1) % length))  # type: ignore[no-any-return]


def _turned(x_BLD: Tensor, places_BL: Tensor) -> Tensor:
    return x_BLD.gather(1, places_BL[..., None].expand_as(x_BLD))


class Encoder(nn.Module):
    """Inputs joined, normalised, and passed through layers of the shape's kind."""

    def __init__(self, inputs: int, shape: NetworkShape, layers: int) -> None:
        """Build ``layers`` layers over ``inputs`` joined vectors; of encoder ``none`` there are none."""
        super().__init__()
        width = shape.width
        self.joined = nn.Linear(inputs * width, width)
        self.joined_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        kinds: dict[str, Callable[[], nn.Module]] = {
            "ligr": lambda: GatedBlock(width, shape.attention_heads, shape.dropout, shape.read_time),
            "gru": lambda: Recurrent(width, shape.dropout),
        }
        num_layers = layers if shape.encoder in kinds else 0
        self.layers = nn.ModuleList(kinds[shape.encoder]() for _ in range(num_layers))

    def forward(self, inputs: list[Tensor], timeline: Timeline) -> Tensor:
        """Return float [B, L, D], normalised; 0 at padding."""
        x_BLD = self.joined_norm(self.joined(torch.cat(inputs, dim=-1)))
        for layer in self.layers:
            x_BLD = layer(x_BLD, timeline)
        return self._normalised(x_BLD, timeline)

    def of_last(self, inputs: list[Tensor], timeline: Timeline) -> Tensor:
        """Return float [B, 1, D] of the last event of every row."""
        x_BLD = self.joined_norm(self.joined(torch.cat(inputs, dim=-1)))
        for layer in self.layers[:-1]:
            x_BLD = layer(x_BLD, timeline)
        for layer in self.layers[-1:]:
            x_BLD = layer.of_last(x_BLD, timeline) if isinstance(layer, GatedBlock) else layer(x_BLD, timeline)
        return self._normalised(x_BLD[:, -1:], timeline.of_last())

    def _normalised(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        out_BLD: Tensor = self.norm(x_BLD) * timeline.valid_BL[..., None]
        return out_BLD
