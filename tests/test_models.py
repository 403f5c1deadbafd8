import math
import sys

import numpy as np
import pytest
import torch
from torch import Generator

from charlm.models import mlp as models
from stages import build_contexts
from tests.conftest import ROOT, Project

ITOS = [".", *"abcdefghijklmnopqrstuvwxyz"]


def mlp(
    embedding: int = 2, hidden: int = 100, init: str = "normal", seed: int = 2147483647
) -> models.Parameters:
    return models.start_mlp(27, 3, embedding, hidden, init, Generator().manual_seed(seed))


@pytest.mark.parametrize("threads", ["1", "4"])
def test_arithmetic_does_not_follow_the_environment(threads: str):
    code = (
        "import os, charlm.models.mlp, torch; print("
        "torch.get_num_threads(), torch.backends.cpu.get_cpu_capability(), os.environ['MKL_CBWR'])"
    )
    asked = {"OMP_NUM_THREADS": threads, "MKL_CBWR": "AVX512", "ATEN_CPU_CAPABILITY": "avx512"}
    threads_used, capability, kernels = (
        Project(ROOT).run(sys.executable, "-c", code, **asked).stdout.split()
    )
    assert (threads_used, kernels) == ("1", "COMPATIBLE")
    assert capability != "AVX512"


def test_gelu_does_not_follow_the_environment():
    code = (
        "import hashlib, torch; import charlm.models.mlp as models; "
        "g = torch.Generator().manual_seed(1); "
        "p = models.start_mlp(27, 3, 10, 64, 'scaled', g, 2, 'gelu'); "
        "p['W1'].requires_grad_(); x = torch.randint(27, (20000, 3), generator=g); "
        "models.mlp_logits(p, x).square().sum().backward(); "
        "print(hashlib.md5(p['W1'].grad.numpy().tobytes()).hexdigest())"
    )
    hashes = {
        Project(ROOT).run(sys.executable, "-c", code, ONEDNN_MAX_CPU_ISA=asked).stdout
        for asked in ("SSE41", "AVX2", "AVX512_CORE")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(("embedding", "hidden", "count"), [(2, 100, 3481), (10, 200, 11897)])
def test_number_of_parameters(embedding: int, hidden: int, count: int):
    assert sum(tensor.numel() for tensor in mlp(embedding, hidden).values()) == count


def test_lecture_start_is_drawn_from_one_generator_in_the_lectures_order():
    generator = Generator().manual_seed(7)
    expected = [
        torch.randn(shape, generator=generator)
        for shape in ((27, 2), (6, 100), (100,), (100, 27), (27,))
    ]
    for tensor, (name, drawn) in zip(expected, mlp(seed=7).items(), strict=True):
        assert torch.equal(tensor, drawn), name


def test_scaled_start_is_the_lectures_scaled():
    normal, scaled = mlp(10, 200), mlp(10, 200, "scaled")
    assert torch.equal(scaled["C"], normal["C"])
    assert torch.allclose(scaled["W1"], normal["W1"] * (5 / 3) / 30**0.5)
    assert torch.allclose(scaled["W2"], normal["W2"] * 0.01)
    assert not scaled["b1"].any()
    assert not scaled["b2"].any()


def test_mlp_logits_worked_by_hand():
    parameters = {
        "C": torch.tensor([[0.0], [1.0]]),
        "W1": torch.tensor([[1.0], [2.0]]),
        "b1": torch.tensor([0.5]),
        "W2": torch.tensor([[1.0, -1.0]]),
        "b2": torch.tensor([0.0, 0.25]),
    }
    h = math.tanh(1 * 0 + 2 * 1 + 0.5)
    logits = models.mlp_logits(parameters, torch.tensor([[0, 1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]


def test_deeper_mlp_worked_by_hand():
    parameters = {
        "C": torch.tensor([[0.0], [1.0]]),
        "W1": torch.tensor([[2.0]]),
        "b1": torch.tensor([-1.0]),
        "W2": torch.tensor([[3.0]]),
        "b2": torch.tensor([0.5]),
        "W3": torch.tensor([[1.0, -1.0]]),
        "b3": torch.tensor([0.0, 0.25]),
    }
    h = math.tanh(3 * math.tanh(2 * 1 - 1) + 0.5)
    logits = models.mlp_logits(parameters, torch.tensor([[1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]

    def gelu(x: float) -> float:
        return x * (1 + math.erf(x / 2**0.5)) / 2

    h = gelu(3 * gelu(2 * 1 - 1) + 0.5)
    logits = models.mlp_logits(parameters | {"activation": torch.tensor(1)}, torch.tensor([[1]]))
    assert logits.tolist() == [pytest.approx([h, 0.25 - h])]

    # what is dropped reaches nothing: each hidden layer passes through
    logits = models.mlp_logits(parameters, torch.tensor([[1]]), drop=lambda x: 0 * x)
    assert logits.tolist() == [[0.0, 0.25]]


def test_deeper_start_has_a_first_loss_close_to_a_uniform_guess():
    for activation in ("tanh", "gelu"):
        generator = Generator().manual_seed(1)
        parameters = models.start_mlp(27, 3, 10, 50, "scaled", generator, 3, activation)
        assert parameters["W3"].shape == (50, 50)
        assert parameters["W4"].shape == (50, 27)
        assert ("activation" in parameters) == (activation == "gelu")
        assert models.block_size(parameters) == 3
        log_probabilities = models.log_probabilities(
            models.mlp_logits(parameters, torch.randint(27, (100, 3), generator=generator))
        )
        assert -log_probabilities.mean().item() == pytest.approx(math.log(27), abs=0.02)


def test_mixture_of_probabilities_by_hand():
    # both bigrams: the MLP gives 1/3 each, the n-gram model what it has stored
    mlp = {"C": torch.zeros(3, 2), "W1": torch.zeros(2, 1), "b1": torch.zeros(1)}
    mlp |= {"W2": torch.zeros(1, 3), "b2": torch.zeros(3)}
    ngram = {
        "P0": torch.tensor([[0.2, 0.2, 0.6]], dtype=torch.float64),
        "keys1": torch.tensor([1]),
        "P1": torch.tensor([[0.0, 0.5, 0.5]], dtype=torch.float64),
    }
    weight = {"weight": torch.tensor(0.25, dtype=torch.float64)}
    mixture = models.mix(weight, {"mlp": mlp, "ngram_count": ngram})
    assert models.part(mixture, "mlp") == mlp
    P = models.mixture_logits(mixture, torch.tensor([[1], [2]])).exp()
    expected = [[1 / 12, 1 / 12 + 3 / 8, 1 / 12 + 3 / 8]]
    expected += [[1 / 12 + 0.15, 1 / 12 + 0.15, 1 / 12 + 0.45]]
    np.testing.assert_allclose(P.numpy(), expected, rtol=1e-6)
    assert models.block_size(mixture) == 1
    for weight, alone in ((0.0, ngram["P1"][0]), (1.0, torch.full((3,), 1 / 3))):
        changed = mixture | {"weight": torch.tensor(weight, dtype=torch.float64)}
        P = models.mixture_logits(changed, torch.tensor([[1]])).exp()
        np.testing.assert_allclose(P[0].numpy(), alone.numpy(), rtol=1e-6)


def test_models_take_the_right_end_of_a_longer_context():
    W = torch.arange(9.0).reshape(3, 3)
    long, short = torch.tensor([[1, 0, 2]]), torch.tensor([[2]])
    assert torch.equal(models.bigram_neural_logits({"W": W}, long), W[[2]])
    assert torch.equal(
        models.bigram_neural_logits({"W": W}, long), models.bigram_neural_logits({"W": W}, short)
    )
    parameters = mlp()
    context = torch.tensor([[9, 9, 1, 2, 3]])
    assert torch.equal(
        models.mlp_logits(parameters, context), models.mlp_logits(parameters, context[:, 2:])
    )


def test_logits_of_zero_give_the_uniform_loss():
    log_probabilities = models.log_probabilities(torch.zeros(1, 27))
    assert log_probabilities.dtype == torch.float64
    assert -log_probabilities[0, 5].item() == pytest.approx(math.log(27), abs=1e-12)


def test_large_logits_stay_finite_where_exp_overflows():
    logits = torch.tensor([[100.0, -100.0, 0.0]])
    assert (logits * 10).exp().isinf().any()  # what the notebooks' exp, then divide, runs into
    assert models.log_probabilities(logits * 10).tolist() == [[0.0, -2000.0, -1000.0]]


def test_zero_probability_is_minus_infinity_and_no_nan():
    P = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
    log_probabilities = models.log_probabilities(
        models.bigram_count_logits({"P": P}, torch.tensor([[1]]))
    )
    assert log_probabilities.tolist() == [[0.0, -math.inf]]


def test_embedding_of_two_dimensions_is_shown_as_it_is():
    C = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    places, labels = models.principal_plane(C)
    assert places.tolist() == C.tolist()
    assert labels == ["dimension 1", "dimension 2"]
    places, labels = models.principal_plane(C[:, :1])
    assert places.tolist() == [[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]]
    assert labels == ["dimension 1", ""]


def test_larger_embedding_is_projected_on_its_principal_components():
    # along the diagonal of the first two axes, 9 times the variance along the third; nothing else
    along, across = torch.tensor([1.0, 1.0, 0.0]) / 2**0.5, torch.tensor([0.0, 0.0, 1.0])
    C = torch.stack(
        [7 + 6 * along, 7 - 3 * along, 7 - 3 * along, 7 + across, 7 + across, 7 - 2 * across]
    )
    places, labels = models.principal_plane(C)
    # a component's largest entry points up
    expected = [[6, 0], [-3, 0], [-3, 0], [0, -1], [0, -1], [0, 2]]
    assert places == pytest.approx(np.array(expected), abs=1e-6)
    assert labels == [
        "first principal component: 90% of the variance",
        "second principal component: 10% of the variance",
    ]


def test_block_size_is_read_from_the_shapes():
    assert models.block_size(mlp()) == 3
    assert models.block_size({"W": torch.zeros(27, 27)}) == 1


def test_reference_loss_of_the_lecture_start_on_all_names(names: list[str]):
    examples = build_contexts.build(names, ITOS, 3)
    logits = models.mlp_logits(mlp(), torch.from_numpy(examples["contexts"]).long())
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(examples["targets"]).long())
    assert loss.item() == pytest.approx(19.5052, abs=5e-5)
