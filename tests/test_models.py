"""The classes in charlm/models: logits worked out by hand, sizes, and how they start."""

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from charlm.core import storage
from charlm.data.examples import build_examples
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model, log_probabilities
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.models.mixture import Mixture
from charlm.models.mlp import MLP, count_parameters
from charlm.models.ngram_count import NgramCount
from charlm.models.registry import FITTED_ON_DEV, MODELS, model_class
from tests.conftest import ROOT, STAGES, Project

VOCABULARY = Vocabulary.of([".", *"abcdefghijklmnopqrstuvwxyz"])


def ngram_tensors(*levels: dict[int, list[int]]) -> dict[str, Tensor]:
    """Return the tensors of a counting n-gram model without discounts.

    Its probabilities are the shares of the counts, as long as a context is known.

    Args:
        levels: for each length of contexts, from 0, the counts of all symbols by key.
    """
    tensors = {"D": torch.zeros((len(levels), 4), dtype=torch.float64)}
    tensors["size"] = torch.tensor(len(levels[0][0]))
    for length, level in enumerate(levels):
        counts = torch.tensor([*level.values()], dtype=torch.int32)
        rows, following = counts.nonzero(as_tuple=True)
        tensors |= {
            f"keys{length}": torch.tensor([*level]),
            f"ngrams{length}": (counts > 0).sum(dim=1, dtype=torch.int32),
            f"next{length}": following.int(),
            f"counts{length}": counts[rows, following],
        }
    return tensors


def write_models(folder: Path, P: Tensor, mlp_bias: Sequence[float] = (0, 0, 0)) -> None:
    """Write a vocabulary of `.`, a and b, and a model of each kind, all but two uniform.

    Args:
        folder: where data/ is to be.
        P: the probabilities of the counting bigram.
        mlp_bias: the logits of the MLP, whatever its context of two.
    """
    data = folder / "data"
    storage.write_json(data / "vocabulary.json", [".", "a", "b"])
    shapes = {"C": (3, 2), "W1": (4, 5), "b1": (5,), "W2": (5, 3)}
    models = {
        "bigram_count": {"P": P},
        "bigram_neural": {"W": torch.zeros(3, 3)},
        "mlp": {key: torch.zeros(shape) for key, shape in shapes.items()}
        | {"b2": torch.tensor(mlp_bias, dtype=torch.float32)},
        "ngram_count": ngram_tensors({0: [1, 1, 1]}, {0: [1, 1, 1]}),
        "mixture": {"weight": torch.tensor(0.25, dtype=torch.float64)},
    }
    for name, found in models.items():
        arrays = {key: tensor.numpy() for key, tensor in found.items()}
        write_tensors(data / "models" / f"{name}.safetensors", arrays)


SHALLOW = {
    "C": torch.tensor([[0.0], [1.0]]),
    "W1": torch.tensor([[1.0], [2.0]]),
    "b1": torch.tensor([0.5]),
    "W2": torch.tensor([[1.0, -1.0]]),
    "b2": torch.tensor([0.0, 0.25]),
}
DEEP = {
    "C": torch.tensor([[0.0], [1.0]]),
    "W1": torch.tensor([[2.0]]),
    "b1": torch.tensor([-1.0]),
    "W2": torch.tensor([[3.0]]),
    "b2": torch.tensor([0.5]),
    "W3": torch.tensor([[1.0, -1.0]]),
    "b3": torch.tensor([0.0, 0.25]),
}
GELU = {"activation": torch.tensor(1)}
# 0.2, 0.2, 0.6; after symbol 1: 0, 0.5, 0.5
NGRAM = ngram_tensors({0: [1, 1, 3]}, {1: [0, 1, 1]})


def lecture_mlp(
    embedding: int = 2, hidden: int = 100, init: str = "normal", seed: int = 2147483647
) -> MLP:
    model = MLP(27, 3, embedding, hidden)
    model.initialise(init, Generator().manual_seed(seed))
    return model.requires_grad_(False)


