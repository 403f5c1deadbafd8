import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from charlm import InputError
from charlm.models import mlp as models
from stages import build_contexts, train_mlp
from charlm.params import Mlp
from stages.train_mlp import Examples
from tests.conftest import SETTINGS

ITOS = [".", *"abcdefghijklmnopqrstuvwxyz"]
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
    return Examples.of(build_contexts.build(list(names), ITOS, block_size), 27)


def rows(some: Examples) -> torch.Tensor:
    """The context of each example, (examples, block size)."""
    return some.distinct[some.index]


def train(some: Examples, dev: Examples, chosen: Mlp):
    generator = Generator().manual_seed(chosen.seed)
    parameters = models.start_mlp(27, 3, chosen.embedding, chosen.hidden, chosen.init, generator)
    return parameters, *train_mlp.train(parameters, some, dev, chosen, generator)


def test_full_loss_is_the_mean_over_all_examples():
    some = examples("emma", "emma", "ava", "olivia")
    assert len(some.distinct) < len(some.targets) == 5 + 5 + 4 + 7
    parameters = models.start_mlp(27, 3, 2, 10, "normal", Generator().manual_seed(1))
    expected = F.cross_entropy(models.mlp_logits(parameters, rows(some)), some.targets)
    assert train_mlp.full_loss(parameters, some).item() == pytest.approx(expected.item(), rel=1e-6)


def test_drawn_targets_are_those_of_the_rows_drawn():
    some = examples("emma", "emma", "ava", "olivia")
    parameters = models.start_mlp(27, 3, 2, 10, "normal", Generator().manual_seed(1))
    loss = train_mlp.batch_loss(parameters, some, 50, "drawn", Generator().manual_seed(2))
    drawn = torch.randint(21, (50,), generator=Generator().manual_seed(2))
    logits = models.mlp_logits(parameters, rows(some)[drawn])
    expected = F.cross_entropy(logits, some.targets[drawn])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_expected_targets_are_all_that_follow_the_contexts_drawn():
    some = examples("emma", "emma", "ava", "olivia")
    parameters = models.start_mlp(27, 3, 2, 10, "normal", Generator().manual_seed(1))
    loss = train_mlp.batch_loss(parameters, some, 50, "expected", Generator().manual_seed(2))
    drawn = torch.randint(21, (50,), generator=Generator().manual_seed(2))
    each = F.cross_entropy(
        models.mlp_logits(parameters, rows(some)), some.targets, reduction="none"
    )
    # in place of the loss of a row drawn, the mean over all rows with its context
    same = some.index.unsqueeze(0) == some.index[drawn].unsqueeze(1)
    expected = ((same * each).sum(dim=1) / same.sum(dim=1)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    others = train_mlp.batch_loss(parameters, some, 50, "drawn", Generator().manual_seed(2))
    assert loss.item() != others.item()


def test_reference_five_names_overfitted(names: list[str]):
    some = examples(*names[:5])
    parameters, curve, dev_curve = train(some, examples(), settings())
    assert curve["nll"].iloc[0] == pytest.approx(17.7697, abs=5e-5)
    assert train_mlp.full_loss(parameters, some).item() == pytest.approx(0.2561, abs=5e-4)
    assert dev_curve.empty
    # arg max and target differ at four of the five first letters, and nowhere else
    guesses = models.mlp_logits(parameters, rows(some)).argmax(dim=1)
    wrong = rows(some)[guesses != some.targets]
    assert wrong.shape == (4, 3)
    assert not wrong.any()


def test_one_name_is_learned_by_heart():
    # each of its contexts is followed by one character only, so the loss can come to nothing
    parameters, _, dev_curve = train(
        examples("anton"), examples("anton"), settings(hidden=20, steps=500)
    )
    assert dev_curve["nll"].iloc[-1] < 0.02
    assert (
        models.mlp_logits(parameters, rows(examples("anton"))).argmax(dim=1).tolist()
        == examples("anton").targets.tolist()
    )


def test_one_step_of_sgd_by_hand():
    some, chosen = examples("emma", "ava"), settings(steps=1, hidden=5, weight_decay=0.1)
    trained, curve, _ = train(some, examples(), chosen)
    start = models.start_mlp(27, 3, 2, 5, "normal", Generator().manual_seed(chosen.seed))
    for tensor in start.values():
        tensor.requires_grad_()
    loss = F.cross_entropy(models.mlp_logits(start, rows(some)), some.targets)
    loss.backward()
    assert curve["nll"].tolist() == [pytest.approx(loss.item())]
    for name, tensor in start.items():
        assert torch.allclose(trained[name], tensor - 0.1 * (tensor.grad + 0.1 * tensor), atol=1e-6)


def test_first_step_of_adamw_by_hand():
    # after one step the moments cancel: each parameter moves by lr against its gradient's sign
    some = examples("emma", "ava")
    chosen = settings(optimizer="adamw", steps=1, hidden=5, lr=0.01, weight_decay=0.5)
    trained, _, _ = train(some, examples(), chosen)
    start = models.start_mlp(27, 3, 2, 5, "normal", Generator().manual_seed(chosen.seed))
    for tensor in start.values():
        tensor.requires_grad_()
    train_mlp.full_loss(start, some).backward()
    for name, tensor in start.items():
        moved = tensor * (1 - 0.01 * 0.5) - 0.01 * tensor.grad.sign()
        clear = tensor.grad.abs() > 1e-4
        assert clear.any()
        assert torch.allclose(trained[name][clear], moved[clear], atol=1e-5)


@pytest.mark.parametrize("targets", ["drawn", "expected"])
def test_every_example_is_drawn(targets: str):
    # of two examples with nothing in common, a batch without the last has another loss
    some = examples("ab")
    parameters = models.start_mlp(27, 3, 2, 10, "normal", Generator().manual_seed(1))
    loss = train_mlp.batch_loss(parameters, some, 100_000, targets, Generator().manual_seed(1))
    assert loss.item() == pytest.approx(train_mlp.full_loss(parameters, some).item(), rel=0.02)


def test_batches_come_from_the_seed_alone():
    some, chosen = examples("emma", "ava", "olivia"), settings(steps=5, batch_size=4, hidden=5)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = train(some, examples("ava"), chosen)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    second = train(some, examples("ava"), chosen)
    other = train(some, examples("ava"), settings(steps=5, batch_size=4, hidden=5, seed=3))
    assert first[1].equals(second[1])
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert not first[1].equals(other[1])


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
    chosen = settings(schedule=schedule, steps=10, lr=1.0)
    assert [train_mlp.learning_rate(step, chosen) for step in range(10)] == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 100])
