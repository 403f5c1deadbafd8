"""Draw the MLP's embedding, the losses during training, and the search for a learning rate.

python -m stages.plot_mlp    data/embedding.json, data/learning_rate.csv,
    data/contexts/bigram/train.safetensors, plots/{bigram_neural,mlp}.csv
    → plots/embedding.svg, plots/loss.svg, plots/learning_rate.svg
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, PLOTS, damaged, read_bytes, read_json, write_bytes
from charlm.data.examples import read_examples
from charlm.data.vocabulary import read_vocabulary
from charlm.drawing import plots
from charlm.tables import parse_rows

if TYPE_CHECKING:
    from charlm.projection import Plane

EMBEDDING = DATA / "embedding.json"
LEARNING_RATE = DATA / "learning_rate.csv"
RATE_COLUMNS = ("exponent", "lr", "nll", "smoothed_nll")
LOSS_COLUMNS = ("step", "nll")


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


def read_table(path: Path, columns: tuple[str, ...], stage: str) -> dict[str, list[str]]:
    """Return these columns of a table, cell by cell.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        rows = parse_rows(read_bytes(path))
        if not rows:
            raise ValueError
        return {column: [row[column] for row in rows] for column in columns}
    except (KeyError, ValueError):
        raise damaged(path, f"not a table with {', '.join(columns)}", stage) from None


def read_curve(path: Path, columns: tuple[str, ...], stage: str) -> dict[str, np.ndarray]:
    """Return these columns of a table of numbers, each (rows,) float64.

    Raises:
        InputError: the file is missing or damaged.
    """
    table = read_table(path, columns, stage)
    try:
        return {column: np.array(cells, dtype=float) for column, cells in table.items()}
    except ValueError:
        raise damaged(path, f"not a curve with {', '.join(columns)}", stage) from None


def read_losses(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return `step` and `nll` of the MLP, by split; dev may have none.

    Raises:
        InputError: the file is missing or damaged.
    """
    split = np.array(read_table(path, ("split",), "train_mlp")["split"])
    curve = read_curve(path, LOSS_COLUMNS, "train_mlp")
    return {
        name: {column: values[split == name] for column, values in curve.items()}
        for name in ("train", "dev")
    }


def main() -> None:
    itos = read_vocabulary().itos
    examples = read_examples("bigram", "train", len(itos))
    # <START> is never a target, <END> never a context
    columns = (examples["contexts"][:, 0], examples["targets"])
    frequency = np.maximum(*(np.bincount(column, minlength=len(itos)) for column in columns))
    planes = read_planes(EMBEDDING, len(itos))
    rates = read_curve(LEARNING_RATE, RATE_COLUMNS, "find_learning_rate")
    bigram = read_curve(PLOTS / "bigram_neural.csv", LOSS_COLUMNS, "train_bigram_neural")
    mlp = read_losses(PLOTS / "mlp.csv")

    write_bytes(PLOTS / "embedding.svg", plots.draw_embedding(planes, itos, frequency))
    write_bytes(PLOTS / "loss.svg", plots.draw_losses(bigram, mlp["train"], mlp["dev"]))
    write_bytes(PLOTS / "learning_rate.svg", plots.draw_learning_rate(rates))
    print(
        f"plot_mlp: drew the embedding of {len(itos)} symbols, the losses of the neural bigram "
        f"and the MLP, and the loss at {len(rates['lr']):,} learning rates"
    )


if __name__ == "__main__":
    run_stage(main)
