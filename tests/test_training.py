"""What the training of any network uses, worked out by hand."""

import hashlib
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Generator, Tensor, nn

from charlm.core.errors import InputError
from charlm.tables import parse_rows
from charlm.training import (
    Curve,
    History,
    check_finite,
    dropout,
    evenly_spaced,
    learning_rate,
    load_start,
    lowest,
    thinned,
)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1] * 10),
        ("step_decay", [1] * 5 + [0.1] * 5),
        (
            "one_cycle",
            [0.5, 1, 0.969846, 0.883022, 0.75, 0.586824, 0.413176, 0.25, 0.116978, 0.030154],
        ),
        (
            "cosine",
            [
                1,
                0.975528,
                0.904508,
                0.793893,
                0.654508,
                0.5,
                0.345492,
                0.206107,
                0.095492,
                0.024472,
            ],
        ),
    ],
)
def test_learning_rates_of_ten_steps(schedule: str, expected: list[float]):
    assert [learning_rate(step, 1.0, 10, schedule) for step in range(10)] == pytest.approx(
        expected, abs=1e-6
    )


def test_learning_rate_rises_linearly_over_a_tenth_of_the_steps():
    assert [learning_rate(step, 3.0, 20, "one_cycle") for step in range(3)] == pytest.approx(
        [1, 2, 3]
    )


def test_learning_rate_of_parts_changes_at_their_steps():
    parts = [(2, 0.05), (4, 0.2), (5, 0.01)]
    rates = [learning_rate(step, 0.1, 6, "parts", parts) for step in range(6)]
    assert rates == [0.1, 0.1, 0.05, 0.05, 0.2, 0.01]
    assert learning_rate(5, 0.1, 6, "constant", parts) == 0.1


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 100])
@pytest.mark.parametrize("schedule", ["constant", "step_decay", "one_cycle", "cosine"])
def test_every_number_of_steps_has_rates_above_zero(schedule: str, steps: int):
    rates = [learning_rate(step, 0.5, steps, schedule) for step in range(steps)]
    assert all(0 < rate <= 0.5 for rate in rates)
    assert max(rates) == pytest.approx(0.5, rel=0.1) or steps < 10


def test_dropout_zeroes_a_share_and_keeps_the_mean():
    drop = dropout(0.25, Generator().manual_seed(1))
    x = torch.full((300, 300), 3.0)
    dropped = drop(x)
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    # the binomial standard deviation of the share is 0.0014
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.006)
    assert not torch.equal(drop(x), dropped)
    assert torch.equal(dropout(0.25, Generator().manual_seed(1))(x), dropped)


def test_dropout_keeps_a_unit_whose_draw_is_the_share():
    # draws are from 0 to below 1, so that exactly this share of them is below the share
    share = torch.rand(1, generator=Generator().manual_seed(1)).item()
    drop = dropout(share, Generator().manual_seed(1))
    assert drop(torch.ones(1)).item() == pytest.approx(1 / (1 - share))


def test_no_dropout_draws_nothing():
    generator = Generator().manual_seed(1)
    assert dropout(0.0, generator) is None
    assert torch.equal(generator.get_state(), Generator().manual_seed(1).get_state())


@pytest.mark.parametrize(
    ("last", "points", "expected"),
    [
        (0, 5, {0}),
        (1, 5, {0, 1}),
        (9, 2, {0, 9}),
        (4, 5, {0, 1, 2, 3, 4}),
        (10, 3, {0, 5, 10}),
        (2399, 101, None),
    ],
)
def test_evenly_spaced_steps_include_both_ends(last: int, points: int, expected: set[int] | None):
    found = evenly_spaced(last, points)
    assert found == expected or (expected is None and len(found) == points and {0, last} <= found)


def test_curve_is_thinned_to_evenly_spaced_steps_and_the_lowest():
    curve = [(step, 3.0 - (step == 13)) for step in range(201)]
    assert [step for step, _ in thinned(curve, last=200)] == [
        0,
        10,
        13,
        *range(20, 201, 10),
    ]
    so_far = [(0, 3.0), (5, 2.2), (10, 2.3), (15, 2.4)]
    assert thinned(so_far, last=200) == [(0, 3.0), (5, 2.2), (10, 2.3)]
    few = [(step, float(step)) for step in range(6)]
    assert thinned(few, last=5) == few
    assert thinned([], last=5) == []


def test_first_of_several_lowest_points_is_the_lowest():
    assert lowest([(0, 2.0), (5, 1.0), (10, 1.0)]) == (5, 1.0)