@pytest.mark.parametrize("schedule", ["constant", "step_decay", "one_cycle", "cosine"])
def test_every_number_of_steps_has_rates_above_zero(schedule: str, steps: int):
    chosen = settings(schedule=schedule, steps=steps, lr=0.5)
    rates = [train_mlp.learning_rate(step, chosen) for step in range(steps)]
    assert all(0 < rate <= 0.5 for rate in rates)
    assert max(rates) == pytest.approx(0.5, rel=0.1) or steps < 10


@pytest.mark.parametrize(
    ("last", "points", "expected"),
    [(0, 5, {0}), (1, 5, {0, 1}), (4, 5, {0, 1, 2, 3, 4}), (10, 3, {0, 5, 10}), (2399, 500, None)],
)
def test_spread_holds_both_ends(last: int, points: int, expected: set[int] | None):
    found = train_mlp.spread(last, points)
    assert found == expected or (expected is None and len(found) == points and {0, last} <= found)


def test_curves_hold_first_and_last_step():
    _, curve, dev_curve = train(
        examples("emma"), examples("ava"), settings(steps=700, hidden=3, batch_size=2)
    )
    assert (curve["step"].iloc[0], curve["step"].iloc[-1], len(curve)) == (0, 699, 500)
    assert (dev_curve["step"].iloc[0], dev_curve["step"].iloc[-1], len(dev_curve)) == (0, 700, 21)


def test_divergence_names_the_rate():
    with pytest.raises(
        InputError, match=r"train_mlp: the loss is nan at step \d+; lower mlp.lr, now 1e\+30"
    ):
        train(examples("emma"), examples("ava"), settings(lr=1e30))


def test_divergence_in_the_very_last_step_is_found_without_dev():
    some, none = examples("emma", "ava"), examples()
    with pytest.raises(InputError, match=r"a parameter is (inf|nan) at step 1; lower mlp\.lr"):
        train(some, none, settings(steps=1, lr=1e39))


def test_dropout_leaves_out_a_share_and_keeps_the_mean():
    drop = train_mlp.dropout(0.25, Generator().manual_seed(1))
    x = torch.full((300, 300), 3.0)
    dropped = drop(x)
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    # the binomial standard deviation of the share is 0.0014
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.006)
    assert not torch.equal(drop(x), dropped)
    assert torch.equal(train_mlp.dropout(0.25, Generator().manual_seed(1))(x), dropped)


def test_no_dropout_draws_nothing():
    generator = Generator().manual_seed(1)
    assert train_mlp.dropout(0.0, generator) is None
    assert torch.equal(generator.get_state(), Generator().manual_seed(1).get_state())


@pytest.mark.parametrize("batch_size", [None, 8])
def test_dropout_is_for_training_alone(batch_size: int | None):
    some = examples("emma", "ava", "olivia")
    chosen = settings(hidden=50, steps=30, dropout=0.5, batch_size=batch_size)
    parameters, curve, dev_curve = train(some, some, chosen)
    again, same, _ = train(some, some, chosen)
    other, _, _ = train(some, some, chosen.model_copy(update={"dropout": 0.0}))
    assert curve.equals(same)
    assert all(torch.equal(parameters[name], again[name]) for name in parameters)
    assert not torch.equal(parameters["W1"], other["W1"])
    # the loss on dev is that of all units
    last = train_mlp.full_loss(parameters, some).item()
    assert dev_curve["nll"].iloc[-1] == pytest.approx(last, abs=1e-6)


def test_deeper_gelu_model_learns_five_names_by_heart():
    some = examples("emma", "olivia", "ava", "isabella", "sophia")
    chosen = settings(optimizer="adamw", schedule="cosine", lr=0.01, steps=300)
    generator = Generator().manual_seed(1)
    parameters = models.start_mlp(27, 3, 4, 30, "scaled", generator, 2, "gelu")
    train_mlp.train(parameters, some, examples(), chosen, generator)
    # 5 ln 5 / 32 is the least that any model can reach
    assert train_mlp.full_loss(parameters, some).item() == pytest.approx(0.2515, abs=0.005)
    assert parameters["activation"].item() == 1
