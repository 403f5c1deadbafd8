import math

import numpy as np
import pandas as pd
import pytest
import torch

from charlm import InputError
from stages import build_contexts, evaluate

ITOS = [".", "a", "b"]
# after the boundary a or b; after a always b; after b the end, or rarely an a
P = {"P": torch.tensor([[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.75, 0.25, 0.0]], dtype=torch.float64)}


def characters(names: list[str], block_size: int = 1) -> evaluate.Characters:
    examples = build_contexts.build(names, ITOS, block_size)
    return evaluate.Characters.of(examples, pd.factorize(pd.Series(names))[0])


def scores(names: list[str], block_size: int = 1) -> pd.DataFrame:
    """One row a distinct name."""
    found = characters(names, block_size)
    return evaluate.add_up(evaluate.score("bigram_count", P, found), found.name)


def summary(names: list[str], train: set[str] = frozenset()) -> dict[str, float]:
    return evaluate.summarise(scores(names), np.array([name in train for name in names]))


@pytest.mark.parametrize("block_size", [1, 3])
def test_names_scored_by_hand(block_size: int):
    found = scores(["ab", "b", "bab"], block_size=block_size)
    expected = [-math.log(0.5 * 1 * 0.75), -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 1 * 0.75)]
    assert found["nll"].tolist() == pytest.approx(expected)
    # of a and b, equally probable first, argmax takes a
    assert found["hits"].tolist() == [3, 1, 2]
    assert found["zeros"].tolist() == [0, 0, 0]
    assert found["characters"].tolist() == [3, 2, 4]


def test_metrics_by_hand():
    metrics = summary(["ab", "b", "bab"], train={"ab"})
    short, long = -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 0.75)
    total = 2 * short + long
    mean, unseen = total / 9, (short + long) / 6
    deviations = [short - 3 * mean, short - 2 * mean, long - 4 * mean]
    # of two names, what one is above the average of both the other is below it
    assert metrics == {
        "stderr": pytest.approx(math.sqrt(sum(d**2 for d in deviations)) / 9),
        "stderr_unseen": pytest.approx(math.sqrt(2) * abs(short - 2 * unseen) / 6),
        "nll": pytest.approx(total / 9),
        "perplexity": pytest.approx(math.exp(total / 9)),
        "accuracy": pytest.approx(6 / 9),
        "nll_unseen": pytest.approx(unseen),
    }


def test_character_of_probability_zero_leaves_no_loss_but_a_count():
    names = ["ab", "aab", "aaab"]
    assert scores(names)["nll"].tolist() == [
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


def test_split_that_stands_in_train_has_no_unseen_loss():
    assert "nll_unseen" not in summary(["ab"], train={"ab"})


def test_hopeless_model_has_a_loss_and_no_perplexity():
    found = evaluate.summarise(scores(["ab"]).assign(nll=3000.0), np.array([False]))
    assert found["nll"] == 1000.0
    assert "perplexity" not in found


def test_split_without_names_is_refused():
    examples = build_contexts.build([], ITOS, 1)
    with pytest.raises(InputError, match="asks for test, which holds no names; take test out"):
        evaluate.evaluate_split("test", [], examples, set(), {"bigram_count": P})


def test_table_has_a_row_a_name_and_empty_cells_for_infinity():
    names = ["ab", "aab"]
    examples = build_contexts.build(names, ITOS, 1)
    W = {"W": torch.zeros(3, 3)}
    table, _, metrics = evaluate.evaluate_split(
        "dev", names, examples, {"ab"}, {"bigram_count": P, "bigram_neural": W}
    )
    assert table.columns.tolist() == [
        "split",
        "name",
        "characters",
        "in_train",
        "bigram_count",
        "bigram_neural",
    ]
    assert table[["split", "name", "characters", "in_train"]].values.tolist() == [
        ["dev", "ab", 3, True],
        ["dev", "aab", 4, False],
    ]
    assert table["bigram_count"].isna().tolist() == [False, True]
    assert table["bigram_neural"].tolist() == pytest.approx([3 * math.log(3), 4 * math.log(3)])
    assert metrics["bigram_neural"]["nll"] == pytest.approx(math.log(3))


def test_positions_count_from_one_and_hold_what_is_finite():
    # the third character of aab follows a, after which P allows only b
    names = ["ab", "b", "aab"]
    assert characters(names).position.tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    examples = build_contexts.build(names, ITOS, 1)
    W = {"W": torch.zeros(3, 3)}
    _, positions, _ = evaluate.evaluate_split(
        "dev", names, examples, set(), {"bigram_count": P, "bigram_neural": W}
    )
    assert positions.columns.tolist() == ["split", "model", "position", "characters", "nll"]
    assert positions[["model", "position", "characters"]].values.tolist() == [
        ["bigram_count", 1, 3],
        ["bigram_count", 3, 2],
        ["bigram_count", 4, 1],
        ["bigram_neural", 1, 3],
        ["bigram_neural", 2, 3],
        ["bigram_neural", 3, 2],
        ["bigram_neural", 4, 1],
    ]
    assert set(positions["split"]) == {"dev"}
    expected = [math.log(2), -math.log(0.75) / 2, -math.log(0.75), *[math.log(3)] * 4]
    assert positions["nll"].tolist() == pytest.approx(expected)


def test_name_that_stands_twice_is_scored_once_and_counts_twice():
    names = ["ab", "bab", "ab"]
    found = characters(names)
    assert found.targets.tolist() == [1, 2, 0, 2, 1, 2, 0]
    assert found.name.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert found.times.tolist() == [2, 2, 2, 1, 1, 1, 1]

    examples = build_contexts.build(names, ITOS, 1)
    table, positions, metrics = evaluate.evaluate_split(
        "dev", names, examples, {"ab"}, {"bigram_count": P}
    )
    ab, bab = -math.log(0.5 * 0.75), -math.log(0.5 * 0.25 * 0.75)
    assert table["bigram_count"].tolist() == pytest.approx([ab, bab, ab])
    assert metrics["bigram_count"] == {
        "nll": pytest.approx((2 * ab + bab) / 10),
        # both ab are one name that was drawn, and it stands twice
        "stderr": pytest.approx(math.sqrt(2) * abs(bab - 4 * (2 * ab + bab) / 10) / 10),
        "perplexity": pytest.approx(math.exp((2 * ab + bab) / 10)),
        # a first, b after a, the end after b, but neither b first nor a after b
        "accuracy": pytest.approx(8 / 10),
        "nll_unseen": pytest.approx(bab / 4),
    }
    assert positions["characters"].tolist() == [3, 3, 3, 1]
    third = -(2 * math.log(0.75) + math.log(1)) / 3
    expected = [math.log(2), -math.log(0.25) / 3, third, -math.log(0.75)]
    assert positions["nll"].tolist() == pytest.approx(expected)


def test_metric_first_turns_the_levels_around():
    found = {"train": {"mlp": {"nll": 2.0}}, "dev": {"mlp": {"nll": 2.1, "accuracy": 0.3}}}
    assert evaluate.metric_first(found) == {
        "nll": {"mlp": {"train": 2.0, "dev": 2.1}},
        "accuracy": {"mlp": {"dev": 0.3}},
    }


def test_repeated_contexts_are_the_same_loss_as_each_by_itself():
    generator = np.random.default_rng(1)
    names = [
        "".join(generator.choice(["a", "b"], size=generator.integers(1, 9))) for _ in range(50)
    ]
    together = scores(names)["nll"]
    alone = [scores([name])["nll"][0] for name in dict.fromkeys(names)]
    np.testing.assert_array_equal(together, alone)
