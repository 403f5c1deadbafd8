"""Files that plot_mlp reads and that are not what their stage writes."""

import json
from pathlib import Path

import numpy as np
import pytest

from charlm.core.errors import InputError
from stages.plot_mlp import read_curve, read_losses, read_planes

PLANE = {"axes": ["x", "y"], "places": [[0.0, 1.0], [2.0, 3.0]]}


def lists_of(losses: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, list[float]]]:
    return {
        split: {name: column.tolist() for name, column in curve.items()}
        for split, curve in losses.items()
    }


def test_places_and_curve_are_read(tmp_path: Path):
    path = tmp_path / "embedding.json"
    path.write_text(json.dumps({"before": PLANE, "after": PLANE}))
    assert read_planes(path, symbols=2) == {"before": PLANE, "after": PLANE}
    path = tmp_path / "curve.csv"
    path.write_text("exponent,lr,nll,smoothed_nll\n-1,0.1,3,4\n0,1,5,6\n")
    curve = read_curve(path, ("lr", "exponent"), "find_learning_rate")
    assert {name: column.tolist() for name, column in curve.items()} == {
        "lr": [0.1, 1],
        "exponent": [-1, 0],
    }


def test_losses_are_read_by_split_and_those_of_an_empty_dev_split_have_no_rows(tmp_path: Path):
    path = tmp_path / "mlp.csv"
    path.write_text("split,step,nll\ntrain,0,3.5\ntrain,1,2.5\ndev,0,3.25\n")
    assert lists_of(read_losses(path)) == {
        "train": {"step": [0, 1], "nll": [3.5, 2.5]},
        "dev": {"step": [0], "nll": [3.25]},
    }
    path.write_text("split,step,nll\ntrain,0,3.5\n")
    assert lists_of(read_losses(path)) == {
        "train": {"step": [0], "nll": [3.5]},
        "dev": {"step": [], "nll": []},
    }


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "a table with split"),
        (b"step,nll\n0,1\n", "a table with split"),
        (b"split,step,nll\n", "a table with split"),
        (b"split,step\ntrain,0\n", "a table with step, nll"),
        (b"split,step,nll\ntrain,0,a\n", "a curve with step, nll"),
    ],
)
def test_damaged_losses_are_refused_with_their_stage(tmp_path: Path, content: bytes, problem: str):
    path = tmp_path / "mlp.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"not {problem}; train_mlp writes it"):
        read_losses(path)


@pytest.mark.parametrize(
    "planes",
    [
        [],
        {},
        {"before": {}},
        {"before": PLANE | {"axes": ["x"]}},
        {"before": PLANE | {"places": [[0.0, 1.0]]}},
        {"before": PLANE | {"places": [[0.0, 1.0], [2.0]]}},
        {"before": PLANE | {"places": "ab"}},
    ],
)
def test_damaged_places_are_refused_with_their_stage(tmp_path: Path, planes: object):
    path = tmp_path / "embedding.json"
    path.write_text(json.dumps(planes))
    with pytest.raises(InputError, match=r"not the places of 2 symbols .*; train_mlp writes it"):
        read_planes(path, symbols=2)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "table"),
        (b"\xff", "table"),
        (b"step\n1\n", "table"),
        (b"step,nll\n0,1,2\n", "table"),
        (b"step,nll\n0,1\n1\n", "table"),
        (b"step,nll\n0,a\n", "curve"),
        (b"step,nll\n", "table"),  # no rows
    ],
)
def test_damaged_curve_is_refused_with_its_stage(tmp_path: Path, content: bytes, what: str):
    path = tmp_path / "curve.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"not a {what} with step, nll; train_mlp writes it"):
        read_curve(path, ("step", "nll"), "train_mlp")
