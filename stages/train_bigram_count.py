"""Train the counting bigram: how often does each character follow each character?

python -m stages.train_bigram_count    data/contexts/bigram/train.safetensors
    → data/models/bigram_count.safetensors
"""

import numpy as np

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import model_path
from charlm.data.examples import bigram_counts, read_examples
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import read_vocabulary


def normalise(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """Return the probability of each next symbol after each symbol; every row sums to 1.

    Probabilities are stored, not their logs: a division has the same result on every machine.

    Args:
        counts: (symbols, symbols) int64, row: context, column: next.
        smoothing: added to every count; with 0, a row without counts becomes uniform.

    Returns:
        (symbols, symbols) float64.
    """
    totals = counts.sum(axis=1, keepdims=True) + smoothing * len(counts)
    probabilities = np.full(counts.shape, 1 / len(counts))
    np.divide(counts + smoothing, totals, out=probabilities, where=totals > 0)
    return probabilities


def main() -> None:
    settings = params.load().bigram_count
    vocabulary = read_vocabulary()
    symbols = len(vocabulary)
    counts = bigram_counts(read_examples("bigram", "train", symbols), symbols)

    write_tensors(model_path("bigram_count"), {"P": normalise(counts, settings.smoothing)})
    pair = vocabulary.decode(divmod(int(counts.argmax()), symbols))
    print(
        f"train_bigram_count: {counts.sum():,} pairs, {(counts > 0).sum():,} of {counts.size:,} "
        f"possible ones, most often {pair} ({counts.max():,} times)"
    )


if __name__ == "__main__":
    run_stage(main)
