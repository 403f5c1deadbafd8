"""The mixture: the MLP's probabilities and the counting n-gram model's, averaged."""

from typing import ClassVar

import numpy as np

from charlm.data.tensors import Arrays
from charlm.models.base import Model, Shapes
from charlm.models.mlp import MLP
from charlm.models.ngram_count import NgramCount


class Mixture(Model):
    """The weight w in w * first + (1 - w) * second, and the two models.

    Its array is weight () float64; those of the two models are not stored again.
    """

    name: ClassVar[str] = "mixture"
    stage: ClassVar[str] = "fit_mixture"
    components: ClassVar[tuple[type[Model], ...]] = (MLP, NgramCount)

    def __init__(self, arrays: Arrays, symbols: int, *components: Model) -> None:
        super().__init__(arrays, symbols)
        self.mixed = components
        self.block_size = max(model.block_size for model in components)
        self.reads_whole_names = any(model.reads_whole_names for model in components)

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logs of the mixed probabilities, float64."""
        first, second = (model.log_probabilities(contexts) for model in self.mixed)
        weight = self.arrays["weight"]
        with np.errstate(divide="ignore"):  # a weight of 0 or 1 leaves one model out
            logs: np.ndarray = np.logaddexp(first + np.log(weight), second + np.log(1 - weight))
        return logs

    def expected_shapes(self) -> Shapes:
        """Return the shape of the weight."""
        return {"weight": ("float64", ())}

    def check_values(self) -> None:
        """Check that the weight is between 0 and 1."""
        weight = self.arrays["weight"].item()
        if not 0 <= weight <= 1:
            raise ValueError(f"weight is {weight:g}, not between 0 and 1")
