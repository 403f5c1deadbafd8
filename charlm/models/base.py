"""What every model has: logits from contexts, and arrays that are checked when they are read."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from charlm.core.storage import damaged, model_path
from charlm.data.tensors import Arrays, read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ROUNDING_ERROR = 1e-6  # of a sum of probabilities

Shapes = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape of each array


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the log of softmax over the last dimension, float64, for logits of any size."""
    logs: np.ndarray = logits - logits.max(axis=-1, keepdims=True).astype(np.float64)
    logs -= np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    return logs


def context_size(models: Iterable["Model"], longest: int) -> int:
    """Return how many symbols of context all models need to predict each character of names.

    Args:
        models: trained models.
        longest: the length of the longest name.
    """
    return max(max(model.block_size, model.reads_whole_names * (1 + longest)) for model in models)


def check_probabilities(name: str, P: np.ndarray) -> None:
    """Check that probabilities are at least 0 and sum to 1 over the last dimension.

    Raises:
        ValueError: they do not.
    """
    if (P < 0).any() or (abs(P.sum(axis=-1) - 1) > MAX_ROUNDING_ERROR).any():
        raise ValueError(f"{name} has negative probabilities, or some that do not sum to 1")


class Model:
    """A trained model of the next symbol, given the symbols before it.

    Its sizes are the shapes of its arrays, so that a stored model needs nothing else to be read
    back. It uses the last `block_size` symbols of a context, which may be longer; or, if it reads
    whole names, those from the last start on.
    """

    name: ClassVar[str]  # as in data/models/NAME.safetensors
    stage: ClassVar[str]  # the stage that trains and stores it
    block_size: int = 1
    reads_whole_names: bool = False

    def __init__(self, arrays: Arrays, symbols: int, *components: "Model") -> None:
        """Take the arrays of a stored model.

        Args:
            arrays: as they are stored.
            symbols: size of the vocabulary.
            components: the models that it is composed of.

        Raises:
            ValueError: they are not the arrays of such a model of this vocabulary.
        """
        self.arrays = arrays
        self.symbols = symbols
        try:
            expected = self.expected_shapes()
        except (LookupError, TypeError, ZeroDivisionError):
            raise ValueError(f"not the tensors of {self.name}: {', '.join(arrays)}") from None
        self.check_shapes(expected)
        self.check_values()

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logits of the next symbol.

        Args:
            contexts: (rows, at least block size), symbol numbers of any integer type; in front
                of a name, starts.

        Returns:
            (rows, symbols), float32 or float64.
        """
        raise NotImplementedError

    def log_probabilities(self, contexts: np.ndarray) -> np.ndarray:
        """Return the logs of the probabilities of the next symbol.

        Args:
            contexts: as of `logits`.

        Returns:
            (rows, symbols) float64; minus infinity where the probability is 0.
        """
        return log_probabilities(self.logits(contexts))

    def score(
        self, contexts: np.ndarray, inverse: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score symbols that follow contexts.

        Args:
            contexts: as of `logits`.
            inverse: (examples,) int64, the row of each example's context.
            targets: (examples,), the symbol that follows each.

        Returns:
            (examples,) float64, the NLL of each, in nats; and (examples,) bool, whether it is the
            most probable symbol.
        """
        logs = self.log_probabilities(contexts)
        return -logs[inverse, targets], logs.argmax(axis=1)[inverse] == targets

    def expected_shapes(self) -> Shapes:
        """Return what arrays such a model has, given the sizes that they imply.

        Raises:
            ValueError, LookupError, TypeError, ZeroDivisionError: such a model has other arrays.
        """
        raise NotImplementedError

    def check_shapes(self, expected: Shapes) -> None:
        """Compare names, types and shapes of the arrays with those expected.

        Raises:
            ValueError: they differ.
        """
        for key, array in self.arrays.items():
            if key in expected and str(array.dtype) != expected[key][0]:
                raise ValueError(f"{key} is {array.dtype}, not {expected[key][0]}")
        problems = [f"{key} is missing" for key in expected if key not in self.arrays]
        for key, array in self.arrays.items():
            if key not in expected:
                problems.append(f"{key} is unknown")
            elif array.shape != expected[key][1]:
                problems.append(f"{key} has the shape {array.shape}, not {expected[key][1]}")
        if problems:
            listed = ", ".join(problems)
            raise ValueError(f"not {self.name} for {self.symbols} symbols: {listed}")

    def check_values(self) -> None:
        """Check what arrays of the right shapes can still get wrong.

        Raises:
            ValueError: no training stores such values.
        """

    @classmethod
    def component_names(cls, arrays: Arrays) -> tuple[str, ...]:
        """Return the names of the models that a model of these arrays is composed of.

        Raises:
            ValueError: they are not the arrays of such a model.
        """
        return ()

    @classmethod
    def load(cls, symbols: int, load_component: "Callable[[str], Model] | None" = None) -> Self:
        """Read the trained model.

        Args:
            symbols: size of the vocabulary.
            load_component: reads a model that it is composed of; a ValueError means that it cannot
                be composed of this one.

        Raises:
            InputError: the file is missing or damaged, or belongs to another vocabulary.
        """
        path = model_path(cls.name)
        arrays = read_tensors(path, cls.stage)
        try:
            names = cls.component_names(arrays)
            components = map(load_component, names) if load_component else ()
            return cls(arrays, symbols, *components)
        except ValueError as error:
            raise damaged(path, str(error), cls.stage) from None
