"""Adam for tables of which a step touches few rows: the others, and their moments, stay as they are.

U rows touched in a step
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class RowAdam:
    """Lazy Adam: a row's moments fade by the steps that touch it, the correction of their start counts all steps.

    A step costs what its rows cost, where Adam rewrites the table: with 200,000 items that was most of a step.

    Source: torch.optim.SparseAdam's rule, without sparse tensors.
    """

    def __init__(self, tables: Sequence[nn.Parameter], betas: tuple[float, float], epsilon: float = 1e-8) -> None:
        """Start all moments at 0."""
        self.tables, self.betas, self.epsilon = list(tables), betas, epsilon
        self.steps = torch.zeros(())  # read in every step: on the CPU
        self.moments = [(torch.zeros_like(table), torch.zeros_like(table)) for table in tables]

    @torch.no_grad()
    def step(self, rows_U: Tensor, gradients: Sequence[Tensor], rate: float) -> None:
        """Move the rows.

        Args:
            rows_U: int64, each once; the same for all tables.
            gradients: of these rows, one float [U, ...] for each table.
            rate: learning rate.
        """
        self.steps += 1
        first_beta, second_beta = self.betas
        steps = self.steps.item()
        size = rate * (1 - second_beta**steps) ** 0.5 / (1 - first_beta**steps)
        for table, (first, second), gradient in zip(self.tables, self.moments, gradients, strict=True):
            means = first[rows_U].lerp_(gradient, 1 - first_beta)
            squares = second[rows_U].mul_(second_beta).addcmul_(gradient, gradient, value=1 - second_beta)
            first.index_copy_(0, rows_U, means)
            second.index_copy_(0, rows_U, squares)
            table.index_add_(0, rows_U, means / squares.sqrt_().add_(self.epsilon), alpha=-size)

    def state(self) -> dict[str, Tensor]:
        """Return the moments by name; they are the living ones, not copies."""
        named = {"steps": self.steps}
        for number, (first, second) in enumerate(self.moments):
            named |= {f"{number}.first": first, f"{number}.second": second}
        return named
