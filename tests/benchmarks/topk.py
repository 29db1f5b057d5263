"""The exact top-K engine against the bare matrix product, plain matmul + topk, and implicit's ``cpu.topk``.

B users   D width   V items   K places   S seen items of a user

Half of the seen items are such as the user scores high, as in life. --data is a folder with queries.npy (B, D) and
items.npy (V, D), float32; without it both are drawn.

Figures: ``x_gemm_100k_128`` and ``x_gemm_20k_64``: time of the engine over that of a matrix product into one reused
256-row buffer. ``vs_naive`` and ``vs_implicit``: theirs over the engine's, 100,000 items, seen ones left out by all;
implicit is measured where it is installed. ``exact_overlap``: least share of brute force's list that is found, over
random scores, equal scores, users who have seen everything or all but a few, and lists longer than what is left; 0
where a NaN among queries or items is not refused.
``extra_memory_mb``: of a process that has users and items already, for 2,000 users and for 20,000.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from form import Flags, Measured, interleaved, ratio, run_benchmark
from torch import Tensor

from intentrec.model.ragged import Ragged
from intentrec.model.topk import top_k

K, SEEN = 100, 50
BLOCK = 256  # rows of the bare product: its buffer stays in the cache
NAIVE_BLOCK = 2048
ROUNDS = 5
FIGURES = ("x_gemm_100k_128", "x_gemm_20k_64", "exact_overlap", "extra_memory_mb")


def main(flags: Flags) -> Measured:
    """Measure what is asked for."""
    wanted = FIGURES if flags.figure is None else (flags.figure,)
    figures: dict[str, float] = {}
    users = 2048 if flags.quick else 20480
    if "x_gemm_100k_128" in wanted:
        figures |= _speed("100k_128", *_vectors(flags, users, 100_000, 128), others=True)
    if "x_gemm_20k_64" in wanted:
        figures |= _speed("20k_64", *_vectors(flags, users, 20_000, 64), others=False)
    if "exact_overlap" in wanted:
        figures["exact_overlap"] = min(_overlaps())
    if "extra_memory_mb" in wanted:
        for label, size in (("2k", 2_000), ("20k", 2_000 if flags.quick else 20_000)):
            figures[f"extra_memory_mb_{label}"] = _extra_memory(size)
    return Measured({"users": users, "k": K, "seen": SEEN, "threads": torch.get_num_threads()}, figures)


def _speed(label: str, queries_BD: Tensor, items_VD: Tensor, *, others: bool) -> dict[str, float]:
    seen_BS = _seen(queries_BD, items_VD)
    seen = Ragged.of([np.unique(row) for row in seen_BS.numpy()])
    buffer = torch.empty(BLOCK, len(items_VD))
    variants: dict[str, Callable[[], object]] = {
        "gemm": lambda: _gemm(queries_BD, items_VD, buffer),
        "engine": lambda: top_k(queries_BD, items_VD, K, excluded=seen),
    }
    if others:
        variants["naive"] = lambda: _naive(queries_BD, items_VD, seen_BS)
    if others and importlib.util.find_spec("implicit"):
        variants["implicit"] = _by_implicit(queries_BD, items_VD, seen_BS)
    costs = interleaved(variants, rounds=ROUNDS)
    figures = {f"x_gemm_{label}": ratio(costs["engine"], costs["gemm"])}
    figures |= {f"vs_{name}": ratio(costs[name], costs["engine"]) for name in ("naive", "implicit") if name in costs}
    best = min(cost.wall_s for cost in costs["engine"])
    return {**figures, f"users_per_s_{label}": round(len(queries_BD) / best, 1)}


def _vectors(flags: Flags, users: int, items: int, width: int) -> tuple[Tensor, Tensor]:
    if flags.data:
        return tuple(torch.from_numpy(np.load(flags.data / f"{name}.npy")) for name in ("queries", "items"))
    generator = torch.Generator().manual_seed(1)
    return torch.randn(users, width, generator=generator), torch.randn(items, width, generator=generator)


def _seen(queries_BD: Tensor, items_VD: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    seen_BS = torch.randint(0, len(items_VD), (len(queries_BD), SEEN), generator=generator)
    for start in range(0, len(queries_BD), BLOCK):
        rows = slice(start, start + BLOCK)
        seen_BS[rows, : SEEN // 2] = (queries_BD[rows] @ items_VD.T).topk(SEEN // 2).indices
    return seen_BS.sort(dim=1).values


def _gemm(queries_BD: Tensor, items_VD: Tensor, buffer: Tensor) -> None:
    for block_BD in queries_BD.split(BLOCK):
        torch.mm(block_BD, items_VD.T, out=buffer[: len(block_BD)])


def _naive(queries_BD: Tensor, items_VD: Tensor, seen_BS: Tensor) -> tuple[Tensor, Tensor]:
    parts = []
    for block_BD, block_BS in zip(queries_BD.split(NAIVE_BLOCK), seen_BS.split(NAIVE_BLOCK), strict=True):
        scores_BV = block_BD @ items_VD.T
        scores_BV.scatter_(1, block_BS, float("-inf"))
        scores_BV[:, 0] = float("-inf")  # padding
        parts.append(scores_BV.topk(K))
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _by_implicit(queries_BD: Tensor, items_VD: Tensor, seen_BS: Tensor) -> Callable[[], object]:
    from implicit.cpu.topk import topk
    from scipy.sparse import csr_matrix

    rows = np.repeat(np.arange(len(queries_BD)), SEEN)
    ones = np.ones(len(rows), np.float32)
    seen = csr_matrix((ones, (rows, seen_BS.numpy().ravel())), shape=(len(queries_BD), len(items_VD)))
    queries, items = queries_BD.numpy(), items_VD.numpy()
    threads = torch.get_num_threads()
    return lambda: topk(items, queries, K, filter_query_items=seen, num_threads=threads)


def _overlaps() -> list[float]:
    """Compare with a full sort, ties by smaller index."""
    generator = torch.Generator().manual_seed(3)
    some, many = torch.randn(256, 32, generator=generator), torch.randn(20_000, 32, generator=generator)
    ties = (torch.randint(-1, 2, (256, 4), generator=generator), torch.randint(-1, 2, (5_000, 4), generator=generator))
    everything, all_but_three = np.arange(5_000), np.arange(4, 5_000)
    whole = Ragged.of([everything] * 128 + [all_but_three] * 128)
    random = Ragged.of([np.unique(own) for own in torch.randint(0, 20_000, (256, SEEN), generator=generator).numpy()])
    large = torch.randn(100_000, 32, generator=generator)  # where the processor can, by way of bfloat16
    cases = [
        (some, many, K, random),
        (some, large, K, random),
        (ties[0].float(), ties[1].float(), K, Ragged.of([np.zeros(0, np.int64)] * 256)),
        (some[:, :4], ties[1].float(), K, whole),
        (some, many[:60], K, Ragged.of([np.zeros(0, np.int64)] * 256)),
    ]
    refused = [_refused(some, own, where) for own in (many, large) for where in ("queries", "items")]
    return [*(_overlap(*case) for case in cases), *refused]


def _refused(queries_BD: Tensor, items_VD: Tensor, where: str) -> float:
    """Return 1 where one NaN is refused by its name."""
    given = {"queries": queries_BD.clone(), "items": items_VD.clone()}
    given[where][-1, 0] = float("nan")
    try:
        top_k(given["queries"], given["items"], K)
    except ValueError as error:
        return float(f"NaN in {where}" in str(error))
    return 0.0


def _overlap(queries_BD: Tensor, items_VD: Tensor, k: int, excluded: Ragged) -> float:
    found_BK = top_k(queries_BD, items_VD, k, excluded=excluded).items_BK.numpy()
    scores_BV = (queries_BD @ items_VD.T).numpy().copy()
    for row, (start, stop) in enumerate(zip(excluded.starts_B[:-1], excluded.starts_B[1:], strict=True)):
        scores_BV[row, excluded.items_N[start:stop].numpy()] = -np.inf
    scores_BV[:, 0] = -np.inf
    wanted_BK = np.argsort(-scores_BV, axis=1, kind="stable")[:, :k]
    wanted_BK = np.where(np.isneginf(np.take_along_axis(scores_BV, wanted_BK, axis=1)), 0, wanted_BK)
    shares = []
    for found, wanted in zip(found_BK, wanted_BK, strict=True):
        wanted = wanted[wanted > 0]
        same = len(np.intersect1d(found[found > 0], wanted)) == len(wanted) == int((found > 0).sum())
        shares.append(1.0 if same else len(np.intersect1d(found, wanted)) / max(len(wanted), 1))
    return float(np.mean(shares))


def _extra_memory(users: int) -> float:
    """Ask a process of its own."""
    command = [sys.executable, __file__, "--memory", str(users)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _memory_of(users: int) -> float:
    """Return by how many MB the greatest memory of this process grew while it scored, the result taken off."""
    generator = torch.Generator().manual_seed(1)
    queries_BD, items_VD = torch.randn(users, 128, generator=generator), torch.randn(100_000, 128, generator=generator)
    seen = Ragged.of(list(np.random.default_rng(2).integers(1, 100_000, (users, SEEN))))
    top_k(queries_BD[:8], items_VD[:1_000], K)  # what the library itself takes once
    Path("/proc/self/clear_refs").write_text("5")  # the greatest memory starts from what is held now
    before = _status_mb("VmRSS")
    top_k(queries_BD, items_VD, K, excluded=seen)
    return round(_status_mb("VmHWM") - before - users * K * 12 / 2**20, 1)


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    with torch.inference_mode():
        if sys.argv[1:2] == ["--memory"]:
            print(_memory_of(int(sys.argv[2])))
            sys.exit(0)
        sys.exit(run_benchmark("topk", main, figures=FIGURES))
