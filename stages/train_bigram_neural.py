"""Train the neural bigram: one weight matrix by full-batch gradient descent.

    python -m stages.train_bigram_neural    data/contexts/bigram/train.safetensors
        → data/models/bigram_neural.safetensors, plots/bigram_neural.csv

It reaches the counting bigram by optimisation: its loss falls towards that of the counts.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from charlm import params
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage
from charlm.core.storage import PLOTS, model_path
from charlm.data.examples import bigram_counts, read_examples
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.tables import write_rows


def loss(W: Tensor, frequencies: Tensor) -> Tensor:
    """Return the average negative log-likelihood of all examples, in nats per character.

    The sum over 27 x 27 pairs, each weighted by its share of the examples, equals the notebooks'
    mean over one one-hot row per example.

    Args:
        W: (symbols, symbols) float32, row: logits of what follows one symbol.
        frequencies: (symbols, symbols) float32, shares of all examples; they sum to 1.
    """
    return -(frequencies * F.log_softmax(W, dim=1)).sum()


def objective(nll: Tensor, W: Tensor, l2: float) -> Tensor:
    """Return the objective of the training: the loss plus the L2 penalty."""
    return nll + l2 * (W**2).mean()


def train(
    frequencies: Tensor, settings: params.BigramNeural
) -> tuple[Tensor, list[tuple[int, float, float]]]:
    """Draw W from N(0, 1) and train it.

    Args:
        frequencies: (symbols, symbols) float32, shares of all examples; they sum to 1.
        settings: seed, steps, learning rate and L2 penalty.

    Returns:
        W (symbols, symbols) float32, row: logits of what follows one symbol; and the curve: number
        of updates, and the loss and the objective after them.

    Raises:
        InputError: the objective is no longer finite.
    """
    generator = Generator().manual_seed(settings.seed)
    W = torch.randn(frequencies.shape, generator=generator, requires_grad=True)
    curve = []
    for step in tqdm(range(settings.steps + 1), desc="train_bigram_neural", disable=None):
        nll = loss(W, frequencies)
        total = objective(nll, W, settings.l2)
        curve.append((step, nll.item(), check_finite(total, step, settings.lr)))
        if step < settings.steps:
            (gradient,) = torch.autograd.grad(total, W)
            with torch.no_grad():
                W -= settings.lr * gradient
    return W.detach(), curve


def check_finite(total: Tensor, step: int, lr: float) -> float:
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
    symbols = len(read_vocabulary())
    counts = bigram_counts(read_examples("bigram", "train", symbols), symbols)
    frequencies = torch.from_numpy(counts / counts.sum()).float()
    W, curve = train(frequencies, settings)

    write_tensors(model_path("bigram_neural"), {"W": W.numpy()})
    write_rows(PLOTS / "bigram_neural.csv", ["step", "nll", "objective"], curve)
    (_, first_nll, _), (steps, last_nll, _) = curve[0], curve[-1]
    print(f"train_bigram_neural: {steps:,} steps: nll {first_nll:z.4f} → {last_nll:z.4f} on train")


if __name__ == "__main__":
    run_stage(main)
