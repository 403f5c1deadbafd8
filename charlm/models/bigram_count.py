"""The counting bigram: a table of probabilities."""

from typing import ClassVar

import numpy as np

from charlm.models.base import Model, Shapes, check_probabilities


class BigramCount(Model):
    """Probabilities of the next symbol after each symbol.

    Its array is P (symbols, symbols) float64, row: context, column: next; rows sum to 1.
    """

    name: ClassVar[str] = "bigram_count"
    stage: ClassVar[str] = "train_bigram_count"

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logs of the rows of P."""
        with np.errstate(divide="ignore"):  # log 0 is minus infinity
            logs: np.ndarray = np.log(self.arrays["P"][contexts[:, -1]])
        return logs

    def expected_shapes(self) -> Shapes:
        """Return the shape of P."""
        return {"P": ("float64", (self.symbols, self.symbols))}

    def check_values(self) -> None:
        """Check that every row of P is a distribution."""
        check_probabilities("P", self.arrays["P"])
