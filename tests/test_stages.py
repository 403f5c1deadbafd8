"""All stages run by hand on a small list, with parameters that the committed run leaves alone."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import safetensors.numpy
import yaml

from charlm import storage as files
from tests.conftest import ROOT, Project
from tests.test_dvc_yaml import STAGES

# the last of them is beyond the limit and holds a letter and a mark of its own
WORDS = [f"{first}{second}na" for first in "abcdefgh" for second in "aeiou"] + ["ana", "$ü"]
CHANGES = {
    "split": {"seed": 7, "limit": 41, "train": 0.5, "dev": 0.25},
    "bigram_count": {"smoothing": 0},
    "bigram_neural": {"steps": 3, "l2": 0.5, "lr": 0.1},
    "ngram_count": {"order": 3},
    "mlp": {
        "steps": 30,
        "hidden": 5,
        "layers": 2,
        "activation": "gelu",
        "dropout": 0.25,
        "schedule": "cosine",
        "batch_size": 8,
    },
    "evaluate": {"splits": ["train", "dev", "test"]},
    "sample": {"count": 4, "measured": 50},
}


@pytest.fixture(scope="module")
def tiny(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, subprocess.CompletedProcess]]:
    """The folder after every stage in order, and what each printed."""
    folder = tmp_path_factory.mktemp("tiny")
    content = "\n".join(WORDS).encode()
    (folder / "words.txt").write_bytes(content)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, changes in CHANGES.items():
        values[section] |= changes
    values["fetch"] = {"url": "words.txt", "sha256": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    refused = stage(folder, "fetch")
    values["fetch"]["sha256"] = refused.stderr.split("`sha256: ")[1][:64]
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    printed = {name: stage(folder, name) for name in STAGES}
    for name, finished in printed.items():
        assert finished.returncode == 0, f"{name}: {finished.stderr}"
    return folder, printed


def stage(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return Project(folder).run(
        sys.executable, "-m", f"stages.{name}", check=False, PYTHONPATH=str(ROOT)
    )


def metrics(folder: Path, name: str) -> dict:
    return json.loads((folder / "metrics" / f"{name}.json").read_text())


def test_each_stage_prints_one_line_of_result(tiny):
    _, printed = tiny
    for name, finished in printed.items():
        assert finished.stdout.startswith(f"{name}: ")
        assert finished.stdout.count("\n") == 1


def test_limit_takes_the_first_names_of_the_list_before_the_shuffle(tiny):
    folder, _ = tiny
    splits = [
        files.read_names(folder / f"data/splits/{split}.txt") for split in ("train", "dev", "test")
    ]
    assert [len(names) for names in splits] == [20, 10, 11]
    assert sorted(sum(splits, [])) == sorted(WORDS[:41])
    assert sum(splits, []) != WORDS[:41]


def test_vocabulary_is_that_of_the_whole_list(tiny):
    folder, _ = tiny
    assert files.read_json(folder / "data/vocabulary.json") == [".", "$", *"abcdefghinou", "ü"]


def test_penalty_is_in_the_objective_and_not_in_the_loss(tiny):
    folder, _ = tiny
    found = metrics(folder, "bigram_neural")
    W = safetensors.numpy.load_file(folder / "data/models/bigram_neural.safetensors")["W"]
    assert found["objective"] - found["nll"] == pytest.approx(0.5 * (W**2).mean(), abs=1e-5)
    # the reported loss is that of the stored model, as evaluate finds it
    assert found["nll"] == pytest.approx(
        metrics(folder, "evaluate")["nll"]["bigram_neural"]["train"], abs=2e-6
    )


def test_model_that_rules_characters_out_has_a_count_a_warning_and_no_loss(tiny):
    folder, printed = tiny
    found = metrics(folder, "evaluate")
    assert set(found["zero_probability"]) == {"bigram_count"}
    assert set(found["nll"]["bigram_count"]) == {"train"}  # its own counts rule nothing out
    assert set(found["nll"]["mlp"]) == {"train", "dev", "test"}
    for split, count in found["zero_probability"]["bigram_count"].items():
        assert count > 0
        assert (
            f"warning: bigram_count gives {count} characters of {split} probability 0"
            in printed["evaluate"].stderr
        )
    assert "bigram_count none" in printed["evaluate"].stdout
    bars = pd.read_csv(folder / "plots/models.csv")["model"].tolist()
    assert bars[:2] == ["bigram_count (train)", "bigram_neural (train)"]


def test_evaluation_has_a_row_a_name_that_adds_up_to_the_metrics(tiny):
    folder, _ = tiny
    text = (folder / "data/evaluation.csv").read_text()
    assert all(
        len(number.partition(".")[2]) == 6
        for line in text.splitlines()[1:]
        for number in line.split(",")[4:]
        if number
    )
    table = pd.read_csv(
        folder / "data/evaluation.csv", keep_default_na=False, na_values={"bigram_count": ""}
    )
    assert table["name"].tolist() == [
        name
        for split in ("train", "dev", "test")
        for name in files.read_names(folder / f"data/splits/{split}.txt")
    ]
    assert table["bigram_count"].isna().any()
    for split, rows in table.groupby("split"):
        mean = rows["mlp"].sum() / rows["characters"].sum()
        assert mean == pytest.approx(metrics(folder, "evaluate")["nll"]["mlp"][split], abs=1e-5)


def test_curves_agree_with_the_metrics(tiny):
    folder, _ = tiny
    curve = pd.read_csv(folder / "plots/mlp.csv")
    assert metrics(folder, "mlp") == {
        "nll_first": curve["nll"].iloc[0],
        "nll_last": curve["nll"].iloc[-1],
        "parameters": 15 * 10 + (30 * 5 + 5) + (5 * 5 + 5) + (5 * 15 + 15),
    }
    assert curve["step"].tolist() == list(range(30))
    dev = pd.read_csv(folder / "plots/mlp_dev.csv")
    assert dev["step"].iloc[-1] == 30
    assert dev["nll"].iloc[-1] == pytest.approx(
        metrics(folder, "evaluate")["nll"]["mlp"]["dev"], abs=2e-6
    )


def test_samples_are_one_name_a_line(tiny):
    folder, _ = tiny
    for model in metrics(folder, "evaluate")["nll"]:
        samples = (folder / f"data/samples/{model}.txt").read_text().split("\n")
        assert samples.pop() == ""
        assert len(samples) == 4


def test_samples_are_measured_and_their_lengths_add_up(tiny):
    folder, _ = tiny
    found = metrics(folder, "sample")
    assert list(found) == [
        "in_train",
        "distinct",
        "at_most_one_letter",
        "in_dev",
        "length_distance",
    ]
    table = pd.read_csv(folder / "plots/lengths.csv")
    sums = table.groupby("model", sort=False)["share"].sum()
    assert sums.to_dict() == pytest.approx(
        dict.fromkeys(["dev", *metrics(folder, "evaluate")["nll"]], 1), abs=1e-4
    )
    dev, mlp = (table[table["model"] == name]["share"].to_numpy() for name in ("dev", "mlp"))
    assert found["length_distance"]["mlp"] == pytest.approx(abs(dev - mlp).sum() / 2, abs=1e-4)


def test_mixture_weighs_two_models_and_is_no_worse_on_dev_than_either(tiny):
    folder, _ = tiny
    nll = metrics(folder, "evaluate")["nll"]
    assert 0 <= metrics(folder, "mixture")["weight"] <= 1
    assert nll["mixture"]["dev"] <= min(nll["mlp"]["dev"], nll["ngram_count"]["dev"]) + 1e-6


def test_names_and_examples_that_do_not_belong_together_are_refused(tiny, tmp_path: Path):
    folder = Project(tiny[0]).copy(tmp_path / "copy").root
    path = folder / "data/splits/dev.txt"
    path.write_text("".join(f"{name}\n" for name in [*files.read_names(path)[1:], "a"]))
    before = (folder / "metrics/evaluate.json").read_bytes()
    refused = stage(folder, "evaluate")
    assert refused.returncode == 1
    assert refused.stderr == (
        "evaluate: data/splits/dev.txt and data/contexts/*/dev.safetensors "
        "do not belong together; run `dvc repro`\n"
    )
    assert (folder / "metrics/evaluate.json").read_bytes() == before


@pytest.mark.parametrize("name", STAGES)
def test_stage_without_its_inputs_is_one_line(tmp_path: Path, name: str):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["fetch"]["url"] = "gone.txt"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    refused = stage(tmp_path, name)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert list(Project(tmp_path).files()) == ["params.yaml"]


@pytest.mark.parametrize("name", [name for name in STAGES if "params" in STAGES[name]])
def test_wrong_parameter_of_any_section_stops_every_stage_before_it_writes(
    tiny, tmp_path: Path, name: str
):
    folder = Project(tiny[0]).copy(tmp_path / "copy").root
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace("temperature: 1.0", "temperature: .nan"))
    before = Project(folder).files()
    refused = stage(folder, name)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert (
        refused.stderr
        == "params.yaml: sample.temperature: Input should be a finite number; found nan\n"
    )
    assert Project(folder).files() == before
