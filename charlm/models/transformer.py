"""The transformer: its logits from the stored tensors; `charlm.networks.transformer` trains it."""

from typing import ClassVar

import numpy as np

from charlm.models.base import Model, Shapes
from charlm.models.mlp import gelu
from charlm.models.prefixes import names_of_contexts

EPSILON = 1e-5  # added to a mean square, so that it is not 0
MAX_ACTIVATIONS = 2**21  # names times positions times hidden units that are computed at once


class Transformer(Model):
    """The transformer of `charlm.networks.transformer`, with arrays of the same names.

    It reads a name from its beginning; `start` () int64 is the symbol before it, and `heads` ()
    int64 their number.
    """

    name: ClassVar[str] = "transformer"
    stage: ClassVar[str] = "train_transformer"
    reads_whole_names: bool = True

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return sum(key.startswith("A") for key in self.arrays)

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logits of the next symbol, float32."""
        start = self.arrays["start"].item()
        names, lengths = names_of_contexts(contexts, start)
        logits = np.empty((len(contexts), self.symbols), dtype=np.float32)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            symbols = np.full((len(rows), length + 1), start, dtype=np.int64)
            symbols[:, 1:] = names[rows, :length]
            size = max(1, MAX_ACTIVATIONS // (symbols.shape[1] * 4 * self.arrays["C"].shape[1]))
            for first in range(0, len(rows), size):
                last = slice(first, first + size)
                logits[rows[last]] = self.last_logits(symbols[last])
        return logits

    def last_logits(self, symbols: np.ndarray) -> np.ndarray:
        """Return the logits of what follows the last position.

        Args:
            symbols: (names, positions) int64, the start and the symbols of each name.

        Returns:
            (names, symbols) float32.
        """
        C = self.arrays["C"]
        x = C[symbols] + positions(symbols.shape[1], C.shape[1])
        for n in range(1, self.blocks + 1):
            g, A, P, h, W, b, V, c = (
                self.arrays[f"{name}{n}"] for name in ("g", "A", "P", "h", "W", "b", "V", "c")
            )
            x = x + self.attend(normalise(x, g) @ A) @ P
            x = x + gelu(normalise(x, h) @ W + b) @ V + c
        logits: np.ndarray = normalise(x[:, -1], self.arrays["g"]) @ self.arrays["W"]
        return logits + self.arrays["c"]

    def attend(self, qkv: np.ndarray) -> np.ndarray:
        """Return what each position reads from itself and those before it."""
        names, positions, width = qkv.shape
        heads = self.arrays["heads"].item()
        shape = (names, positions, 3, heads, width // 3 // heads)
        q, k, v = qkv.reshape(shape).transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(2, 3) / np.float32(q.shape[3] ** 0.5)
        scores[..., np.triu(np.ones((positions, positions), dtype=bool), k=1)] = -np.inf
        weights = np.exp(scores - scores.max(axis=3, keepdims=True))
        weights /= weights.sum(axis=3, keepdims=True)
        read: np.ndarray = weights @ v
        return read.swapaxes(1, 2).reshape(names, positions, width // 3)

    def expected_shapes(self) -> Shapes:
        """Return the shapes for as many dimensions and blocks as the arrays have."""
        d = self.arrays["C"].shape[1]
        heads = self.arrays["heads"].item()
        if heads < 1 or d % heads:
            raise ValueError(f"{heads} heads do not divide {d} dimensions")
        shapes: Shapes = {"C": ("float32", (self.symbols, d))}
        for n in range(1, self.blocks + 1):
            of_block = {"g": (d,), "A": (d, 3 * d), "P": (d, d), "h": (d,), "W": (d, 4 * d)}
            of_block |= {"b": (4 * d,), "V": (4 * d, d), "c": (d,)}
            shapes |= {f"{name}{n}": ("float32", shape) for name, shape in of_block.items()}
        shapes |= {"g": ("float32", (d,)), "W": ("float32", (d, self.symbols))}
        shapes |= {"c": ("float32", (self.symbols,))}
        return shapes | {"heads": ("int64", ()), "start": ("int64", ())}

    def check_values(self) -> None:
        """Check that the start is a symbol."""
        start = self.arrays["start"].item()
        if not 0 <= start < self.symbols:
            raise ValueError(f"start is {start}, not one of {self.symbols} symbols")


def normalise(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Divide by the root of the mean square over the last dimension (Zhang & Sennrich 2019)."""
    mean_square = np.square(x).mean(axis=-1, keepdims=True)
    normalised: np.ndarray = x / np.sqrt(mean_square + np.float32(EPSILON)) * gain
    return normalised


def positions(count: int, embedding: int) -> np.ndarray:
    """Return sines and cosines of the positions, (count, embedding) float32."""
    rates = 1e4 ** (-np.arange(0, embedding, 2) / embedding)
    angles = np.arange(count)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