def small_mixture(weight: float) -> Mixture:
    """A mixture of an MLP that gives 1/3 to each of three symbols, and an n-gram model."""
    uniform = {"C": torch.zeros(3, 2), "W1": torch.zeros(2, 1), "b1": torch.zeros(1)}
    uniform |= {"W2": torch.zeros(1, 3), "b2": torch.zeros(3)}
    components = MLP.from_tensors(uniform, 3), NgramCount.from_tensors(NGRAM, 3)
    tensors = {"weight": torch.tensor(weight, dtype=torch.float64)}
    return Mixture.from_tensors(tensors, 3, *components)


def test_logits_of_zero_give_the_uniform_loss():
    found = log_probabilities(torch.zeros(1, 27))
    assert found.dtype == torch.float64
    assert -found[0, 5].item() == pytest.approx(math.log(27), abs=1e-12)


def test_large_logits_stay_finite_where_exp_overflows():
    logits = torch.tensor([[100.0, -100.0, 0.0]])
    assert (logits * 10).exp().isinf().any()  # the overflow that the notebooks run into
    assert log_probabilities(logits * 10).tolist() == [[0.0, -2000.0, -1000.0]]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_arithmetic_does_not_depend_on_the_environment(threads: str):
    code = (
        "import os, charlm, torch, charlm.models.base; print("
        "torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(), os.environ['MKL_CBWR'])"
    )
    requested = {"OMP_NUM_THREADS": threads, "MKL_CBWR": "AVX512", "ATEN_CPU_CAPABILITY": "avx512"}
    threads_used, capability, kernels = (
        Project(ROOT).run(sys.executable, "-c", code, **requested).stdout.split()
    )
    assert (threads_used, kernels) == ("1", "COMPATIBLE")
    assert capability != "AVX512"


