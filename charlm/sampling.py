"""Draw names from a model."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from charlm.data.examples import MAX_CELLS, unique_contexts
from charlm.data.memory import check_table_memory

if TYPE_CHECKING:
    from charlm.data.vocabulary import Vocabulary
    from charlm.models.base import Model

MIN_DEFAULT_LENGTH = 30  # characters: twice the longest name of names.txt


class Samples(NamedTuple):
    """Names that a model made up."""

    names: list[str]
    cut_off: int  # how many of them had not ended at the maximal length


def sample_names(
    model: "Model",
    vocabulary: "Vocabulary",
    count: int,
    temperature: float,
    max_length: int,
    generator: Generator,
    prefix: str = "",
) -> Samples:
    """Draw names, all unfinished ones by one more character per step.

    Args:
        model: a trained model.
        vocabulary: its symbols.
        count: number of names.
        temperature: divides the logits: below 1 the probable becomes more probable.
        max_length: a name with more characters is cut off, and ends in no space.
        generator: for all random draws.
        prefix: the beginning of each name.

    Returns:
        `count` names. One whose first symbol is the end is empty.

    Raises:
        ValueError: a character of the prefix is not in the vocabulary.
        InputError: so many names need too much memory.
    """
    max_drawn = max_length - len(prefix)
    check_table_memory(
        f"{count:,} names of up to {max_length:,} characters",
        rows=count,
        columns=max_length + model.block_size,
        advice="lower the count or the length",
    )
    padding = np.full(model.block_size, vocabulary.start, dtype=vocabulary.dtype)
    start = np.concatenate((padding, vocabulary.encode(prefix)))[-model.block_size :]
    contexts = np.tile(start, (count, 1))
    unfinished = np.arange(count)
    lengths = np.full(count, max_drawn)
    drawn = np.zeros((count, max_drawn), dtype=start.dtype)
    for position in range(max_drawn):
        # one random number per name, so that the draws of a name do not depend on the others
        uniforms = torch.rand(count, dtype=torch.float64, generator=generator)[unfinished]
        symbols = draw(model, contexts, uniforms, temperature, vocabulary).astype(start.dtype)
        drawn[unfinished, position] = symbols
        continues = symbols != vocabulary.end
        lengths[unfinished[~continues]] = position
        unfinished = unfinished[continues]
        contexts = np.column_stack((contexts[continues], symbols[continues]))[:, 1:]
        if not len(unfinished):
            break
    rows = zip(drawn.tolist(), lengths, strict=True)
    names = [prefix + vocabulary.decode(row[:length]) for row, length in rows]
    for number in unfinished:
        names[number] = names[number].rstrip()
    return Samples(names, len(unfinished))


def draw(
    model: "Model",
    contexts: np.ndarray,
    uniforms: Tensor,
    temperature: float,
    vocabulary: "Vocabulary",
) -> np.ndarray:
    """Draw the next symbol after each context; a context that occurs often is computed once.

    Args:
        model: a trained model.
        contexts: (rows, block size), symbol numbers.
        uniforms: (rows,) float64, uniform on [0, 1).
        temperature: divides the logits.
        vocabulary: the symbols; a start that is not also the end is never drawn.

    Returns:
        (rows,) int64.
    """
    size = max(1, MAX_CELLS // len(vocabulary))
    drawn = []
    for first in range(0, len(contexts), size):
        unique, inverse = unique_contexts(contexts[first : first + size])
        logits = model(torch.from_numpy(unique).long()).double()
        if vocabulary.start != vocabulary.end:
            logits[:, vocabulary.start] = -torch.inf
        # relative to the largest logit, so that no temperature makes one infinite
        logits = (logits - logits.amax(dim=1, keepdim=True)) / temperature
        cumulative = logits.softmax(dim=1).cumsum(dim=1)[inverse]
        uniform = uniforms[first : first + size].unsqueeze(1)
        drawn.append((cumulative <= uniform * cumulative[:, -1:]).sum(dim=1).numpy())
    return np.concatenate(drawn)


def default_max_length(names: list[str]) -> int:
    """Return how many characters a sample may have unless a number is given.

    >>> default_max_length(["ava", "emma"])
    30
    """
    return max(MIN_DEFAULT_LENGTH, 2 * max(map(len, names)))
