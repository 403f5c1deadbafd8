import math
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from charlm.core.errors import InputError
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.scoring import Characters, score
from stages import evaluate
from stages.evaluate import Names, Sums
from tests.conftest import losses

VOCABULARY = Vocabulary.of([".", "a", "b"])
# after the boundary a or b; after a always b; after b the end, or rarely an a
P = np.array([[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.75, 0.25, 0.0]])
COUNTED = BigramCount({"P": P}, 3)
UNIFORM = BigramNeural({"W": np.zeros((3, 3), np.float32)}, 3)


def scores(names: list[str], block_size: int = 1) -> Sums:
    """Return one entry per name."""
    found = score(COUNTED, **build_examples(names, VOCABULARY, block_size))
    return evaluate.add_up(found, Characters.of(names).name)


def evaluate_names(
    names: list[str], train: set[str], models: dict[str, Model], vocabulary: Vocabulary = VOCABULARY
) -> tuple[dict, list, dict]:
    """Evaluate models on the names of dev."""
    described = Names.of(lambda: [names], lambda: [[*train]])
    return evaluate.evaluate_split("dev", described, models, vocabulary)


def metrics_by_split(names: list[str], train: set[str] = frozenset()) -> dict[str, dict]:
    """Return the metrics of the counting bigram on dev, and on the names not in train."""
    models = {"bigram_count": COUNTED}
    _, _, found = evaluate_names(names, train, models)
    assert all(by_model.keys() == models.keys() for by_model in found.values())
    return {split: by_model["bigram_count"] for split, by_model in found.items()}


@pytest.mark.parametrize("block_size", [1, 3])
def test_names_scored_by_hand(block_size: int):
    found = scores(["ab", "b", "bab"], block_size=block_size)
    expected = [-math.log(0.5 * 1 * 0.75), -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 1 * 0.75)]
    assert found.nll.tolist() == pytest.approx(expected)
    # a and b are equally probable at the start; argmax takes a
    assert found.correct.tolist() == [3, 1, 2]
    assert found.zeros.tolist() == [0, 0, 0]
    assert found.characters.tolist() == [3, 2, 4]


def test_metrics_by_hand():
    metrics = metrics_by_split(["ab", "b", "bab"], train={"ab"})
    short, long = -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 0.75)
    total = 2 * short + long
    mean, unseen = total / 9, (short + long) / 6
    deviations = [short - 3 * mean, short - 2 * mean, long - 4 * mean]
    assert metrics == {
        "dev": {
            "stderr": pytest.approx(math.sqrt(sum(d**2 for d in deviations)) / 9),
            "nll": pytest.approx(total / 9),
            "perplexity": pytest.approx(math.exp(total / 9)),
            "accuracy": pytest.approx(6 / 9),
            "zero_probability": 0,
        },
        "dev_unseen": {
            # of two names, one is as far above the average of both as the other is below it
            "stderr": pytest.approx(math.sqrt(2) * abs(short - 2 * unseen) / 6),
            "nll": pytest.approx(unseen),
            "perplexity": pytest.approx(math.exp(unseen)),
            "accuracy": pytest.approx(3 / 6),
            "zero_probability": 0,
        },
    }


def test_characters_of_probability_zero_give_no_loss_but_a_count():
    names = ["ab", "aab", "aaab"]
    assert scores(names).nll.tolist() == [
        pytest.approx(-math.log(0.5 * 0.75)),
        math.inf,
        math.inf,
    ]
    found = metrics_by_split(names, train={"aab", "aaab"})
    assert found["dev"] == {"accuracy": pytest.approx(9 / 12), "zero_probability": 3}
    assert found["dev_unseen"] == {  # of one name, which has no standard error
        "accuracy": 1,
        "zero_probability": 0,
        "nll": pytest.approx(-math.log(0.5 * 0.75) / 3),
        "perplexity": pytest.approx((0.5 * 0.75) ** (-1 / 3)),
    }


def test_split_that_occurs_in_train_has_no_unseen_loss():
    assert set(metrics_by_split(["ab", "b"], train={"ab", "b"})) == {"dev"}
    assert set(metrics_by_split(["ab", "b"], train={"ab"})) == {"dev", "dev_unseen"}


def test_model_whose_perplexity_overflows_has_only_a_loss():
    found = evaluate.summarise(scores(["ab"])._replace(nll=np.array([3000.0])))
    assert found["nll"] == 1000.0
    assert "perplexity" not in found


def test_split_without_names_is_refused():
    with pytest.raises(InputError) as error:
        evaluate_names([], set(), {"bigram_count": COUNTED})
    assert str(error.value) == (
        "evaluate: evaluate.splits has dev, which is empty; remove it there, or change "
        "split.train and split.dev"
    )


