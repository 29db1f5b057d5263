"""One step of the optimiser on all ranks together.

T terms of the loss: item, then each head
"""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from intentrec.errors import TrainingError
from intentrec.model.batches import Batch
from intentrec.model.distributed import Ranks
from intentrec.model.job import Settings
from intentrec.model.network import IntentNetwork
from intentrec.model.shape import Catalogue
from intentrec.model.targets import Targets, targets_of, term_losses, term_weights, terms_of


def mixed_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the network computes: bfloat16 where it pays on a GPU, float32 on the CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


class Optimiser:
    """Adam on the sum of all ranks' gradients.

    All gradients lie in one buffer, with the losses at its end: one sum over ranks per step, and every rank sees the
    same numbers, so that all skip a non-finite step together.
    """

    def __init__(self, network: IntentNetwork, catalogue: Catalogue, ranks: Ranks, settings: Settings) -> None:
        """Prepare the buffer and Adam's state, at 0, on every rank alike."""
        self.network, self.catalogue, self.ranks, self.settings = network, catalogue, ranks, settings
        self.parameters = list(network.parameters())
        self.device = self.parameters[0].device
        terms = len(terms_of(network.shape))
        self._coefficients_T = torch.tensor([1.0] + [settings.intent_weight] * (terms - 1), device=self.device)
        self._sums = torch.zeros(sum(p.numel() for p in self.parameters) + terms, device=self.device)
        start = 0
        for parameter in self.parameters:
            parameter.grad = self._sums[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        self._gradients, self._losses_T = self._sums[:start], self._sums[start:]
        self.adam = torch.optim.Adam(self.parameters, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
        for parameter in self.parameters:
            self.adam.state[parameter] = {
                "step": torch.zeros((), device=self.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
        self.steps = 0
        self._skipped_in_a_row = 0

    def step(self, batch: Batch) -> tuple[Tensor, Tensor, Targets] | None:
        """Learn from one batch of every rank.

        Returns:
            float64 [T] losses and [T] weights summed over all ranks, and this rank's targets; None for a skipped step.

        Raises:
            TrainingError: more than ``max_skipped_steps`` steps in a row were not finite.
        """
        targets = targets_of(self.network.shape, self.catalogue, batch)
        weights_T = self.ranks.sum(term_weights(self.network.shape, targets))
        self._sums.zero_()
        with mixed_precision(self.device):
            losses_T, _ = term_losses(self.network, batch, targets)
        # A term without weight on any rank has loss 0; dividing it by 1 keeps it 0.
        scales_T = self._coefficients_T / torch.where(weights_T > 0, weights_T, 1.0).float()
        (losses_T * scales_T).sum().backward()  # type: ignore[no-untyped-call]
        self._losses_T.copy_(losses_T.detach())
        self.ranks.sum(self._sums)
        norm = self._gradients.norm()
        if not torch.isfinite(norm + self._losses_T.sum()):
            self._skip()
            return None
        self._skipped_in_a_row = 0
        self._gradients.mul_((self.settings.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        self.steps += 1
        rate = self.settings.learning_rate * min(1.0, self.steps / max(1, self.settings.warmup_steps))
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        return self._losses_T.double(), weights_T, targets

    def _skip(self) -> None:
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row > self.settings.max_skipped_steps:
            raise TrainingError(
                f"{self._skipped_in_a_row} steps in a row had a loss or gradient that is not finite; lower "
                "training.learning_rate, or look for extreme weights in examples"
            )

    def state(self) -> dict[str, Tensor]:
        """Return Adam's tensors by name; they are the living ones, not copies."""
        return {
            f"{number}.{name}": value
            for number, parameter in enumerate(self.parameters)
            for name, value in self.adam.state[parameter].items()
        }
