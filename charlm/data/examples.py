"""Examples: a context of symbols, and the symbol that follows it; and how often it follows."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from charlm.core.storage import DATA, damaged, iter_lines, split_path
from charlm.data.memory import check_table_memory
from charlm.data.tensors import Arrays, read_tensors
from charlm.data.vocabulary import Vocabulary

MAX_CELLS = 27 * 2**16  # contexts times symbols that are computed at once
FOLDERS = ("bigram", "mlp")  # of data/contexts: one per length of context


def build_examples(names: list[str], vocabulary: Vocabulary, block_size: int) -> Arrays:
    """Return all examples of the names, in order.

    Those of `emma` at block size 3 are `... → e`, `..e → m`, `.em → m`, `emm → a`, `mma → .`

    Returns:
        contexts: (examples, block size), and targets: (examples,), symbol numbers in the
        smallest unsigned type that can hold them. A name of n characters has n + 1 examples.

    Raises:
        ValueError: a character is not in the vocabulary.
        InputError: so many contexts need too much memory.
    """
    characters = sum(map(len, names)) + len(names)
    check_examples_memory(characters, vocabulary, block_size)
    lengths = np.fromiter(map(len, names), dtype=np.int64, count=len(names))
    targets = np.insert(vocabulary.encode("".join(names)), lengths.cumsum(), vocabulary.end)
    # before the first name and after each, as many starts as a context has symbols
    runs = np.column_stack((lengths + 1, np.full(len(names), block_size)))
    is_target = np.repeat(np.tile([True, False], len(names)), runs.ravel())
    text = np.full(block_size + len(is_target), vocabulary.start, dtype=vocabulary.dtype)
    text[block_size:][is_target] = targets
    contexts = sliding_window_view(text, block_size)[:-1][is_target]
    return {"contexts": contexts, "targets": targets}


def build_split_examples(split: str, vocabulary: Vocabulary, block_size: int) -> Arrays:
    """Return all examples of a split, in order, from its names; see `build_examples`.

    Only a piece of the names is in memory at once.

    Raises:
        InputError: the file of names is missing or damaged, or so many contexts need too much
            memory.
    """
    path = split_path(split)
    rows = sum(sum(map(len, names)) + len(names) for names in iter_lines(path))
    check_examples_memory(rows, vocabulary, block_size)
    contexts = np.empty((rows, block_size), dtype=vocabulary.dtype)
    targets = np.empty(rows, dtype=vocabulary.dtype)
    first = 0
    for names in iter_lines(path):
        try:
            piece = build_examples(names, vocabulary, block_size)
        except ValueError as error:
            raise damaged(path, str(error), "split") from None
        last = first + len(piece["targets"])
        contexts[first:last], targets[first:last] = piece["contexts"], piece["targets"]
        first = last
    return {"contexts": contexts, "targets": targets}


def check_examples_memory(characters: int, vocabulary: Vocabulary, block_size: int) -> None:
    """Refuse examples that need too much memory.

    Raises:
        InputError: they do.
    """
    check_table_memory(
        f"contexts of {block_size} symbols for {characters:,} characters",
        rows=characters,
        columns=block_size + 1,
        itemsize_bytes=vocabulary.dtype.itemsize,
        advice="lower contexts.block_size or ngram_count.order, or use fewer names",
    )


class UniqueContexts(NamedTuple):
    """The unique contexts of a set of examples."""

    contexts: np.ndarray  # (unique, block size), each context once, in ascending order
    inverse: np.ndarray  # (examples,) int64: the row of each example's context


def unique_contexts(contexts: np.ndarray) -> UniqueContexts:
    """Find the unique contexts: the lecture's 182,625 training examples have 5,438 of length 3.

    Args:
        contexts: (examples, block size), symbol numbers of any unsigned type.
    """
    order, is_new = sort_rows(contexts)
    inverse = np.empty(len(contexts), dtype=np.int64)
    inverse[order] = is_new.cumsum() - 1
    return UniqueContexts(contexts[order[is_new]], inverse)


def sort_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows of symbols.

    >>> sort_rows(np.array([[1, 0], [0, 255], [1, 0]], dtype=np.uint8))
    (array([1, 0, 2]), array([ True,  True, False]))

    Equal rows are in any order.

    Args:
        rows: (rows, columns), symbol numbers of any unsigned type.

    Returns:
        (rows,) int64, the order that sorts them; and (rows,) bool, whether each row, in this
        order, differs from the one before it.
    """
    # a row as the fewest 64-bit numbers, most significant byte first: far fewer comparisons
    big_endian = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder(">"))
    row_bytes = rows.itemsize * rows.shape[1]
    words = np.zeros((len(rows), max(1, -(-row_bytes // 8))), dtype=">u8")
    words.view(np.uint8)[:, :row_bytes] = big_endian.view(np.uint8).reshape(len(rows), row_bytes)
    columns = words.T.astype(np.uint64, order="C")
    index_bits = len(rows).bit_length()
    if 8 * row_bytes + index_bits <= 64:  # the index fits beside the row: sorted at once
        columns = columns | np.arange(len(rows), dtype=np.uint64)
        columns.sort()
        mask = np.uint64(2**index_bits - 1)
        order = (columns[0] & mask).astype(np.int64)
        columns &= ~mask
    else:
        # lexsort begins with its last key; one key alone is sorted several times faster
        order = np.lexsort(columns[::-1]) if len(columns) > 1 else columns[0].argsort()
        columns = columns[:, order]
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    return order, is_new


class Group(NamedTuple):
    """Some of the unique contexts of a set of examples, and the examples that have them."""

    contexts: np.ndarray  # (unique, block size), each context once
    rows: np.ndarray  # (examples of the group,) int64: their rows in the set
    inverse: np.ndarray  # (examples of the group,) int64: the row in `contexts` of each


def context_groups(contexts: np.ndarray, symbols: int) -> Iterator[Group]:
    """Yield the unique contexts in groups so small that a row of all symbols fits for each.

    Contexts that end alike are neighbours, as models of the end of a context compute them together.

    Args:
        contexts: (examples, block size), symbol numbers of any unsigned type.
        symbols: size of the vocabulary.
    """
    order, is_new = sort_rows(contexts[:, ::-1])
    starts = np.append(np.flatnonzero(is_new), len(order))
    size = max(1, MAX_CELLS // symbols)
    for first in range(0, len(starts) - 1, size):
        bounds = starts[first : first + size + 1]
        rows = order[bounds[0] : bounds[-1]]
        yield Group(contexts[order[bounds[:-1]]], rows, is_new[bounds[0] : bounds[-1]].cumsum() - 1)


class SparseTable(NamedTuple):
    """A table with a row per context and a column per symbol that may follow, without its zeros."""

    offsets: np.ndarray  # (contexts + 1,) int64: n-grams offsets[i] to offsets[i + 1] are of row i
    next: np.ndarray  # (n-grams,) int64: the symbol that follows, ascending in each row
    values: np.ndarray  # (n-grams,)
    symbols: int  # number of columns

    def dense(self, rows: np.ndarray) -> np.ndarray:
        """Return some rows with their zeros: (rows, symbols), of the type of the values.

        >>> table = count_next(np.array([0, 1, 1, 2]), np.array([2, 0, 2, 1]), symbols=3)
        >>> table.dense(np.array([2, 1]))
        array([[0, 1, 0],
               [1, 0, 1]])

        Args:
            rows: (rows,) int64, their numbers.
        """
        table = np.zeros((len(rows), self.symbols), dtype=self.values.dtype)
        row, ngram = self.entries(rows)
        table[row, self.next[ngram]] = self.values[ngram]
        return table

    def entries(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the entries of some rows are.

        Args:
            rows: (rows,) int64, their numbers.

        Returns:
            (entries,) int64, the position in `rows` of each, ascending; and (entries,) int64, its
            position in `next` and `values`.
        """
        ends = self.offsets[rows + 1]
        sizes = ends - self.offsets[rows]
        row = np.repeat(np.arange(len(rows)), sizes)
        # the n-grams of a context follow each other
        return row, np.arange(len(row)) + (ends - sizes.cumsum())[row]


def count_next(inverse: np.ndarray, targets: np.ndarray, symbols: int) -> SparseTable:
    """Count how often each symbol follows each unique context.

    A loss over all examples equals the one over the unique contexts, weighted by these counts.

    Args:
        inverse: (examples,) int64, the row of each example's context; every row occurs.
        targets: (examples,), the symbol that follows each.
        symbols: size of the vocabulary.
    """
    pairs, counts = np.unique(inverse * symbols + targets, return_counts=True)
    rows, following = np.divmod(pairs, symbols)
    return SparseTable(np.append(0, np.bincount(rows).cumsum()), following, counts, symbols)


def bigram_counts(examples: Arrays, symbols: int) -> np.ndarray:
    """Count how often each symbol follows each symbol.

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
    check_bigram_memory(symbols)
    pairs = examples["contexts"][:, 0].astype(np.int64) * symbols + examples["targets"]
    return np.bincount(pairs, minlength=symbols**2).reshape(symbols, symbols)


def check_bigram_memory(symbols: int) -> None:
    """Refuse a vocabulary whose bigrams need too much memory.

    Raises:
        InputError: they do.
    """
    check_table_memory(
        f"a table of {symbols:,} by {symbols:,} symbols",
        rows=symbols,
        columns=symbols,
        advice="use names of fewer different characters",
    )


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
    kinds = {name: (tensor.dtype, tensor.ndim) for name, tensor in examples.items()}
    if kinds != {"contexts": (dtype, 2), "targets": (dtype, 1)}:
        shown = ", ".join(f"{name} {kind}, {ndim}-d" for name, (kind, ndim) in kinds.items())
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
