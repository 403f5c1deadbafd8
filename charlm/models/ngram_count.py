"""The counting n-gram model: its probabilities from the counts of what occurs.

They are smoothed by modified Kneser-Ney (Chen & Goodman 1998), or by adding k to every count.
"""

from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np

from charlm.data.examples import SparseTable
from charlm.data.tensors import Arrays
from charlm.models.base import Model, Shapes

MAX_COUNT = 3  # counts from here on have the same discount


class Level(NamedTuple):
    """What follows the contexts of one length, ready to compute probabilities."""

    keys: np.ndarray  # (contexts,) int64
    discounted: SparseTable  # (contexts, symbols) float64: shares of the counts after discounts
    backoff: np.ndarray  # (contexts,) float64: the share of what was taken from the counts


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
    and `size` () int64: the number of symbols. A model with `k` () float64 adds it to every count:
    its D is 0, and contexts that neither have the full length nor begin a name have no n-grams.
    """

    name: ClassVar[str] = "ngram_count"
    stage: ClassVar[str] = "train_ngram_count"

    def __init__(self, arrays: Arrays, symbols: int, *components: Model) -> None:
        super().__init__(arrays, symbols, *components)
        self.block_size = max(1, len(arrays["D"]) - 1)

    @property
    def k(self) -> float | None:
        """What is added to every count; None: Kneser-Ney smoothing."""
        return self.arrays["k"].item() if "k" in self.arrays else None

    @property
    def lengths(self) -> range:
        """The lengths of the contexts that have n-grams, from the empty one on."""
        return range(len(self.arrays["D"]))

    def stored(self, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the keys, numbers of n-grams, next symbols and counts of contexts of a length."""
        keys, ngrams, symbols, counts = (
            self.arrays[f"{key}{length}"] for key in ("keys", "ngrams", "next", "counts")
        )
        return keys, ngrams, symbols, counts

    @cached_property
    def levels(self) -> list[Level]:
        """What follows the contexts of each length, from 0."""
        levels = []
        for length in self.lengths:
            keys, ngrams, symbols, counts = self.stored(length)
            D = self.arrays["D"][length]
            offsets = np.append(0, ngrams.cumsum(dtype=np.int64))
            if self.k is None:
                discount_mass = np.zeros(len(keys))
                for count in range(1, MAX_COUNT + 1):
                    has_count = counts >= count if count == MAX_COUNT else counts == count
                    sums = np.add.reduceat(has_count, offsets[:-1], dtype=np.int32)
                    discount_mass += D[count] * sums
                total = np.add.reduceat(counts, offsets[:-1], dtype=np.float64)
            else:
                discount_mass = np.full(len(keys), self.k * self.symbols)
                total = np.diff(np.append(0.0, counts.cumsum())[offsets]) + discount_mass
            shares = (counts - D[np.minimum(counts, MAX_COUNT)]) / np.repeat(total, ngrams)
            table = SparseTable(offsets, symbols, shares, self.symbols)
            levels.append(Level(keys, table, discount_mass / total))
        return levels

    def probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """Return the probabilities after the longest known end of each context.

        Args:
            contexts: (rows, at least block size), symbol numbers.

        Returns:
            (rows, symbols) float64.
        """
        probabilities: np.ndarray = np.empty((len(contexts), self.symbols))
        known = np.arange(len(contexts))
        row, shorter = np.zeros((2, len(contexts)), dtype=np.int64)
        P = uniform = np.full((1, self.symbols), 1 / self.symbols)
        for length, level in enumerate(self.levels):
            # contexts that end alike share their shorter contexts, in P
            first, inverse = unique_rows(row)
            P = P[shorter[first]] if self.k is None else uniform.repeat(len(first), axis=0)
            interpolate_(P, level, row[first])
            longer, is_known = self.lengthen(row, contexts[known], length + 1)
            probabilities[known[~is_known]] = P[inverse[~is_known]]
            known, row, shorter = known[is_known], longer[is_known], inverse[is_known]
        return probabilities

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logs of the probabilities."""
        with np.errstate(divide="ignore"):  # without discounts, some probabilities are 0
            logs: np.ndarray = np.log(self.probabilities(contexts))
        return logs

    def log_probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logits, which are logs of probabilities already."""
        return self.logits(contexts)

    def score(
        self, contexts: np.ndarray, inverse: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score symbols that follow contexts, without the logs of all probabilities."""
        P = self.probabilities(contexts)
        with np.errstate(divide="ignore"):
            return -np.log(P[inverse, targets]), P.argmax(axis=1)[inverse] == targets

    def lengthen(
        self, row: np.ndarray, contexts: np.ndarray, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the contexts that are longer by one symbol.

        Args:
            row: (contexts,) int64, those of `length` - 1 symbols.
            contexts: (contexts, at least block size), symbol numbers.
            length: of the longer ones.

        Returns:
            (contexts,) int64, their rows, and (contexts,) bool, whether they occur in train.
        """
        if length not in self.lengths:
            return row, np.zeros(len(row), dtype=bool)
        keys = self.levels[length].keys
        key = row * self.symbols + contexts[:, -length]
        longer = np.searchsorted(keys, key).clip(max=len(keys) - 1)
        return longer, keys[longer] == key

    def expected_shapes(self) -> Shapes:
        """Return the shapes for as many contexts and n-grams of each length as the arrays have."""
        contexts, ngrams = (
            [len(self.arrays[f"{key}{length}"]) for length in self.lengths]
            for key in ("keys", "next")
        )
        if not all(contexts):
            raise ValueError(f"no contexts of {contexts.index(0)} symbols")
        shapes: Shapes = {"size": ("int64", ()), "D": ("float64", (len(contexts), 4))}
        if self.k is not None:
            shapes["k"] = ("float64", ())
        for length, (rows, pairs) in enumerate(zip(contexts, ngrams, strict=True)):
            shapes[f"keys{length}"] = ("int64", (rows,))
            shapes[f"ngrams{length}"] = ("int32", (rows,))
            shapes[f"next{length}"] = ("int32", (pairs,))
            shapes[f"counts{length}"] = ("int32", (pairs,))
        return shapes

    def check_values(self) -> None:
        """Check keys, symbols, counts and discounts, so that every row is a distribution."""
        if (size := self.arrays["size"].item()) != self.symbols:
            raise ValueError(
                f"not {self.name} for {self.symbols} symbols: it was trained with {size}"
            )
        D = self.arrays["D"]
        if (D < 0).any() or (np.arange(4) < D).any():
            raise ValueError("D has discounts below 0 or above their counts")
        if self.k is not None and self.k <= 0:
            raise ValueError(f"k is {self.k:g}, not above 0")
        fewest = 1 if self.k is None else 0
        shorter = 1
        for length in self.lengths:
            keys, ngrams, symbols, counts = self.stored(length)
            is_ascending = (np.diff(keys) > 0).all()
            if not is_ascending or keys.min() < 0 or keys.max() // self.symbols >= shorter:
                raise ValueError(f"keys{length} are not ascending keys of {shorter} contexts")
            if (ngrams < fewest).any() or ngrams.sum(dtype=np.int64) != len(symbols):
                raise ValueError(
                    f"ngrams{length} do not add up to the {len(symbols)} of next{length}"
                )
            if (symbols < 0).any() or (symbols >= self.symbols).any() or (counts < 1).any():
                raise ValueError(f"next{length} or counts{length} are out of range")
            is_first = np.zeros(len(symbols), dtype=bool)  # of its context
            ends = ngrams.cumsum(dtype=np.int64)
            is_first[ends[ends < len(symbols)]] = True
            if not (is_first[1:] | (symbols[1:] > symbols[:-1])).all():
                raise ValueError(f"next{length} are not ascending after each context")
            shorter = len(keys)


def unique_rows(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the unique numbers; faster than np.unique if they ascend.

    >>> unique_rows(np.array([4, 4, 7]))
    (array([0, 2]), array([0, 0, 1]))

    Args:
        row: (rows,) int64, from 0.

    Returns:
        (unique,) int64, where each occurs first; and (rows,) int64, which of them each row is.
    """
    steps = np.diff(row, prepend=-1)
    if steps.min(initial=0) < 0:
        return np.unique(row, return_index=True, return_inverse=True)[1:]
    is_new = steps > 0
    return np.flatnonzero(is_new), is_new.cumsum() - 1


def interpolate_(P: np.ndarray, level: Level, rows: np.ndarray) -> None:
    """Turn the probabilities after shorter contexts into those after contexts, in place.

    What was taken from the counts is redistributed by the probabilities after the context without
    its first symbol (Chen & Goodman 1998); every row still sums to 1.

    Args:
        P: (rows, symbols) float64, the probabilities of each next symbol.
        level: what follows contexts of one length.
        rows: (rows,) int64, the contexts.
    """
    P *= level.backoff[rows][:, None]
    row, ngram = level.discounted.entries(rows)
    P.ravel()[row * P.shape[1] + level.discounted.next[ngram]] += level.discounted.values[ngram]