@pytest.mark.parametrize(
    ("curve", "keep", "expected"),
    [
        ([], "last", ""),
        ([(0, 3.3), (10, 2.1)], "last", ", 2.1000 on dev (the lowest)"),
        (
            [(0, 3.3), (1_000, 2.1), (2_000, 2.4)],
            "last",
            (
                ", 2.4000 on dev (lowest after step 1,000: 2.1000; to keep that: "
                "mlp.keep=best_on_dev)"
            ),
        ),
        (
            [(0, 3.3), (1_000, 2.1), (2_000, 2.4)],
            "best_on_dev",
            ", 2.1000 on dev (kept: after step 1,000, the lowest)",
        ),
        ([(0, 3.3), (10, -0.0)], "last", ", 0.0000 on dev (the lowest)"),
        ([(0, -0.0), (10, 3.3)], "best_on_dev", ", 0.0000 on dev (kept: after step 0, the lowest)"),
    ],
)
def test_lowest_loss_on_dev_is_printed_with_its_step(curve: Curve, keep: str, expected: str):
    history = History("mlp", 2_000, keep, has_dev=True)
    history.dev = curve
    assert history.describe_dev() == expected


def test_messages_and_files_have_the_name_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(InputError) as error:
        check_finite(torch.tensor(torch.nan), "gru", step=3, lr=0.5, schedule="cosine")
    line = "train_gru: the loss is nan at step 3; lower gru.lr, now 0.5"
    assert str(error.value) == line
    with pytest.raises(InputError) as error:
        check_finite(torch.tensor(torch.nan), "gru", step=3, lr=0.5, schedule="parts")
    assert str(error.value) == f"{line}, or the rates of gru.parts"
    with pytest.raises(InputError, match=r"train_gru: dev is empty; .* set gru.keep to last"):
        History("gru", 10, "best_on_dev", has_dev=False)
    history = History("gru", 10, "last", has_dev=True)
    history.dev = [(0, 3.0), (5, 1.0), (10, 2.0)]
    assert history.describe_dev().endswith("to keep that: gru.keep=best_on_dev)")
    monkeypatch.chdir(tmp_path)
    history.write()
    rows = parse_rows(Path("plots/gru.csv").read_bytes())
    assert [(row["split"], row["step"]) for row in rows] == [
        ("dev", "0"),
        ("dev", "5"),
        ("dev", "10"),
    ]


class Scale(nn.Module):
    """A network of two parameters and a number that says which kind it is."""

    def __init__(self) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.zeros(2))
        self.register_buffer("kind", torch.tensor(1))


W, KIND = torch.tensor([1.5, 2.5]), torch.tensor(1)


def stored(folder: Path, **tensors: Tensor) -> tuple[Path, str]:
    path = folder / "start.safetensors"
    path.write_bytes(safetensors.torch.save(tensors))
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_training_goes_on_from_the_tensors_of_a_file(tmp_path: Path):
    model = Scale()
    load_start(model, "gru", *stored(tmp_path, W=W, kind=KIND))
    assert model.W.tolist() == [1.5, 2.5]
    assert model.W.requires_grad


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"kind": KIND}, "W is missing"),
        ({"W": W, "kind": KIND, "b": W.clone()}, "b is unknown"),
        ({"W": W[:1], "kind": KIND}, "W is float32 (1,), not float32 (2,)"),
        ({"W": W.double(), "kind": KIND}, "W is float64 (2,), not float32 (2,)"),
        ({"W": W / 0, "kind": KIND}, "W is not finite"),
        ({"W": W, "kind": torch.tensor(2)}, "kind is 2, not 1"),
        ({"kind": torch.tensor(2)}, "W is missing, kind is 2, not 1"),
    ],
)
def test_start_of_another_shape_is_refused(
    tmp_path: Path, tensors: dict[str, Tensor], problem: str
):
    model = Scale()
    path, sha256 = stored(tmp_path, **tensors)
    with pytest.raises(InputError) as error:
        load_start(model, "gru", path, sha256)
    line = f"train_gru: gru.start_from: {path}: does not fit the settings: {problem}; change the "
    assert str(error.value).startswith(line)
    assert model.W.tolist() == [0, 0]


def test_start_of_another_content_is_refused_with_its_hash(tmp_path: Path):
    path, sha256 = stored(tmp_path, W=W, kind=KIND)
    for expected, shown in ((None, "(none given)"), ("0" * 64, "0" * 64)):
        with pytest.raises(InputError) as error:
            load_start(Scale(), "gru", path, expected)
        assert str(error.value) == (
            f"train_gru: gru.start_from: {path}: expected sha256 {shown}, got {sha256}; if this is "
            "the model to go on from, set gru.start_from_sha256 to that"
        )


def test_start_that_is_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("hello")
    sha256 = hashlib.sha256(b"hello").hexdigest()
    for path, problem in {
        "text": "not a safetensors file (",
        "missing": "No such file or directory; give a file",
        ".": "",
        "data/models/gru.safetensors": "this stage replaces that file; give it a copy",
        str(tmp_path / "data/models/gru.safetensors"): "this stage replaces that file",
    }.items():
        with pytest.raises(InputError, match=f"gru.start_from: {path}: {re.escape(problem)}"):
            load_start(Scale(), "gru", Path(path), sha256)
