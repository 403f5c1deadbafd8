"""Time the commands of this commit beside those of an earlier one, in turn, on this machine.

    python -m benchmarks.commits    → benchmarks/commits.json, a table

Each commit has a clone, an environment made by its own Makefile, and a cache. The floor of an
experiment is what its stages and DVC take at least: `import torch` once per stage that needs it,
and an experiment whose stages only unpack results. It takes about 25 minutes.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml
from tabulate import tabulate

from benchmarks.processes import Cost, machine, run, summarise_pairs
from charlm.core.storage import write_json

BASELINE = "927356f"  # the last commit before stages and library were separated
RESULTS = Path("benchmarks/commits.json")
STAGES = ("train_mlp", "fit_mixture", "evaluate", "sample")  # of an experiment, that import torch
PRINT_RECIPE = """
import yaml
try:
    from tools.experiments import overridden
    from tools.recipes.catalog import load
except ImportError:  # in BASELINE
    from tools.recipes import load, overridden
found = {name: r for group in load().values() for name, r in group.recipes.items()}
print(yaml.safe_dump(overridden(found["best-mlp"].overrides)))
"""


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
    return cost_of("dvc", "repro", "--quiet", folder=folder)


def nothing(folder: Path, number: int) -> Cost:
    """Run a finished pipeline again."""
    return cost_of("dvc", "repro", "--quiet", folder=folder)


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
        command = ("python", "-m", "stages.train_mlp")
        return Cost.of(lambda: run(*command, folder=work, **variables))


class Row(NamedTuple):
    """A command of both commits, and how small the ratio of its times should be."""

    what: str
    reach: float
    measure: Callable[[Path, int], Cost]
    pairs: int = 5


ROWS = {
    "experiment": Row("`dvc exp run -S mlp.hidden=300`", 0.72, experiment),
    "cold": Row("`dvc repro` from nothing", 0.7, cold),
    "nothing": Row("`dvc repro`, nothing changed", 1.0, nothing),
    "best-mlp": Row("training of the recipe `best-mlp`", 0.6, best_mlp, pairs=2),  # a minute each
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


def compare(folder: Path) -> dict[str, dict[str, Any]]:
    """Measure every row in pairs, and the floor of the experiment beside it."""
    before, after = clone(BASELINE, folder / "before"), clone("HEAD", folder / "after")
    idle = without_work(after, folder / "idle")
    results: dict[str, dict[str, Any]] = {}
    for name, row in ROWS.items():
        pairs, floors = [], []
        for number in range(row.pairs):
            against = row.measure(before, number)
            pairs.append((row.measure(after, number), against))
            if row.measure is experiment:
                imports = [cost_of("python", "-c", "import torch", folder=after) for _ in STAGES]
                floors.append([*imports, experiment(idle, number)])
        results[name] = {"what": row.what, "reach": row.reach}
        for key in Cost._fields:
            times = [(getattr(ours, key), getattr(theirs, key)) for ours, theirs in pairs]
            results[name][key] = summarise_pairs(times)
        if floors:
            results[name]["floor"] = median(sum(cost.cpu for cost in costs) for costs in floors)
        print(f"{name}: done", file=sys.stderr)
    return results


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
    with tempfile.TemporaryDirectory() as folder:
        rows = compare(Path(folder))
    write_json(RESULTS, {"machine": machine(), "baseline": BASELINE, "rows": rows})
    print(table(rows, "simple"))


if __name__ == "__main__":
    main()
