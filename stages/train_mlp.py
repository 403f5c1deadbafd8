"""Train the MLP: embedding, hidden layers, softmax (Bengio et al. 2003).

python -m stages.train_mlp    data/contexts/mlp/{train,dev}.safetensors
    → data/models/mlp.safetensors, data/embedding.json, plots/mlp.csv, metrics/mlp.csv

While it trains, plots/mlp.csv has the losses so far.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, model_path, write_json
from charlm.data.examples import MAX_CELLS, SparseTable, count_next, read_examples, unique_contexts
from charlm.data.memory import check_network_memory
from charlm.data.tensors import Arrays, write_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.networks.mlp import MLP, count_parameters
from charlm.optimizers import OPTIMIZERS
from charlm.projection import principal_plane
from charlm.tables import write_facts
from charlm.training import Dropout, History, check_finite, dropout, learning_rate, load_start


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
    return check_finite(full_loss(model, examples), "mlp", step, settings.lr, settings.schedule)


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


def train(
    model: MLP,
    examples: Examples,
    dev: Examples,
    settings: params.Mlp,
    generator: Generator,
    watch: Callable[[History], None] = lambda history: None,
) -> History:
    """Train the model in place.

    With `keep: best_on_dev` it ends with the parameters that had the lowest loss on dev.

    Args:
        watch: gets the losses so far, whenever the loss on dev was measured.

    Returns:
        The losses, those on train with dropout.

    Raises:
        InputError: a loss is no longer finite, or there are no dev names to choose the best step.
    """
    history = History("mlp", settings.steps, settings.keep, has_dev=len(dev.targets) > 0)
    model.requires_grad_()
    drop = dropout(settings.dropout, generator)
    optimizer = OPTIMIZERS[settings.optimizer]([*model.parameters()], settings.weight_decay)
    progress = tqdm(range(settings.steps), desc="train_mlp", disable=None)
    for step in progress:
        if step in history.dev_steps:
            history.add_dev(step, measured_loss(model, dev, step, settings), model)
            watch(history)
        if settings.batch_size is None:
            loss = full_loss(model, examples, drop)
        else:
            loss = batch_loss(model, examples, settings, generator, drop)
        nll = check_finite(loss, "mlp", step, settings.lr, settings.schedule)
        history.add_train(step, nll)
        progress.set_postfix_str(f"nll {nll:z.4f}", refresh=False)

        model.zero_grad()
        loss.backward()
        optimizer.step(
            learning_rate(step, settings.lr, settings.steps, settings.schedule, settings.parts)
        )

    model.requires_grad_(False)
    for parameter in model.parameters():
        largest = parameter.abs().max()
        check_finite(
            largest, "mlp", settings.steps, settings.lr, settings.schedule, what="a parameter"
        )
    if history.dev_steps:
        nll = measured_loss(model, dev, settings.steps, settings)
        history.add_dev(settings.steps, nll, model)
    history.restore_best(model)
    return history


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
    parameters, units = count_parameters(*sizes, settings.layers, settings.direct)
    check_network_memory(
        "training this MLP",
        parameters,
        activations=units * contexts_at_once(examples, dev, settings.batch_size),
        advice="lower mlp.hidden, mlp.embedding, mlp.layers, mlp.batch_size or contexts.block_size",
    )
    generator = Generator().manual_seed(settings.seed)
    model = MLP(*sizes, settings.layers, settings.activation, settings.direct)
    model.initialise(settings.init, generator)
    if settings.start_from:
        load_start(model, "mlp", Path(settings.start_from), settings.start_from_sha256)
    planes = {"before training": principal_plane(model.C)}
    history = train(model, examples, dev, settings, generator, watch=History.write)
    planes["after"] = principal_plane(model.C)
    train_nll = measured_loss(model, examples, settings.steps, settings)

    write_tensors(model_path("mlp"), model.arrays())
    history.write()
    write_json(DATA / "embedding.json", planes)
    write_facts(METRICS / "mlp.csv", {"parameters": parameters})
    start = f" from {settings.start_from}" if settings.start_from else ""
    print(
        f"train_mlp: {parameters:,} parameters, {settings.steps:,} steps{start}: "
        f"nll {train_nll:z.4f} on train{history.describe_dev()}"
    )


if __name__ == "__main__":
    run_stage(main)
