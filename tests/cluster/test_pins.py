"""Model, vocabulary and catalogue are of one night and its champion, or refused: the matrix of mismatches."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.cluster.worlds import artifact_of

from intentrec.cluster.catalogue import Numbers
from intentrec.cluster.pins import refuse_mismatch
from intentrec.errors import InputError
from intentrec.model.checkpoint import Vocabulary
from intentrec.model.shape import Catalogue

ARTIFACT = artifact_of(num_items=4)
ITEMS, VALUES = ARTIFACT.vocabulary.items, ARTIFACT.vocabulary.values
FIELD = next(name for name in VALUES if any(field.name == name for field in ARTIFACT.shape.fields))


def numbers(items=ITEMS, values=VALUES):
    """The night's numbers; of its catalogue nothing is looked at."""
    return Numbers(Vocabulary(items, values), (), ARTIFACT.catalogue, np.zeros(1, np.int64), np.zeros(1, dtype=bool))


def refused(artifact, night):
    with pytest.raises(InputError) as told:
        refuse_mismatch("m1", artifact, night)
    return str(told.value)


def test_the_night_may_know_more_at_the_end_and_lack_whole_features():
    refuse_mismatch("m1", ARTIFACT, numbers())
    longer = {name: (*names, "new") for name, names in VALUES.items()}
    refuse_mismatch("m1", ARTIFACT, numbers((*ITEMS, "new"), longer))
    refuse_mismatch("m1", ARTIFACT, numbers(values={}))


@pytest.mark.parametrize(
    ("items", "line"),
    [
        ((ITEMS[1], ITEMS[0], *ITEMS[2:]), f"item 1 is {ITEMS[0]!r}, in table vocabulary of the night {ITEMS[1]!r}"),
        (
            (*ITEMS[:3], "other"),
            f"item 4 is {ITEMS[3]!r}, in table vocabulary of the night 'other', wanted the same; run",
        ),
        (ITEMS[:3], f"item 4 is {ITEMS[3]!r}, in table vocabulary of the night None"),
    ],
)
def test_items_that_the_night_numbers_otherwise_are_refused(items, line):
    assert line in refused(ARTIFACT, numbers(items))


def test_values_of_a_feature_that_the_night_numbers_otherwise_are_refused():
    own = VALUES[FIELD]
    moved = {**VALUES, FIELD: ("other", *own[1:])}
    line = f"model m1: value of {FIELD} 1 is {own[0]!r}, in table feature_vocabulary of the night 'other'"
    assert line in refused(ARTIFACT, numbers(values=moved))


def test_parts_of_two_models_are_refused():
    longer = replace(ARTIFACT, vocabulary=Vocabulary((*ITEMS, "x"), VALUES))
    assert "model m1: 5 items of its vocabulary, wanted 4, as its network has" in refused(longer, numbers())
    rows = Catalogue(torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, dtype=torch.int64))
    assert "model m1: 2 rows of its catalogue, wanted 4" in refused(replace(ARTIFACT, catalogue=rows), numbers())
