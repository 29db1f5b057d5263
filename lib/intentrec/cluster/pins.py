"""A model numbers items and feature values as its vocabulary does: it serves a night that numbers them alike, or none.

V items + 1 (0 is padding and unknown)
"""

from collections.abc import Sequence
from itertools import zip_longest

from intentrec.cluster.catalogue import Numbers
from intentrec.errors import InputError
from intentrec.model.checkpoint import Artifact

_REMEDY = "run jobs/nightly.py --from build_examples, or demote the model with jobs/override.py"


def refuse_mismatch(model_id: str, artifact: Artifact, numbers: Numbers) -> None:
    """Compare a model with the night's vocabularies before a user is read.

    Every item and every value of a shared event feature that the model knows must have its number there; new ones may
    follow. The parts of the model must be of one size. The bytes of its files are compared by ``load_artifact``.

    Args:
        model_id: for the message.
        artifact: the model.
        numbers: of the night.

    Raises:
        InputError: an item or value has another number; the first one is named.
    """
    shape, known = artifact.shape, artifact.vocabulary
    sizes = {
        "items of its vocabulary": len(known.items),
        "rows of its catalogue": len(artifact.catalogue.categories_VC) - 1,
    }
    for what, size in sizes.items():
        if size != shape.num_items:
            raise InputError(
                f"model {model_id}: {size} {what}, wanted {shape.num_items}, as its network has; {_REMEDY}"
            )
    _compare(f"model {model_id}: item", known.items, numbers.vocabulary.items, "vocabulary")
    for field in shape.fields:
        if field.name in numbers.vocabulary.values:
            values, tonight = known.values.get(field.name, ()), numbers.vocabulary.values[field.name]
            _compare(f"model {model_id}: value of {field.name}", values, tonight, "feature_vocabulary")


def _compare(what: str, known: Sequence[str], tonight: Sequence[str], table: str) -> None:
    for number, (own, other) in enumerate(zip_longest(known, tonight[: len(known)]), 1):
        if own != other:
            raise InputError(
                f"{what} {number} is {own!r}, in table {table} of the night {other!r}, wanted the same; {_REMEDY}"
            )
