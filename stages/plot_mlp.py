"""Draw the MLP's embedding before and after training, and the search for its learning rate.

python -m stages.plot_mlp    data/embedding.json, data/learning_rate.csv,
    data/contexts/bigram/train.safetensors    → plots/embedding.svg, plots/learning_rate.svg
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charlm import plots
from charlm.examples import read_examples
from charlm.runtime import run_stage
from charlm.storage import DATA, PLOTS, damaged, read_bytes, read_json, write_bytes
from charlm.vocabulary import read_vocabulary

if TYPE_CHECKING:
    from charlm.projection import Plane

EMBEDDING = DATA / "embedding.json"
LEARNING_RATE = DATA / "learning_rate.csv"


def read_planes(path: Path, symbols: int) -> "dict[str, Plane]":
    """Return the places of the symbols, by the title of each picture.

    Raises:
        InputError: the file is missing or damaged, or belongs to another vocabulary.
    """
    planes: dict[str, Plane] = read_json(path)
    try:
        shapes = {np.array(plane["places"], dtype=float).shape for plane in planes.values()}
        axes = {len(plane["axes"]) for plane in planes.values()}
    except (AttributeError, KeyError, TypeError, ValueError):
        shapes, axes = set(), set()
    if shapes != {(symbols, 2)} or axes != {2}:
        raise damaged(path, f"not the places of {symbols} symbols on two axes", "train_mlp")
    return planes


def read_curve(path: Path) -> dict[str, np.ndarray]:
    """Return the columns of a table of numbers.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        header, *rows = csv.reader(read_bytes(path).decode().splitlines())
        curve = dict(zip(header, np.array(rows, dtype=float).T, strict=True))
    except ValueError:
        curve = {}
    if not {"exponent", "lr", "nll", "smoothed_nll"} <= set(curve):
        raise damaged(path, "not a learning-rate curve", "find_learning_rate")
    return curve


def main() -> None:
    itos = read_vocabulary().itos
    examples = read_examples("bigram", "train", len(itos))
    # <START> is never a target, <END> never a context
    columns = (examples["contexts"][:, 0], examples["targets"])
    frequency = np.maximum(*(np.bincount(column, minlength=len(itos)) for column in columns))
    planes = read_planes(EMBEDDING, len(itos))
    curve = read_curve(LEARNING_RATE)

    write_bytes(PLOTS / "embedding.svg", plots.draw_embedding(planes, itos, frequency))
    write_bytes(PLOTS / "learning_rate.svg", plots.draw_learning_rate(curve))
    print(
        f"plot_mlp: drew the embedding of {len(itos)} symbols, and the loss at "
        f"{len(curve['lr']):,} learning rates"
    )


if __name__ == "__main__":
    run_stage(main)
