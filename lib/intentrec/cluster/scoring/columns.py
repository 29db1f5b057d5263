"""Arrow in, Arrow out: users as arrays, and their lists as columns, without a Python object per row.

B users of an Arrow batch   K places   N filled places of all users   H intent heads   L labels kept of all heads
D width
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from intentrec.cluster.judging import Indices
from intentrec.model.inference import Encoded

HISTORY = ("items", "times", "features", "seen")
SOURCES = ("model", "prior", "fallback", "pinned", "explore")
MODEL, PRIOR, FALLBACK, PINNED, EXPLORE = range(len(SOURCES))
_LABELS_KEPT = 5  # per head in user_intents

Said = tuple[Encoded, Mapping[str, Sequence[str]]]  # and head -> its labels


@dataclass(frozen=True, slots=True)
class Users:
    """The users of a batch, one array of int64 per user and column of HISTORIES.

    ``segments`` are None where the plan does not ask for them; ``made_from`` goes on to CANDIDATES as it is.
    """

    user_ids: pa.Array
    items: list[Indices]
    times: list[Indices]
    features: list[Indices]
    seen: list[Indices]
    segments: list[str | None] | None
    made_from: pa.Array
    audiences: list[Indices] | None = None

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> "Users":
        """Read a batch with user_id, HISTORY and made_from, and segment and audiences where the plan asks for them."""
        segments = batch.column("segment").to_pylist() if "segment" in batch.schema.names else None
        audiences = _rows(batch.column("audiences")) if "audiences" in batch.schema.names else None
        items, times, features, seen = (_rows(batch.column(name)) for name in HISTORY)
        made_from = batch.column("made_from")
        return cls(batch.column("user_id"), items, times, features, seen, segments, made_from, audiences)

    def some(self, rows: Sequence[int]) -> "Users":
        """Return some of the users, in the order of ``rows``."""
        at = pa.array(rows, pa.int64())
        chosen: dict[str, Any] = {name: getattr(self, name).take(at) for name in ("user_ids", "made_from")}
        for name in (column.name for column in fields(self) if column.name not in chosen):
            values = getattr(self, name)
            chosen[name] = None if values is None else [values[row] for row in rows]
        return Users(**chosen)

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self.user_ids)


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of a batch of users, best first; a short list ends with empty places.

    Attributes:
        items_BK: int64 item indices, 0 in an empty place.
        scores_BK: float64.
        sources_BK: int8 places in SOURCES.
        intents_BK: int64 category that the place serves, 0 for none.
        because_BK: int64 item index of the past item that is the reason, 0 for none.
        propensity_BK: float64 probability of a place that was drawn, nan elsewhere.
        passed_BC: int64 better candidates that each of C rules kept off the list; None: nobody counted.
    """

    items_BK: Indices
    scores_BK: NDArray[np.float64]
    sources_BK: NDArray[np.int8]
    intents_BK: Indices
    because_BK: Indices
    propensity_BK: NDArray[np.float64]
    passed_BC: Indices | None = None

    @classmethod
    def empty(cls, num_users: int, k: int) -> "Lists":
        """Return lists without any item."""
        shape = (num_users, k)
        return cls(
            items_BK=np.zeros(shape, np.int64),
            scores_BK=np.zeros(shape),
            sources_BK=np.zeros(shape, np.int8),
            intents_BK=np.zeros(shape, np.int64),
            because_BK=np.zeros(shape, np.int64),
            propensity_BK=np.full(shape, np.nan),
        )


