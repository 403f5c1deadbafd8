"""Draw what the bigrams learned: counts of pairs, and counted beside learned probabilities.

python -m stages.plot_bigrams    data/contexts/bigram/train.safetensors,
    data/models/bigram_neural.safetensors
    → plots/bigram_counts.svg, plots/bigram_probabilities.svg
"""

import numpy as np

from charlm.core.runtime import run_stage
from charlm.core.storage import PLOTS, write_bytes
from charlm.data.examples import bigram_counts, read_examples
from charlm.data.vocabulary import read_vocabulary
from charlm.drawing import plots
from charlm.models.base import log_probabilities
from charlm.models.bigram_neural import BigramNeural


def main() -> None:
    itos = read_vocabulary().itos
    counts = bigram_counts(read_examples("bigram", "train", len(itos)), len(itos))
    # <START> is never a target, <END> never a context
    frequency = np.maximum(counts.sum(axis=0), counts.sum(axis=1))
    W = BigramNeural.load(len(itos)).arrays["W"]
    counted = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    learned = np.exp(log_probabilities(W))

    write_bytes(PLOTS / "bigram_counts.svg", plots.draw_counts(counts, itos))
    picture = plots.draw_probabilities(counted, learned, itos, frequency)
    write_bytes(PLOTS / "bigram_probabilities.svg", picture)
    print(f"plot_bigrams: drew counts and probabilities of {len(itos)} by {len(itos)} pairs")


if __name__ == "__main__":
    run_stage(main)
