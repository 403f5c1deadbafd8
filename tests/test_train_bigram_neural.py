import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from charlm import params
from charlm.core.errors import InputError
from charlm.data.examples import bigram_counts, build_examples
from charlm.data.vocabulary import Vocabulary
from stages import train_bigram_neural

VOCABULARY = Vocabulary.of([".", *"abcdefghijklmnopqrstuvwxyz"])
COUNTS = np.array([[0, 3, 1], [2, 0, 2], [2, 1, 0]])


def shares(counts: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(counts / counts.sum()).float()


@pytest.fixture(scope="module")
def all_counts(names: list[str]) -> np.ndarray:
    return bigram_counts(build_examples(names, VOCABULARY, 1), 27)


def train(
    frequencies: torch.Tensor, seed: int, steps: int, lr: float, l2: float
) -> tuple[torch.Tensor, list[tuple[int, float, float]]]:
    """Return the trained weights; and each number of updates, the loss and objective after them."""
    settings = params.BigramNeural(seed=seed, steps=steps, lr=lr, l2=l2)
    return train_bigram_neural.train(frequencies, settings)


def test_loss_over_counts_is_the_mean_over_one_hot_rows():
    W = torch.randn((3, 3), generator=torch.Generator().manual_seed(1))
    pairs = torch.tensor([pair for pair in np.ndindex(3, 3) for _ in range(COUNTS[pair])])
    one_hot = F.one_hot(pairs[:, 0], 3).float()
    expected = F.cross_entropy(one_hot @ W, pairs[:, 1])
    assert train_bigram_neural.loss(W, shares(COUNTS)).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_objective_is_nll_plus_penalty_and_each_row_is_of_the_weights_after_its_updates():
    W, curve = train(shares(COUNTS), seed=5, steps=2, lr=0.5, l2=0.25)
    start = torch.randn((3, 3), generator=torch.Generator().manual_seed(5), requires_grad=True)
    nll = train_bigram_neural.loss(start, shares(COUNTS))
    objective = nll + 0.25 * (start**2).mean()
    assert [step for step, _, _ in curve] == [0, 1, 2]
    assert curve[0] == (0, pytest.approx(nll.item()), pytest.approx(objective.item()))
    objective.backward()
    once, _ = train(shares(COUNTS), seed=5, steps=1, lr=0.5, l2=0.25)
    assert not W.requires_grad
    assert torch.allclose(once, start.detach() - 0.5 * start.grad)
    assert not torch.equal(once, W)
    for updates, weights in ((1, once), (2, W)):
        nll = train_bigram_neural.loss(weights, shares(COUNTS)).item()
        objective = nll + 0.25 * (weights**2).mean().item()
        assert curve[updates] == (updates, pytest.approx(nll), pytest.approx(objective))


def test_start_depends_on_the_seed_and_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, _ = train(shares(COUNTS), seed=5, steps=1, lr=0.5, l2=0.0)
    assert torch.equal(torch.get_rng_state(), before)
    other, _ = train(shares(COUNTS), seed=6, steps=1, lr=0.5, l2=0.0)
    assert not torch.equal(first, other)


def test_start_is_one_draw_from_the_normal_distribution():
    # a step so small that no weight changes
    W, _ = train(torch.full((27, 27), 27**-2), seed=7, steps=1, lr=1e-30, l2=0.0)
    expected = torch.randn((27, 27), generator=torch.Generator().manual_seed(7))
    assert torch.equal(W, expected)


def test_it_finds_the_counting_bigram():
    counts = COUNTS + 1
    W, curve = train(shares(counts), seed=1, steps=2000, lr=5.0, l2=0.0)
    np.testing.assert_allclose(
        W.softmax(dim=1).numpy(), counts / counts.sum(axis=1, keepdims=True), atol=1e-4
    )
    P = counts / counts.sum(axis=1, keepdims=True)
    _, nll, _ = curve[-1]
    assert nll == pytest.approx(-(counts * np.log(P)).sum() / counts.sum(), abs=1e-6)


def test_divergence_names_the_rate():
    with pytest.raises(InputError, match=r"lower bigram_neural\.lr, now 1e\+38"):
        train(shares(COUNTS), seed=1, steps=9, lr=1e38, l2=1.0)


@pytest.mark.parametrize(
    ("lr", "low", "high"), [(1.0, 3.66, 3.78), (10.0, 3.18, 3.26), (100.0, 2.592, 2.622)]
)
def test_reference_ten_steps(all_counts: np.ndarray, lr: float, low: float, high: float):
    _, curve = train(shares(all_counts), seed=2147483647, steps=10, lr=lr, l2=0.0)
    step, nll, _ = curve[9]
    assert step == 9
    assert low < nll < high


def test_reference_hundred_steps(all_counts: np.ndarray):
    _, curve = train(shares(all_counts), seed=2147483647, steps=100, lr=10.0, l2=0.0)
    step, nll, objective = curve[99]
    assert step == 99
    assert nll == pytest.approx(2.571, abs=0.006)
    assert math.isclose(nll, objective)
