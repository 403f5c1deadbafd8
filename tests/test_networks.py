"""The classes in charlm/networks: how they start, and that charlm/models agrees."""

import math
import sys
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from charlm.data.examples import build_examples
from charlm.data.tensors import Arrays
from charlm.data.vocabulary import Vocabulary
from charlm.models import gru as stored_gru
from charlm.models import mlp as stored
from charlm.models import transformer as stored_transformer
from charlm.models.base import log_probabilities
from charlm.models.prefixes import PrefixTree, pad_names
from charlm.networks import mlp as trained
from charlm.networks.gru import GRU, stacked
from charlm.networks.mlp import MLP, count_parameters
from charlm.networks.transformer import Transformer
from charlm.networks.transformer import count_parameters as transformer_parameters
from charlm.scoring import score
from tests.conftest import ROOT, Project
from tests.test_models import DEEP, DEEP_DIRECT, GELU, SHALLOW, SHALLOW_DIRECT

VOCABULARY = Vocabulary.of([".", *"abcdefghijklmnopqrstuvwxyz"])
ACTIVATIONS = [*trained.ACTIVATIONS]


def lecture_mlp(
    embedding: int = 2, hidden: int = 100, init: str = "normal", seed: int = 2147483647
) -> MLP:
    model = MLP(27, 3, embedding, hidden)
    model.initialise(init, Generator().manual_seed(seed))
    return model.requires_grad_(False)


def with_arrays(model: MLP, arrays: Arrays) -> MLP:
    """Give a network the values of these arrays."""
    model.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    return model.requires_grad_(False)


SHALLOW_MLP = with_arrays(MLP(2, block_size=2, embedding=1, hidden=1), SHALLOW)
DEEP_MLP = with_arrays(MLP(2, block_size=1, embedding=1, hidden=1, layers=2), DEEP)
GELU_MLP = with_arrays(MLP(2, 1, 1, 1, layers=2, activation="gelu"), DEEP | GELU)


def test_activations_are_numbered_alike_where_networks_are_trained_and_where_they_are_read():
    assert [*trained.ACTIVATIONS] == [*stored.ACTIVATIONS] == [*trained.GAINS]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_the_same_functions(activation: str):
    x = torch.linspace(-12, 12, 4801)
    expected = trained.ACTIVATIONS[activation](x.double()).numpy()
    for values, tolerance in ((x, 1e-6), (x.double(), 1e-12)):
        found = stored.ACTIVATIONS[activation](values.numpy())
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
        assert found.dtype == values.numpy().dtype


@pytest.mark.parametrize(
    ("symbols", "embedding", "hidden"), [(2, 1, 6), (5, 3, 8), (27, 10, 200), (300, 16, 64)]
)
@pytest.mark.parametrize("block_size", [1, 3, 8])
@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("direct", [False, True])
def test_stored_model_computes_the_logits_of_the_network(
    direct: bool,
    activation: str,
    layers: int,
    block_size: int,
    symbols: int,
    embedding: int,
    hidden: int,
):
    generator = Generator().manual_seed(1)
    network = MLP(symbols, block_size, embedding, hidden, layers, activation, direct)
    network.initialise("scaled", generator)
    with torch.no_grad():
        for number in range(1, layers + 2):
            network.layer(number)[1].normal_(std=0.1, generator=generator)  # 0 at the start
        network.layer(layers + 1)[0].mul_(10 / hidden**0.5)  # close to 0 at the start
        if network.direct is not None:
            network.direct.mul_(10 / (block_size * embedding) ** 0.5)
    model = stored.MLP(network.arrays(), symbols)
    assert model.block_size == block_size
    assert model.layers == layers

    # longer than the block size, of which the end is used
    contexts = torch.randint(symbols, (200, block_size + 1), generator=generator)
    expected = network(contexts).detach().numpy()
    found = model.logits(contexts.numpy().astype(np.uint16))
    assert found.dtype == expected.dtype == np.float32
    assert expected.std(axis=0).max() > 0.002  # contexts matter
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def whole_names(vocabulary: Vocabulary) -> tuple[list[str], np.ndarray]:
    """Return names and the contexts of all their characters, with more starts than needed."""
    names = ["".join(letters) for letters in product("ab", repeat=3)] + ["", "abababab", "b", "b"]
    return names, build_examples(names, vocabulary, 11)["contexts"]


