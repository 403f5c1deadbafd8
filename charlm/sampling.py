"""Draw names from a model."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator

from charlm import vocabulary
from charlm.examples import unique_contexts
from charlm.runtime import check_table_memory
from charlm.vocabulary import BOUNDARY

if TYPE_CHECKING:
    from charlm.models.base import Model
    from charlm.params import Sample


def sample_names(
    model: "Model",
    itos: list[str],
    count: int,
    settings: "Sample",
    generator: Generator,
    prefix: str = "",
) -> list[str]:
    """Draw names, all unfinished ones by one more character per step.

    Args:
        model: a trained model.
        itos: the vocabulary.
        count: number of names.
        settings: `temperature` divides the logits: below 1 the probable becomes more probable;
            a name longer than `max_length` is cut off.
        generator: for all random draws.
        prefix: the beginning of each name.

    Returns:
        `count` names. One whose first symbol is the end mark is empty.

    Raises:
        ValueError: a character of the prefix is not in the vocabulary.
        InputError: so many names need too much memory.
    """
    max_drawn = settings.max_length - len(prefix)
    check_table_memory(
        f"{count:,} names of up to {settings.max_length:,} characters, of {len(itos):,} symbols,",
        rows=count,
        columns=2 * len(itos) + settings.max_length,
        advice="lower the count or the length",
    )
    start = vocabulary.encode(BOUNDARY * model.block_size + prefix, itos)[-model.block_size :]
    contexts = np.tile(start, (count, 1))
    unfinished = np.arange(count)
    drawn = np.zeros((count, max_drawn), dtype=start.dtype)
    for position in range(max_drawn):
        # a context that many names share is computed once
        unique, inverse = unique_contexts(contexts)
        logits = model(torch.from_numpy(unique).long()).double()
        # relative to the largest logit, so that no temperature makes one infinite
        logits = (logits - logits.amax(dim=1, keepdim=True)) / settings.temperature
        cumulative = logits.softmax(dim=1).cumsum(dim=1)
        # one random number per name, so that the draws of a name do not depend on the others
        chance = torch.rand(count, dtype=torch.float64, generator=generator)[unfinished]
        is_below = cumulative[inverse] <= chance.unsqueeze(1) * cumulative[inverse, -1:]
        symbols = is_below.sum(dim=1).numpy().astype(start.dtype)
        drawn[unfinished, position] = symbols
        continues = symbols != 0
        unfinished = unfinished[continues]
        contexts = np.column_stack((contexts[continues], symbols[continues]))[:, 1:]
        if not len(unfinished):
            break
    lengths = np.count_nonzero(drawn, axis=1)
    rows = zip(drawn.tolist(), lengths, strict=True)
    return [prefix + vocabulary.decode(row[:length], itos) for row, length in rows]
