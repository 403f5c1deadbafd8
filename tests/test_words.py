"""Lists of names of every kind, through all stages."""

import json
from pathlib import Path

import pytest
import safetensors.numpy

from charlm import vocabulary
from charlm.errors import InputError
from charlm.names import read_names
from tests.conftest import run_stages

FEW_STEPS = {
    "bigram_neural.steps": 2,
    "mlp.steps": 2,
    "mlp.hidden": 4,
    "find_learning_rate.steps": 2,
    "sample.measured": 20,
}
ALPHABETS = {
    "azerbaijani": ["Şəhla", "Çinarə", "Günel", "İlqar", "Ağasəf", "Elşən", "Nərgiz", "Zöhrə"],
    "japanese": ["さくら", "陽菜", "結衣", "ひなた", "美咲", "葵", "蓮", "大翔", "悠真", "湊"],
    "emoji": ["👨‍👩‍👧", "👩🏽‍🚀", "🙂🙃", "❤️", "🇫🇷", "zoë", "👍🏿", "🙂", "🙃", "🙂🙂"],
    "ends and middles": ["mary ann", "o'neil", "Anne-Marie", "EMMA", "emma", "$1", "a,b", '"x"'],
    "formulas": ["=1+1", "@a", "nan", "NA", "null", "true", "1e5", "-1", "none", "inf"],
}


@pytest.mark.parametrize("names", ALPHABETS.values(), ids=ALPHABETS)
def test_a_character_is_a_code_point_of_any_alphabet(
    tmp_path: Path, names: list[str], capfd: pytest.CaptureFixture[str]
):
    run_stages(tmp_path, "\n".join(names).encode(), FEW_STEPS)
    assert capfd.readouterr().err == ""
    itos = json.loads((tmp_path / "data/vocabulary.json").read_text())
    assert itos == [".", *sorted(set("".join(names)))]
    splits = [read_names(tmp_path / f"data/splits/{split}.txt") for split in ("train", "dev")]
    for split, members in zip(("train", "dev"), splits, strict=True):
        path = tmp_path / f"data/contexts/mlp/{split}.safetensors"
        text = vocabulary.decode(safetensors.numpy.load_file(path)["targets"], itos)
        assert text == "".join(f"{name}." for name in members)
    assert set(json.loads((tmp_path / "metrics/evaluate.json").read_text())["nll"]["mlp"]) == {
        "train",
        "dev",
    }


@pytest.mark.parametrize(
    ("names", "changes", "problem"),
    [
        (["emma"], {}, "split: 0.8 of 1 names leaves train empty; raise split.train"),
        (["emma", "ava"], {}, "evaluate: evaluate.splits has dev, which is empty; "),
        (
            ALPHABETS["emoji"],
            {"split.dev": 0.0},
            "evaluate: evaluate.splits has dev, which is empty; ",
        ),
    ],
)
def test_fewer_names_than_splits_are_refused_with_what_to_change(
    tmp_path: Path, names: list[str], changes: dict[str, float], problem: str
):
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, "\n".join(names).encode(), FEW_STEPS | changes)
    assert str(error.value).startswith(problem)


def test_one_name_is_enough_if_it_is_all_for_training(tmp_path: Path):
    changes = {"split.train": 1.0, "split.dev": 0.0, "evaluate.splits": ["train"]}
    run_stages(tmp_path, b"emma", FEW_STEPS | changes)
    assert (tmp_path / "data/splits/train.txt").read_text() == "emma\n"
    found = json.loads((tmp_path / "metrics/evaluate.json").read_text())
    assert set(found["nll"]["mlp"]) == {"train"}


def some(characters: int) -> bytes:
    """Names of three characters each, all of them different."""
    symbols = [chr(0x4E00 + number) for number in range(min(characters, 20_000))]
    symbols += [chr(0x20000 + number) for number in range(characters - len(symbols))]
    return "\n".join("".join(symbols[i : i + 3]) for i in range(0, characters, 3)).encode()


@pytest.mark.faults
def test_three_thousand_characters_work(tmp_path: Path):
    run_stages(tmp_path, some(3000), FEW_STEPS | {"sample.count": 5})
    model = safetensors.numpy.load_file(tmp_path / "data/models/bigram_count.safetensors")
    assert model["P"].shape == (3001, 3001)
    assert (tmp_path / "plots/bigram_counts.svg").stat().st_size < 5_000_000


def test_as_many_characters_as_two_bytes_can_number_are_refused_where_memory_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "8")
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, some(62_000), FEW_STEPS)
    assert str(error.value) == (
        "a table of 62,001 by 62,001 symbols would take about 185 GB of memory; at most 8 GB are "
        "allowed (MEMORY_LIMIT_GB changes that); use names of fewer different characters"
    )
    itos = json.loads((tmp_path / "data/vocabulary.json").read_text())
    assert len(itos) == 62_001
    assert not (tmp_path / "data/models").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"mlp.hidden": 100_000, "mlp.layers": 2},
            # 4 bytes * (6 * (100,000^2 + 58 * 100,000 parameters)), and little for activations
            (
                "training this MLP would take about 240 GB of memory; at most 8 GB are allowed "
                "(MEMORY_LIMIT_GB changes that); lower mlp.hidden, mlp.embedding or mlp.layers"
            ),
        ),
        (
            {"mlp.embedding": 100_000, "mlp.hidden": 5000},
            # 4 bytes * (6 * 300,000 * 5000), and little for activations
            "training this MLP would take about 36 GB",
        ),
        (
            {"find_learning_rate.batch_size": 10_000_000},
            # 4 bytes * (4 * (3 * 2 + 100 + 27 units) * 10^7), and little for parameters
            (
                "this search would take about 21 GB of memory; at most 8 GB are allowed "
                "(MEMORY_LIMIT_GB changes that); lower embedding, hidden or batch_size of "
                "find_learning_rate"
            ),
        ),
        (
            {"sample.count": 10_000_000},
            # 6 * 10^7 * (2 * 27 + 30) * 8 bytes
            "10,000,000 names of up to 30 characters, of 27 symbols, would take about 40 GB",
        ),
        (
            {"sample.measured": 1_000_000, "sample.max_length": 10_000},
            # 6 * 10^6 * (2 * 27 + 10,000) * 8 bytes
            "1,000,000 names of up to 10,000 characters, of 27 symbols, would take about 483 GB",
        ),
    ],
)
def test_sizes_beyond_the_memory_are_refused_with_the_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], problem: str
):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "8")
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [letters[i:] + letters[:i] for i in range(26)]
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, "\n".join(names).encode(), FEW_STEPS | changes)
    assert str(error.value).startswith(problem)
