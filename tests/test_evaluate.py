import math

import numpy as np
import pytest
import torch

from charlm.errors import InputError
from charlm.examples import build_examples
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.scoring import Characters, score
from charlm.vocabulary import Vocabulary
from stages import evaluate
from stages.evaluate import Sums

VOCABULARY = Vocabulary.of([".", "a", "b"])
# after the boundary a or b; after a always b; after b the end, or rarely an a
P = torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.75, 0.25, 0.0]], dtype=torch.float64)
COUNTED = BigramCount.from_tensors({"P": P}, 3)
UNIFORM = BigramNeural.from_tensors({"W": torch.zeros(3, 3)}, 3)


def characters(names: list[str], block_size: int = 1) -> Characters:
    examples = build_examples(names, VOCABULARY, block_size)
    unique = list(dict.fromkeys(names))
    unique_name = np.array([unique.index(name) for name in names])
    return Characters.of(examples, unique_name, VOCABULARY.end)


def scores(names: list[str], block_size: int = 1) -> Sums:
    """Return one entry per unique name."""
    found = characters(names, block_size)
    return evaluate.add_up(score(COUNTED, found.contexts, found.targets), found.name)


def summary(names: list[str], train: set[str] = frozenset()) -> dict[str, float]:
    return evaluate.summarise(scores(names), np.array([name in train for name in names]))


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
    metrics = summary(["ab", "b", "bab"], train={"ab"})
    short, long = -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 0.75)
    total = 2 * short + long
    mean, unseen = total / 9, (short + long) / 6
    deviations = [short - 3 * mean, short - 2 * mean, long - 4 * mean]
    # of two names, one is as far above the average of both as the other is below it
    assert metrics == {
        "stderr": pytest.approx(math.sqrt(sum(d**2 for d in deviations)) / 9),
        "stderr_unseen": pytest.approx(math.sqrt(2) * abs(short - 2 * unseen) / 6),
        "nll": pytest.approx(total / 9),
        "perplexity": pytest.approx(math.exp(total / 9)),
        "accuracy": pytest.approx(6 / 9),
        "nll_unseen": pytest.approx(unseen),
    }


def test_characters_of_probability_zero_give_no_loss_but_a_count():
    names = ["ab", "aab", "aaab"]
    assert scores(names).nll.tolist() == [
        pytest.approx(-math.log(0.5 * 0.75)),
        math.inf,
        math.inf,
    ]
    assert summary(names, train={"aab", "aaab"}) == {
        "accuracy": pytest.approx(9 / 12),
        "zero_probability": 3,
        "nll_unseen": pytest.approx(-math.log(0.5 * 0.75) / 3),
    }
    assert set(summary(names)) == {"accuracy", "zero_probability"}


def test_split_that_occurs_in_train_has_no_unseen_loss():
    assert "nll_unseen" not in summary(["ab"], train={"ab"})


def test_model_whose_perplexity_overflows_has_only_a_loss():
    found = evaluate.summarise(scores(["ab"])._replace(nll=np.array([3000.0])), np.array([False]))
    assert found["nll"] == 1000.0
    assert "perplexity" not in found


def test_split_without_names_is_refused():
    examples = build_examples([], VOCABULARY, 1)
    with pytest.raises(InputError) as error:
        evaluate.evaluate_split("test", [], examples, set(), {"bigram_count": COUNTED}, 0)
    assert str(error.value) == (
        "evaluate: evaluate.splits has test, which is empty; remove it there, or change "
        "split.train and split.dev"
    )


def test_examples_of_other_names_are_refused():
    examples = build_examples(["ab", "b"], VOCABULARY, 1)
    with pytest.raises(InputError) as error:
        evaluate.evaluate_split("dev", ["b", "ab"], examples, set(), {"bigram_count": COUNTED}, 0)
    assert str(error.value) == (
        "evaluate: data/splits/dev.txt and data/contexts/*/dev.safetensors are of different names; "
        "run `dvc repro`"
    )


def test_table_has_one_row_per_name_and_empty_cells_for_infinity():
    names = ["ab", "aab"]
    examples = build_examples(names, VOCABULARY, 1)
    table, _, metrics = evaluate.evaluate_split(
        "dev", names, examples, {"ab"}, {"bigram_count": COUNTED, "bigram_neural": UNIFORM}, 0
    )
    assert [*table] == [
        "split",
        "name",
        "characters",
        "in_train",
        "bigram_count",
        "bigram_neural",
    ]
    assert table["split"].tolist() == ["dev", "dev"]
    assert table["name"].tolist() == ["ab", "aab"]
    assert table["characters"].tolist() == [3, 4]
    assert table["in_train"].tolist() == [True, False]
    assert np.isnan(table["bigram_count"]).tolist() == [False, True]
    assert table["bigram_neural"].tolist() == pytest.approx([3 * math.log(3), 4 * math.log(3)])
    assert metrics["bigram_neural"]["nll"] == pytest.approx(math.log(3))


