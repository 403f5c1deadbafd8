"""Files that plot_mlp reads and that are not what their stage writes."""

import json
from pathlib import Path

import pytest

from charlm.errors import InputError
from stages.plot_mlp import read_curve, read_planes

PLANE = {"axes": ["x", "y"], "places": [[0.0, 1.0], [2.0, 3.0]]}


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


def test_curve_of_an_empty_dev_split_has_no_rows(tmp_path: Path):
    path = tmp_path / "mlp_dev.csv"
    path.write_text("step,nll\n")
    curve = read_curve(path, ("step", "nll"), "train_mlp", may_be_empty=True)
    assert {name: column.shape for name, column in curve.items()} == {"step": (0,), "nll": (0,)}


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


@pytest.mark.parametrize("may_be_empty", [False, True])
@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"step\n1\n", b"step,nll\n0,1,2\n", b"step,nll\n0,a\n"]
)
def test_damaged_curve_is_refused_with_its_stage(
    tmp_path: Path, content: bytes, may_be_empty: bool
):
    path = tmp_path / "curve.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a curve with step, nll; train_mlp writes it"):
        read_curve(path, ("step", "nll"), "train_mlp", may_be_empty)


def test_curve_without_rows_is_refused(tmp_path: Path):
    path = tmp_path / "curve.csv"
    path.write_text("step,nll\n")
    with pytest.raises(InputError, match="not a curve with step, nll; train_mlp writes it"):
        read_curve(path, ("step", "nll"), "train_mlp")
