"""Time the commands of this commit beside those of an earlier one, in turn, on this machine.

    python -m benchmarks.commits    → benchmarks/commits.json, a table

Each commit has a clone, an environment made by its own Makefile, and a cache. The floor of an
experiment is what its stages and DVC take at least: `import torch` once per stage that needs it,
and an experiment whose stages only unpack results. It takes about 25 minutes.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple, Self

import yaml
from tabulate import tabulate

from benchmarks.processes import machine, unpinned_environment

BASELINE = "927356f"  # the last commit before stages and library were separated
RESULTS = Path("benchmarks/commits.json")
PAIRS = 5
TRAININGS = 2  # pairs of the recipe best-mlp, which takes a minute
STAGES = ("train_mlp", "fit_mixture", "evaluate", "sample")  # of an experiment, that import torch
PRINT_RECIPE = """
import yaml
from tools.experiments import overridden
from tools.recipes.catalog import load
found = {name: r for group in load().values() for name, r in group.recipes.items()}
print(yaml.safe_dump(overridden(found["best-mlp"].overrides)))
"""


class Cost(NamedTuple):
    """What a command takes, with all processes that it starts."""

    cpu: float  # seconds
    wall: float  # seconds

    @classmethod
    def of(cls, *command: str, folder: Path, **variables: str) -> Self:
        """Run a command with the environment of a clone first on PATH; `variables` are added."""
        start, cpu = perf_counter(), cpu_of_children()
        run(*command, folder=folder, **variables)
        return cls(cpu_of_children() - cpu, perf_counter() - start)

    def __add__(self, other: tuple[object, ...]) -> "Cost":
        """Add two costs."""
        assert isinstance(other, Cost)
        return Cost(self.cpu + other.cpu, self.wall + other.wall)


class Row(NamedTuple):
    """A command of both commits, and how small the ratio of its times should be."""

    what: str
    reach: float


ROWS = {
    "experiment": Row("`dvc exp run -S mlp.hidden=300`", 0.72),
    "cold": Row("`dvc repro` from nothing", 0.7),
    "nothing": Row("`dvc repro`, nothing changed", 1.0),
    "best-mlp": Row("training of the recipe `best-mlp`", 0.6),
}


def cpu_of_children() -> float:
    """Return the CPU seconds of all finished processes that this one started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(*command: str, folder: Path, **variables: str) -> str:
    """Run a command in a folder and return what it prints."""
    environment = unpinned_environment() | variables
    finished = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
    )
    return finished.stdout


def clone(commit: str, folder: Path) -> Path:
    """Clone a commit, install its environment and run its pipeline."""
    run("git", "clone", "--quiet", ".", str(folder), folder=Path.cwd())
    run("git", "checkout", "--quiet", commit, folder=folder)
    run("make", "repro", folder=folder)
    return folder


def in_environment(folder: Path) -> dict[str, str]:
    """Return the variables that put the environment of a clone first on PATH."""
    return {"PATH": f"{folder}/.venv/bin{os.pathsep}{os.environ['PATH']}"}


def reset(folder: Path) -> None:
    """Bring the files of a clone back to its commit."""
    run("git", "reset", "--quiet", "--hard", folder=folder)
    run("dvc", "checkout", "--quiet", folder=folder, **in_environment(folder))


def experiment(folder: Path, number: int) -> Cost:
    """Run an experiment of a width that was not run before, so that nothing is cached."""
    change = f"mlp.hidden={300 + number}"
    command = ("dvc", "exp", "run", "--quiet", "-S", change)
    cost = Cost.of(*command, folder=folder, **in_environment(folder))
    reset(folder)
    return cost


def cold(folder: Path, number: int) -> Cost:
    """Run the whole pipeline without cached results."""
    run("rm", "-rf", "data", ".dvc/cache", folder=folder)
    return Cost.of("dvc", "repro", "--quiet", folder=folder, **in_environment(folder))


def nothing(folder: Path, number: int) -> Cost:
    """Run a finished pipeline again."""
    return Cost.of("dvc", "repro", "--quiet", folder=folder, **in_environment(folder))


