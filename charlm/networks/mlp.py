"""The MLP as it is trained: embedding, hidden layers and softmax, of Bengio et al. (2003).

`charlm.models.mlp` computes the same logits from the stored tensors, without torch.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from charlm.data.tensors import Arrays

# GELU: Hendrycks & Gimpel 2016
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "gelu": F.gelu}
GAINS = {"tanh": 5 / 3, "gelu": 2**0.5}


class MLP(nn.Module):
    """The neural language model of Bengio et al. (2003), section 2.

    Its parameters, all float32, are C (symbols, embedding), then weights and biases of each layer:
    W1 (block size * embedding, hidden), b1 (hidden,), W2, b2 and so on, the last with one column
    per symbol. A model with direct connections, W in equation 1 of the paper, also has `direct`
    (block size * embedding, symbols). One whose activation is not tanh also stores its number in
    ACTIVATIONS, int64.
    """

    def __init__(
        self,
        symbols: int,
        block_size: int,
        embedding: int,
        hidden: int,
        layers: int = 1,
        activation: str = "tanh",
        direct: bool = False,
    ) -> None:
        super().__init__()
        self.block_size = block_size
        self.layers = layers
        self.activation_name = activation
        self.C = nn.Parameter(torch.empty(symbols, embedding))
        widths = [block_size * embedding, *[hidden] * layers, symbols]
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            self.register_parameter(f"W{layer}", nn.Parameter(torch.empty(fan_in, fan_out)))
            self.register_parameter(f"b{layer}", nn.Parameter(torch.empty(fan_out)))
        # the last parameter, so that the others are drawn as without it
        self.direct = nn.Parameter(torch.empty(widths[0], symbols)) if direct else None
        if activation != "tanh":
            self.register_buffer("activation", torch.tensor(list(ACTIVATIONS).index(activation)))

    @torch.no_grad()
    def initialise(self, init: Literal["scaled", "normal"], generator: Generator) -> None:
        """Draw the parameters before training.

        `normal` is the lecture's start: all N(0, 1), drawn in the order C, W1, b1, W2, b2, direct.
        `scaled` draws the same numbers, then multiplies the weights of hidden layers by
        gain / sqrt(fan-in) (He et al. 2015; the gain is 5/3 for tanh, sqrt(2) for gelu) and those
        of the last layer and of direct connections by 0.01, and sets the biases to 0: the first
        loss is then close to that of a uniform guess.
        """
        for parameter in self.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        if init == "scaled":
            for layer in range(1, self.layers + 2):
                W, b = self.layer(layer)
                W *= GAINS[self.activation_name] / len(W) ** 0.5 if layer <= self.layers else 0.01
                b *= 0.0
            if self.direct is not None:
                self.direct.mul_(0.01)

    def layer(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the weights and biases of a layer, numbered from 1."""
        return self.get_parameter(f"W{number}"), self.get_parameter(f"b{number}")

    def forward(self, contexts: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return the logits of the next symbol.

        Args:
            contexts: (rows, at least block size), int64.
            drop: dropout, applied to the output of each hidden layer.

        Returns:
            (rows, symbols), float32.
        """
        activation = ACTIVATIONS[self.activation_name]
        embedded = F.embedding(contexts[:, -self.block_size :], self.C).flatten(start_dim=1)
        x = embedded
        for number in range(1, self.layers + 1):
            W, b = self.layer(number)
            x = activation(torch.addmm(b, x, W))
            x = x if drop is None else drop(x)
        W, b = self.layer(self.layers + 1)
        logits = torch.addmm(b, x, W)
        return logits if self.direct is None else torch.addmm(logits, embedded, self.direct)

    def arrays(self) -> Arrays:
        """Return the tensors as they are stored."""
        return {key: tensor.numpy() for key, tensor in self.state_dict().items()}


def count_parameters(
    symbols: int,
    block_size: int,
    embedding: int,
    hidden: int,
    layers: int = 1,
    direct: bool = False,
) -> tuple[int, int]:
    """Return the number of parameters of an MLP, and its number of units per row, unbuilt."""
    widths = [block_size * embedding, *[hidden] * layers, symbols]
    parameters = symbols * embedding + sum((m + 1) * n for m, n in pairwise(widths))
    parameters += direct * widths[0] * symbols
    return parameters, sum(widths)
