from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Generator

from charlm.core.errors import InputError
from charlm.data.examples import build_examples
from charlm.data.tensors import read_tensors
from charlm.data.vocabulary import Vocabulary
from charlm.networks.mlp import MLP
from stages import find_learning_rate, split
from stages.train_mlp import Examples, full_loss
from tests.conftest import SETTINGS, limit_memory, run_stages

VOCABULARY = Vocabulary.of([".", *"abcdefghijklmnopqrstuvwxyz"])


def start(seed: int = 1) -> tuple[MLP, Generator]:
    model, generator = MLP(27, 3, embedding=2, hidden=100), Generator().manual_seed(seed)
    model.initialise("normal", generator)
    return model, generator


def tensors(names: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    examples = build_examples(names, VOCABULARY, 3)
    return tuple(torch.from_numpy(examples[key]).long() for key in ("contexts", "targets"))


def test_each_step_has_its_rate_and_its_loss_comes_before_its_update():
    contexts, targets = tensors(["emma", "ava"])
    model, generator = start()
    losses = find_learning_rate.search(model, contexts, targets, [-9.0, -1.0], 4, generator)

    expected, generator = start()
    for exponent, loss in zip([-9.0, -1.0], losses, strict=True):
        rows = torch.randint(len(targets), (4,), generator=generator)
        own = torch.nn.functional.cross_entropy(expected(contexts[rows]), targets[rows])
        assert loss == pytest.approx(own.item(), rel=1e-6)
        own.backward()
        for parameter in expected.parameters():
            parameter.data -= 10**exponent * parameter.grad
            parameter.grad = None
    for parameter, own in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(parameter, own, atol=1e-6)


def test_search_ends_where_the_loss_is_no_longer_finite():
    contexts, targets = tensors(["emma", "ava"])
    model, generator = start()
    losses = find_learning_rate.search(model, contexts, targets, [-1, 38, -1, -1], 4, generator)
    assert len(losses) == 2


def test_smoothing_is_the_mean_around_each_step():
    nll = pd.Series([0.0] * 10 + [15.0] + [0.0] * 10)  # a window of 3
    expected = [0.0] * 9 + [5.0] * 3 + [0.0] * 9
    assert find_learning_rate.smooth(nll).tolist() == pytest.approx(expected)
    assert find_learning_rate.smooth(pd.Series([4.0, 2.0])).tolist() == [4.0, 2.0]


@pytest.mark.parametrize(("rows", "left"), [(2, 2), (500, 500), (501, 251), (1000, 500)])
def test_git_keeps_500_rows_at_most(rows: int, left: int):
    thinned = find_learning_rate.thin(pd.DataFrame({"exponent": range(rows)}))
    assert len(thinned) == left
    assert thinned["exponent"].iloc[0] == 0


@pytest.mark.parametrize("seed", [2147483647, 42, 1])
def test_reference_valley(names: list[str], seed: int):
    train = split.cut(split.shuffle(names, 42), 0.8, 0.1)["train"]
    contexts, targets = tensors(train)
    model, generator = start(seed)
    before = full_loss(model, Examples.of(build_examples(train, VOCABULARY, 3), 27)).item()
    exponents = find_learning_rate.evenly_spaced(-3, 0, 1000)
    losses = find_learning_rate.search(model, contexts, targets, exponents, 32, generator)
    smoothed = find_learning_rate.smooth(pd.Series(losses))
    assert -1.1 < exponents[int(smoothed.argmin())] < -0.6
    assert smoothed.iloc[0] == pytest.approx(before, rel=0.1)


def test_memory_is_estimated_from_the_size_of_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    section = "find_learning_rate"
    changes = {"split.train": 1.0, "split.dev": 0.0, "contexts.block_size": 2}
    changes |= {f"{section}.embedding": 2, f"{section}.hidden": 4, f"{section}.batch_size": 5}
    run_stages(tmp_path, b"ab\nb\n", changes, ["fetch", "split", "build_contexts"])
    monkeypatch.chdir(tmp_path)
    # C, W1 and b1, W2 and b2; and 4 inputs, 4 hidden units, 3 logits for each of 5 examples
    parameters, activations = 3 * 2 + (4 + 1) * 4 + (4 + 1) * 3, 5 * (4 + 4 + 3)
    limit_memory(monkeypatch, 4 * (6 * parameters + 4 * activations))
    find_learning_rate.main()
    limit_memory(monkeypatch, 4 * (6 * parameters + 4 * activations) - 1)
    with pytest.raises(InputError, match="this search would take"):
        find_learning_rate.main()


def test_search_starts_where_its_seed_and_its_initialisation_put_it(tmp_path: Path):
    settings = SETTINGS.find_learning_rate
    changes = {"split.train": 1.0, "split.dev": 0.0, "contexts.block_size": 2}
    stages = ["fetch", "split", "build_contexts", "find_learning_rate"]
    run_stages(tmp_path, b"ab\nb\n", changes | {"find_learning_rate.steps": 2}, stages)
    examples = read_tensors(tmp_path / "data/contexts/mlp/train.safetensors", "build_contexts")
    generator = Generator().manual_seed(settings.seed)
    model = MLP(3, 2, settings.embedding, settings.hidden)
    model.initialise(settings.init, generator)
    rows = torch.randint(len(examples["targets"]), (settings.batch_size,), generator=generator)
    contexts, targets = (torch.from_numpy(examples[key]).long() for key in ("contexts", "targets"))
    loss = torch.nn.functional.cross_entropy(model(contexts[rows]), targets[rows])
    first = pd.read_csv(tmp_path / "data/learning_rate.csv")["nll"].iloc[0]
    assert first == pytest.approx(loss.item(), abs=1e-5)
