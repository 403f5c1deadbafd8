"""Train the counting n-gram model: interpolated modified Kneser-Ney (Chen & Goodman 1998).

python -m stages.train_ngram_count    data/contexts/ngram/train.safetensors
    → data/models/ngram_count.safetensors, metrics/ngram_count.csv

It is the counting bigram with longer contexts. A long context occurs a few times at most, so part
of its counts is taken away and redistributed according to the context without its first symbol.
"""

from typing import NamedTuple

import numpy as np

from charlm.core.runtime import run_stage
from charlm.core.storage import METRICS, model_path
from charlm.data.examples import SparseTable, count_next, read_examples, unique_contexts
from charlm.data.tensors import Arrays, write_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.tables import write_facts


class Level(NamedTuple):
    """The unique contexts of one length, and what follows them."""

    contexts: np.ndarray  # (contexts, length), the last symbol first, in ascending order
    shorter: np.ndarray  # (contexts,) int64: row of the next level, without the first symbol
    counts: SparseTable  # (contexts, symbols) int64: how often each symbol follows each


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
    contexts, inverse = unique_contexts(examples["contexts"][:, ::-1])
    counts = count_next(inverse, examples["targets"], symbols)
    levels = []
    while contexts.shape[1]:
        shorter, inverse = unique_contexts(contexts[:, :-1])
        levels.append(Level(contexts, inverse, counts))
        contexts = shorter
        # every n-gram is counted once after its shorter context
        counts = count_next(np.repeat(inverse, np.diff(counts.offsets)), counts.next, symbols)
    return [*levels, Level(contexts, np.zeros(1, dtype=np.int64), counts)]


def discounts(counts: np.ndarray) -> np.ndarray:
    """Estimate what to take away from a count of 0, of 1, of 2 and of 3 or more.

    With n_i n-grams that were counted i times and Y = n_1 / (n_1 + 2 n_2), the discount is
    i - (i + 1) Y n_(i+1) / n_i (Chen & Goodman 1998). Unusual counts can make it negative or
    undefined: it is at least a tenth of i, so that something is left for unseen pairs, and half
    of i where there are too few counts to estimate it.

    Args:
        counts: (n-grams,) int64, at least 1.

    Returns:
        (4,) float64.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    D = [0.0]
    for i in (1, 2, 3):
        if n[1] and n[2] and n[i] and n[i + 1]:
            Y = n[1] / (n[1] + 2 * n[2])
            D.append(float(max(i - (i + 1) * Y * n[i + 1] / n[i], i / 10)))
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
        first = level.contexts[:, -1] if length else 0
        tensors[f"keys{length}"] = level.shorter * symbols + first
        tensors[f"ngrams{length}"] = np.diff(level.counts.offsets).astype(np.int32)
        tensors[f"next{length}"] = level.counts.next.astype(np.int32)
        tensors[f"counts{length}"] = level.counts.values.astype(np.int32)
    return tensors


def main() -> None:
    symbols = len(read_vocabulary())
    levels = count_levels(read_examples("ngram", "train", symbols), symbols)
    facts = {
        "contexts": sum(len(level.contexts) for level in levels),
        "ngrams": sum(len(level.counts.next) for level in levels),
    }

    write_tensors(model_path("ngram_count"), train(levels, symbols))
    write_facts(METRICS / "ngram_count.csv", facts)
    shown = ", ".join(f"{D:.2f}" for D in discounts(levels[0].counts.values)[1:])
    print(
        f"train_ngram_count: discounts {shown} (D1, D2, D3+); {facts['ngrams']:,} n-grams up to "
        f"order {len(levels)}"
    )


if __name__ == "__main__":
    run_stage(main)
