"""The models: their logits from named tensors, and where the MLP starts.

A model is a dict of named tensors and one function `logits(parameters, contexts)`. Sizes live
in the tensors' shapes, so a stored model needs nothing else to be read back. A model takes
from the right end of a context as much as it looks at; the bigrams look at one symbol.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from charlm import InputError
from charlm.examples import distinct
from charlm.runtime import afford

# Sums are split among threads, so their number is part of the result. One is as fast as two at
# small batches, and does not wait for another where experiments run side by side.
torch.set_num_threads(1)

Parameters = dict[str, Tensor]
ROWS = 2**16  # contexts to compute at once: what is in between then takes little memory
ACTIVATIONS = {"tanh": torch.tanh, "gelu": F.gelu}  # Hendrycks & Gimpel 2016


def bigram_count_logits(parameters: Parameters, contexts: Tensor) -> Tensor:
    """Return the logs of the stored probabilities P, (symbols, symbols) float64."""
    return parameters["P"].log()[contexts[:, -1]]


def bigram_neural_logits(parameters: Parameters, contexts: Tensor) -> Tensor:
    """Return the rows of W, (symbols, symbols): what a one-hot vector times W gives."""
    return parameters["W"][contexts[:, -1]]


def ngram_count_logits(parameters: Parameters, contexts: Tensor) -> Tensor:
    """Return the logs of the probabilities stored for the longest known end of each context.

    Args:
        parameters: P0 (1, symbols) float64, the probabilities after no context, and for each length
            n from 1: Pn (contexts, symbols) float64, after the contexts of n symbols that stand
            in train, and keysn (contexts,) int64, rising: the row of a context without its first
            symbol, times the symbols, plus that symbol.
        contexts: (rows, at least block size), int64.

    Returns:
        (rows, symbols), float64.
    """
    P = parameters["P0"].repeat(len(contexts), 1)
    known = torch.arange(len(contexts))
    row = torch.zeros(len(contexts), dtype=torch.int64)
    for length in range(1, block_size(parameters) + 1):
        keys = parameters[f"keys{length}"]
        key = row * P.shape[1] + contexts[known, -length]
        row = torch.searchsorted(keys, key).clamp(max=len(keys) - 1)
        found = keys[row] == key
        known, row = known[found], row[found]
        P[known] = parameters[f"P{length}"][row]
    return P.log()


def mlp_logits(
    parameters: Parameters, contexts: Tensor, drop: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return the logits of the neural language model of Bengio et al. (2003), section 2.

    Args:
        parameters: C (symbols, embedding), then weights and biases of each layer: W1 (block size *
            embedding, hidden), b1 (hidden,), W2, b2 and so on, the last with a column a symbol, all
            float32. A model whose activation is not tanh has its place in ACTIVATIONS, too.
        contexts: (rows, at least block size), int64.
        drop: dropout, applied to what each hidden layer gives.

    Returns:
        (rows, symbols), float32.
    """
    activation = list(ACTIVATIONS.values())[int(parameters.get("activation", 0))]
    last = sum(name.startswith("W") for name in parameters)
    x = F.embedding(contexts[:, -block_size(parameters) :], parameters["C"]).flatten(start_dim=1)
    for layer in range(1, last):
        x = activation(torch.addmm(parameters[f"b{layer}"], x, parameters[f"W{layer}"]))
        x = x if drop is None else drop(x)
    return torch.addmm(parameters[f"b{last}"], x, parameters[f"W{last}"])


def block_size(parameters: Parameters) -> int:
    """Return how many symbols of a context a model looks at; the bigrams look at 1."""
    if "weight" in parameters:
        return max(block_size(part(parameters, name)) for name in MIXED)
    if "W1" in parameters:
        return len(parameters["W1"]) // parameters["C"].shape[1]
    return max(1, sum(name.startswith("keys") for name in parameters))


def mixture_logits(parameters: Parameters, contexts: Tensor) -> Tensor:
    """Return the logs of w times the MLP's probabilities plus 1 - w times the n-gram model's.

    Args:
        parameters: `weight` (), float64, and those of both models, as `read` brings them together.
        contexts: (rows, at least block size), int64.

    Returns:
        (rows, symbols), float64.
    """
    first, second = (
        log_probabilities(MODELS[name](part(parameters, name), contexts)) for name in MIXED
    )
    weight = parameters["weight"]
    return torch.logaddexp(first + weight.log(), second + (1 - weight).log())


