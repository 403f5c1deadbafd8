import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from charlm import vocabulary
from stages import build_contexts
from tests.conftest import ROOT

ITOS = [".", *"abcdefghijklmnopqrstuvwxyz"]


def decoded(examples: dict[str, np.ndarray], itos: list[str]) -> list[tuple[str, str]]:
    pairs = zip(examples["contexts"], examples["targets"], strict=True)
    return [(vocabulary.decode(context, itos), itos[target]) for context, target in pairs]


def test_five_contexts_of_emma():
    examples = build_contexts.build(["emma"], ITOS, 3)
    assert decoded(examples, ITOS) == [
        ("...", "e"),
        ("..e", "m"),
        (".em", "m"),
        ("emm", "a"),
        ("mma", "."),
    ]
    assert {name: tensor.dtype for name, tensor in examples.items()} == {
        "contexts": np.uint8,
        "targets": np.uint8,
    }


@pytest.mark.parametrize("block_size", [1, 2, 3, 8])
def test_no_context_reaches_into_the_name_before(block_size: int):
    both = build_contexts.build(["ava", "jo"], ITOS, block_size)
    alone = [build_contexts.build([name], ITOS, block_size) for name in ("ava", "jo")]
    for part in ("contexts", "targets"):
        np.testing.assert_array_equal(
            both[part], np.concatenate([examples[part] for examples in alone])
        )


@pytest.mark.parametrize("block_size", [1, 3])
def test_no_names_no_examples(block_size: int):
    examples = build_contexts.build([], ITOS, block_size)
    assert examples["contexts"].shape == (0, block_size)
    assert examples["targets"].shape == (0,)


def test_first_five_names_give_32_examples(names: list[str]):
    assert names[:5] == ["emma", "olivia", "ava", "isabella", "sophia"]
    for block_size in (1, 3, 10):
        assert len(build_contexts.build(names[:5], ITOS, block_size)["targets"]) == 32


def test_examples_decode_into_the_exact_text(names: list[str]):
    itos = vocabulary.build(names)
    assert itos == ITOS
    examples = build_contexts.build(names, itos, 15)
    assert len(examples["targets"]) == 228146
    text = vocabulary.decode(examples["targets"], itos)
    assert text == "".join(f"{name}." for name in names)
    # at an end mark the context holds the whole name, no name being longer than 15
    endings = examples["contexts"][examples["targets"] == 0]
    assert [vocabulary.decode(context, itos).lstrip(".") for context in endings] == names


@pytest.mark.parametrize("stage", ["fetch", "split", "build_contexts"])
def test_stage_that_moves_arrays_imports_neither_torch_nor_pandas_nor_matplotlib(stage: str):
    code = (
        f"import sys, stages.{stage}; print({{'torch', 'pandas', 'matplotlib'}} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(ROOT), capture_output=True, text=True, check=True
    )
    assert found.stdout == "set()\n"
