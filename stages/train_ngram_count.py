"""Train the counting n-gram model: interpolated modified Kneser-Ney (Chen & Goodman 1998).

python -m stages.train_ngram_count    data/contexts/ngram/train.safetensors
    → data/models/ngram_count.safetensors, metrics/ngram_count.json

It is the counting bigram with longer contexts. A long context occurs a few times at most, so part
of its counts is taken away and redistributed according to the context without its first symbol.
"""

from typing import NamedTuple

import numpy as np

from charlm.examples import next_counts, read_examples, unique_contexts
from charlm.runtime import check_table_memory, run_stage
from charlm.storage import METRICS, model_path, write_json
from charlm.tensors import Arrays, write_tensors
from charlm.vocabulary import read_vocabulary


class Level(NamedTuple):
    """The unique contexts of one length, and what follows them."""

    contexts: np.ndarray  # (contexts, length), the last symbol first, in ascending order
    counts: np.ndarray  # (contexts, symbols) int64
    shorter: np.ndarray  # (contexts,) int64: row of the next level, without the first symbol


def count_levels(examples: Arrays, symbols: int) -> list[Level]:
    """Count what follows each context, from those of full length down to the empty one.

    The longest contexts have plain counts. Shorter ones have continuation counts: how many
    different symbols come before the context and the next symbol. A character that follows
    everywhere is a better guess than one that follows often, but always in the same place
    (Kneser & Ney 1995).

    Args:
        examples: `contexts` (examples, length) and `targets` (examples,), symbol numbers.
        symbols: size of the vocabulary.
    """
    last_first = examples["contexts"][:, ::-1]
    contexts, counts, _ = next_counts(last_first, examples["targets"], symbols)
    longest = contexts.shape[1]
    check_table_memory(
        f"contexts of up to {longest} symbols, {len(contexts):,} of them that long,",
        rows=len(contexts) * (longest + 1),
        columns=symbols,
        advice="lower ngram_count.order, or use fewer names",
    )
    levels = []
    while contexts.shape[1]:
        shorter, inverse = unique_contexts(contexts[:, :-1])
        levels.append(Level(contexts, counts, inverse))
        continuations = np.zeros((len(shorter), symbols), dtype=np.int64)
        np.add.at(continuations, inverse, counts > 0)
        contexts, counts = shorter, continuations
    return [*levels, Level(contexts, counts, np.zeros(1, dtype=np.int64))]


def discounts(counts: np.ndarray) -> np.ndarray:
    """Estimate what to take away from a count of 0, of 1, of 2 and of 3 or more.

    With n_i pairs that were counted i times and Y = n_1 / (n_1 + 2 n_2), the discount is
    i - (i + 1) Y n_(i+1) / n_i (Chen & Goodman 1998). Unusual counts can make it negative or
    undefined: it is at least a tenth of i, so that something is left for unseen pairs, and half
    of i where there are too few counts to estimate it.

    Args:
        counts: of any shape, int64.

    Returns:
        (4,) float64.
    """
    n = np.bincount(np.minimum(counts, 5).ravel(), minlength=6)
    taken = [0.0]
    for i in (1, 2, 3):
        if n[1] and n[2] and n[i] and n[i + 1]:
            Y = n[1] / (n[1] + 2 * n[2])
            taken.append(float(max(i - (i + 1) * Y * n[i + 1] / n[i], i / 10)))
        else:
            taken.append(i / 2)
    return np.array(taken)


def interpolate(counts: np.ndarray, D: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    """Return the probability of each next symbol; every row sums to 1.

    Args:
        counts: (contexts, symbols) int64, no row of zeros.
        D: (4,), the discount of a count of 0, of 1, of 2 and of 3 or more.
        shorter: (contexts, symbols) float64, the probabilities after the next shorter contexts;
            what was taken away is redistributed by them.
    """
    capped = np.minimum(counts, 3)
    taken = sum(D[i] * (capped == i).sum(axis=1, keepdims=True) for i in (1, 2, 3))
    smoothed: np.ndarray = (counts - D[capped] + taken * shorter) / counts.sum(
        axis=1, keepdims=True
    )
    return smoothed


def train(levels: list[Level], symbols: int) -> Arrays:
    """Return the tensors of the model: for each length, the keys and probabilities of its contexts.

    The key of a context is the row of the next shorter one, times the number of symbols, plus its
    first symbol. Keys are ascending, for a binary search; see
    `charlm.models.ngram_count`.
    """
    P = np.full((1, symbols), 1 / symbols)
    tensors = {}
    for length, level in enumerate(reversed(levels)):
        P = interpolate(level.counts, discounts(level.counts), P[level.shorter])
        tensors[f"P{length}"] = P
        if length:
            tensors[f"keys{length}"] = level.shorter * symbols + level.contexts[:, -1]
    return tensors


def main() -> None:
    symbols = len(read_vocabulary())
    levels = count_levels(read_examples("ngram", "train", symbols), symbols)
    metrics = {
        "contexts": sum(len(level.contexts) for level in levels),
        "ngrams": int(sum((level.counts > 0).sum() for level in levels)),
    }

    write_tensors(model_path("ngram_count"), train(levels, symbols))
    write_json(METRICS / "ngram_count.json", metrics)
    taken = ", ".join(f"{D:.2f}" for D in discounts(levels[0].counts)[1:])
    print(
        f"train_ngram_count: discounts {taken} (D1, D2, D3+); {metrics['ngrams']:,} n-grams up to "
        f"order {len(levels)}"
    )


if __name__ == "__main__":
    run_stage(main)
