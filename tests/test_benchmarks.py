"""The notebooks' loops that the project is timed against do the same work as the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from benchmarks import compare, notebooks, processes, scale, timed
from charlm import ARITHMETIC, params
from charlm.core.storage import write_json, write_lines
from charlm.data.examples import bigram_counts, build_examples
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import Vocabulary
from charlm.networks.mlp import MLP
from stages import train_bigram_count, train_mlp
from tests.conftest import ROOT, SETTINGS
from tools import deps

WORDS = ["emma", "olivia", "ava", "emma"]
VOCABULARY = Vocabulary.of(list(notebooks.ITOS.values()))
PROJECT = {"benchmarks", "charlm", "stages", "tools"}  # packages
linux = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


def test_contexts_and_counts_are_the_projects():
    for block_size in (1, 3):
        X, Y = notebooks.build_dataset(WORDS, block_size)
        ours = build_examples(WORDS, VOCABULARY, block_size)
        assert X.tolist() == ours["contexts"].tolist()
        assert Y.tolist() == ours["targets"].tolist()
    counts = bigram_counts(build_examples(WORDS, VOCABULARY, 1), 27)
    P = train_bigram_count.normalise(counts, smoothing=1)
    assert torch.allclose(notebooks.count(WORDS).double(), torch.from_numpy(P), atol=1e-6)


def test_start_and_loss_of_the_mlp_are_the_projects():
    generator = Generator().manual_seed(2147483647)
    model = MLP(27, 3, embedding=10, hidden=200)
    model.initialise("normal", generator)
    for theirs, ours in zip(notebooks.start(), model.parameters(), strict=True):
        assert torch.equal(theirs, ours)
    examples = train_mlp.Examples.of(build_examples(WORDS, VOCABULARY, 3), 27)
    theirs = torch.tensor(notebooks.loss(notebooks.start(), *notebooks.build_dataset(WORDS, 3)))
    assert torch.allclose(theirs, train_mlp.full_loss(model, examples), rtol=1e-6)


def test_notebooks_training_learns():
    X, Y = notebooks.build_dataset(WORDS, 3)
    model = notebooks.start()
    before = notebooks.loss(model, X, Y)
    torch.manual_seed(0)
    notebooks.train_mlp(model, X, Y, steps=200)
    assert notebooks.loss(model, X, Y) < 1 < before
    xs, ys = (tensor.flatten() for tensor in notebooks.build_dataset(WORDS, 1))
    W = notebooks.train_neural_bigram(xs, ys, steps=200)
    assert F.cross_entropy(W[xs], ys) < 1.5


# Python imports this before it runs a script; at the end it tells what the script ran with.
REPORT = """
import atexit, json, os, sys

def report():
    found = {"packages": sorted({name.partition(".")[0] for name in sys.modules})}
    found["environment"] = dict(os.environ)
    with open(os.environ["REPORT"], "w") as file:
        json.dump(found, file)

