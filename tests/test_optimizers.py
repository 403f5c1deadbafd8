"""The optimizers beside those of torch, and a step worked out by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from charlm.optimizers import OPTIMIZERS, SGD, AdamW

STEPS = 20


def parameter(values: list[float], gradient: list[float]) -> Tensor:
    made = torch.tensor(values, requires_grad=True)
    made.grad = torch.tensor(gradient)
    return made


def test_step_of_sgd_worked_by_hand():
    p = parameter([1.0, -2.0], [0.5, 0.0])
    SGD([p], weight_decay=0.25).step(lr=2.0)
    # 1 - 2 * (0.5 + 0.25 * 1) and -2 - 2 * (0 + 0.25 * -2)
    assert p.tolist() == [-0.5, -1.0]


def test_first_step_of_adamw_moves_by_the_learning_rate_after_the_decay():
    p = parameter([1.0, -2.0, 4.0], [0.5, -8.0, 0.0])
    AdamW([p], weight_decay=0.5).step(lr=0.1)
    # after one step mean / sqrt(square) is the gradient's sign; the decay multiplies by 1 - 0.05
    assert p.tolist() == pytest.approx([0.95 - 0.1, -1.9 + 0.1, 3.8])


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize(
    ("name", "reference"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_bytes_are_those_of_torch(
    name: str, reference: Callable[..., torch.optim.Optimizer], weight_decay: float
):
    generator = Generator().manual_seed(1)
    start = [torch.randn(shape, generator=generator) for shape in ((30, 20), (20,))]
    ours, theirs = ([p.clone().requires_grad_() for p in start] for _ in range(2))
    optimizer = OPTIMIZERS[name](ours, weight_decay)
    expected = reference(theirs, weight_decay=weight_decay, fused=True)
    for step in range(STEPS):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        expected.param_groups[0]["lr"] = lr = 0.04 * (1 - step / STEPS)
        expected.step()
        optimizer.step(lr)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
