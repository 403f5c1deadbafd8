"""Losses of trained models, character by character."""

from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from charlm.errors import InputError
from charlm.examples import unique_contexts
from charlm.runtime import check_table_memory
from charlm.tensors import Arrays

if TYPE_CHECKING:
    from charlm.models.base import Model

MAX_ROWS = 2**16  # contexts computed at once, so that intermediate results take little memory


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the log of softmax over the last dimension, float64, for logits of any size."""
    return F.log_softmax(logits.double(), dim=-1)


def next_log_probabilities(model: "Model", contexts: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Return the log-probabilities of the next symbol; each unique context is computed once.

    Args:
        model: a trained model.
        contexts: (examples, at least block size), symbol numbers.

    Returns:
        (unique, symbols) float64, and (examples,) int64: the row of each example.

    Raises:
        InputError: the contexts are too short for the model, or too many to fit in memory.
    """
    if model.block_size > contexts.shape[1]:
        raise InputError(
            f"{model.name} needs contexts of {model.block_size} symbols; found "
            f"{contexts.shape[1]}; run `dvc repro`"
        )
    unique, inverse = unique_contexts(contexts[:, -model.block_size :])
    found = []
    for rows in torch.from_numpy(unique).split(MAX_ROWS):
        found.append(log_probabilities(model(rows.long())))
        check_table_memory(
            f"the probabilities of {model.name} after {len(unique):,} contexts",
            rows=len(unique),
            columns=found[0].shape[1],
            advice="use fewer names, or names of fewer different characters",
        )
    return torch.cat(found), inverse


class Characters(NamedTuple):
    """The characters of the unique names of a split; the end of a name is one of its characters."""

    contexts: np.ndarray  # (characters, block size): what comes before each
    targets: np.ndarray  # (characters,): the symbols themselves; 0 ends a name
    name: np.ndarray  # (characters,) int64: number of the unique name
    position: np.ndarray  # (characters,) int64: how many characters of the name come before
    repeats: np.ndarray  # (characters,) int64: how often the name occurs in the split

    @classmethod
    def of(cls, examples: Arrays, unique_name: np.ndarray) -> Self:
        """Take the examples of each unique name once.

        Args:
            examples: `contexts` and `targets` of all names, in their order.
            unique_name: (names,), the number of each name's unique name, in order of appearance.
        """
        lengths = np.diff(np.flatnonzero(examples["targets"] == 0), prepend=-1)
        is_first = np.zeros(len(unique_name), dtype=bool)
        is_first[np.unique(unique_name, return_index=True)[1]] = True
        rows = np.repeat(is_first, lengths)
        targets = examples["targets"][rows]
        is_end = targets == 0
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


def score_characters(model: "Model", characters: Characters) -> Scores:
    """Score each character under a model.

    Args:
        model: a trained model.
        characters: with contexts at least as long as the model's block size.
    """
    found, inverse = next_log_probabilities(model, characters.contexts)
    best = found.argmax(dim=1).numpy()
    return Scores(
        nll=-found.numpy()[inverse, characters.targets],
        is_correct=best[inverse] == characters.targets,
    )
