"""Train the counting n-gram model, with interpolated modified Kneser-Ney or add-k smoothing.

python -m stages.train_ngram_count    data/splits/train.txt, data/vocabulary.json
    → data/models/ngram_count.safetensors, metrics/ngram_count.csv

It is the counting bigram with longer contexts. A long context occurs a few times at most, so part
of its counts is taken away and redistributed according to the context without its first symbol
(Chen & Goodman 1998); or k is added to every count, as in the bigram.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import METRICS, PIECE_LENGTH, damaged, iter_lines, model_path, split_path
from charlm.data.examples import SparseTable, build_examples, sort_rows
from charlm.data.memory import check_table_memory
from charlm.data.tensors import Arrays, write_tensors
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.tables import write_facts


class Ngrams(NamedTuple):
    """The different n-grams of some names, in ascending order, and how often each occurs."""

    symbols: np.ndarray  # (n-grams, order): the context, its last symbol first, and what follows
    counts: np.ndarray  # (n-grams,) int32


class Level(NamedTuple):
    """The unique contexts of one length, and what follows them."""

    keys: np.ndarray  # (contexts,) int64, ascending; see `charlm.models.ngram_count`
    counts: SparseTable  # (contexts, symbols) int32: how often each symbol follows each


def count_names(pieces: Iterable[list[str]]) -> Iterator[Counter[str]]:
    """Yield how often each name occurs, in tables of at least PIECE_LENGTH characters.

    Names that are repeated often are in one table; in a long list of different ones, a name that
    is repeated far away is in two.

    >>> [*count_names([["ava", "mia"], ["ava"]])]
    [Counter({'ava': 2, 'mia': 1})]
    """
    counts: Counter[str] = Counter()
    for names in pieces:
        counts.update(names)
        if sum(map(len, counts)) >= PIECE_LENGTH:
            yield counts
            counts = Counter()
    if counts:
        yield counts


def count_ngrams(tables: Iterable[Counter[str]], vocabulary: Vocabulary, order: int) -> Ngrams:
    """Count the n-grams of all names, those of each different name once.

    The n-grams of a table of names are counted together. Two results are merged once the earlier
    is not twice as large as the later, so that all n-grams are sorted few times.

    Args:
        tables: how often each name occurs; the sums of all tables count.
        vocabulary: of the names.
        order: length of the n-grams.

    Raises:
        InputError: so many n-grams need too much memory.
        ValueError: there are no names, or a character is not in the vocabulary.
    """
    counted: list[Ngrams] = []
    for table in tables:
        counted.append(ngrams_of(table, vocabulary, order))
        while len(counted) > 1 and len(counted[-2].counts) < 2 * len(counted[-1].counts):
            counted.append(merge(counted.pop(), counted.pop()))
    if not counted:
        raise ValueError("contains no names")
    while len(counted) > 1:
        counted.append(merge(counted.pop(), counted.pop()))
    return counted[0]


def ngrams_of(names: Counter[str], vocabulary: Vocabulary, order: int) -> Ngrams:
    """Count the n-grams of a table of names.

    >>> ngrams_of(Counter({"a": 2, "aa": 1}), Vocabulary.of([".", "a"]), order=2).symbols.tolist()
    [[0, 1], [1, 0], [1, 1]]
    >>> ngrams_of(Counter({"a": 2, "aa": 1}), Vocabulary.of([".", "a"]), order=2).counts.tolist()
    [3, 3, 1]
    """
    contexts, targets = build_examples([*names], vocabulary, order - 1).values()
    lengths = np.fromiter(map(len, names), dtype=np.int64, count=len(names))
    counts = np.fromiter(names.values(), dtype=np.int32, count=len(names))
    symbols = np.column_stack((contexts[:, ::-1], targets))
    return add_equal(Ngrams(symbols, np.repeat(counts, lengths + 1)))


def merge(first: Ngrams, second: Ngrams) -> Ngrams:
    """Return the n-grams of both; those that both have are counted together.

    Raises:
        InputError: so many n-grams need too much memory.
    """
    rows, order = len(first.counts) + len(second.counts), first.symbols.shape[1]
    check_table_memory(
        f"{rows:,} n-grams of order {order}",
        rows=rows,
        columns=order,
        itemsize_bytes=first.symbols.itemsize,
        advice="lower ngram_count.order, or use fewer names",
    )
    both = Ngrams(*map(np.concatenate, zip(first, second, strict=True)))
    del first, second  # before sorting needs as much memory again
    return add_equal(both)


def add_equal(ngrams: Ngrams) -> Ngrams:
    """Sort n-grams, and add the counts of equal ones."""
    ascending, is_new = sort_rows(ngrams.symbols)
    first = np.flatnonzero(is_new)
    counts = np.add.reduceat(ngrams.counts[ascending], first)
    return Ngrams(ngrams.symbols[ascending[first]], counts)


def count_levels(ngrams: Ngrams, vocabulary: Vocabulary) -> list[Level]:
    """Count what follows each context, from those of full length down to the empty one.

    A context reaches back to the start of its name, and no further. The longest contexts and those
    that begin with the start have plain counts. The others have continuation counts: how many
    different symbols come before the context and the next symbol. A character that follows
    everywhere is a better guess than one that follows often, but always in the same place
    (Kneser & Ney 1995; at the start nothing comes before, as in KenLM, Heafield et al. 2013).

    Args:
        ngrams: of the highest order.
        vocabulary: its start comes before a name.
    """
    symbols = len(vocabulary)
    contexts, following = ngrams.symbols[:, :-1].T, ngrams.symbols[:, -1]
    has_context = np.ones(len(following), dtype=bool)  # of the length in question
    row = np.zeros(len(following), dtype=np.int64)  # of the context of each n-gram
    is_new = np.arange(len(following)) == 0
    # of the contexts of each length: their keys, and the n-grams with plain counts
    keys = [np.zeros(1, dtype=np.int64)]
    plain = [(row[:0], ngrams.counts[:0])]
    for number, symbol in enumerate(contexts, start=1):
        if not has_context.any():  # no name is so long
            break
        is_new[1:] |= symbol[1:] != symbol[:-1]
        first = np.flatnonzero(is_new & has_context)
        keys.append(row[first] * symbols + symbol[first])
        row = (is_new & has_context).cumsum() - 1
        is_plain = has_context & (number == len(contexts) or symbol == vocabulary.start)
        pairs = row[is_plain]
        pairs *= symbols
        pairs += following[is_plain]
        plain.append((pairs, ngrams.counts[is_plain]))
        has_context &= ~is_plain
    del row, pairs
    shortened = np.empty(0, dtype=np.int64)  # the n-grams of the last level, with shorter contexts
    levels = []
    while keys:
        pairs, counts = plain.pop()
        counts = np.append(np.ones(len(shortened), np.int32), counts)
        pairs, counts = count_pairs(np.append(shortened, pairs), counts)
        context = pairs // symbols
        after = (pairs - context * symbols).astype(following.dtype)
        offsets = np.append(0, np.bincount(context).cumsum())
        levels.append(Level(keys.pop(), SparseTable(offsets, after, counts, symbols)))
        # every n-gram is counted once after its shorter context
        shortened = levels[-1].keys[context] // symbols * symbols + after
    return levels


def count_pairs(pairs: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort numbers, and add the counts of equal ones.

    >>> count_pairs(np.array([7, 2, 7]), np.array([1, 1, 3]))
    (array([2, 7]), array([1, 4]))
    """
    ascending = pairs.argsort()
    pairs, counts = pairs[ascending], counts[ascending]
    del ascending
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    return pairs[first], np.add.reduceat(counts, first)


