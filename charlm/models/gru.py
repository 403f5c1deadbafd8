"""The GRU: its logits from the stored tensors; `charlm.networks.gru` trains it."""

from typing import ClassVar

import numpy as np

from charlm.models.base import Model, Shapes, log_probabilities
from charlm.models.prefixes import Level, PrefixTree, names_of_contexts


class GRU(Model):
    """One or more GRUs of `charlm.networks.gru`, whose probabilities are averaged.

    It has their tensors as arrays of the same names, stacked: X (networks, symbols, 3 * hidden) and
    so on. They read a name from its beginning; `start` () int64 is the symbol before it.
    """

    name: ClassVar[str] = "gru"
    stage: ClassVar[str] = "train_gru"
    reads_whole_names: bool = True

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logits of the next symbol; each prefix is computed once.

        Returns:
            (rows, symbols), float32 of one network, float64 of several.
        """
        names, lengths = names_of_contexts(contexts, self.arrays["start"].item())
        tree = PrefixTree.of(names, lengths, self.arrays["start"].item())
        leaves = tree.paths[np.arange(len(names)), lengths]
        levels = tree.of_names(np.arange(len(names))).levels
        networks = zip(*(self.arrays[key] for key in ("X", "U", "b", "W", "c")), strict=True)
        logits = [states(X, U, b, levels, lengths, leaves) @ W + c for X, U, b, W, c in networks]
        if len(logits) == 1:
            return np.asarray(logits[0])
        averaged: np.ndarray = np.logaddexp.reduce([log_probabilities(one) for one in logits])
        return averaged

    def expected_shapes(self) -> Shapes:
        """Return the shapes for as many networks and hidden units as U has."""
        networks, hidden = self.arrays["U"].shape[:2]
        shapes = {
            "X": (self.symbols, 3 * hidden),
            "U": (hidden, 3 * hidden),
            "b": (3 * hidden,),
            "W": (hidden, self.symbols),
            "c": (self.symbols,),
        }
        stacked: Shapes = {key: ("float32", (networks, *shape)) for key, shape in shapes.items()}
        return stacked | {"start": ("int64", ())}

    def check_values(self) -> None:
        """Check that the start is a symbol."""
        start = self.arrays["start"].item()
        if not 0 <= start < self.symbols:
            raise ValueError(f"start is {start}, not one of {self.symbols} symbols")


def states(
    X: np.ndarray,
    U: np.ndarray,
    b: np.ndarray,
    levels: list[Level],
    lengths: np.ndarray,
    leaves: np.ndarray,
) -> np.ndarray:
    """Return the states of a network after some prefixes of a tree.

    Args:
        X, U, b: of the network.
        levels: all prefixes of the tree.
        lengths, leaves: (prefixes,) int64, the lengths and numbers of those asked for.

    Returns:
        (prefixes, hidden) float32.
    """
    found = np.empty((len(leaves), len(U)), dtype=np.float32)
    state, first = np.zeros((1, len(U)), dtype=np.float32), 0
    for length, level in enumerate(levels):
        state = step(X[level.symbols] + b, state[level.parents], U)
        rows = np.flatnonzero(lengths == length)
        found[rows] = state[leaves[rows] - first]
        first += len(state)
    return found


def step(x: np.ndarray, state: np.ndarray, U: np.ndarray) -> np.ndarray:
    """Return the next state: (prefixes, hidden)."""
    reset_x, update_x, new_x = np.split(x, 3, axis=1)
    reset_u, update_u, new_u = np.split(state @ U, 3, axis=1)
    reset, update = sigmoid(reset_x + reset_u), sigmoid(update_x + update_u)
    new = np.tanh(new_x + reset * new_u)
    updated: np.ndarray = new + update * (state - new)
    return updated


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Return the logistic function, which by tanh overflows nowhere."""
    half: np.ndarray = np.tanh(x / 2) / 2
    return half + np.float32(0.5)
