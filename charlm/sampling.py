"""Draw names from a model."""

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from charlm.data.examples import MAX_CELLS, unique_contexts
from charlm.data.memory import check_table_memory
from charlm.models.base import context_size

if TYPE_CHECKING:
    from charlm.data.vocabulary import Vocabulary
    from charlm.models.base import Model

MIN_DEFAULT_LENGTH = 30  # characters: twice the longest name of names.txt


class Uniforms:
    """Random numbers, uniform on [0, 1): those of `torch.rand(count, dtype=torch.float64)`.

    They are 53 bits of two outputs of the Mersenne Twister (Matsumoto & Nishimura 1998) each.
    """

    def __init__(self, seed: int) -> None:
        """Seed the Mersenne Twister as torch.manual_seed does."""
        self.twister = np.random.RandomState(seed % 2**32)  # a Generator seeds it in another way

    def draw(self, count: int) -> np.ndarray:
        """Return the next numbers, (count,) float64."""
        high, low = self.twister.randint(2**32, size=(count, 2), dtype=np.uint32).T.astype(np.int64)
        uniform: np.ndarray = ((high % 2**21 << 32) + low) / 2**53
        return uniform


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
    uniforms: Uniforms,
    prefix: str = "",
    top_k: int | None = None,
) -> Samples:
    """Draw names, all unfinished ones by one more character per step.

    Args:
        model: a trained model.
        vocabulary: its symbols.
        count: number of names.
        temperature: divides the logits: below 1 the probable becomes more probable.
        max_length: a name with more characters is cut off, and ends in no space.
        uniforms: for all random draws.
        prefix: the beginning of each name.
        top_k: as of `draw`.

    Returns:
        `count` names. One whose first symbol is the end is empty.

    Raises:
        ValueError: a character of the prefix is not in the vocabulary.
        InputError: so many names need too much memory.
    """
    max_drawn = max_length - len(prefix)
    size = context_size([model], longest=max_length)
    check_table_memory(
        f"{count:,} names of up to {max_length:,} characters",
        rows=count,
        columns=max_length + size,
        advice="lower the count or the length",
    )
    padding = np.full(size, vocabulary.start, dtype=vocabulary.dtype)
    start = np.concatenate((padding, vocabulary.encode(prefix)))[-size:]
    contexts = np.tile(start, (count, 1))
    unfinished = np.arange(count)
    lengths = np.full(count, max_drawn)
    drawn = np.zeros((count, max_drawn), dtype=start.dtype)
    for position in range(max_drawn):
        # one random number per name, so that the draws of a name do not depend on the others
        uniform = uniforms.draw(count)[unfinished]
        symbols = draw(model, contexts, uniform, temperature, vocabulary, top_k)
        symbols = symbols.astype(start.dtype)
        drawn[unfinished, position] = symbols
        continues = symbols != vocabulary.end
        lengths[unfinished[~continues]] = position
        unfinished = unfinished[continues]
        contexts = np.column_stack((contexts[continues], symbols[continues]))[:, 1:]
        if not len(unfinished):
            break
    text = vocabulary.decode(drawn[np.arange(max_drawn) < lengths[:, None]].tolist())
    bounds = pairwise([0, *lengths.cumsum().tolist()])
    names = [prefix + text[start:end] for start, end in bounds]
    for number in unfinished:
        names[number] = names[number].rstrip()
    return Samples(names, len(unfinished))


def draw(
    model: "Model",
    contexts: np.ndarray,
    uniform: np.ndarray,
    temperature: float,
    vocabulary: "Vocabulary",
    top_k: int | None = None,
) -> np.ndarray:
    """Draw the next symbol after each context; a context that occurs often is computed once.

    Args:
        model: a trained model.
        contexts: (rows, block size), symbol numbers.
        uniform: (rows,) float64, uniform on [0, 1).
        temperature: divides the logits.
        vocabulary: the symbols; a start that is not also the end is never drawn.
        top_k: draw only from so many of the most probable symbols, and those as probable as the
            last of them; 1 to the number of symbols. None: from all.

    Returns:
        (rows,) int64.
    """
    size = max(1, MAX_CELLS // len(vocabulary))
    drawn = []
    for first in range(0, len(contexts), size):
        unique, inverse = unique_contexts(contexts[first : first + size])
        logits = model.logits(unique).astype(np.float64)
        if vocabulary.start != vocabulary.end:
            logits[:, vocabulary.start] = -np.inf
        if top_k is not None:
            logits[logits < np.partition(logits, -top_k, axis=1)[:, -top_k, None]] = -np.inf
        # relative to the largest logit, so that no temperature makes one infinite
        logits -= logits.max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):  # of what is far less probable: minus infinity
            P = np.exp(logits / temperature)
        cumulative = (P / P.sum(axis=1, keepdims=True)).cumsum(axis=1)[inverse]
        threshold = uniform[first : first + size, None] * cumulative[:, -1:]
        drawn.append((cumulative <= threshold).sum(axis=1))
    return np.concatenate(drawn)


def default_max_length(names: list[str]) -> int:
    """Return how many characters a sample may have unless a number is given.

    >>> default_max_length(["ava", "emma"])
    30
    """
    return max(MIN_DEFAULT_LENGTH, 2 * max(map(len, names)))
