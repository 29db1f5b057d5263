from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.model.test_network import SHAPES, network_of

from intentrec.metrics import calibrated
from intentrec.model import inference
from intentrec.model.checkpoint import Artifact, Vocabulary
from intentrec.model.inference import Histories, Scorer
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue, preset_shape
from intentrec.model.topk import top_k

every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def artifact_of(shape):
    network = network_of(shape)
    values = {"action": ("view", "buy", "rate"), "categories": ("a", "b", "c", "d")}
    own = Catalogue(network.items.categories_VK, network.fusion.published_V)
    return Artifact(shape, network.state_dict(), own, Vocabulary(("x",) * 20, values))


def histories_of(shape, lengths):
    random = np.random.default_rng(0)
    return Histories(
        items=[random.integers(0, 21, length).astype(np.int32) for length in lengths],
        times=[10**9 + np.cumsum(random.integers(1, 90000, length)) for length in lengths],
        features=[random.integers(0, 4, length * shape.num_columns).astype(np.int32) for length in lengths],
    )


def padded(shape, histories):
    """Every history padded to the longest, as a training batch has them."""
    rows, length = len(histories.items), max(map(len, histories.items))
    items_BL = torch.zeros(rows, length, dtype=torch.int64)
    times_BL, features_BCL = items_BL.clone(), torch.zeros(rows, shape.num_columns, length, dtype=torch.int64)
    for row, own in enumerate(map(len, histories.items)):
        items_BL[row, length - own :] = torch.from_numpy(histories.items[row].astype(np.int64))
        times_BL[row, length - own :] = torch.from_numpy(histories.times[row])
        columns = histories.features[row].reshape(shape.num_columns, own)
        features_BCL[row, :, length - own :] = torch.from_numpy(columns.astype(np.int64))
    return items_BL, times_BL, features_BCL


