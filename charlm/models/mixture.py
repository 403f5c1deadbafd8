"""The mixture: a weighted average of the probabilities of other models."""

from functools import reduce
from typing import ClassVar

import numpy as np

from charlm.data.tensors import Arrays
from charlm.models.base import MAX_ROUNDING_ERROR, Model, Shapes


class Mixture(Model):
    """The weights in an average of models, and these models.

    Its arrays are one weight per model, () float64, under the name of the model; they sum to 1.
    Those of the models are not stored again.
    """

    name: ClassVar[str] = "mixture"
    stage: ClassVar[str] = "fit_mixture"

    def __init__(self, arrays: Arrays, symbols: int, *components: Model) -> None:
        super().__init__(arrays, symbols)
        self.mixed = components
        self.block_size = max(model.block_size for model in components)
        self.reads_whole_names = any(model.reads_whole_names for model in components)

    @classmethod
    def component_names(cls, arrays: Arrays) -> tuple[str, ...]:
        """Return the names of the models in alphabetical order: files keep none."""
        if len(arrays) < 2 or cls.name in arrays:
            raise ValueError(f"not the tensors of {cls.name}: {', '.join(sorted(arrays))}")
        return tuple(sorted(arrays))

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logs of the mixed probabilities, float64."""
        with np.errstate(divide="ignore"):  # a weight of 0 leaves a model out
            weighted = [
                model.log_probabilities(contexts) + np.log(self.arrays[model.name])
                for model in self.mixed
            ]
        logs: np.ndarray = reduce(np.logaddexp, weighted)
        return logs

    def expected_shapes(self) -> Shapes:
        """Return the shape of a weight for each model."""
        return dict.fromkeys(self.component_names(self.arrays), ("float64", ()))

    def check_values(self) -> None:
        """Check that the weights are at least 0 and sum to 1."""
        weights = [weight.item() for weight in self.arrays.values()]
        if min(weights) < 0 or abs(sum(weights) - 1) > MAX_ROUNDING_ERROR:
            found = ", ".join(f"{name} {self.arrays[name]:g}" for name in sorted(self.arrays))
            raise ValueError(f"weights below 0, or that do not sum to 1: {found}")