def discounts(counts: np.ndarray) -> np.ndarray:
    """Estimate what to take away from a count of 0, of 1, of 2 and of 3 or more.

    With n_i n-grams that were counted i times and Y = n_1 / (n_1 + 2 n_2), the discount is
    i - (i + 1) Y n_(i+1) / n_i (Chen & Goodman 1998). Few or unusual counts can give nothing or
    all of i: it is at least a tenth of i, so that something is left for unseen pairs, and at most
    nine tenths. Without n-grams that were counted once or i times, it is half of i.

    Args:
        counts: (n-grams,) int64, at least 1.

    Returns:
        (4,) float64.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    D = [0.0]
    for i in (1, 2, 3):
        if n[1] and n[i]:
            Y = n[1] / (n[1] + 2 * n[2])
            estimate = i - (i + 1) * Y * n[i + 1] / n[i]
            D.append(min(max(float(estimate), i / 10), 9 * i / 10))
        else:
            D.append(i / 2)
    return np.array(D)


def train(levels: list[Level], symbols: int) -> Arrays:
    """Return the tensors of the model; see `charlm.models.ngram_count`.

    Args:
        levels: from the longest contexts down to the empty one.
        symbols: size of the vocabulary.
    """
    D = np.stack([discounts(level.counts.values) for level in reversed(levels)])
    tensors = {"size": np.array(symbols), "D": D}
    for length, level in enumerate(reversed(levels)):
        tensors[f"keys{length}"] = level.keys
        tensors[f"ngrams{length}"] = np.diff(level.counts.offsets).astype(np.int32)
        tensors[f"next{length}"] = level.counts.next.astype(np.int32)
        tensors[f"counts{length}"] = level.counts.values.astype(np.int32)
    return tensors


def add_k(levels: list[Level], vocabulary: Vocabulary, k: float) -> Arrays:
    """Return the tensors of a model that adds k to every count; see `charlm.models.ngram_count`.

    It uses contexts of the full length, or those that reach back to the start, whose counts are
    plain, and no shorter ones. After a context without counts every symbol is equally probable.

    Args:
        levels: from the longest contexts down to the empty one.
        vocabulary: its start comes before a name.
        k: above 0.
    """
    tensors = {"size": np.array(len(vocabulary)), "k": np.array(float(k))}
    tensors["D"] = np.zeros((len(levels), 4))
    for length, level in enumerate(reversed(levels)):
        begins_name = (level.keys % len(vocabulary) == vocabulary.start) & (length > 0)
        is_used = begins_name | (length == len(levels) - 1)
        ngrams = np.diff(level.counts.offsets)
        rows = np.repeat(is_used, ngrams)
        tensors[f"keys{length}"] = level.keys
        tensors[f"ngrams{length}"] = np.where(is_used, ngrams, 0).astype(np.int32)
        tensors[f"next{length}"] = level.counts.next[rows].astype(np.int32)
        tensors[f"counts{length}"] = level.counts.values[rows].astype(np.int32)
    return tensors


def describe_discounts(D: np.ndarray) -> str:
    """Return what is printed about the discounts.

    >>> describe_discounts(np.array([[0, 0.5, 0.7, 1.3], [0, 0.6, 1.1, 1.4]]))
    'discounts 0.60, 1.10, 1.40 (D1, D2, D3+; 1 of all 6 set for want of counts)'
    """
    shown = ", ".join(f"{discount:.2f}" for discount in D[-1, 1:])
    replaced = np.isin((D[:, 1:] / (1, 2, 3)).round(6), (0.1, 0.5, 0.9)).sum()
    note = f"; {replaced} of all {D[:, 1:].size} set for want of counts" if replaced else ""
    return f"discounts {shown} (D1, D2, D3+{note})"


def main() -> None:
    settings = params.load().ngram_count
    vocabulary, path = read_vocabulary(), split_path("train")
    try:
        ngrams = count_ngrams(count_names(iter_lines(path)), vocabulary, settings.order)
    except ValueError as error:
        raise damaged(path, str(error), "split") from None
    levels = count_levels(ngrams, vocabulary)
    if settings.smoothing == "add_k":
        tensors = add_k(levels, vocabulary, settings.k)
        shown = f"{settings.k:g} added to every count"
    else:
        tensors = train(levels, len(vocabulary))
        shown = describe_discounts(tensors["D"])
    facts = {
        name: sum(len(tensors[f"{key}{length}"]) for length in range(len(levels)))
        for name, key in (("contexts", "keys"), ("ngrams", "next"))
    }

    write_tensors(model_path("ngram_count"), tensors)
    write_facts(METRICS / "ngram_count.csv", facts)
    print(f"train_ngram_count: {shown}; {facts['ngrams']:,} n-grams up to order {len(levels)}")


if __name__ == "__main__":
    run_stage(main)
