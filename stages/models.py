"""The three models: their logits from named tensors, and where the MLP starts.

A model is a dict of named tensors and one function `logits(parameters, contexts)`. Sizes live
in the tensors' shapes, so a stored model needs nothing else to be read back. A model takes
from the right end of a context as much as it looks at; the bigrams look at one symbol.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from stages import files

# Sums are split among threads, so their number is part of the result. One is as fast as two at
# small batches, and does not wait for another where experiments run side by side.
torch.set_num_threads(1)

Parameters = dict[str, Tensor]


def bigram_count_logits(parameters: Parameters, contexts: Tensor) -> Tensor:
    """Return the logs of the stored probabilities P, (symbols, symbols) float64."""
    return parameters["P"].log()[contexts[:, -1]]


def bigram_neural_logits(parameters: Parameters, contexts: Tensor) -> Tensor:
    """Return the rows of W, (symbols, symbols): what a one-hot vector times W gives."""
    return parameters["W"][contexts[:, -1]]


def mlp_logits(parameters: Parameters, contexts: Tensor) -> Tensor:
    """Return the logits of the neural language model of Bengio et al. (2003), section 2.

    Args:
        parameters: C (symbols, embedding), W1 (block size * embedding, hidden), b1 (hidden,),
            W2 (hidden, symbols), b2 (symbols,), all float32.
        contexts: (rows, at least block size), int64.

    Returns:
        (rows, symbols), float32.
    """
    C, W1, b1, W2, b2 = (parameters[name] for name in ("C", "W1", "b1", "W2", "b2"))
    embedded = F.embedding(contexts[:, -block_size(parameters) :], C).flatten(start_dim=1)
    hidden = torch.tanh(torch.addmm(b1, embedded, W1))
    return torch.addmm(b2, hidden, W2)


def block_size(parameters: Parameters) -> int:
    """Return how many symbols of a context a model looks at: 1, unless it embeds more."""
    return len(parameters["W1"]) // parameters["C"].shape[1] if "W1" in parameters else 1


MODELS: dict[str, Callable[[Parameters, Tensor], Tensor]] = {
    "bigram_count": bigram_count_logits,
    "bigram_neural": bigram_neural_logits,
    "mlp": mlp_logits,
}


def start_mlp(
    symbols: int,
    block_size: int,
    embedding: int,
    hidden: int,
    init: Literal["scaled", "normal"],
    generator: Generator,
) -> Parameters:
    """Return the MLP's parameters before training.

    `normal` is the lecture's start: all N(0, 1), drawn in the order C, W1, b1, W2, b2. `scaled`
    draws the same numbers, then multiplies W1 by (5/3) / sqrt(fan-in) (He et al. 2015, with
    the gain of tanh) and W2 by 0.01, and sets both biases to 0: the first loss is then close
    to that of a uniform guess.
    """
    fan_in = block_size * embedding
    shapes = {
        "C": (symbols, embedding),
        "W1": (fan_in, hidden),
        "b1": (hidden,),
        "W2": (hidden, symbols),
        "b2": (symbols,),
    }
    parameters = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    if init == "scaled":
        for name, factor in {"W1": (5 / 3) / fan_in**0.5, "b1": 0.0, "W2": 0.01, "b2": 0.0}.items():
            parameters[name] *= factor
    return parameters


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the log of softmax over the last dimension, float64, for logits of any size."""
    return F.log_softmax(logits.double(), dim=-1)


def principal_plane(C: Tensor) -> tuple[np.ndarray, list[str]]:
    """Return where the symbols of an embedding stand in two dimensions.

    Args:
        C: (symbols, embedding) float32.

    Returns:
        (symbols, 2) float64, and what the two axes are. An embedding of more than two dimensions
        is projected on its first two principal components; one of one dimension lies on a line.
    """
    dimensions = C.shape[1]
    if dimensions <= 2:
        places = F.pad(C.double(), (0, 2 - dimensions))
        return places.numpy(), ["dimension 1", "dimension 2"][:dimensions] + [""] * (2 - dimensions)
    centred = C.double() - C.double().mean(dim=0)
    U, S, _ = torch.linalg.svd(centred, full_matrices=False)
    # a component's sign is arbitrary: let its largest entry point up
    U = U * U.gather(0, U.abs().argmax(dim=0, keepdim=True)).sign()
    shares = S**2 / (S**2).sum()
    labels = [
        f"{which} principal component: {share:.0%} of the variance"
        for which, share in zip(("first", "second"), shares.tolist(), strict=False)
    ]
    return (U * S)[:, :2].numpy(), labels


def write(name: str, parameters: Parameters) -> None:
    """Store a trained model in data/models."""
    files.write_tensors(path(name), {key: tensor.numpy() for key, tensor in parameters.items()})


def read(name: str) -> Parameters:
    """Read a trained model from data/models."""
    tensors = files.read_tensors(path(name))
    return {key: torch.from_numpy(tensor) for key, tensor in tensors.items()}


def path(name: str) -> Path:
    """Return where the trained model of this name is stored."""
    return files.DATA / "models" / f"{name}.safetensors"