@pytest.mark.parametrize("boundary", [[".", "a", "b"], ["a", "b", "<START>", "<END>"]])
@pytest.mark.parametrize("hidden", [1, 7, 64])
def test_stored_gru_computes_the_logits_of_the_network(hidden: int, boundary: list[str]):
    vocabulary = Vocabulary.of(boundary)
    network = GRU(len(vocabulary), hidden)
    network.initialise(Generator().manual_seed(1))
    with torch.no_grad():
        network.W.mul_(10)  # close to 0 at the start
    names, contexts = whole_names(vocabulary)
    model = stored_gru.GRU(stacked([network], vocabulary.start), len(vocabulary))
    found = model.logits(contexts)

    tree = PrefixTree.of(*pad_names(names, vocabulary), vocabulary.start)
    rows = tree.paths[tree.paths >= 0]
    expected = network(tree.of_names(np.arange(len(names))).levels).detach().numpy()[rows]
    assert found.dtype == expected.dtype == np.float32
    assert expected.std(axis=0).max() > 0.002
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_probabilities_of_several_grus_are_averaged():
    vocabulary = Vocabulary.of([".", "a", "b"])
    networks = [GRU(3, 4), GRU(3, 4)]
    for seed, network in enumerate(networks):
        network.initialise(Generator().manual_seed(seed))
        with torch.no_grad():
            network.W.mul_(100)
    contexts = build_examples(["abba", "b"], vocabulary, 5)["contexts"]
    both, first, second = (
        np.exp(stored_gru.GRU(stacked(chosen, 0), 3).log_probabilities(contexts))
        for chosen in (networks, networks[:1], networks[1:])
    )
    assert abs(first - second).max() > 0.1
    np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-12)


def test_gru_is_that_of_torch():
    vocabulary = Vocabulary.of([".", "a", "b"])
    network = GRU(3, 5)
    network.initialise(Generator().manual_seed(1))
    # torch's gates are in the same order, its matrices transposed, its update gate kept as ours
    theirs = torch.nn.GRU(3, 5, batch_first=True, bias=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(network.X.T)
        theirs.weight_hh_l0.copy_(network.U.T)
        theirs.bias_ih_l0.copy_(network.b)
        theirs.bias_hh_l0.zero_()
        symbols = torch.tensor([[0, 1, 2, 2, 1]])
        states, _ = theirs(F.one_hot(symbols, 3).float())
        expected = states[0] @ network.W + network.c
    contexts = build_examples(["abba"], vocabulary, 5)["contexts"]
    found = stored_gru.GRU(stacked([network], 0), 3).logits(contexts)
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("boundary", [[".", "a", "b"], ["a", "b", "<START>", "<END>"]])
@pytest.mark.parametrize(("embedding", "blocks", "heads"), [(2, 1, 1), (12, 2, 3), (64, 3, 4)])
def test_stored_transformer_computes_the_logits_of_the_network(
    embedding: int, blocks: int, heads: int, boundary: list[str]
):
    vocabulary = Vocabulary.of(boundary)
    network = Transformer(len(vocabulary), embedding, blocks, heads)
    network.initialise(Generator().manual_seed(1))
    numbers = network.parameters()
    assert transformer_parameters(len(vocabulary), embedding, blocks) == sum(
        parameter.numel() for parameter in numbers
    )
    names, contexts = whole_names(vocabulary)
    model = stored_transformer.Transformer(network.arrays(vocabulary.start), len(vocabulary))
    found = model.logits(contexts)

    expected = []
    for name in names:
        symbols = [vocabulary.start, *vocabulary.encode(name).tolist()]
        expected.append(network(torch.tensor([symbols]))[0].detach().numpy())
    assert found.dtype == np.float32
    # each of about a hundred roundings of 6e-8, of numbers of about 1
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=0, atol=5e-6)


def test_transformer_sees_nothing_of_what_follows():
    network = Transformer(3, 8, 2, 2)
    network.initialise(Generator().manual_seed(1))
    first, second = network(torch.tensor([[0, 1, 2, 2], [0, 1, 1, 1]]))
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first[2], second[2])


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network_stores_direct_connections_and_an_activation_that_is_not_the_first(
    activation: str, direct: bool
):
    arrays = MLP(5, 3, 2, 7, 2, activation, direct).arrays()
    keys = ["C", "W1", "b1", "W2", "b2", "W3", "b3"] + ["direct"] * direct
    number = ACTIVATIONS.index(activation)
    assert [*arrays] == keys + ["activation"] * (number > 0)
    assert arrays.get("activation", 0) == number
    assert all(arrays[key].dtype == np.float32 for key in keys)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_arithmetic_does_not_depend_on_the_environment(threads: str):
    code = (
        "import os, charlm, torch, charlm.networks.mlp; print("
        "torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(), os.environ['MKL_CBWR'])"
    )
    requested = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    requested |= {"MKL_CBWR": "AVX512", "ATEN_CPU_CAPABILITY": "avx512"}
    threads_used, capability, kernels = (
        Project(ROOT).run(sys.executable, "-c", code, **requested).stdout.split()
    )
    assert (threads_used, kernels) == ("1", "COMPATIBLE")
    assert capability != "AVX512"


