"""What every model has: logits from contexts, and tensors that can be stored and read back."""

from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from charlm.core.storage import damaged, model_path
from charlm.data.tensors import Arrays, read_tensors

# Sums are split among threads, so their number is part of the result. One is as fast as two at
# small batches, and leaves the other cores to experiments that run side by side.
torch.set_num_threads(1)

MAX_ROUNDING_ERROR = 1e-6  # of a sum of probabilities


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the log of softmax over the last dimension, float64, for logits of any size."""
    return F.log_softmax(logits.double(), dim=-1)


def check_probabilities(name: str, P: Tensor) -> None:
    """Check that probabilities are at least 0 and sum to 1 over the last dimension.

    Raises:
        ValueError: they do not.
    """
    if (P < 0).any() or (abs(P.sum(dim=-1) - 1) > MAX_ROUNDING_ERROR).any():
        raise ValueError(f"{name} has negative probabilities, or some that do not sum to 1")


class Model(nn.Module):
    """A model of the next symbol, given the symbols before it.

    Its sizes are the shapes of its tensors, so that a stored model needs nothing else to be read
    back. It uses the last `block_size` symbols of a context, which may be longer.
    """

    name: ClassVar[str]  # as in data/models/NAME.safetensors
    stage: ClassVar[str]  # the stage that trains and stores it
    components: ClassVar[tuple[type["Model"], ...]] = ()  # the models that it is composed of
    block_size: int = 1

    def __init__(self, symbols: int) -> None:
        """Prepare a model of a vocabulary of this size."""
        super().__init__()
        self.symbols = symbols

    def forward(self, contexts: Tensor) -> Tensor:
        """Return the logits of the next symbol.

        Args:
            contexts: (rows, at least block size), int64.

        Returns:
            (rows, symbols), float32 or float64.
        """
        raise NotImplementedError

    @classmethod
    def shaped_like(cls, tensors: dict[str, Tensor], symbols: int, *components: "Model") -> Self:
        """Return a model with the sizes of stored tensors; their values are assigned afterwards.

        Raises:
            ValueError, LookupError, ZeroDivisionError: such a model has other tensors.
        """
        return cls(symbols)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], symbols: int, *components: "Model") -> Self:
        """Return the model that has these tensors.

        Raises:
            ValueError: they are not the tensors of such a model of this vocabulary.
        """
        try:
            with torch.device("meta"):  # no memory: the stored tensors take the place of these
                model = cls.shaped_like(tensors, symbols, *components)
        except (LookupError, ZeroDivisionError):
            raise ValueError(f"not the tensors of {cls.name}: {', '.join(tensors)}") from None
        for key, expected in model.state_dict().items():
            if key in tensors and tensors[key].dtype != expected.dtype:
                raise ValueError(f"{key} is {tensors[key].dtype}, not {expected.dtype}")
        try:
            model.load_state_dict(tensors, assign=True)
        except RuntimeError as error:  # names missing, unexpected and wrongly shaped tensors
            reason = " ".join(str(error).partition(":")[2].split())
            raise ValueError(f"not {cls.name} for {symbols} symbols: {reason}") from None
        model.check_values()
        return model.requires_grad_(False)

    def check_values(self) -> None:
        """Check what tensors of the right shapes can still get wrong.

        Raises:
            ValueError: no training stores such values.
        """

    @classmethod
    def load(cls, symbols: int, *components: "Model") -> Self:
        """Read the trained model.

        Args:
            symbols: size of the vocabulary.
            components: the models that it is composed of, already read.

        Raises:
            InputError: the file is missing or damaged, or belongs to another vocabulary.
        """
        path = model_path(cls.name)
        arrays = read_tensors(path, cls.stage)
        tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
        try:
            return cls.from_tensors(tensors, symbols, *components)
        except ValueError as error:
            raise damaged(path, str(error).replace("torch.", ""), cls.stage) from None

    def arrays(self) -> Arrays:
        """Return the tensors as they are stored."""
        return {key: tensor.numpy() for key, tensor in self.state_dict().items()}
