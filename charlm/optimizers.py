"""Optimizers. Those of torch.optim give the same bytes, but import a compiler at their first use.

That import takes 0.9 s, more than the rest of the default training.
"""

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # as Kingma & Ba (2015) recommend


class Optimizer:
    """Updates parameters with their gradients."""

    def __init__(self, parameters: list[Tensor], weight_decay: float) -> None:
        self.parameters = parameters
        self.weight_decay = weight_decay

    def step(self, lr: float) -> None:
        """Update the parameters in place."""
        raise NotImplementedError

    def gradients(self) -> list[Tensor]:
        """Return the gradient of each parameter."""
        return [p.grad for p in self.parameters if p.grad is not None]


class SGD(Optimizer):
    """Stochastic gradient descent; the weight decay is that of an L2 penalty in the loss."""

    @torch.no_grad()
    def step(self, lr: float) -> None:
        torch._fused_sgd_(
            self.parameters,
            self.gradients(),
            [],
            lr=lr,
            weight_decay=self.weight_decay,
            momentum=0,
            dampening=0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), in one fused operation."""

    def __init__(self, parameters: list[Tensor], weight_decay: float) -> None:
        super().__init__(parameters, weight_decay)
        self.means = [torch.zeros_like(p) for p in parameters]  # of the gradients
        self.squares = [torch.zeros_like(p) for p in parameters]  # means of their squares
        self.steps = [torch.zeros(()) for _ in parameters]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        for steps in self.steps:
            steps.add_(1)
        torch._fused_adamw_(
            self.parameters,
            self.gradients(),
            self.means,
            self.squares,
            [],
            self.steps,
            lr=lr,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {"adamw": AdamW, "sgd": SGD}  # by name in params.yaml
