"""Examples: a context of symbols, and the symbol that follows it; and how often it follows."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from charlm import vocabulary
from charlm.runtime import check_table_memory
from charlm.storage import DATA, damaged
from charlm.tensors import Arrays, read_tensors
from charlm.vocabulary import BOUNDARY

FOLDERS = ("bigram", "mlp", "ngram")  # of data/contexts: one per length of context


def build_examples(names: list[str], itos: list[str], block_size: int) -> Arrays:
    """Return all examples of the names, in order.

    Those of `emma` at block size 3 are `... → e`, `..e → m`, `.em → m`, `emm → a`, `mma → .`

    Returns:
        contexts: (examples, block size), and targets: (examples,), symbol numbers in the
        smallest unsigned type that can hold them. A name of n characters has n + 1 examples.
    """
    characters = sum(map(len, names)) + len(names)
    check_table_memory(
        f"contexts of {block_size} symbols for {characters:,} characters",
        rows=characters,
        columns=block_size + 1,
        itemsize_bytes=np.min_scalar_type(len(itos) - 1).itemsize,
        advice="lower contexts.block_size or ngram_count.order, or use fewer names",
    )
    padding = BOUNDARY * block_size
    # the last boundary gives even an empty list one window, which is then dropped
    text = vocabulary.encode(f"{padding}{padding.join(names)}{padding}{BOUNDARY}", itos)
    is_letter = text != 0
    # of the boundaries between two names only the first is a target: the one after a letter
    is_target = is_letter[block_size - 1 : -1] | is_letter[block_size:]
    windows = sliding_window_view(text, block_size + 1)[is_target]
    return {"contexts": windows[:, :-1], "targets": windows[:, -1]}


class UniqueContexts(NamedTuple):
    """The unique contexts of a set of examples."""

    contexts: np.ndarray  # (unique, block size), each context once, in ascending order
    inverse: np.ndarray  # (examples,) int64: the row of each example's context


def unique_contexts(contexts: np.ndarray) -> UniqueContexts:
    """Find the unique contexts: the lecture's 182,625 training examples have 5,438 of length 3.

    Args:
        contexts: (examples, block size), symbol numbers of any unsigned type.
    """
    if not contexts.shape[1]:  # if there are examples, they share the empty context
        return UniqueContexts(contexts[:1], np.zeros(len(contexts), dtype=np.int64))
    # a row as one string of bytes, most significant first: 7 times faster than by columns
    rows = np.ascontiguousarray(contexts, dtype=contexts.dtype.newbyteorder(">"))
    keys = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return UniqueContexts(contexts[first], inverse)


class NextCounts(NamedTuple):
    """The unique contexts of a set of examples, and how often each symbol follows each."""

    contexts: np.ndarray  # (unique, block size), each context once, in ascending order
    counts: np.ndarray  # (unique, symbols) int64
    inverse: np.ndarray  # (examples,) int64: the row of each example's context


def next_counts(contexts: np.ndarray, targets: np.ndarray, symbols: int) -> NextCounts:
    """Count how often each symbol follows each unique context.

    A loss over all examples equals the one over the unique contexts, weighted by these counts.

    Args:
        contexts: (examples, block size), symbol numbers of any unsigned type.
        targets: (examples,), the symbol that follows each.
        symbols: size of the vocabulary.
    """
    unique, inverse = unique_contexts(contexts)
    check_table_memory(
        f"counts of {symbols:,} symbols after {len(unique):,} contexts",
        rows=len(unique),
        columns=symbols,
        advice="use fewer names, or names of fewer different characters",
    )
    counts = np.bincount(inverse * symbols + targets, minlength=len(unique) * symbols)
    return NextCounts(unique, counts.reshape(len(unique), symbols), inverse)


def bigram_counts(examples: Arrays, symbols: int) -> np.ndarray:
    """Count how often each symbol follows each symbol: `next_counts` as a square table.

    >>> examples = {"contexts": np.uint8([[0], [1], [1]]), "targets": np.uint8([1, 1, 0])}
    >>> bigram_counts(examples, symbols=2)  # of "aa"
    array([[0, 1],
           [1, 1]])

    Args:
        examples: contexts (examples, 1) and targets (examples,), symbol numbers.
        symbols: size of the vocabulary.

    Returns:
        (symbols, symbols) int64, row: context, column: next.
    """
    check_table_memory(
        f"a table of {symbols:,} by {symbols:,} symbols",
        rows=symbols,
        columns=symbols,
        advice="use names of fewer different characters",
    )
    table = np.zeros((symbols, symbols), dtype=np.int64)
    found = next_counts(examples["contexts"], examples["targets"], symbols)
    table[found.contexts[:, 0]] = found.counts
    return table


def read_examples(folder: str, split: str, symbols: int) -> Arrays:
    """Return the examples of a split.

    Args:
        folder: one of FOLDERS.
        split: train, dev or test.
        symbols: size of the vocabulary.

    Returns:
        contexts: (examples, block size), and targets: (examples,), symbol numbers.

    Raises:
        InputError: the file is missing or damaged, or belongs to another vocabulary.
    """
    path = DATA / "contexts" / folder / f"{split}.safetensors"
    examples = read_tensors(path, "build_contexts")
    dtype = np.min_scalar_type(symbols - 1)
    found = {name: (tensor.dtype, tensor.ndim) for name, tensor in examples.items()}
    if found != {"contexts": (dtype, 2), "targets": (dtype, 1)}:
        shown = ", ".join(f"{name} {kind}, {ndim}-d" for name, (kind, ndim) in found.items())
        expected = f"contexts {dtype}, 2-d, targets {dtype}, 1-d"
        raise damaged(path, f"contains {shown}; not {expected}", "build_contexts")
    if folder == "bigram" and examples["contexts"].shape[1] != 1:
        raise damaged(path, "contains contexts of more than one symbol", "build_contexts")
    if split == "train" and not len(examples["targets"]):
        raise damaged(path, "contains no examples", "build_contexts")
    if len(examples["contexts"]) != len(examples["targets"]):
        raise damaged(path, "does not have one target per context", "build_contexts")
    if max(tensor.max(initial=0) for tensor in examples.values()) >= symbols:
        problem = f"contains numbers above those of the {symbols} symbols of data/vocabulary.json"
        raise damaged(path, problem, "build_contexts")
    return examples


def read_longest_examples(split: str, symbols: int) -> Arrays:
    """Return the examples of a split with the longest contexts; each model uses their end."""
    found = [read_examples(folder, split, symbols) for folder in ("mlp", "ngram")]
    return max(found, key=lambda examples: examples["contexts"].shape[1])
