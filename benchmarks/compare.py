"""Time this project beside the notebooks' loops, in turn, on the machine at hand.

    python -m benchmarks.compare    → benchmarks/results.json, benchmarks/results.svg, a table

Seconds are for reading; the ratio of two runs made one after the other is the result. It takes
about ten minutes and a finished pipeline (`dvc repro`), whose splits and model it reads.
"""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from tabulate import tabulate

from benchmarks.processes import (
    Cost,
    machine,
    run,
    run_stage,
    seconds_per_step,
    summarise_pairs,
    time_main,
    time_notebooks,
    time_project,
    write_params,
)
from charlm.core.storage import write_bytes, write_json
from charlm.tables import parse_rows
from tools.experiments import overridden
from tools.recipes import catalog

RESULTS = Path("benchmarks/results.json")
PICTURE = Path("benchmarks/results.svg")


class Timing(NamedTuple):
    """A comparison: what of the project's against what, and how small the ratio should be."""

    what: str
    against: str
    reach: float  # the project's time as a share of the other's, at most


ROWS = {
    "to_2.17": Timing("training to dev NLL 2.17", "the lecture's loop, 200,000 steps", 1 / 50),
    "to_2.05": Timing("training to dev NLL 2.05, block size 6", "the same loop", 1 / 4),
    "contexts": Timing("building contexts", "the notebooks' nested loop", 1 / 40),
    "full_loss": Timing("loss over all of train", "the same over all 182,625 rows", 1 / 10),
    "neural_step": Timing("neural bigram, one step", "one-hot rows times W", 1 / 300),
    "sampling": Timing("sampling 10,000 names", "one name, one character at a time", 1 / 80),
    "repro": Timing("`dvc repro` from nothing", "the notebooks' code as one script", 1 / 2),
    "nothing": Timing("`dvc repro`, nothing changed", "`dvc version`", 3),
    "report": Timing("`python -m tools.report`", "`dvc plots show`", 8),
    "experiment": Timing(
        "`dvc exp run -S mlp.hidden=300`", "its stages by hand and `dvc version`", 1.5
    ),
}
FUNCTIONS = {"contexts": 5, "full_loss": 5, "sampling": 3}  # and how often to run them
TRAININGS: dict[str, dict[str, dict[str, Any]]] = {  # changes of params.yaml
    "to_2.17": {"mlp": {"steps": 150, "batch_size": 512, "lr": 0.05}},
    "to_2.05": {
        "contexts": {"block_size": 6},
        "mlp": {"steps": 1200, "batch_size": 512, "lr": 0.015, "weight_decay": 0.1},
    },
}
TRAINING_RUNS, STEP_RUNS = 3, 5
NEURAL_STEPS = 20_000  # of the neural bigram, so that they take seconds
TRAINED = {"ngram_count": "kneser-ney-6", "mlp": "final", "best-mlp": "best-mlp"}  # by recipe
Pairs = list[tuple[float, float]]  # seconds of the project and of the other side


def train(stage: str, changes: dict[str, dict[str, Any]], folder: Path) -> float:
    """Time a training after its imports, in a new folder."""
    prepare(folder, changes)
    return time_main(stage, folder)


def prepare(folder: Path, changes: dict[str, dict[str, Any]]) -> Path:
    """Give a folder the splits of this pipeline, other parameters, and their contexts."""
    shutil.copytree("data/splits", folder / "data/splits")
    shutil.copy("data/names.txt", folder / "data/names.txt")
    write_params(folder, changes)
    run_stage("build_contexts", folder)
    return folder


