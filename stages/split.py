"""Shuffle the names and cut them into train, dev and test.

    python -m stages.split    data/names.txt → data/splits/{train,dev,test}.txt, metrics/split.csv

Whole names are assigned to a split, never single examples, so no name is partly in two splits.
"""

import random
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain

from charlm import params
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, iter_lines, split_path, write_lines
from charlm.names import read_names
from charlm.tables import exact, write_rows

Read = Callable[[], Iterable[list[str]]]  # yields names, a piece at a time
COLUMNS = ("split", "names", "characters", "also_in_train")


def select(names: list[str], unique: bool, limit: int | None) -> list[str]:
    """Return the names to use: without repeats if `unique`, then the first `limit`.

    >>> select(["ava", "emma", "ava", "mia"], unique=True, limit=2)
    ['ava', 'emma']
    """
    return (list(dict.fromkeys(names)) if unique else names)[:limit]


def shuffle(names: list[str], seed: int | None) -> list[str]:
    """Return a shuffled copy; a copy in the same order if the seed is None."""
    shuffled = names.copy()
    if seed is not None:
        random.Random(seed).shuffle(shuffled)
    return shuffled


def cut(names: list[str], train: float, dev: float) -> dict[str, list[str]]:
    """Cut a list at int(train * n) and int((train + dev) * n).

    >>> cut(["a", "b", "c", "d", "e"], train=0.6, dev=0.2)
    {'train': ['a', 'b', 'c'], 'dev': ['d'], 'test': ['e']}

    Raises:
        InputError: train would be empty, or dev although a share of the names is meant for it.
    """
    # rounded first, because 0.7 + 0.1 is 0.7999999999999999
    first, second = (int(round(share * len(names), 6)) for share in (train, train + dev))
    if first == 0:
        raise InputError(
            f"split: {train:g} of {len(names)} names leaves train empty; raise split.train"
        )
    if dev > 0 and first == second:
        raise InputError(
            f"split: {dev:g} of {len(names)} names leaves dev empty; use more names, or set "
            "split.dev to 0 and evaluate.splits to [train]"
        )
    return {"train": names[:first], "dev": names[first:second], "test": names[second:]}


def describe(splits: dict[str, Read]) -> list[tuple[str, int, int, float | None]]:
    """Return the name of each split, its names, its characters (ends counted), and the overlap.

    The overlap is the share of its names that also occur in train, as in the lecture; None for
    train and for an empty split.

    >>> lists = {"train": [["ava"], ["mia"]], "dev": [["ava", "zoe"]], "test": []}
    >>> describe({split: partial(list, pieces) for split, pieces in lists.items()})
    [('train', 2, 8, None), ('dev', 2, 8, 0.5), ('test', 0, 0, None)]
    """
    # those of the smaller splits: a set of all training names would be as large as the list
    held_out = {*chain.from_iterable(chain(splits["dev"](), splits["test"]()))}
    in_train = held_out.intersection(chain.from_iterable(splits["train"]()))
    rows = []
    for split, read in splits.items():
        names = characters = repeated = 0
        for piece in read():
            names += len(piece)
            characters += sum(map(len, piece)) + len(piece)
            repeated += sum(map(in_train.__contains__, piece)) if split != "train" else 0
        overlap = repeated / names if names and split != "train" else None
        rows.append((split, names, characters, overlap))
    return rows


def main() -> None:
    settings = params.load().split
    names = select(read_names(DATA / "names.txt"), settings.unique, settings.limit)
    names = shuffle(names, settings.seed)
    splits = cut(names, settings.train, settings.dev)
    for split, members in splits.items():
        write_lines(split_path(split), members)
    paths = {split: split_path(split) for split in splits}
    del names, splits, members  # shuffled in memory: the files are read several times faster

    described = describe({split: partial(iter_lines, path) for split, path in paths.items()})
    rows = [("" if cell is None else exact(cell) for cell in row) for row in described]
    write_rows(METRICS / "split.csv", COLUMNS, rows)
    counts = [
        f"{count:,} {split}" + (f" ({overlap:.1%} also in train)" if overlap is not None else "")
        for split, count, _, overlap in described
    ]
    print(f"split: {', '.join(counts)} names")


if __name__ == "__main__":
    run_stage(main)
