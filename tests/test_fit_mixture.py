import contextlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from charlm.core.errors import InputError
from charlm.data.examples import build_split_examples
from charlm.data.vocabulary import read_vocabulary
from charlm.models.registry import load_models
from charlm.scoring import score
from stages.fit_mixture import fit, fit_positions
from tests.conftest import facts, run_stages


def fitted(*models: list[float]) -> list[float]:
    """Return the weights of models, from their probabilities of each character."""
    return fit(np.array(models, dtype=np.float64)).tolist()


def test_weights_of_two_models_by_hand():
    # the likelihood is (w)(w)(1 - w): greatest at two thirds
    assert fitted([1, 1, 0], [0, 0, 1]) == pytest.approx([2 / 3, 1 / 3], abs=1e-6)
    # log(0.5 + 0.4 w) + log(0.6 - 0.4 w) is greatest where both are equal
    assert fitted([0.9, 0.2], [0.5, 0.6]) == pytest.approx([1 / 8, 7 / 8], abs=1e-6)


def test_weights_of_three_models_by_hand():
    # the likelihood is (u)(u)(u)(v)(v)(w): greatest at the shares of the characters
    models = ([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1])
    assert fitted(*models) == pytest.approx([1 / 2, 1 / 3, 1 / 6], abs=1e-6)
    # a model that is the others' average at weights 2/3 and 1/3 adds nothing to two of them
    average = [2 / 3, 2 / 3, 1 / 3]
    u, v, w = fitted([1, 1, 0], [0, 0, 1], average)
    assert (u + w * 2 / 3, v + w / 3) == pytest.approx((2 / 3, 1 / 3), abs=1e-6)


def test_weights_are_the_best_of_a_grid():
    P = np.random.default_rng(1).random((3, 500)) * [[1], [1.1], [0.95]]
    steps = np.linspace(0, 1, 101)
    grid = np.array([(u, v, 1 - u - v) for u, v in product(steps, steps) if u + v <= 1])
    best = grid[np.log(grid @ P).sum(axis=1).argmax()]
    assert best.min() > 0.03
    assert fit(P).tolist() == pytest.approx(best.tolist(), abs=0.01)
    assert np.log(fit(P) @ P).sum() >= np.log(grid @ P).sum(axis=1).max()


def test_weights_per_position_are_fitted_apart():
    # at position 0 the first model is right twice of three times, at 9 and later never
    first, second = [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]
    found = fit_positions(np.array([first, second], float), np.array([0, 0, 0, 9, 25]))
    assert found.shape == (2, 10)
    assert found[:, 0].tolist() == pytest.approx([2 / 3, 1 / 3], abs=1e-6)
    assert found[:, 9].tolist() == pytest.approx([0, 1], abs=1e-6)
    assert found[:, 5].tolist() == [0.5, 0.5]  # nothing to fit


@pytest.mark.parametrize("place", [0, 1, 2])
def test_better_model_gets_all_the_weight(place: int):
    models = [[0.5, 0.5], [0.4, 0.5]]
    models.insert(place, [0.9, 0.8])
    assert fitted(*models) == pytest.approx(np.eye(3)[place].tolist(), abs=1e-5)
    assert fitted([0.9, 0.8], [0.5, 0.5]) == pytest.approx([1, 0], abs=1e-6)


def test_weights_are_equal_if_there_is_nothing_to_fit():
    assert fitted([], []) == [0.5, 0.5]
    assert fitted([], [], []) == pytest.approx([1 / 3] * 3, abs=1e-6)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_character_that_is_impossible_under_all_models_does_not_count():
    assert fitted([1, 0, 1, 0], [0, 0, 0, 1]) == pytest.approx([2 / 3, 1 / 3], abs=1e-6)


def test_weights_are_rounded_and_sum_to_one():
    weights = fit(np.random.default_rng(2).random((7, 50)))
    assert sum(weights.tolist()) == pytest.approx(1, abs=1e-12)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights * 1e6, (weights * 1e6).round(), atol=1e-6)


STAGES = ["fetch", "split", "build_contexts", "train_bigram_count", "train_bigram_neural"]
STAGES += ["train_ngram_count", "fit_mixture"]
CHANGES = {"split.seed": None, "split.train": 0.5, "split.dev": 0.5, "bigram_neural.steps": 2}
CHANGES |= {"ngram_count.order": 3}


def test_stage_mixes_the_models_of_its_parameter(tmp_path: Path, capsys: pytest.CaptureFixture):
    # the order is that of the parameter; the MLP, which is not trained, is not needed
    names = ["ngram_count", "bigram_neural", "bigram_count"]
    content = b"ab\nb\nba\nab\nabb\nb\n"
    run_stages(tmp_path, content, CHANGES | {"mixture.components": names}, STAGES)
    weights = facts(tmp_path, "mixture")
    assert list(weights) == names
    assert sum(map(float, weights.values())) == pytest.approx(1)
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed == "fit_mixture: weights, fitted on dev: " + ", ".join(
        f"{float(weights[name]):.3f} of {name}" for name in names
    )


def test_stage_stores_weights_per_position(tmp_path: Path, capsys: pytest.CaptureFixture):
    changes = CHANGES | {
        "mixture.components": ["ngram_count", "bigram_count"],
        "mixture.weights": "per_position",
    }
    run_stages(tmp_path, b"ab\nb\nba\nab\nabb\nb\n", changes, STAGES)
    tensors = safetensors.numpy.load_file(tmp_path / "data/models/mixture.safetensors")
    assert tensors["ngram_count"].shape == (10,)
    np.testing.assert_allclose(tensors["ngram_count"] + tensors["bigram_count"], 1)
    share = tensors["ngram_count"].mean()
    assert float(facts(tmp_path, "mixture")["ngram_count"]) == pytest.approx(share)
    printed = capsys.readouterr().out
    assert f"weights, fitted on dev, the mean over positions: {share:.3f} of ngram_count" in printed
    # what is fitted on dev is at least as good there as each of its components
    with contextlib.chdir(tmp_path):
        vocabulary = read_vocabulary()
        models = load_models(3, ("mixture", "ngram_count", "bigram_count"))
        examples = build_split_examples("dev", vocabulary, 5)
        mixed, *others = (score(model, **examples).nll.sum() for model in models.values())
    assert mixed <= min(others) + 1e-5


def test_unknown_component_is_one_line(tmp_path: Path):
    changes = CHANGES | {"mixture.components": ["mlp", "gpt"]}
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, b"ab\nb\n", changes, STAGES[-1:])
    assert str(error.value) == (
        "fit_mixture: mixture.components: gpt is not among the models that can be mixed: "
        "bigram_count, bigram_neural, ngram_count, mlp"
    )
