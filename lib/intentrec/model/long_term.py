"""What a user comes back to: the categories of all events so far, fading at several speeds.

B rows   L events, left-padded   K categories kept per item   H half-lives   E width of a category   D width
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intentrec.model.layers import Timeline
from intentrec.model.shape import Catalogue, NetworkShape

HALF_LIVES = (1.0, 7.0, 30.0, 180.0)  # days
_DAY_S = 86400
_STD = 0.1
_LONG_AGO = torch.iinfo(torch.int64).min // 2


class LongTerm(nn.Module):
    """Exponentially decayed shares of categories, after every event, as one vector.

    A category's count halves in each half-life; of every user the counts add up to 1, so that a long history is not a
    loud one. Sums of vectors are faded instead of counts, which comes to the same and is cheaper.

    Source: the decayed multi-scale memory of HPMN (Ren et al., SIGIR 2019, arXiv 1905.00758), without its weights.
    """

    categories_VK: Tensor
    half_lives_H11: Tensor

    def __init__(self, shape: NetworkShape, catalogue: Catalogue) -> None:
        """Build a table of categories of its own; ``catalogue`` must have some."""
        super().__init__()
        field_width = max(shape.width // 4, 4)
        self.categories = nn.Embedding(shape.num_categories + 1, field_width, padding_idx=0)
        with torch.no_grad():
            self.categories.weight.normal_(std=_STD)[0].zero_()
        self.joined = nn.Linear(len(HALF_LIVES) * field_width, shape.width, bias=False)
        self.norm = nn.LayerNorm(shape.width)
        self.register_buffer("categories_VK", catalogue.categories_VC, persistent=False)
        half_lives_H11 = torch.tensor(HALF_LIVES)[:, None, None] * _DAY_S
        self.register_buffer("half_lives_H11", half_lives_H11, persistent=False)

    def forward(self, items_BL: Tensor, times_BL: Tensor, timeline: Timeline) -> Tensor:
        """Return float [B, L, D], 0 at padding and before the first category."""
        kinds_BLK = self.categories_VK[items_BL]
        sums_BLE = F.embedding(kinds_BLK, self.categories.weight, padding_idx=0).sum(dim=2)
        counts_BL = (kinds_BLK > 0).sum(dim=2) * timeline.valid_BL
        # Ages count from the newest event with a category, not from the one that looks: shares are the same, and of a
        # user who returns after 150 days the counts of a day's half-life would all be 0 in float32.
        newest_BL = times_BL.masked_fill(counts_BL == 0, _LONG_AGO).cummax(dim=1).values
        ages_BLL = (newest_BL[:, :, None] - times_BL[:, None, :]).clamp(min=0)
        faded_BHLL = torch.exp2(-ages_BLL[:, None] / self.half_lives_H11) * timeline.allowed_BLL[:, None]
        faded_BHLL = faded_BHLL * (counts_BL > 0)[:, None, None]
        totals_BHL = faded_BHLL @ counts_BL.to(faded_BHLL.dtype)[:, None, :, None]
        shares_BHLE = faded_BHLL @ sums_BLE[:, None] / totals_BHL.clamp(min=torch.finfo(torch.float32).tiny)
        out_BLD: Tensor = self.norm(self.joined(shares_BHLE.transpose(1, 2).flatten(2)))
        known_BL1 = (counts_BL.cumsum(dim=1) > 0)[..., None] & timeline.valid_BL[..., None]
        return out_BLD * known_BL1
