"""The counting n-gram model: modified Kneser-Ney, computed from the counts of what occurs."""

from functools import cached_property
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from charlm.data.examples import SparseTable
from charlm.models.base import Model

MAX_COUNT = 3  # counts from here on have the same discount


class Level(NamedTuple):
    """What follows the contexts of one length, ready to compute probabilities."""

    keys: Tensor  # (contexts,) int64
    discounted: SparseTable  # (contexts, symbols) float64: the counts, less their discounts
    discount_mass: Tensor  # (contexts,) float64: the sum of the discounts of each
    total: Tensor  # (contexts,) float64: the sum of the counts of each


class NgramCount(Model):
    """Probabilities of the next symbol after the longest known end of a context.

    Only what was counted is stored, at most 20 bytes per n-gram. For each length n from 0 of the
    contexts that occur in train, in ascending order of their keys:

    - `keysn` (contexts,) int64: the row of the context without its first symbol, times the number
      of symbols, plus that first symbol; 0 for the empty context
    - `ngramsn` (contexts,) int32: how many different symbols follow each
    - `nextn` (n-grams,) int32: these symbols, in ascending order after each context
    - `countsn` (n-grams,) int32: their counts

    and `D` (lengths, 4) float64: what is taken away from a count of 0, of 1, of 2 and of 3 or more;
    and `size` () int64: the number of symbols.
    """

    name: ClassVar[str] = "ngram_count"
    stage: ClassVar[str] = "train_ngram_count"

    def __init__(self, symbols: int, contexts: list[int], ngrams: list[int]) -> None:
        """Make room for the tensors.

        Args:
            symbols: size of the vocabulary.
            contexts: how many contexts of each length occur in train, from the empty one on.
            ngrams: how many different pairs of such a context and the next symbol.
        """
        super().__init__(symbols)
        self.block_size = max(1, len(contexts) - 1)
        self.lengths = range(len(contexts))
        self.register_buffer("size", torch.empty((), dtype=torch.int64))
        self.register_buffer("D", torch.empty((len(contexts), 4), dtype=torch.float64))
        for length, (rows, pairs) in enumerate(zip(contexts, ngrams, strict=True)):
            self.register_buffer(f"keys{length}", torch.empty(rows, dtype=torch.int64))
            self.register_buffer(f"ngrams{length}", torch.empty(rows, dtype=torch.int32))
            self.register_buffer(f"next{length}", torch.empty(pairs, dtype=torch.int32))
            self.register_buffer(f"counts{length}", torch.empty(pairs, dtype=torch.int32))

    def stored(self, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the keys, numbers of n-grams, next symbols and counts of contexts of a length."""
        keys, ngrams, symbols, counts = (
            self.get_buffer(f"{key}{length}") for key in ("keys", "ngrams", "next", "counts")
        )
        return keys, ngrams.long(), symbols.long(), counts.long()

    @cached_property
    def levels(self) -> list[Level]:
        """What follows the contexts of each length, from 0."""
        levels = []
        for length in self.lengths:
            keys, ngrams, symbols, counts = self.stored(length)
            rows = torch.repeat_interleave(ngrams)
            capped = counts.clamp(max=MAX_COUNT)
            D = self.get_buffer("D")[length]
            discount_mass = torch.zeros(len(keys), dtype=torch.float64)
            for count in range(1, MAX_COUNT + 1):
                discount_mass += D[count] * rows[capped == count].bincount(minlength=len(keys))
            total = torch.zeros(len(keys), dtype=torch.float64).index_add_(0, rows, counts.double())
            offsets = np.append(0, ngrams.cumsum(0))
            discounted = (counts - D[capped]).numpy()
            table = SparseTable(offsets, symbols.numpy(), discounted, self.symbols)
            levels.append(Level(keys, table, discount_mass, total))
        return levels

    def forward(self, contexts: Tensor) -> Tensor:
        """Return the logs of the probabilities after the longest known end of each context."""
        probabilities = torch.empty((len(contexts), self.symbols), dtype=torch.float64)
        known = torch.arange(len(contexts))
        row = torch.zeros(len(contexts), dtype=torch.int64)
        P, shorter = torch.full((1, self.symbols), 1 / self.symbols, dtype=torch.float64), row[:1]
        for length, level in enumerate(self.levels):
            # contexts that end alike share their shorter contexts
            rows, inverse = row.unique(return_inverse=True)
            P = P[torch.searchsorted(shorter, level.keys[rows] // self.symbols)]
            interpolate_(P, level, rows)
            shorter = rows
            longer, is_known = self.lengthen(row, contexts[known], length + 1)
            probabilities[known[~is_known]] = P[inverse[~is_known]]
            known, row = known[is_known], longer[is_known]
        return probabilities.log_()

    def lengthen(self, row: Tensor, contexts: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Find the contexts that are longer by one symbol.

        Args:
            row: (contexts,) int64, those of `length` - 1 symbols.
            contexts: (contexts, at least block size) int64.
            length: of the longer ones.

        Returns:
            (contexts,) int64, their rows, and (contexts,) bool, whether they occur in train.
        """
        if length not in self.lengths:
            return row, torch.zeros(len(row), dtype=torch.bool)
        keys = self.levels[length].keys
        key = row * self.symbols + contexts[:, -length]
        longer = torch.searchsorted(keys, key).clamp(max=len(keys) - 1)
        return longer, keys[longer] == key

    def check_values(self) -> None:
        """Check keys, symbols, counts and discounts, so that every row is a distribution."""
        if (size := self.get_buffer("size").item()) != self.symbols:
            raise ValueError(
                f"not {self.name} for {self.symbols} symbols: it was trained with {size}"
            )
        D = self.get_buffer("D")
        if (D < 0).any() or (torch.arange(4) < D).any():
            raise ValueError("D has discounts below 0 or above their counts")
        shorter = 1
        for length in self.lengths:
            keys, ngrams, symbols, counts = self.stored(length)
            if (keys.diff() <= 0).any() or keys.min() < 0 or keys.max() // self.symbols >= shorter:
                raise ValueError(f"keys{length} are not ascending keys of {shorter} contexts")
            if (ngrams < 1).any() or ngrams.sum() != len(symbols):
                raise ValueError(
                    f"ngrams{length} do not add up to the {len(symbols)} of next{length}"
                )
            if symbols.min() < 0 or symbols.max() >= self.symbols or (counts < 1).any():
                raise ValueError(f"next{length} or counts{length} are out of range")
            pairs = torch.repeat_interleave(ngrams) * self.symbols + symbols
            if (pairs.diff() <= 0).any():
                raise ValueError(f"next{length} are not ascending after each context")
            shorter = len(keys)

    @classmethod
    def shaped_like(cls, tensors: dict[str, Tensor], symbols: int, *components: Model) -> Self:
        """Return a model with as many contexts and n-grams of each length as the tensors have."""
        lengths = range(tensors["D"].shape[0])
        contexts, ngrams = (
            [tensors[f"{key}{length}"].shape[0] for length in lengths] for key in ("keys", "next")
        )
        if not all(contexts):
            raise ValueError(f"no contexts of {contexts.index(0)} symbols")
        return cls(symbols, contexts, ngrams)


def interpolate_(P: Tensor, level: Level, rows: Tensor) -> None:
    """Turn the probabilities after shorter contexts into those after contexts, in place.

    What was taken from the counts is redistributed by the probabilities after the context without
    its first symbol (Chen & Goodman 1998); every row still sums to 1.

    Args:
        P: (rows, symbols) float64, the probabilities of each next symbol.
        level: what follows contexts of one length.
        rows: (rows,) int64, the contexts.
    """
    P *= level.discount_mass[rows].unsqueeze(1)
    level.discounted.add_to(P.numpy(), rows.numpy())
    P /= level.total[rows].unsqueeze(1)
