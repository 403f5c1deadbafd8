"""The mixture: the MLP's probabilities and the counting n-gram model's, averaged."""

from typing import ClassVar, Self

import torch
from torch import Tensor

from charlm.models.base import Model, log_probabilities
from charlm.models.mlp import MLP
from charlm.models.ngram_count import NgramCount


class Mixture(Model):
    """The weight w in w * first + (1 - w) * second, and the two models; only w is stored."""

    name: ClassVar[str] = "mixture"
    stage: ClassVar[str] = "fit_mixture"
    components: ClassVar[tuple[type[Model], ...]] = (MLP, NgramCount)
    weight: Tensor  # () float64

    def __init__(self, symbols: int, first: Model, second: Model) -> None:
        super().__init__(symbols)
        # a tuple, so that torch does not count their tensors as the mixture's
        self.mixed = (first, second)
        self.block_size = max(first.block_size, second.block_size)
        self.register_buffer("weight", torch.empty((), dtype=torch.float64))

    def forward(self, contexts: Tensor) -> Tensor:
        """Return the logs of the mixed probabilities, float64."""
        first, second = (log_probabilities(model(contexts)) for model in self.mixed)
        return torch.logaddexp(first + self.weight.log(), second + (1 - self.weight).log())

    def check_values(self) -> None:
        """Check that the weight is between 0 and 1."""
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight is {self.weight.item():g}, not between 0 and 1")

    @classmethod
    def shaped_like(cls, tensors: dict[str, Tensor], symbols: int, *components: Model) -> Self:
        """Return a mixture of the two models."""
        first, second = components
        return cls(symbols, first, second)
