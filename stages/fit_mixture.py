"""Mix models: find the weights of their average that are best on the dev names.

python -m stages.fit_mixture    data/models/*, data/splits/dev.txt, data/vocabulary.json
    → data/models/mixture.safetensors, metrics/mixture.csv

The mixture is fitted on dev, so its loss on dev is biased; only its loss on test is not.
"""

from itertools import chain, combinations

import numpy as np

from charlm import params
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage
from charlm.core.storage import METRICS, iter_lines, model_path, split_path
from charlm.data.examples import build_split_examples
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.models.base import context_size
from charlm.models.mixture import POSITIONS, START
from charlm.models.registry import check_component, load_models
from charlm.scoring import Characters, score
from charlm.tables import write_facts

BISECTIONS = 30  # each halves the error of a weight
MAX_ROUNDS = 200  # over all pairs of models
TOLERANCE = 1e-7  # of a weight, between two rounds
DECIMALS = 6  # of the weights that are stored


def fit_two(
    first: np.ndarray, second: np.ndarray, others: np.ndarray | float = 0.0, total: float = 1.0
) -> float:
    """Return the weight w that maximises the likelihood under a mixture of two models and others.

    The mixture is w * first + (total - w) * second + others. The log-likelihood is concave in w, so
    the zero of its derivative is found by bisection.

    Args:
        first, second: (characters,) float64, the probability of each character under two models.
        others: (characters,) float64, the weighted sum of those under other models.
        total: the weight of the two models.
    """
    low, high = 0.0, total
    for _ in range(BISECTIONS):
        weight = (low + high) / 2
        mixed = weight * first + (total - weight) * second + others
        low, high = (weight, high) if ((first - second) / mixed).sum() > 0 else (low, weight)
    return (low + high) / 2


def fit(P: np.ndarray) -> np.ndarray:
    """Return the weights that maximise the likelihood under the weighted average of models.

    The log-likelihood is concave in the weights. Each two models in turn share their weight in the
    best way, until no weight changes. The weights are equal if there is nothing to fit.

    Args:
        P: (models, characters) float64, the probability of each character under each model.

    Returns:
        (models,) float64, which sum to 1.
    """
    P = P[:, P.any(axis=0)]  # no weights make probable what is impossible under all models
    weights = np.full(len(P), 1 / len(P))
    pairs = list(combinations(range(len(P)), 2)) if P.shape[1] else []
    for _ in range(MAX_ROUNDS if len(pairs) > 1 else len(pairs)):
        before = weights.copy()
        for first, second in pairs:
            total = weights[first] + weights[second]
            weights[[first, second]] = 0
            weights[first] = fit_two(P[first], P[second], weights @ P, total)
            weights[second] = total - weights[first]
        if abs(weights - before).max() < TOLERANCE:
            break
    weights = weights.round(DECIMALS)
    largest = weights.argmax()
    weights[largest] = 1 - np.delete(weights, largest).sum()
    return weights


def fit_positions(P: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the best weights for each position in a name; see `fit`.

    Args:
        P: (models, characters) float64, the probability of each character under each model.
        positions: (characters,) int64, how many characters of its name come before each.

    Returns:
        (models, POSITIONS) float64.
    """
    group = np.minimum(positions, POSITIONS - 1)
    return np.column_stack([fit(P[:, group == position]) for position in range(POSITIONS)])


def main() -> None:
    settings = params.load().mixture
    names = settings.components
    for name in names:
        try:
            check_component(name)
        except ValueError as error:
            raise InputError(f"fit_mixture: mixture.components: {error}") from None
    vocabulary = read_vocabulary()
    components = load_models(len(vocabulary), tuple(names)).values()
    texts = [*chain.from_iterable(iter_lines(split_path("dev")))]
    size = context_size(components, longest=max(map(len, texts), default=0))
    examples = build_split_examples("dev", vocabulary, size)
    losses = [
        score(component, examples["contexts"], examples["targets"]).nll for component in components
    ]
    P = np.exp(-np.stack(losses))
    if settings.weights == "per_position":
        fitted = fit_positions(P, Characters.of(texts).position)
        tensors = {START: np.array(vocabulary.start)}
    else:
        fitted, tensors = fit(P), {}
    weights = dict(zip(names, fitted, strict=True))
    facts = {name: weight.mean().item() for name, weight in weights.items()}

    write_tensors(
        model_path("mixture"),
        tensors | {name: np.array(weight) for name, weight in weights.items()},
    )
    write_facts(METRICS / "mixture.csv", facts)
    shares = ", ".join(f"{weight:.3f} of {name}" for name, weight in facts.items())
    note = ", the mean over positions" if START in tensors else ""
    print(f"fit_mixture: weights, fitted on dev{note}: {shares}")


if __name__ == "__main__":
    run_stage(main)