def test_table_has_one_row_per_name_and_empty_cells_for_infinity():
    names = ["ab", "aab"]
    table, _, metrics = evaluate_names(
        names, {"ab"}, {"bigram_count": COUNTED, "bigram_neural": UNIFORM}
    )
    assert [*table] == [
        "characters",
        "in_train",
        "bigram_count",
        "bigram_neural",
    ]
    first, second = evaluate.iter_texts("dev", [["ab"], ["aab"]], table)
    assert first.startswith("dev,ab,3,True,")
    assert second == f"dev,aab,4,False,,{4 * math.log(3):.6f}\n"
    assert table["characters"].tolist() == [3, 4]
    assert table["in_train"].tolist() == [True, False]
    assert np.isnan(table["bigram_count"]).tolist() == [False, True]
    assert table["bigram_neural"].tolist() == pytest.approx([3 * math.log(3), 4 * math.log(3)])
    assert metrics["dev"]["bigram_neural"]["nll"] == pytest.approx(math.log(3))
    assert metrics["dev_unseen"]["bigram_neural"]["nll"] == pytest.approx(math.log(3))


def test_positions_count_from_one_and_only_finite_losses_are_given():
    # the second character of aab follows a, after which only b is possible
    names = ["ab", "b", "aab"]
    assert Characters.of(names).position.tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    _, positions, _ = evaluate_names(
        names, set(), {"bigram_count": COUNTED, "bigram_neural": UNIFORM}
    )
    assert [row[:4] for row in positions] == [
        ("dev", "bigram_count", 1, 3),
        ("dev", "bigram_count", 3, 2),
        ("dev", "bigram_count", 4, 1),
        ("dev", "bigram_neural", 1, 3),
        ("dev", "bigram_neural", 2, 3),
        ("dev", "bigram_neural", 3, 2),
        ("dev", "bigram_neural", 4, 1),
    ]
    expected = [math.log(2), -math.log(0.75) / 2, -math.log(0.75), *[math.log(3)] * 4]
    assert [nll for *_, nll in positions] == pytest.approx(expected)


def test_name_that_occurs_twice_is_scored_once_and_counts_twice():
    names = ["ab", "bab", "ab"]
    table, positions, metrics = evaluate_names(names, {"ab"}, {"bigram_count": COUNTED})
    ab, bab = -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 0.75)
    assert table["bigram_count"].tolist() == pytest.approx([ab, bab, ab])
    assert metrics["dev"]["bigram_count"] == {
        "nll": pytest.approx((2 * ab + bab) / 10),
        # ab is one name of the sample, and it occurs twice
        "stderr": pytest.approx(math.sqrt(2) * abs(bab - 4 * (2 * ab + bab) / 10) / 10),
        "perplexity": pytest.approx(math.exp((2 * ab + bab) / 10)),
        # a first, b after a, the end after b, but neither b first nor a after b
        "accuracy": pytest.approx(8 / 10),
        "zero_probability": 0,
    }
    assert metrics["dev_unseen"]["bigram_count"] == {
        "nll": pytest.approx(bab / 4),
        "perplexity": pytest.approx(math.exp(bab / 4)),
        "accuracy": pytest.approx(2 / 4),
        "zero_probability": 0,
    }
    assert [characters for *_, characters, _ in positions] == [3, 3, 3, 1]
    third = -(2 * math.log(0.75) + math.log(1)) / 3
    expected = [math.log(2), -math.log(0.25) / 3, third, -math.log(0.75)]
    assert [nll for *_, nll in positions] == pytest.approx(expected)


@pytest.mark.parametrize("length", [1, 3, 6, 100])
def test_pieces_of_names_give_what_all_names_give(monkeypatch: pytest.MonkeyPatch, length: int):
    names = ["ab", "bab", "ab", "b", "b", "aab", "bab", "ab"]
    models = {"bigram_count": COUNTED, "bigram_neural": UNIFORM}
    table, positions, metrics = evaluate_names(names, {"b", "ab"}, models)
    assert table["in_train"].tolist() == [True, False, True, True, True, False, False, True]
    monkeypatch.setattr(evaluate, "SCORED_LENGTH", length)
    described = Names.of(lambda: [names[:3], names[3:4], names[4:]], lambda: [["b"], ["a", "ab"]])
    assert described.unique.tolist() == [0, 1, 0, 2, 2, 3, 1, 0]
    assert [*chain(*described.iter_unique())] == ["ab", "bab", "b", "aab"]
    found = evaluate.evaluate_split("dev", described, models, VOCABULARY)
    for key, column in table.items():
        np.testing.assert_array_equal(found[0][key], column)
    assert [row[:4] for row in found[1]] == [row[:4] for row in positions]
    assert [row[4] for row in found[1]] == pytest.approx([row[4] for row in positions], rel=1e-15)
    assert found[2] == metrics


