"""Losses of trained models, character by character."""

from typing import NamedTuple, Self

import numpy as np

from charlm.core.errors import InputError
from charlm.data.examples import context_groups
from charlm.data.tensors import Arrays
from charlm.models.base import Model, log_probabilities


class Characters(NamedTuple):
    """The characters of the unique names of a split; the end of a name is one of its characters."""

    contexts: np.ndarray  # (characters, block size): what comes before each
    targets: np.ndarray  # (characters,): the symbols themselves
    name: np.ndarray  # (characters,) int64: number of the unique name
    position: np.ndarray  # (characters,) int64: how many characters of the name come before
    repeats: np.ndarray  # (characters,) int64: how often the name occurs in the split

    @classmethod
    def of(cls, examples: Arrays, unique_name: np.ndarray, end: int) -> Self:
        """Take the examples of each unique name once.

        Args:
            examples: `contexts` and `targets` of all names, in their order.
            unique_name: (names,), the number of each name's unique name, in order of appearance.
            end: the symbol that ends a name.
        """
        lengths = np.diff(np.flatnonzero(examples["targets"] == end), prepend=-1)
        is_first = np.zeros(len(unique_name), dtype=bool)
        is_first[np.unique(unique_name, return_index=True)[1]] = True
        rows = np.repeat(is_first, lengths)
        targets = examples["targets"][rows]
        is_end = targets == end
        name = np.cumsum(is_end) - is_end
        start = np.flatnonzero(np.diff(name, prepend=-1))
        return cls(
            contexts=examples["contexts"][rows],
            targets=targets,
            name=name,
            position=np.arange(len(targets)) - start[name],
            repeats=np.bincount(unique_name)[name],
        )


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
            f"{model.name} needs contexts of {model.block_size} symbols; found "
            f"{contexts.shape[1]}; run `dvc repro`"
        )
    nll, is_correct = np.empty(len(targets)), np.empty(len(targets), dtype=bool)
    for group in context_groups(contexts[:, -model.block_size :], model.symbols):
        logs = log_probabilities(model.logits(group.contexts))
        expected = targets[group.rows]
        nll[group.rows] = -logs[group.inverse, expected]
        is_correct[group.rows] = logs.argmax(axis=1)[group.inverse] == expected
    return Scores(nll, is_correct)
