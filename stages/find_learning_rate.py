"""Search a learning rate for the MLP as the lecture does: let it rise and watch the loss.

    python -m stages.find_learning_rate    data/contexts/mlp/train.safetensors
        → data/learning_rate.csv, plots/learning_rate.{csv,svg}, metrics/find_learning_rate.json

It stands beside train_mlp and changes nothing there: the choice stays yours.
"""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from charlm import InputError, plots as figures, storage as files, params
from charlm.models import mlp as models
from charlm.models.mlp import Parameters
from charlm.runtime import afford, run


def spaced(lowest: float, highest: float, steps: int) -> list[float]:
    """Return evenly spaced exponents from the lowest to the highest.

    >>> spaced(-3, 0, steps=4)
    [-3.0, -2.0, -1.0, 0.0]
    """
    return [lowest + (highest - lowest) * step / (steps - 1) for step in range(steps)]


def search(
    parameters: Parameters,
    contexts: Tensor,
    targets: Tensor,
    exponents: list[float],
    batch_size: int,
    generator: Generator,
) -> list[float]:
    """Take one step of plain gradient descent at each rate, each on a batch of its own.

    Args:
        parameters: of the MLP, changed in place.
        contexts: (examples, block size) int64.
        targets: (examples,) int64.
        exponents: the rates are ten to the power of these.
        batch_size: examples a step, drawn with replacement.
        generator: of all draws.

    Returns:
        The loss of each step before its update; as many as are finite.
    """
    for tensor in parameters.values():
        tensor.requires_grad_()
    losses = []
    for exponent in tqdm(exponents, desc="find_learning_rate", disable=None):
        rows = torch.randint(len(targets), (batch_size,), generator=generator)
        loss = F.cross_entropy(models.mlp_logits(parameters, contexts[rows]), targets[rows])
        if not loss.isfinite():
            break
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        with torch.no_grad():
            for tensor, gradient in zip(parameters.values(), gradients, strict=True):
                tensor -= 10.0**exponent * gradient
    return losses


def smooth(nll: pd.Series) -> pd.Series:
    """Return the mean over a window of 15 % of the steps around each; shorter at both ends."""
    window = max(1, len(nll) * 15 // 100)
    return nll.rolling(window, center=True, min_periods=(window + 1) // 2).mean()


def thin(curve: pd.DataFrame) -> pd.DataFrame:
    """Return every row, or every second, third, ... so that 500 are left at most, for git."""
    return curve.iloc[:: -(-len(curve) // 500)]


def main() -> None:
    settings = params.load().find_learning_rate
    itos = files.read_vocabulary()
    examples = files.read_examples("mlp", "train", len(itos))
    count, block_size = examples["contexts"].shape
    afford(
        "this search",
        models.mlp_memory(
            len(itos), block_size, settings.embedding, settings.hidden, 1, settings.batch_size
        )
        + 10 * count * (block_size + 1),  # the examples, and once more as int64
        "lower embedding, hidden or batch_size of find_learning_rate, or take fewer names",
    )
    contexts, targets = (torch.from_numpy(examples[key]).long() for key in ("contexts", "targets"))
    generator = Generator().manual_seed(settings.seed)
    parameters = models.start_mlp(
        len(itos), block_size, settings.embedding, settings.hidden, settings.init, generator
    )
    exponents = spaced(settings.lowest, settings.highest, settings.steps)
    losses = search(parameters, contexts, targets, exponents, settings.batch_size, generator)
    if not losses:
        raise InputError("find_learning_rate: the first loss is not finite; use init: scaled")
    curve = pd.DataFrame({"exponent": exponents[: len(losses)], "nll": losses})
    curve.insert(1, "lr", [10.0**exponent for exponent in curve["exponent"]])
    curve["smoothed_nll"] = smooth(curve["nll"])
    valley = curve.loc[curve["smoothed_nll"].idxmin()]

    files.write_table(files.DATA / "learning_rate.csv", curve)
    files.write_table(files.PLOTS / "learning_rate.csv", thin(curve))
    files.write_bytes(files.PLOTS / "learning_rate.svg", figures.learning_rate(curve, valley))
    metrics = {"exponent": float(valley["exponent"]), "lr": float(valley["lr"])}
    files.write_json(files.METRICS / "find_learning_rate.json", metrics)
    print(
        f"find_learning_rate: the loss is lowest near 10^{metrics['exponent']:.2f} = "
        f"{metrics['lr']:.3f}, {valley['smoothed_nll']:.3f} nats"
    )


if __name__ == "__main__":
    run(main)
