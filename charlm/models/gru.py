"""The GRU: its logits from the stored tensors; `charlm.networks.gru` trains it."""

from typing import ClassVar

import numpy as np

from charlm.models.base import Model, Shapes
from charlm.models.prefixes import PrefixTree, names_of_contexts


class GRU(Model):
    """The GRU of `charlm.networks.gru`, whose tensors it has as arrays of the same names.

    It reads a name from its beginning; `start` () int64 is the symbol before it.
    """

    name: ClassVar[str] = "gru"
    stage: ClassVar[str] = "train_gru"
    reads_whole_names: bool = True

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logits of the next symbol, float32; each prefix is computed once."""
        X, U, b, W, c = (self.arrays[key] for key in ("X", "U", "b", "W", "c"))
        names, lengths = names_of_contexts(contexts, self.arrays["start"].item())
        tree = PrefixTree.of(names, lengths, self.arrays["start"].item())
        leaves = tree.paths[np.arange(len(names)), lengths]
        states = np.empty((len(names), len(U)), dtype=np.float32)
        state, first = np.zeros((1, len(U)), dtype=np.float32), 0
        for length, level in enumerate(tree.of_names(np.arange(len(names))).levels):
            state = self.step(X[level.symbols] + b, state[level.parents], U)
            ended = np.flatnonzero(lengths == length)
            states[ended] = state[leaves[ended] - first]
            first += len(state)
        logits: np.ndarray = states @ W + c
        return logits

    def step(self, x: np.ndarray, state: np.ndarray, U: np.ndarray) -> np.ndarray:
        """Return the next state: (prefixes, hidden)."""
        reset_x, update_x, new_x = np.split(x, 3, axis=1)
        reset_u, update_u, new_u = np.split(state @ U, 3, axis=1)
        reset, update = sigmoid(reset_x + reset_u), sigmoid(update_x + update_u)
        new = np.tanh(new_x + reset * new_u)
        updated: np.ndarray = new + update * (state - new)
        return updated

    def expected_shapes(self) -> Shapes:
        """Return the shapes for as many hidden units as U has rows."""
        hidden = len(self.arrays["U"])
        return {
            "X": ("float32", (self.symbols, 3 * hidden)),
            "U": ("float32", (hidden, 3 * hidden)),
            "b": ("float32", (3 * hidden,)),
            "W": ("float32", (hidden, self.symbols)),
            "c": ("float32", (self.symbols,)),
            "start": ("int64", ()),
        }

    def check_values(self) -> None:
        """Check that the start is a symbol."""
        start = self.arrays["start"].item()
        if not 0 <= start < self.symbols:
            raise ValueError(f"start is {start}, not one of {self.symbols} symbols")


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function, which by tanh overflows nowhere."""
    half: np.ndarray = np.tanh(x / 2) / 2
    return half + np.float32(0.5)
