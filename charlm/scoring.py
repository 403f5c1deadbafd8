"""Losses of trained models, character by character."""

from typing import NamedTuple, Self

import numpy as np

from charlm.core.errors import InputError
from charlm.data.examples import context_groups
from charlm.models.base import Model


class Characters(NamedTuple):
    """Where the characters of names are; the end of a name is one of its characters."""

    name: np.ndarray  # (characters,) int64: number of the name
    position: np.ndarray  # (characters,) int64: how many characters of the name come before

    @classmethod
    def of(cls, names: list[str]) -> Self:
        """Locate all characters, in order.

        >>> Characters.of(["ab", "b"])
        Characters(name=array([0, 0, 0, 1, 1]), position=array([0, 1, 2, 0, 1]))
        """
        lengths = np.fromiter(map(len, names), dtype=np.int64, count=len(names)) + 1
        name = np.repeat(np.arange(len(names)), lengths)
        return cls(name, np.arange(len(name)) - (lengths.cumsum() - lengths)[name])


class Scores(NamedTuple):
    """What a model predicts for characters."""

    nll: np.ndarray  # (characters,) float64, nats; infinite where the probability is 0
    is_correct: np.ndarray  # (characters,) bool: whether it is the most probable one


def score(model: Model, contexts: np.ndarray, targets: np.ndarray) -> Scores:
    """Score characters under a model; each unique context is computed once.

    Args:
        model: a trained model.
        contexts: (characters, at least block size), symbol numbers.
        targets: (characters,), the symbols that follow.

    Raises:
        InputError: the contexts are too short for the model.
    """
    if model.block_size > contexts.shape[1]:
        raise InputError(
            f"{model.name} needs contexts of {model.block_size} symbols; found {contexts.shape[1]}"
        )
    if not model.reads_whole_names:
        contexts = contexts[:, -model.block_size :]
    nll, is_correct = np.empty(len(targets)), np.empty(len(targets), dtype=bool)
    for group in context_groups(contexts, model.symbols):
        nll[group.rows], is_correct[group.rows] = model.score(
            group.contexts, group.inverse, targets[group.rows]
        )
    return Scores(nll, is_correct)
