import pandas as pd
import pytest
import torch
from torch import Generator

from charlm.models import mlp as models
from stages import build_contexts, find_learning_rate, split
from stages.train_mlp import Examples, full_loss

ITOS = [".", *"abcdefghijklmnopqrstuvwxyz"]


def start(seed: int = 1) -> tuple[models.Parameters, Generator]:
    generator = Generator().manual_seed(seed)
    return models.start_mlp(27, 3, 2, 100, "normal", generator), generator


def tensors(names: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    examples = build_contexts.build(names, ITOS, 3)
    return tuple(torch.from_numpy(examples[key]).long() for key in ("contexts", "targets"))


def test_each_step_has_its_rate_and_its_loss_comes_before_its_update():
    contexts, targets = tensors(["emma", "ava"])
    parameters, generator = start()
    losses = find_learning_rate.search(parameters, contexts, targets, [-9.0, -1.0], 4, generator)

    expected, generator = start()
    for exponent, loss in zip([-9.0, -1.0], losses, strict=True):
        for tensor in expected.values():
            tensor.requires_grad_()
        rows = torch.randint(len(targets), (4,), generator=generator)
        logits = models.mlp_logits(expected, contexts[rows])
        own = torch.nn.functional.cross_entropy(logits, targets[rows])
        assert loss == pytest.approx(own.item(), rel=1e-6)
        own.backward()
        expected = {
            name: (tensor - 10**exponent * tensor.grad).detach()
            for name, tensor in expected.items()
        }
    for name, tensor in expected.items():
        assert torch.allclose(parameters[name], tensor, atol=1e-6)


def test_search_ends_where_the_loss_is_no_longer_finite():
    contexts, targets = tensors(["emma", "ava"])
    parameters, generator = start()
    losses = find_learning_rate.search(
        parameters, contexts, targets, [-1, 38, -1, -1], 4, generator
    )
    assert len(losses) == 2


def test_smoothing_is_the_mean_around_each_step():
    nll = pd.Series([0.0] * 10 + [15.0] + [0.0] * 10)  # a window of 3
    expected = [0.0] * 9 + [5.0] * 3 + [0.0] * 9
    assert find_learning_rate.smooth(nll).tolist() == pytest.approx(expected)
    assert find_learning_rate.smooth(pd.Series([4.0, 2.0])).tolist() == [4.0, 2.0]


@pytest.mark.parametrize(("rows", "left"), [(2, 2), (500, 500), (501, 251), (1000, 500)])
def test_git_keeps_500_rows_at_most(rows: int, left: int):
    thinned = find_learning_rate.thin(pd.DataFrame({"exponent": range(rows)}))
    assert len(thinned) == left
    assert thinned["exponent"].iloc[0] == 0


@pytest.mark.parametrize("seed", [2147483647, 42, 1])
def test_reference_valley(names: list[str], seed: int):
    train = split.cut(split.shuffle(names, 42), 0.8, 0.1)["train"]
    contexts, targets = tensors(train)
    parameters, generator = start(seed)
    before = full_loss(parameters, Examples.of(build_contexts.build(train, ITOS, 3), 27)).item()
    exponents = find_learning_rate.spaced(-3, 0, 1000)
    losses = find_learning_rate.search(parameters, contexts, targets, exponents, 32, generator)
    smoothed = find_learning_rate.smooth(pd.Series(losses))
    assert -1.1 < exponents[int(smoothed.argmin())] < -0.6
    assert smoothed.iloc[0] == pytest.approx(before, rel=0.1)