def test_losses_are_in_one_file_per_split_and_all_metrics_in_a_table_with_nine_decimals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    finite = {"nll": 2.0123456789, "stderr": 1 / 3, "perplexity": math.exp(2), "accuracy": 0.25}
    none = {"accuracy": 0.5, "zero_probability": 3}
    one_name = {"nll": 1.5, "perplexity": math.exp(1.5), "accuracy": 1.0, "zero_probability": 0}
    evaluate.write_metrics(
        {
            "dev": {"bigram_count": none, "mlp": finite | {"zero_probability": 0}},
            "dev_unseen": {"bigram_count": none, "mlp": one_name},
        }
    )
    assert losses(tmp_path) == {"dev": {"mlp": 2.012345679}, "dev_unseen": {"mlp": 1.5}}
    assert Path("metrics/evaluate.csv").read_text() == (
        "split,model,nll,stderr,perplexity,accuracy,zero_probability\n"
        "dev,bigram_count,,,,0.5,3\n"
        "dev,mlp,2.012345679,0.333333333,7.389056099,0.25,0\n"
        "dev_unseen,bigram_count,,,,0.5,3\n"
        "dev_unseen,mlp,1.5,,4.48168907,1.0,0\n"
    )


def test_losses_of_splits_that_are_no_longer_evaluated_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    by_model = {"mlp": {"nll": 2.0, "accuracy": 0.25, "zero_probability": 0}}
    evaluate.write_metrics({"train": by_model, "dev": by_model, "dev_unseen": by_model})
    assert set(losses(tmp_path)) == {"train", "dev", "dev_unseen"}
    evaluate.write_metrics({"train": by_model})
    assert losses(tmp_path) == {"train": {"mlp": 2.0}}


def test_model_worse_than_a_uniform_guess_is_named():
    nll = {
        "train": {"bigram_count": 1.0, "mlp": 0.9},
        "dev": {"bigram_count": 1.0986, "mlp": 1.0987},
        "dev_unseen": {
            "bigram_count": 1.2,
            "mlp": 1.2,
        },  # one warning per model and split is enough
    }
    metrics = {
        split: {model: {"nll": loss, "zero_probability": 0} for model, loss in by_model.items()}
        for split, by_model in nll.items()
    }
    assert [*evaluate.warnings(metrics, 3)] == [
        "mlp is worse on dev than a uniform guess, ln 3 = 1.0986: 1.0987"
    ]
    assert len([*evaluate.warnings(metrics, 2)]) == 4
    assert [*evaluate.warnings({}, 3)] == []


def test_zero_probabilities_are_named_with_their_number():
    by_model = {"bigram_count": {"zero_probability": 3}, "mlp": {"zero_probability": 0, "nll": 1.0}}
    metrics = {
        "dev": by_model,
        "dev_unseen": by_model,
        "test": {"bigram_count": {"zero_probability": 1}},
    }
    assert [*evaluate.warnings(metrics, 3)] == [
        "bigram_count gives 3 characters of dev probability 0, so it has no nll there",
        "bigram_count gives 1 character of test probability 0, so it has no nll there",
    ]


@pytest.mark.parametrize("symbols", [7, 18, 26])  # whose average is above ln n by its last bit
def test_uniform_guess_is_not_worse_than_itself(symbols: int):
    letters = [chr(0x4E00 + number) for number in range(symbols - 1)]
    generator = np.random.default_rng(symbols)
    names = ["".join(generator.choice(letters, size=n)) for n in generator.integers(1, 9, size=50)]
    vocabulary = Vocabulary.of([".", *letters])
    model = BigramNeural({"W": np.zeros((symbols, symbols), np.float32)}, symbols)
    _, _, found = evaluate_names(names, set(), {"uniform": model}, vocabulary)
    assert found["dev"]["uniform"]["nll"] > math.log(symbols)
    assert [*evaluate.warnings(found, symbols)] == []


@pytest.mark.parametrize("itos", [["a", "b", "."], ["<START>", "<END>", "a", "b"]])
def test_loss_by_name_wherever_the_boundary_is(itos: list[str]):
    vocabulary, names = Vocabulary.of(itos), ["ab", "b", "ab"]
    symbols = len(itos)
    model = BigramNeural({"W": np.zeros((symbols, symbols), np.float32)}, symbols)
    table, positions, found = evaluate_names(names, {"b"}, {"uniform": model}, vocabulary)
    ln = math.log(symbols)
    assert table["uniform"].tolist() == pytest.approx([3 * ln, 2 * ln, 3 * ln])
    assert [row[2:4] for row in positions] == [(1, 3), (2, 3), (3, 2)]
    assert found["dev"]["uniform"]["nll"] == pytest.approx(ln)
    assert found["dev_unseen"]["uniform"]["nll"] == pytest.approx(ln)


def test_loss_of_a_name_does_not_depend_on_the_others():
    generator = np.random.default_rng(1)
    names = [
        "".join(generator.choice(["a", "b"], size=generator.integers(1, 9))) for _ in range(50)
    ]
    together = scores(names).nll
    separately = [scores([name]).nll[0] for name in names]
    np.testing.assert_array_equal(together, separately)