@every_shape
@pytest.mark.parametrize("events", [16384, 24])  # all in few batches; two or three histories at a time
def test_the_scorer_says_what_the_network_says_of_a_padded_batch(shape, events, monkeypatch):
    monkeypatch.setattr(inference, "_EVENTS", events)
    artifact, histories = artifact_of(shape), histories_of(shape, [3, 11, 1, 7, 11, 2, 8])
    scorer = Scorer(artifact)
    encoded = scorer.encode(histories)
    network = artifact.network()
    said = network(*padded(shape, histories))
    torch.testing.assert_close(encoded.queries_BQD, said.queries_BLQD[:, -1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoded.intents_BD, said.intents_BLD[:, -1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoded.alpha_BH, said.alpha_BLH[:, -1], rtol=1e-4, atol=1e-5)
    assert list(encoded.heads) == list(shape.heads)
    for head, chances_BN in encoded.heads.items():
        torch.testing.assert_close(chances_BN, said.head_logits[head][:, -1].softmax(-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scorer.items_VD, network.items.whole().vectors_UD, rtol=0, atol=0)
    assert (scorer.bias_V is None) == (not shape.item_bias)


def test_histories_of_unlike_length_do_not_share_a_batch():
    groups = list(inference._alike(np.array([97, 2, 120, 1, 3, 4, 95])))
    assert [group.tolist() for group in groups] == [[3], [1], [4, 5], [6], [0, 2]]


def test_a_history_is_padded_by_its_own_length_alone_and_by_at_most_half():
    steps = sorted({inference._padded_length(length) for length in range(1, 130)})
    assert steps == [1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 120, 144]
    assert [inference._padded_length(step) for step in steps] == steps


def test_a_batch_holds_no_more_slots_than_it_may(monkeypatch):
    monkeypatch.setattr(inference, "_EVENTS", 200)  # 12 histories of 16: 8, as rows come in eights
    groups = list(inference._alike(np.array([10] * 11 + [40])))
    assert [group.tolist() for group in groups] == [[*range(8)], [8, 9, 10], [11]]


@every_shape
def test_who_else_is_scored_changes_no_bit(shape):
    scorer, lengths = Scorer(artifact_of(shape)), np.random.default_rng(3).integers(1, 60, 150)
    every = histories_of(shape, lengths)
    whole = scorer.encode(every)
    best = top_k(whole.queries_BQD, scorer.items_VD, 5)
    for some in ([7], [3, 99, 4], range(20, 77), range(1, 150)):
        rows = list(some)
        own = Histories(*([column[row] for row in rows] for column in (every.items, every.times, every.features)))
        alone = scorer.encode(own)
        assert torch.equal(alone.queries_BQD, whole.queries_BQD[rows])
        assert torch.equal(alone.intents_BD, whole.intents_BD[rows])
        assert torch.equal(alone.alpha_BH, whole.alpha_BH[rows])
        assert all(torch.equal(chances, whole.heads[head][rows]) for head, chances in alone.heads.items())
        found = top_k(alone.queries_BQD, scorer.items_VD, 5)
        assert torch.equal(found.scores_BK, best.scores_BK[rows])
        assert torch.equal(found.items_BK, best.items_BK[rows])


@pytest.mark.parametrize(
    "own", [{"temperature": 2.0, "base_share": 0.0, "base_rates": []},
            {"temperature": 2.0, "base_share": 0.25, "base_rates": [0.5, 0.25, 0.25]}],
)  # fmt: skip
def test_heads_are_told_with_the_calibration_that_the_model_holds(own):
    shape, histories = SHAPES["intent"], histories_of(SHAPES["intent"], [3, 5])
    plain = Scorer(artifact_of(shape)).encode(histories)
    artifact = replace(artifact_of(shape), facts={"calibrations": {"action": own}})
    calm = Scorer(artifact).encode(histories)
    expected_BN = calibrated(plain.heads["action"].numpy(), artifact.calibrations()["action"])
    assert abs(expected_BN - plain.heads["action"].numpy()).max() > 0.01
    torch.testing.assert_close(calm.heads["action"], torch.from_numpy(expected_BN).float())
    torch.testing.assert_close(calm.heads["category"], plain.heads["category"], rtol=0, atol=0)
    torch.testing.assert_close(calm.queries_BQD, plain.queries_BQD, rtol=0, atol=0)  # the network's own stay


def test_a_head_that_nothing_was_learnt_of_says_nothing():
    shape, histories = SHAPES["intent"], histories_of(SHAPES["intent"], [3, 5])
    whole = Scorer(artifact_of(shape)).encode(histories)
    counts = {head: [0.0, 0.0] if head == "category" else [0.0, 2.0] for head in shape.heads}
    part = Scorer(replace(artifact_of(shape), facts={"label_counts": counts})).encode(histories)
    kept = [place for place, head in enumerate(shape.heads) if head != "category"]
    assert list(part.heads) == [shape.heads[place] for place in kept]
    alpha_BH = whole.alpha_BH[:, kept]
    torch.testing.assert_close(part.alpha_BH, alpha_BH / alpha_BH.sum(dim=1, keepdim=True))
    none = Scorer(replace(artifact_of(shape), facts={"label_counts": {head: [0.0] for head in shape.heads}}))
    assert (none.encode(histories).heads, none.encode(histories).alpha_BH.shape) == ({}, (2, 0))


def test_no_histories_give_no_rows():
    shape = SHAPES["intent"]
    encoded = Scorer(artifact_of(shape)).encode(Histories([], [], []))
    assert encoded.queries_BQD.shape == (0, 1, 16)
    assert encoded.heads["action"].shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": [np.zeros(0, np.int32)], "times": [np.zeros(0)], "features": [np.zeros(0)]}, "row 0 has no event"),
        ({"times": [np.zeros(2)]}, "times of row 0 must have 1 entries per event"),
        ({"features": [np.zeros(3)]}, "features of row 0 must have 3 entries per event"),
    ],
)
def test_a_broken_history_is_refused(change, message):
    given = {"items": [np.ones(3, np.int32)], "times": [np.ones(3, np.int64)], "features": [np.ones(9, np.int32)]}
    with pytest.raises(ValueError, match=message):
        Scorer(artifact_of(SHAPES["intent"])).encode(Histories(**{**given, **change}))


def test_the_nearest_past_item_is_the_one_of_the_smallest_angle():
    scorer = Scorer(artifact_of(SHAPES["intent on ids and times"]))
    scorer.items_VD = torch.zeros(21, 16)
    scorer.items_VD[1, 0] = scorer.items_VD[2, 1] = 1.0
    scorer.items_VD[3, :2] = torch.tensor([8.0, 6.0])
    scorer.items_VD[4] = scorer.items_VD[3]
    items_BK = torch.tensor([[1, 2, 0], [1, 2, 3]])
    past = [np.array([3, 0, 2]), np.array([0])]
    assert scorer.nearest(items_BK, past).tolist() == [[3, 2, 0], [0, 0, 0]]
    assert scorer.nearest(torch.tensor([[1]]), [np.array([3, 4])]).tolist() == [[4]]  # the later of equals


def test_labels_come_with_their_names():
    labels = Scorer(artifact_of(SHAPES["intent"])).labels
    assert labels["action"] == ("view", "buy", "rate")
    assert labels["category"] == ("a", "b", "c", "d")


def test_vectors_of_items_without_categories_can_be_ranked():
    """They are the network's own parameter, and top_k writes into buffers, which needs vectors without gradients."""
    shape, catalogue = preset_shape("sasrec", 20, (), width=8, layers=1), Catalogue.without_categories([0] * 20)
    network = IntentNetwork(shape, catalogue)
    scorer = Scorer(Artifact(shape, network.state_dict(), catalogue, Vocabulary(("x",) * 20, {})))
    queries_BQD = scorer.encode(histories_of(shape, [3])).queries_BQD
    found = top_k(queries_BQD, scorer.items_VD, 5, bias_V=torch.zeros(21))
    best = (queries_BQD[:, 0] @ network.items.ids.weight.detach().T).topk(5).indices
    assert found.items_BK.tolist() == best.tolist()
