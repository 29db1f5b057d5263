"""The cost of a training step: chunked against plain cross-entropy, moved rows against all rows, ranks against threads.

B rows   L events   D width   V items + 1   N events of a batch   Q queries of an event

All steps are whole ones of the sasrec preset (64 wide, 2 layers, 2 heads) on random histories of 50 events, one thread.
The floor is the multiplications of the step (6 per event and weight: forward, and both gradients) at the speed of a
plain matrix product in the same round; attention and all else is not in it, so 1.0 cannot be reached. Peak memory is
what the loss takes beside its arguments and their gradients.
"""

import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from form import Cost, Flags, Measured, compared, interleaved, run_benchmark
from torch import Tensor, nn
from torch.nn import functional as F

from intentrec.model.batches import Batch
from intentrec.model.item_losses import ItemLoss
from intentrec.model.items import ItemVectors
from intentrec.model.job import Settings
from intentrec.model.losses import cross_entropy
from intentrec.model.negatives import Negatives
from intentrec.model.network import IntentNetwork
from intentrec.model.ranks import OneRank
from intentrec.model.shape import Catalogue, preset_shape
from intentrec.model.steps import Optimiser

WIDTH, LENGTH = 64, 50
FEW_ITEMS, MANY_ITEMS = 20_000, 200_000
ROWS = 32  # of a batch: 1,600 events, somewhat less than training.events_per_batch
NEGATIVES = 512
SIDE = 1024  # of the square matrices whose product sets the pace
STEPS = 3  # a timed call
POSITIONS = (2048, 16384)


class PlainOptimiser(Optimiser):
    """The same step with torch's own cross-entropy over the whole matrix of logits."""

    def _item_loss(self, negatives: Negatives | None) -> ItemLoss:
        return plain_loss


