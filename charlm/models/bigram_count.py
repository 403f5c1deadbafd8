"""The counting bigram: a table of probabilities."""

from typing import ClassVar

import torch
from torch import Tensor

from charlm.models.base import Model, check_probabilities


class BigramCount(Model):
    """Probabilities of the next symbol after each symbol."""

    name: ClassVar[str] = "bigram_count"
    stage: ClassVar[str] = "train_bigram_count"
    P: Tensor  # (symbols, symbols) float64, row: context, column: next; rows sum to 1

    def __init__(self, symbols: int) -> None:
        super().__init__(symbols)
        self.register_buffer("P", torch.empty((symbols, symbols), dtype=torch.float64))

    def forward(self, contexts: Tensor) -> Tensor:
        """Return the logs of the rows of P."""
        return self.P[contexts[:, -1]].log()

    def check_values(self) -> None:
        """Check that every row of P is a distribution."""
        check_probabilities("P", self.P)
