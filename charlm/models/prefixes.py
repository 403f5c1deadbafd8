"""The prefixes of names, for networks that read a name from its beginning."""

from itertools import chain
from typing import NamedTuple, Self

import numpy as np

from charlm.core.storage import damaged, iter_lines, split_path
from charlm.data.examples import SparseTable, count_next
from charlm.data.vocabulary import Vocabulary


class Level(NamedTuple):
    """Prefixes of one length, each once."""

    symbols: np.ndarray  # (prefixes,) int64: the last symbol of each; the start if it is empty
    parents: np.ndarray  # (prefixes,) int64: row in the level before of each without that symbol
    names: np.ndarray  # (prefixes,) int64: the first of the chosen names that begins with each


class Prefixes(NamedTuple):
    """Prefixes of chosen names: those of length 0, then of length 1 and so on."""

    levels: list[Level]
    numbers: np.ndarray  # (prefixes,) int64: of each, in the tree
    counts: np.ndarray  # (prefixes,) int64: how many of the chosen names begin with it


class PrefixTree(NamedTuple):
    """The unique prefixes of names, numbered by their length.

    The 25,626 training names of names.txt have 182,625 prefixes, of which 50,705 are unique.
    """

    symbols: np.ndarray  # (prefixes,) int64: the last symbol of each; the start if it is empty
    parents: np.ndarray  # (prefixes,) int64: number of each without its last symbol; -1: none
    paths: np.ndarray  # (names, longest + 1) int64: the prefixes of each name, then -1

    @classmethod
    def of(cls, names: np.ndarray, lengths: np.ndarray, start: int) -> Self:
        """Find the unique prefixes of names.

        >>> tree = PrefixTree.of(np.array([[1, 2], [1, 0]]), np.array([2, 1]), start=0)
        >>> tree.symbols.tolist(), tree.parents.tolist(), tree.paths.tolist()
        ([0, 1, 2], [-1, 0, 1], [[0, 1, 2], [0, 1, -1]])

        Args:
            names: (names, longest), symbol numbers; what follows a name is ignored.
            lengths: (names,), the number of symbols of each.
            start: the symbol before a name.
        """
        paths = np.full((len(names), names.shape[1] + 1), -1)
        paths[:, 0] = 0
        symbols, parents = [np.array([start])], [np.array([-1])]
        count = 1
        for position, symbol in enumerate(names.T.astype(np.int64)):
            rows = np.flatnonzero(lengths > position)
            pairs = paths[rows, position] * (int(names.max(initial=0)) + 1) + symbol[rows]
            _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
            symbols.append(symbol[rows[first]])
            parents.append(paths[rows[first], position])
            paths[rows, position + 1] = count + inverse
            count += len(first)
        return cls(np.concatenate(symbols), np.concatenate(parents), paths)

    def of_names(self, rows: np.ndarray) -> Prefixes:
        """Return the prefixes of chosen names.

        Args:
            rows: (rows,) int64, the numbers of the names.
        """
        levels, numbers, counts = [], [np.array([-1])], []
        for column in self.paths[rows].T:
            found, names, count = np.unique(column, return_index=True, return_counts=True)
            is_prefix = found >= 0
            number = found[is_prefix]
            parents = np.searchsorted(numbers[-1], self.parents[number])
            levels.append(Level(self.symbols[number], parents, names[is_prefix]))
            numbers.append(number)
            counts.append(count[is_prefix])
        return Prefixes(levels, np.concatenate(numbers[1:]), np.concatenate(counts))


class PrefixExamples(NamedTuple):
    """The prefixes of the names of a split, and which symbols follow each."""

    tree: PrefixTree
    shares: SparseTable  # (prefixes, symbols) float32: each row sums to 1

    @classmethod
    def read(cls, split: str, vocabulary: Vocabulary, unique: bool = False) -> Self:
        """Read the names of a split.

        Args:
            split: its name.
            vocabulary: of the names.
            unique: whether to take each name once.

        Raises:
            InputError: the file of names is missing or damaged.
        """
        path = split_path(split)
        names = [*chain.from_iterable(iter_lines(path))]
        names = [*dict.fromkeys(names)] if unique else names
        try:
            padded, lengths = pad_names(names, vocabulary)
        except ValueError as error:
            raise damaged(path, str(error), "split") from None
        tree = PrefixTree.of(padded, lengths, vocabulary.start)
        paths = tree.paths[:, : padded.shape[1]]
        is_prefix = paths >= 0
        counts = count_next(paths[is_prefix], padded[is_prefix], len(vocabulary))
        totals = np.add.reduceat(counts.values, counts.offsets[:-1])
        shares = (counts.values / np.repeat(totals, np.diff(counts.offsets))).astype(np.float32)
        return cls(tree, counts._replace(values=shares))

    @property
    def names(self) -> int:
        """The number of names."""
        return len(self.tree.paths)


def pad_names(names: list[str], vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Return the symbols of names and, behind each up to the longest, its end.

    Returns:
        (names, longest + 1), symbol numbers; and (names,) int64, the lengths without the end.

    Raises:
        ValueError: a character is not in the vocabulary.
    """
    lengths = np.fromiter(map(len, names), dtype=np.int64, count=len(names))
    padded = np.full((len(names), lengths.max(initial=0) + 1), vocabulary.end, vocabulary.dtype)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = vocabulary.encode("".join(names))
    return padded, lengths


def names_of_contexts(contexts: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what follows the last start of each context: the beginning of a name.

    >>> names, lengths = names_of_contexts(np.array([[0, 1, 2], [0, 0, 0]]), start=0)
    >>> names[:, :2].tolist(), lengths.tolist()
    ([[1, 2], [0, 0]], [2, 0])

    Args:
        contexts: (rows, width), symbol numbers.
        start: the symbol before a name; each context has one.

    Returns:
        (rows, width), symbol numbers, of which the first `lengths` belong to the name; and
        (rows,) int64, the lengths.

    Raises:
        ValueError: a context has no start.
    """
    width = contexts.shape[1]
    is_start = contexts[:, ::-1] == start
    if not is_start.any(axis=1).all():
        raise ValueError("a context does not reach back to the start of its name")
    lengths = is_start.argmax(axis=1)
    columns = np.minimum(np.arange(width) + (width - lengths)[:, None], width - 1)
    return np.take_along_axis(contexts, columns, axis=1), lengths
