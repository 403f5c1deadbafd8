"""What follows what: the distinct contexts of a set of examples, with counts."""

from typing import NamedTuple

import numpy as np

from charlm.runtime import afford


class Distinct(NamedTuple):
    """The distinct contexts of a set of examples."""

    contexts: np.ndarray  # (distinct, block size), each context once, in ascending order
    index: np.ndarray  # (examples,) int64: which of the distinct contexts an example has


def distinct(contexts: np.ndarray) -> Distinct:
    """Find the distinct contexts: the lecture's 182,625 training examples have 5,438 of length 3.

    Args:
        contexts: (examples, block size), symbol numbers of any unsigned type.
    """
    if not contexts.shape[1]:  # the empty context is one, if there are examples
        return Distinct(contexts[:1], np.zeros(len(contexts), dtype=np.int64))
    # a row as one string of bytes, most significant first: 7 times faster than by columns
    rows = np.ascontiguousarray(contexts, dtype=contexts.dtype.newbyteorder(">"))
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    return Distinct(contexts[first], index)


class NextCounts(NamedTuple):
    """The distinct contexts of a set of examples, and how often each symbol follows each."""

    distinct: np.ndarray  # (distinct, block size), each context once, in ascending order
    counts: np.ndarray  # (distinct, symbols) int64
    index: np.ndarray  # (examples,) int64: which of the distinct contexts an example has


def next_counts(contexts: np.ndarray, targets: np.ndarray, symbols: int) -> NextCounts:
    """Count how often each symbol follows each distinct context.

    A loss over all examples is the same value as one over the distinct contexts, weighted by
    these counts.

    Args:
        contexts: (examples, block size), symbol numbers of any unsigned type.
        targets: (examples,), the symbol that follows each.
        symbols: size of the vocabulary.
    """
    found, index = distinct(contexts)
    # the counts and, at a stage's peak, five more tables of their size
    afford(
        f"counts of {symbols:,} symbols after {len(found):,} contexts",
        6 * 8 * len(found) * symbols,
        "take fewer names, or names of fewer different characters",
    )
    counts = np.bincount(index * symbols + targets, minlength=len(found) * symbols)
    return NextCounts(found, counts.reshape(len(found), symbols), index)


def pair_counts(contexts: np.ndarray, targets: np.ndarray, symbols: int) -> np.ndarray:
    """Count how often each symbol follows each other: `next_counts` as a square table.

    >>> pair_counts(np.uint8([[0], [1], [1]]), np.uint8([1, 1, 0]), symbols=2)  # of "aa"
    array([[0, 1],
           [1, 1]])

    Args:
        contexts: (examples, 1), symbol numbers.
        targets: (examples,), the symbol that follows each.
        symbols: size of the vocabulary.

    Returns:
        (symbols, symbols) int64, row: context, column: next.
    """
    afford(
        f"a table of {symbols:,} times {symbols:,} symbols",
        6 * 8 * symbols**2,
        "take names of fewer different characters",
    )
    table = np.zeros((symbols, symbols), dtype=np.int64)
    found = next_counts(contexts, targets, symbols)
    table[found.distinct[:, 0]] = found.counts
    return table