atexit.register(report)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with benchmarks and small data, to which benchmarks.processes is directed."""
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    for split in ("train", "dev"):
        write_lines(tmp_path / f"data/splits/{split}.txt", WORDS)
    write_json(tmp_path / "data/vocabulary.json", VOCABULARY.itos)
    model = MLP(27, 3, embedding=10, hidden=200)
    model.initialise("scaled", Generator().manual_seed(1))
    write_tensors(tmp_path / "data/models/mlp.safetensors", model.arrays())
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report/sitecustomize.py").write_text(REPORT)
    monkeypatch.setattr(processes, "ROOT", tmp_path)
    # the project can be imported there, so that nothing but the code decides whether it is
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'report'}{os.pathsep}{ROOT}")
    monkeypatch.setenv("REPORT", str(tmp_path / "report.json"))
    return tmp_path


def test_nothing_of_the_project_reaches_the_notebooks_side(folder: Path):
    assert os.environ.items() >= ARITHMETIC.items()  # as in every process that imports charlm
    assert "seconds" in processes.time_notebooks("contexts")
    report = json.loads((folder / "report.json").read_text())
    assert "torch" in report["packages"]
    assert not PROJECT & set(report["packages"])
    assert not set(ARITHMETIC) & set(report["environment"])


def test_as_a_module_the_notebooks_side_would_have_the_arithmetic_of_the_project(folder: Path):
    command = [sys.executable, "-m", "benchmarks.notebooks", "contexts"]
    environment = processes.unpinned_environment()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    report = json.loads((folder / "report.json").read_text())
    assert PROJECT & set(report["packages"]) == {"benchmarks", "charlm", "tools"}
    assert report["environment"].items() >= ARITHMETIC.items()


def test_notebooks_side_imports_nothing_of_the_project():
    imported = deps.imports((ROOT / "benchmarks/notebooks.py").read_text())
    assert not PROJECT & {name.partition(".")[0] for name in imported}


def test_environment_without_the_arithmetic_is_otherwise_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNRELATED", "kept")
    found = processes.unpinned_environment()
    assert found["UNRELATED"] == "kept"
    assert found | ARITHMETIC == dict(os.environ)


@pytest.mark.parametrize("name", ["contexts", "full_loss", "scores", "sampling"])
def test_functions_that_are_timed_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["timed", name])
    timed.main()
    assert list(json.loads(capsys.readouterr().out)) == ["seconds"]


@linux
def test_stage_runs_in_a_folder_or_only_its_imports_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "ROOT", ROOT)  # whose stages are run, on the folder's data
    write_lines(folder / "data/names.txt", WORDS)
    processes.write_params(folder, {"split": {"train": 0.5, "dev": 0.25, "seed": None}})
    train = folder / "data/splits/train.txt"
    assert processes.run_stage("split", folder, imports_only=True).megabytes > 0
    assert train.read_text().split() == WORDS
    assert processes.run_stage("split", folder).megabytes > 0
    assert train.read_text().split() == WORDS[:2]


def test_changed_parameters_keep_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "ROOT", ROOT)
    processes.write_params(tmp_path, {"mlp": {"steps": 2}})
    expected = SETTINGS.model_dump()
    expected["mlp"]["steps"] = 2
    assert params.load(tmp_path / "params.yaml").model_dump() == expected


def test_table_of_counting_says_when_lmplz_ran():
    said = scale.LMPLZ_SAYS.search(
        "=== 5/5 Writing ARPA model ===\nName:lmplz\tVmPeak:986116 kB\tVmRSS:16524 kB\t"
        "RSSMax:62444 kB\tuser:2.44228\tsys:0.064726\tCPU:2.50704\treal:4.2091\n"
    )
    assert said
    assert said.groups() == ("62444", "2.50704")
    found = {
        "train_ngram_count": {"cpu": 1.14, "megabytes": 119.6},
        "lmplz": {"cpu": 2.5, "megabytes": 61, "machine": {"cpu": "Some CPU"}},
        "lmplz_is_new": False,
    }
    assert scale.counting_table({"counting": found}, "pipe").splitlines()[2:] == [
        "| `lmplz`                       | 2.5 s |         61 MB |",
        "| `train_ngram_count`           | 1.1 s |        120 MB |",
        "",
        "`lmplz` was measured in an earlier run (Some CPU).",
    ]


def test_invented_lines_are_of_nine_characters():
    lines = scale.invent_lines(1000)[0].decode().splitlines()
    assert len(lines) == 1000
    assert {len(line) for line in lines} == {9}
    assert len(set("".join(lines))) == 36
    # of the frequencies 1 / k**1.22, the first is 0.31 of the sum of all 36
    assert "".join(lines).count("a") / 9000 == pytest.approx(0.31, abs=0.03)


def test_picture_of_the_ratios_hides_nothing_and_has_the_same_bytes():
    rows = json.loads((ROOT / "benchmarks/results.json").read_text())["rows"]
    plain = compare.draw(rows)
    with matplotlib.rc_context({"svg.hashsalt": "mine", "lines.linewidth": 9}):
        assert compare.draw(rows) == plain
    committed = (ROOT / "benchmarks/results.svg").read_bytes()
    assert re.findall(b"<!-- .+ -->", committed) == re.findall(b"<!-- .+ -->", plain)
    figure = compare.figure_of(rows)
    figure.draw_without_rendering()
    (axes,), (legend,) = figure.axes, figure.legends
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(rows) + 2
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
    limits = axes.transData.transform(axes.collections[0].get_offsets())
    for box in boxes:
        assert not any(box.contains(*place) for place in limits)
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == [f"{row['what']}\nbeside {row['against']}" for row in rows.values()]
