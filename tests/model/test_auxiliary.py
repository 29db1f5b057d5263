import math

import pytest
import torch
from tests.model.ranks import in_ranks
from tests.model.test_targets import batch_of

from intentrec.model.auxiliary import LossesTogether, TransitionLoss, Transitions, contrast_loss, count_transitions
from intentrec.model.items import ItemTable
from intentrec.model.ranks import OneRank
from intentrec.model.shape import Catalogue, NetworkShape

E10 = math.exp(10)  # of the greatest count: e^(1 / 0.1)


def table_of(numbers):
    table = ItemTable(NetworkShape(num_items=len(numbers), width=1), Catalogue.without_categories([1] * len(numbers)))
    table.ids.weight.data.copy_(torch.tensor([[0.0], *([number] for number in numbers)]))
    return table


def test_losses_add_up_with_their_numbers():
    def says(value):
        return lambda *given: torch.tensor(value)

    together = LossesTogether(((1.0, says(2.0)), (0.5, says(3.0))))
    assert together(*[torch.zeros(0)] * 4).item() == 3.5


def test_events_that_lead_to_the_same_item_are_drawn_together_and_apart_from_others():
    queries_NQD = torch.tensor([[[3.0, 0.0]], [[1.0, 0.0]], [[0.0, 2.0]], [[0.0, 5.0]], [[9.0, 9.0]]])
    vectors, weights_N = table_of([0.0] * 9).whole(), torch.tensor([1.0, 1.0, 1.0, 1.0, 2.0])
    near = contrast_loss(queries_NQD, vectors, torch.tensor([4, 4, 7, 7, 1]), weights_N)  # item 1 has no second event
    assert near.item() == pytest.approx(6 * math.log(1 + 2 / E10), rel=1e-2)  # cosine 1 to its own, 0 to two others
    far = contrast_loss(queries_NQD, vectors, torch.tensor([4, 7, 4, 7, 1]), weights_N)
    assert far.item() == pytest.approx(6 * math.log(E10 + 2), rel=1e-5)


def test_of_an_item_with_many_events_two_are_taken():
    queries_NQD = torch.randn(30, 2, 4, requires_grad=True)
    items_N = torch.tensor([1] * 26 + [2] * 4)
    contrast_loss(queries_NQD, table_of([0.0, 0.0]).whole(), items_N, torch.ones(30)).backward()
    touched_N = queries_NQD.grad.abs().sum(dim=(1, 2)) > 0
    assert [touched_N[items_N == item].sum().item() for item in (1, 2)] == [2, 2]


@pytest.mark.parametrize("items", [[], [1], [1, 2, 3], [1, 1, 2]])
def test_without_two_pairs_there_is_nothing_to_contrast(items):
    queries_NQD = torch.randn(len(items), 1, 4, requires_grad=True)
    vectors = table_of([0.0] * 3).whole()
    loss = contrast_loss(queries_NQD, vectors, torch.tensor(items, dtype=torch.int64), torch.ones(len(items)))
    assert loss.item() == 0.0


def transition_batches():
    first = batch_of([0, 1, 2, 1, 2], [0, 1, 2, 3, 4], [0.0, 1.0, 1.0, 1.0, 1.0], [0] * 5)
    return [first, batch_of([1, 3, 0, 2, 1], [1, 2, 3, 4, 5], [1.0, 1.0, 1.0, 1.0, 0.0], [0] * 5)]


@pytest.mark.parametrize("size", [1, 2])
def test_successors_are_counted_over_the_rows_of_all_ranks(size):
    batches = transition_batches()
    tables = in_ranks(size, lambda ranks: count_transitions(batches[ranks.rank :: size], 3, ranks))
    for table in tables:
        assert table.items_VS[1, :3].tolist() == [2, 3, 0]  # 1 -> 2 twice, 1 -> 3 once
        assert table.items_VS[2, :2].tolist() == [1, 0]  # once: the last 2 -> 1 leads to an event without weight
        assert table.items_VS[[0, 3]].sum() == 0
        odds = [E10, math.exp(5)]
        torch.testing.assert_close(table.shares_VS[1, :2], torch.tensor(odds) / sum(odds))
        assert table.shares_VS[2, 0] == 1.0


def test_no_rows_give_an_empty_table():
    assert count_transitions([], 3, OneRank()).items_VS.sum() == 0


@pytest.mark.parametrize("in_play", [None, [0, 1, 2, 3], [0, 1, 2]])
def test_an_items_vector_is_to_say_what_follows_it(in_play):
    none = [0.0, 0.0]
    transitions = Transitions(
        torch.tensor([[0, 0], [2, 3], [0, 0], [0, 0]]), torch.tensor([none, [0.75, 0.25], none, none])
    )
    table = table_of([0.1, 0.2, -0.3])
    vectors = table.whole() if in_play is None else table.chosen(torch.tensor(in_play))
    loss = TransitionLoss(transitions)(torch.zeros(3, 1, 1), vectors, torch.tensor([1, 1, 2]), torch.full((3,), 2.0))
    logits = [0.1 * other / 0.1 for other in (0.1, 0.2, -0.3)][: 3 if in_play != [0, 1, 2] else 2]
    log_sum = math.log(sum(map(math.exp, logits)))
    told = 0.75 * logits[1] + 0.25 * logits[2] if len(logits) == 3 else logits[1]  # 3 is not in play
    assert loss.item() == pytest.approx(6 * (log_sum - told), rel=1e-4)


def test_items_that_nothing_follows_teach_nothing():
    nothing = Transitions(torch.zeros(4, 2, dtype=torch.int64), torch.zeros(4, 2))
    vectors = table_of([1.0] * 3).whole()
    for items in ([], [1, 2]):
        given = (torch.zeros(len(items), 1, 1), vectors, torch.tensor(items, dtype=torch.int64), torch.ones(len(items)))
        assert TransitionLoss(nothing)(*given).item() == 0.0


def test_the_table_goes_where_the_network_is():
    assert count_transitions([], 3, OneRank()).to(torch.device("meta")).shares_VS.device.type == "meta"
