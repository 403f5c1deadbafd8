"""The MLP: embedding, hidden layers and softmax, of Bengio et al. (2003).

Here a trained one computes its logits; `charlm.networks.mlp` is the same network as it is trained.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import numpy as np

from charlm.data.tensors import Arrays
from charlm.models.base import Model, Shapes


def gelu(x: np.ndarray) -> np.ndarray:
    """Return x times the probability that N(0, 1) is below x (Hendrycks & Gimpel 2016)."""
    from scipy.special import erf  # most models need no scipy

    return x * (1 + erf(x / 2**0.5)) / 2


# in the order of charlm.networks.mlp
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"tanh": np.tanh, "gelu": gelu}


class MLP(Model):
    """The neural language model of Bengio et al. (2003), section 2.

    Its arrays, all float32, are C (symbols, embedding), then weights and biases of each layer:
    W1 (block size * embedding, hidden), b1 (hidden,), W2, b2 and so on, the last with one column
    per symbol. A model with direct connections, W in equation 1 of the paper, also has `direct`
    (block size * embedding, symbols). One whose activation is not tanh also stores its number in
    ACTIVATIONS, int64.
    """

    name: ClassVar[str] = "mlp"
    stage: ClassVar[str] = "train_mlp"

    def __init__(self, arrays: Arrays, symbols: int, *components: Model) -> None:
        super().__init__(arrays, symbols, *components)
        self.block_size = len(arrays["W1"]) // arrays["C"].shape[1]
        self.layers = sum(key.startswith("W") for key in arrays) - 1
        self.activation = [*ACTIVATIONS.values()][int(arrays.get("activation", 0))]

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logits of the next symbol, float32."""
        embedded = self.arrays["C"][contexts[:, -self.block_size :]].reshape(len(contexts), -1)
        x = embedded
        for layer in range(1, self.layers + 1):
            x = self.activation(x @ self.arrays[f"W{layer}"] + self.arrays[f"b{layer}"])
        last = self.layers + 1
        logits: np.ndarray = x @ self.arrays[f"W{last}"] + self.arrays[f"b{last}"]
        if "direct" in self.arrays:
            logits += embedded @ self.arrays["direct"]
        return logits

    def expected_shapes(self) -> Shapes:
        """Return the shapes for the sizes, layers and optional arrays of the model."""
        embedding, hidden = self.arrays["C"].shape[1], self.arrays["W1"].shape[1]
        block_size = len(self.arrays["W1"]) // embedding
        layers = sum(key.startswith("W") for key in self.arrays) - 1
        shapes: Shapes = {"C": ("float32", (self.symbols, embedding))}
        widths = [block_size * embedding, *[hidden] * layers, self.symbols]
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            shapes[f"W{layer}"] = ("float32", (fan_in, fan_out))
            shapes[f"b{layer}"] = ("float32", (fan_out,))
        if "direct" in self.arrays:
            shapes["direct"] = ("float32", (widths[0], self.symbols))
        if "activation" in self.arrays:
            number = self.arrays["activation"]
            if number.size != 1 or int(number.item()) not in range(len(ACTIVATIONS)):
                raise ValueError(f"activation {number.tolist()} is unknown")
            shapes["activation"] = ("int64", ())
        return shapes
