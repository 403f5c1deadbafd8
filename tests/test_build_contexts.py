import subprocess
import sys
from pathlib import Path

import pytest

from charlm.core.errors import InputError
from charlm.core.storage import SPLITS
from charlm.data.examples import FOLDERS, read_examples
from charlm.data.vocabulary import read_vocabulary
from tests.conftest import ROOT, limit_memory, run_stages

SLOW_IMPORTS = {"torch", "pandas", "matplotlib"}
NEEDED = {
    "fetch": set(),
    "split": set(),
    "build_contexts": set(),
    "train_bigram_count": set(),
    "train_ngram_count": set(),
    "plot_mlp": {"matplotlib"},
    "train_mlp": {"torch"},
    "fit_mixture": set(),
    "evaluate": set(),
    "sample": set(),
}


def test_every_folder_has_every_split_with_contexts_of_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    content = b"ava\nbo\nada\nbea\nabe\noda\nana\nbob\neve\nmae\n"
    changes = {"split.seed": None, "contexts.block_size": 2}
    run_stages(tmp_path, content, changes, ["fetch", "split", "build_contexts"])
    # 10 names of 28 characters altogether, and an end mark each
    assert capsys.readouterr().out.splitlines()[-1] == (
        "build_contexts: 9 symbols, of which . for start and end, 39 examples at block sizes 1, 2"
    )
    monkeypatch.chdir(tmp_path)
    vocabulary = read_vocabulary()
    assert vocabulary.itos == [".", *"abdemnov"]
    for folder, block_size in zip(FOLDERS, (1, 2), strict=True):
        for split in SPLITS:
            examples = read_examples(folder, split, len(vocabulary))
            names = Path(f"data/splits/{split}.txt").read_text().split()
            assert examples["contexts"].shape[1] == block_size
            assert vocabulary.decode(examples["targets"]) == "".join(f"{name}." for name in names)


def test_two_boundary_symbols_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    content = b"ava\nbo\nada\nbea\nabe\noda\nana\nbob\neve\nmae\n"
    changes = {"vocabulary.boundary": "two", "vocabulary.boundary_place": "last"}
    run_stages(tmp_path, content, changes, ["fetch", "split", "build_contexts"])
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith(
            "build_contexts: 10 symbols, of which <START> and <END> for start and end, 39 examples"
        )
    )
    monkeypatch.chdir(tmp_path)
    assert read_vocabulary().itos == [*"abdemnov", "<START>", "<END>"]
    for folder in FOLDERS:
        for split in SPLITS:
            examples = read_examples(folder, split, 10)
            assert 8 not in examples["targets"]
            assert 9 not in examples["contexts"]


def test_alphabet_that_needs_too_much_memory_is_refused_before_any_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    content = "\n".join(chr(0x4E00 + number) for number in range(100)).encode()
    limit_memory(monkeypatch, 6 * 101 * 101 * 8 - 1)
    with pytest.raises(InputError, match=r"^a table of 101 by 101 symbols would take about "):
        run_stages(tmp_path, content, {}, ["fetch", "split", "build_contexts"])
    assert not (tmp_path / "data/contexts").exists()
    limit_memory(monkeypatch, 6 * 101 * 101 * 8)
    run_stages(tmp_path, content, {}, ["fetch", "split", "build_contexts"])


@pytest.mark.parametrize("stage", NEEDED)
def test_stage_imports_only_those_slow_packages_that_it_needs(stage: str):
    code = f"import sys, stages.{stage}; print(*{SLOW_IMPORTS!r} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(ROOT), capture_output=True, text=True, check=True
    )
    assert set(found.stdout.split()) == NEEDED[stage]
