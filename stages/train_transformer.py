"""Train a transformer: attention to all symbols of the name so far (Vaswani et al. 2017).

python -m stages.train_transformer    data/splits/{train,dev}.txt, data/vocabulary.json
    → data/models/transformer.safetensors, plots/transformer.csv,
    metrics/transformer.csv

It is not part of the pipeline until `python -m tools.add_network transformer`.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import METRICS, model_path
from charlm.data.memory import check_network_memory
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.models.prefixes import PrefixExamples
from charlm.networks.transformer import Transformer, count_parameters
from charlm.optimizers import AdamW
from charlm.tables import write_facts
from charlm.training import Dropout, History, batches, check_finite, dropout, learning_rate

MEASURED_NAMES = 1024  # whose loss is computed at once
MAX_GRADIENT_NORM = 1.0


def loss(
    model: Transformer, examples: PrefixExamples, names: np.ndarray, drop: Dropout | None = None
) -> Tensor:
    """Return the NLL of some names, in nats per character, whose targets are expected.

    The target is what follows a prefix in all names.

    Args:
        names: (names,) int64, their numbers.
        drop: the dropout of what a block adds.
    """
    paths = examples.tree.paths[names]
    is_prefix = paths >= 0  # later positions change nothing before them
    logits = model(torch.from_numpy(examples.tree.symbols[paths]), drop)
    shares = torch.from_numpy(examples.shares.dense(paths[is_prefix]))
    total: Tensor = (shares * F.log_softmax(logits[torch.from_numpy(is_prefix)], dim=1)).sum()
    return -total / len(shares)


@torch.no_grad()
def measured_loss(model: Transformer, examples: PrefixExamples, step: int, lr: float) -> float:
    """Return the NLL of all names, in nats per character.

    Raises:
        InputError: it is no longer finite.
    """
    total = torch.zeros(())
    characters = (examples.tree.paths >= 0).sum(axis=1)
    for first in range(0, examples.names, MEASURED_NAMES):
        names = np.arange(first, min(first + MEASURED_NAMES, examples.names))
        total += loss(model, examples, names) * characters[names].sum()
    return check_finite(total / characters.sum(), "transformer", step, lr)


def train(
    model: Transformer,
    examples: PrefixExamples,
    dev: PrefixExamples,
    settings: params.Transformer,
    generator: Generator,
) -> History:
    """Train the model in place.

    Returns:
        The losses, those on train with dropout.

    Raises:
        InputError: a loss is no longer finite.
    """
    history = History("transformer", settings.steps, "last", has_dev=dev.names > 0)
    model.requires_grad_()
    drop = dropout(settings.dropout, generator)
    optimizer = AdamW([*model.parameters()], settings.weight_decay)
    drawn = batches(examples.names, settings.batch_size, generator)
    progress = tqdm(range(settings.steps), desc="train_transformer", disable=None)
    for step in progress:
        if step in history.dev_steps:
            history.add_dev(step, measured_loss(model, dev, step, settings.lr), model)
            history.write()
        nll = loss(model, examples, next(drawn), drop)
        history.add_train(step, check_finite(nll, "transformer", step, settings.lr))

        model.zero_grad()
        nll.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step(learning_rate(step, settings.lr, settings.steps, "one_cycle"))

    model.requires_grad_(False)
    if history.dev_steps:
        nll_on_dev = measured_loss(model, dev, settings.steps, settings.lr)
        history.add_dev(settings.steps, nll_on_dev, model)
    return history


def main() -> None:
    settings = params.required(params.load().transformer, "transformer")
    vocabulary = read_vocabulary()
    examples, dev = (PrefixExamples.read(split, vocabulary) for split in ("train", "dev"))
    parameters = count_parameters(len(vocabulary), settings.embedding, settings.blocks)
    at_once = max(settings.batch_size, MEASURED_NAMES) * examples.tree.paths.shape[1]
    check_network_memory(
        "training this transformer",
        parameters,
        activations=at_once * (16 * settings.embedding * settings.blocks + 2 * len(vocabulary)),
        advice="lower transformer.embedding, transformer.blocks or transformer.batch_size",
    )
    generator = Generator().manual_seed(settings.seed)
    model = Transformer(len(vocabulary), settings.embedding, settings.blocks, settings.heads)
    model.initialise(generator)
    history = train(model, examples, dev, settings, generator)
    train_nll = measured_loss(model, examples, settings.steps, settings.lr)

    write_tensors(model_path("transformer"), model.arrays(vocabulary.start))
    history.write()
    write_facts(METRICS / "transformer.csv", {"parameters": parameters})
    print(
        f"train_transformer: {parameters:,} parameters, {settings.steps:,} steps: "
        f"nll {train_nll:z.4f} on train{history.describe_dev()}"
    )


if __name__ == "__main__":
    run_stage(main)
