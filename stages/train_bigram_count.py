"""Train the counting bigram: how often does each character follow each other?

python -m stages.train_bigram_count    data/contexts/bigram/train.safetensors
    → data/models/bigram_count.safetensors, plots/bigram_counts.svg
"""

import numpy as np

from charlm import examples as contexts, plots as figures, storage as files, params
from charlm.runtime import run


def normalise(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """Return the probability of each next symbol after each symbol; every row sums to 1.

    Probabilities and not their logs are kept: a division has one result on every machine.

    Args:
        counts: (symbols, symbols) int64, row: context, column: next.
        smoothing: added to every count; with 0, a row without counts becomes uniform.

    Returns:
        (symbols, symbols) float64.
    """
    totals = counts.sum(axis=1, keepdims=True) + smoothing * len(counts)
    uniform = np.full(counts.shape, 1 / len(counts))
    return np.divide(counts + smoothing, totals, out=uniform, where=totals > 0)


def main() -> None:
    settings = params.load().bigram_count
    itos = files.read_vocabulary()
    examples = files.read_examples("bigram", "train", len(itos))
    counts = contexts.pair_counts(examples["contexts"], examples["targets"], len(itos))

    files.write_tensors(
        files.DATA / "models" / "bigram_count.safetensors",
        {"P": normalise(counts, settings.smoothing)},
    )
    files.write_bytes(files.PLOTS / "bigram_counts.svg", figures.pair_counts(counts, itos))
    first, second = np.unravel_index(counts.argmax(), counts.shape)
    print(
        f"train_bigram_count: {counts.sum()} pairs, {(counts > 0).sum()} of {counts.size} kinds, "
        f"most often {itos[first]}{itos[second]} ({counts.max()} times)"
    )


if __name__ == "__main__":
    run(main)