def best_mlp(folder: Path, number: int) -> Cost:
    """Train the MLP of the recipe in a folder, imports included."""
    variables = in_environment(folder)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        settings = run("python", "-c", PRINT_RECIPE, folder=folder, **variables)
        (work / "params.yaml").write_text(settings)
        run("cp", "-r", str(folder / "data"), name, folder=folder)
        variables["PYTHONPATH"] = str(folder)
        run("python", "-m", "stages.build_contexts", folder=work, **variables)
        return Cost.of("python", "-m", "stages.train_mlp", folder=work, **variables)


MEASURES: dict[str, Callable[[Path, int], Cost]] = {
    "experiment": experiment,
    "cold": cold,
    "nothing": nothing,
    "best-mlp": best_mlp,
}


def without_work(folder: Path, into: Path) -> Path:
    """Copy a finished clone; its stages unpack the results that they had, and do nothing else."""
    run("cp", "-r", str(folder), str(into), folder=folder)
    run("tar", "-cf", "results.tar", "data", "metrics", "plots", folder=into)
    pipeline = yaml.safe_load((into / "dvc.yaml").read_text())
    for stage in pipeline["stages"].values():
        entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
        paths = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
        stage["cmd"] = f"tar -xf {into}/results.tar {' '.join(paths)}"
    (into / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    run("dvc", "repro", "--quiet", folder=into, **in_environment(into))
    identity = ("-c", "user.name=benchmarks", "-c", "user.email=benchmarks@localhost")
    run("git", *identity, "commit", "--quiet", "--all", "--message", "without work", folder=into)
    return into


def import_torch(folder: Path) -> Cost:
    """Start Python and import torch."""
    return Cost.of("python", "-c", "import torch", folder=folder, **in_environment(folder))


def compare(folder: Path) -> dict[str, dict[str, object]]:
    """Measure every row in pairs, and the floor of the experiment beside it."""
    before, after = clone(BASELINE, folder / "before"), clone("HEAD", folder / "after")
    idle = without_work(after, folder / "idle")
    results: dict[str, dict[str, object]] = {}
    for name, row in ROWS.items():
        pairs, floors = [], []
        for number in range(TRAININGS if name == "best-mlp" else PAIRS):
            pairs.append([MEASURES[name](side, number) for side in (before, after)])
            if name == "experiment":
                floors.append(sum((import_torch(after) for _ in STAGES), experiment(idle, number)))
        results[name] = row._asdict() | summary(pairs)
        if floors:
            results[name]["floor"] = {
                key: median(getattr(cost, key) for cost in floors) for key in Cost._fields
            }
        print(f"{name}: done", file=sys.stderr)
    return results


def summary(pairs: list[list[Cost]]) -> dict[str, object]:
    """Return the medians of both sides and of their ratios.

    >>> costs = [Cost(4, 4), Cost(2, 3)], [Cost(8, 8), Cost(2, 4)], [Cost(4, 6), Cost(4, 3)]
    >>> summary([list(pair) for pair in costs])["cpu"]
    {'before': 4, 'after': 2, 'ratio': 0.5, 'lowest': 0.25, 'highest': 1.0}
    """
    found: dict[str, object] = {"pairs": len(pairs)}
    for key in Cost._fields:
        sides = [[getattr(cost, key) for cost in pair] for pair in pairs]
        ratios = [after / before for before, after in sides]
        found[key] = {
            "before": median(before for before, _ in sides),
            "after": median(after for _, after in sides),
            "ratio": median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
    return found


def table(results: dict[str, dict[str, dict[str, float]]], style: str) -> str:
    """Lay out the results."""
    cells = [
        (
            row["what"],
            f"{row['cpu']['before']:.3g} s",
            f"{row['cpu']['after']:.3g} s",
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
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder))
    results = {"machine": machine(), "baseline": BASELINE, "rows": rows}
    RESULTS.write_text(f"{json.dumps(results, indent=2)}\n")
    print(table(json.loads(RESULTS.read_text())["rows"], "simple"))


if __name__ == "__main__":
    main()
