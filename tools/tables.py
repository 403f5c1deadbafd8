"""Rewrite the tables of README.md and docs/ that come from results.

    python -m tools.tables            rewrites them
    python -m tools.tables --check    rewrites nothing, and fails if one is outdated

A table is between two marks, <!-- table: NAME --> and <!-- end -->. The experiments that some of
them show are run first, unless their results are there. It also writes
docs/stages.svg, the picture of the stages. `make tables` also writes the tables of
`audit` and `benchmarks`.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

from tabulate import tabulate

from charlm.core.errors import InputError
from charlm.core.storage import DATA, METRICS, read_bytes, read_json
from charlm.models.registry import FITTED_ON_DEV
from charlm.tables import parse_rows
from tools import stages_picture
from tools.documents import Make, rewrite_tables
from tools.program import run_tool
from tools.sweep.local import run_all
from tools.sweep.verdicts import table_of_json

NAMES_SHOWN = 10
SWEEP = Path("docs/sweep.json")
EXPERIMENTS = {
    "hidden-300": ["mlp.hidden=300"],
    "block-5": ["contexts.block_size=5"],
    "smooth-0.3": ["bigram_count.smoothing=0.3"],
    "smooth-3": ["bigram_count.smoothing=3"],
    **{f"seed-{seed}": [f"mlp.seed={seed}"] for seed in range(1, 7)},
    **{f"wide-{seed}": [f"mlp.seed={seed}", "mlp.hidden=300"] for seed in range(1, 4)},
}
COMPARISONS = (  # arguments of tools.compare
    "HEAD block-5 --model mlp",
    "HEAD smooth-0.3 --model bigram_count",
    "HEAD smooth-3 --model bigram_count",
    "HEAD --model mlp --other bigram_count",
    "seed-1 seed-2 --model mlp",
    "--a seed-1 seed-2 seed-3 --b wide-1 wide-2 wide-3 --model mlp",
    "--a seed-1 seed-2 seed-3 --b seed-4 seed-5 seed-6 --model mlp",
)


def names() -> str:
    """Return the first names that the MLP sampled."""
    sampled = read_bytes(DATA / "samples/mlp.txt").decode().split("\n")[:NAMES_SHOWN]
    return f"> {', '.join(sampled)}"


def losses() -> str:
    """Return the losses of all models; those on the split that a model was fitted on are marked."""
    splits = ("train", "dev", "dev_unseen")
    train, dev, unseen = (read_json(METRICS / "nll" / f"{split}.json") for split in splits)
    rows = []
    for model, nll in train.items():
        mark = " (fitted)" if model in FITTED_ON_DEV else ""
        cells = (f"{nll:.4f}", f"{dev[model]:.4f}{mark}", f"{unseen[model]:.4f}{mark}")
        rows.append((f"`{model}`", *cells))
    headers = ("model", "train", "dev", "dev names not in train")
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def repeats() -> str:
    """Return what the last column of the losses is for."""
    rows = parse_rows(read_bytes(METRICS / "split.csv"))
    share = next(100 * float(row["also_in_train"]) for row in rows if row["split"] == "dev")
    return (
        f"Of the dev names, {share:.1f} % also occur in train, as in the lecture: the list has\n"
        "girls' names, then boys' names, and some names are both."
    )


def verdict() -> str:
    """Return what tools.compare prints about one experiment."""
    return f"```\n{compare_runs('HEAD hidden-300 --model mlp').strip()}\n```"


def verdicts() -> str:
    """Return one row for each comparison."""
    rows = []
    for arguments in COMPARISONS:
        printed = compare_runs(f"{arguments} --md").splitlines()
        *_, last = [line for line in printed if line.startswith("|")]
        _, _, _, *numbers, _, found, _ = (cell.strip() for cell in last.split("|"))
        rows.append((f"`{arguments}`", *numbers, found))
    headers = ("`python -m tools.compare`", "A", "B", "B - A", "95 % interval", "verdict")
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def compare_runs(arguments: str) -> str:
    """Return what tools.compare prints.

    Raises:
        InputError: it fails.
    """
    command = (sys.executable, "-m", "tools.compare", *arguments.split())
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode:
        raise InputError(finished.stderr.strip())
    return finished.stdout


def graph() -> str:
    """Return the graph of the stages as DVC draws it."""
    command = (sys.executable, "-m", "dvc", "dag", "--md")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


TABLES: dict[str, Make] = {
    "names": names,
    "losses": losses,
    "repeats": repeats,
    "verdict": verdict,
    "verdicts": verdicts,
    "graph": graph,
    "sweep": lambda: table_of_json(read_json(SWEEP), "pipe"),
}


def main() -> None:
    pictures = {stages_picture.PATH: stages_picture.draw}
    rewrite_tables(__doc__, TABLES, prepare=partial(run_all, EXPERIMENTS), pictures=pictures)


if __name__ == "__main__":
    run_tool(main)
