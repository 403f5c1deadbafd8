"""Stored models, contexts and vocabularies that are not what their stage writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from charlm.core import storage
from charlm.core.errors import InputError
from charlm.core.storage import DATA, model_path
from charlm.data import vocabulary
from charlm.data.examples import build_examples, build_split_examples, read_examples
from charlm.data.tensors import Arrays
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model
from charlm.models.mixture import Mixture
from charlm.models.registry import MODELS, check_component, load_models, model_class
from charlm.scoring import score
from tests.test_models import ngram_arrays, random_mlp, train_others

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # of numpy, on stderr
SYMBOLS = 4
CONTEXTS = Path("data/contexts/mlp/train.safetensors")
EXAMPLES = {
    "contexts": np.array([[0, 0], [0, 3]], dtype=np.uint8),
    "targets": np.array([3, 0], dtype=np.uint8),
}


# models of four symbols, untrained where they are named here
SQUARE = np.full((SYMBOLS, SYMBOLS), 0.25)
STORED: dict[str, Arrays] = {
    "bigram_count": {"P": SQUARE},
    "bigram_neural": {"W": SQUARE.astype(np.float32)},
    "ngram_count": ngram_arrays(
        {0: [1, 1, 1, 1]},
        {0: [1, 2, 1, 0], 2: [0, 0, 3, 1]},
        {1: [1, 1, 0, 0], 4: [0, 0, 0, 2], 6: [0, 5, 0, 0]},
    ),
    "mlp": random_mlp(SYMBOLS, 2, 3, hidden=5, layers=2, activation="gelu", direct=True).arrays,
    "mixture": {"mlp": np.array(0.25), "ngram_count": np.array(0.75)},
}
STORED |= train_others(STORED, "abc")


def load(name: str, symbols: int = SYMBOLS) -> Model:
    """Read one model by its own `load`; the models that it is composed of are untrained ones."""
    cls = model_class(name)

    def load_component(other: str) -> Model:
        check_component(other)
        return model_class(other)(STORED[other], SYMBOLS)

    return cls.load(symbols, load_component)


def write(path: Path, tensors: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file(tensors, path)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with all stored files, none of them damaged."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").touch()  # the root of a repository has one
    for name, arrays in STORED.items():
        write(model_path(name), arrays)
    write(CONTEXTS, EXAMPLES)
    storage.write_json(vocabulary.PATH, [".", "a", "b", "c"])


def lists(arrays: Arrays) -> dict[str, object]:
    return {key: array.tolist() for key, array in arrays.items()}


@pytest.mark.parametrize("name", MODELS)
def test_undamaged_model_is_read_as_it_was_stored(name: str):
    model = load(name)
    assert type(model) is model_class(name)
    assert lists(model.arrays) == lists(STORED[name])
    assert {key: array.dtype for key, array in model.arrays.items()} == {
        key: array.dtype for key, array in STORED[name].items()
    }
    assert model.logits(np.array([[0, 3], [1, 2]])).shape == (2, SYMBOLS)


def test_undamaged_vocabulary_and_contexts_are_read_as_they_were_stored():
    assert vocabulary.read_vocabulary() == Vocabulary([".", "a", "b", "c"], start=0, end=0)
    assert lists(read_examples("mlp", "train", SYMBOLS)) == lists(EXAMPLES)


def test_all_models_are_read_in_the_order_of_the_registry():
    models = load_models(SYMBOLS)
    assert list(models) == list(MODELS)
    assert {name: model.block_size for name, model in models.items()}.items() >= {
        "bigram_count": 1,
        "bigram_neural": 1,
        "ngram_count": 2,
        "mlp": 2,
        "mixture": 2,
    }.items()
    for name, model in models.items():
        assert lists(model.arrays) == lists(STORED[name])


def test_mixture_shares_the_models_that_it_is_composed_of():
    for names in (("mlp", "mixture", "ngram_count"), ("mixture", "ngram_count", "mlp")):
        models = load_models(SYMBOLS, names)
        assert list(models) == list(names)
        assert isinstance(models["mixture"], Mixture)
        assert models["mixture"].mixed[0] is models["mlp"]
        assert models["mixture"].mixed[1] is models["ngram_count"]


@pytest.mark.parametrize("other", ["mlpp", "mixture"])
def test_mixture_of_what_cannot_be_mixed_is_refused(other: str):
    write(model_path("mixture"), {other: np.array(0.5), "mlp": np.array(0.5)})
    with pytest.raises(InputError) as error:
        load_models(SYMBOLS, ("mixture",))
    problem = {
        "mlpp": "mlpp is not among the models that can be mixed: bigram_count, ",
        "mixture": "not the tensors of mixture: mixture, mlp; ",
    }
    assert str(error.value).startswith(f"data/models/mixture.safetensors: {problem[other]}")
    assert str(error.value).endswith("fit_mixture writes it: delete it and run `dvc repro`")


def test_negative_weight_is_refused_even_if_all_sum_to_one():
    write(model_path("mixture"), {"mlp": np.array(-0.25), "ngram_count": np.array(1.25)})
    with pytest.raises(
        InputError, match=r"weights below 0, .*: mlp -0.25, ngram_count 1.25; fit_m"
    ):
        load("mixture")


def test_mixture_of_three_models_averages_them():
    weights = {"mlp": 0.5, "ngram_count": 0.3, "bigram_count": 0.2}
    write(model_path("mixture"), {name: np.array(weight) for name, weight in weights.items()})
    models = load_models(SYMBOLS)
    contexts = np.array([[0, 3], [1, 2]])
    P = {name: np.exp(models[name].log_probabilities(contexts)) for name in (*weights, "mixture")}
    expected = 0.5 * P["mlp"] + 0.3 * P["ngram_count"] + 0.2 * P["bigram_count"]
    np.testing.assert_allclose(P["mixture"], expected, rtol=1e-12)


def test_only_the_files_that_are_needed_are_read():
    for name in ("bigram_count", "bigram_neural"):
        model_path(name).unlink()
    assert list(load_models(SYMBOLS, ("mixture",))) == ["mixture"]
    model_path("ngram_count").unlink()
    assert list(load_models(SYMBOLS, ("mlp",))) == ["mlp"]
    with pytest.raises(
        InputError, match=r"^data/models/ngram_count\.safetensors: not found; run `dvc repro` to "
    ):
        load_models(SYMBOLS, ("mixture",))


@pytest.mark.parametrize("name", ["mpl", "", "MLP", "base", "../mlp", "mlp.safetensors"])
def test_unknown_model_is_refused_with_those_that_are_known(name: str):
    for read in (lambda: load_models(SYMBOLS, ("mlp", name)), lambda: model_class(name)):
        with pytest.raises(InputError) as error:
            read()
        assert str(error.value).startswith(f"{name}: unknown model; known are ")
        assert ", ".join(MODELS) in str(error.value)
        assert "delete" not in str(error.value)
        assert "dvc repro" not in str(error.value)


@pytest.mark.parametrize("name", MODELS)
def test_missing_model_is_named(name: str):
    model_path(name).unlink()
    for read in (lambda: load(name), lambda: load_models(SYMBOLS)):
        with pytest.raises(InputError) as error:
            read()
        assert str(error.value) == (
            f"data/models/{name}.safetensors: not found; run `dvc repro` to create it"
        )


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(key: str, function: Callable[[Any], np.ndarray]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        tensors = safetensors.numpy.load_file(path)
        tensors[key] = np.asarray(function(tensors.get(key)), order="C")
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


def first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def spoilt(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flat[0] = value
        return array

    return spoilt


def narrower(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other tensors", "nan", "inf", "half"])
@pytest.mark.parametrize("name", MODELS)
def test_damaged_model_is_refused_with_its_file_and_its_stage(name: str, damage: str):
    path = model_path(name)
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
    stage = model_class(name).stage
    for read in (lambda: load(name), lambda: load_models(SYMBOLS)):
        with pytest.raises(InputError) as error:
            read()
        assert str(error.value).startswith(f"data/models/{name}.safetensors: ")
        assert str(error.value).endswith(f"; {stage} writes it: delete it and run `dvc repro`")
        assert "\n" not in str(error.value)
        assert "torch" not in str(error.value)


@pytest.mark.parametrize("name", MODELS)
def test_one_tensor_too_many_or_too_few_is_refused_for_every_model(name: str):
    arrays = STORED[name]
    write(model_path(name), arrays | {"extra": np.zeros(2)})
    with pytest.raises(InputError, match=r": .*extra is (unknown|not among the models)"):
        load(name)
    for key in arrays.keys() - {"activation", "direct"}:  # an MLP without them is undamaged
        write(model_path(name), {k: array for k, array in arrays.items() if k != key})
        with pytest.raises(InputError) as error:
            load(name)
        problem = str(error.value).removeprefix(f"data/models/{name}.safetensors: ")
        assert problem.startswith((f"not the tensors of {name}", f"not {name} for 4 symbols: "))
        assert "\n" not in problem


@pytest.mark.parametrize("name", MODELS)
def test_wrong_dtype_of_any_tensor_is_named_for_every_model(name: str):
    for key, array in STORED[name].items():
        for dtype in {"float16", "int32", "int64", "uint16"} - {str(array.dtype)}:
            write(model_path(name), STORED[name] | {key: array.astype(dtype)})
            with pytest.raises(InputError, match=f"{key} is {dtype}, not {array.dtype}; "):
                load(name)


@pytest.mark.parametrize("name", MODELS)
def test_any_tensor_of_another_shape_is_refused_for_every_model(name: str):
    for key, array in STORED[name].items():
        wrong = [np.stack([array, array]), np.stack([array, array], axis=-1)]
        if array.ndim:
            wrong += [array[None], array.ravel()[0]]
        for tensor in wrong:
            write(model_path(name), STORED[name] | {key: np.array(tensor)})
            with pytest.raises(InputError) as error:
                load(name)
            assert str(error.value).startswith(f"data/models/{name}.safetensors: ")
            assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "damage", "key", "found", "expected"),
    [
        ("bigram_count", change("P", lambda P: P[:, :3]), "P", (4, 3), (4, 4)),
        ("bigram_neural", change("W", lambda W: W[:3]), "W", (3, 4), (4, 4)),
        ("ngram_count", change("ngrams1", lambda n: n[:1]), "ngrams1", (1,), (2,)),
        ("ngram_count", change("counts2", lambda n: n[:3]), "counts2", (3,), (4,)),
        ("ngram_count", change("D", lambda D: D[:, :3]), "D", (3, 3), (3, 4)),
        ("mlp", change("W1", lambda W: W[[0, *range(6)]]), "W1", (7, 5), (6, 5)),
        ("mlp", change("W2", lambda W: W[:4]), "W2", (4, 5), (5, 5)),
        ("mlp", change("b3", lambda b: b[:3]), "b3", (3,), (4,)),
        ("mlp", change("direct", lambda W: W[:3]), "direct", (3, 4), (6, 4)),
        ("mixture", change("mlp", lambda w: np.stack([w, w])), "mlp", (2,), ()),
    ],
)
def test_wrong_shape_is_named_with_the_one_expected(
    name: str,
    damage: Callable[[Path], None],
    key: str,
    found: tuple[int, ...],
    expected: tuple[int, ...],
):
    damage(model_path(name))
    with pytest.raises(InputError) as error:
        load(name)
    stage = model_class(name).stage
    assert str(error.value) == (
        f"data/models/{name}.safetensors: not {name} for 4 symbols: {key} has the shape {found}, "
        f"not {expected}; {stage} writes it: delete it and run `dvc repro`"
    )


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("ngram_count", drop("keys2"), "not the tensors of ngram_count: "),
        ("ngram_count", drop("next0"), "not the tensors of ngram_count: "),
        ("ngram_count", drop("D"), "not the tensors of ngram_count: "),
        ("ngram_count", drop("counts0"), "not ngram_count for 4 symbols: counts0 is missing; "),
        ("ngram_count", change("D", lambda D: D[:2]), "keys2 is unknown, "),
        ("mlp", drop("C"), "not the tensors of mlp: "),
        ("mlp", drop("W1"), "not the tensors of mlp: "),
        ("mlp", drop("b2"), "not mlp for 4 symbols: b2 is missing; "),
        ("mlp", drop("W3"), ", b3 is unknown"),
        ("mlp", change("C", lambda C: C[:, :0]), "not the tensors of mlp: "),
        ("mlp", change("C", np.ravel), "not the tensors of mlp: "),
        ("mlp", change("activation", lambda n: n + 7), "activation 8 is unknown"),
        ("mlp", change("activation", lambda n: n - 9), "activation -8 is unknown"),
        ("mlp", change("activation", lambda n: np.stack([n, n])), "activation [1, 1] is unknown"),
        ("ngram_count", change("keys0", lambda keys: keys[:0]), "no contexts of 0 symbols"),
        ("ngram_count", change("keys1", lambda keys: keys[:0]), "no contexts of 1 symbols"),
        ("ngram_count", change("keys2", lambda keys: keys[:0]), "no contexts of 2 symbols"),
    ],
)
def test_missing_tensors_and_unknown_values_are_named(
    name: str, damage: Callable[[Path], None], problem: str
):
    damage(model_path(name))
    with pytest.raises(InputError) as error:
        load(name)
    assert problem in str(error.value)
    assert str(error.value).endswith(f"; train_{name} writes it: delete it and run `dvc repro`")


def test_file_whose_sizes_need_more_memory_than_there_is_is_refused():
    # W2 has the wrong shape; one of 400,000 by 400,000 would take 640 GB
    shapes = {"C": (4, 1), "W1": (1, 400_000), "b1": (400_000,), "W2": (1, 4), "b2": (4,)}
    shapes |= {"W3": (1, 4), "b3": (4,)}
    write(model_path("mlp"), {key: np.zeros(s, dtype=np.float32) for key, s in shapes.items()})
    with pytest.raises(InputError, match=r"W2 has the shape \(1, 4\), not \(400000, 400000\)"):
        load("mlp")


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mixture"])
def test_model_of_another_vocabulary_is_refused(name: str):
    with pytest.raises(InputError, match=f"not {name} for 5 symbols: .*4"):
        load(name, SYMBOLS + 1)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (cut, "not a whole safetensors file"),
        (change("contexts", np.ravel), "contains contexts uint8, 1-d"),
        (change("targets", lambda array: array.astype(np.int64)), "targets int64, 1-d"),
        (change("targets", lambda array: array[:1]), "does not have one target per context"),
        (
            change("contexts", lambda array: array + 1),
            "contains numbers above those of the 4 symbols of data/vocabulary.json",
        ),
        (change("contexts", lambda array: array[:0]), "does not have one target per context"),
        (
            drop("targets"),
            "contains contexts uint8, 2-d; not contexts uint8, 2-d, targets uint8, 1-d",
        ),
    ],
)
def test_damaged_contexts_are_refused_with_file_and_stage(
    damage: Callable[[Path], None], problem: str
):
    damage(CONTEXTS)
    with pytest.raises(InputError) as error:
        read_examples("mlp", "train", SYMBOLS)
    assert str(error.value).startswith(f"{CONTEXTS}: ")
    assert problem in str(error.value)
    assert str(error.value).endswith("; build_contexts writes it: delete it and run `dvc repro`")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"a": 1}', "not a list of symbols"),
        ('[".", 1]', "not a list of symbols"),
        ("[]", "contains no boundary: ., or <START> and <END>"),
        ('["a", "b"]', "contains no boundary: ., or <START> and <END>"),
        ('["<START>", "a"]', "contains no boundary: ., or <START> and <END>"),
        ('["<END>", "a"]', "contains no boundary: ., or <START> and <END>"),
        ('[".", "a", "a"]', "its symbols are not different characters"),
        ('["<.>", "a", "<.>"]', "its symbols are not different characters"),
        ('["<START>", "a", "<END>", "<END>"]', "its symbols are not different characters"),
        ('[".", "ab"]', "its symbols are not different characters"),
        ('[".", ""]', "its symbols are not different characters"),
        ('["<START>", "<.>"]', "its symbols are not different characters"),
    ],
)
def test_anything_but_a_vocabulary_is_refused(content: str, problem: str):
    vocabulary.PATH.write_text(content)
    with pytest.raises(InputError) as error:
        vocabulary.read_vocabulary()
    stage = "build_contexts writes it: delete it and run `dvc repro`"
    assert str(error.value) == f"{vocabulary.PATH}: {problem}; {stage}"


@pytest.mark.parametrize(
    ("itos", "start", "end"),
    [
        (["a", "."], 1, 1),
        (["<.>", ".", "a"], 0, 0),
        (["a", ".", "<.>"], 2, 2),
        (["<START>", "<END>", ".", "a"], 0, 1),
        (["a", "<START>", "<END>"], 1, 2),
    ],
)
def test_every_boundary_is_recognised_wherever_it_is(itos: list[str], start: int, end: int):
    storage.write_json(vocabulary.PATH, itos)
    assert vocabulary.read_vocabulary() == Vocabulary(itos, start, end)


def test_bigram_contexts_of_two_symbols_and_no_examples_at_all_are_refused():
    wide = DATA / "contexts/bigram/train.safetensors"
    write(wide, EXAMPLES)
    with pytest.raises(
        InputError, match="contains contexts of more than one symbol; build_contexts writes it"
    ):
        read_examples("bigram", "train", SYMBOLS)
    empty = {key: array[:0] for key, array in EXAMPLES.items()}
    write(CONTEXTS, empty)
    with pytest.raises(InputError, match="contains no examples; build_contexts writes it"):
        read_examples("mlp", "train", SYMBOLS)
    # only train must have examples
    write(CONTEXTS.with_name("dev.safetensors"), empty)
    assert len(read_examples("mlp", "dev", SYMBOLS)["targets"]) == 0


def test_examples_of_a_split_are_built_in_pieces_as_if_at_once(monkeypatch: pytest.MonkeyPatch):
    stored = vocabulary.read_vocabulary()
    names = ["ab", "c", "cab", "b", "ab"]
    storage.write_lines(storage.split_path("dev"), names)
    at_once = lists(build_examples(names, stored, 2))
    for length in (1, 3, 7, 100):  # characters that are read at once, line ends counted
        monkeypatch.setattr(storage, "PIECE_LENGTH", length)
        assert lists(build_split_examples("dev", stored, 2)) == at_once
    storage.write_lines(storage.split_path("dev"), [])
    assert build_split_examples("dev", stored, 2)["contexts"].shape == (0, 2)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"ab\nbad\n", "'d' is not among the characters 'abc'; split writes it: delete it"),
        (b"ab\n\xff\n", "not UTF-8; delete it and run `dvc repro`"),
        (None, "not found; run `dvc repro` to create it"),
    ],
)
def test_names_of_another_vocabulary_are_refused(content: bytes | None, problem: str):
    path = storage.split_path("dev")
    if content is not None:
        storage.write_bytes(path, content)
    with pytest.raises(InputError) as error:
        build_split_examples("dev", vocabulary.read_vocabulary(), 2)
    assert str(error.value).startswith(f"{path}: {problem}")


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("bigram_count", change("P", spoil(-0.25)), "P has negative probabilities"),
        ("bigram_count", change("P", spoil(0.5)), "P has negative probabilities, or some that do"),
        ("ngram_count", change("D", spoil(-0.5)), "D has discounts below 0 or above their counts"),
        ("ngram_count", change("D", spoil(3.5)), "D has discounts below 0 or above their counts"),
        ("ngram_count", change("D", first(0.5)), "D has discounts below 0 or above their counts"),
        ("ngram_count", change("k", lambda _: np.array(0.0)), "k is 0, not above 0"),
        ("ngram_count", change("keys0", spoil(4)), "keys0 are not ascending keys of 1 contexts"),
        ("ngram_count", change("keys1", spoil(4)), "keys1 are not ascending keys of 1 contexts"),
        ("ngram_count", change("keys1", first(-1)), "keys1 are not ascending keys of 1 contexts"),
        ("ngram_count", change("keys2", spoil(4)), "keys2 are not ascending keys of 2 contexts"),
        ("ngram_count", change("keys2", spoil(8)), "keys2 are not ascending keys of 2 contexts"),
        ("ngram_count", change("ngrams2", spoil(2)), "ngrams2 do not add up to the 4 of next2"),
        ("ngram_count", change("ngrams2", spoil(0)), "ngrams2 do not add up to the 4 of next2"),
        (
            "ngram_count",
            change("ngrams1", lambda n: np.array([5, 0], dtype=np.int32)),
            "ngrams1 do not add up to the 5 of next1",
        ),
        ("ngram_count", change("next2", spoil(4)), "next2 or counts2 are out of range"),
        ("ngram_count", change("next2", spoil(-1)), "next2 or counts2 are out of range"),
        ("ngram_count", change("counts1", spoil(0)), "next1 or counts1 are out of range"),
        ("ngram_count", change("counts1", spoil(-1)), "next1 or counts1 are out of range"),
        ("ngram_count", change("next1", spoil(2)), "next1 are not ascending after each context"),
        ("ngram_count", change("next1", first(1)), "next1 are not ascending after each context"),
        (
            "mixture",
            change("mlp", lambda _: np.array(0.5)),
            "weights below 0, or that do not sum to 1: mlp 0.5, ngram_count 0.75",
        ),
        ("mixture", drop("mlp"), "not the tensors of mixture: ngram_count"),
    ],
)
def test_values_that_no_training_stores_are_refused(
    name: str, damage: Callable[[Path], None], problem: str
):
    damage(model_path(name))
    with pytest.raises(InputError) as error:
        load(name)
    assert str(error.value).startswith(f"data/models/{name}.safetensors: {problem}")
    assert str(error.value).endswith("writes it: delete it and run `dvc repro`")


@pytest.mark.parametrize("name", MODELS)
def test_folder_in_place_of_a_file_is_refused(name: str):
    path = model_path(name)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=rf"^data/models/{name}\.safetensors: Is a directory$"):
        load(name)
    with pytest.raises(InputError, match=r"^data: Is a directory$"):
        storage.read_bytes(DATA)


@pytest.mark.parametrize("name", ["ngram_count", "mlp", "mixture"])
def test_model_with_longer_contexts_than_the_stored_ones_is_refused(name: str):
    with pytest.raises(InputError, match=rf"^{name} needs contexts of 2 symbols; found 1$"):
        score(load(name), EXAMPLES["contexts"][:, 1:], EXAMPLES["targets"])
