"""Train a GRU: a state that reads the name from its beginning (Cho et al. 2014).

python -m stages.train_gru    data/splits/{train,dev}.txt, data/vocabulary.json
    → data/models/gru.safetensors, plots/gru.csv, metrics/gru.csv

An ensemble of GRUs is trained one after the other; plots/gru.csv has the losses of the last one.
It is not part of the pipeline until `python -m tools.add_network gru`.
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
from charlm.networks.gru import GRU, count_parameters, stacked
from charlm.optimizers import AdamW
from charlm.tables import write_facts
from charlm.training import History, batches, check_finite, dropout, learning_rate

MEASURED_NAMES = 1024  # whose loss is computed at once
MAX_GRADIENT_NORM = 1.0


def loss(
    model: GRU, examples: PrefixExamples, names: np.ndarray, masks: list[Tensor] | None = None
) -> Tensor:
    """Return the NLL of some names, in nats per character, whose targets are expected.

    Their prefixes are computed once each. The target is what follows a prefix in all names.

    Args:
        names: (names,) int64, their numbers.
        masks: of the dropout; see `GRU.forward`.
    """
    levels, prefixes, counts = examples.tree.of_names(names)
    weights = examples.shares.dense(prefixes) * (counts / counts.sum())[:, None]
    logits = model(levels, masks)
    total: Tensor = (torch.from_numpy(weights) * F.log_softmax(logits, dim=1)).sum()
    return -total


@torch.no_grad()
def measured_loss(model: GRU, examples: PrefixExamples, step: int, lr: float) -> float:
    """Return the NLL of all names, in nats per character.

    Raises:
        InputError: it is no longer finite.
    """
    total = torch.zeros(())
    characters = (examples.tree.paths >= 0).sum(axis=1)
    for first in range(0, examples.names, MEASURED_NAMES):
        names = np.arange(first, min(first + MEASURED_NAMES, examples.names))
        total += loss(model, examples, names) * characters[names].sum()
    return check_finite(total / characters.sum(), "gru", step, lr)


def train(
    model: GRU,
    examples: PrefixExamples,
    dev: PrefixExamples,
    settings: params.Gru,
    generator: Generator,
) -> History:
    """Train the model in place.

    Returns:
        The losses, those on train with dropout.

    Raises:
        InputError: a loss is no longer finite.
    """
    history = History("gru", settings.steps, "last", has_dev=dev.names > 0)
    model.requires_grad_()
    drops = [dropout(share, generator) for share in (settings.dropout, settings.output_dropout)]
    optimizer = AdamW([*model.parameters()], settings.weight_decay)
    drawn = batches(examples.names, settings.batch_size, generator)
    progress = tqdm(range(settings.steps), desc="train_gru", disable=None)
    for step in progress:
        if step in history.dev_steps:
            history.add_dev(step, measured_loss(model, dev, step, settings.lr), model)
            history.write()
        names = next(drawn)
        ones = torch.ones(len(names), model.hidden)
        masks = [drop(ones) if drop else ones for drop in drops]
        nll = loss(model, examples, names, masks)
        history.add_train(step, check_finite(nll, "gru", step, settings.lr))

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
    settings = params.required(params.load().gru, "gru")
    vocabulary = read_vocabulary()
    examples = PrefixExamples.read("train", vocabulary, settings.unique)
    dev = PrefixExamples.read("dev", vocabulary)
    parameters = count_parameters(len(vocabulary), settings.hidden)
    at_once = max(settings.batch_size, MEASURED_NAMES) * examples.tree.paths.shape[1]
    check_network_memory(
        "training this GRU",
        parameters,
        activations=at_once * (8 * settings.hidden + 2 * len(vocabulary)),
        advice="lower gru.hidden or gru.batch_size",
    )
    networks = []
    for number in range(settings.ensemble):
        generator = Generator().manual_seed(settings.seed + number)
        network = GRU(len(vocabulary), settings.hidden)
        network.initialise(generator)
        history = train(network, examples, dev, settings, generator)
        train_nll = measured_loss(network, examples, settings.steps, settings.lr)
        networks.append(network)
        print(
            f"train_gru: {parameters:,} parameters, {settings.steps:,} steps: "
            f"nll {train_nll:z.4f} on train{history.describe_dev()}"
        )

    write_tensors(model_path("gru"), stacked(networks, vocabulary.start))
    history.write()
    write_facts(METRICS / "gru.csv", {"parameters": settings.ensemble * parameters})


if __name__ == "__main__":
    run_stage(main)
