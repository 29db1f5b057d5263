import numpy as np
import pytest

from intentrec.baselines import FactorRules, Factors, Sequences, factors

# Two tastes: items 1 to 3 and items 4 to 6; user 0 lacks 3, user 3 lacks 6. 0 is unknown.
USERS = Sequences.of([np.array(items) for items in ([1, 2, 0], [1, 2, 3], [3, 1, 2, 1], [4, 5], [4, 5, 6], [6, 5, 4])])
RULES = FactorRules(width=2, sweeps=10, confidence=20.0, penalty=0.1)


def scores(found, user, size=8):
    dense = np.zeros(size)
    own = found.rows == user
    dense[found.columns[own]] = found.values[own]
    return dense


def test_what_like_minded_users_had_is_recommended():
    found = Factors.of(USERS, 7, RULES).evidence_of([np.array([1, 2]), np.array([5]), np.array([0, 9])])
    assert scores(found, 0)[3] > 0.5 > 0.1 > scores(found, 0)[4:].max()
    assert scores(found, 1)[[4, 6]].min() > 0.3 > 0.1 > scores(found, 1)[1:4].max()
    assert not (found.rows == 2).any()  # knows nothing that is known
    assert found.values.dtype == np.float32
    assert (found.values > 0).all()


def test_a_user_is_the_solution_of_the_weighted_squares():
    model = Factors(np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 2.0]]), FactorRules(width=2, confidence=3.0, penalty=0.5))
    # of item 2 alone: (Y'Y + 3 y y' + 0.5 I) x = 4 y, with Y'Y = [[1.25, 1], [1, 4]] and y y' = [[0.25, 1], [1, 4]]
    x = np.linalg.solve(np.array([[1.25 + 0.75 + 0.5, 1 + 3], [1 + 3, 4 + 12 + 0.5]]), 4 * np.array([0.5, 2.0]))
    found = model.evidence_of([np.array([2, 2])])
    wanted = {item: value for item, value in ((1, x[0]), (2, 0.5 * x[0] + 2 * x[1])) if value > 0}
    assert dict(zip(found.columns.tolist(), found.values.tolist(), strict=True)) == pytest.approx(wanted, rel=1e-5)


def test_only_the_best_items_are_kept_and_chunks_change_nothing(monkeypatch):
    model = Factors.of(USERS, 7, RULES)
    few = Factors(model.items_VD, FactorRules(width=2, confidence=20.0, penalty=0.1, kept=1))
    assert len(few.evidence_of([np.array([1, 2])]).columns) == 1
    histories = [np.array([1]), np.array([4, 5]), np.array([6])]
    whole = model.evidence_of(histories)
    monkeypatch.setattr(factors, "_SCORED_AT_ONCE", 1)
    monkeypatch.setattr(factors, "_SOLVED_AT_ONCE", 2)
    for part, other in zip(whole, model.evidence_of(histories), strict=True):
        assert part == pytest.approx(other)
    assert len(model.evidence_of([]).rows) == 0


def test_the_same_seed_gives_the_same_vectors():
    one, two, other = (Factors.of(USERS, 7, RULES, seed).items_VD for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()
