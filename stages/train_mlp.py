"""Train the MLP: embedding, hidden layers, softmax (Bengio et al. 2003).

python -m stages.train_mlp    data/contexts/mlp/{train,dev}.safetensors
    → data/models/mlp.safetensors, plots/{mlp,mlp_dev}.csv, data/embedding.json, metrics/mlp.json
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from charlm import params
from charlm.errors import InputError
from charlm.examples import next_counts, read_examples
from charlm.models.mlp import MLP, count_parameters
from charlm.optimizers import OPTIMIZERS
from charlm.projection import principal_plane
from charlm.runtime import check_network_memory, run_stage
from charlm.storage import DATA, METRICS, PLOTS, model_path, write_json
from charlm.tables import write_rows
from charlm.tensors import Arrays, write_tensors
from charlm.vocabulary import read_vocabulary

MAX_TRAIN_POINTS = 500  # rows of plots/mlp.csv
MAX_DEV_POINTS = 21  # rows of plots/mlp_dev.csv

Curve = list[tuple[int, float]]  # step and NLL
Dropout = Callable[[Tensor], Tensor]


class Examples(NamedTuple):
    """The examples of a split, grouped by their unique contexts."""

    contexts: Tensor  # (unique, block size) int64: each context once
    shares: Tensor  # (unique, symbols) float32: share of all examples, by context and next symbol
    inverse: Tensor  # (examples,) int64: the row of each example's context
    targets: Tensor  # (examples,) int64: the symbol that follows

    @classmethod
    def of(cls, arrays: Arrays, symbols: int) -> Self:
        """Group stored examples by their contexts, as tensors."""
        found = next_counts(arrays["contexts"], arrays["targets"], symbols)
        return cls(
            contexts=torch.from_numpy(found.contexts).long(),
            shares=torch.from_numpy(found.counts / max(1, found.counts.sum())).float(),
            inverse=torch.from_numpy(found.inverse),
            targets=torch.from_numpy(arrays["targets"]).long(),
        )


def learning_rate(step: int, settings: params.Mlp) -> float:
    """Return the learning rate of a step, counted from 0.

    `step_decay` is the lecture's: lr, and a tenth of it in the second half. `one_cycle` (Smith &
    Topin 2018) rises linearly over the first tenth of the steps, then falls to 0 along a cosine;
    `cosine` falls from the first step on (Loshchilov & Hutter 2017).
    """
    if settings.schedule == "step_decay" and step >= settings.steps // 2:
        return settings.lr / 10
    if settings.schedule in ("one_cycle", "cosine"):
        warmup = settings.steps / 10 if settings.schedule == "one_cycle" else 0
        if step < warmup:
            return settings.lr * (step + 1) / (warmup + 1)
        progress = (step - warmup) / (settings.steps - warmup)
        return settings.lr * (1 + math.cos(math.pi * progress)) / 2
    return settings.lr


def full_loss(model: MLP, examples: Examples, drop: Dropout | None = None) -> Tensor:
    """Return the average negative log-likelihood of all examples, in nats per character."""
    logits = model(examples.contexts, drop)
    return -(examples.shares * F.log_softmax(logits, dim=1)).sum()


def batch_loss(
    model: MLP,
    examples: Examples,
    settings: params.Mlp,
    generator: Generator,
    drop: Dropout | None = None,
) -> Tensor:
    """Return the average negative log-likelihood of a batch drawn with replacement.

    With `drawn` targets it is the lecture's, over the symbols that follow in the examples drawn.
    With `expected` targets it is the expectation of that loss given the drawn contexts: the same on
    average, with less variance (Rao 1945, Blackwell 1947). A context that is drawn
    several times is computed once, with one dropout mask.

    Args:
        settings: `batch_size`, not None, and `targets`.
    """
    size = settings.batch_size or len(examples.targets)
    rows = torch.randint(len(examples.targets), (size,), generator=generator)
    unique, inverse, counts = examples.inverse[rows].unique(return_inverse=True, return_counts=True)
    logits = model(examples.contexts[unique], drop)
    if settings.targets == "expected":
        shares = examples.shares[unique]
        weights = shares * (counts / shares.sum(dim=1)).unsqueeze(1)
    else:
        pairs = inverse * logits.shape[1] + examples.targets[rows]
        weights = pairs.bincount(minlength=logits.numel()).view_as(logits)
    total: Tensor = (weights * F.log_softmax(logits, dim=1)).sum()
    return -total / size


def dropout(share: float, generator: Generator) -> Dropout | None:
    """Return a function that zeroes a share of a tensor and rescales the rest; None if it is 0.

    Srivastava et al. (2014). `F.dropout` takes no generator.
    """

    def drop(x: Tensor) -> Tensor:
        is_kept = torch.rand(x.shape, generator=generator) >= share
        return x * is_kept / (1 - share)

    return drop if share else None


def evenly_spaced(last: int, points: int) -> set[int]:
    """Return at most `points` integers from 0 to `last`, both included.

    >>> sorted(evenly_spaced(last=9, points=4))
    [0, 3, 6, 9]
    """
    gaps = max(1, min(last, points - 1))
    return {last * number // gaps for number in range(gaps + 1)}


def train(
    model: MLP, examples: Examples, dev: Examples, settings: params.Mlp, generator: Generator
) -> tuple[Curve, Curve]:
    """Train the model in place.

    Returns:
        Step and batch loss before its update, with dropout; and number of updates and dev loss
        after them. Both are at evenly spaced steps; the second is empty if dev is.

    Raises:
        InputError: a loss is no longer finite.
    """
    model.requires_grad_()
    drop = dropout(settings.dropout, generator)
    optimizer = OPTIMIZERS[settings.optimizer]([*model.parameters()], settings.weight_decay)
    curve: Curve = []
    dev_curve: Curve = []
    curve_steps = evenly_spaced(settings.steps - 1, MAX_TRAIN_POINTS)
    dev_steps = evenly_spaced(settings.steps, MAX_DEV_POINTS) if len(dev.targets) else set()

    progress = tqdm(range(settings.steps), desc="train_mlp", disable=None)
    for step in progress:
        if step in dev_steps:
            dev_curve.append((step, check_finite(full_loss(model, dev), step, settings)))
        if settings.batch_size is None:
            loss = full_loss(model, examples, drop)
        else:
            loss = batch_loss(model, examples, settings, generator, drop)
        nll = check_finite(loss, step, settings)
        if step in curve_steps:
            curve.append((step, nll))
            progress.set_postfix_str(f"nll {nll:.4f}", refresh=False)

        model.zero_grad()
        loss.backward()
        optimizer.step(learning_rate(step, settings))

    model.requires_grad_(False)
    for parameter in model.parameters():
        check_finite(parameter.abs().max(), settings.steps, settings, "a parameter")
    if dev_steps:
        dev_nll = check_finite(full_loss(model, dev), settings.steps, settings)
        dev_curve.append((settings.steps, dev_nll))
    return curve, dev_curve


def check_finite(value: Tensor, step: int, settings: params.Mlp, what: str = "the loss") -> float:
    """Return a loss, or another value, as a number.

    Raises:
        InputError: it is NaN or infinite.
    """
    number = value.item()
    if not math.isfinite(number):
        raise InputError(
            f"train_mlp: {what} is {number} at step {step}; lower mlp.lr, now {settings.lr:g}"
        )
    return number


def main() -> None:
    settings = params.load().mlp
    symbols = len(read_vocabulary())
    examples, dev = (
        Examples.of(read_examples("mlp", split, symbols), symbols) for split in ("train", "dev")
    )
    sizes = (symbols, examples.contexts.shape[1], settings.embedding, settings.hidden)
    parameters, units = count_parameters(*sizes, settings.layers)
    check_network_memory(
        "training this MLP",
        parameters,
        activations=units * max(len(examples.contexts), len(dev.contexts)),
        advice="lower mlp.hidden, mlp.embedding or mlp.layers",
    )
    generator = Generator().manual_seed(settings.seed)
    model = MLP(*sizes, settings.layers, settings.activation)
    model.initialise(settings.init, generator)
    planes = {"before training": principal_plane(model.C)}
    curve, dev_curve = train(model, examples, dev, settings, generator)
    planes["after"] = principal_plane(model.C)
    train_nll = check_finite(full_loss(model, examples), settings.steps, settings)
    first_nll, last_nll = curve[0][1], curve[-1][1]

    write_tensors(model_path("mlp"), model.arrays())
    write_rows(PLOTS / "mlp.csv", ["step", "nll"], curve)
    write_rows(PLOTS / "mlp_dev.csv", ["step", "nll"], dev_curve)
    write_json(DATA / "embedding.json", planes)
    metrics = {"nll_first": first_nll, "nll_last": last_nll, "parameters": parameters}
    write_json(METRICS / "mlp.json", metrics)
    on_dev = f", {dev_curve[-1][1]:.4f} on dev" if dev_curve else ""
    print(
        f"train_mlp: {parameters:,} parameters, {settings.steps:,} steps: "
        f"nll {first_nll:.4f} → {train_nll:.4f} on train{on_dev}"
    )


if __name__ == "__main__":
    run_stage(main)