def test_positions_count_from_one_and_only_finite_losses_are_given():
    # the second character of aab follows a, after which only b is possible
    names = ["ab", "b", "aab"]
    assert characters(names).position.tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    examples = build_examples(names, VOCABULARY, 1)
    _, positions, _ = evaluate.evaluate_split(
        "dev", names, examples, set(), {"bigram_count": COUNTED, "bigram_neural": UNIFORM}, 0
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
    found = characters(names)
    assert found.targets.tolist() == [1, 2, 0, 2, 1, 2, 0]
    assert found.name.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert found.repeats.tolist() == [2, 2, 2, 1, 1, 1, 1]

    examples = build_examples(names, VOCABULARY, 1)
    table, positions, metrics = evaluate.evaluate_split(
        "dev", names, examples, {"ab"}, {"bigram_count": COUNTED}, 0
    )
    ab, bab = -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 0.75)
    assert table["bigram_count"].tolist() == pytest.approx([ab, bab, ab])
    assert metrics["bigram_count"] == {
        "nll": pytest.approx((2 * ab + bab) / 10),
        # ab is one name of the sample, and it occurs twice
        "stderr": pytest.approx(math.sqrt(2) * abs(bab - 4 * (2 * ab + bab) / 10) / 10),
        "perplexity": pytest.approx(math.exp((2 * ab + bab) / 10)),
        # a first, b after a, the end after b, but neither b first nor a after b
        "accuracy": pytest.approx(8 / 10),
        "nll_unseen": pytest.approx(bab / 4),
    }
    assert [characters for *_, characters, _ in positions] == [3, 3, 3, 1]
    third = -(2 * math.log(0.75) + math.log(1)) / 3
    expected = [math.log(2), -math.log(0.25) / 3, third, -math.log(0.75)]
    assert [nll for *_, nll in positions] == pytest.approx(expected)


def test_metrics_by_metric_have_the_levels_reordered():
    found = {"train": {"mlp": {"nll": 2.0}}, "dev": {"mlp": {"nll": 2.1, "accuracy": 0.3}}}
    assert evaluate.by_metric(found) == {
        "nll": {"mlp": {"train": 2.0, "dev": 2.1}},
        "accuracy": {"mlp": {"dev": 0.3}},
    }


def test_model_worse_than_a_uniform_guess_is_named():
    metrics = {
        "nll": {
            "bigram_count": {"train": 1.0, "dev": 1.0986},
            "mlp": {"train": 0.9, "dev": 1.0987},
        }
    }
    assert [*evaluate.warnings(metrics, 3)] == [
        "mlp is worse on dev than a uniform guess, ln 3 = 1.0986: 1.0987"
    ]
    assert len([*evaluate.warnings(metrics, 2)]) == 4
    assert [*evaluate.warnings({}, 3)] == []


def test_zero_probabilities_are_named_with_their_number():
    metrics = {"zero_probability": {"bigram_count": {"dev": 3}}, "nll": {"mlp": {"dev": 1.0}}}
    assert [*evaluate.warnings(metrics, 3)] == [
        "bigram_count gives 3 characters of dev probability 0, so it has no nll there"
    ]


@pytest.mark.parametrize("symbols", [7, 18, 26])  # whose average is above ln n by its last bit
def test_uniform_guess_is_not_worse_than_itself(symbols: int):
    letters = [chr(0x4E00 + number) for number in range(symbols - 1)]
    generator = np.random.default_rng(symbols)
    names = ["".join(generator.choice(letters, size=n)) for n in generator.integers(1, 9, size=50)]
    examples = build_examples(names, Vocabulary.of([".", *letters]), 1)
    model = BigramNeural.from_tensors({"W": torch.zeros(symbols, symbols)}, symbols)
    _, _, found = evaluate.evaluate_split("dev", names, examples, set(), {"uniform": model}, 0)
    assert found["uniform"]["nll"] > math.log(symbols)
    assert [*evaluate.warnings(evaluate.by_metric({"dev": found}), symbols)] == []


@pytest.mark.parametrize("itos", [["a", "b", "."], ["<START>", "<END>", "a", "b"]])
def test_loss_by_name_wherever_the_boundary_is(itos: list[str]):
    vocabulary, names = Vocabulary.of(itos), ["ab", "b", "ab"]
    symbols = len(itos)
    examples = build_examples(names, vocabulary, 1)
    model = BigramNeural.from_tensors({"W": torch.zeros(symbols, symbols)}, symbols)
    table, positions, found = evaluate.evaluate_split(
        "dev", names, examples, {"b"}, {"uniform": model}, vocabulary.end
    )
    ln = math.log(symbols)
    assert table["uniform"].tolist() == pytest.approx([3 * ln, 2 * ln, 3 * ln])
    assert [row[2:4] for row in positions] == [(1, 3), (2, 3), (3, 2)]
    assert found["uniform"]["nll"] == pytest.approx(ln)


def test_loss_of_a_name_does_not_depend_on_the_others():
    generator = np.random.default_rng(1)
    names = [
        "".join(generator.choice(["a", "b"], size=generator.integers(1, 9))) for _ in range(50)
    ]
    together = scores(names).nll
    separately = [scores([name]).nll[0] for name in dict.fromkeys(names)]
    np.testing.assert_array_equal(together, separately)
