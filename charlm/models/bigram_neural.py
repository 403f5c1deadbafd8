"""The neural bigram: one weight matrix."""

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from charlm.models.base import Model


class BigramNeural(Model):
    """Logits of the next symbol after each symbol."""

    name: ClassVar[str] = "bigram_neural"
    stage: ClassVar[str] = "train_bigram_neural"

    def __init__(self, symbols: int) -> None:
        super().__init__(symbols)
        # (symbols, symbols) float32, row: logits of what follows one symbol
        self.W = nn.Parameter(torch.empty(symbols, symbols))

    @torch.no_grad()
    def initialise(self, generator: Generator) -> None:
        """Draw W from N(0, 1)."""
        self.W.copy_(torch.randn(self.W.shape, generator=generator))

    def forward(self, contexts: Tensor) -> Tensor:
        """Return rows of W: a one-hot vector times W gives the same."""
        return self.W[contexts[:, -1]]