def test_gelu_does_not_depend_on_the_environment():
    code = (
        "import hashlib; from charlm.networks.mlp import MLP; import torch; "
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


@pytest.mark.parametrize(("embedding", "hidden", "count"), [(2, 100, 3481), (10, 200, 11897)])
def test_number_of_parameters(embedding: int, hidden: int, count: int):
    model = lecture_mlp(embedding, hidden)
    assert sum(tensor.numel() for tensor in model.parameters()) == count
    # units: what goes in, what the hidden layer gives, and the logits
    assert count_parameters(27, 3, embedding, hidden) == (count, 3 * embedding + hidden + 27)


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("direct", [False, True])
def test_number_of_parameters_is_known_before_the_model_is_built(
    layers: int, activation: str, direct: bool
):
    model = MLP(5, 3, 2, 7, layers, activation, direct)
    parameters, units = count_parameters(5, 3, 2, 7, layers, direct)
    assert parameters == sum(tensor.numel() for tensor in model.parameters())
    assert units == 3 * 2 + layers * 7 + 5


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


def test_direct_connections_are_drawn_last_and_scaled_as_the_last_layer():
    starts = []
    for direct, init in ((False, "normal"), (True, "normal"), (True, "scaled")):
        model = MLP(5, 3, 2, 8, 2, direct=direct)
        model.initialise(init, Generator().manual_seed(3))
        starts.append(model.arrays())
    without, normal, scaled = starts
    for key, array in without.items():
        np.testing.assert_array_equal(normal[key], array)
    assert normal["direct"].std() == pytest.approx(1, abs=0.5)
    np.testing.assert_allclose(scaled["direct"], normal["direct"] * 0.01, rtol=1e-6)


def test_logits_by_hand():
    h = math.tanh(1 * 0 + 2 * 1 + 0.5)
    logits = SHALLOW_MLP(torch.tensor([[0, 1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]
    assert logits.dtype == torch.float32


def test_logits_of_a_deeper_network_by_hand():
    h = math.tanh(3 * math.tanh(2 * 1 - 1) + 0.5)
    assert DEEP_MLP(torch.tensor([[1]])).tolist() == [pytest.approx([h, 0.25 - h])]

    def gelu(x: float) -> float:
        return x * (1 + math.erf(x / 2**0.5)) / 2

    h = gelu(3 * gelu(2 * 1 - 1) + 0.5)
    assert GELU_MLP(torch.tensor([[1]])).tolist() == [pytest.approx([h, 0.25 - h])]

    # if everything is dropped, only the last biases are left
    logits = DEEP_MLP(torch.tensor([[1]]), drop=lambda x: 0 * x)
    assert logits.tolist() == [[0.0, 0.25]]


def test_direct_connections_by_hand():
    model = with_arrays(MLP(2, 2, 1, 1, direct=True), SHALLOW | SHALLOW_DIRECT)
    first, second = math.tanh(2 * 1 + 0.5), math.tanh(1 * 1 + 2 * 1 + 0.5)
    logits = model(torch.tensor([[0, 1], [1, 1]])).tolist()
    assert logits[0] == pytest.approx([first + 0.5, 0.25 - first - 3])
    assert logits[1] == pytest.approx([second + 8 + 0.5, 0.25 - second + 4 - 3])

    # dropout is of hidden units: the last biases and the direct connections are left
    model = with_arrays(MLP(2, 1, 1, 1, layers=2, direct=True), DEEP | DEEP_DIRECT)
    logits = model(torch.tensor([[1]]), drop=lambda x: 0 * x)
    assert logits.tolist() == [[0.5, 0.25 - 3]]


@pytest.mark.parametrize(("model", "layers"), [(SHALLOW_MLP, 1), (DEEP_MLP, 2)], ids=["1", "2"])
def test_dropout_is_applied_once_per_hidden_layer(model: MLP, layers: int):
    dropped: list[tuple[int, ...]] = []

    def drop(x: Tensor) -> Tensor:
        dropped.append(tuple(x.shape))
        return x

    contexts = torch.tensor([[0, 1], [1, 1], [1, 0]])
    assert torch.equal(model(contexts, drop=drop), model(contexts))
    assert dropped == [(3, 1)] * layers


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("direct", [False, True])
def test_deeper_start_has_a_first_loss_close_to_a_uniform_guess(activation: str, direct: bool):
    generator = Generator().manual_seed(1)
    model = MLP(27, 3, 10, 50, 3, activation, direct)
    model.initialise("scaled", generator)
    arrays = model.arrays()
    assert arrays["W3"].shape == (50, 50)
    assert arrays["W4"].shape == (50, 27)
    assert ("activation" in arrays) == (activation == "gelu")
    assert model.block_size == 3
    logits = model(torch.randint(27, (100, 3), generator=generator))
    found = log_probabilities(logits.detach().numpy())
    assert -found.mean() == pytest.approx(math.log(27), abs=0.02)


def test_network_uses_the_end_of_a_longer_context():
    model, context = lecture_mlp(), torch.tensor([[9, 9, 1, 2, 3]])
    assert torch.equal(model(context), model(context[:, 2:]))


def test_reference_loss_of_the_lecture_start_on_all_names(names: list[str]):
    examples = build_examples(names, VOCABULARY, 3)
    contexts, targets = (torch.from_numpy(examples[key]).long() for key in examples)
    network = lecture_mlp()
    assert F.cross_entropy(network(contexts), targets).item() == pytest.approx(19.5052, abs=5e-5)
    model = stored.MLP(network.arrays(), 27)
    nll = score(model, examples["contexts"], examples["targets"]).nll
    assert nll.mean() == pytest.approx(19.5052, abs=5e-5)
