"""Compare `mlp.keep: last` with `best_on_dev` on lists of different lengths, by the loss on test.

    python -m benchmarks.short_lists    data/names.txt → a table, as in docs/word-lists.md

The lists are nested: the first N of the shuffled names.
"""

import contextlib
import io
import random
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
from tabulate import tabulate

from benchmarks.processes import write_params
from charlm.core.storage import DATA, write_lines
from charlm.data.examples import read_examples
from charlm.data.vocabulary import read_vocabulary
from charlm.models.mlp import MLP
from charlm.names import read_names
from charlm.scoring import score

SIZES = (100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)
SEEDS = (1, 2, 3)  # of the shuffled names; the other seeds are those of params.yaml
KEEP = ("last", "best_on_dev")


def loss_on_test(names: list[str], keep: str, folder: Path) -> float:
    """Train on a list in a new folder; return the loss on test, in nats per character."""
    (folder / DATA).mkdir(exist_ok=True)
    write_lines(folder / DATA / "names.txt", names)
    write_params(folder, {"mlp": {"keep": keep}})
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        for stage in ("split", "build_contexts", "train_mlp"):
            import_module(f"stages.{stage}").main()
        symbols = len(read_vocabulary())
        test = read_examples("mlp", "test", symbols)
        nll = score(MLP.load(symbols), test["contexts"], test["targets"]).nll
    return float(nll.mean())


def main() -> None:
    names = read_names(DATA / "names.txt")
    rows = []
    for size in SIZES:
        losses = np.empty((len(KEEP), len(SEEDS)))
        for column, seed in enumerate(SEEDS):
            shuffled = random.Random(seed).sample(names, len(names))[:size]
            for row, keep in enumerate(KEEP):
                with tempfile.TemporaryDirectory() as folder:
                    losses[row, column] = loss_on_test(shuffled, keep, Path(folder))
        differences = losses[0] - losses[1]
        means = [f"{mean:z.3f}" for mean in losses.mean(axis=1)]
        spread = f"{differences.min():z.3f} to {differences.max():z.3f}"
        rows.append([f"{size:,}", *means, f"{differences.mean():z.3f}", spread])
    headers = ["names", *KEEP, "difference", "over three lists"]
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
