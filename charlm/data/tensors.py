"""Named tensors as safetensors files: the same tensors always give the same bytes."""

from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from charlm.core.errors import InputError
from charlm.core.storage import atomic_write, damaged, missing

Arrays = dict[str, np.ndarray]


def read_tensors(path: Path, stage: str) -> Arrays:
    """Return the named tensors of a safetensors file.

    Args:
        path: of the file.
        stage: the stage that writes it.

    Raises:
        InputError: there is no such file, it cannot be read, it is truncated or of another kind,
            or it contains NaN or infinity.
    """
    try:
        path.open("rb").close()  # load_file calls every file that it cannot open "not found"
        tensors = safetensors.numpy.load_file(path)
    except (SafetensorError, TypeError) as error:
        raise damaged(path, f"not a whole safetensors file ({error})", stage) from None
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise damaged(path, f"{name} is not finite", stage)
    return tensors


def write_tensors(path: Path, tensors: Arrays) -> None:
    """Write named tensors.

    Raises:
        InputError: a tensor contains NaN or infinity.
    """
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise InputError(f"{path}: not written: {name} is not finite; lower the learning rate")
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        safetensors.numpy.save_file(contiguous, temporary)
