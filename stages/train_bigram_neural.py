"""Train the neural bigram: one weight matrix by full-batch gradient descent.

    python -m stages.train_bigram_neural    data/contexts/bigram/train.safetensors
        → data/models/bigram_neural.safetensors, plots/bigram_neural.csv,
          plots/bigram_probabilities.svg, metrics/bigram_neural.json

It is the counting bigram found another way: its loss falls towards that of the counts.
"""

import math

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from charlm import InputError, examples as contexts, plots as figures, storage as files, params
from charlm.models import base as stored
from charlm.runtime import run


def loss(W: Tensor, frequencies: Tensor) -> Tensor:
    """Return the average negative log-likelihood over all examples, in nats per character.

    The sum over 27 x 27 pairs, each weighted by its share of the examples, is the same value
    as the notebooks' mean over one one-hot row an example.

    Args:
        W: (symbols, symbols) float32, row: logits of what follows one symbol.
        frequencies: (symbols, symbols) float32, share of all examples; sums to 1.
    """
    return -(frequencies * F.log_softmax(W, dim=1)).sum()


def objective(nll: Tensor, W: Tensor, l2: float) -> Tensor:
    """Return what is minimised: the loss with the penalty, which is no part of the loss."""
    return nll + l2 * (W**2).mean()


def train(
    frequencies: Tensor, seed: int, steps: int, lr: float, l2: float
) -> tuple[Tensor, pd.DataFrame]:
    """Return the trained W, and the loss and objective of each step before its update.

    Args:
        frequencies: (symbols, symbols) float32, share of all examples; sums to 1.
        seed: of the start, N(0, 1).
        steps: of full-batch gradient descent.
        lr: learning rate.
        l2: weight of mean(W**2) in the objective.

    Raises:
        InputError: the objective is no longer finite.
    """
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(frequencies.shape, generator=generator, requires_grad=True)
    curve = []
    for step in tqdm(range(steps), desc="train_bigram_neural", disable=None):
        nll = loss(W, frequencies)
        total = objective(nll, W, l2)
        curve.append((step, nll.item(), finite(total, step, lr)))
        (gradient,) = torch.autograd.grad(total, W)
        with torch.no_grad():
            W -= lr * gradient
    return W.detach(), pd.DataFrame(curve, columns=["step", "nll", "objective"])


def finite(total: Tensor, step: int, lr: float) -> float:
    """Return an objective as a number.

    Raises:
        InputError: it is NaN or infinite.
    """
    value = total.item()
    if not math.isfinite(value):
        raise InputError(
            f"train_bigram_neural: the objective is {value} at step {step}; "
            f"lower bigram_neural.lr, now {lr:g}"
        )
    return value


def main() -> None:
    settings = params.load().bigram_neural
    itos = files.read_vocabulary()
    examples = files.read_examples("bigram", "train", len(itos))
    counts = contexts.pair_counts(examples["contexts"], examples["targets"], len(itos))
    frequencies = torch.from_numpy(counts / counts.sum()).float()
    W, curve = train(frequencies, settings.seed, settings.steps, settings.lr, settings.l2)
    nll = loss(W, frequencies)
    total = finite(objective(nll, W, settings.l2), settings.steps, settings.lr)
    tables = {
        "counted, in percent": counts / counts.sum(axis=1, keepdims=True).clip(min=1),
        "learned by gradient descent, in percent": W.softmax(dim=1).numpy(),
    }
    metrics = {"nll": nll.item(), "objective": total}

    stored.write("bigram_neural", {"W": W})
    files.write_table(files.PLOTS / "bigram_neural.csv", curve)
    files.write_bytes(
        files.PLOTS / "bigram_probabilities.svg",
        figures.pair_probabilities(tables, itos, counts.sum(axis=0)),
    )
    files.write_json(files.METRICS / "bigram_neural.json", metrics)
    print(
        f"train_bigram_neural: {settings.steps} steps: "
        f"nll {curve['nll'].iloc[0]:.4f} → {metrics['nll']:.4f} on train"
    )


if __name__ == "__main__":
    run(main)
