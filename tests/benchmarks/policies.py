"""What every re-ranking policy costs in accuracy, and what it buys: the table to choose strengths by.

Without --data on the demo's warehouse (``make demo`` first), its challenger on the held-out week. With --data on a
folder of clicks by the day, as globo_clicks: a model of five days, judged on what its users open on the last but one
(``protocols/clicks.py``, nightly).

Keys: ``VARIANT:FIGURE``, and ``VARIANT:ndcg_lost``, the share of the NDCG without policies. Figures are of the first 10
places: ndcg, intent_coverage (how much of the user's own mix of categories a list serves at least once),
intra_list_diversity (of categories), coverage (of the catalogue, by all lists together).
"""

import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import torch
from form import ROOT, Flags, Measured, run_benchmark

from intentrec.cluster.catalogue import Numbers, collect_numbers
from intentrec.cluster.judging import JudgedDay, judged_days
from intentrec.cluster.priors import prior_of
from intentrec.cluster.recommenders import ModelRecommender
from intentrec.cluster.tradeoff import lists_with_policies, traded
from intentrec.config import PoliciesConfig, load_config
from intentrec.ledger import Command, Run, night_of, tonights_challenger
from intentrec.model.checkpoint import load_artifact
from intentrec.model.inference import Scorer
from intentrec.rules import eligible_items
from intentrec.spark import start_spark

K = 10
DEMO, DEMO_NIGHT = ROOT / "deploy" / "demo" / "nightly.yaml", date(2013, 8, 31)
VARIANTS: dict[str, dict[str, float]] = {
    "diversity_0.2": {"diversity": 0.2},
    "diversity_1": {"diversity": 1.0},
    "diversity_3": {"diversity": 3.0},
    "calibration_0.3": {"calibration": 0.3},
    "calibration_0.7": {"calibration": 0.7},
    "popularity_offset_0.1": {"popularity_offset": 0.1},
    "popularity_offset_0.3": {"popularity_offset": 0.3},
    "new_item_share_0.1": {"new_item_share": 0.1},
    "explore_1_place": {"explore_places": 1},
    "explore_3_places": {"explore_places": 3},
    "mild_all": {"diversity": 0.2, "calibration": 0.3, "popularity_offset": 0.1, "explore_places": 1},
}


@dataclass(frozen=True)
class World:
    """A model and the users that it is judged on.

    Attributes:
        model: with its prior.
        days: judged, in order.
        numbers: of the night.
        begins: of each day, aware.
        gap: a longer pause ends a session.
    """

    model: ModelRecommender
    days: list[JudgedDay]
    numbers: Numbers
    begins: list[datetime]
    gap: timedelta


def main(flags: Flags) -> Measured:
    """Judge every variant on the same users."""
    torch.set_num_threads(1)
    world = _of_the_demo() if flags.data is None else _of_clicks(flags.data, quick=flags.quick)
    categories_VC = world.numbers.catalogue.categories_VC.numpy()
    raw = traded([(day, world.model.recommend(day, K)) for day in world.days], categories_VC, K, seed=1)
    figures = {f"off:{figure.metric}": round(figure.value, 4) for figure in raw}
    for name, policies in list(VARIANTS.items())[: 2 if flags.quick else None]:
        days, chosen = [*zip(world.days, world.begins, strict=True)], PoliciesConfig.model_validate(policies)
        lists = lists_with_policies(world.model, days, chosen, world.numbers, world.gap, K)
        found = traded(lists, categories_VC, K, seed=1)
        figures |= {f"{name}:{figure.metric}": round(figure.value, 4) for figure in found}
        figures[f"{name}:ndcg_lost"] = round(1 - figures[f"{name}:ndcg"] / figures["off:ndcg"], 4)
    num_lists = sum(len(day.users) for day in world.days)
    return Measured({"k": K, "lists": num_lists, "items": len(categories_VC) - 1, "of": _source(flags)}, figures)


def _source(flags: Flags) -> str:
    return "demo" if flags.data is None else flags.data.name


def _of_the_demo() -> World:
    config = load_config(DEMO)
    if not Path(config.warehouse).exists():
        sys.exit(f"{config.warehouse}: there is no warehouse yet; run make demo first")
    spark, _ = start_spark("policies", "local[2]", {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "4"})
    run = Run(Command(config=config, run_date=DEMO_NIGHT), spark, "policies")
    night, settings = night_of(run), config.evaluation
    numbers = collect_numbers(night, eligible_items(night.items, night.end()))
    model = tonights_challenger(run)
    if model is None:
        sys.exit(f"{config.warehouse}: {DEMO_NIGHT} has no challenger; run make demo again")
    events = night.events().persist()
    days = judged_days(night, events, numbers, (settings.holdout_days, settings.holdout_days), settings)
    artifact = load_artifact(model.folder, model.files)
    spark.stop()
    recommender = ModelRecommender(model.model_id, Scorer(artifact), numbers.fields, prior_of(artifact))
    begins = night.bounds(settings.holdout_days, settings.holdout_days)[:-1]
    return World(recommender, days, numbers, begins, timedelta(minutes=config.sessions.gap_minutes))


def _of_clicks(folder: Path, *, quick: bool) -> World:
    from protocols.clicks import nightly
    from protocols.learning import Learner
    from protocols.settings import config_of

    short = ["training.epochs=1", "protocol.learn_days=1", "protocol.validation_lists=300"] if quick else []
    asked = ["protocol.mix=[]", f"protocol.test_lists={300 if quick else 5000}", *short]
    config = config_of("nightly", "intent", 1, asked)
    one = next(nightly(folder, config))
    with tempfile.TemporaryDirectory(prefix="policies-") as work:
        learned = Learner(Path(work), config, timed=True).learn(one)
    begin = datetime.fromtimestamp(int(one.numbers.first_seen_V.max()), UTC)
    # There are no categories: everything is of none, as in a night, where the array is as wide as the config says.
    nothing = torch.zeros(len(one.numbers.catalogue.categories_VC), 1, dtype=torch.int64)
    numbers = replace(one.numbers, catalogue=replace(one.numbers.catalogue, categories_VC=nothing))
    return World(learned.recommender, list(one.judged), numbers, [begin], timedelta(minutes=30))


if __name__ == "__main__":
    sys.exit(run_benchmark("policies", main))