def candidate_rows(
    users: Users, lists: Lists, said: Said | None, items: Sequence[str], schema: pa.Schema
) -> pa.RecordBatch:
    """Build CANDIDATES rows.

    Args:
        users: in the order of the lists.
        lists: of these users.
        said: what the model says of them and head -> its labels; None without a model.
        items: id of every item index.
        schema: of CANDIDATES.
    """
    categories = () if said is None else said[1].get("category", ())
    columns = {
        "user_id": users.user_ids,
        "made_from": users.made_from,
        "items": _list_column(lists, items, categories, schema.field("items").type),
        **_said_columns(len(users), said, schema),
        "passed": _passed_column(len(users), lists.passed_BC, schema.field("passed").type),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _rows(column: pa.ListArray) -> list[Indices]:
    values, offsets = column.values.to_numpy(zero_copy_only=False).astype(np.int64), column.offsets.to_numpy()
    return [values[start:end] for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]


def _list_column(
    lists: Lists, items: Sequence[str], categories: Sequence[str], column_type: pa.DataType
) -> pa.ListArray:
    filled_BK = lists.items_BK > 0
    names = pa.array(["", *items[1:]], pa.string())
    labels = pa.array(["", *(f"category: {name}" for name in categories)], pa.string())
    chances_N = lists.propensity_BK[filled_BK]
    entries = {
        "item_id": names.take(pa.array(lists.items_BK[filled_BK])),
        "score": pa.array(lists.scores_BK[filled_BK]),
        "source": pa.array(SOURCES, pa.string()).take(pa.array(lists.sources_BK[filled_BK])),
        "intent": _named(labels, lists.intents_BK[filled_BK]),
        "because_item_id": _named(names, lists.because_BK[filled_BK]),
        "propensity": pa.array(chances_N, mask=np.isnan(chances_N)),
    }
    return _list_array(_struct_array(entries, column_type.value_type), filled_BK.sum(axis=1), column_type)


def _passed_column(num_users: int, passed_BC: Indices | None, column_type: pa.DataType) -> pa.ListArray:
    counts_BC = np.zeros((num_users, 0), np.int64) if passed_BC is None else passed_BC
    return _list_array(pa.array(counts_BC.ravel()), np.full(num_users, counts_BC.shape[1]), column_type)


def _said_columns(num_users: int, said: Said | None, schema: pa.Schema) -> dict[str, pa.Array]:
    """Build heads, head_weights and embedding; without a model, or one without heads, they are empty."""
    types = {name: schema.field(name).type for name in ("heads", "head_weights", "embedding")}
    if said is None or not said[0].heads:
        nothing = np.zeros(num_users, np.int64)
        return {name: _list_array(pa.array([], of.value_type), nothing, of) for name, of in types.items()}
    encoded, labels = said
    heads = tuple(encoded.heads)
    places_BH = np.tile(np.arange(len(heads)), (num_users, 1))
    names = pa.array(heads, pa.string()).take(pa.array(places_BH.ravel()))
    best = _best_labels(encoded, labels, types["heads"].value_type.field("labels").type)
    weights = pa.array(encoded.alpha_BH.numpy().astype(np.float64).ravel())
    entries = {
        "heads": _struct_array({"head": names, "labels": best}, types["heads"].value_type),
        "head_weights": _struct_array({"head": names, "weight": weights}, types["head_weights"].value_type),
        "embedding": pa.array(encoded.intents_BD.numpy().ravel(), pa.float32()),
    }
    sizes = {"heads": len(heads), "head_weights": len(heads), "embedding": encoded.intents_BD.shape[1]}
    return {name: _list_array(entries[name], np.full(num_users, sizes[name]), of) for name, of in types.items()}


def _best_labels(encoded: Encoded, labels: Mapping[str, Sequence[str]], column_type: pa.DataType) -> pa.ListArray:
    """Build one list per user and head: its likeliest labels, best first."""
    names: list[str] = []
    labels_BL, chances_BL, kept_H = [], [], []
    for head, chances_BN in encoded.heads.items():
        best = chances_BN.topk(min(_LABELS_KEPT, chances_BN.shape[1]))
        labels_BL.append(best.indices.numpy() + len(names))
        chances_BL.append(best.values.numpy().astype(np.float64))
        kept_H.append(best.values.shape[1])
        names += labels[head]
    entries = {
        "label": pa.array(names, pa.string()).take(pa.array(np.concatenate(labels_BL, axis=1).ravel())),
        "probability": pa.array(np.concatenate(chances_BL, axis=1).ravel()),
    }
    sizes = np.tile(kept_H, len(encoded.alpha_BH))
    return _list_array(_struct_array(entries, column_type.value_type), sizes, column_type)


def _named(names: pa.Array, indices_N: Indices) -> pa.Array:
    """Look names up; 0 is null."""
    return names.take(pa.array(indices_N, mask=indices_N == 0))


def _struct_array(entries: Mapping[str, pa.Array], struct_type: Any) -> pa.StructArray:
    fields = [struct_type.field(place) for place in range(struct_type.num_fields)]
    return pa.StructArray.from_arrays([entries[field.name] for field in fields], fields=fields)


def _list_array(values: pa.Array, sizes: Indices, column_type: pa.DataType) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=column_type)
