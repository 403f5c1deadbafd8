"""The neural bigram: one weight matrix. `stages.train_bigram_neural` trains it."""

from typing import ClassVar

import numpy as np

from charlm.models.base import Model, Shapes


class BigramNeural(Model):
    """Logits of the next symbol after each symbol.

    Its array is W (symbols, symbols) float32, row: logits of what follows one symbol.
    """

    name: ClassVar[str] = "bigram_neural"
    stage: ClassVar[str] = "train_bigram_neural"

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return rows of W: a one-hot vector times W gives the same."""
        rows: np.ndarray = self.arrays["W"][contexts[:, -1]]
        return rows

    def expected_shapes(self) -> Shapes:
        """Return the shape of W."""
        return {"W": ("float32", (self.symbols, self.symbols))}
