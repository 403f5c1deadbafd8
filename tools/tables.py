"""Rewrite the tables of README.md and docs/ that come from results.

    python -m tools.tables            rewrites them
    python -m tools.tables --check    rewrites nothing, and fails if one is outdated

`make tables` also rewrites those of NOTEBOOKS.md, which come from the recipes. A table is between
two marks, <!-- table: NAME --> and <!-- end -->. The experiments that some of them show are run
first, unless their results are there.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks import commits, compare, scale, sweeps
from charlm.core.errors import InputError
from charlm.core.runtime import argument_parser, run_tool
from charlm.core.storage import DATA, METRICS, read_bytes, read_json
from charlm.models.registry import FITTED_ON_DEV
from charlm.sweeps.local import run_all
from charlm.sweeps.verdicts import table_of_json
from charlm.tables import parse_facts, parse_rows
from tools import recipes

FILES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
MARKS = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
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


def nll(split: str) -> dict[str, float]:
    """Return the losses of all models on a split."""
    losses: dict[str, float] = read_json(METRICS / "nll" / f"{split}.json")
    return losses


def losses() -> str:
    """Return the losses of all models; those on the split that a model was fitted on are marked."""
    train, dev, unseen = nll("train"), nll("dev"), nll("dev_unseen")
    rows = []
    for model in train:
        mark = " (fitted)" if model in FITTED_ON_DEV else ""
        cells = (f"{train[model]:.4f}", f"{dev[model]:.4f}{mark}", f"{unseen[model]:.4f}{mark}")
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


def beat() -> str:
    """Return the losses, sizes and times of counts, networks and mixtures."""
    groups, text = recipes.load(), read_bytes(recipes.NOTEBOOKS).decode()
    ours = {
        (row.recipe, row.figure.what): row.ours
        for group in ("splits", "answer", "beyond")
        for row in recipes.written(group, groups[group], text)
    }
    seconds: dict[str, float] = read_json(compare.RESULTS)["training_seconds"]
    parameters = int(parse_facts(read_bytes(METRICS / "mlp.csv"))["parameters"])
    rows = [
        (
            "default MLP",
            *(f"{nll(split)['mlp']:.4f} ¹" for split in ("dev", "dev_unseen")),
            f"{ours['unique-names', 'MLP dev NLL']} ¹",
            ours["final", "test NLL"],
            f"{parameters:,}",
            f"{seconds['mlp']:.2g} s",
        )
    ]
    for title, recipe, model, size, training in (
        ("n-grams of order 6", "kneser-ney-6", "n-gram", "n-grams", "ngram_count"),
        ("both mixed", "kneser-ney-6", "mixture", "", ""),
        ("`best-mlp`", "best-mlp", "MLP", "parameters", "best-mlp"),
        ("n-grams and `best-mlp` mixed", "best-mlp", "mixture", "", ""),
    ):
        is_fitted = model in FITTED_ON_DEV
        mark, dev = ("²", f"{model} dev NLL (fitted)") if is_fitted else ("¹", f"{model} dev NLL")
        rows.append(
            (
                title,
                f"{ours[recipe, dev]} {mark}",
                f"{ours[recipe, f'{dev} of names not in train']} {mark}",
                f"{ours[f'{recipe}-unique', dev]} {mark}",
                ours[recipe, f"{model} test NLL"],
                ours[recipe, f"number of {size}"] if size else "both",
                f"{seconds[training]:.2g} s" if training else "both",
            )
        )
    headers = ("model", "dev", "dev names not in train", "dev, no name twice", "test")
    return tabulate(
        rows, (*headers, "parameters", "training"), tablefmt="pipe", disable_numparse=True
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


def benchmark(path: Path, table: Callable[[dict[str, Any], str], str]) -> str:
    """Return the table of the last benchmark."""
    found = read_json(path)
    return table(found.get("rows", found), "pipe")


def commit_times() -> str:
    """Return the table of this commit beside an earlier one, and what an experiment consists of."""
    experiment = read_json(commits.RESULTS)["rows"]["experiment"]
    floor, after = experiment["floor"]["cpu"], experiment["cpu"]["after"]
    return (
        f"{benchmark(commits.RESULTS, commits.table)}\n\n"
        f"Of the {after:.1f} s of an experiment, {floor:.1f} s are its floor: four imports of "
        "torch, and DVC with stages\nthat only unpack results."
    )


def sweep() -> str:
    """Return the table of the sweep that `make sweep` ran."""
    return table_of_json(read_json(SWEEP), "pipe")


TABLES: dict[str, Callable[[], str]] = {
    "names": names,
    "losses": losses,
    "repeats": repeats,
    "beat": beat,
    "verdict": verdict,
    "verdicts": verdicts,
    "graph": graph,
    "times": lambda: benchmark(compare.RESULTS, compare.table),
    "commits": commit_times,
    "growth": lambda: benchmark(scale.RESULTS, scale.table),
    "sweep": sweep,
    "sweep-times": lambda: benchmark(sweeps.RESULTS, sweeps.table),
    "sweep-overhead": lambda: benchmark(sweeps.RESULTS, sweeps.overhead_table),
    "alphabet": lambda: benchmark(scale.RESULTS, scale.alphabet_table),
}


def fill_in(text: str, tables: dict[str, Callable[[], str]]) -> str:
    """Put tables between their marks in a text; those of other names stay as they are.

    >>> fill_in("a\\n<!-- table: x -->\\nold\\n<!-- end -->\\nb", {"x": lambda: "new"})
    'a\\n<!-- table: x -->\\nnew\\n<!-- end -->\\nb'
    """

    def filled(marks: re.Match[str]) -> str:
        known = marks[2] in tables
        return f"{marks[1]}{tables[marks[2]]()}\n{marks[3]}" if known else marks[0]

    return MARKS.sub(filled, text)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="only report what is outdated")
    arguments = parser.parse_args()
    run_all(EXPERIMENTS)
    texts = {path: fill_in(read_bytes(path).decode(), TABLES) for path in FILES}
    recipes.rewrite(texts, "tables", arguments.check, "make tables")


if __name__ == "__main__":
    run_tool(main)
