"""Search for a learning rate of the MLP as the lecture does: raise it step by step, watch the loss.

    python -m stages.find_learning_rate    data/contexts/mlp/train.safetensors
        → data/learning_rate.csv, plots/learning_rate.csv, metrics/find_learning_rate.csv

It runs beside train_mlp and changes nothing there: choosing a rate is left to the reader.
"""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from charlm import params
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, PLOTS
from charlm.data.examples import read_examples
from charlm.data.memory import check_network_memory
from charlm.data.vocabulary import read_vocabulary
from charlm.networks.mlp import MLP, count_parameters
from charlm.tables import write_facts, write_table

MAX_POINTS = 500  # rows of plots/learning_rate.csv, which is in git


def evenly_spaced(lowest: float, highest: float, steps: int) -> list[float]:
    """Return evenly spaced exponents from the lowest to the highest.

    >>> evenly_spaced(-3, 0, steps=4)
    [-3.0, -2.0, -1.0, 0.0]
    """
    return [lowest + (highest - lowest) * step / (steps - 1) for step in range(steps)]


def search(
    model: MLP,
    contexts: Tensor,
    targets: Tensor,
    exponents: list[float],
    batch_size: int,
    generator: Generator,
) -> list[float]:
    """Take one step of plain gradient descent at each rate, each on a new batch.

    Args:
        model: changed in place.
        contexts: (examples, block size) int64.
        targets: (examples,) int64.
        exponents: the rates are ten to the power of these.
        batch_size: examples per step, drawn with replacement.
        generator: for all random draws.

    Returns:
        The loss of each step before its update, up to the last finite one.
    """
    parameters = list(model.parameters())
    losses = []
    for exponent in tqdm(exponents, desc="find_learning_rate", disable=None):
        rows = torch.randint(len(targets), (batch_size,), generator=generator)
        loss = F.cross_entropy(model(contexts[rows]), targets[rows])
        if not loss.isfinite():
            break
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(10.0**exponent * gradient)
    return losses


def smooth(nll: "pd.Series[float]") -> "pd.Series[float]":
    """Return the centred rolling mean over 15 % of the steps, over fewer at both ends."""
    window = max(1, len(nll) * 15 // 100)
    return nll.rolling(window, center=True, min_periods=(window + 1) // 2).mean()


def thin(curve: pd.DataFrame) -> pd.DataFrame:
    """Return rows at a constant stride, at most MAX_POINTS of them."""
    return curve.iloc[:: -(-len(curve) // MAX_POINTS)]


def main() -> None:
    settings = params.load().find_learning_rate
    symbols = len(read_vocabulary())
    examples = read_examples("mlp", "train", symbols)
    sizes = (symbols, examples["contexts"].shape[1], settings.embedding, settings.hidden)
    parameters, units = count_parameters(*sizes)
    check_network_memory(
        "this search",
        parameters,
        activations=units * settings.batch_size,
        advice="lower embedding, hidden or batch_size of find_learning_rate",
    )
    contexts, targets = (torch.from_numpy(examples[key]).long() for key in ("contexts", "targets"))
    generator = Generator().manual_seed(settings.seed)
    model = MLP(*sizes)
    model.initialise(settings.init, generator)
    exponents = evenly_spaced(settings.lowest, settings.highest, settings.steps)
    losses = search(model, contexts, targets, exponents, settings.batch_size, generator)
    if not losses:
        raise InputError("find_learning_rate: the first loss is not finite; use init: scaled")
    curve = pd.DataFrame({"exponent": exponents[: len(losses)], "nll": losses})
    curve.insert(1, "lr", [10.0**exponent for exponent in curve["exponent"]])
    curve["smoothed_nll"] = smooth(curve["nll"])
    valley = curve.iloc[int(curve["smoothed_nll"].argmin())]

    write_table(DATA / "learning_rate.csv", curve)
    write_table(PLOTS / "learning_rate.csv", thin(curve))
    facts = {key: float(valley[key]) for key in ("exponent", "lr", "smoothed_nll")}
    write_facts(METRICS / "find_learning_rate.csv", facts)
    print(
        f"find_learning_rate: lowest loss {facts['smoothed_nll']:z.3f} at a rate of "
        f"10^{facts['exponent']:.2f} = {facts['lr']:.3f}"
    )


if __name__ == "__main__":
    run_stage(main)
