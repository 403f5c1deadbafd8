"""Networks that are not in the default pipeline: trained on a few names, and added in a clone."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from torch import Generator

from charlm.core.errors import InputError
from charlm.core.storage import model_path
from charlm.data.examples import build_examples
from charlm.data.tensors import read_tensors
from charlm.data.vocabulary import read_vocabulary
from charlm.models.base import Model
from charlm.models.registry import MODELS, NETWORKS
from charlm.params import load, required
from charlm.scoring import score
from charlm.training import batches
from stages import train_gru, train_transformer
from tests.conftest import ROOT, Project, run_stages, table
from tools.add_network.__main__ import insert

STAGES = {"gru": train_gru, "transformer": train_transformer}
WORDS = b"anna\nava\nann\nbob\nbobo\nab\nanab\nbana\n"
SETTINGS = {
    name: yaml.safe_load(
        yaml.safe_load((ROOT / f"tools/add_network/{name}.yaml").read_text())["params.yaml"]
    )[name]
    for name in NETWORKS
}


def network_class(name: str) -> type[Model]:
    return getattr(import_module(f"charlm.models.{name}"), NETWORKS[name])


def train(name: str, folder: Path, **changes: object) -> None:
    """Train a network on WORDS, half of them dev, in a folder, which becomes the current one."""
    small = {"gru": {"hidden": 16}, "transformer": {"embedding": 16, "blocks": 1}}[name]
    settings = SETTINGS[name] | {"steps": 60, "batch_size": 3} | small | changes
    changed = {"split.train": 0.5, "split.dev": 0.5, "split.seed": 1}
    changed |= {f"{name}.{key}": value for key, value in settings.items()}
    run_stages(folder, WORDS, changed, ["fetch", "split", "build_contexts", f"train_{name}"])


@pytest.mark.parametrize("name", NETWORKS)
def test_network_learns_and_its_stored_form_has_its_losses(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(STAGES[name], "MEASURED_NAMES", 3)  # fewer than there are
    train(name, tmp_path, dropout=0.0, **({"output_dropout": 0.0} if name == "gru" else {}))
    monkeypatch.chdir(tmp_path)
    vocabulary = read_vocabulary()
    model = network_class(name).load(len(vocabulary))
    losses = {}
    for split in ("train", "dev"):
        names = Path(f"data/splits/{split}.txt").read_text().split()
        examples = build_examples(names, vocabulary, 10)
        losses[split] = score(model, **examples).nll.mean()
    printed = capsys.readouterr().out.splitlines()[-1]
    assert f"60 steps: nll {losses['train']:.4f} on train, {losses['dev']:.4f} on dev" in printed
    first = next(row for row in table(tmp_path, f"plots/{name}.csv") if row["split"] == "train")
    # what is known of four names: at the start the three symbols are about as probable
    assert losses["train"] < 0.6 < 1 < float(first["nll"])


@pytest.mark.parametrize("name", NETWORKS)
def test_training_twice_gives_the_same_bytes(name: str, tmp_path: Path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        train(name, tmp_path / folder, steps=5)
    first, second = (tmp_path / folder / model_path(name) for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_too_high_a_rate_is_one_line(name: str, tmp_path: Path):
    with pytest.raises(InputError, match=rf"^train_{name}: .* at step \d+; lower {name}\.lr, now"):
        train(name, tmp_path, lr=1e30)
    assert not (tmp_path / model_path(name)).exists()


def test_section_that_is_missing_is_one_line():
    with pytest.raises(InputError, match=r"no section gru; `python -m tools.add_network gru` adds"):
        required(load(ROOT / "params.yaml").gru, "gru")


def test_batches_have_each_number_once_before_any_comes_again():
    drawn = batches(7, 3, Generator().manual_seed(1))
    first, second, third = next(drawn), next(drawn), next(drawn)
    assert len({*first, *second}) == 6  # the seventh is left out of this round
    assert {*first, *second} <= set(range(7))
    assert len(third) == 3
    assert sorted(next(batches(2, 5, Generator().manual_seed(1)))) == [0, 1]


def test_block_is_inserted_above_the_only_such_line(tmp_path: Path):
    path, source = tmp_path / "a.yaml", Path("gru.yaml")
    path.write_text("a:\n  b: 1\nc:\n  a: 2\n")
    texts: dict[Path, str] = {}
    insert(texts, path, "a:", "x: 3\n", source)
    insert(texts, path, "c:", "y: 4\n", source)
    assert texts[path] == "x: 3\na:\n  b: 1\ny: 4\nc:\n  a: 2\n"
    with pytest.raises(InputError, match="found the line 'd:' 0 times, not once"):
        insert(texts, path, "d:", "x: 3\n", source)


@pytest.fixture(scope="module")
def with_networks(quick: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = quick.copy(tmp_path_factory.mktemp("networks") / "clone")
    project.run(sys.executable, "-m", "tools.add_network", *NETWORKS)
    for name in NETWORKS:
        project.set_param(f"{name}.steps", 3)
    project.repro()
    return project


def test_added_networks_are_evaluated_and_nothing_else_is_trained(
    quick: Project, with_networks: Project
):
    before, after = (
        json.loads((project.root / "metrics/nll/dev.json").read_text())
        for project in (quick, with_networks)
    )
    assert {*after} == {*MODELS, *NETWORKS}
    assert {name: after[name] for name in MODELS} == before
    lock = [
        yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]["train_mlp"]["deps"]
        for project in (quick, with_networks)
    ]
    paths = [{dep["path"] for dep in deps} for deps in lock]
    assert paths[0] == paths[1]


def test_tools_know_added_networks(with_networks: Project):
    scored = with_networks.run(sys.executable, "-m", "tools.score", "emma", "--model", "gru").stdout
    assert "  .emm  →  a " in scored
    shown = with_networks.run(sys.executable, "-m", "tools.next", "em", "--csv").stdout
    assert "\ntransformer,.em," in shown
    drawn = with_networks.run(sys.executable, "-m", "tools.generate", "--model", "gru", "-n", "3")
    assert drawn.stdout.count("\n") == 3
    compare = ("-m", "tools.compare", "workspace", "--model", "gru", "--other", "transformer")
    assert "gru → transformer" in with_networks.run(sys.executable, *compare).stdout


def test_added_networks_can_be_exported(with_networks: Project):
    pytest.importorskip("onnx", reason="needs the extra `export`")
    for name in NETWORKS:
        with_networks.run(sys.executable, "-m", "tools.export", name, "--format", "onnx")
        card = (with_networks.root / f"export/{name}.onnx.md").read_text()
        assert "it reads names from their beginning" in card
        assert "\n| dev " in card


def test_adding_twice_changes_nothing_and_discarding_leaves_nothing(with_networks: Project):
    before = with_networks.run("git", "diff").stdout
    again = with_networks.run(sys.executable, "-m", "tools.add_network", "gru").stdout
    assert again == "add_network: gru: is in the pipeline already\n"
    assert with_networks.run("git", "diff").stdout == before
    with_networks.run("git", "checkout", ".")
    with_networks.run("git", "clean", "-fq", "metrics", "plots")
    with_networks.run("dvc", "checkout")
    assert with_networks.changed() == ""
    assert "Data and pipelines are up to date" in with_networks.run("dvc", "status").stdout


def test_stored_start_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train("gru", tmp_path, steps=1)
    monkeypatch.chdir(tmp_path)
    arrays = read_tensors(model_path("gru"), "train_gru")
    with pytest.raises(ValueError, match="start is 9, not one of 6 symbols"):
        network_class("gru")(arrays | {"start": np.array(9)}, 6)
