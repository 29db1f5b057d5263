"""The exact top-K engine against plain matmul + topk and against the bare matrix product.

B users   D width   V items   K places   S seen items of a user

Half of the seen items are such as the user scores high, as in life. --data is a folder with queries.npy (B, D) and
items.npy (V, D), float32; without it both are drawn.
"""

import sys

import numpy as np
import torch
from form import Flags, Measured, compared, interleaved, run_benchmark
from torch import Tensor

from intentrec.model.topk import Ragged, top_k

K, SEEN = 100, 50
BLOCK = 256  # rows of the bare product: its buffer stays in the cache
NAIVE_BLOCK = 2048


def main(flags: Flags) -> Measured:
    """Measure three variants in interleaved rounds, after checking that the engine is exact."""
    queries_BD, items_VD = _vectors(flags)
    seen_BS = _seen(queries_BD, items_VD)
    seen = Ragged.of([np.unique(row) for row in seen_BS.numpy()])
    found_BK = top_k(queries_BD, items_VD, K, excluded=seen).items_BK[:BLOCK].numpy()
    wanted_BK = _naive(queries_BD[:BLOCK], items_VD, seen_BS[:BLOCK])[1].numpy()
    overlap = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found_BK, wanted_BK, strict=True)])
    buffer = torch.empty(BLOCK, len(items_VD))
    costs = interleaved(
        {
            "sgemm": lambda: _sgemm(queries_BD, items_VD, buffer),
            "engine": lambda: top_k(queries_BD, items_VD, K, excluded=seen),
            "naive": lambda: _naive(queries_BD, items_VD, seen_BS),
        },
        rounds=3 if flags.quick else 5,
    )
    figures = compared(costs, "sgemm")
    figures["naive_x_engine"] = round(figures["naive_s"] / figures["engine_s"], 4)
    figures["engine_users_per_s"] = round(len(queries_BD) / figures["engine_s"], 1)
    figures["overlap_with_naive"] = float(overlap)
    config = {"users": len(queries_BD), "items": len(items_VD), "width": items_VD.shape[1], "k": K, "seen": SEEN}
    return Measured({**config, "threads": torch.get_num_threads()}, figures)


def _vectors(flags: Flags) -> tuple[Tensor, Tensor]:
    if flags.data:
        return tuple(torch.from_numpy(np.load(flags.data / f"{name}.npy")) for name in ("queries", "items"))
    generator = torch.Generator().manual_seed(1)
    num_users = 2048 if flags.quick else 20480
    return torch.randn(num_users, 128, generator=generator), torch.randn(100_000, 128, generator=generator)


def _seen(queries_BD: Tensor, items_VD: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    seen_BS = torch.randint(0, len(items_VD), (len(queries_BD), SEEN), generator=generator)
    for start in range(0, len(queries_BD), BLOCK):
        rows = slice(start, start + BLOCK)
        seen_BS[rows, : SEEN // 2] = (queries_BD[rows] @ items_VD.T).topk(SEEN // 2).indices
    return seen_BS.sort(dim=1).values


def _sgemm(queries_BD: Tensor, items_VD: Tensor, buffer: Tensor) -> None:
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


if __name__ == "__main__":
    with torch.inference_mode():
        sys.exit(run_benchmark("topk", main))
