import pytest

from charlm.sampling import Samples
from stages.sample import length_rows, measure


def test_samples_measured_by_hand():
    names = ["ava", "ava", "mia", "zo", "", "x", "emma", "avaa"]
    found = measure(Samples(names, 3), train={"ava", "zoe"}, dev=["mia", "zoe", "emma", "a"])
    assert found == {
        "in_train": 2 / 8,
        "in_dev": 2 / 8,
        "distinct": 7 / 8,
        "at_most_one_letter": 2 / 8,
        "cut_off": 3 / 8,
        # of lengths 0 to 4: 1, 1, 1, 3, 2 of 8, against 0, 1, 0, 2, 1 of 4
        "length_distance": pytest.approx((1 / 8 + 1 / 8 + 1 / 8 + 1 / 8 + 0) / 2),
    }


def test_without_dev_names_nothing_is_compared_with_them():
    assert measure(Samples(["ava"], 0), set(), []) == {
        "in_train": 0,
        "distinct": 1,
        "at_most_one_letter": 0,
        "cut_off": 0,
    }
    assert {title for _, title, _ in length_rows({"dev": [], "mlp": ["ava"]})} == {"mlp"}


def test_copies_of_train_occur_in_train_and_not_in_dev():
    train = {"ava", "mia", "zoe"}
    found = measure(Samples(sorted(train), 0), train, dev=["emma", "mia"])
    assert (found["in_train"], found["in_dev"]) == (1, 0)


def test_table_of_lengths_has_one_row_per_list_and_length():
    assert length_rows({"dev": ["ava", "zo"], "mlp": ["a"]}) == [
        (0, "dev", 0.0),
        (1, "dev", 0.0),
        (2, "dev", 0.5),
        (3, "dev", 0.5),
        (0, "mlp", 0.0),
        (1, "mlp", 1.0),
        (2, "mlp", 0.0),
        (3, "mlp", 0.0),
    ]
