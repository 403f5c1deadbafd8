"""The classes in charlm/models: logits worked out by hand, and the arrays that they accept."""

import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from charlm.core import storage
from charlm.data.tensors import Arrays, write_tensors
from charlm.models.base import Model, Shapes, log_probabilities
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.models.mixture import Mixture
from charlm.models.mlp import ACTIVATIONS, MLP
from charlm.models.ngram_count import NgramCount
from charlm.models.registry import FITTED_ON_DEV, MODELS, model_class
from tests.conftest import ROOT, STAGES, run_stages

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # of numpy, on stderr


def ngram_arrays(*levels: dict[int, list[int]]) -> Arrays:
    """Return the arrays of a counting n-gram model without discounts.

    Its probabilities are the shares of the counts, as long as a context is known.

    Args:
        levels: for each length of contexts, from 0, the counts of all symbols by key.
    """
    arrays = {"D": np.zeros((len(levels), 4)), "size": np.array(len(levels[0][0]))}
    for length, level in enumerate(levels):
        counts = np.array([*level.values()], dtype=np.int32)
        rows, following = counts.nonzero()
        arrays |= {
            f"keys{length}": np.array([*level]),
            f"ngrams{length}": (counts > 0).sum(axis=1, dtype=np.int32),
            f"next{length}": following.astype(np.int32),
            f"counts{length}": counts[rows, following],
        }
    return arrays


