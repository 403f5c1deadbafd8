"""Stored tensors and vocabulary that are not what their stage makes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from torch import Generator

from charlm import InputError, storage as files
from charlm.models import base as stored, mlp as models
from charlm.models.mlp import MODELS

SYMBOLS = 4
CONTEXTS = Path("data/contexts/mlp/train.safetensors")
Tensors = dict[str, np.ndarray]


def good() -> dict[str, Tensors]:
    """Untrained models of four symbols."""
    square = np.full((SYMBOLS, SYMBOLS), 0.25)
    mlp = models.start_mlp(SYMBOLS, 2, 3, 5, "scaled", Generator().manual_seed(1), 2, "gelu")
    return {
        "bigram_count": {"P": square},
        "bigram_neural": {"W": square.astype(np.float32)},
        "ngram_count": {
            "P0": square[:1],
            "P1": square[:2],
            "keys1": np.array([0, 2]),
            "P2": square[:3],
            "keys2": np.array([1, 4, 6]),
        },
        "mlp": {key: tensor.numpy() for key, tensor in mlp.items()},
        "mixture": {"weight": np.array(0.5)},
    }


EXAMPLES = {
    "contexts": np.array([[0, 0], [0, 3]], dtype=np.uint8),
    "targets": np.array([3, 0], dtype=np.uint8),
}


def write(path: Path, tensors: Tensors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(tensors, path)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with all that is stored, in order."""
    monkeypatch.chdir(tmp_path)
    for name, tensors in good().items():
        write(stored.path(name), tensors)
    write(CONTEXTS, EXAMPLES)
    files.write_json(files.DATA / "vocabulary.json", [".", "a", "b", "c"])


