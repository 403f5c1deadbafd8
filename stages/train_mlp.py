"""Train the MLP: embedding, hidden layers, softmax (Bengio et al. 2003).

python -m stages.train_mlp    data/contexts/mlp/{train,dev}.safetensors
    → data/models/mlp.safetensors, data/embedding.json, plots/mlp.csv, metrics/mlp.csv

While it trains, plots/mlp.csv has the losses so far.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from charlm import params
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, PLOTS, model_path, write_json
from charlm.data.examples import MAX_CELLS, SparseTable, count_next, read_examples, unique_contexts
from charlm.data.memory import check_network_memory
from charlm.data.tensors import Arrays, write_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.networks.mlp import MLP, count_parameters
from charlm.optimizers import OPTIMIZERS
from charlm.projection import principal_plane
from charlm.tables import write_facts, write_rows

MAX_POINTS = 21  # per split in plots/mlp.csv, which is in git; and the lowest on dev
MAX_MEASUREMENTS = {"last": MAX_POINTS, "best_on_dev": 201}  # of the loss on dev
WORTH_KEEPING = 0.01  # nats per character by which the last loss on dev is above the lowest

Curve = list[tuple[int, float]]  # step and NLL
Dropout = Callable[[Tensor], Tensor]


class Examples(NamedTuple):
    """The examples of a split, grouped by their unique contexts."""

    contexts: Tensor  # (unique, block size) int64: each context once
    inverse: Tensor  # (examples,) int64: the row of each example's context
    targets: Tensor  # (examples,) int64: the symbol that follows
    shares: SparseTable  # (unique, symbols) float32: share of all examples

    @classmethod
    def of(cls, arrays: Arrays, symbols: int) -> Self:
        """Group stored examples by their contexts."""
        unique, inverse = unique_contexts(arrays["contexts"])
        counts = count_next(inverse, arrays["targets"], symbols)
        shares = (counts.values / max(1, len(inverse))).astype(np.float32)
        return cls(
            contexts=torch.from_numpy(unique).long(),
            inverse=torch.from_numpy(inverse),
            targets=torch.from_numpy(arrays["targets"]).long(),
            shares=counts._replace(values=shares),
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
    size = max(1, MAX_CELLS // examples.shares.symbols)
    total = torch.zeros(())
    for first in range(0, len(examples.contexts), size):
        contexts = examples.contexts[first : first + size]
        shares = torch.from_numpy(examples.shares.dense(np.arange(first, first + len(contexts))))
        # added up one by one: small tensors kept between large ones would fragment the memory
        total = total + (shares * F.log_softmax(model(contexts, drop), dim=1)).sum()
    return -total


@torch.no_grad()
def measured_loss(model: MLP, examples: Examples, step: int, settings: params.Mlp) -> float:
    """Return `full_loss` as a number, computed without memory for gradients.

    Raises:
        InputError: it is no longer finite.
    """
    return check_finite(full_loss(model, examples), step, settings)


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
        shares = torch.from_numpy(examples.shares.dense(unique.numpy()))
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


def thinned(curve: Curve, last: int) -> Curve:
    """Return the points of a curve at evenly spaced steps from 0 to `last`, and the lowest."""
    steps = evenly_spaced(last, MAX_POINTS) | {lowest(curve)[0]} if curve else set()
    return [point for point in curve if point[0] in steps]


def write_curves(curve: Curve, dev_curve: Curve, last: int) -> None:
    """Write the losses on train, and on dev at evenly spaced steps and where it is lowest.

    Args:
        last: the last step at which the loss on dev is measured.
    """
    curves = {"train": curve, "dev": thinned(dev_curve, last)}
    rows = [(split, step, nll) for split, points in curves.items() for step, nll in points]
    write_rows(PLOTS / "mlp.csv", ["split", "step", "nll"], rows)


def train(
    model: MLP,
    examples: Examples,
    dev: Examples,
    settings: params.Mlp,
    generator: Generator,
    watch: Callable[[Curve, Curve], None] = lambda curve, dev_curve: None,
) -> tuple[Curve, Curve]:
    """Train the model in place.

    With `keep: best_on_dev` it ends with the parameters that had the lowest loss on dev.

    Args:
        watch: gets both curves so far, whenever the loss on dev was measured.

    Returns:
        Step and batch loss before its update, with dropout; and number of updates and dev loss
        after them. Both are at evenly spaced steps; the second is empty if dev is.

    Raises:
        InputError: a loss is no longer finite, or there are no dev names to choose the best step.
    """
    keeps_best = settings.keep == "best_on_dev"
    if keeps_best and not len(dev.targets):
        raise InputError("train_mlp: dev is empty; raise split.dev, or set mlp.keep to last")
    model.requires_grad_()
    drop = dropout(settings.dropout, generator)
    optimizer = OPTIMIZERS[settings.optimizer]([*model.parameters()], settings.weight_decay)
    curve: Curve = []
    dev_curve: Curve = []
    curve_steps = evenly_spaced(settings.steps - 1, MAX_POINTS)
    dev_points = MAX_MEASUREMENTS[settings.keep] if len(dev.targets) else 0
    dev_steps = evenly_spaced(settings.steps, dev_points) if dev_points else set()

    progress = tqdm(range(settings.steps), desc="train_mlp", disable=None)
    for step in progress:
        if step in dev_steps:
            dev_curve.append((step, measured_loss(model, dev, step, settings)))
            watch(curve, dev_curve)
            if keeps_best and lowest(dev_curve)[0] == step:
                best = deepcopy(model.state_dict())
        if settings.batch_size is None:
            loss = full_loss(model, examples, drop)
        else:
            loss = batch_loss(model, examples, settings, generator, drop)
        nll = check_finite(loss, step, settings)
        if step in curve_steps:
            curve.append((step, nll))
            progress.set_postfix_str(f"nll {nll:z.4f}", refresh=False)

        model.zero_grad()
        loss.backward()
        optimizer.step(learning_rate(step, settings))

    model.requires_grad_(False)
    for parameter in model.parameters():
        check_finite(parameter.abs().max(), settings.steps, settings, "a parameter")
    if dev_steps:
        dev_curve.append((settings.steps, measured_loss(model, dev, settings.steps, settings)))
    if keeps_best and lowest(dev_curve)[0] < settings.steps:
        model.load_state_dict(best)
    return curve, dev_curve


def lowest(curve: Curve) -> tuple[int, float]:
    """Return the first point of a curve with the lowest loss.

    >>> lowest([(0, 3.3), (10, 2.1), (20, 2.4)])
    (10, 2.1)
    """
    return min(curve, key=lambda point: point[1])


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


def describe_dev(curve: Curve, keep: str) -> str:
    """Return what is printed about the losses on dev.

    >>> describe_dev([(0, 3.3), (10, 2.1), (20, 2.4)], keep="last")
    ', 2.4000 on dev (lowest after step 10: 2.1000; to keep that: mlp.keep=best_on_dev)'
    """
    if not curve:
        return ""
    (step, best), (last_step, last) = lowest(curve), curve[-1]
    if keep == "best_on_dev":
        return f", {best:z.4f} on dev (kept: after step {step:,}, the lowest)"
    if step == last_step:
        return f", {last:z.4f} on dev (the lowest)"
    how = "; to keep that: mlp.keep=best_on_dev" if last - best > WORTH_KEEPING else ""
    return f", {last:z.4f} on dev (lowest after step {step:,}: {best:z.4f}{how})"


def contexts_at_once(examples: Examples, dev: Examples, batch_size: int | None) -> int:
    """Return for how many contexts at most the model is computed at once.

    A step of the training computes a batch, or all contexts; `full_loss` limits itself.
    """
    contexts = len(examples.contexts)
    measured = min(max(contexts, len(dev.contexts)), MAX_CELLS // examples.shares.symbols)
    return max(min(contexts, batch_size or contexts), measured)


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
        activations=units * contexts_at_once(examples, dev, settings.batch_size),
        advice="lower mlp.hidden, mlp.embedding, mlp.layers, mlp.batch_size or contexts.block_size",
    )
    generator = Generator().manual_seed(settings.seed)
    model = MLP(*sizes, settings.layers, settings.activation)
    model.initialise(settings.init, generator)
    planes = {"before training": principal_plane(model.C)}
    write = partial(write_curves, last=settings.steps)
    curve, dev_curve = train(model, examples, dev, settings, generator, watch=write)
    planes["after"] = principal_plane(model.C)
    train_nll = measured_loss(model, examples, settings.steps, settings)

    write_tensors(model_path("mlp"), model.arrays())
    write(curve, dev_curve)
    write_json(DATA / "embedding.json", planes)
    write_facts(METRICS / "mlp.csv", {"parameters": parameters})
    print(
        f"train_mlp: {parameters:,} parameters, {settings.steps:,} steps: "
        f"nll {train_nll:z.4f} on train{describe_dev(dev_curve, settings.keep)}"
    )


if __name__ == "__main__":
    run_stage(main)
