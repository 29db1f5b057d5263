"""How good the lists are on public data, under protocols that do not flatter: the model beside its rivals.

``quality.py --protocol NAME --data DIR --model PRESET [--set a.b=c ...] --seed N --out FILE`` ranks all items, chooses
epochs and weights on validation data alone, and writes its figures after every round. What it has done lies in a
folder beside FILE: started again with the same flags it goes on after the last epoch, or the last round.

Keys: ``hr@10``, ``ndcg@10``, ``recall@20``, ``mrr@20`` as fractions, with ``:low`` and ``:high`` (90 %, resampled);
``network:hr@10`` without the prior; ``baseline:NAME:hr@10``; ``vs_best_baseline:ndcg@10``, paired and relative.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from form import environment, table
from protocols import clicks, leave_one_out, periods, session_prefixes
from protocols.figures import LISTS, Asked, judged, load_round, report, save_round, segments, write_text
from protocols.learning import Learner
from protocols.rivals import rivals_for
from protocols.rounds import Round
from protocols.settings import DEFAULTS, QualityConfig, config_of

from intentrec.errors import IntentrecError

PROTOCOLS: Mapping[str, Callable[[Path, QualityConfig], Iterator[Round]]] = {
    "leave_one_out": leave_one_out.rounds,
    "session_prefixes": session_prefixes.rounds,
    "periods": periods.rounds,
    "hourly": clicks.hourly,
    "nightly": clicks.nightly,
}
_LOG = logging.getLogger("quality")


def main(argv: list[str] | None = None) -> int:
    """Read the flags, run every round that is not done, write the report after each."""
    parser = argparse.ArgumentParser(prog="tests/benchmarks/quality.py", description=__doc__)
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder in the form that the protocol reads")
    parser.add_argument("--model", required=True, help="preset")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="sections of protocols/settings.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; its work lies in a folder beside it")
    flags = parser.parse_args(argv)
    try:
        config = config_of(flags.protocol, flags.model, flags.seed, flags.set)
    except ValueError as error:
        sys.exit(f"--set: {' '.join(str(error).split())}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    logging.getLogger("petastorm").setLevel(logging.WARNING)
    torch.set_num_threads(config.protocol.threads)
    values = {"protocol": flags.protocol, "data": flags.data.name, "seed": flags.seed, **flat(config)}
    result = {"benchmark": "quality", "config": values, "environment": environment(), "figures": {}}
    work = flags.out.with_suffix(".work")
    claim(work, values, flags.data)
    try:
        done = _run(flags.protocol, flags.data, config, work, lambda figures: write(flags.out, result, figures))
    except IntentrecError as error:
        sys.exit(f"{flags.data}: {error}")
    if not done:
        sys.exit(f"{flags.data}: there is no round that has a list to judge")
    print(table(json.loads(flags.out.read_text())))
    return 0


def _run(
    protocol: str, data: Path, config: QualityConfig, work: Path, write: Callable[[dict[str, float]], None]
) -> bool:
    """Return whether there was a round that has a list to judge."""
    sizes = config.protocol.k
    done = {}
    learner: Learner | None = None
    each = protocol != "hourly"
    for one in rounds_with_lists(protocol, data, config):
        learner = learner or Learner(work, config, timed=one.timed)
        path = work / "rounds" / f"{one.name}.npz"
        started = time.monotonic()
        if path.exists():
            learner.passed(one)
        else:
            learned = learner.learn(one)
            asked: dict[str, Asked] = {"model": learned.recommender, "network": learned.alone}
            asked |= {f"baseline:{rival.name}": rival for rival in rivals_for(one.trying, one.judged, sizes[0])}
            figures, notes = {LISTS: segments(one.judged)}, dict(learned.notes)
            for who, recommender in asked.items():
                categories_VK = one.numbers.catalogue.categories_VC.numpy()
                figures[who], together = judged(recommender, one.judged, sizes, categories_VK)
                notes |= {key if who == "model" else f"{who}:{key}": value for key, value in together.items()}
            save_round(path, figures, {**notes, "round_s": time.monotonic() - started})
            learner.tidy()
        done[one.name] = load_round(path)
        write(report(done, each=each))
        key = f"ndcg@{sizes[0]}"
        own = {who: figures[key].mean() for who, figures in done[one.name][0].items() if who != LISTS}
        best = max((mean, who) for who, mean in own.items() if who.startswith("baseline:"))
        _LOG.info(
            "%s: %s %.4f, network alone %.4f, %s %.4f", one.name, key, own["model"], own["network"], best[1], best[0]
        )
    return bool(done)


def rounds_with_lists(protocol: str, data: Path, config: QualityConfig) -> Iterator[Round]:
    """Yield the rounds of a protocol, without those that have no list to judge."""
    for one in PROTOCOLS[protocol](data, config):
        if any(len(day.users) for day in one.judged):
            yield one
        else:
            _LOG.warning("%s: has no list to judge, passed over", one.name)


def flat(config: QualityConfig) -> dict[str, object]:
    """Return all values by ``section.name``."""
    sections = config.model_dump(mode="json")
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def claim(work: Path, config: Mapping[str, object], data: Path) -> None:
    """End the program where the folder holds the work of other flags, or on other data, told by names and sizes."""
    if not data.is_dir():
        sys.exit(f"--data: wanted a folder, {data} is none")
    files = [path for path in sorted(data.iterdir()) if path.is_file() and path.suffix != ".json"]  # no reports
    sizes = {path.name: path.stat().st_size for path in files}
    path, text = work / "config.json", json.dumps({**config, "files": sizes}, sort_keys=True)
    if path.exists() and path.read_text() != text and any(own != path for own in work.iterdir()):
        sys.exit(f"{work}: holds the work of other flags or data; name another --out, or remove the folder")
    write_text(path, text)


def write(out: Path, result: dict[str, object], figures: dict[str, float]) -> None:
    """Write the report as a whole, or not at all."""
    write_text(out, json.dumps({**result, "figures": figures}, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    assert set(PROTOCOLS) == set(DEFAULTS)
    sys.exit(main())
