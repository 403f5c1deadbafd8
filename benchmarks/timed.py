"""Time one function of this project in a separate process, and print the seconds.

    python -m benchmarks.timed NAME    NAME: contexts, full_loss, scores or sampling

What is imported or done once is not timed: the work is done briefly before the clock runs.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from charlm.core.storage import split_path
from charlm.data.examples import build_examples, count_next, unique_contexts
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.models.base import log_probabilities
from charlm.models.mlp import MLP
from charlm.names import read_names
from charlm.sampling import Uniforms, sample_names
from charlm.scoring import score

Work = Callable[[], object]
REPEATS = 20  # of what is too short to be timed once


def contexts(names: list[str], vocabulary: Vocabulary) -> tuple[Work, Work, int]:
    """Build the contexts of all training names."""
    return (
        lambda: build_examples(names[:100], vocabulary, block_size=3),
        lambda: build_examples(names, vocabulary, block_size=3),
        1,
    )


def full_loss(names: list[str], vocabulary: Vocabulary) -> tuple[Work, Work, int]:
    """Compute the MLP's loss over all training examples, by their unique contexts."""
    model = MLP.load(len(vocabulary))
    examples = build_examples(names, vocabulary, model.block_size)
    contexts, inverse = unique_contexts(examples["contexts"])
    counts = count_next(inverse, examples["targets"], len(vocabulary))
    shares = counts.dense(np.arange(len(contexts))) / len(inverse)

    def losses() -> None:
        for _ in range(REPEATS):
            -(shares * log_probabilities(model.logits(contexts))).sum()

    return losses, losses, REPEATS


def scores(names: list[str], vocabulary: Vocabulary) -> tuple[Work, Work, int]:
    """Score all training names under the MLP."""
    model = MLP.load(len(vocabulary))
    examples = build_examples([*dict.fromkeys(names)], vocabulary, model.block_size)

    def work() -> None:
        score(model, **examples)

    return work, work, 1


def sampling(_: list[str], vocabulary: Vocabulary) -> tuple[Work, Work, int]:
    """Sample 10,000 names from the MLP."""
    model = MLP.load(len(vocabulary))

    def sample(count: int) -> None:
        sample_names(model, vocabulary, count, 1.0, 30, Uniforms(1))

    return lambda: sample(10), lambda: sample(10_000), 1


def main() -> None:
    functions = {one.__name__: one for one in (contexts, full_loss, scores, sampling)}
    names = read_names(split_path("train"))
    prepare, work, repeats = functions[sys.argv[1]](names, read_vocabulary())
    prepare()
    start = time.perf_counter()
    work()
    print(json.dumps({"seconds": (time.perf_counter() - start) / repeats}))


if __name__ == "__main__":
    main()
