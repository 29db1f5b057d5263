"""What each part of the model is worth: parts off and on, readouts, presets; one budget of steps, several seeds.

``ablation.py --protocol NAME --data DIR [--variants v0 v1 ...] [--seeds 1 2 3] [--set a.b=c ...] --out FILE`` trains
every variant with every seed for the same number of epochs, so of steps, on the rounds of a protocol of quality.py,
keeps the best epoch by validation, and judges the network alone, without the prior. What is done lies in a folder
beside FILE: started again, it goes on.

Variants: v0 without intents; v1 with heads beside the item's (flat); v2 with the item predicted from the intents; v3
with the short-term layer as well, where times are real; then readouts on v2, and the other presets.

Keys: ``v2:ndcg@10`` (mean over the lists of all rounds, and over seeds), ``v2:ndcg@10:lowest`` and ``:highest`` of a
seed; ``v2_vs_v1:ndcg@10`` with ``:low`` and ``:high`` (90 %): relative difference of the means over seeds, test users
resampled in pairs; ``:seed_error``: its standard error by what seeds alone move, which the interval does not hold.
"""

import argparse
import json
import logging
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from form import environment, table
from protocols.figures import PerList, judged, load_round, save_round
from protocols.learning import Learner
from protocols.settings import QualityConfig, config_of
from quality import PROTOCOLS, claim, flat, rounds_with_lists, write

from intentrec.errors import IntentrecError
from intentrec.metrics import paired_relative_difference

_ITEMS_ALONE = ("model.heads=[]", "model.short_term_days=0")
VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "v0": ("intent", _ITEMS_ALONE),
    "v1": ("intent", ("model.feed_intents=false", "model.short_term_days=0")),
    "v2": ("intent", ("model.short_term_days=0",)),
    "v3": ("intent", ()),
    "v2_atten_mixer": ("intent", ("model.short_term_days=0", "model.readout=atten_mixer")),
    "v2_multi_interest": ("intent", ("model.short_term_days=0", "model.readout=multi_interest")),
    "sasrec": ("sasrec", ()),
    "gru4rec": ("gru4rec", ()),
    "atten_mixer": ("atten_mixer", ()),
}
REFERENCES = {
    "v1": ("v0",), "v2": ("v1", "v0"), "v3": ("v0", "v2"), "v2_atten_mixer": ("v2",), "v2_multi_interest": ("v2",),
    "sasrec": ("v2",), "gru4rec": ("sasrec",), "atten_mixer": ("sasrec",),
}  # fmt: skip
# Ten minutes of one core or so for v2; without lists to fit a prior on, and without rivals. News is trained on through
# the newest hours, as in its protocol: without them the network alone had NDCG@20 0.106, and every epoch after the
# first made it worse. One hour's figure moves by a tenth from seed to seed: five hours in the middle of a day.
_BUDGET = {
    "leave_one_out": ("training.epochs=8",),
    "session_prefixes": ("training.epochs=2",),
    "periods": ("training.epochs=4", "protocol.rounds=[1]"),
    "hourly": (
        "training.epochs=1", "protocol.refit=true", "protocol.rounds=[13, 14, 15, 16, 17]", "protocol.test_lists=null",
    ),
    "nightly": ("training.epochs=1",),
}  # fmt: skip
_ALONE = (
    "protocol.mix=[]", "protocol.neighbours=false", "protocol.factors=false", "protocol.refit=false",
    "protocol.validation_lists=100",
)  # fmt: skip
_SEED = 1  # of the bootstrap
_LOG = logging.getLogger("ablation")


