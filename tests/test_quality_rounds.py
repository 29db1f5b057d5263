"""What the rounds of each protocol let a model see: nothing of what it is judged on, nothing after its cut-off."""

from functools import partial

import numpy as np
import pytest
from tests.running import benchmark
from tests.test_quality import days, sequences, sessions, weeks


@pytest.fixture(scope="module")
def rounds():
    with benchmark("quality") as quality:
        yield partial(rounds_of, quality)


def rounds_of(quality, protocol, folder, *sets):
    off = ("protocol.neighbours=false", "protocol.factors=false", *sets)
    return list(quality.PROTOCOLS[protocol](folder, quality.config_of(protocol, "sasrec", 1, off)))


def parts(events):
    return [part.tolist() for part in np.split(events.items_N, events.offsets[1:-1])]


def test_leave_one_out_trains_without_the_last_two_and_chooses_on_the_last_but_one(rounds, tmp_path):
    (one,) = rounds("leave_one_out", sequences(tmp_path))
    judged, trying = one.judged[0].users, one.trying[0].users
    whole = [[*past.tolist(), last] for past, last in zip(judged.histories.items, judged.relevant.items, strict=True)]
    assert parts(one.learn) == [own[:-2] for own in whole if len(own) > 2]
    assert parts(one.check) == [own[:-1] for own in whole]
    assert one.check.weights_N.sum() == 40
    assert (one.check.weights_N[one.check.offsets[1:] - 1] == 1).all()
    assert [past.tolist() for past in trying.histories.items] == [own[:-2] for own in whole]
    assert trying.relevant.items.tolist() == [own[-2] for own in whole]
    assert [seen.tolist() for seen in judged.seen] == [own[:-1] for own in whole]
    assert one.judged[0].counts[1].sum() == len(one.learn.items_N)  # popularity of what is learnt from
    assert one.more is None


def test_session_prefixes_keeps_the_latest_tenth_of_sessions_apart(rounds, tmp_path):
    (one,) = rounds("session_prefixes", sessions(tmp_path))
    assert len(parts(one.learn)) == 72
    assert parts(one.learn) + parts(one.check) == parts(one.more)
    assert len(one.trying[0].users) == len(one.check.items_N) - 8  # every position of a session but its first
    assert one.trying[0].counts[1000000].sum() == len(one.learn.items_N)
    assert one.judged[0].counts[1000000].sum() == len(one.more.items_N)


def test_a_period_is_judged_by_what_lies_before_it(rounds, tmp_path):
    first, aside, second = rounds("periods", weeks(tmp_path), "protocol.full_at=[2]")
    assert (first.warm, aside.aside, second.warm) == (False, True, True)
    week_s, begin_s = 604_800, 946_684_800
    assert first.more.times_N.max() < begin_s + week_s
    assert aside.more.times_N.max() < begin_s + 2 * week_s
    assert second.more.times_N.min() >= begin_s + week_s  # the last pass of a warm start: the newest period alone
    assert min(past.min() for past in second.judged[0].users.histories.times) >= begin_s + 2 * week_s
    known = second.numbers.catalogue.num_items
    assert max(past.max() for past in second.judged[0].users.histories.items) <= known
    assert second.judged[0].users.relevant.items.max() <= known


def test_a_nightly_update_learns_from_the_newest_hours_of_its_day(rounds, tmp_path):
    folder = days(tmp_path)
    begin_s, day_s = 1_506_825_360, 86_400
    for hours, since in ((24, day_s), (48, day_s), (3, 3 * 3600)):
        first, second = rounds("nightly", folder, "protocol.learn_days=1", f"protocol.replay_hours={hours}")
        for one, now in ((first, begin_s + 4 * day_s), (second, begin_s + 5 * day_s)):
            targets = one.more.times_N[one.more.weights_N > 0]
            assert now - since <= targets.min() < now - since + 1800  # a session starts every 1,430 s


@pytest.mark.parametrize(("protocol", "sets"), [("hourly", ("protocol.rounds=[0, 1, 2]",)), ("nightly", ())])
def test_nothing_is_learnt_from_after_the_moment_of_the_lists(rounds, tmp_path, protocol, sets):
    begin_s = 1_506_825_360
    found = rounds(protocol, days(tmp_path), "protocol.learn_days=1", *sets)
    for number, one in enumerate(found):
        now = begin_s + (2 * 86_400 + number * 3600 if protocol == "hourly" else (4 + number) * 86_400)
        assert one.more.times_N.max() < now
        assert one.numbers.catalogue.published_V.max() <= now
        assert [day.users.relevant.items.max() <= one.numbers.catalogue.num_items for day in one.trying] == [True]
        assert one.fits == (number < 2)  # an hour's model is fitted again on the second window, then every six
        if number == 0:
            assert one.learn.times_N.max() < one.check.times_N[one.check.weights_N > 0].min()
            assert one.check.times_N.max() < now
        else:
            assert one.learn is None
        if protocol == "nightly":
            assert max(past.max() for past in one.judged[0].users.histories.times) < now


def test_a_figure_lies_in_its_interval_though_one_round_has_more_lists_than_another():
    with benchmark("quality") as quality:
        kept = {}
        for name, hits in (("few", [1.0] * 40), ("many", [0.0] * 360)):
            lists = {who: {"hr@10": np.array(hits)} for who in ("model", "baseline:markov")}
            lists["baseline:markov"]["hr@10"] = np.full(len(hits), 0.4)
            kept[name] = ({**lists, quality.LISTS: {"length": np.ones(len(hits))}}, {})
        found = quality.report(kept, each=False)
    assert found["hr@10"] == 0.5  # the mean of 1 and 0, not 40 of 400
    assert 0.3 < found["hr@10:low"] < 0.5 < found["hr@10:high"] < 0.7
    assert found["vs_best_baseline:hr@10"] == 0.25  # 0.5 over 0.4
