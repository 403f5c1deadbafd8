"""All stages run by hand on a small list, with parameters that the committed run leaves alone."""

import subprocess
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import safetensors.numpy
import yaml

from charlm.core.storage import SPLITS, read_json
from charlm.models.registry import MODELS
from charlm.names import read_names
from tests.conftest import ROOT, STAGES, Project, declared, facts, losses, table

# the last is beyond split.limit, and contains a letter and a sign that no other name has
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
        "direct": True,
        "dropout": 0.25,
        "schedule": "cosine",
        "batch_size": 8,
    },
    "evaluate": {"splits": ["train", "dev", "test"]},
    "sample": {"count": 6, "measured": 50},
}


class Tiny(NamedTuple):
    """A folder after all stages, and what each of them printed and wrote there."""

    folder: Path
    printed: dict[str, subprocess.CompletedProcess[str]]
    written: dict[str, set[str]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Run every stage in order, in a separate folder."""
    folder = tmp_path_factory.mktemp("tiny")
    content = "\n".join(WORDS).encode()
    (folder / "words.txt").write_bytes(content)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, changes in CHANGES.items():
        values[section] |= changes
    values["fetch"] = {"url": "words.txt", "sha256": None}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    refused = stage(folder, "fetch")
    values["fetch"]["sha256"] = refused.stderr.split(", got ")[1][:64]
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    tiny = Tiny(folder, {}, {})
    for name in STAGES:
        before = Project(folder).files()
        tiny.printed[name] = stage(folder, name)
        assert tiny.printed[name].returncode == 0, f"{name}: {tiny.printed[name].stderr}"
        after = Project(folder).files()
        tiny.written[name] = {path for path in after if after[path] != before.get(path)}
    return tiny


def stage(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return Project(folder).call(f"stages.{name}")


def test_each_stage_prints_one_line_of_result(tiny):
    for name, finished in tiny.printed.items():
        assert finished.stdout.startswith(f"{name}: ")
        assert finished.stdout.count("\n") == 1


@pytest.mark.parametrize("name", STAGES)
def test_stage_writes_exactly_what_it_declares(tiny, name: str):
    outputs = set()
    for path in declared(name, "outs", "metrics", "plots"):
        files = (tiny.folder / path).rglob("*") if (tiny.folder / path).is_dir() else ()
        outputs |= {file.relative_to(tiny.folder).as_posix() for file in files} or {path}
    assert tiny.written[name] == outputs


def test_limit_takes_the_first_names_of_the_list_before_the_shuffle(tiny):
    folder = tiny.folder
    splits = [read_names(folder / f"data/splits/{split}.txt") for split in SPLITS]
    assert [len(names) for names in splits] == [20, 10, 11]
    used = list(chain(*splits))
    assert sorted(used) == sorted(WORDS[:41])
    assert used != WORDS[:41]


def test_vocabulary_is_that_of_the_whole_list(tiny):
    folder = tiny.folder
    assert read_json(folder / "data/vocabulary.json") == [".", "$", *"abcdefghinou", "ü"]


def test_penalty_is_in_the_objective_and_not_in_the_loss(tiny):
    folder = tiny.folder
    found = pd.read_csv(folder / "plots/bigram_neural.csv").iloc[-1]
    assert found["step"] == 3
    W = safetensors.numpy.load_file(folder / "data/models/bigram_neural.safetensors")["W"]
    assert found["objective"] - found["nll"] == pytest.approx(0.5 * (W**2).mean(), abs=1e-5)
    # the reported loss is that of the stored model, as evaluate finds it
    assert found["nll"] == pytest.approx(losses(folder)["train"]["bigram_neural"], abs=2e-6)


def test_model_with_zero_probabilities_has_a_count_a_warning_and_no_loss(tiny):
    folder, printed, _ = tiny
    rows = table(folder, "metrics/evaluate.csv")
    splits = ["train", "dev", "dev_unseen", "test", "test_unseen"]
    assert [(row["split"], row["model"]) for row in rows] == [*product(splits, MODELS)]
    zeros = {split: {} for split in splits}
    for row in rows:
        is_finite = row["zero_probability"] == "0"
        assert bool(row["nll"]) == bool(row["perplexity"]) == is_finite
        if not is_finite:
            zeros[row["split"]][row["model"]] = int(row["zero_probability"])
    # no character of train has probability 0
    assert [set(by_model) for by_model in zeros.values()] == [set(), *[{"bigram_count"}] * 4]
    nll = losses(folder)
    assert {split for split, by_model in nll.items() if "bigram_count" in by_model} == {"train"}
    assert {split for split, by_model in nll.items() if "mlp" in by_model} == set(splits)
    for split in ("dev", "test"):
        count = zeros[split]["bigram_count"]
        assert count > 0
        assert (
            f"warning: bigram_count gives {count} characters of {split} probability 0"
            in printed["evaluate"].stderr
        )
    assert "_unseen" not in printed["evaluate"].stderr
    assert printed["evaluate"].stdout.startswith("evaluate: test nll: bigram_count none, ")


def test_losses_are_those_of_the_table_with_nine_decimals(tiny):
    nll = losses(tiny.folder)
    rows = table(tiny.folder, "metrics/evaluate.csv")
    assert {(row["split"], row["model"]): float(row["nll"]) for row in rows if row["nll"]} == {
        (split, model): loss for split, by_model in nll.items() for model, loss in by_model.items()
    }
    for column in ("nll", "stderr", "perplexity", "accuracy"):
        decimals = [len(row[column].partition(".")[2]) for row in rows if row[column]]
        assert max(decimals) == 9, column


def test_evaluation_has_one_row_per_name_that_add_up_to_the_metrics(tiny):
    folder = tiny.folder
    text = (folder / "data/evaluation.csv").read_text()
    assert all(
        len(number.partition(".")[2]) == 6
        for line in text.splitlines()[1:]
        for number in line.split(",")[4:]
        if number
    )
    scores = pd.read_csv(
        folder / "data/evaluation.csv", keep_default_na=False, na_values={"bigram_count": ""}
    )
    assert scores["name"].tolist() == [
        name for split in SPLITS for name in read_names(folder / f"data/splits/{split}.txt")
    ]
    assert scores["bigram_count"].isna().any()
    nll = losses(folder)
    for split, rows in scores.groupby("split"):
        mean = rows["mlp"].sum() / rows["characters"].sum()
        assert mean == pytest.approx(nll[split]["mlp"], abs=1e-5)
        unseen = rows[~rows["in_train"]]
        assert unseen.empty == (split == "train")
        if split != "train":
            mean = unseen["mlp"].sum() / unseen["characters"].sum()
            assert mean == pytest.approx(nll[f"{split}_unseen"]["mlp"], abs=1e-5)


def test_curves_agree_with_the_metrics(tiny):
    folder = tiny.folder
    parameters = 15 * 10 + (30 * 5 + 5) + (5 * 5 + 5) + (5 * 15 + 15) + 30 * 15
    assert facts(folder, "mlp") == {"parameters": str(parameters)}
    curves = pd.read_csv(folder / "plots/mlp.csv")
    assert curves["split"].tolist() == ["train"] * 21 + ["dev"] * 21
    curve, dev = (curves[curves["split"] == split] for split in ("train", "dev"))
    assert curve["step"].tolist() == [29 * number // 20 for number in range(21)]
    bigram = pd.read_csv(folder / "plots/bigram_neural.csv")["nll"]
    printed = f"nll {bigram.iloc[0]:.4f} → {bigram.iloc[-1]:.4f} on train\n"
    assert tiny.printed["train_bigram_neural"].stdout.endswith(printed)
    nll = losses(folder)
    printed = f"{parameters} parameters, 30 steps: nll {nll['train']['mlp']:.4f} on train, "
    assert printed in tiny.printed["train_mlp"].stdout
    assert (dev["step"].iloc[0], dev["step"].iloc[-1]) == (0, 30)
    assert dev["nll"].iloc[-1] == pytest.approx(nll["dev"]["mlp"], abs=2e-6)


def test_samples_are_one_name_per_line(tiny):
    folder = tiny.folder
    for model in MODELS:
        samples = (folder / f"data/samples/{model}.txt").read_text().split("\n")
        assert samples.pop() == ""
        assert len(samples) == 6
    shown = f"sample: {model}: {', '.join(samples[:5])}; share of 50 names that occur in train: "
    assert tiny.printed["sample"].stdout.startswith(shown)


def test_samples_are_measured_and_their_lengths_add_up(tiny):
    folder = tiny.folder
    found = table(folder, "metrics/sample.csv")
    assert [row["model"] for row in found] == [*MODELS]
    assert list(found[0]) == [
        "model",
        "in_train",
        "distinct",
        "at_most_one_letter",
        "cut_off",
        "in_dev",
        "length_distance",
    ]
    lengths = pd.read_csv(folder / "plots/lengths.csv")
    sums = lengths.groupby("model", sort=False)["share"].sum()
    assert sums.to_dict() == pytest.approx(dict.fromkeys(["dev", *MODELS], 1), abs=1e-4)
    dev = lengths[lengths["model"] == "dev"]["share"].to_numpy()
    for row in found:
        shares = lengths[lengths["model"] == row["model"]]["share"].to_numpy()
        distance = abs(dev - shares).sum() / 2
        assert float(row["length_distance"]) == pytest.approx(distance, abs=1e-4)


def test_mixture_weighs_two_models_and_is_no_worse_on_dev_than_either(tiny):
    folder = tiny.folder
    nll = losses(folder)["dev"]
    found = facts(folder, "mixture")
    assert list(found) == ["mlp", "ngram_count"]
    assert all(0 <= float(weight) <= 1 for weight in found.values())
    assert sum(map(float, found.values())) == pytest.approx(1)
    assert nll["mixture"] <= min(nll["mlp"], nll["ngram_count"]) + 1e-6


def test_other_tables_are_those_of_the_results(tiny):
    folder = tiny.folder
    texts = [f".{name}." for name in read_names(folder / "data/splits/train.txt")]
    grams = [
        text[max(0, end - length) : end + 1]
        for text in texts
        for end in range(1, len(text))
        for length in range(3)
    ]
    assert facts(folder, "ngram_count") == {
        "contexts": str(len({gram[:-1] for gram in grams})),
        "ngrams": str(len(set(grams))),
    }
    curve = pd.read_csv(folder / "data/learning_rate.csv")
    valley = curve.loc[curve["smoothed_nll"].idxmin(), ["exponent", "lr", "smoothed_nll"]]
    found = {fact: float(value) for fact, value in facts(folder, "find_learning_rate").items()}
    assert found == pytest.approx(valley.to_dict(), abs=1e-6)
    described = [[*row.values()] for row in table(folder, "metrics/split.csv")]
    assert [row[:2] for row in described] == [["train", "20"], ["dev", "10"], ["test", "11"]]
    assert described[0][3] == ""
    assert described[1][3] == described[2][3] == "0.0"


@pytest.mark.parametrize("name", STAGES)
def test_stage_without_its_inputs_is_one_line(tmp_path: Path, name: str):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["fetch"]["url"] = "gone.txt"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    refused = stage(tmp_path, name)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert list(Project(tmp_path).files()) == ["params.yaml"]


@pytest.mark.parametrize(
    "name", [name for name in STAGES if set(STAGES[name].get("params", [])) - {"environment"}]
)
def test_wrong_parameter_of_any_section_stops_every_stage_before_it_writes(
    tiny, tmp_path: Path, name: str
):
    folder = Project(tiny.folder).copy(tmp_path / "copy").root
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