class UnfusedOptimiser(Optimiser):
    """The same step with Adam as torch makes it by default."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        state = self.adam.state
        self.adam = torch.optim.Adam(self.parameters, lr=self.settings.learning_rate, betas=(0.9, 0.98))
        self.adam.state.update({parameter: {**values, "step": torch.zeros(())} for parameter, values in state.items()})


def plain_loss(queries_NQD: Tensor, vectors: ItemVectors, items_N: Tensor, weights_N: Tensor) -> Tensor:
    """Return the sum over events of ``-w ln p(item)``."""
    logits_NI = queries_NQD[:, 0] @ vectors.vectors_UD[1:].T
    return (F.cross_entropy(logits_NI, items_N - 1, reduction="none") * weights_N).sum()


def main(flags: Flags) -> Measured:
    """Measure the losses and what several ranks bring; --figure takes one of the two."""
    from ranked import EPOCH_ROWS, checkpoint_figures, ranked_figures  # it imports this file, in its ranks too

    torch.set_num_threads(1)
    rounds = 3 if flags.quick else 7
    figures: dict[str, float] = {}
    if flags.figure in (None, "loss"):
        figures |= {**_full(rounds), **_sampled(rounds), **_peaks()}
    if flags.figure in (None, "ranks"):
        figures |= ranked_figures(3 if flags.quick else 5, 3 if flags.quick else 12)
        figures |= checkpoint_figures(rounds, figures["horovod_2x1_rows_per_s"])
    config = {"width": WIDTH, "length": LENGTH, "threads": 1, "rounds": rounds, "steps_per_round": STEPS}
    sizes = {"rows": ROWS, "full_items": FEW_ITEMS, "sampled_items": MANY_ITEMS, "negatives": NEGATIVES}
    return Measured({**config, **sizes, "checkpointed_epoch_rows": EPOCH_ROWS}, figures)


def _full(rounds: int) -> dict[str, float]:
    settings = Settings(loss="full", warmup_steps=0)
    chunked, plain = (kind(*_parts(FEW_ITEMS), OneRank(), settings) for kind in (Optimiser, PlainOptimiser))
    batch, square = _batch(ROWS, FEW_ITEMS), torch.randn(SIDE, SIDE)
    buffer = torch.empty(SIDE, SIDE)
    costs = interleaved(
        {
            "chunked_ce": _steps(chunked, batch),
            "plain_ce": _steps(plain, batch),
            "sgemm": lambda: [torch.mm(square, square, out=buffer) for _ in range(20)],
        },
        rounds,
    )
    flops_per_s = [20 * 2 * SIDE**3 / cost.wall_s for cost in costs["sgemm"]]
    linear = sum(layer.weight.numel() for layer in chunked.network.modules() if isinstance(layer, nn.Linear))
    floor = STEPS * 6 * ROWS * LENGTH * (linear + FEW_ITEMS * WIDTH)
    figures = compared({name: costs[name] for name in ("chunked_ce", "plain_ce")}, "plain_ce")
    for name in ("chunked_ce", "plain_ce"):
        pairs = zip(costs[name], flops_per_s, strict=True)
        figures[f"{name}_x_floor"] = round(median(cost.wall_s * speed / floor for cost, speed in pairs), 4)
    figures["chunked_ce_vs_plain"] = _faster(costs["chunked_ce"], costs["plain_ce"])
    figures["chunked_ce_rows_per_s"] = round(STEPS * ROWS / figures["chunked_ce_s"], 1)
    figures["sgemm_gflops"] = round(median(flops_per_s) / 1e9, 1)
    return figures


def _sampled(rounds: int) -> dict[str, float]:
    settings = {"loss": "sampled", "negatives": NEGATIVES, "warmup_steps": 0}
    batch = _batch(ROWS, MANY_ITEMS)
    variants = {}
    for name, kind, sparse in (
        ("sparse", Optimiser, True),
        ("dense", UnfusedOptimiser, False),
        ("dense_fused", Optimiser, False),
    ):
        made = kind(*_parts(MANY_ITEMS), OneRank(), Settings(**settings, sparse_gradients=sparse))
        variants[name] = _steps(made, batch)
    costs = interleaved(variants, rounds)
    figures = compared(costs, "dense")
    figures["sparse_vs_dense"] = _faster(costs["sparse"], costs["dense"])
    figures["sparse_vs_dense_fused"] = _faster(costs["sparse"], costs["dense_fused"])
    figures["sparse_rows_per_s"] = round(STEPS * ROWS / figures["sparse_s"], 1)
    return figures


def _peaks() -> dict[str, float]:
    """Every size in a process of its own: what an earlier one has freed would be used again unseen."""
    figures = {}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for positions in POSITIONS:
            figures[f"chunked_ce_peak_mb_{positions}_events"] = pool.apply(peak_mb, (positions, False))
        figures[f"plain_ce_peak_mb_{POSITIONS[0]}_events"] = pool.apply(peak_mb, (POSITIONS[0], True))
    figures["chunked_ce_peak_growth"] = round(
        figures[f"chunked_ce_peak_mb_{POSITIONS[1]}_events"] / figures[f"chunked_ce_peak_mb_{POSITIONS[0]}_events"], 4
    )
    return figures


def peak_mb(positions: int, plain: bool) -> float:
    """Return the MB that a loss takes beside its arguments and their gradients; asks the system, so Linux only."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    queries_ND = torch.randn(positions, WIDTH, requires_grad=True)
    items_VD = torch.randn(FEW_ITEMS + 1, WIDTH, requires_grad=True)
    items_N, weights_N = torch.randint(1, FEW_ITEMS, (positions,)), torch.ones(positions)
    queries_ND.grad, items_VD.grad = torch.zeros_like(queries_ND), torch.zeros_like(items_VD)
    own_mb = 2 * queries_ND.numel() * 4 / 1e6  # the gradient of the queries as the loss keeps and scales it
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _status_mb("VmRSS")
    if plain:
        vectors = ItemVectors(None, items_VD, items_VD, items_VD, None)
        plain_loss(queries_ND[:, None], vectors, items_N, weights_N).backward()
    else:
        cross_entropy(queries_ND, items_VD, items_N, weights_N).backward()
    return round(_status_mb("VmHWM") - before - own_mb, 1)


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def _parts(num_items: int) -> tuple[IntentNetwork, Catalogue]:
    torch.manual_seed(1)
    catalogue = Catalogue.without_categories([1] * num_items)
    shape = preset_shape("sasrec", num_items, (), width=WIDTH, layers=2, attention_heads=2)
    return IntentNetwork(shape, catalogue), catalogue


def _batch(num_rows: int, num_items: int) -> Batch:
    torch.manual_seed(2)
    items_BL = torch.randint(1, num_items + 1, (num_rows, LENGTH))
    times_BL = 1_700_000_000 + torch.randint(1, 86400, (num_rows, LENGTH)).cumsum(dim=1)
    features_BCL = torch.zeros(num_rows, 0, LENGTH, dtype=torch.int64)
    return Batch(items_BL, times_BL, torch.ones(num_rows, LENGTH), features_BCL, torch.arange(num_rows))


def _steps(optimiser: Optimiser, batch: Batch) -> Callable[[], None]:
    def run() -> None:
        for _ in range(STEPS):
            optimiser.step(batch)

    return run


def _faster(ours: list[Cost], theirs: list[Cost]) -> float:
    """Return how many times faster ours is, the median over rounds."""
    return round(median(other.wall_s / own.wall_s for own, other in zip(ours, theirs, strict=True)), 4)


if __name__ == "__main__":
    sys.exit(run_benchmark("training", main, figures=("loss", "ranks")))
