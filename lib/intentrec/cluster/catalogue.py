"""vocabulary, feature_vocabulary, items -> what the network reads of every item, as arrays.

V items + 1 (0 is padding and unknown)   C categories kept per item
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import torch
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from intentrec.examples import Night
from intentrec.model.checkpoint import Vocabulary
from intentrec.model.shape import Catalogue, Field


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the numbers of one night stand for.

    Attributes:
        vocabulary: names of items and of feature values.
        fields: the event features as the network sees them.
        catalogue: what is known of every item index.
        first_seen_V: int64, UTC seconds since 1970 of the item's first event; 0 in row 0.
        eligible: bool [V], whether the item may be recommended tonight; never row 0.
    """

    vocabulary: Vocabulary
    fields: tuple[Field, ...]
    catalogue: Catalogue
    first_seen_V: NDArray[np.int64]
    eligible: NDArray[np.bool_]

    def allowed_before(self, until: datetime) -> NDArray[np.bool_]:
        """Return bool [V]: items that may be recommended and had an event before ``until``, aware."""
        return self.eligible & (self.first_seen_V < until.timestamp())

    @property
    def content(self) -> str:
        """Return a SHA-256 of the catalogue, the names, and what may be recommended."""
        digest = hashlib.sha256(repr(self.vocabulary).encode())
        tensors = (self.catalogue.categories_VC, self.catalogue.published_V)
        for array in (*(tensor.contiguous().numpy() for tensor in tensors), self.first_seen_V, self.eligible):
            digest.update(array.tobytes())
        return digest.hexdigest()


def collect_numbers(night: Night, eligible: DataFrame) -> Numbers:
    """Collect one night's numbers; the item table is the only thing of this size that the driver holds.

    Args:
        night: its vocabularies and items.
        eligible: rows of ``rules.eligible_items``.
    """
    encoding = night.encoding
    marked = eligible.withColumn("eligible", F.lit(True))
    # An event is there before the date that the catalogue gives: the date is wrong, or a forecast.
    published = F.least("published_at", "first_seen_at")
    rows = (
        night.vocabulary.join(night.categories(), "item_id", "left")
        .join(night.items.select("item_id", "published_at"), "item_id", "left")
        .join(marked, "item_id", "left")
        .select(
            "item_id", "item_index", F.unix_seconds("first_seen_at").alias("first_seen_s"),
            F.unix_seconds(published).alias("published_s"), "categories", "eligible",
        )
        .orderBy("item_index")
        .toArrow()
    )  # fmt: skip
    num_items = rows.num_rows
    assert (rows["item_index"].to_numpy() == np.arange(1, num_items + 1)).all(), "vocabulary has holes"
    categories_VC = np.zeros((num_items + 1, encoding.max_categories), dtype=np.int64)
    for index, found in enumerate(rows["categories"].to_pylist(), 1):
        if found is not None:
            categories_VC[index] = found
    first_seen_V, published_V = (
        np.concatenate([[0], rows[name].to_numpy()]) for name in ("first_seen_s", "published_s")
    )
    named = {field: tuple[str, ...]() for field in encoding.fields}
    for row in night.features.orderBy("field", "value_index").collect():
        if row["field"] in named:
            named[row["field"]] += (row["value"],)
    fields = tuple(
        Field(name, len(named[name]), encoding.max_categories if name == "categories" else 1)
        for name in encoding.fields
    )
    return Numbers(
        vocabulary=Vocabulary(tuple(rows["item_id"].to_pylist()), named),
        fields=fields,
        catalogue=Catalogue(torch.from_numpy(categories_VC), torch.from_numpy(published_V)),
        first_seen_V=first_seen_V,
        eligible=np.concatenate([[False], np.array(rows["eligible"].fill_null(False).to_pylist(), dtype=bool)]),
    )


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Items that may be recommended and had no event yet: only their features are known.

    Attributes:
        items: ids, ascending.
        categories_NC: int64 of each.
    """

    items: tuple[str, ...]
    categories_NC: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)


def collect_newcomers(night: Night, eligible: DataFrame, since: datetime) -> Newcomers:
    """Collect the eligible items without an event that were published at or after ``since``, aware, UTC.

    Args:
        night: its vocabularies and items.
        eligible: rows of ``rules.eligible_items``.
        since: an item without a date, or with an earlier one, is not new.
    """
    rows = (
        night.items.where(F.col("published_at") >= F.lit(since))
        .select("item_id")
        .join(eligible, "item_id", "left_semi")
        .join(night.vocabulary, "item_id", "left_anti")
        .join(night.categories(), "item_id", "left")
        .select("item_id", "categories")
        .orderBy("item_id")
        .collect()
    )
    categories_NC = np.zeros((len(rows), night.encoding.max_categories), dtype=np.int64)
    for place, row in enumerate(rows):
        if row["categories"] is not None:
            categories_NC[place] = row["categories"]
    return Newcomers(tuple(row["item_id"] for row in rows), categories_NC)


def no_newcomers(max_categories: int) -> Newcomers:
    """Return none, where no policy asks for them."""
    return Newcomers((), np.zeros((0, max_categories), dtype=np.int64))
