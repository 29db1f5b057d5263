"""Item vectors: one per item plus the sum of its categories'; the same vectors are read and predicted.

B rows   L events   D width   V items + 1 (0 is padding and unknown)   K categories kept per item
U items in play: all of them, or those that a step needs   N any number of events
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intentrec.model.shape import Catalogue, NetworkShape

_ITEM_STD = 0.02  # first logits are dot products of about 0.02 * sqrt(width): a nearly uniform start


@dataclass(frozen=True, slots=True)
class ItemVectors:
    """The vectors of the items in play.

    Attributes:
        items_U: int64 item indices, ascending, the first is 0; None: all items.
        own_UD: float rows of the table of ids. Of chosen items they are a leaf of their own, whose gradient has U rows.
        summed_UD: float, with what their categories add.
        vectors_UD: float, what queries are multiplied with: the same, or of length 1 where cosines are compared.
        bias_U: float scores of the items themselves, if there are any; of chosen items a leaf as well.
    """

    items_U: Tensor | None
    own_UD: Tensor
    summed_UD: Tensor
    vectors_UD: Tensor
    bias_U: Tensor | None

    def places(self, items_N: Tensor) -> Tensor:
        """Return int64 rows of the items, which must be in play; any shape."""
        return items_N if self.items_U is None else torch.searchsorted(self.items_U, items_N)

    def of(self, items_N: Tensor) -> Tensor:
        """Return float [N, D], the vectors that queries are multiplied with."""
        return F.embedding(self.places(items_N), self.vectors_UD)


class ItemTable(nn.Module):
    """One vector per item plus the sum of its categories'. Row 0 stands for every unknown item."""

    categories_VK: Tensor

    def __init__(self, shape: NetworkShape, catalogue: Catalogue) -> None:
        """Build the tables; ``catalogue`` must have ``shape.num_items`` items."""
        super().__init__()
        assert catalogue.num_items == shape.num_items
        self.id_drop, self.cosine = shape.id_drop, shape.cosine_scale is not None
        self.ids = nn.Embedding(shape.num_items + 1, shape.width)
        nn.init.normal_(self.ids.weight, std=_ITEM_STD)
        self.categories = nn.Embedding(shape.num_categories + 1, shape.width, padding_idx=0)
        nn.init.zeros_(self.categories.weight)  # an item starts as its own vector; categories learn what items share
        self.bias = nn.Parameter(torch.zeros(shape.num_items + 1)) if shape.item_bias else None
        self.register_buffer("categories_VK", catalogue.categories_VC, persistent=False)

    def rows(self) -> list[nn.Parameter]:
        """Return the parameters with a row per item, of which a step may need only some."""
        tables = (self.ids.weight, self.bias)
        return [table for table in tables if isinstance(table, nn.Parameter)]

    def whole(self) -> ItemVectors:
        """Return the vectors of all items; gradients reach the tables themselves."""
        return self._vectors(None, self.ids.weight, self.categories_VK, self.bias)

    def chosen(self, items_U: Tensor) -> ItemVectors:
        """Return the vectors of some items: int64 indices, ascending, each once, 0 among them."""
        own_UD = self.ids.weight.detach()[items_U].requires_grad_()
        bias_U = None if self.bias is None else self.bias.detach()[items_U].requires_grad_()
        return self._vectors(items_U, own_UD, self.categories_VK[items_U], bias_U)

    def unknown(self, categories_NK: Tensor) -> Tensor:
        """Return float [N, D], vectors of items without a row of their own: the unknown item's, and their categories'.

        Args:
            categories_NK: int64; a category that the table does not know counts as none.
        """
        categories_NK = categories_NK.masked_fill(categories_NK >= len(self.categories.weight), 0)
        nobody_ND = self.ids.weight[:1].expand(len(categories_NK), -1)
        return self._vectors(None, nobody_ND, categories_NK, None).vectors_UD

    def _vectors(
        self, items_U: Tensor | None, own_UD: Tensor, categories_UK: Tensor, bias_U: Tensor | None
    ) -> ItemVectors:
        summed_UD = own_UD
        if categories_UK.shape[1]:
            summed_UD = own_UD + F.embedding_bag(categories_UK, self.categories.weight, mode="sum", padding_idx=0)
        vectors_UD = F.normalize(summed_UD, dim=1) if self.cosine else summed_UD
        return ItemVectors(items_U, own_UD, summed_UD, vectors_UD, bias_U)

    def drop(self, items_BL: Tensor) -> Tensor:
        """Return int64 [B, L], the ids that events are read with: the items, in training some of them 0, unknown.

        Source: DropoutNet (Volkovs et al., NeurIPS 2017), section 4.
        """
        if not self.training or self.id_drop == 0:
            return items_BL
        return items_BL.masked_fill(torch.rand(items_BL.shape, device=items_BL.device) < self.id_drop, 0)

    def read(self, items_BL: Tensor, ids_BL: Tensor, vectors: ItemVectors) -> Tensor:
        """Return float [B, L, D] of the events' items; one whose id was dropped keeps its categories.

        Args:
            items_BL: int64 item indices.
            ids_BL: what ``drop`` gives for them.
            vectors: of all items, or of those in ``items_BL`` and more.
        """
        places_BL = vectors.places(items_BL)
        if ids_BL is items_BL:
            return F.embedding(places_BL, vectors.vectors_UD)
        read_BLD, own_BLD = F.embedding(places_BL, vectors.summed_UD), F.embedding(places_BL, vectors.own_UD)
        dropped_BL1 = (ids_BL != items_BL)[..., None]
        read_BLD = torch.where(dropped_BL1, read_BLD - own_BLD + vectors.own_UD[0], read_BLD)
        return F.normalize(read_BLD, dim=-1) if self.cosine else read_BLD
