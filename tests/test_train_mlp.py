import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from charlm.core.errors import InputError
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.networks.mlp import MLP
from charlm.params import Mlp
from charlm.tables import parse_rows
from charlm.training import Curve, History, lowest
from stages import train_mlp
from stages.train_mlp import Examples
from tests.conftest import SETTINGS, limit_memory, run_stages

VOCABULARY = Vocabulary.of([".", *"abcdefghijklmnopqrstuvwxyz"])
LECTURE = {
    "seed": 2147483647,
    "embedding": 2,
    "hidden": 100,
    "init": "normal",
    "optimizer": "sgd",
    "schedule": "constant",
    "lr": 0.1,
    "weight_decay": 0.0,
    "steps": 1000,
    "batch_size": None,
    "targets": "drawn",
}


def settings(**changes: object) -> Mlp:
    return SETTINGS.mlp.model_copy(update=LECTURE | changes)


def examples(*names: str, block_size: int = 3) -> Examples:
    return Examples.of(build_examples(list(names), VOCABULARY, block_size), 27)


def rows(some: Examples) -> torch.Tensor:
    """The context of each example, (examples, block size)."""
    return some.contexts[some.inverse]


def start(embedding: int, hidden: int, seed: int) -> MLP:
    model = MLP(27, 3, embedding, hidden)
    model.initialise("normal", Generator().manual_seed(seed))
    return model


def train(some: Examples, dev: Examples, chosen: Mlp) -> tuple[MLP, Curve, Curve]:
    generator = Generator().manual_seed(chosen.seed)
    model = MLP(27, 3, chosen.embedding, chosen.hidden)
    model.initialise(chosen.init, generator)
    history = train_mlp.train(model, some, dev, chosen, generator)
    return model, history.train, history.dev


def same_parameters(one: MLP, other: MLP) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_full_loss_is_the_mean_over_all_examples():
    some = examples("emma", "emma", "ava", "olivia")
    assert len(some.contexts) < len(some.targets) == 5 + 5 + 4 + 7
    model = start(2, 10, seed=1)
    expected = F.cross_entropy(model(rows(some)), some.targets)
    assert train_mlp.full_loss(model, some).item() == pytest.approx(expected.item(), rel=1e-6)


