"""Time the commands of this commit beside those of an earlier one, in turn, on this machine.

    python -m benchmarks.commits    → benchmarks/commits.json, a table

Each commit has a clone, an environment made by its own Makefile, and a cache. It takes about 15
minutes.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from benchmarks.processes import Cost, machine, run, summarise_pairs
from charlm.core.storage import write_json

BASELINE = "0e779fd"  # the last commit in which evaluation and tools imported torch
RESULTS = Path("benchmarks/commits.json")
POINTS = 8  # of a sweep


def clone(commit: str, folder: Path) -> Path:
    """Clone a commit, install its environment and run its pipeline."""
    run("git", "clone", "--quiet", ".", str(folder), folder=Path.cwd())
    run("git", "checkout", "--quiet", commit, folder=folder)
    run("make", "repro", folder=folder)
    return folder


def in_environment(folder: Path) -> dict[str, str]:
    """Return the variables that put the environment of a clone first on PATH."""
    return {"PATH": f"{folder}/.venv/bin{os.pathsep}{os.environ['PATH']}"}


def cost_of(*command: str, folder: Path) -> Cost:
    """Run a command with the environment of a clone, in it."""
    return Cost.of(lambda: run(*command, folder=folder, **in_environment(folder)))


def experiment(folder: Path, number: int) -> Cost:
    """Run an experiment of a width that was not run before, so that nothing is cached."""
    width = f"mlp.hidden={300 + number}"
    cost = cost_of("dvc", "exp", "run", "--quiet", "-S", width, folder=folder)
    run("git", "reset", "--quiet", "--hard", folder=folder)
    run("dvc", "checkout", "--quiet", folder=folder, **in_environment(folder))
    return cost


def cold(folder: Path, number: int) -> Cost:
    """Run the whole pipeline without cached results."""
    run("rm", "-rf", "data", ".dvc/cache", folder=folder)
    run("git", "restore", ".", folder=folder)  # in BASELINE, data/.gitignore is in git
    return cost_of("dvc", "repro", "--quiet", folder=folder)


def nothing(folder: Path, number: int) -> Cost:
    """Run a finished pipeline again."""
    return cost_of("dvc", "repro", "--quiet", folder=folder)


def sweep(folder: Path, number: int) -> Cost:
    """Run a sweep of widths that were not run before."""
    widths = ",".join(str(400 + number * POINTS + point) for point in range(POINTS))
    return cost_of("python", "-m", "tools.sweep", f"mlp.hidden={widths}", folder=folder)


def tool(*command: str) -> Callable[[Path, int], Cost]:
    """Return a measurement of a tool."""
    return lambda folder, number: cost_of("python", "-m", *command, folder=folder)


class Command(NamedTuple):
    """A command of both commits, and how small the ratio of its times should be."""

    what: str
    reach: float
    measure: Callable[[Path, int], Cost]
    pairs: int = 5


ROWS = {
    "experiment": Command("`dvc exp run -S mlp.hidden=300`", 0.68, experiment),
    "cold": Command("`dvc repro` from nothing", 0.7, cold),
    "nothing": Command("`dvc repro`, nothing changed", 0.9, nothing),
    "sweep": Command(f"`tools.sweep` of {POINTS} points", 0.68, sweep, pairs=2),
    "score": Command("`python -m tools.score emma`", 0.35, tool("tools.score", "emma")),
    "next": Command("`python -m tools.next a`", 0.35, tool("tools.next", "a")),
    "generate": Command("`python -m tools.generate`", 0.35, tool("tools.generate")),
}


def compare(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure every row in pairs, and yield its name and results."""
    before, after = clone(BASELINE, folder / "before"), clone("HEAD", folder / "after")
    for name, row in ROWS.items():
        pairs = []
        for number in range(row.pairs):
            against = row.measure(before, number)
            pairs.append((row.measure(after, number), against))
        result: dict[str, Any] = {"what": row.what, "reach": row.reach}
        for key in Cost._fields:
            times = [(getattr(ours, key), getattr(theirs, key)) for ours, theirs in pairs]
            result[key] = summarise_pairs(times)
        yield name, result


def table(results: dict[str, dict[str, Any]], style: str) -> str:
    """Lay out the results."""
    cells = [
        (
            row["what"],
            f"{row['cpu']['seconds_against']:.3g} s",
            f"{row['cpu']['seconds']:.3g} s",
            f"{row['cpu']['ratio']:.2f}",
            f"{row['cpu']['lowest']:.2f} to {row['cpu']['highest']:.2f}",
            f"{row['wall']['ratio']:.2f}",
            row["reach"],
        )
        for row in results.values()
    ]
    headers = ("what", "CPU before", "CPU after", "ratio", "spread", "ratio of wall time", "reach")
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True)


def main() -> None:
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, result in compare(Path(folder)):
            rows[name] = result
            write_json(RESULTS, {"machine": machine(), "baseline": BASELINE, "rows": rows})
            print(f"{name}: {result['cpu']['ratio']:.2f}", file=sys.stderr)
    print(table(rows, "simple"))


if __name__ == "__main__":
    main()