def test_gelu_does_not_depend_on_the_environment():
    code = (
        "import hashlib; from charlm.models.mlp import MLP; import torch; "
        "g = torch.Generator().manual_seed(1); "
        "model = MLP(27, 3, 10, 64, 2, 'gelu'); model.initialise('scaled', g); "
        "x = torch.randint(27, (20000, 3), generator=g); "
        "model(x).square().sum().backward(); "
        "print(hashlib.md5(model.W1.grad.numpy().tobytes()).hexdigest())"
    )
    hashes = {
        Project(ROOT).run(sys.executable, "-c", code, ONEDNN_MAX_CPU_ISA=requested).stdout
        for requested in ("SSE41", "AVX2", "AVX512_CORE")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize("name", MODELS)
def test_registry_agrees_with_the_class_and_the_pipeline(name: str):
    cls = model_class(name)
    assert issubclass(cls, Model)
    assert cls.name == name
    assert cls.__module__ == f"charlm.models.{name}"
    assert {component.name for component in cls.components} <= set(MODELS)
    outs = [out if isinstance(out, str) else next(iter(out)) for out in STAGES[cls.stage]["outs"]]
    assert f"data/models/{name}.safetensors" in outs
    assert set(FITTED_ON_DEV) <= set(MODELS)


def test_registry_is_read_without_torch():
    code = "import sys, charlm.models.registry; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert found.stdout == b"False\n"


@pytest.mark.parametrize(("embedding", "hidden", "count"), [(2, 100, 3481), (10, 200, 11897)])
def test_number_of_parameters(embedding: int, hidden: int, count: int):
    model = lecture_mlp(embedding, hidden)
    assert sum(tensor.numel() for tensor in model.parameters()) == count
    # units: what goes in, what the hidden layer gives, and the logits
    assert count_parameters(27, 3, embedding, hidden) == (count, 3 * embedding + hidden + 27)


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_number_of_parameters_is_known_before_the_model_is_built(layers: int, activation: str):
    model = MLP(5, 3, 2, 7, layers, activation)
    parameters, units = count_parameters(5, 3, 2, 7, layers)
    assert parameters == sum(tensor.numel() for tensor in model.parameters())
    assert units == 3 * 2 + layers * 7 + 5


def test_sizes_of_the_other_models():
    assert sum(tensor.numel() for tensor in BigramNeural(27).parameters()) == 27 * 27
    # counted, not learned by gradient descent
    ngram = NgramCount(27, [1, 26, 300], [27, 400, 900])
    for model in (BigramCount(27), ngram, small_mixture(0.5)):
        assert list(model.parameters()) == []
    found = {key: (array.shape, array.dtype) for key, array in ngram.arrays().items()}
    assert found == {
        "size": ((), np.int64),
        "D": ((3, 4), np.float64),
        "keys0": ((1,), np.int64),
        "ngrams0": ((1,), np.int32),
        "next0": ((27,), np.int32),
        "counts0": ((27,), np.int32),
        "keys1": ((26,), np.int64),
        "ngrams1": ((26,), np.int32),
        "next1": ((400,), np.int32),
        "counts1": ((400,), np.int32),
        "keys2": ((300,), np.int64),
        "ngrams2": ((300,), np.int32),
        "next2": ((900,), np.int32),
        "counts2": ((900,), np.int32),
    }


def test_lecture_start_is_drawn_from_one_generator_in_the_order_of_the_lecture():
    generator = Generator().manual_seed(7)
    expected = [
        torch.randn(shape, generator=generator)
        for shape in ((27, 2), (6, 100), (100,), (100, 27), (27,))
    ]
    named = lecture_mlp(seed=7).named_parameters()
    assert [name for name, _ in lecture_mlp().named_parameters()] == ["C", "W1", "b1", "W2", "b2"]
    for tensor, (name, drawn) in zip(expected, named, strict=True):
        assert torch.equal(tensor, drawn), name


def test_neural_bigram_starts_from_one_draw():
    model = BigramNeural(27)
    model.initialise(Generator().manual_seed(7))
    expected = torch.randn((27, 27), generator=Generator().manual_seed(7))
    assert torch.equal(model.W.detach(), expected)
    assert model.W.requires_grad


def test_scaled_start_is_the_lecture_start_scaled():
    normal, scaled = lecture_mlp(10, 200), lecture_mlp(10, 200, "scaled")
    assert torch.equal(scaled.C, normal.C)
    assert torch.allclose(scaled.W1, normal.W1 * (5 / 3) / 30**0.5)
    assert torch.allclose(scaled.W2, normal.W2 * 0.01)
    assert not scaled.b1.any()
    assert not scaled.b2.any()


def test_scaled_start_of_gelu_has_the_gain_of_he():
    starts = []
    for init in ("normal", "scaled"):
        model = MLP(5, 3, 2, 8, 2, "gelu")
        model.initialise(init, Generator().manual_seed(3))
        starts.append(model.arrays())
    normal, scaled = starts
    for key, factor in {"W1": 2**0.5 / 6**0.5, "W2": 2**0.5 / 8**0.5, "W3": 0.01}.items():
        np.testing.assert_allclose(scaled[key], normal[key] * factor, rtol=1e-6)
    assert scaled["activation"] == 1


def test_mlp_logits_by_hand():
    h = math.tanh(1 * 0 + 2 * 1 + 0.5)
    logits = MLP.from_tensors(SHALLOW, 2)(torch.tensor([[0, 1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]
    assert logits.dtype == torch.float32


def test_logits_of_a_deeper_mlp_by_hand():
    model = MLP.from_tensors(DEEP, 2)
    h = math.tanh(3 * math.tanh(2 * 1 - 1) + 0.5)
    assert model(torch.tensor([[1]])).tolist() == [pytest.approx([h, 0.25 - h])]

    def gelu(x: float) -> float:
        return x * (1 + math.erf(x / 2**0.5)) / 2

    h = gelu(3 * gelu(2 * 1 - 1) + 0.5)
    logits = MLP.from_tensors(DEEP | GELU, 2)(torch.tensor([[1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]

    # if everything is dropped, only the last biases are left
    logits = model(torch.tensor([[1]]), drop=lambda x: 0 * x)
    assert logits.tolist() == [[0.0, 0.25]]


def test_dropout_is_applied_once_per_hidden_layer():
    for tensors, layers in ((SHALLOW, 1), (DEEP, 2)):
        dropped: list[tuple[int, ...]] = []

        def drop(x: Tensor, dropped: list[tuple[int, ...]] = dropped) -> Tensor:
            dropped.append(tuple(x.shape))
            return x

        model = MLP.from_tensors(tensors, 2)
        contexts = torch.tensor([[0, 1], [1, 1], [1, 0]])
        assert torch.equal(model(contexts, drop=drop), model(contexts))
        assert dropped == [(3, 1)] * layers


def test_deeper_start_has_a_first_loss_close_to_a_uniform_guess():
    for activation in ("tanh", "gelu"):
        generator = Generator().manual_seed(1)
        model = MLP(27, 3, 10, 50, 3, activation)
        model.initialise("scaled", generator)
        arrays = model.requires_grad_(False).arrays()
        assert arrays["W3"].shape == (50, 50)
        assert arrays["W4"].shape == (50, 27)
        assert ("activation" in arrays) == (activation == "gelu")
        assert model.block_size == 3
        found = log_probabilities(model(torch.randint(27, (100, 3), generator=generator)))
        assert -found.mean().item() == pytest.approx(math.log(27), abs=0.02)


def test_ngram_probabilities_by_hand():
    first, second, third = [0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.25, 0.5, 0.25]
    tensors = ngram_tensors(
        {0: [1, 1, 3]},
        {0: [2, 1, 1], 2: [1, 1, 6]},  # after . and b
        {1 * 3 + 1: [1, 2, 1]},  # after ab: b is row 1 of the contexts above, a is 1
    )
    model = NgramCount.from_tensors(tensors, 3)
    assert model.block_size == 2
    # ab is known, of bb only the last b, of aa nothing, of b. only the boundary
    P = model(torch.tensor([[1, 2], [2, 2], [1, 1], [2, 0]])).exp()
    expected = [third, second, [0.2, 0.2, 0.6], first]
    np.testing.assert_allclose(P.numpy(), expected, rtol=1e-12)


def test_mixture_of_probabilities_by_hand():
    mixture = small_mixture(0.25)
    assert mixture.arrays() == {"weight": 0.25}
    assert mixture.block_size == 1
    P = mixture(torch.tensor([[1], [2]])).exp()
    expected = [[1 / 12, 1 / 12 + 3 / 8, 1 / 12 + 3 / 8]]
    expected += [[1 / 12 + 0.15, 1 / 12 + 0.15, 1 / 12 + 0.45]]
    np.testing.assert_allclose(P.numpy(), expected, rtol=1e-6)
    for weight, component in ((0.0, [0, 0.5, 0.5]), (1.0, [1 / 3] * 3)):
        P = small_mixture(weight)(torch.tensor([[1]])).exp()
        np.testing.assert_allclose(P[0].numpy(), component, rtol=1e-6)


def test_mixture_has_the_longer_block_size_and_each_model_its_own():
    W = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    first, second = MLP.from_tensors(SHALLOW, 2), BigramNeural.from_tensors({"W": W}, 2)
    weight = {"weight": torch.tensor(0.5, dtype=torch.float64)}
    for components in ((first, second), (second, first)):
        mixture = Mixture.from_tensors(weight, 2, *components)
        assert mixture.block_size == 2
        contexts = torch.tensor([[1, 0, 1]])
        P = (log_probabilities(first(contexts)).exp() + W[[1]].double().softmax(dim=1)) / 2
        np.testing.assert_allclose(mixture(contexts).exp().numpy(), P.numpy(), rtol=1e-12)


def test_models_use_the_end_of_a_longer_context():
    W = torch.arange(9.0).reshape(3, 3)
    model = BigramNeural.from_tensors({"W": W}, 3)
    long, short = torch.tensor([[1, 0, 2]]), torch.tensor([[2]])
    assert torch.equal(model(long), W[[2]])
    assert torch.equal(model(long), model(short))
    mlp = lecture_mlp()
    context = torch.tensor([[9, 9, 1, 2, 3]])
    assert torch.equal(mlp(context), mlp(context[:, 2:]))
    ngram = NgramCount.from_tensors(NGRAM, 3)
    assert torch.equal(ngram(torch.tensor([[2, 2, 1]])), ngram(torch.tensor([[1]])))
    table = BigramCount.from_tensors({"P": W.double().softmax(dim=1)}, 3)
    assert torch.equal(table(long), table(short))


def test_zero_probability_is_minus_infinity_and_no_nan():
    P = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
    model = BigramCount.from_tensors({"P": P}, 2)
    assert log_probabilities(model(torch.tensor([[1]]))).tolist() == [[0.0, -math.inf]]


def test_block_size_is_read_from_the_shapes():
    assert MLP.from_tensors(lecture_mlp().state_dict(), 27).block_size == 3
    assert MLP.from_tensors(SHALLOW, 2).block_size == 2
    assert BigramNeural.from_tensors({"W": torch.zeros(27, 27)}, 27).block_size == 1
    assert NgramCount.from_tensors(ngram_tensors({0: [1, 1, 3]}), 3).block_size == 1


@pytest.mark.parametrize("tensors", [SHALLOW, DEEP, DEEP | GELU], ids=["1", "2", "2 gelu"])
def test_model_built_from_tensors_has_the_same_tensors_and_no_gradients(tensors: dict[str, Tensor]):
    model = MLP.from_tensors(tensors, 2)
    assert {key: array.tolist() for key, array in model.arrays().items()} == {
        key: tensor.tolist() for key, tensor in tensors.items()
    }
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.activation_name == ("gelu" if "activation" in tensors else "tanh")
    assert not model(torch.tensor([[0, 1]])).requires_grad


@pytest.mark.parametrize(
    ("cls", "tensors", "problem"),
    [
        (BigramCount, {}, r'not bigram_count for 2 symbols: Missing key\(s\) .*"P"'),
        (BigramCount, {"P": torch.zeros(2, 2)}, "P is torch.float32, not torch.float64"),
        (BigramNeural, {"W": torch.zeros(2, 3)}, r"for W: .*\[2, 3\].*\[2, 2\]"),
        (BigramNeural, {"W": torch.zeros(2, 2), "b": torch.zeros(2)}, r'Unexpected key.* "b"'),
        (MLP, {"W1": torch.zeros(2, 2)}, "not the tensors of mlp: W1"),
        (MLP, DEEP | {"W3": torch.zeros(1, 3)}, r"for W3: .*\[1, 3\].*\[1, 2\]"),
        (MLP, DEEP | {"activation": torch.tensor(2)}, "activation 2 is unknown"),
        (MLP, DEEP | {"activation": torch.tensor([1, 1])}, r"activation \[1, 1\] is unknown"),
        (NgramCount, NGRAM | {"keys1": torch.zeros(0).long()}, "no contexts of 1 symbols"),
    ],
)
def test_tensors_of_another_model_are_a_value_error(
    cls: type[Model], tensors: dict[str, Tensor], problem: str
):
    with pytest.raises(ValueError, match=problem) as error:
        cls.from_tensors(tensors, 3 if cls is NgramCount else 2)
    assert "\n" not in str(error.value)


def test_reference_loss_of_the_lecture_start_on_all_names(names: list[str]):
    examples = build_examples(names, VOCABULARY, 3)
    logits = lecture_mlp()(torch.from_numpy(examples["contexts"]).long())
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(examples["targets"]).long())
    assert loss.item() == pytest.approx(19.5052, abs=5e-5)
