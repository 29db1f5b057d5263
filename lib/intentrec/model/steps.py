"""One step of the optimiser on all ranks together.

T terms of the loss: item, then each head   V items + 1   U items that a step needs on any rank
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from intentrec.errors import TrainingError
from intentrec.model.auxiliary import LossesTogether, TransitionLoss, Transitions, contrast_loss
from intentrec.model.batches import Batch
from intentrec.model.item_losses import BinaryLoss, ItemLoss, SampledLoss, full_loss
from intentrec.model.items import ItemVectors
from intentrec.model.job import Settings
from intentrec.model.negatives import Negatives, NegativeSampler
from intentrec.model.network import IntentNetwork
from intentrec.model.ranks import Ranks
from intentrec.model.row_adam import RowAdam
from intentrec.model.shape import Catalogue
from intentrec.model.targets import Targets, targets_of, term_losses, term_weights, terms_of

# Squares of gradients are remembered for 1,000 steps. With the 50 of SASRec (0.98) an item that is met more rarely has
# forgotten its own by then, and what pushes all other items away moves it at full rate: on Diginetica's 43,000 items
# the validation loss stood still at 6.8; with 1,000 steps it was 5.87 after two epochs.
_BETAS = (0.9, 0.999)


def mixed_precision(device: torch.device, precision: str = "auto") -> AbstractContextManager[object]:
    """Return the context in which the network computes: auto is bfloat16 on a GPU that multiplies it, else float32.

    GPUs older than Ampere only emulate it, slower than float32; torch counts them among those that have it.
    """
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    halves = precision == "bfloat16" or (precision == "auto" and native)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=halves)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a pass over the training rows tells before the first step.

    Attributes:
        counts_V: float64, how often each item is a target; for mixed negatives.
        transitions: what follows what; for ``transition_weight``.
    """

    counts_V: Tensor | None = None
    transitions: Transitions | None = None


def _auxiliary(settings: Settings, learnt: Learnt) -> tuple[tuple[float, ItemLoss], ...]:
    auxiliary: list[tuple[float, ItemLoss]] = []
    if settings.contrast_weight:
        auxiliary.append((settings.contrast_weight, contrast_loss))
    if settings.transition_weight:
        assert learnt.transitions is not None
        auxiliary.append((settings.transition_weight, TransitionLoss(learnt.transitions)))
    return tuple(auxiliary)