def part(parameters: Parameters, name: str) -> Parameters:
    """Return the parameters of one of the models that a mixture is made of."""
    prefix = f"{name}."
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in parameters.items()
        if key.startswith(prefix)
    }


def mix(parameters: Parameters, parts: dict[str, Parameters]) -> Parameters:
    """Add the parameters of other models, each named after its model; the counterpart of `part`."""
    named = (
        (f"{name}.{key}", tensor) for name, part in parts.items() for key, tensor in part.items()
    )
    return parameters | dict(named)


MODELS: dict[str, Callable[[Parameters, Tensor], Tensor]] = {
    "bigram_count": bigram_count_logits,
    "bigram_neural": bigram_neural_logits,
    "ngram_count": ngram_count_logits,
    "mlp": mlp_logits,
    "mixture": mixture_logits,
}
MIXED = ("mlp", "ngram_count")


def start_mlp(
    symbols: int,
    block_size: int,
    embedding: int,
    hidden: int,
    init: Literal["scaled", "normal"],
    generator: Generator,
    layers: int = 1,
    activation: Literal["tanh", "gelu"] = "tanh",
) -> Parameters:
    """Return the MLP's parameters before training.

    `normal` is the lecture's start: all N(0, 1), drawn in the order C, W1, b1, W2, b2. `scaled`
    draws the same numbers, then multiplies the weights of hidden layers by gain / sqrt(fan-in)
    (He et al. 2015; the gain is 5/3 for tanh, sqrt(2) for gelu) and the last ones by 0.01, and
    sets the biases to 0: the first loss is then close to that of a uniform guess.
    """
    widths = [block_size * embedding, *[hidden] * layers, symbols]
    parameters = {"C": torch.randn((symbols, embedding), generator=generator)}
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        parameters[f"W{layer}"] = torch.randn((fan_in, fan_out), generator=generator)
        parameters[f"b{layer}"] = torch.randn((fan_out,), generator=generator)
        if init == "scaled":
            gain = {"tanh": 5 / 3, "gelu": 2**0.5}[activation]
            parameters[f"W{layer}"] *= gain / fan_in**0.5 if layer <= layers else 0.01
            parameters[f"b{layer}"] *= 0.0
    if activation != "tanh":
        parameters["activation"] = torch.tensor(list(ACTIVATIONS).index(activation))
    return parameters


def mlp_memory(
    symbols: int, block_size: int, embedding: int, hidden: int, layers: int, rows: int
) -> int:
    """Estimate what training an MLP takes at its peak, in bytes.

    Six numbers a parameter: itself, its gradient, the optimizer's two, and the file twice; four a
    unit and row: what a layer gives, and what comes back.

    Args:
        rows: contexts whose loss is computed at once.
    """
    widths = [block_size * embedding, *[hidden] * layers, symbols]
    parameters = symbols * embedding + sum(
        (fan_in + 1) * fan_out for fan_in, fan_out in pairwise(widths)
    )
    return 4 * (6 * parameters + 4 * rows * sum(widths))


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the log of softmax over the last dimension, float64, for logits of any size."""
    return F.log_softmax(logits.double(), dim=-1)


def next_log_probabilities(
    name: str, parameters: Parameters, contexts: np.ndarray
) -> tuple[Tensor, np.ndarray]:
    """Return what a model says of the next symbol, each distinct context computed once.

    Args:
        name: the model's name.
        parameters: its tensors.
        contexts: (examples, at least block size), symbol numbers.

    Returns:
        (distinct, symbols) float64, and (examples,) int64: which row is that of each example.

    Raises:
        InputError: the contexts are too short for the model, or too many to hold all in memory.
    """
    looked_at = block_size(parameters)
    if looked_at > contexts.shape[1]:
        raise InputError(
            f"{name} looks at {looked_at} symbols, the contexts have {contexts.shape[1]}; run "
            "`dvc repro`"
        )
    found, index = distinct(contexts[:, -looked_at:])
    some = []
    for rows in torch.from_numpy(found).split(ROWS):
        some.append(log_probabilities(MODELS[name](parameters, rows.long())))
        afford(
            f"what {name} says after {len(found):,} contexts",
            3 * 8 * len(found) * some[0].shape[1],
            "take fewer names, or names of fewer different characters",
        )
    return torch.cat(some), index


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
