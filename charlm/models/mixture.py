"""The mixture: a weighted average of the probabilities of other models."""

from functools import reduce
from typing import ClassVar

import numpy as np

from charlm.data.tensors import Arrays
from charlm.models.base import MAX_ROUNDING_ERROR, Model, Shapes
from charlm.models.prefixes import names_of_contexts

START = "start"
POSITIONS = 10  # in a name, that have weights of their own; the last ones are those of all after


class Mixture(Model):
    """The weights in an average of models, and these models.

    Its arrays are one weight per model, () float64, under the name of the model; they sum to 1.
    Weights per position are (POSITIONS,) float64, by the number of symbols before in the name, and
    `start` () int64 is the symbol before it. The arrays of the models are not stored again.
    """

    name: ClassVar[str] = "mixture"
    stage: ClassVar[str] = "fit_mixture"

    def __init__(self, arrays: Arrays, symbols: int, *components: Model) -> None:
        super().__init__(arrays, symbols)
        self.mixed = components
        self.block_size = max(model.block_size for model in components)
        self.reads_whole_names = START in arrays or any(
            model.reads_whole_names for model in components
        )

    @classmethod
    def component_names(cls, arrays: Arrays) -> tuple[str, ...]:
        """Return the names of the models in alphabetical order: files keep none."""
        names = sorted(arrays.keys() - {START})
        if len(names) < 2 or cls.name in names:
            raise ValueError(f"not the tensors of {cls.name}: {', '.join(sorted(arrays))}")
        return tuple(names)

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logs of the mixed probabilities, float64."""
        weights = {model.name: self.arrays[model.name] for model in self.mixed}
        if START in self.arrays:
            _, lengths = names_of_contexts(contexts, self.arrays[START].item())
            rows = np.minimum(lengths, POSITIONS - 1)[:, None]
            weights = {name: weight[rows] for name, weight in weights.items()}
        with np.errstate(divide="ignore"):  # a weight of 0 leaves a model out
            weighted = [
                model.log_probabilities(contexts) + np.log(weights[model.name])
                for model in self.mixed
            ]
        logs: np.ndarray = reduce(np.logaddexp, weighted)
        return logs

    def expected_shapes(self) -> Shapes:
        """Return the shape of a weight for each model."""
        shape = (POSITIONS,) if START in self.arrays else ()
        shapes: Shapes = dict.fromkeys(self.component_names(self.arrays), ("float64", shape))
        return shapes | ({START: ("int64", ())} if START in self.arrays else {})

    def check_values(self) -> None:
        """Check that the weights are at least 0 and sum to 1."""
        weights = {name: self.arrays[name] for name in self.component_names(self.arrays)}
        every = np.stack([*weights.values()])
        if every.min() < 0 or abs(every.sum(axis=0) - 1).max() > MAX_ROUNDING_ERROR:
            found = ", ".join(f"{name} {weight.tolist()}" for name, weight in weights.items())
            raise ValueError(f"weights below 0, or that do not sum to 1: {found}")