class Optimiser:
    """Adam on the sum of all ranks' gradients.

    All gradients lie in one buffer, with the losses at its end: one sum over ranks per step, and every rank sees the
    same numbers, so that all skip a non-finite step together. With a sampled loss the tables of items stay out of it:
    only the rows that the step needs on any rank have a gradient, are summed and moved.
    """

    def __init__(
        self,
        network: IntentNetwork,
        catalogue: Catalogue,
        ranks: Ranks,
        settings: Settings,
        learnt: Learnt | None = None,
    ) -> None:
        """Prepare the buffer and Adam's state, at 0, on every rank alike.

        Args:
            network: on its device.
            catalogue: on the same.
            ranks: all of them.
            settings: how to train.
            learnt: from the training rows, what ``settings`` ask for; None: nothing.
        """
        self.network, self.catalogue, self.ranks, self.settings = network, catalogue, ranks, settings
        sampled = settings.loss != "full"
        seed, num_items = settings.seed, network.shape.num_items
        learnt = learnt or Learnt()
        self._sampler = NegativeSampler(num_items, settings.negatives, seed, learnt.counts_V) if sampled else None
        self._auxiliary = _auxiliary(settings, learnt)
        self._rows = RowAdam(network.items.rows(), _BETAS) if sampled and settings.sparse_gradients else None
        by_row = {id(table) for table in self._rows.tables} if self._rows else set()
        self.parameters = [parameter for parameter in network.parameters() if id(parameter) not in by_row]
        self.device = self.parameters[0].device
        terms = len(terms_of(network.shape))
        self._coefficients_T = torch.tensor([1.0] + [settings.intent_weight] * (terms - 1), device=self.device)
        self._sums = torch.zeros(sum(p.numel() for p in self.parameters) + terms, device=self.device)
        start = 0
        for parameter in self.parameters:
            parameter.grad = self._sums[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        self._gradients, self._losses_T = self._sums[:start], self._sums[start:]
        self.adam = torch.optim.Adam(self.parameters, lr=settings.learning_rate, betas=_BETAS, fused=True)
        for parameter in self.parameters:
            self.adam.state[parameter] = {
                "step": torch.zeros((), device=self.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
        self.steps, self.rate_share = 0, 1.0
        self._skipped_in_a_row = 0

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Targets] | None:
        """Learn from one batch of every rank.

        Returns:
            float64 [T] losses and [T] weights summed over all ranks, and this rank's targets; None for a skipped step.

        Raises:
            TrainingError: more than ``max_skipped_steps`` steps in a row were not finite.
        """
        targets = targets_of(self.network.shape, self.catalogue, batch, self.settings.target_days)
        weights_T = self.ranks.sum(term_weights(self.network.shape, targets))
        negatives = self._sampler.draw(self.steps).to(self.device) if self._sampler else None
        self._sums.zero_()
        with mixed_precision(self.device, self.settings.precision):
            vectors = self._vectors(batch, targets, negatives)
            losses_T, _ = term_losses(self.network, batch, targets, vectors, self._item_loss(negatives))
        # A term without weight on any rank has loss 0; dividing it by 1 keeps it 0.
        scales_T = self._coefficients_T / torch.where(weights_T > 0, weights_T, 1.0).float()
        (losses_T * scales_T).sum().backward()  # type: ignore[no-untyped-call]
        self._losses_T.copy_(losses_T.detach())
        self.ranks.sum(self._sums)
        by_row = self._row_gradients(vectors)
        norm = torch.stack([gradient.norm() for gradient in (self._gradients, *by_row)]).norm()
        if not torch.isfinite(norm + self._losses_T.sum()):
            self._skip()
            return None
        self._skipped_in_a_row = 0
        for gradient in (self._gradients, *by_row):
            gradient.mul_((self.settings.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        self._move(vectors, by_row)
        return self._losses_T.double(), weights_T, targets

    def _move(self, vectors: ItemVectors, by_row: list[Tensor]) -> None:
        self.steps += 1
        rate = self.rate_share * self.settings.learning_rate * min(1.0, self.steps / max(1, self.settings.warmup_steps))
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        if self._rows:
            assert vectors.items_U is not None
            self._rows.step(vectors.items_U, by_row, rate)

    def _item_loss(self, negatives: Negatives | None) -> ItemLoss:
        loss = self._compared_loss(negatives)
        return LossesTogether(((1.0, loss), *self._auxiliary)) if self._auxiliary else loss

    def _compared_loss(self, negatives: Negatives | None) -> ItemLoss:
        if negatives is None:
            return full_loss
        if self.settings.loss == "sampled":
            return SampledLoss(negatives)
        return BinaryLoss(negatives, self.network.shape.num_items, self.settings.gbce_calibration)

    def _vectors(self, batch: Batch, targets: Targets, negatives: Negatives | None) -> ItemVectors:
        """Return the vectors of all items, or of those that this step needs on any rank."""
        if self._rows is None or negatives is None:
            return self.network.items.whole()
        needed = [batch.items_BL.flatten(), targets.items_BL.flatten(), negatives.items_S, batch.items_BL.new_zeros(1)]
        return self.network.items.chosen(torch.unique(self.ranks.concat(torch.unique(torch.cat(needed)))))

    def _row_gradients(self, vectors: ItemVectors) -> list[Tensor]:
        """Return the gradients of the chosen rows, summed over ranks; none where all items have one."""
        if self._rows is None:
            return []
        leaves = [vectors.own_UD] if vectors.bias_U is None else [vectors.own_UD, vectors.bias_U]
        gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
        return [self.ranks.sum(gradient) for gradient in gradients]

    def _skip(self) -> None:
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row > self.settings.max_skipped_steps:
            raise TrainingError(
                f"{self._skipped_in_a_row} steps in a row had a loss or gradient that is not finite; lower "
                "training.learning_rate, or look for extreme weights in examples"
            )

    def state(self) -> dict[str, Tensor]:
        """Return Adam's tensors by name; they are the living ones, not copies."""
        by_row = self._rows.state() if self._rows else {}
        return {f"rows.{name}": value for name, value in by_row.items()} | {
            f"{number}.{name}": value
            for number, parameter in enumerate(self.parameters)
            for name, value in self.adam.state[parameter].items()
        }
