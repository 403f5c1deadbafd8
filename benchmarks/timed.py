"""Time one side of one comparison in a process of its own, and print the seconds.

    python -m benchmarks.timed SIDE NAME    SIDE: notebooks or project

What is imported or done once is not timed: each side does its work briefly before the clock runs.
The project's modules are imported for its own side only, because they pin the arithmetic.
"""

import json
import sys
import time
from collections.abc import Callable

Work = Callable[[], float | None]  # returns the loss on dev, if that is what it is about
Timed = tuple[Work, Work, int]  # what comes before the clock runs, what is timed, steps in it


def nothing(function: Callable, *arguments: object) -> Work:
    """Return a call whose result does not matter."""

    def work() -> None:
        function(*arguments)

    return work


def notebooks(name: str) -> Timed:
    """Return the notebooks' side of a comparison."""
    import torch

    from benchmarks import notebooks as nb

    train, dev = nb.read("train"), nb.read("dev")
    if name == "contexts":
        return nothing(nb.build_dataset, train[:100], 3), nothing(nb.build_dataset, train, 3), 1
    X, Y = nb.build_dataset(train, 3)
    model = nb.start()
    if name == "training":
        Xdev, Ydev = nb.build_dataset(dev, 3)

        def work() -> float:
            nb.train_mlp(model, X, Y, steps=200_000)
            return nb.loss(model, Xdev, Ydev)

        return nothing(nb.train_mlp, nb.start(), X, Y, 100), work, 1
    if name == "full_loss":

        def losses() -> None:
            for _ in range(20):
                nb.loss(model, X, Y)

        return losses, losses, 20
    if name == "neural_step":
        xs = X[:, -1].contiguous()
        return (
            nothing(nb.train_neural_bigram, xs, Y, 2),
            nothing(nb.train_neural_bigram, xs, Y, 20),
            20,
        )
    from safetensors.numpy import load_file

    # the project's trained MLP, so that both sides sample from one model
    stored = load_file("data/models/mlp.safetensors")
    trained = [torch.from_numpy(stored[name]) for name in ("C", "W1", "b1", "W2", "b2")]
    return nothing(nb.sample, trained, 10), nothing(nb.sample, trained, 10_000), 1


def project(name: str) -> Timed:
    """Return the project's side of a comparison."""
    from charlm import storage as files, params
    from stages import build_contexts

    names = {
        split: files.read_names(files.DATA / f"splits/{split}.txt") for split in ("train", "dev")
    }
    itos = files.read_vocabulary()
    if name == "contexts":
        return (
            nothing(build_contexts.build, names["train"][:100], itos, 3),
            nothing(build_contexts.build, names["train"], itos, 3),
            1,
        )
    import pandas as pd
    import torch
    from torch import Generator

    from charlm import examples as contexts
    from charlm.models import base as stored
    from stages import evaluate, sample, train_bigram_neural, train_mlp, train_ngram_count
    from tools import recipes

    def split(block_size: int) -> dict:
        return {key: build_contexts.build(some, itos, block_size) for key, some in names.items()}

    def training(block_size: int, changes: dict) -> Timed:
        built = split(block_size)
        settings = params.load().mlp.model_copy(update=changes)

        def work(steps: int) -> float:
            train, dev = (train_mlp.Examples.of(arrays, len(itos)) for arrays in built.values())
            generator = Generator().manual_seed(settings.seed)
            model = train_mlp.start(len(itos), block_size, settings, generator)
            chosen = settings.model_copy(update={"steps": steps})
            train_mlp.train(model, train, dev, chosen, generator)
            return train_mlp.full_loss(model, dev).item()

        return lambda: work(2), lambda: work(settings.steps), 1

    if name == "ngram_count":
        examples = build_contexts.build(names["train"], itos, params.load().ngram_count.order - 1)

        def count() -> None:
            levels = train_ngram_count.levels(examples, len(itos))
            train_ngram_count.train(levels, len(itos))

        return count, count, 1
    if name.startswith("recipe "):
        known = {k: v for group in recipes.load().values() for k, v in group.recipes.items()}
        chosen = recipes.overridden(known[name.removeprefix("recipe ")].overrides)
        return training(chosen["contexts"]["block_size"], chosen["mlp"])
    if name == "to_2.17":
        return training(3, {"steps": 150, "batch_size": 512, "lr": 0.05})
    if name == "to_2.05":
        changes = {"steps": 1200, "batch_size": 512, "lr": 0.015, "weight_decay": 0.1}
        return training(6, changes)
    built, none = split(3)["train"], build_contexts.build([], itos, 3)
    parameters = stored.read("mlp", len(itos))
    if name == "full_loss":
        train = train_mlp.Examples.of(built, len(itos))

        def losses() -> None:
            for _ in range(20):
                with torch.no_grad():
                    train_mlp.full_loss(parameters, train)

        return losses, losses, 20
    if name == "full_step":
        train, dev = train_mlp.Examples.of(built, len(itos)), train_mlp.Examples.of(none, len(itos))
        settings = params.load().mlp

        def full_steps(number: int) -> None:
            chosen = settings.model_copy(update={"batch_size": None, "steps": number})
            start = {name: tensor.clone() for name, tensor in parameters.items()}
            train_mlp.train(start, train, dev, chosen, Generator())

        return lambda: full_steps(2), lambda: full_steps(20), 20
    if name == "scores":
        which, _ = pd.factorize(pd.Series(names["train"]))
        characters = evaluate.Characters.of(built, which)
        score = nothing(evaluate.score, "mlp", parameters, characters)
        return score, score, 1
    if name == "neural_step":
        counts = contexts.pair_counts(built["contexts"][:, -1:], built["targets"], len(itos))
        shares = torch.from_numpy(counts / counts.sum()).float()

        def steps(number: int) -> None:
            train_bigram_neural.train(shares, seed=1, steps=number, lr=50, l2=0.01)

        return lambda: steps(2), lambda: steps(2000), 2000

    def names_of(count: int) -> None:
        sample.sample("mlp", parameters, itos, count, 1.0, 30, Generator().manual_seed(1))

    return lambda: names_of(10), lambda: names_of(10_000), 1


def main() -> None:
    side, name = sys.argv[1:]
    before, work, steps = {"notebooks": notebooks, "project": project}[side](name)
    before()
    start = time.perf_counter()
    loss = work()
    print(json.dumps({"seconds": (time.perf_counter() - start) / steps, "loss": loss}))


if __name__ == "__main__":
    main()
