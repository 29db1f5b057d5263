"""What every preset keeps, whatever it is made of; order, padding and later events: test_network.py."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.model.ranks import in_ranks
from tests.model.synthetic import DAY_S, FIELDS, NUM_ITEMS, START_S, batch_of, catalogue_of, rows_of

from intentrec.model.checkpoint import Artifact, Vocabulary, load_artifact, save_artifact
from intentrec.model.inference import Histories, Scorer
from intentrec.model.job import Settings
from intentrec.model.network import IntentNetwork
from intentrec.model.ragged import Ragged
from intentrec.model.ranks import OneRank
from intentrec.model.shape import PRESETS, preset_shape
from intentrec.model.steps import Learnt, Optimiser
from intentrec.model.topk import top_k

CATALOGUE = catalogue_of()
WORDS = Vocabulary(
    tuple(f"item {number}" for number in range(1, NUM_ITEMS + 1)),
    {"action": ("view", "buy"), "categories": ("red", "green", "blue")},
)
every_preset = pytest.mark.parametrize("preset", PRESETS)
LOSSES = {
    "full": Settings(warmup_steps=0),
    "sampled": Settings(warmup_steps=0, loss="sampled", negatives=8),
    "mixed": Settings(warmup_steps=0, loss="sampled", negatives=8, mixed_negatives=True),
    "gbce": Settings(warmup_steps=0, loss="gbce", negatives=8, sparse_gradients=False),
}
every_loss = pytest.mark.parametrize("settings", LOSSES.values(), ids=LOSSES)


def optimiser_of(preset, ranks=None, settings=None, **sizes):
    torch.manual_seed(0)
    shape = preset_shape(preset, NUM_ITEMS, FIELDS, **{"width": 8, "dropout": 0.0, "id_drop": 0.0, **sizes})
    given = settings or Settings(warmup_steps=0)
    counts_V = torch.arange(NUM_ITEMS + 1).double() if given.mixed_negatives else None
    return Optimiser(IntentNetwork(shape, CATALOGUE), CATALOGUE, ranks or OneRank(), given, Learnt(counts_V))


def artifact_of(optimiser):
    return Artifact(optimiser.network.shape, optimiser.network.state_dict(), CATALOGUE, WORDS)


def histories_of(rows):
    """The events of padded rows, without their padding."""
    return Histories(
        [np.array(row["items"])[-row["length"] :] for row in rows],
        [np.array(row["times"])[-row["length"] :] for row in rows],
        [np.array(row["features"]).reshape(3, -1)[:, -row["length"] :].ravel() for row in rows],
    )


@pytest.mark.parametrize(
    ("preset", "switches"),
    [
        *((preset, {}) for preset in PRESETS),
        ("sasrec", {"readout": "multi_interest", "interests": 3}),
        ("intent", {"readout": "atten_mixer", "feed_intents": False}),
        ("intent", {"condition_on_action": True}),
    ],
)
def test_on_a_checkerboard_the_withheld_item_is_recommended(preset, switches):
    """Even users see five of the six even items, odd users odd ones: the sixth is the one that must be recommended."""
    random = np.random.default_rng(0)
    rows, withheld = [], []
    for user in range(60):
        *items, last = random.permutation(np.arange(2 - user % 2, NUM_ITEMS + 1, 2)).tolist()
        row = {"row_id": user, "length": 5, "items": items, "weights": [1.0] * 5}
        row["times"] = (START_S + 20 * DAY_S + np.arange(5) * 3600).tolist()
        row["features"] = [1] * 5 + CATALOGUE.categories_VC[items].T.flatten().tolist()
        rows.append(row)
        withheld.append(last)
    settings = Settings(learning_rate=0.01, warmup_steps=5)
    optimiser = optimiser_of(preset, settings=settings, width=16, dropout=0.2, id_drop=0.1, **switches)
    for step in range(90):
        optimiser.step(batch_of(rows[step % 3 :: 3]))
    scorer = Scorer(artifact_of(optimiser))
    shown = histories_of(rows)
    found = top_k(scorer.encode(shown).queries_BQD, scorer.items_VD, 1, excluded=Ragged.of(shown.items))
    assert found.items_BK[:, 0].tolist() == withheld


@every_loss
@every_preset
def test_two_ranks_with_half_the_rows_each_take_the_step_of_one_rank_with_all(preset, settings):
    rows = rows_of(9, 8, seed=1)
    alone = optimiser_of(preset, settings=settings)
    losses = [alone.step(batch_of(rows))[0] for _ in range(2)]
    pair = [optimiser_of(preset, settings=settings) for _ in range(2)]

    def steps(ranks):
        own = pair[ranks.rank]
        own.ranks = ranks
        part = rows[:2] if ranks.rank == 0 else rows[2:]
        return [own.step(batch_of(part))[0] for _ in range(2)]

    for together in in_ranks(2, steps):
        for one, other in zip(losses, together, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    weights, first, second = (dict(own.network.state_dict()) for own in (alone, *pair))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first, weights, rtol=1e-3, atol=1e-5)


@every_loss
@pytest.mark.parametrize(
    ("preset", "switches"),
    [
        *((preset, {}) for preset in PRESETS),
        ("intent", {"readout": "multi_interest", "condition_on_action": True, "long_term": True}),
    ],
)
def test_a_step_in_mixed_precision_is_nearly_that_in_full(preset, switches, settings):
    batch, losses = batch_of(rows_of(6, 8, seed=1)), []
    for precision in ("float32", "bfloat16"):
        optimiser = optimiser_of(preset, settings=replace(settings, precision=precision), **switches)
        losses.append([optimiser.step(batch)[0] for _ in range(2)])
        assert {parameter.grad.dtype for parameter in optimiser.parameters} == {torch.float32}
    torch.testing.assert_close(losses[0], losses[1], rtol=0.02, atol=0.0)
    assert not torch.equal(torch.stack(losses[0]), torch.stack(losses[1]))


@every_preset
def test_a_saved_model_scores_as_before(preset, tmp_path):
    optimiser, rows = optimiser_of(preset), rows_of(6, 8, seed=1)
    optimiser.step(batch_of(rows))
    save_artifact(tmp_path / "model", artifact_of(optimiser))
    kept, back = Scorer(artifact_of(optimiser)), Scorer(load_artifact(tmp_path / "model"))
    assert back.shape == kept.shape
    for scorer in (kept, back):
        torch.testing.assert_close(scorer.items_VD, kept.items_VD, rtol=0, atol=0)
        torch.testing.assert_close(
            scorer.encode(histories_of(rows)).queries_BQD, kept.encode(histories_of(rows)).queries_BQD, rtol=0, atol=0
        )


@every_preset
def test_a_future_planted_behind_the_cut_off_teaches_nothing(preset):
    """Events after the cut-off have no weight: with or without them a step is the same."""
    rows = rows_of(6, 8, seed=1)
    planted = []
    for row in rows:
        features = np.array(row["features"]).reshape(3, 8)
        future = np.tile([[2], [3], [1]], 4)
        planted.append(
            {
                "row_id": row["row_id"],
                "items": row["items"] + [5, 5, 6, 5],
                "times": row["times"] + [row["times"][-1] + hour * 3600 for hour in (1, 2, 3, 4)],
                "weights": row["weights"] + [0.0] * 4,
                "features": np.concatenate([features, future], axis=1).ravel().tolist(),
            }
        )
    clean, dirty = optimiser_of(preset), optimiser_of(preset)
    clean.step(batch_of(rows))
    dirty.step(batch_of(planted))
    for one, other in zip(clean.parameters, dirty.parameters, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


@every_preset
def test_the_order_of_a_batch_changes_no_gradient(preset):
    rows = rows_of(6, 8, seed=1)
    one, other = optimiser_of(preset), optimiser_of(preset)
    one.step(batch_of(rows))
    other.step(batch_of(rows[::-1]))
    for own, theirs in zip(one.parameters, other.parameters, strict=True):
        torch.testing.assert_close(own.grad, theirs.grad, rtol=1e-3, atol=1e-6)


@every_preset
def test_a_preset_scores_without_what_it_is_trained_with(preset):
    """Twice the same answer: dropout, dropped ids and anything else random ends with training."""
    optimiser = optimiser_of(preset, dropout=0.5, id_drop=0.5)
    scorer, shown = Scorer(artifact_of(optimiser)), histories_of(rows_of(4, 8, seed=1))
    torch.testing.assert_close(scorer.encode(shown).queries_BQD, scorer.encode(shown).queries_BQD, rtol=0, atol=0)
