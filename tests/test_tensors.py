import math
from pathlib import Path

import numpy as np
import pytest

from charlm.core.errors import InputError
from charlm.data import tensors
from tests.conftest import posix


def test_tensors_come_back_with_dtype_and_shape_and_the_same_bytes(tmp_path: Path):
    written = {
        "b": np.arange(6, dtype=np.uint8).reshape(2, 3)[:, ::-1],
        "a": np.array([0.1]),
        "none": np.empty((0, 3), dtype=np.uint16),
        "scalar": np.array(0.5),
    }
    tensors.write_tensors(tmp_path / "one", written)
    tensors.write_tensors(tmp_path / "two", dict(reversed(written.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = tensors.read_tensors(tmp_path / "one", "train")
    assert found.keys() == written.keys()
    for name, tensor in found.items():
        assert tensor.dtype == written[name].dtype
        assert tensor.shape == written[name].shape
        np.testing.assert_array_equal(tensor, written[name])


def test_tensors_that_are_not_finite_are_not_written(tmp_path: Path):
    for value in (math.nan, math.inf):
        with pytest.raises(
            InputError, match=r"mlp: not written: b is not finite; lower the learning rate$"
        ):
            tensors.write_tensors(tmp_path / "mlp", {"a": np.zeros(1), "b": np.array([value])})
    assert list(tmp_path.iterdir()) == []


@posix
def test_file_that_cannot_be_opened_is_not_called_missing(tmp_path: Path):
    loop = tmp_path / "mlp"
    loop.symlink_to(loop)
    with pytest.raises(InputError, match=r"mlp: Too many levels of symbolic links$"):
        tensors.read_tensors(loop, "train_mlp")


def test_missing_file_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"mlp: not found$"):
        tensors.read_tensors(tmp_path / "mlp", "train_mlp")
