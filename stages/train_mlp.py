"""Train the MLP: embedding, hidden layers, softmax (Bengio et al. 2003).

python -m stages.train_mlp    data/contexts/mlp/{train,dev}.safetensors
    → data/models/mlp.safetensors, plots/{mlp,mlp_dev}.csv, plots/embedding.svg, metrics/mlp.json
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.optim import SGD, AdamW
from tqdm import tqdm

from charlm import InputError, examples as contexts, plots as figures, storage as files, params
from charlm.models import base as stored, mlp as models
from charlm.models.mlp import Parameters
from charlm.runtime import afford, run

TRAIN_POINTS = 500  # rows of plots/mlp.csv, at most
DEV_POINTS = 21  # rows of plots/mlp_dev.csv, at most


class Examples(NamedTuple):
    """A split's examples by their distinct contexts."""

    distinct: Tensor  # (distinct, block size) int64: each context once
    shares: Tensor  # (distinct, symbols) float32: share of all examples, by context and next
    index: Tensor  # (examples,) int64: which of the distinct contexts an example has
    targets: Tensor  # (examples,) int64: the symbol that follows

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray], symbols: int) -> Self:
        """Count the stored examples, and turn all into tensors."""
        found = contexts.next_counts(arrays["contexts"], arrays["targets"], symbols)
        return cls(
            distinct=torch.from_numpy(found.distinct).long(),
            shares=torch.from_numpy(found.counts / max(1, found.counts.sum())).float(),
            index=torch.from_numpy(found.index),
            targets=torch.from_numpy(arrays["targets"]).long(),
        )


def start(symbols: int, block_size: int, settings: params.Mlp, generator: Generator) -> Parameters:
    """Return the parameters before training."""
    return models.start_mlp(
        symbols,
        block_size,
        settings.embedding,
        settings.hidden,
        settings.init,
        generator,
        settings.layers,
        settings.activation,
    )


def learning_rate(step: int, settings: params.Mlp) -> float:
    """Return the rate of a step, counted from 0.

    `step_decay` is the lecture's: lr, and a tenth of it from the middle on. `one_cycle` (Smith &
    Topin 2018) rises in a straight line over the first tenth of the steps, then falls to 0
    along a cosine; `cosine` falls from the first step on (Loshchilov & Hutter 2017).
    """
    if settings.schedule == "step_decay" and step >= settings.steps // 2:
        return settings.lr / 10
    if settings.schedule in ("one_cycle", "cosine"):
        rise = settings.steps / 10 if settings.schedule == "one_cycle" else 0
        if step < rise:
            return settings.lr * (step + 1) / (rise + 1)
        return settings.lr * (1 + math.cos(math.pi * (step - rise) / (settings.steps - rise))) / 2
    return settings.lr


