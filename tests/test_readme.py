"""README.md against the files that its figures come from."""

import json
import re
from pathlib import Path

from benchmarks import compare, scale
from tests.conftest import ROOT, Project
from tests.test_recipes import written

README = (ROOT / "README.md").read_text()


def metrics(name: str) -> dict:
    return json.loads((ROOT / "metrics" / f"{name}.json").read_text())


def compare_results() -> dict:
    return json.loads((ROOT / "benchmarks/results.json").read_text())


def test_table_of_losses_is_that_of_the_metrics():
    found = metrics("evaluate")
    rows = re.findall(r"\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", README)
    assert rows == [
        (
            model,
            f"{nll['train']:.4f}",
            f"{nll['dev']:.4f}",
            f"{found['nll_unseen'][model]['dev']:.4f}",
        )
        for model, nll in found["nll"].items()
    ]


def test_share_of_repeated_names_is_that_of_the_metrics():
    assert f"{metrics('split')['also_in_train']['dev']:.1%}".replace("%", " %") in README


def test_default_mlp_reaches_its_loss():
    assert metrics("evaluate")["nll"]["mlp"]["dev"] <= 2.10


def test_sampled_names_are_those_of_the_pipeline(finished: Project, names: list[str]):
    sampled = (finished.root / "data/samples/mlp.txt").read_text().split("\n")[:10]
    assert f"> {', '.join(sampled)}\n" in README


def test_graph_is_what_dvc_draws(finished: Project):
    assert finished.run("dvc", "dag", "--md").stdout.strip() in README


def test_tree_names_every_file():
    for path in [*ROOT.glob("stages/*.py"), *ROOT.glob("tools/[!_]*.py")]:
        assert f"{Path(path).name} " in README


def test_table_of_what_networks_must_beat_is_that_of_the_recipes():
    ours = {
        (row.recipe, row.figure.what): row.ours
        for part in ("splits", "answer", "beyond")
        for row in written(part)
    }
    found, seconds = metrics("evaluate"), compare_results()["training_seconds"]
    unseen = " of names not in train"
    table = {
        "MLP as by default": [
            f"{found['nll']['mlp']['dev']:.4f}",
            f"{found['nll_unseen']['mlp']['dev']:.4f}",
            ours["unique-names", "MLP dev NLL"],
            ours["final", "test NLL"],
            f"{metrics('mlp')['parameters']:,}",
            f"{seconds['mlp']:.2g} s",
        ]
    }
    for title, recipe, model, unique, size in (
        ("n-grams of order 6", "kneser-ney-6", "n-gram", "kneser-ney-6-unique", "n-grams"),
        ("the two mixed", "kneser-ney-6", "mixture", "kneser-ney-6-unique", None),
        ("`best-mlp`", "best-mlp", "MLP", "best-mlp-unique", "parameters"),
        ("n-grams and `best-mlp` mixed", "best-mlp", "mixture", "best-mlp-unique", None),
    ):
        table[title] = [
            ours[recipe, f"{model} dev NLL"],
            ours[recipe, f"{model} dev NLL{unseen}"],
            ours[unique, f"{model} dev NLL"],
            ours[recipe, f"{model} test NLL"],
            f"{float(ours[recipe, f'number of {size}']):,.0f}" if size else "both",
            f"{seconds[{'n-grams': 'ngram_count'}.get(size, recipe)]:.2g} s" if size else "both",
        ]
    for title, cells in table.items():
        assert f"| {title} | {' | '.join(cells)} |" in README


def test_table_of_growth_is_that_of_the_last_benchmark():
    results = json.loads((ROOT / "benchmarks/scale.json").read_text())
    assert scale.table(results, "pipe") in README
    for stage in results["sizes"]["1"]["stages"].values():
        assert stage.get("megabytes_above", 0) <= scale.MEGABYTES


def test_table_of_times_is_that_of_the_last_benchmark():
    results = compare_results()
    assert compare.table(results["rows"], "pipe") in README
    assert {name: row["what"] for name, row in results["rows"].items()} == {
        name: row.what for name, row in compare.ROWS.items()
    }


def test_every_promise_names_a_test_that_there_is():
    table = README.partition("## Guarantees")[2].partition("\n`make verify`")[0]
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", table)
    assert len(named) >= 20
    for file, test in named:
        source = (ROOT / "tests" / file).read_text()
        assert not test or f"def {test}(" in source