def test_drawn_targets_are_those_of_the_rows_drawn():
    drawn_batch = settings(batch_size=50, targets="drawn")
    some = examples("emma", "emma", "ava", "olivia")
    model = start(2, 10, seed=1)
    loss = train_mlp.batch_loss(model, some, drawn_batch, Generator().manual_seed(2))
    drawn = torch.randint(21, (50,), generator=Generator().manual_seed(2))
    logits = model(rows(some)[drawn])
    expected = F.cross_entropy(logits, some.targets[drawn])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_expected_targets_are_all_that_follow_the_contexts_drawn():
    drawn_batch, expected_batch = (
        settings(batch_size=50, targets=targets) for targets in ("drawn", "expected")
    )
    some = examples("emma", "emma", "ava", "olivia")
    model = start(2, 10, seed=1)
    loss = train_mlp.batch_loss(model, some, expected_batch, Generator().manual_seed(2))
    drawn = torch.randint(21, (50,), generator=Generator().manual_seed(2))
    each = F.cross_entropy(model(rows(some)), some.targets, reduction="none")
    # in place of the loss of a row drawn, the mean over all rows with its context
    same = some.inverse.unsqueeze(0) == some.inverse[drawn].unsqueeze(1)
    expected = ((same * each).sum(dim=1) / same.sum(dim=1)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    others = train_mlp.batch_loss(model, some, drawn_batch, Generator().manual_seed(2))
    assert loss.item() != others.item()


def test_reference_five_names_overfitted(names: list[str]):
    some = examples(*names[:5])
    model, curve, dev_curve = train(some, examples(), settings())
    assert curve[0] == (0, pytest.approx(17.7697, abs=5e-5))
    assert train_mlp.full_loss(model, some).item() == pytest.approx(0.2561, abs=5e-4)
    assert dev_curve == []
    # the most probable symbol is wrong at four of the five first letters, and nowhere else
    guesses = model(rows(some)).argmax(dim=1)
    wrong = rows(some)[guesses != some.targets]
    assert wrong.shape == (4, 3)
    assert not wrong.any()


def test_one_name_is_learned_by_heart():
    # each of its contexts is followed by one character only, so the loss can fall to 0
    some = examples("anton")
    model, _, dev_curve = train(some, some, settings(hidden=20, steps=500))
    assert dev_curve[-1][1] < 0.02
    assert torch.equal(model(rows(some)).argmax(dim=1), some.targets)


def test_one_step_of_sgd_by_hand():
    some, chosen = examples("emma", "ava"), settings(steps=1, hidden=5, weight_decay=0.1)
    trained, curve, _ = train(some, examples(), chosen)
    before = start(2, 5, chosen.seed)
    loss = F.cross_entropy(before(rows(some)), some.targets)
    loss.backward()
    assert curve == [(0, pytest.approx(loss.item()))]
    for name, tensor in before.named_parameters():
        moved = tensor - 0.1 * (tensor.grad + 0.1 * tensor)
        assert torch.allclose(trained.get_parameter(name), moved, atol=1e-6), name


def test_first_step_of_adamw_by_hand():
    # after one step the moments cancel: each parameter moves by lr against its gradient's sign
    some = examples("emma", "ava")
    chosen = settings(optimizer="adamw", steps=1, hidden=5, lr=0.01, weight_decay=0.5)
    trained, _, _ = train(some, examples(), chosen)
    before = start(2, 5, chosen.seed)
    train_mlp.full_loss(before, some).backward()
    for name, tensor in before.named_parameters():
        moved = tensor * (1 - 0.01 * 0.5) - 0.01 * tensor.grad.sign()
        clear = tensor.grad.abs() > 1e-4
        assert clear.any()
        assert torch.allclose(trained.get_parameter(name)[clear], moved[clear], atol=1e-5), name


def test_steps_at_a_rate_of_a_part_are_those_of_a_training_at_that_rate():
    # one step at 0.1, two at 0.4; gradients of all examples depend on nothing else
    some, none = examples("emma", "ava"), examples()
    changes = {"schedule": "parts", "parts": [(1, 0.4)], "steps": 3, "hidden": 5}
    in_parts, _, _ = train(some, none, settings(**changes))
    model, _, _ = train(some, none, settings(steps=1, hidden=5))
    train_mlp.train(model, some, none, settings(steps=2, lr=0.4), Generator())
    assert same_parameters(in_parts, model)


@pytest.mark.parametrize("targets", ["drawn", "expected"])
def test_every_example_is_drawn(targets: str):
    # of two examples with nothing in common, a batch without the last has another loss
    some, chosen = examples("ab"), settings(batch_size=100_000, targets=targets)
    model = start(2, 10, seed=1)
    loss = train_mlp.batch_loss(model, some, chosen, Generator().manual_seed(1))
    assert loss.item() == pytest.approx(train_mlp.full_loss(model, some).item(), rel=0.02)


def test_batches_depend_only_on_the_seed():
    some, chosen = examples("emma", "ava", "olivia"), settings(steps=5, batch_size=4, hidden=5)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = train(some, examples("ava"), chosen)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    second = train(some, examples("ava"), chosen)
    other = train(some, examples("ava"), settings(steps=5, batch_size=4, hidden=5, seed=3))
    assert first[1] == second[1]
    assert same_parameters(first[0], second[0])
    assert first[1] != other[1]


def test_curves_include_first_and_last_step():
    _, curve, dev_curve = train(
        examples("emma"), examples("ava"), settings(steps=700, hidden=3, batch_size=2)
    )
    assert (curve[0][0], curve[-1][0], len(curve)) == (0, 699, 21)
    assert (dev_curve[0][0], dev_curve[-1][0], len(dev_curve)) == (0, 700, 21)


def test_stage_writes_a_thinned_curve_of_dev(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    changes = {"split.seed": None, "split.train": 0.5, "split.dev": 0.5, "mlp.hidden": 3}
    changes |= {"mlp.steps": 200, "mlp.keep": "best_on_dev"}  # so dev is measured after each step
    run_stages(tmp_path, b"ab\nb\n", changes, ["fetch", "split", "build_contexts", "train_mlp"])
    kept = re.search(r"\(kept: after step (\d+)", capsys.readouterr().out)
    assert kept
    rows = parse_rows((tmp_path / "plots/mlp.csv").read_bytes())
    steps = [int(row["step"]) for row in rows if row["split"] == "dev"]
    assert steps == sorted({*range(0, 201, 10), int(kept[1])})


@pytest.mark.parametrize(("keep", "points"), [("last", 21), ("best_on_dev", 201)])
def test_training_is_watched_whenever_the_loss_on_dev_is_measured(keep: str, points: int):
    some, dev = examples("emma"), examples("ava")
    chosen = settings(steps=400, hidden=3, batch_size=2, keep=keep)
    generator = Generator().manual_seed(chosen.seed)
    model = start(chosen.embedding, chosen.hidden, chosen.seed)
    seen: list[tuple[Curve, Curve]] = []

    def watch(history: History) -> None:
        # the loss of this moment, of the model as it is now
        assert history.dev[-1][1] == train_mlp.full_loss(model, dev).item()
        seen.append((history.train[:], history.dev[:]))

    history = train_mlp.train(model, some, dev, chosen, generator, watch)
    curve, dev_curve = history.train, history.dev
    # the last measurement is in what is returned
    assert [len(seen_dev) for _, seen_dev in seen] == list(range(1, points))
    assert len(dev_curve) == points
    for seen_curve, seen_dev in seen:
        step, _ = seen_dev[-1]
        assert seen_dev == dev_curve[: len(seen_dev)]
        assert seen_curve == [point for point in curve if point[0] < step]
    assert seen[0][0] == []
    assert seen[-1][0] != []


def test_training_without_dev_is_not_watched():
    seen: list[History] = []
    model, chosen = start(2, 5, seed=1), settings(steps=3)
    train_mlp.train(
        model,
        examples("emma"),
        examples(),
        chosen,
        Generator(),
        seen.append,
    )
    assert seen == []


def test_curves_can_be_read_while_the_stage_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measured_loss = train_mlp.measured_loss
    seen: list[list[tuple[str, str]]] = []

    def look_and_measure(*arguments: Any) -> float:
        path = Path("plots/mlp.csv")
        rows = parse_rows(path.read_bytes()) if path.exists() else []
        seen.append([(row["split"], row["step"]) for row in rows])
        assert all(float(row["nll"]) > 0 for row in rows)
        return measured_loss(*arguments)

    monkeypatch.setattr(train_mlp, "measured_loss", look_and_measure)
    changes = {"split.seed": None, "split.train": 0.5, "split.dev": 0.5, "mlp.steps": 3}
    run_stages(tmp_path, b"ab\nb\n", changes, ["fetch", "split", "build_contexts", "train_mlp"])
    trained_twice = [("train", "0"), ("train", "1"), ("dev", "0"), ("dev", "1"), ("dev", "2")]
    assert seen == [
        [],
        [("dev", "0")],
        [("train", "0"), ("dev", "0"), ("dev", "1")],
        trained_twice,  # when the loss on dev is measured after the last step
        trained_twice,  # and that on train
    ]
    rows = parse_rows((tmp_path / "plots/mlp.csv").read_bytes())
    assert [(row["split"], row["step"]) for row in rows] == [
        *(("train", str(step)) for step in range(3)),
        *(("dev", str(step)) for step in range(4)),
    ]


def test_stored_model_can_be_trained_further():
    some, chosen = examples("emma", "ava"), settings(steps=1)
    model, _, _ = train(some, examples(), chosen)
    before = train_mlp.full_loss(model, some).item()
    again = MLP(27, 3, chosen.embedding, chosen.hidden)
    again.load_state_dict({key: torch.from_numpy(array) for key, array in model.arrays().items()})
    again.requires_grad_(False)
    train_mlp.train(again, some, examples(), chosen, Generator())
    assert train_mlp.full_loss(again, some).item() < before


def test_stage_goes_on_from_a_copy_of_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    # gradients of all examples depend on nothing but the parameters: 2 steps and 3 are 5
    names = ["fetch", "split", "build_contexts", "train_mlp"]
    changes = {"split.seed": None, "split.train": 0.5, "split.dev": 0.5, "mlp.hidden": 3}
    changes |= {"mlp.optimizer": "sgd", "mlp.schedule": "constant", "mlp.batch_size": None}
    model, copy = tmp_path / "data/models/mlp.safetensors", tmp_path / "start.safetensors"
    run_stages(tmp_path, b"ab\nb\n", changes | {"mlp.steps": 5}, names)
    expected = model.read_bytes()
    run_stages(tmp_path, b"ab\nb\n", changes | {"mlp.steps": 2}, names)
    assert model.read_bytes() != expected
    copy.write_bytes(model.read_bytes())
    changes |= {"mlp.steps": 3, "mlp.seed": 1, "mlp.start_from": copy.name}
    changes["mlp.start_from_sha256"] = hashlib.sha256(copy.read_bytes()).hexdigest()
    run_stages(tmp_path, b"ab\nb\n", changes, names)
    assert model.read_bytes() == expected
    assert "parameters, 3 steps from start.safetensors: nll" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"start.safetensors: does not fit .*: W1 is float32"):
        run_stages(tmp_path, b"ab\nb\n", changes | {"mlp.hidden": 4}, names)
    with pytest.raises(InputError, match=r"does not fit the settings: direct is missing; change"):
        run_stages(tmp_path, b"ab\nb\n", changes | {"mlp.direct": True}, names)


def test_divergence_names_the_rate():
    with pytest.raises(
        InputError, match=r"train_mlp: the loss is nan at step \d+; lower mlp.lr, now 1e\+30"
    ):
        train(examples("emma"), examples("ava"), settings(lr=1e30))


def test_divergence_in_the_very_last_step_is_found_without_dev():
    some, none = examples("emma", "ava"), examples()
    with pytest.raises(InputError, match=r"a parameter is (inf|nan) at step 1; lower mlp\.lr"):
        train(some, none, settings(steps=1, lr=1e39))


@pytest.mark.parametrize("batch_size", [None, 8])
def test_dropout_is_only_used_in_training(batch_size: int | None):
    some = examples("emma", "ava", "olivia")
    chosen = settings(hidden=50, steps=30, dropout=0.5, batch_size=batch_size)
    model, curve, dev_curve = train(some, some, chosen)
    again, same, _ = train(some, some, chosen)
    other, _, _ = train(some, some, chosen.model_copy(update={"dropout": 0.0}))
    assert curve == same
    assert same_parameters(model, again)
    assert not torch.equal(model.W1, other.W1)
    # the loss on dev is computed without dropout
    last = train_mlp.full_loss(model, some).item()
    assert dev_curve[-1][1] == pytest.approx(last, abs=1e-6)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_parameters_of_the_lowest_loss_on_dev_are_kept(batch_size: int | None):
    some, dev = examples("emma", "ava"), examples("amy", "eve")
    chosen = settings(hidden=20, steps=400, batch_size=batch_size, dropout=0.1)
    last, curve, last_curve = train(some, dev, chosen)
    best, same, best_curve = train(some, dev, chosen.model_copy(update={"keep": "best_on_dev"}))
    assert curve == same
    # the loss on dev falls, then rises
    step, lowest = min(best_curve, key=lambda point: point[1])
    assert 0 < step < 400
    assert lowest + 0.1 < best_curve[-1][1]
    assert train_mlp.full_loss(best, dev).item() == lowest
    assert not any(parameter.requires_grad for parameter in best.parameters())
    # `last` has the end of the same training, with or without dev
    assert train_mlp.full_loss(last, dev).item() == last_curve[-1][1] == best_curve[-1][1]
    assert same_parameters(last, train(some, examples(), chosen)[0])
    assert (len(last_curve), len(best_curve)) == (21, 201)
    assert set(last_curve) <= set(best_curve)


def test_last_step_is_kept_where_it_is_the_lowest():
    some = examples("emma")
    chosen = settings(hidden=20, steps=30)
    last, _, _ = train(some, some, chosen)
    best, _, curve = train(some, some, chosen.model_copy(update={"keep": "best_on_dev"}))
    assert lowest(curve)[0] == 30
    assert same_parameters(best, last)


def test_first_step_is_kept_where_it_is_the_lowest():
    # from a uniform guess, to names that have nothing in common with those of dev
    changes = {"init": "scaled", "hidden": 5, "optimizer": "adamw", "lr": 10.0}
    chosen = settings(steps=3, keep="best_on_dev", **changes)
    best, _, curve = train(examples("zz"), examples("emma"), chosen)
    assert lowest(curve)[0] == 0
    before = MLP(27, 3, 2, 5)
    before.initialise("scaled", Generator().manual_seed(chosen.seed))
    assert same_parameters(best, before)


def test_best_step_without_dev_names_is_refused():
    with pytest.raises(InputError) as error:
        train(examples("emma"), examples(), settings(keep="best_on_dev"))
    assert str(error.value) == ("train_mlp: dev is empty; raise split.dev, or set mlp.keep to last")


@pytest.mark.parametrize("max_cells", [1, 27 * 3, 27 * 7])
def test_loss_does_not_depend_on_the_size_of_groups(
    monkeypatch: pytest.MonkeyPatch, max_cells: int
):
    some, model = examples("emma", "ava", "olivia"), start(2, 10, seed=1)
    expected = train_mlp.full_loss(model, some)
    expected.backward()
    gradient = model.W1.grad.clone()
    model.zero_grad()
    monkeypatch.setattr(train_mlp, "MAX_CELLS", max_cells)
    found = train_mlp.full_loss(model, some)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(model.W1.grad, gradient)


def test_table_of_shares_by_hand():
    # .a twice, then n and v; an and av, na, va; a. twice: contexts of one symbol
    some = examples("ana", "ava", block_size=1)
    assert some.contexts.flatten().tolist() == [0, 1, 14, 22]
    table = some.shares.dense(np.array([3, 1, 0]))
    assert table.shape == (3, 27)
    assert table.dtype == np.float32
    shares = {(row, symbol): table[row, symbol] for row, symbol in np.argwhere(table).tolist()}
    assert shares == {
        (0, 1): 0.125,
        (1, 0): 0.25,
        (1, 14): 0.125,
        (1, 22): 0.125,
        (2, 1): 0.25,
    }


def test_deeper_gelu_model_learns_five_names_by_heart():
    some = examples("emma", "olivia", "ava", "isabella", "sophia")
    chosen = settings(optimizer="adamw", schedule="cosine", lr=0.01, steps=300)
    generator = Generator().manual_seed(1)
    model = MLP(27, 3, 4, 30, layers=2, activation="gelu")
    model.initialise("scaled", generator)
    train_mlp.train(model, some, examples(), chosen, generator)
    # 5 ln 5 / 32 is the least that any model can reach
    assert train_mlp.full_loss(model, some).item() == pytest.approx(0.2515, abs=0.005)
    assert model.arrays()["activation"] == 1


@pytest.mark.parametrize(("content", "direct"), [(b"ab\nb\n", False), (b"b\nab\n", True)])
def test_memory_is_estimated_from_the_larger_of_train_and_dev(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, direct: bool
):
    changes = {"split.seed": None, "split.train": 0.5, "split.dev": 0.5, "contexts.block_size": 2}
    changes |= {"mlp.embedding": 2, "mlp.hidden": 4, "mlp.steps": 1, "mlp.direct": direct}
    run_stages(tmp_path, content, changes, ["fetch", "split", "build_contexts"])
    monkeypatch.chdir(tmp_path)
    # C, W1 and b1, W2 and b2; and 4 inputs, 4 hidden units, 3 logits for each of 3 contexts of ab
    parameters, activations = 3 * 2 + (4 + 1) * 4 + (4 + 1) * 3, 3 * (4 + 4 + 3)
    parameters += 4 * 3 * direct
    limit_memory(monkeypatch, 4 * (6 * parameters + 4 * activations))
    train_mlp.main()
    limit_memory(monkeypatch, 4 * (6 * parameters + 4 * activations) - 1)
    with pytest.raises(InputError, match="training this MLP would take"):
        train_mlp.main()
