"""What a network is made of: sizes and switches, the presets that set them, and the catalogue it reads.

V items + 1 (index 0 is padding and unknown)   C categories kept per item
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

ACTION, CATEGORIES = "action", "categories"  # the two event features whose meaning the network knows
HEADS = (ACTION, "category", "novelty", "item_age")


@dataclass(frozen=True, slots=True)
class Field:
    """One of ``examples.event_features``.

    Attributes:
        name: as in the config and in ``feature_vocabulary``.
        num_values: greatest value index; 0 is padding and unknown.
        columns: columns of ``examples.features`` that hold it.
    """

    name: str
    num_values: int
    columns: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShape:
    """Sizes and switches of one ``IntentNetwork``; equal shapes have equal parameters.

    Attributes:
        num_items: greatest item index.
        fields: the event features, in the order of their columns.
        width: of item vectors and layers.
        layers: LiGR blocks of the item encoder.
        intent_layers: LiGR blocks of the intent encoder; read only where there are heads.
        attention_heads: of every attention layer; divides width.
        dropout: share of activations.
        id_drop: share of events whose item is read as unknown in training, so that features alone mean something.
        heads: intent heads, a part of HEADS in that order; none: no intents.
        read_features: whether the event features are read beside the item.
        read_time: whether hour of week, pause and item age are read, and attention is biased by time.
        short_term_days: reach of the short-term layer; None: no such layer.
        item_bias: whether every item has a learned score of its own.
    """

    num_items: int
    fields: tuple[Field, ...] = ()
    width: int = 64
    layers: int = 2
    intent_layers: int = 1
    attention_heads: int = 2
    dropout: float = 0.2
    id_drop: float = 0.1
    heads: tuple[str, ...] = ()
    read_features: bool = True
    read_time: bool = True
    short_term_days: float | None = 7.0
    item_bias: bool = False

    def field(self, name: str) -> Field | None:
        """Return the event feature of this name, if there is one."""
        return next((field for field in self.fields if field.name == name), None)

    def columns_of(self, name: str) -> slice:
        """Return where the feature's columns lie among all columns of ``features``."""
        start = 0
        for field in self.fields:
            if field.name == name:
                return slice(start, start + field.columns)
            start += field.columns
        raise KeyError(name)

    @property
    def num_columns(self) -> int:
        """Columns of ``features``."""
        return sum(field.columns for field in self.fields)

    @property
    def num_categories(self) -> int:
        """Greatest value index of the categories; 0: there are none."""
        field = self.field(CATEGORIES)
        return field.num_values if field else 0

    def as_dict(self) -> dict[str, Any]:
        """Return the shape as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NetworkShape":
        """Read what ``as_dict`` gave."""
        fields = tuple(Field(**field) for field in values["fields"])
        return cls(**{**values, "fields": fields, "heads": tuple(values["heads"])})


_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "intent": {"heads": HEADS, "read_features": True, "read_time": True, "short_term_days": 7.0},
    "sasrec": {"heads": (), "read_features": False, "read_time": False, "short_term_days": None},
}
PRESETS = tuple(_PRESETS)


def preset_shape(preset: str, num_items: int, fields: Sequence[Field], **sizes: Any) -> NetworkShape:
    """Return the shape of a preset on data with these fields; heads that the data cannot label are left out.

    Args:
        preset: one of PRESETS.
        num_items: greatest item index.
        fields: the event features, in column order.
        **sizes: further attributes of NetworkShape, over the preset's.

    Raises:
        ValueError: the preset is unknown, or attention_heads does not divide width.
    """
    if preset not in _PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, is {preset!r}")
    shape = NetworkShape(num_items=num_items, fields=tuple(fields), **{**_PRESETS[preset], **sizes})
    if shape.width % shape.attention_heads:
        raise ValueError(f"attention_heads {shape.attention_heads} must divide width {shape.width}")
    action = shape.field(ACTION)
    possible = {
        ACTION: action is not None and action.num_values > 1,
        "category": shape.num_categories > 1,
        "novelty": True,
        "item_age": True,
    }
    return replace(shape, heads=tuple(head for head in HEADS if head in shape.heads and possible[head]))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of every item index, row 0 included.

    Attributes:
        categories_VC: int64 value indices of the feature ``categories``, main category first, 0 where there are fewer.
        published_V: int64, UTC seconds since 1970 since which the item can be had; 0 in row 0.
    """

    categories_VC: Tensor
    published_V: Tensor

    @classmethod
    def without_categories(cls, published: Sequence[int]) -> "Catalogue":
        """Return a catalogue of items that have no category; ``published`` starts at item 1."""
        published_V = torch.tensor([0, *published], dtype=torch.int64)
        return cls(torch.zeros(len(published_V), 0, dtype=torch.int64), published_V)

    @property
    def num_items(self) -> int:
        """Greatest item index."""
        return len(self.published_V) - 1
