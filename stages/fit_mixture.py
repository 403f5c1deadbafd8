"""Mix the MLP with the counting n-gram model: find the weight that suits the dev names best.

python -m stages.fit_mixture    data/models/{mlp,ngram_count}.safetensors, data/contexts/*/dev,
    data/vocabulary.json    → data/models/mixture.safetensors, metrics/mixture.json

After that dev is no longer untouched for the mixture: its honest loss is that on test.
"""

import torch
from torch import Tensor

from charlm import storage as files
from charlm.models import base as stored, mlp as models
from charlm.runtime import run


def fit(first: Tensor, second: Tensor) -> float:
    """Return the weight w of the greatest likelihood under w * first + (1 - w) * second.

    The log-likelihood is concave in w, so its slope is followed to 0 by bisection. A half if there
    is nothing to fit.

    Args:
        first, second: (characters,) float64, the probability of each character under two models,
            above 0 under one of them.
    """
    low, high = 0.0, 1.0
    for _ in range(30 if len(first) else 0):
        weight = (low + high) / 2
        slope = ((first - second) / (weight * first + (1 - weight) * second)).sum()
        low, high = (weight, high) if slope > 0 else (low, weight)
    return round((low + high) / 2, 6)


def main() -> None:
    symbols = len(files.read_vocabulary())
    examples = files.read_longest_examples("dev", symbols)
    targets = torch.from_numpy(examples["targets"]).long()
    probabilities = []
    for name in models.MIXED:
        parameters = stored.read(name, symbols)
        found, index = models.next_log_probabilities(name, parameters, examples["contexts"])
        probabilities.append(found[torch.from_numpy(index), targets].exp())
    weight = fit(*probabilities)

    stored.write("mixture", {"weight": torch.tensor(weight, dtype=torch.float64)})
    files.write_json(files.METRICS / "mixture.json", {"weight": weight})
    print(f"fit_mixture: {weight:.3f} of the MLP, {1 - weight:.3f} of the n-gram model, on dev")


if __name__ == "__main__":
    run(main)