def full_loss(
    parameters: Parameters, examples: Examples, drop: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return the average negative log-likelihood of all examples, in nats per character."""
    logits = models.mlp_logits(parameters, examples.distinct, drop)
    return -(examples.shares * F.log_softmax(logits, dim=1)).sum()


def batch_loss(
    parameters: Parameters,
    examples: Examples,
    size: int,
    targets: Literal["expected", "drawn"],
    generator: Generator,
    drop: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the average negative log-likelihood of examples drawn with replacement.

    With `drawn` targets it is the lecture's, over the symbols that follow in the examples drawn.
    With `expected` ones it is the mean of that loss over all examples with the contexts drawn:
    the same on average, with less chance in it (Rao 1945, Blackwell 1947). A context that is drawn
    often is computed once, with one mask if there is dropout.
    """
    rows = torch.randint(len(examples.targets), (size,), generator=generator)
    drawn, index, times = examples.index[rows].unique(return_inverse=True, return_counts=True)
    logits = models.mlp_logits(parameters, examples.distinct[drawn], drop)
    if targets == "expected":
        shares = examples.shares[drawn]
        weights = shares * (times / shares.sum(dim=1)).unsqueeze(1)
    else:
        pairs = index * logits.shape[1] + examples.targets[rows]
        weights = pairs.bincount(minlength=logits.numel()).view_as(logits)
    return -(weights * F.log_softmax(logits, dim=1)).sum() / size


def dropout(share: float, generator: Generator) -> Callable[[Tensor], Tensor] | None:
    """Return a function that zeroes a share of a tensor and scales the rest up; none for 0.

    Srivastava et al. (2014). torch has one, but it takes no generator.
    """

    def drop(x: Tensor) -> Tensor:
        return x * (torch.rand(x.shape, generator=generator) >= share) / (1 - share)

    return drop if share else None


def spread(last: int, points: int) -> set[int]:
    """Return at most `points` whole numbers from 0 to `last`, both included, evenly spread.

    >>> sorted(spread(last=9, points=4))
    [0, 3, 6, 9]
    """
    gaps = max(1, min(last, points - 1))
    return {last * number // gaps for number in range(gaps + 1)}


def train(
    parameters: Parameters,
    examples: Examples,
    dev: Examples,
    settings: params.Mlp,
    generator: Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train the parameters in place.

    Returns:
        The loss of a step's batch before its update, with dropout, and the loss on dev after so
        many updates (no rows if dev is empty), each at evenly spread steps. Columns: step, nll.

    Raises:
        InputError: a loss is no longer finite.
    """
    # all but the number of the activation
    tensors = [tensor for tensor in parameters.values() if tensor.is_floating_point()]
    for tensor in tensors:
        tensor.requires_grad_()
    drop = dropout(settings.dropout, generator)
    make = SGD if settings.optimizer == "sgd" else AdamW
    optimizer = make(tensors, weight_decay=settings.weight_decay, fused=True)
    curve, dev_curve = [], []
    curve_steps = spread(settings.steps - 1, TRAIN_POINTS)
    dev_steps = spread(settings.steps, DEV_POINTS) if len(dev.targets) else set()

    progress = tqdm(range(settings.steps), desc="train_mlp", disable=None)
    for step in progress:
        if step in dev_steps:
            dev_curve.append((step, finite(full_loss(parameters, dev), step, settings)))
        if settings.batch_size is None:
            loss = full_loss(parameters, examples, drop)
        else:
            loss = batch_loss(
                parameters, examples, settings.batch_size, settings.targets, generator, drop
            )
        nll = finite(loss, step, settings)
        if step in curve_steps:
            curve.append((step, nll))
            progress.set_postfix_str(f"nll {nll:.4f}", refresh=False)

        optimizer.param_groups[0]["lr"] = learning_rate(step, settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for tensor in tensors:
        tensor.requires_grad_(False)
        finite(tensor.abs().max(), settings.steps, settings, "a parameter")
    if dev_steps:
        dev_nll = finite(full_loss(parameters, dev), settings.steps, settings)
        dev_curve.append((settings.steps, dev_nll))
    columns = ["step", "nll"]
    return pd.DataFrame(curve, columns=columns), pd.DataFrame(dev_curve, columns=columns)


def finite(loss: Tensor, step: int, settings: params.Mlp, what: str = "the loss") -> float:
    """Return a loss, or another value, as a number.

    Raises:
        InputError: it is NaN or infinite.
    """
    nll = loss.item()
    if not math.isfinite(nll):
        raise InputError(
            f"train_mlp: {what} is {nll} at step {step}; lower mlp.lr, now {settings.lr:g}"
        )
    return nll


def main() -> None:
    settings = params.load().mlp
    itos = files.read_vocabulary()
    examples, dev = (
        Examples.of(files.read_examples("mlp", split, len(itos)), len(itos))
        for split in ("train", "dev")
    )
    rows = max(len(examples.distinct), len(dev.distinct))
    size = (settings.embedding, settings.hidden, settings.layers)
    afford(
        "training this MLP",
        models.mlp_memory(len(itos), examples.distinct.shape[1], *size, rows),
        "lower mlp.hidden, mlp.embedding or mlp.layers",
    )
    generator = Generator().manual_seed(settings.seed)
    parameters = start(len(itos), examples.distinct.shape[1], settings, generator)
    planes = {"before training": models.principal_plane(parameters["C"])}
    curve, dev_curve = train(parameters, examples, dev, settings, generator)
    planes["after"] = models.principal_plane(parameters["C"])
    train_nll = finite(full_loss(parameters, examples), settings.steps, settings)
    frequency = examples.targets.bincount(minlength=len(itos)).numpy()
    picture = figures.embedding(planes, itos, frequency)
    metrics = {
        "nll_first": curve["nll"].iloc[0],
        "nll_last": curve["nll"].iloc[-1],
        "parameters": sum(
            tensor.numel() for key, tensor in parameters.items() if key != "activation"
        ),
    }

    stored.write("mlp", parameters)
    files.write_table(files.PLOTS / "mlp.csv", curve)
    files.write_table(files.PLOTS / "mlp_dev.csv", dev_curve)
    files.write_bytes(files.PLOTS / "embedding.svg", picture)
    files.write_json(files.METRICS / "mlp.json", metrics)
    on_dev = f", {dev_curve['nll'].iloc[-1]:.4f} on dev" if len(dev_curve) else ""
    print(
        f"train_mlp: {metrics['parameters']} parameters, {settings.steps} steps: "
        f"nll {metrics['nll_first']:.4f} → {train_nll:.4f} on train{on_dev}"
    )


if __name__ == "__main__":
    run(main)
