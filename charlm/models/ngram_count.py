"""The counting n-gram model: probabilities after contexts of every length up to its order - 1."""

from typing import ClassVar, Self

import torch
from torch import Tensor

from charlm.models.base import Model, check_probabilities


class NgramCount(Model):
    """Probabilities of the next symbol after the longest known end of a context.

    Its tensors are `P0` (1, symbols) float64, the probabilities after the empty context, and for
    each length n from 1: `Pn` (contexts, symbols) float64, those after the contexts of n symbols
    that occur in train, and `keysn` (contexts,) int64, ascending. A key is the row of the context
    without its first symbol, times the number of symbols, plus that first symbol.
    """

    name: ClassVar[str] = "ngram_count"
    stage: ClassVar[str] = "train_ngram_count"

    def __init__(self, symbols: int, contexts: list[int]) -> None:
        """Make room for the tensors.

        Args:
            symbols: size of the vocabulary.
            contexts: how many contexts of each length from 1 occur in train.
        """
        super().__init__(symbols)
        self.block_size = max(1, len(contexts))
        self.lengths = range(1, len(contexts) + 1)
        self.register_buffer("P0", torch.empty((1, symbols), dtype=torch.float64))
        for length, rows in zip(self.lengths, contexts, strict=True):
            self.register_buffer(f"P{length}", torch.empty((rows, symbols), dtype=torch.float64))
            self.register_buffer(f"keys{length}", torch.empty(rows, dtype=torch.int64))

    def forward(self, contexts: Tensor) -> Tensor:
        """Return the logs of the probabilities stored for the longest known end of each context."""
        P = self.get_buffer("P0").repeat(len(contexts), 1)
        known = torch.arange(len(contexts))
        row = torch.zeros(len(contexts), dtype=torch.int64)
        for length in self.lengths:
            keys = self.get_buffer(f"keys{length}")
            key = row * P.shape[1] + contexts[known, -length]
            row = torch.searchsorted(keys, key).clamp(max=len(keys) - 1)
            is_known = keys[row] == key
            known, row = known[is_known], row[is_known]
            P[known] = self.get_buffer(f"P{length}")[row]
        return P.log()

    def check_values(self) -> None:
        """Check that every row of each length is a distribution, and that keys are ascending."""
        check_probabilities("P0", self.get_buffer("P0"))
        for length in self.lengths:
            check_probabilities(f"P{length}", self.get_buffer(f"P{length}"))
            if (self.get_buffer(f"keys{length}").diff() <= 0).any():
                raise ValueError(f"keys{length} are not ascending")

    @classmethod
    def shaped_like(cls, tensors: dict[str, Tensor], symbols: int, *components: Model) -> Self:
        """Return a model with as many contexts of each length as the tensors have."""
        lengths = range(1, 1 + sum(key.startswith("keys") for key in tensors))
        rows = [tensors[f"keys{length}"].shape[0] for length in lengths]
        if not all(rows):
            raise ValueError(f"no contexts of {rows.index(0) + 1} symbols")
        return cls(symbols, rows)
