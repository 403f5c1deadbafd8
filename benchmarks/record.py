"""How low the loss gets: a GRU, two of them, and two mixed with the n-grams, over several seeds.

    python -m benchmarks.record    → benchmarks/record.json, a table of docs/performance.md

In clones of HEAD it adds the GRU with the settings of tools/add_network/gru.yaml, and trains pairs
of networks on the lecture's split, and on a split in which no name occurs twice. Test is evaluated,
too: run it once, when all settings are final. It takes about 30 minutes of one core.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import safetensors.numpy
import yaml
from tabulate import tabulate

from benchmarks.processes import machine, run, run_stage
from charlm.core.storage import METRICS, model_path, read_bytes, write_json
from charlm.tables import parse_rows

RESULTS = Path("benchmarks/record.json")
SEEDS = (11, 13, 15, 17, 19)  # each trains two networks, with this seed and the next
BEFORE = (
    *("fetch", "split", "build_contexts", "train_bigram_count", "train_bigram_neural"),
    *("train_mlp", "train_ngram_count"),
)
# whether repeated names are dropped first, and how many of the seeds
SPLITS = {"lecture": (False, 5), "unique": (True, 2)}
COLUMNS = ("dev", "dev_unseen", "test", "test_unseen")
ROWS = {
    "network": "one GRU",
    "pair": "two GRUs, probabilities averaged",
    "constant": "two GRUs and the n-grams, constant weights",
    "per_position": "two GRUs and the n-grams, weights per position",
}
Losses = dict[str, dict[str, float]]  # by split: nll and stderr


def set_params(folder: Path, changes: dict[str, dict[str, Any]]) -> None:
    """Change some sections of the params.yaml in a folder."""
    path = folder / "params.yaml"
    settings = yaml.safe_load(path.read_text())
    for section, values in changes.items():
        settings[section] |= values
    path.write_text(yaml.safe_dump(settings))


def evaluate(folder: Path, model: str) -> Losses:
    """Run the evaluation and return the losses of one model."""
    run_stage("evaluate", folder, root=folder)
    rows = parse_rows(read_bytes(folder / METRICS / "evaluate.csv"))
    return {
        row["split"]: {"nll": float(row["nll"]), "stderr": float(row["stderr"])}
        for row in rows
        if row["model"] == model and row["split"] in COLUMNS
    }


def measure(folder: Path, seed: int) -> dict[str, Any]:
    """Train two networks; return the losses of each, of both, and of both with the n-grams."""
    set_params(folder, {"gru": {"seed": seed}})
    found: dict[str, Any] = {"cpu": run_stage("train_gru", folder, root=folder).cpu}
    for weights in ("constant", "per_position"):
        set_params(folder, {"mixture": {"weights": weights}})
        run_stage("fit_mixture", folder, root=folder)
        found[weights] = evaluate(folder, "mixture")
    found["pair"] = evaluate(folder, "gru")
    path = folder / model_path("gru")
    arrays = safetensors.numpy.load_file(path)
    found["networks"] = []
    for number in range(2):
        one = {key: array[[number]] for key, array in arrays.items() if key != "start"}
        safetensors.numpy.save_file(one | {"start": arrays["start"]}, path)
        found["networks"].append(evaluate(folder, "gru"))
    return found


def measure_split(unique: bool, count: int) -> list[dict[str, Any]]:
    """Train and evaluate pairs of networks on one split, as many, in a clone of HEAD."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "clone")
        run("git", "clone", "--quiet", ".", str(folder), folder=Path.cwd())
        run(sys.executable, "-m", "tools.add_network", "gru", folder=folder)
        changes: dict[str, dict[str, Any]] = {
            "split": {"unique": unique},
            "evaluate": {"splits": ["train", "dev", "test"]},
            "gru": {"ensemble": 2},
            "mixture": {"components": ["gru", "ngram_count"]},
        }
        set_params(folder, changes)
        for stage in BEFORE:
            run_stage(stage, folder, root=folder)
        found = []
        for seed in SEEDS[:count]:
            found.append(measure(folder, seed))
            print(f"seeds {seed} and {seed + 1}: {found[-1]['cpu']:.0f} CPU s", file=sys.stderr)
        return found


def record_table(results: dict[str, Any], style: str) -> str:
    """Lay out means over the seeds, with their SD, and the standard error by names."""
    rows = []
    for split, title in (("lecture", ""), ("unique", ", no name twice")):
        for key, name in ROWS.items():
            runs = results[split]
            several = (
                [one for run in runs for one in run["networks"]]
                if key == "network"
                else [run[key] for run in runs]
            )
            cells = []
            for column in COLUMNS:
                if split == "unique" and column.endswith("unseen"):
                    cells.append("")
                    continue
                nll = [one[column]["nll"] for one in several]
                stderr = mean(one[column]["stderr"] for one in several)
                cells.append(f"{mean(nll):.4f} ± {stdev(nll):.4f} ({stderr:.4f})")
            rows.append((f"{name}{title}", *cells))
    headers = ("mean ± SD over seeds (standard error by names)", *COLUMNS)
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True)


def main() -> None:
    commit = subprocess.run(
        ("git", "rev-parse", "HEAD"), check=True, capture_output=True, text=True
    ).stdout.strip()
    results: dict[str, Any] = {"machine": machine(), "commit": commit}
    for split, (unique, count) in SPLITS.items():
        results[split] = measure_split(unique, count)
        write_json(RESULTS, results)
    print(record_table(results, "pipe"))


if __name__ == "__main__":
    main()
