"""The nightly task of a click log: what RecTools' models reach on it, and what no list of known articles can pass.

``peers.py --data DIR [--days N] [--users N] --out FILE`` reads a folder in the form of globo_clicks and judges lists of
ten for each of its last days, as ``quality.py --protocol nightly`` does: made at the end of the day before, for users
with a history, by what they open next day and had not opened before.

Keys of a day: ``rectools:NAME:hr@10``; ``ceiling:known`` share of users who open anything that had been opened once;
``ceiling:live`` anything that was opened 20 times in the six hours before; ``ceiling:live_top10`` and
``ceiling:live_greedy``: one list for all of what is live, chosen with the next day in hand, by users and by coverage.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from form import environment, table
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from protocols.clicks import HOUR_S, Clicks
from protocols.folders import DAY_S, Integers
from protocols.settings import config_of
from quality import write
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel, PopularModel
from rectools.models.base import ModelBase
from threadpoolctl import threadpool_limits

from intentrec.cluster.judging import JudgedUsers

K = 10
_LIVE_HOURS, _LIVE_CLICKS = 6, 20
_LEARN_DAYS = (1, 5)  # of the log, for the models that know users


def main(argv: list[str] | None = None) -> int:
    """Judge the last days, the earliest first; write the report after each."""
    parser = argparse.ArgumentParser(prog="tests/benchmarks/peers.py", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder in the form of globo_clicks")
    parser.add_argument("--days", type=int, default=2, help="last days of the log that are judged")
    parser.add_argument("--users", type=int, help="most users of a day; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    flags = parser.parse_args(argv)
    config = {
        "data": flags.data.name, "days": flags.days, "users": flags.users, "seed": flags.seed,
        "learn_days": [*_LEARN_DAYS], "live_hours": _LIVE_HOURS, "live_clicks": _LIVE_CLICKS,
    }  # fmt: skip
    result = {"benchmark": "peers", "config": config, "environment": environment(), "figures": {}}
    clicks, figures = Clicks(flags.data, config_of("nightly", "intent", flags.seed, [])), {}
    if not 0 < flags.days < len(clicks.bounds) - 1:
        sys.exit(
            f"--days: wanted 1 to {len(clicks.bounds) - 2} of the folder's {len(clicks.bounds) - 1}, is {flags.days}"
        )
    for number in range(len(clicks.bounds) - 1 - flags.days, len(clicks.bounds) - 1):
        now, end = (int(bound) for bound in clicks.bounds[number : number + 2])
        users = clicks.next_day(now, end, flags.users)
        found = {"users": float(len(users)), **ceilings(clicks, users, now)}
        found |= {f"rectools:{name}:hr@{K}": value for name, value in peers(clicks, users, now, flags.seed)}
        figures |= {f"day_{number:02d}:{name}": round(value, 6) for name, value in found.items()}
        write(flags.out, result, figures)
    print(table(json.loads(flags.out.read_text())))
    return 0


def ceilings(clicks: Clicks, users: JudgedUsers, now: int) -> dict[str, float]:
    """Return what lists reach that are chosen with the next day in hand."""
    log, num_items = clicks.log, clicks.known_items(now)
    owner_R, item_R = _opened(users)
    known_R = item_R <= num_items
    recent_N = (log.start_N < now) & (log.time_N < now) & (log.time_N >= now - _LIVE_HOURS * HOUR_S)
    live_V = np.bincount(log.item_N[recent_N], minlength=num_items + 1) >= _LIVE_CLICKS
    live_R = known_R & live_V[np.minimum(item_R, num_items)]
    owner_L, item_L = owner_R[live_R], item_R[live_R]
    most = np.argsort(-np.bincount(item_L, minlength=num_items + 1), kind="stable")[:K]
    greedy: list[int] = []
    for _ in range(K):
        missed_L = ~np.isin(owner_L, owner_L[np.isin(item_L, greedy)])
        greedy.append(int(np.bincount(item_L[missed_L], minlength=num_items + 1).argmax()))
    reached = {
        "known": owner_R[known_R], "live": owner_L, "live_top10": owner_L[np.isin(item_L, most)],
        "live_greedy": owner_L[np.isin(item_L, greedy)],
    }  # fmt: skip
    return {f"ceiling:{name}": len(np.unique(found)) / len(users) for name, found in reached.items()}


def peers(clicks: Clicks, users: JudgedUsers, now: int, seed: int) -> Iterator[tuple[str, float]]:
    """Yield the hit rate of every model; who is unknown to one gets what the last hour read."""
    owner_R, item_R = _opened(users)
    wanted = pd.DataFrame({Columns.User: users.users_U[owner_R], Columns.Item: item_R})
    popular = _lists(PopularModel(), _dataset(clicks, now, HOUR_S), users.users_U)
    models: dict[str, Callable[[], ModelBase[Any]]] = {
        "item_knn_bm25": lambda: ImplicitItemKNNWrapperModel(BM25Recommender(K=100)),
        "als_64": lambda: ImplicitALSWrapperModel(AlternatingLeastSquares(factors=64, random_state=seed)),
    }
    yield "popular_1h", _hit_rate(popular, wanted, len(users))
    for days in _LEARN_DAYS:
        dataset = _dataset(clicks, now, days * DAY_S)
        for name, model in models.items():
            with threadpool_limits(1, "blas"):  # implicit has threads of its own
                lists = _lists(model(), dataset, users.users_U)
            rest = popular[~popular[Columns.User].isin(lists[Columns.User])]
            yield f"{name}_{days}d", _hit_rate(pd.concat([lists, rest]), wanted, len(users))


def _dataset(clicks: Clicks, now: int, seconds: int) -> Dataset:
    log = clicks.log
    chosen_N = (log.start_N < now) & (log.time_N < now) & (log.time_N >= now - seconds)
    rows = {
        Columns.User: log.sequence_N[chosen_N], Columns.Item: log.item_N[chosen_N], Columns.Weight: 1.0,
        Columns.Datetime: pd.to_datetime(log.time_N[chosen_N], unit="s"),
    }  # fmt: skip
    return Dataset.construct(pd.DataFrame(rows))


def _lists(model: ModelBase[Any], dataset: Dataset, users_U: Integers) -> pd.DataFrame:
    """Return rows (user, item) of lists without what the users have read in the model's own days."""
    is_known_U = np.isin(users_U, dataset.user_id_map.external_ids) | isinstance(model, PopularModel)
    return model.fit(dataset).recommend(
        users_U[is_known_U], dataset, k=K, filter_viewed=True, on_unsupported_targets="ignore"
    )


def _hit_rate(lists: pd.DataFrame, wanted: pd.DataFrame, num_users: int) -> float:
    both = lists[[Columns.User, Columns.Item]].merge(wanted, on=[Columns.User, Columns.Item])
    return both[Columns.User].nunique() / num_users


def _opened(users: JudgedUsers) -> tuple[Integers, Integers]:
    """Return place of the user and item of everything that is relevant."""
    return np.repeat(np.arange(len(users)), np.diff(users.relevant.offsets)), users.relevant.items


if __name__ == "__main__":
    sys.exit(main())
