"""Mix the MLP with the counting n-gram model: find the weight that is best on the dev names.

python -m stages.fit_mixture    data/models/{mlp,ngram_count}.safetensors, data/splits/dev.txt,
    data/vocabulary.json    → data/models/mixture.safetensors, metrics/mixture.csv

The mixture is fitted on dev, so its loss on dev is biased; only its loss on test is not.
"""

from itertools import chain

import numpy as np

from charlm.core.runtime import run_stage
from charlm.core.storage import METRICS, iter_lines, model_path, split_path
from charlm.data.examples import build_split_examples
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.models.base import context_size
from charlm.models.mlp import MLP
from charlm.models.ngram_count import NgramCount
from charlm.scoring import score
from charlm.tables import write_facts

BISECTIONS = 30  # each halves the error of the weight


def fit(first: np.ndarray, second: np.ndarray) -> float:
    """Return the weight w that maximises the likelihood under w * first + (1 - w) * second.

    The log-likelihood is concave in w, so the zero of its derivative is found by bisection. The
    weight is 0.5 if there is nothing to fit.

    Args:
        first, second: (characters,) float64, the probability of each character under two models,
            positive under at least one of them.
    """
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS if len(first) else 0):
        weight = (low + high) / 2
        slope = ((first - second) / (weight * first + (1 - weight) * second)).sum()
        low, high = (weight, high) if slope > 0 else (low, weight)
    return round((low + high) / 2, 6)


def main() -> None:
    vocabulary = read_vocabulary()
    components = [MLP.load(len(vocabulary)), NgramCount.load(len(vocabulary))]
    names = chain.from_iterable(iter_lines(split_path("dev")))
    size = context_size(components, longest=max(map(len, names), default=0))
    examples = build_split_examples("dev", vocabulary, size)
    first, second = (
        score(component, examples["contexts"], examples["targets"]).nll for component in components
    )
    weight = fit(np.exp(-first), np.exp(-second))

    weights = {"mlp": weight, "ngram_count": 1 - weight}
    write_tensors(model_path("mixture"), {name: np.array(w) for name, w in weights.items()})
    write_facts(METRICS / "mixture.csv", weights)
    shares = f"{weight:.3f} of the MLP, {1 - weight:.3f} of the n-grams"
    print(f"fit_mixture: weights, fitted on dev: {shares}")


if __name__ == "__main__":
    run_stage(main)
