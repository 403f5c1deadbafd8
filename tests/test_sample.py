import math

import pytest
import torch
from torch import Generator

from charlm.models import mlp as models
from stages.sample import length_table, measure, sample

ITOS = [".", "a", "b"]
# a name is a, then any number of b, each going on with probability one half
P = {"P": torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.5, 0.0, 0.5]], dtype=torch.float64)}


def draw(
    parameters: models.Parameters = P,
    model: str = "bigram_count",
    count: int = 10,
    seed: int = 1,
    **changes: object,
) -> list[str]:
    options = {"temperature": 1.0, "max_length": 30} | changes
    return sample(
        model, parameters, ITOS, count, **options, generator=Generator().manual_seed(seed)
    )


def test_names_follow_the_model():
    names = draw(count=4000)
    assert all(name == "a" + "b" * (len(name) - 1) for name in names)
    for length in (1, 2, 3):
        share = sum(len(name) == length for name in names) / 4000
        expected = 0.5**length
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 4000)


def test_seed_alone_decides():
    torch.manual_seed(0)
    first = draw(count=50)
    torch.manual_seed(1)
    assert draw(count=50) == first
    assert draw(count=50, seed=2) != first


def test_each_name_has_chances_of_its_own():
    # after a, more names end at once; those that go on in both models go on alike
    shorter = {"P": torch.tensor([[0.0, 1.0, 0.0], [0.9, 0.0, 0.1], [0.5, 0.0, 0.5]]).double()}
    pairs = list(zip(draw(count=200), draw(shorter, count=200), strict=True))
    assert any(len(short) > 3 for _, short in pairs)
    assert all(short in ("a", long) for long, short in pairs)


def test_long_names_are_cut_off():
    endless = {"P": torch.tensor([[0.0, 1.0, 0.0]] * 3, dtype=torch.float64)}
    assert draw(endless, count=2, max_length=4) == ["aaaa", "aaaa"]
    assert draw(count=3, max_length=1) == ["a", "a", "a"]


def test_name_may_be_empty():
    assert draw({"P": torch.tensor([[1.0, 0.0, 0.0]] * 3, dtype=torch.float64)}, count=2) == [
        "",
        "",
    ]


@pytest.mark.parametrize("temperature", [1e-300, 1e-3])
def test_low_temperature_takes_the_most_probable(temperature: float):
    W = {"W": torch.tensor([[0.0, 1.0, 1.1], [0.0, 5.0, 0.0], [3.0, 2.0, 1.0]])}
    assert draw(W, "bigram_neural", count=3, temperature=temperature) == ["b", "b", "b"]


def test_high_temperature_comes_close_to_uniform_but_never_to_the_impossible():
    names = draw(count=3000, temperature=1e6, max_length=1)
    assert set(names) == {"a"}
    W = {"W": torch.tensor([[5.0, 1.0, 0.0]] * 3)}
    names = draw(W, "bigram_neural", count=3000, temperature=1e6, max_length=1)
    assert all(abs(names.count(name) / 3000 - 1 / 3) < 0.04 for name in ("", "a", "b"))


def test_mlp_sees_the_characters_drawn_before():
    # it looks at two symbols: after the start comes a, after .a comes b, after ab the end
    C = torch.eye(3)
    W1 = torch.zeros(6, 3)
    for hidden, (before, last) in enumerate([(0, 0), (0, 1), (1, 2)]):
        W1[before, hidden] = W1[3 + last, hidden] = 10.0
    W2 = torch.zeros(3, 3)
    W2[0, 1] = W2[1, 2] = W2[2, 0] = 1000.0
    parameters = {"C": C, "W1": W1, "b1": torch.full((3,), -15.0), "W2": W2, "b2": torch.zeros(3)}
    assert draw(parameters, "mlp", count=3) == ["ab", "ab", "ab"]


def test_samples_measured_by_hand():
    names = ["ava", "ava", "mia", "zo", "", "x", "emma", "avaa"]
    found = measure(names, train={"ava", "zoe"}, dev=["mia", "zoe", "emma", "a"])
    assert found == {
        "in_train": 2 / 8,
        "in_dev": 2 / 8,
        "distinct": 7 / 8,
        "at_most_one_letter": 2 / 8,
        # of lengths 0 to 4: 1, 1, 1, 3, 2 of 8, against 0, 1, 0, 2, 1 of 4
        "length_distance": pytest.approx((1 / 8 + 1 / 8 + 1 / 8 + 1 / 8 + 0) / 2),
    }


def test_without_dev_names_there_is_nothing_to_compare_with():
    assert set(measure(["ava"], set(), [])) == {"in_train", "distinct", "at_most_one_letter"}
    assert set(length_table({"dev": [], "mlp": ["ava"]})["model"]) == {"mlp"}


def test_what_copies_stands_in_train_and_nowhere_else():
    train = {"ava", "mia", "zoe"}
    found = measure(sorted(train), train, dev=["emma", "mia"])
    assert (found["in_train"], found["in_dev"]) == (1, 0)


def test_table_of_lengths_has_a_row_for_each_length_of_each_list():
    table = length_table({"dev": ["ava", "zo"], "mlp": ["a"]})
    assert table.columns.tolist() == ["length", "model", "share"]
    assert table.values.tolist() == [
        [0, "dev", 0.0],
        [1, "dev", 0.0],
        [2, "dev", 0.5],
        [3, "dev", 0.5],
        [0, "mlp", 0.0],
        [1, "mlp", 1.0],
        [2, "mlp", 0.0],
        [3, "mlp", 0.0],
    ]