def main(argv: list[str] | None = None) -> int:
    """Train and judge what is not done yet, a seed of all variants after the other; write the report after each."""
    parser = argparse.ArgumentParser(prog="tests/benchmarks/ablation.py", description=__doc__)
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder in the form that the protocol reads")
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=(1, 2, 3))
    parser.add_argument(
        "--set", action="append", default=[], metavar="a.b=c", help="for all variants, as in quality.py"
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file; its work lies in a folder beside it")
    flags = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    logging.getLogger("petastorm").setLevel(logging.WARNING)
    try:
        first = _config(flags.protocol, "v2", 1, flags.set)
    except ValueError as error:
        sys.exit(f"--set: {' '.join(str(error).split())}")
    torch.set_num_threads(first.protocol.threads)
    kept = {"protocol": flags.protocol, "data": flags.data.name, "set": flags.set}
    work = flags.out.with_suffix(".work")
    claim(work, kept, flags.data)
    config = {**kept, "seeds": [*flags.seeds], "variants": [*flags.variants], **flat(first)}
    result = {"benchmark": "ablation", "config": config, "environment": environment(), "figures": {}}
    for seed in flags.seeds:
        for variant in flags.variants:
            path = work / f"{variant}-{seed}.npz"
            try:
                if not path.exists():
                    _judge(path, flags.data, flags.protocol, _config(flags.protocol, variant, seed, flags.set))
            except IntentrecError as error:
                sys.exit(f"{flags.data}: {error}")
            write(flags.out, result, report(_done(work, flags.variants, flags.seeds)))
    print(table(json.loads(flags.out.read_text())))
    return 0


def _config(protocol: str, variant: str, seed: int, overrides: Sequence[str]) -> QualityConfig:
    preset, parts = VARIANTS[variant]
    config = config_of(protocol, preset, seed, [*_ALONE, *_BUDGET[protocol], *overrides, *parts])
    training = config.training.model_copy(update={"patience": config.training.epochs})  # equal steps for all
    return config.model_copy(update={"training": training})


def _judge(path: Path, data: Path, protocol: str, config: QualityConfig) -> None:
    """Train one variant with one seed, judge it round after round, keep the figures of every list."""
    folder = path.with_suffix("")
    started, train_s = time.monotonic(), 0.0
    learner: Learner | None = None
    found: list[PerList] = []
    for one in rounds_with_lists(protocol, data, config):
        learner = learner or Learner(folder, config, timed=one.timed)
        learned = learner.learn(one)
        train_s += sum(learned.notes.get(name, 0.0) for name in ("train_s", "refit_train_s"))
        categories_VK = one.numbers.catalogue.categories_VC.numpy()
        found.append(judged(learned.alone, one.judged, config.protocol.k, categories_VK)[0])
        learner.tidy()
    if not found:
        sys.exit(f"{data}: there is no round that has a list to judge")
    figures = {key: np.concatenate([own[key] for own in found]) for key in found[0]}
    save_round(path, {"model": figures}, {"train_s": train_s})
    shutil.rmtree(folder)
    key = f"ndcg@{config.protocol.k[0]}"
    _LOG.info("%s: %s %.4f in %.0f s", path.stem, key, figures[key].mean(), time.monotonic() - started)


def _done(
    work: Path, variants: Iterable[str], seeds: Iterable[int]
) -> dict[str, list[tuple[PerList, dict[str, float]]]]:
    """Return of every variant what its finished seeds gave."""
    paths = {variant: [work / f"{variant}-{seed}.npz" for seed in seeds] for variant in variants}
    kept = {variant: [load_round(path) for path in own if path.exists()] for variant, own in paths.items()}
    return {variant: [(figures["model"], notes) for figures, notes in own] for variant, own in kept.items() if own}


def report(done: Mapping[str, Sequence[tuple[PerList, dict[str, float]]]]) -> dict[str, float]:
    """Return all figures; a variant is compared with another on as many seeds as both have finished.

    Args:
        done: variant -> per seed its figures per list, and notes.
    """
    found: dict[str, float] = {}
    for variant, seeds in done.items():
        found[f"{variant}:seeds"] = float(len(seeds))
        found[f"{variant}:train_s"] = float(np.mean([notes["train_s"] for _, notes in seeds]))
        for key in seeds[0][0]:
            means = [float(figures[key].mean()) for figures, _ in seeds]
            found[f"{variant}:{key}"] = float(np.mean(means))
            found |= {f"{variant}:{key}:lowest": min(means), f"{variant}:{key}:highest": max(means)}
        for other in REFERENCES.get(variant, ()):
            both = min(len(seeds), len(done.get(other, ())))
            for key in (key for key in seeds[0][0] if both and key.startswith(("ndcg", "hr", "mrr"))):
                own_SU, other_SU = (np.array([run[0][key] for run in done[name][:both]]) for name in (variant, other))
                own_U, other_U = own_SU.mean(axis=0), other_SU.mean(axis=0)
                difference = paired_relative_difference(own_U, other_U, _SEED)
                ends = {"": difference.value, ":low": difference.low, ":high": difference.high}
                if both > 1:
                    variances = [means_S.var(ddof=1) / both for means_S in (own_SU.mean(axis=1), other_SU.mean(axis=1))]
                    ends[":seed_error"] = float(np.sqrt(sum(variances)) / other_U.mean())
                found |= {
                    f"{variant}_vs_{other}:{key}{end}": value for end, value in ends.items() if np.isfinite(value)
                }
    return {key: round(value, 6) for key, value in found.items()}


if __name__ == "__main__":
    sys.exit(main())
