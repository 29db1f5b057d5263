"""What a network is made of: sizes and switches, the presets that set them, and the catalogue it reads.

V items + 1 (index 0 is padding and unknown)   C categories kept per item
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

ACTION, CATEGORIES = "action", "categories"  # the two event features whose meaning the network knows
HEADS = (ACTION, "category", "novelty", "item_age", "cluster")
ENCODERS = ("ligr", "gru", "none")
READOUTS = ("last", "atten_mixer", "multi_interest")


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
        encoder: what the encoders are made of: ligr (gated attention), gru, or none (inputs joined and normalised).
            With none, an event of which only the item is read is its item vector.
        layers: of the item encoder.
        intent_layers: of the intent encoder; read only where heads feed the item encoder.
        attention_heads: of every attention layer; divides width.
        dropout: share of activations.
        id_drop: share of events whose item is read as unknown in training, so that features alone mean something.
        heads: intent heads, a part of HEADS in that order; none: no intents.
        clusters: labels of the head ``cluster``: items that are met together; 0: no such head.
        feed_intents: whether the item encoder reads the intents; without it heads only stand beside the item, on one
            encoder.
        read_features: whether the event features are read beside the item.
        read_time: whether hour of week, pause and item age are read, and attention is biased by time.
        short_term_days: reach of the short-term layer; None: no such layer.
        long_term: whether the fading categories of all events so far are read.
        item_bias: whether every item has a learned score of its own.
        readout: how queries are made of encoded events: last, atten_mixer or multi_interest.
        levels: of atten_mixer: the last 1, 2, ... events ask, up to this many.
        interests: of multi_interest: queries of an event; an item counts with the best of them.
        cosine_scale: items and queries are compared by cosine times this; None: by dot product.
        condition_on_action: whether the query knows which action is wanted of the next event.
        target_action: value index of the action that lists are made for; 0: every action as likely as the head says.
    """

    num_items: int
    fields: tuple[Field, ...] = ()
    width: int = 64
    encoder: str = "ligr"
    layers: int = 2
    intent_layers: int = 1
    attention_heads: int = 2
    dropout: float = 0.2
    id_drop: float = 0.1
    heads: tuple[str, ...] = ()
    clusters: int = 0
    feed_intents: bool = True
    read_features: bool = True
    read_time: bool = True
    short_term_days: float | None = 7.0
    long_term: bool = False
    item_bias: bool = False
    readout: str = "last"
    levels: int = 7
    interests: int = 4
    cosine_scale: float | None = None
    condition_on_action: bool = False
    target_action: int = 0

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

    @property
    def num_queries(self) -> int:
        """Queries of every event."""
        return self.interests if self.readout == "multi_interest" else 1

    @property
    def fuses_events(self) -> bool:
        """Whether events pass a layer of their own before the encoders."""
        return self.encoder != "none" or self.read_features or self.read_time

    def as_dict(self) -> dict[str, Any]:
        """Return the shape as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "NetworkShape":
        """Read what ``as_dict`` gave."""
        fields = tuple(Field(**field) for field in values["fields"])
        return cls(**{**values, "fields": fields, "heads": tuple(values["heads"])})


_ITEMS_ALONE: Mapping[str, Any] = {
    "heads": (),
    "read_features": False,
    "read_time": False,
    "short_term_days": None,
    "id_drop": 0.0,  # nothing else is read of an event whose id is dropped
}
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    # IntentRec (arXiv 2408.05353)
    "intent": {"heads": HEADS},
    # SASRec (arXiv 1808.09781) with full cross-entropy and LiGR blocks, as eSASRec (arXiv 2508.06450)
    "sasrec": _ITEMS_ALONE,
    # GRU4Rec (arXiv 1511.06939): one layer, one table for reading and predicting, a score per item. Whole histories are
    # batched and learnt from at every position, where the original walks sessions side by side one event at a time.
    "gru4rec": {**_ITEMS_ALONE, "encoder": "gru", "layers": 1, "item_bias": True},
    # Atten-Mixer (arXiv 2206.12781): no encoder at all, item vectors of length 1, cosines times 16
    "atten_mixer": {**_ITEMS_ALONE, "encoder": "none", "readout": "atten_mixer", "cosine_scale": 16.0},
}
PRESETS = tuple(_PRESETS)


def preset_shape(preset: str, num_items: int, fields: Sequence[Field], **switches: Any) -> NetworkShape:
    """Return the shape of a preset on data with these fields; what needs labels that the data lack is left out.

    Args:
        preset: one of PRESETS.
        num_items: greatest item index.
        fields: the event features, in column order.
        **switches: further attributes of NetworkShape, over the preset's.

    Raises:
        ValueError: the preset, the encoder or the readout is unknown, attention_heads does not divide width, or a
            condition on the action has neither a target nor a head that predicts it.
    """
    for name, value, known in (
        ("preset", preset, PRESETS),
        ("encoder", switches.get("encoder", ENCODERS[0]), ENCODERS),
        ("readout", switches.get("readout", READOUTS[0]), READOUTS),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, is {value!r}")
    shape = NetworkShape(num_items=num_items, fields=tuple(fields), **{**_PRESETS[preset], **switches})
    if shape.width % shape.attention_heads:
        raise ValueError(f"attention_heads {shape.attention_heads} must divide width {shape.width}")
    action = shape.field(ACTION)
    possible = {
        ACTION: action is not None and action.num_values > 1,
        "category": shape.num_categories > 1,
        "novelty": True,
        "item_age": True,
        "cluster": shape.clusters > 1,
    }
    heads = tuple(head for head in HEADS if head in shape.heads and possible[head])
    conditioned = shape.condition_on_action and possible[ACTION]
    if conditioned and not shape.target_action and ACTION not in heads:
        raise ValueError("condition_on_action needs a target_action, or an action head that says how likely each is")
    target_action = shape.target_action if conditioned else 0
    return replace(
        shape,
        heads=heads,
        long_term=shape.long_term and shape.num_categories > 0,
        condition_on_action=conditioned,
        target_action=target_action,
    )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of every item index, row 0 included.

    Attributes:
        categories_VC: int64 value indices of the feature ``categories``, main category first, 0 where there are fewer.
        published_V: int64, UTC seconds since 1970 since which the item can be had; 0 in row 0.
        clusters_V: int64 cluster of items that are met together, from 1; 0: none. A training with the head ``cluster``
            finds them; None before it.
    """

    categories_VC: Tensor
    published_V: Tensor
    clusters_V: Tensor | None = None

    @classmethod
    def without_categories(cls, published: Sequence[int]) -> "Catalogue":
        """Return a catalogue of items that have no category; ``published`` starts at item 1."""
        published_V = torch.tensor([0, *published], dtype=torch.int64)
        return cls(torch.zeros(len(published_V), 0, dtype=torch.int64), published_V)

    def to(self, device: torch.device | str) -> "Catalogue":
        """Return the catalogue on a device."""
        clusters_V = None if self.clusters_V is None else self.clusters_V.to(device)
        return Catalogue(self.categories_VC.to(device), self.published_V.to(device), clusters_V)

    @property
    def num_items(self) -> int:
        """Greatest item index."""
        return len(self.published_V) - 1
