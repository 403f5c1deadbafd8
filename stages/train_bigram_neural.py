"""Train the neural bigram: one weight matrix by full-batch gradient descent.

    python -m stages.train_bigram_neural    data/contexts/bigram/train.safetensors
        → data/models/bigram_neural.safetensors, plots/bigram_neural.csv, metrics/bigram_neural.json

It is the counting bigram found another way: its loss falls towards that of the counts.
"""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from stages import InputError, contexts, files, models, params


def loss(W: Tensor, frequencies: Tensor) -> Tensor:
    """Return the average negative log-likelihood over all examples, in nats per character.

    The sum over 27 x 27 pairs, each weighted by its share of the examples, is the same value
    as the notebooks' mean over one one-hot row an example.

    Args:
        W: (symbols, symbols) float32, row: logits of what follows one symbol.
        frequencies: (symbols, symbols) float32, share of all examples; sums to 1.
    """
    return -(frequencies * F.log_softmax(W, dim=1)).sum()


def train(
    counts: np.ndarray, seed: int, steps: int, lr: float, l2: float
) -> tuple[Tensor, pd.DataFrame]:
    """Return the trained W and the loss of each step, before its update.

    Args:
        counts: (symbols, symbols) int64, row: context, column: next.
        l2: weight of mean(W**2), a part of the `objective` that is minimised, not of `nll`.

    Raises:
        InputError: the objective is no longer finite.
    """
    frequencies = torch.from_numpy(counts / counts.sum()).float()
    W = torch.randn(counts.shape, generator=torch.Generator().manual_seed(seed), requires_grad=True)
    curve = []
    for step in tqdm(range(steps), desc="train_bigram_neural", disable=None):
        nll = loss(W, frequencies)
        objective = nll + l2 * (W**2).mean()
        if not objective.isfinite():
            raise InputError(
                f"train_bigram_neural: the objective is {objective:g} at step {step}; "
                f"lower bigram_neural.lr, now {lr:g}"
            )
        curve.append((step, nll.item(), objective.item()))
        (gradient,) = torch.autograd.grad(objective, W)
        with torch.no_grad():
            W -= lr * gradient
    return W.detach(), pd.DataFrame(curve, columns=["step", "nll", "objective"])


def main() -> None:
    settings = params.load().bigram_neural
    itos = files.read_json(files.DATA / "vocabulary.json")
    examples = files.read_tensors(files.DATA / "contexts" / "bigram" / "train.safetensors")
    counts = contexts.pair_counts(examples["contexts"], examples["targets"], len(itos))
    W, curve = train(counts, settings.seed, settings.steps, settings.lr, settings.l2)
    last = curve.iloc[-1]

    models.write("bigram_neural", {"W": W})
    files.write_table(files.PLOTS / "bigram_neural.csv", curve)
    files.write_json(
        files.METRICS / "bigram_neural.json", {"nll": last["nll"], "objective": last["objective"]}
    )
    first = curve["nll"].iloc[0]
    print(f"train_bigram_neural: nll {first:.4f} → {last['nll']:.4f} in {settings.steps} steps")


if __name__ == "__main__":
    main()