def test_what_is_in_order_is_read():
    for name, tensors in good().items():
        found = stored.stored(name, SYMBOLS)
        assert {key: tensor.tolist() for key, tensor in found.items()} == {
            key: tensor.tolist() for key, tensor in tensors.items()
        }
    assert set(stored.read_all(SYMBOLS)) == set(MODELS)
    assert files.read_vocabulary() == [".", "a", "b", "c"]
    examples = files.read_examples("mlp", "train", SYMBOLS)
    assert {key: array.tolist() for key, array in examples.items()} == {
        key: array.tolist() for key, array in EXAMPLES.items()
    }


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(key: str, function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        tensors = safetensors.numpy.load_file(path)
        tensors[key] = np.asarray(function(tensors[key]), order="C")
        write(path, tensors)

    return changed


def drop(key: str) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        tensors = safetensors.numpy.load_file(path)
        del tensors[key]
        write(path, tensors)

    return changed


def spoil(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def spoilt(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flat[-1] = value
        return array

    return spoilt


def narrower(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other tensors", "nan", "inf", "half"])
@pytest.mark.parametrize("name", MODELS)
def test_damaged_model_is_refused_with_its_file_and_its_stage(name: str, damage: str):
    path = stored.path(name)
    key = next(
        k for k, tensor in safetensors.numpy.load_file(path).items() if tensor.dtype.kind == "f"
    )
    if damage in ("empty", "text"):
        path.write_bytes(b"" if damage == "empty" else b"<!DOCTYPE html>")
    elif damage == "other tensors":
        write(path, EXAMPLES)
    else:
        spoilt = {"nan": spoil(np.nan), "inf": spoil(np.inf), "half": narrower}
        (cut if damage == "cut" else change(key, spoilt[damage]))(path)
    stage = "fit_mixture" if name == "mixture" else f"train_{name}"
    with pytest.raises(InputError) as error:
        stored.read_all(SYMBOLS)
    assert str(error.value).startswith(f"data/models/{name}.safetensors: ")
    assert str(error.value).endswith(f"; {stage} makes it: delete it and run `dvc repro`")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        (
            "bigram_count",
            change("P", lambda P: P[:, :3]),
            "P is float64 (4, 3), not float64 (4, 4)",
        ),
        ("ngram_count", change("P1", lambda P: P[:1]), "P1 is float64 (1, 4), not float64 (2, 4)"),
        ("ngram_count", drop("keys2"), "not the tensors of ngram_count: "),
        ("ngram_count", drop("P0"), "not the tensors of ngram_count: "),
        ("mlp", drop("C"), "not the tensors of mlp: "),
        ("mlp", drop("b2"), "not the tensors of mlp: "),
        ("mlp", drop("W3"), "not the tensors of mlp: "),
        ("mlp", change("C", lambda C: C[:, :0]), "not the tensors of mlp: "),
        ("mlp", change("C", np.ravel), "not the tensors of mlp: "),
        ("mlp", change("W1", lambda W: W[:5]), "W1 is float32 (5, 5), not float32 (3, 5)"),
        ("mlp", change("W2", lambda W: W[:4]), "W2 is float32 (4, 5), not float32 (5, 5)"),
        ("mlp", change("activation", lambda n: n + 7), "activation is none that there is"),
        ("mlp", change("activation", lambda n: n - 9), "activation is none that there is"),
        ("mlp", change("activation", lambda n: np.stack([n, n])), "activation is int64 (2,), not"),
        (
            "ngram_count",
            change("keys2", lambda keys: keys[:0]),
            "keys2 is int64 (0,), not int64 (1,)",
        ),
        ("mixture", change("weight", lambda w: np.stack([w, w])), "weight is float64 (2,), not"),
    ],
)
def test_wrong_shapes_and_missing_tensors_are_named(
    name: str, damage: Callable[[Path], None], problem: str
):
    damage(stored.path(name))
    with pytest.raises(InputError) as error:
        stored.read(name, SYMBOLS)
    assert problem in str(error.value)


@pytest.mark.parametrize("name", ["bigram_count", "bigram_neural", "ngram_count", "mlp"])
def test_model_of_another_vocabulary_is_refused(name: str):
    with pytest.raises(InputError, match=r"as for the 5 symbols of data/vocabulary\.json"):
        stored.read(name, SYMBOLS + 1)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (cut, "not a whole safetensors file"),
        (change("contexts", np.ravel), "holds contexts uint8, 1-d"),
        (change("targets", lambda array: array.astype(np.int64)), "targets int64, 1-d"),
        (change("targets", lambda array: array[:1]), "has not one target for each context"),
        (change("contexts", lambda array: array + 1), "holds numbers beyond the 4 of data/vocab"),
        (change("contexts", lambda array: array[:0]), "has not one target for each context"),
        (drop("targets"), "holds contexts uint8, 2-d; not contexts uint8, 2-d, targets uint8, 1-d"),
    ],
)
def test_damaged_contexts_are_refused_with_file_and_stage(
    damage: Callable[[Path], None], problem: str
):
    damage(CONTEXTS)
    with pytest.raises(InputError) as error:
        files.read_examples("mlp", "train", SYMBOLS)
    assert str(error.value).startswith(f"{CONTEXTS}: ")
    assert problem in str(error.value)
    assert str(error.value).endswith("; build_contexts makes it: delete it and run `dvc repro`")


@pytest.mark.parametrize(
    "content", ['{"a": 1}', "[]", '["a", "."]', '[".", "a", "a"]', '[".", "ab"]', '[".", 1]']
)
def test_what_is_no_vocabulary_is_refused(content: str):
    path = files.DATA / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(InputError, match=f"^{path}: not .*; build_contexts makes it"):
        files.read_vocabulary()


def test_contexts_of_more_symbols_than_a_bigram_has_and_none_at_all_are_refused():
    wide = files.DATA / "contexts/bigram/train.safetensors"
    write(wide, EXAMPLES)
    with pytest.raises(InputError, match="holds contexts of more than one symbol; build_contexts"):
        files.read_examples("bigram", "train", SYMBOLS)
    write(CONTEXTS, {key: array[:0] for key, array in EXAMPLES.items()})
    with pytest.raises(InputError, match="holds no examples; build_contexts makes it"):
        files.read_examples("mlp", "train", SYMBOLS)


def test_folder_in_place_of_a_file_is_refused():
    path = stored.path("mlp")
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"^data/models/mlp\.safetensors: not a whole"):
        stored.read("mlp", SYMBOLS)
    with pytest.raises(InputError, match=r"^data: Is a directory$"):
        files.read_bytes(files.DATA)


def test_model_that_looks_further_back_than_the_contexts_is_refused():
    parameters = stored.read("ngram_count", SYMBOLS)
    with pytest.raises(InputError, match="ngram_count looks at 2 symbols, the contexts have 1"):
        models.next_log_probabilities("ngram_count", parameters, EXAMPLES["contexts"][:, 1:])
