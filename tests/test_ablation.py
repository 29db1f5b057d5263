"""ablation.py on a generated folder: what it reports, that it goes on, and that parts are really off."""

import json

import numpy as np
import pytest
from tests.running import benchmark
from tests.test_quality import SMALL, as_it_was, genres, sequences  # noqa: F401 the fixture is used by its name


@pytest.fixture(scope="module")
def ablation():
    with benchmark("ablation") as found:
        yield found


def run(ablation, data, out, *variants, seeds=("1",), sets=SMALL):
    flags = [part for one in sets for part in ("--set", one)]
    argv = ["--protocol", "leave_one_out", "--data", str(data), "--out", str(out), *flags]
    assert ablation.main([*argv, "--seeds", *seeds, "--variants", *variants]) == 0
    return json.loads(out.read_text())


def test_variants_and_seeds_are_compared_and_what_is_done_is_not_done_again(ablation, tmp_path, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    genres(sequences(data))
    out = tmp_path / "ablation.json"
    first = run(ablation, data, out, "v0", "v2")["figures"]
    assert first["v0:seeds"] == first["v2:seeds"] == 1
    assert first["v2_vs_v0:ndcg@10:low"] <= first["v2_vs_v0:ndcg@10"] <= first["v2_vs_v0:ndcg@10:high"]
    trained = []
    learn = ablation.Learner.learn
    monkeypatch.setattr(ablation.Learner, "learn", lambda self, one: trained.append(self.config) or learn(self, one))
    second = run(ablation, data, out, "v0", "v2", seeds=("1", "2"))["figures"]
    assert [(config.model.heads, config.training.seed) for config in trained] == [((), 2), (None, 2)]
    assert all(config.training.patience == config.training.epochs for config in trained)
    assert second["v2:seeds"] == 2
    assert second["v2:ndcg@10:lowest"] <= first["v2:ndcg@10"] <= second["v2:ndcg@10:highest"]
    with pytest.raises(SystemExit, match="holds the work of other flags"):
        run(ablation, data, out, "v0", sets=(*SMALL, "training.epochs=2"))


def test_means_over_seeds_are_compared_user_by_user(ablation):
    def seed(*values):
        return {"ndcg@10": np.array(values)}, {"train_s": 2.0}

    done = {"v0": [seed(0.2, 0.2), seed(0.4, 0.4)], "v2": [seed(0.3, 0.3), seed(0.6, 0.6), seed(0.0, 0.0)]}
    found = ablation.report(done)
    assert found["v2:ndcg@10"] == 0.3
    assert (found["v2:ndcg@10:lowest"], found["v2:ndcg@10:highest"]) == (0.0, 0.6)
    # Both have two seeds: 0.45 against 0.3, for every user, so in every resample.
    ends = [found[f"v2_vs_v0:ndcg@10{end}"] for end in ("", ":low", ":high")]
    assert ends == [0.5, 0.5, 0.5]
    # Means of seeds 0.3, 0.6 and 0.2, 0.4: variances 0.045 and 0.02, of two seeds each, over 0.3.
    assert found["v2_vs_v0:ndcg@10:seed_error"] == pytest.approx((0.065 / 2) ** 0.5 / 0.3, abs=1e-6)
    assert found["v2:train_s"] == 2.0


@pytest.mark.parametrize(("flag", "told"), [("model.width", "must be a.b=c"), ("model.nothing=1", "nothing")])
def test_a_setting_that_is_none_ends_it(ablation, tmp_path, flag, told):
    with pytest.raises(SystemExit, match=told):
        run(ablation, tmp_path, tmp_path / "out.json", "v0", sets=(flag,))


@pytest.mark.parametrize(
    ("lines", "told"),
    [("1 1\n1 2\n", "there is no round that has a list to judge"), ("1 1\n1 2\n1 3\n", "no rows to train on")],
)
def test_a_log_that_cannot_be_judged_is_told_in_a_line(ablation, tmp_path, lines, told):
    (tmp_path / "ml.txt").write_text(lines)
    with pytest.raises(SystemExit, match=told):
        run(ablation, tmp_path, tmp_path / "out.json", "v0")