def write_models(folder: Path, P: np.ndarray, mlp_bias: Sequence[float] = (0, 0, 0)) -> None:
    """Write a vocabulary of `.`, a and b, and a model of each kind, all but two uniform.

    Args:
        folder: where data/ is to be.
        P: the probabilities of the counting bigram.
        mlp_bias: the logits of the MLP, whatever its context of two.
    """
    data = folder / "data"
    storage.write_json(data / "vocabulary.json", [".", "a", "b"])
    shapes = {"C": (3, 2), "W1": (4, 5), "b1": (5,), "W2": (5, 3)}
    models: dict[str, Arrays] = {
        "bigram_count": {"P": P},
        "bigram_neural": {"W": np.zeros((3, 3), np.float32)},
        "mlp": {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
        | {"b2": np.float32(mlp_bias)},
        "ngram_count": ngram_arrays({0: [1, 1, 1]}, {0: [1, 1, 1]}),
        "mixture": {"mlp": np.array(0.25), "ngram_count": np.array(0.75)},
    }
    for name, arrays in (models | train_others(models, "ab")).items():
        write_tensors(data / "models" / f"{name}.safetensors", arrays)


def train_others(models: Iterable[str], characters: str) -> dict[str, Arrays]:
    """Train each registered model but these by its stage, on all names of two characters."""
    names = [name for name in MODELS if name not in set(models)]
    if not names:
        return {}
    stages = dict.fromkeys(model_class(name).stage for name in names)
    words = "".join(f"{first}{second}\n" for first in characters for second in characters)
    with tempfile.TemporaryDirectory() as folder:
        stages_of_data = ["fetch", "split", "build_contexts"]
        shares = {"split.train": 0.5, "split.dev": 0.25}
        run_stages(Path(folder), words.encode(), shares, [*stages_of_data, *stages])
        paths = {name: Path(folder) / storage.model_path(name) for name in names}
        return {name: safetensors.numpy.load_file(path) for name, path in paths.items()}


def random_mlp(
    symbols: int,
    block_size: int,
    embedding: int = 2,
    hidden: int = 4,
    layers: int = 1,
    activation: str = "tanh",
    direct: bool = False,
) -> MLP:
    """Return an MLP whose weights and biases are all drawn from N(0, 1)."""
    generator = np.random.default_rng(1)
    arrays = {"C": generator.normal(size=(symbols, embedding)).astype(np.float32)}
    widths = [block_size * embedding, *[hidden] * layers, symbols]
    for layer in range(1, layers + 2):
        fan_in, fan_out = widths[layer - 1 : layer + 1]
        arrays[f"W{layer}"] = generator.normal(size=(fan_in, fan_out)).astype(np.float32)
        arrays[f"b{layer}"] = generator.normal(size=fan_out).astype(np.float32)
    if direct:
        arrays["direct"] = generator.normal(size=(widths[0], symbols)).astype(np.float32)
    if activation != "tanh":
        arrays["activation"] = np.array([*ACTIVATIONS].index(activation))
    return MLP(arrays, symbols)


SHALLOW = {
    "C": np.float32([[0.0], [1.0]]),
    "W1": np.float32([[1.0], [2.0]]),
    "b1": np.float32([0.5]),
    "W2": np.float32([[1.0, -1.0]]),
    "b2": np.float32([0.0, 0.25]),
}
DEEP = {
    "C": np.float32([[0.0], [1.0]]),
    "W1": np.float32([[2.0]]),
    "b1": np.float32([-1.0]),
    "W2": np.float32([[3.0]]),
    "b2": np.float32([0.5]),
    "W3": np.float32([[1.0, -1.0]]),
    "b3": np.float32([0.0, 0.25]),
}
GELU = {"activation": np.array(1)}
# direct connections of the shallow and of the deep model
SHALLOW_DIRECT = {"direct": np.float32([[8.0, 4.0], [0.5, -3.0]])}
DEEP_DIRECT = {"direct": np.float32([[0.5, -3.0]])}
# 0.2, 0.2, 0.6; after symbol 1: 0, 0.5, 0.5
NGRAM = ngram_arrays({0: [1, 1, 3]}, {1: [0, 1, 1]})


def small_mixture(weight: float) -> Mixture:
    """A mixture of an MLP that gives 1/3 to each of three symbols, and an n-gram model."""
    shapes = {"C": (3, 2), "W1": (2, 1), "b1": (1,), "W2": (1, 3), "b2": (3,)}
    uniform = {key: np.zeros(shape, np.float32) for key, shape in shapes.items()}
    weights = {"mlp": np.array(weight), "ngram_count": np.array(1 - weight)}
    return Mixture(weights, 3, MLP(uniform, 3), NgramCount(NGRAM, 3))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return softmax over the last dimension, as it is defined."""
    exp = np.exp(logits.astype(np.float64))
    return exp / exp.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_zero_give_the_uniform_loss(dtype: type):
    found = log_probabilities(np.zeros((1, 27), dtype))
    assert found.dtype == np.float64
    assert -found[0, 5] == pytest.approx(math.log(27), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_probabilities_are_the_logs_of_softmax_and_leave_the_logits_alone(dtype: type):
    logits = np.random.default_rng(1).normal(size=(4, 2, 5)).astype(dtype)
    before = logits.copy()
    np.testing.assert_allclose(np.exp(log_probabilities(logits)), softmax(logits), rtol=1e-12)
    np.testing.assert_array_equal(logits, before)


def test_large_logits_stay_finite_where_exp_overflows():
    logits = np.float32([[1000.0, -1000.0, 0.0]])
    with np.errstate(over="ignore"):
        assert np.isinf(np.exp(logits)).any()  # the overflow that the notebooks run into
    assert log_probabilities(logits).tolist() == [[0.0, -2000.0, -1000.0]]


@pytest.mark.parametrize("name", MODELS)
def test_registry_agrees_with_the_class_and_the_pipeline(name: str):
    cls = model_class(name)
    assert issubclass(cls, Model)
    assert cls.name == name
    assert cls.__module__ == f"charlm.models.{name}"
    outs = [out if isinstance(out, str) else next(iter(out)) for out in STAGES[cls.stage]["outs"]]
    assert f"data/models/{name}.safetensors" in outs
    assert set(FITTED_ON_DEV) <= set(MODELS)


def test_models_are_read_without_torch():
    code = (
        "import sys; from charlm.models.registry import MODELS, model_class; "
        "print([model_class(name).name for name in MODELS] == [*MODELS], 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert found.stdout == b"True False\n"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (BigramCount({"P": np.full((27, 27), 1 / 27)}, 27), {"P": ("float64", (27, 27))}),
        (
            BigramNeural({"W": np.zeros((27, 27), np.float32)}, 27),
            {"W": ("float32", (27, 27))},
        ),
        (small_mixture(0.5), {"mlp": ("float64", ()), "ngram_count": ("float64", ())}),
        (
            MLP(DEEP | DEEP_DIRECT | GELU, 2),
            {
                "C": ("float32", (2, 1)),
                "W1": ("float32", (1, 1)),
                "b1": ("float32", (1,)),
                "W2": ("float32", (1, 1)),
                "b2": ("float32", (1,)),
                "W3": ("float32", (1, 2)),
                "b3": ("float32", (2,)),
                "direct": ("float32", (1, 2)),
                "activation": ("int64", ()),
            },
        ),
        (
            NgramCount(
                ngram_arrays({0: [1, 1, 3]}, {0: [2, 1, 1], 2: [1, 1, 6]}, {4: [0, 2, 1]}), 3
            ),
            {
                "size": ("int64", ()),
                "D": ("float64", (3, 4)),
                "keys0": ("int64", (1,)),
                "ngrams0": ("int32", (1,)),
                "next0": ("int32", (3,)),
                "counts0": ("int32", (3,)),
                "keys1": ("int64", (2,)),
                "ngrams1": ("int32", (2,)),
                "next1": ("int32", (6,)),
                "counts1": ("int32", (6,)),
                "keys2": ("int64", (1,)),
                "ngrams2": ("int32", (1,)),
                "next2": ("int32", (2,)),
                "counts2": ("int32", (2,)),
            },
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Model) else "",
)
def test_types_and_shapes_of_the_arrays_by_hand(model: Model, expected: Shapes):
    assert model.expected_shapes() == expected
    found = {key: (str(array.dtype), array.shape) for key, array in model.arrays.items()}
    assert found == expected


def test_mlp_logits_by_hand():
    h = math.tanh(1 * 0 + 2 * 1 + 0.5)
    logits = MLP(SHALLOW, 2).logits(np.array([[0, 1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]
    assert logits.dtype == np.float32


def test_logits_of_a_deeper_mlp_by_hand():
    h = math.tanh(3 * math.tanh(2 * 1 - 1) + 0.5)
    assert MLP(DEEP, 2).logits(np.array([[1]])).tolist() == [pytest.approx([h, 0.25 - h])]

    def gelu(x: float) -> float:
        return x * (1 + math.erf(x / 2**0.5)) / 2

    h = gelu(3 * gelu(2 * 1 - 1) + 0.5)
    logits = MLP(DEEP | GELU, 2).logits(np.array([[1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]
    assert logits.dtype == np.float32


def test_direct_connections_by_hand():
    # to the logits, the row of each input times the embeddings of the context, 0 or 1
    logits = MLP(SHALLOW | SHALLOW_DIRECT, 2).logits(np.array([[0, 1], [1, 1]]))
    first, second = math.tanh(2 * 1 + 0.5), math.tanh(1 * 1 + 2 * 1 + 0.5)
    assert logits[0].tolist() == pytest.approx([first + 0.5, 0.25 - first - 3])
    assert logits[1].tolist() == pytest.approx([second + 8 + 0.5, 0.25 - second + 4 - 3])
    assert logits.dtype == np.float32
    h = math.tanh(3 * math.tanh(2 * 1 - 1) + 0.5)
    logits = MLP(DEEP | DEEP_DIRECT, 2).logits(np.array([[1]]))
    assert logits.tolist() == [pytest.approx([h + 0.5, 0.25 - h - 3])]


def test_ngram_probabilities_by_hand():
    first, second, third = [0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.25, 0.5, 0.25]
    arrays = ngram_arrays(
        {0: [1, 1, 3]},
        {0: [2, 1, 1], 2: [1, 1, 6]},  # after . and b
        {1 * 3 + 1: [1, 2, 1]},  # after ab: b is row 1 of the contexts above, a is 1
    )
    model = NgramCount(arrays, 3)
    assert model.block_size == 2
    # ab is known, of bb only the last b, of aa nothing, of b. only the boundary
    P = np.exp(model.logits(np.array([[1, 2], [2, 2], [1, 1], [2, 0]])))
    expected = [third, second, [0.2, 0.2, 0.6], first]
    np.testing.assert_allclose(P, expected, rtol=1e-12)


def test_mixture_of_probabilities_by_hand():
    mixture = small_mixture(0.25)
    assert mixture.arrays == {"mlp": 0.25, "ngram_count": 0.75}
    assert mixture.block_size == 1
    P = np.exp(mixture.logits(np.array([[1], [2]])))
    expected = [[1 / 12, 1 / 12 + 3 / 8, 1 / 12 + 3 / 8]]
    expected += [[1 / 12 + 0.15, 1 / 12 + 0.15, 1 / 12 + 0.45]]
    np.testing.assert_allclose(P, expected, rtol=1e-6)
    for weight, component in ((0.0, [0, 0.5, 0.5]), (1.0, [1 / 3] * 3)):
        P = np.exp(small_mixture(weight).logits(np.array([[1]])))
        np.testing.assert_allclose(P[0], component, rtol=1e-6)


def test_mixture_has_the_longer_block_size_and_each_model_its_own():
    W = np.float32([[1.0, 0.0], [0.0, 2.0]])
    first, second = MLP(SHALLOW, 2), BigramNeural({"W": W}, 2)
    for components in ((first, second), (second, first)):
        weights = {"mlp": np.array(0.25), "bigram_neural": np.array(0.75)}
        mixture = Mixture(weights, 2, *components)
        assert mixture.block_size == 2
        contexts = np.array([[1, 0, 1]])
        P = softmax(first.logits(contexts)) / 4 + softmax(W[[1]]) * 3 / 4
        np.testing.assert_allclose(np.exp(mixture.logits(contexts)), P, rtol=1e-12)


@pytest.mark.parametrize("start", [0, 2])
def test_mixture_with_weights_per_position_by_hand(start: int):
    W = np.float32([[1.0, 0.0, 2.0], [0.0, 2.0, 1.0], [3.0, 1.0, 0.0]])
    first, second = BigramNeural({"W": W}, 3), BigramCount({"P": np.full((3, 3), 1 / 3)}, 3)
    weight = np.array([0.1, 0.2, *[0.5] * 7, 0.9])
    arrays = {"bigram_neural": weight, "bigram_count": 1 - weight, "start": np.array(start)}
    mixture = Mixture(arrays, 3, first, second)
    assert mixture.reads_whole_names
    contexts = np.full((3, 13), start)
    contexts[1, -1:], contexts[2, -12:] = 1, 1  # none, one and twelve symbols before
    P = softmax(first.logits(contexts))
    weights = np.array([[0.1], [0.2], [0.9]])
    expected = weights * P + (1 - weights) / 3
    np.testing.assert_allclose(np.exp(mixture.logits(contexts)), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_models_use_the_end_of_a_longer_context(dtype: type):
    W = np.arange(9, dtype=np.float32).reshape(3, 3)
    model = BigramNeural({"W": W}, 3)
    long, short = np.array([[1, 0, 2]], dtype), np.array([[2]], dtype)
    assert np.array_equal(model.logits(long), W[[2]])
    assert np.array_equal(model.logits(long), model.logits(short))
    mlp = random_mlp(27, 3, embedding=2, hidden=100)
    context = np.array([[9, 9, 1, 2, 3]], dtype)
    assert np.array_equal(mlp.logits(context), mlp.logits(context[:, 2:]))
    ngram = NgramCount(NGRAM, 3)
    one = ngram.logits(np.array([[1]], dtype))
    assert np.array_equal(ngram.logits(np.array([[2, 2, 1]], dtype)), one)
    table = BigramCount({"P": softmax(W)}, 3)
    assert np.array_equal(table.logits(long), table.logits(short))


def test_zero_probability_is_minus_infinity_and_no_nan():
    model = BigramCount({"P": np.array([[0.5, 0.5], [1.0, 0.0]])}, 2)
    assert log_probabilities(model.logits(np.array([[1]]))).tolist() == [[0.0, -math.inf]]


def test_block_size_is_read_from_the_shapes():
    assert random_mlp(27, 3, embedding=2, hidden=100).block_size == 3
    assert MLP(SHALLOW, 2).block_size == 2
    assert BigramNeural({"W": np.zeros((27, 27), np.float32)}, 27).block_size == 1
    assert NgramCount(ngram_arrays({0: [1, 1, 3]}), 3).block_size == 1


@pytest.mark.parametrize(
    "arrays",
    [SHALLOW, DEEP, DEEP | GELU, DEEP | DEEP_DIRECT],
    ids=["1", "2", "2 gelu", "2 direct"],
)
def test_layers_and_activation_are_read_from_the_arrays(arrays: Arrays):
    model = MLP(arrays, 2)
    assert model.arrays is arrays
    assert model.layers == (2 if "W3" in arrays else 1)
    assert model.activation is ACTIVATIONS["gelu" if "activation" in arrays else "tanh"]


@pytest.mark.parametrize(
    ("cls", "arrays", "problem"),
    [
        (BigramCount, {}, "not bigram_count for 2 symbols: P is missing"),
        (BigramCount, {"P": np.zeros((2, 2), np.float32)}, "P is float32, not float64"),
        (
            BigramNeural,
            {"W": np.zeros((2, 3), np.float32)},
            "not bigram_neural for 2 symbols: W has the shape (2, 3), not (2, 2)",
        ),
        (
            BigramNeural,
            {"W": np.zeros((2, 2), np.float32), "b": np.zeros(2)},
            "not bigram_neural for 2 symbols: b is unknown",
        ),
        (
            BigramNeural,
            {"b": np.zeros(2)},
            "not bigram_neural for 2 symbols: W is missing, b is unknown",
        ),
        (MLP, {"W1": np.zeros((2, 2), np.float32)}, "not the tensors of mlp: W1"),
        (
            MLP,
            DEEP | {"W3": np.zeros((1, 3), np.float32)},
            "not mlp for 2 symbols: W3 has the shape (1, 3), not (1, 2)",
        ),
        (
            MLP,
            DEEP | SHALLOW_DIRECT,
            "not mlp for 2 symbols: direct has the shape (2, 2), not (1, 2)",
        ),
        (MLP, DEEP | {"activation": np.array(2)}, "activation 2 is unknown"),
        (MLP, DEEP | {"activation": np.array([1, 1])}, "activation [1, 1] is unknown"),
        (NgramCount, NGRAM | {"keys1": np.zeros(0, np.int64)}, "no contexts of 1 symbols"),
    ],
)
def test_arrays_of_another_model_are_a_value_error(cls: type[Model], arrays: Arrays, problem: str):
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        cls(arrays, 3 if cls is NgramCount else 2)