def compare_functions() -> tuple[dict[str, Pairs], dict[str, float]]:
    """Time what is compared after its imports; return the times and the dev losses reached."""
    pairs: dict[str, Pairs] = {}
    losses: dict[str, float] = {}
    for _ in range(TRAINING_RUNS):
        theirs = time_notebooks("training")
        losses["training"] = theirs["loss"]
        for name, changes in TRAININGS.items():
            with tempfile.TemporaryDirectory() as folder:
                ours = train("train_mlp", changes, Path(folder))
                *_, last = parse_rows(Path(folder, "plots/mlp.csv").read_bytes())
            pairs.setdefault(name, []).append((ours, theirs["seconds"]))
            losses[name] = float(last["nll"])  # on dev, after all steps
    print("training: done", file=sys.stderr)
    for name, runs in FUNCTIONS.items():
        pairs[name] = [(time_project(name), time_notebooks(name)["seconds"]) for _ in range(runs)]
        print(f"{name}: done", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        stage = ("train_bigram_neural", "bigram_neural", prepare(Path(folder), {}))
        pairs["neural_step"] = [
            (seconds_per_step(*stage, NEURAL_STEPS), time_notebooks("neural_step")["seconds"])
            for _ in range(STEP_RUNS)
        ]
    print("neural_step: done", file=sys.stderr)
    return pairs, losses


def time_recipes() -> dict[str, float]:
    """Return the seconds of training of some recipes."""
    known = {name: r for group in catalog.load().values() for name, r in group.recipes.items()}
    found = {}
    for name, recipe in TRAINED.items():
        stage = "train_ngram_count" if name == "ngram_count" else "train_mlp"
        with tempfile.TemporaryDirectory() as folder:
            found[name] = train(stage, overridden(known[recipe].overrides), Path(folder))
    return found


def seconds(*command: str, folder: Path) -> float:
    """Time a command as a whole process; `python` is the one that runs this."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Cost.of(lambda: run(*command, folder=folder, PATH=path)).wall


def compare_commands() -> dict[str, Pairs]:
    """Run what is compared as commands, in a clone of HEAD with a separate cache."""
    python, dvc = (sys.executable,), (sys.executable, "-m", "dvc")
    pairs: dict[str, Pairs] = {name: [] for name in ("repro", "nothing", "report", "experiment")}
    with tempfile.TemporaryDirectory() as root:
        for number in range(2):
            clone = Path(root, str(number))
            run("git", "clone", "--quiet", ".", str(clone), folder=Path.cwd())
            ours = seconds(*dvc, "repro", folder=clone)
            theirs = seconds(*python, "benchmarks/notebooks.py", folder=clone)
            pairs["repro"].append((ours, theirs))
        print("repro: done", file=sys.stderr)
        for number in range(5):
            version = seconds(*dvc, "version", folder=clone)
            pairs["nothing"].append((seconds(*dvc, "repro", folder=clone), version))
            ours = seconds(*python, "-m", "tools.report", folder=clone)
            pairs["report"].append((ours, seconds(*dvc, "plots", "show", folder=clone)))
            # a width that was not run before, so that nothing comes from the cache
            width = f"mlp.hidden={300 + number}"
            ours = seconds(*dvc, "exp", "run", "-S", width, folder=clone)
            theirs = version + sum(
                seconds(*python, "-m", f"stages.{stage}", folder=clone)
                for stage in ("train_mlp", "fit_mixture", "evaluate", "sample", "plot_mlp")
            )
            pairs["experiment"].append((ours, theirs))
            run("git", "reset", "--quiet", "--hard", folder=clone)
            run(*dvc, "checkout", "--quiet", folder=clone)
    return pairs


def share(ratio: float) -> str:
    """Say a ratio as people do.

    >>> share(0.02), share(1.4)
    ('1/50', '1.4')
    """
    return f"1/{1 / ratio:.3g}" if ratio < 1 else f"{ratio:.3g}"


def table(rows: dict[str, dict[str, Any]], style: str) -> str:
    """Lay out the results."""
    cells = [
        (
            row["what"],
            row["against"],
            f"{row['seconds']:.3g} s",
            f"{row['seconds_against']:.3g} s",
            share(row["ratio"]),
            f"{share(row['lowest'])} to {share(row['highest'])}",
            share(row["reach"]),
        )
        for row in rows.values()
    ]
    headers = ("what", "against", "time", "time against", "ratio", "spread", "reach")
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True)


def figure_of(rows: dict[str, dict[str, Any]]) -> Figure:
    """Return the ratios beside their limits: to the left of 1 this project is faster."""
    figure = Figure(figsize=(10, 0.52 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows), 0, -1)
    ratios = [row["ratio"] for row in rows.values()]
    limits = [row["reach"] for row in rows.values()]
    colors = ["steelblue" if ratio <= 1 else "darkorange" for ratio in ratios]
    axes.barh(places, [ratio - 1 for ratio in ratios], left=1, color=colors, height=0.6)
    axes.scatter(limits, places, marker="|", s=300, c="crimson", label="limit", zorder=3)
    for place, ratio, limit in zip(places, ratios, limits, strict=True):
        side, align, end = (-6, "right", min) if ratio <= 1 else (6, "left", max)
        style: dict[str, Any] = {"textcoords": "offset points", "ha": align, "va": "center"}
        axes.annotate(share(ratio), (end(ratio, limit), place), (side, 0), **style)
    axes.axvline(1, color="black", lw=0.8)
    axes.set_xscale("log")
    axes.set_xlim(min(ratios) / 3, max(*ratios, *limits) * 3)
    axes.xaxis.set_major_formatter(
        lambda ratio, _: f"{ratio:g}" if ratio >= 1 else f"1/{1 / ratio:g}"
    )
    axes.set_yticks(places, [f"{row['what']}\nbeside {row['against']}" for row in rows.values()])
    axes.set_xlabel("time of this project divided by the time of what it is compared with (median)")
    axes.text(1.2, 1.02, "slower →", transform=axes.get_xaxis_transform())
    axes.text(1 / 1.2, 1.02, "← faster", transform=axes.get_xaxis_transform(), ha="right")
    figure.legend(loc="outside lower right", frameon=False)
    return figure


def draw(rows: dict[str, dict[str, Any]]) -> bytes:
    """Draw the ratios as SVG."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "benchmarks"
        buffer = io.BytesIO()
        figure_of(rows).savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def main() -> None:
    if not Path("data/models/mlp.safetensors").exists():
        sys.exit("benchmarks: data/models/mlp.safetensors: not found; run `dvc repro` first")
    pairs, losses = compare_functions()
    pairs |= compare_commands()
    rows = {name: row._asdict() | summarise_pairs(pairs[name]) for name, row in ROWS.items()}
    training = time_recipes()
    results = {"dev_nll": losses, "training_seconds": training, "rows": rows}
    write_json(RESULTS, {"machine": machine()} | results)
    write_bytes(PICTURE, draw(rows))
    print(table(rows, "simple"))
    print(f"dev NLL reached: {losses}")
    print(f"seconds of training: {training}")


if __name__ == "__main__":
    main()
