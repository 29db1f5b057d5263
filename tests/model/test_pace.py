import logging

import pytest
from tests.model.ranks import in_ranks

from intentrec.model.job import EpochFigures
from intentrec.model.pace import Pace, epoch_line
from intentrec.model.ranks import OneRank


class Clock:
    """Shows the time that it is set to, seconds."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_without_a_limit_the_time_is_never_up_and_nobody_is_asked():
    class Alone(OneRank):
        def sum(self, numbers_N):
            raise AssertionError("asked")

    assert not Pace(Alone(), None).is_over(16)


def test_the_clock_is_looked_at_every_16th_step_and_between_epochs():
    clock = Clock()
    pace = Pace(OneRank(), 2, clock)
    clock.now += 119.9
    assert not pace.is_over(16)
    clock.now += 0.1
    assert [step for step in range(40) if pace.is_over(step)] == [0, 16, 32]


def test_rank_0s_clock_decides_for_all():
    def over(ranks):
        clock = Clock()
        pace = Pace(ranks, 1, clock)
        clock.now += 60 if ranks.rank == 0 else 0
        return pace.is_over()

    assert in_ranks(2, over) == [True, True]
    assert in_ranks(2, lambda ranks: Pace(ranks, 1, Clock()).is_over()) == [False, False]


def test_rank_0_says_every_twenty_seconds_where_it_is(caplog):
    caplog.set_level(logging.INFO, "intentrec.model")
    clock = Clock()
    pace = Pace(OneRank(), None, clock)
    for seconds, step in ((0, 0), (10, 5), (10, 10), (19, 20), (1, 21)):
        clock.now += seconds
        pace.tell(3, (step, 40), 100 * step, 2.5)
    assert caplog.messages == [
        "epoch 3: 10 of 40 steps, 50 rows/s, item loss 2.5000, 60 s to its end",  # 1,000 rows in 20 s
        "epoch 3: 21 of 40 steps, 52 rows/s, item loss 2.5000, 36 s to its end",
    ]
    assert pace.seconds() == pytest.approx(40)
    pace.begin_epoch()
    assert pace.seconds() == 0


def test_other_ranks_say_nothing(caplog):
    caplog.set_level(logging.INFO, "intentrec.model")
    other = OneRank()
    other.rank = 1
    clock = Clock()
    pace = Pace(other, None, clock)
    clock.now += 60
    pace.tell(1, (5, 10), 50, 1.0)
    assert caplog.messages == []


def test_an_epoch_says_its_losses_its_speed_and_the_time_left_at_most():
    figures = EpochFigures(2, {"item": 3.0, "action": 0.5}, 2.75, {}, 500, 0, 10.0)
    assert epoch_line(figures, 5) == (
        "epoch 2 of at most 5: 500 rows in 10.0 s, 50 rows/s, at most 30 s to go; losses: item 3.0000, action 0.5000; "
        "validation item loss 2.7500"
    )
    assert "validation" not in epoch_line(EpochFigures(1, {"item": 3.0}, None, {}, 500, 0, 10.0), 5)
