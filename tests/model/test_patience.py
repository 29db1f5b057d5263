import pytest

from intentrec.model.job import EpochFigures, Settings
from intentrec.model.patience import FALL, Patience


def figures(losses):
    return [EpochFigures(epoch, {}, loss, {}, 1, 0, 1.0) for epoch, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("losses", "falls", "over"),
    [
        ([], 0, False),
        ([5.0, 4.0, 4.5], 0, False),
        ([5.0, 4.0, 4.5, 4.0], 1, False),  # twice not better; as good is not better
        ([5.0, 4.0, 4.5, 4.0, 3.0, 3.5], 1, False),
        ([5.0, 4.0, 4.5, 4.0, 4.1], 1, False),  # counted anew after a fall
        ([5.0, 4.0, 4.5, 4.0, 4.1, 4.2], 2, False),
        ([5.0, 4.0, 4.5, 4.0, 4.1, 4.2, 4.1, 4.3], 2, True),
        ([5.0, float("nan"), 4.0], 0, False),
        ([None, None, None, None], 0, False),  # without validation
    ],
)
def test_the_rate_falls_twice_before_training_ends(losses, falls, over):
    patience = Patience.of(Settings(patience=2, rate_falls=2))
    assert patience.share(figures(losses)) == FALL**falls
    assert patience.is_over(figures(losses)) is over


@pytest.mark.parametrize(("losses", "over"), [([2.0, 1.0, 1.0], False), ([2.0, 1.0, 1.0, 1.0], True)])
def test_without_falls_patience_ends_the_training(losses, over):
    assert Patience(2, 0, "loss").is_over(figures(losses)) is over


def test_an_epoch_begins_from_the_best_weights_right_after_a_fall_alone():
    patience, losses = Patience(1, 2, "loss"), [2.0, 1.0, 1.5, 0.9, 1.0]
    fell = [patience.fell(figures(losses[:count])) for count in range(len(losses) + 1)]
    assert fell == [False, False, False, True, False, True]


def test_ndcg_is_better_where_it_is_greater():
    found = [EpochFigures(n, {}, 9.0 - n, {}, 1, 0, 1.0, ndcg) for n, ndcg in enumerate([0.1, 0.3, 0.2], 1)]
    assert [Patience(1, 0, by).is_over(found) for by in ("ndcg", "loss")] == [True, False]


def test_of_epochs_whose_lists_find_nothing_the_lower_loss_is_better():
    found = [EpochFigures(n, {}, 9.0 - n, {}, 1, 0, 1.0, 0.0) for n in (1, 2, 3)]
    assert not Patience(1, 0, "ndcg").is_over(found)
    assert Patience(1, 0, "ndcg").is_over([*found, found[-1]])
