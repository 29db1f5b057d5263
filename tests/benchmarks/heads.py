"""What the intent heads are worth on a log of actions: how often they name the next one, and how sure they are.

``heads.py --data DIR [--model PRESET] [--set a.b=c ...] --seed N --out FILE`` reads sessions of events with actions
(the form of trivago_100k), learns from the first four fifths of the sessions by their start, of which the last tenth
chooses the epoch and the temperatures, and judges every event of the last fifth that follows another of its session.

Keys: ``head:action:accuracy``, ``:ece`` and ``:ece_calibrated`` and so on for every head; ``floor:action:last``,
``:mode_5`` and ``:markov``: labels guessed without a model, on the same events.
"""

import argparse
import json
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from form import environment, table
from numpy.typing import NDArray
from protocols.folders import Log
from protocols.learning import Learner
from protocols.rounds import Round, events_of, numbers_of
from protocols.settings import QualityConfig, config_of
from protocols.visits import action_sessions
from quality import claim, flat, write

from intentrec.errors import IntentrecError

_TEST_SHARE = 0.2
# A session of up to 200 events is one row. Weight of the heads by validation: 0.3 names 0.8124 of its actions, 3 names
# 0.8152, and 10 no more.
_DEFAULTS = (
    "examples.history_length=200", "training.epochs=20", "training.patience=2", "training.rate_falls=1",
    "protocol.refit=false", "model.intent_weight=3",
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Train once and judge the heads; started again, it goes on."""
    parser = argparse.ArgumentParser(prog="tests/benchmarks/heads.py", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder in the form of trivago_100k")
    parser.add_argument("--model", default="intent", help="preset")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", help="sections of protocols/settings.py")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; its work lies in a folder beside it")
    flags = parser.parse_args(argv)
    try:
        config = config_of("session_prefixes", flags.model, flags.seed, [*_DEFAULTS, *flags.set])
    except ValueError as error:
        sys.exit(f"--set: {' '.join(str(error).split())}")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    logging.getLogger("petastorm").setLevel(logging.WARNING)
    torch.set_num_threads(config.protocol.threads)
    values = {"data": flags.data.name, "seed": flags.seed, "test_share": _TEST_SHARE, **flat(config)}
    result = {"benchmark": "heads", "config": values, "environment": environment(), "figures": {}}
    work = flags.out.with_suffix(".work")
    claim(work, values, flags.data)
    started = time.monotonic()
    try:
        notes = Learner(work, config, timed=True).learn(cut(action_sessions(flags.data), config)).notes
    except IntentrecError as error:
        sys.exit(f"{flags.data}: {error}")
    write(flags.out, result, {**notes, "wall_s": time.monotonic() - started})
    print(table(json.loads(flags.out.read_text())))
    return 0


def cut(log: Log, config: QualityConfig) -> Round:
    """Return the one round: sessions to learn from, to choose by and to judge, in the order of their starts."""
    num_sessions = int(log.sequence_N[-1]) + 1
    first_test = int(num_sessions * (1 - _TEST_SHARE))
    first_check = first_test - round(first_test * config.protocol.validation_share)
    is_learnt_N, is_test_N = log.sequence_N < first_check, log.sequence_N >= first_test
    log = _often(log, is_learnt_N, config.protocol.least_sessions)
    return Round(
        "all",
        numbers_of(log, len(log.items)),
        learn=events_of(log, is_learnt_N),
        check=events_of(log, ~is_learnt_N & ~is_test_N),
        more=None,
        trying=(),
        judged=(),
        test=events_of(log, is_test_N),
        timed=log.timed,
    )


def _often(log: Log, is_learnt_N: NDArray[np.bool_], least: int) -> Log:
    """Return the log with the items alone that stand in so many sessions to learn from; all others are unknown."""
    pairs = np.unique(np.stack([log.item_N[is_learnt_N], log.sequence_N[is_learnt_N]]), axis=1)
    sessions_V = np.bincount(pairs[0], minlength=len(log.items) + 1)
    kept = np.flatnonzero(sessions_V >= least)
    kept = kept[kept > 0]
    if not len(kept):
        sys.exit(f"protocol.least_sessions: no item stands in {least} sessions to learn from; lower it")
    number_V = np.zeros(len(sessions_V), np.int64)
    number_V[kept] = np.arange(1, len(kept) + 1)
    return replace(log, item_N=number_V[log.item_N], items=tuple(log.items[item - 1] for item in kept))


if __name__ == "__main__":
    sys.exit(main())
