"""Encoded events -> queries: what is multiplied with item vectors after every event.

B rows   L events, left-padded   D width   Q queries of an event   H attention heads   E width of one head   S levels
"""

import torch
from torch import Tensor, nn

from intentrec.model.dropout import Dropout
from intentrec.model.layers import Timeline
from intentrec.model.shape import NetworkShape

_POWER = 4.0  # p of the Lp pooling over levels
_SHARPNESS = 2.0  # both softmaxes are taken of twice their scores
_UNSEEN = -1e4  # a score that e^x makes 0, and still has a finite gradient where -inf has none


class Last(nn.Module):
    """The last event itself."""

    def forward(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:  # noqa: ARG002 as the others
        """Return float [B, L, 1, D]."""
        return x_BLD[:, :, None]


class AttenMixer(nn.Module):
    """The last 1, 2, ... events together ask all of them; the answers are mixed, and the last event joins.

    All positions at once: sums of the last events are differences of running sums, and the attention is causal. A level
    longer than the history asks nothing. Every head keeps its own part of queries, keys and values. The sum stands for
    the events of a level, so their order does not matter within it.

    Source: Atten-Mixer (Zhang et al., WSDM 2023, arXiv 2206.12781), section 4; deep-sets queries.
    """

    def __init__(self, shape: NetworkShape) -> None:
        """Build ``shape.levels`` query projections, and one of keys and values each."""
        super().__init__()
        width = shape.width
        self.levels, self.heads = shape.levels, shape.attention_heads
        self.asked = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(shape.levels))
        self.key, self.value = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.dropout, self.norm = Dropout(shape.dropout), nn.LayerNorm(width)
        self.out = nn.Linear(2 * width, width, bias=False)

    def forward(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, L, 1, D]."""
        x_BLD = x_BLD * timeline.valid_BL[..., None]
        shares_BHLL = self.dropout(self._mixture(x_BLD, timeline))
        mixed_BLD = (shares_BHLL @ self._split(self.value(x_BLD))).transpose(1, 2).flatten(2)
        out_BLD: Tensor = self.out(torch.cat([self.norm(mixed_BLD), x_BLD], dim=-1))
        return out_BLD[:, :, None]

    def _mixture(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return the shares [B, H, L, L] of all events in each one's answer: Lp pooling over levels, normalised."""
        allowed_B1LL = timeline.allowed_BLL[:, None]
        key_BHLE = self._split(self.key(x_BLD))
        length_BL = timeline.valid_BL.cumsum(dim=1)
        # Differences of sums of 400 events in bfloat16 would be off by a quarter of an event.
        sums_BLD = x_BLD.float().cumsum(dim=1)
        levels = []
        for level, asked in enumerate(self.asked, 1):
            before_BLD = nn.functional.pad(sums_BLD, (0, 0, level, 0))[:, : sums_BLD.shape[1]]
            query_BHLE = self._split(asked(sums_BLD - before_BLD))
            scores_BHLL = (_SHARPNESS * query_BHLE @ key_BHLE.transpose(2, 3)).masked_fill(~allowed_B1LL, _UNSEEN)
            too_long_BL = length_BL < level if level > 1 else torch.zeros_like(timeline.valid_BL)
            powers_BHLL = _POWER * scores_BHLL.log_softmax(dim=-1)
            levels.append(powers_BHLL.masked_fill(too_long_BL[:, None, :, None], float("-inf")))
        pooled_BHLL = (torch.stack(levels).logsumexp(dim=0) / _POWER).exp()
        shares_BHLL: Tensor = (_SHARPNESS * pooled_BHLL).masked_fill(~allowed_B1LL, float("-inf")).softmax(dim=-1)
        return shares_BHLL

    def _split(self, x_BLD: Tensor) -> Tensor:
        """Return [B, H, L, E]: every head its own columns."""
        rows, length, width = x_BLD.shape
        return x_BLD.view(rows, length, self.heads, width // self.heads).transpose(1, 2)


class MultiInterest(nn.Module):
    """The last event with several mixtures of all events so far, one per interest; an item counts with the nearest.

    Source: ComiRec-SA (Cen et al., KDD 2020, arXiv 2005.09347), section 3.2; the last event joins every interest, since
    mixtures alone forget which event was the last one.
    """

    def __init__(self, shape: NetworkShape) -> None:
        """Build the attention of ``shape.interests`` interests."""
        super().__init__()
        self.hidden = nn.Linear(shape.width, 4 * shape.width, bias=False)
        self.scored = nn.Linear(4 * shape.width, shape.interests, bias=False)

    def forward(self, x_BLD: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, L, Q, D]."""
        scores_BQL = self.scored(self.hidden(x_BLD).tanh()).transpose(1, 2)
        scores_BQLL = scores_BQL[:, :, None].masked_fill(~timeline.allowed_BLL[:, None], float("-inf"))
        mixed_BQLD = scores_BQLL.softmax(dim=-1) @ x_BLD[:, None]
        queries_BLQD: Tensor = mixed_BQLD.transpose(1, 2) + x_BLD[:, :, None]
        return queries_BLQD


def readout_of(shape: NetworkShape) -> nn.Module:
    """Return the readout that ``shape`` names."""
    if shape.readout == "last":
        return Last()
    return AttenMixer(shape) if shape.readout == "atten_mixer" else MultiInterest(shape)
