"""Time one function of this project in a separate process, and print the seconds.

    python -m benchmarks.timed NAME    NAME: contexts, full_loss, scores or sampling

What is imported or done once is not timed: the work is done briefly before the clock runs.
"""

import json
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator

from charlm import params
from charlm.examples import build_examples, next_counts
from charlm.models.mlp import MLP
from charlm.names import read_names
from charlm.sampling import sample_names
from charlm.scoring import Characters, score_characters
from charlm.storage import split_path
from charlm.vocabulary import read_vocabulary

Work = Callable[[], object]
REPEATS = 20  # of what is too short to be timed once


def contexts(names: list[str], itos: list[str]) -> tuple[Work, Work, int]:
    """Build the contexts of all training names."""
    return (
        lambda: build_examples(names[:100], itos, block_size=3),
        lambda: build_examples(names, itos, block_size=3),
        1,
    )


def full_loss(names: list[str], itos: list[str]) -> tuple[Work, Work, int]:
    """Compute the MLP's loss over all training examples, by their unique contexts."""
    model = MLP.load(len(itos))
    examples = build_examples(names, itos, model.block_size)
    found = next_counts(examples["contexts"], examples["targets"], len(itos))
    unique = torch.from_numpy(found.contexts).long()
    shares = torch.from_numpy(found.counts / found.counts.sum()).float()

    def losses() -> None:
        for _ in range(REPEATS):
            -(shares * F.log_softmax(model(unique), dim=1)).sum()

    return losses, losses, REPEATS


def scores(names: list[str], itos: list[str]) -> tuple[Work, Work, int]:
    """Score all training names under the MLP."""
    model = MLP.load(len(itos))
    number: dict[str, int] = {}
    unique_name = [number.setdefault(name, len(number)) for name in names]
    examples = build_examples(names, itos, model.block_size)
    characters = Characters.of(examples, torch.tensor(unique_name).numpy())

    def score() -> None:
        score_characters(model, characters)

    return score, score, 1


def sampling(_: list[str], itos: list[str]) -> tuple[Work, Work, int]:
    """Sample 10,000 names from the MLP."""
    model = MLP.load(len(itos))
    settings = params.load().sample.model_copy(update={"temperature": 1.0, "max_length": 30})

    def sample(count: int) -> None:
        sample_names(model, itos, count, settings, Generator().manual_seed(1))

    return lambda: sample(10), lambda: sample(10_000), 1


def main() -> None:
    functions = {
        function.__name__: function for function in (contexts, full_loss, scores, sampling)
    }
    prepare, work, repeats = functions[sys.argv[1]](
        read_names(split_path("train")), read_vocabulary()
    )
    prepare()
    start = time.perf_counter()
    work()
    print(json.dumps({"seconds": (time.perf_counter() - start) / repeats}))


if __name__ == "__main__":
    main()
