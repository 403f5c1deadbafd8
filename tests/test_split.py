import random
from functools import partial

import pytest

from charlm.core.errors import InputError
from stages import split


def test_reference_sizes_first_names_and_leak(names: list[str]):
    splits = split.cut(split.shuffle(names, 42), 0.8, 0.1)
    assert {key: members[:3] for key, members in splits.items()} == {
        "train": ["yuheng", "diondre", "xavien"],
        "dev": ["amay", "aytana", "jenevi"],
        "test": ["mustafa", "reuben", "kahlel"],
    }
    read = {name: partial(list, [names]) for name, names in splits.items()}
    assert split.describe(read) == [
        ("train", 25626, 182625, None),
        ("dev", 3203, 22655, 424 / 3203),
        ("test", 3204, 22866, 377 / 3204),
    ]


def test_shuffle_copies_and_keeps_every_name():
    names = ["ava", "emma", "ava", "mia", "zoe"]
    before = random.getstate()
    shuffled = split.shuffle(names, 1)
    assert random.getstate() == before
    assert names == ["ava", "emma", "ava", "mia", "zoe"]
    assert sorted(shuffled) == sorted(names)
    assert shuffled != names
    assert split.shuffle(names, 1) == shuffled
    assert split.shuffle(names, None) == names


def test_repeats_are_dropped_before_the_limit():
    names = ["ava", "emma", "ava", "mia"]
    assert split.select(names, unique=False, limit=3) == ["ava", "emma", "ava"]
    assert split.select(names, unique=True, limit=3) == ["ava", "emma", "mia"]
    assert split.select(names, unique=False, limit=None) == names


@pytest.mark.parametrize(
    ("count", "train", "dev", "sizes"),
    [
        (10, 0.8, 0.1, (8, 1, 1)),
        (10, 0.7, 0.1, (7, 1, 2)),
        (100, 0.29, 0.01, (29, 1, 70)),
        (5, 1.0, 0.0, (5, 0, 0)),
        (3, 0.5, 0.5, (1, 2, 0)),
    ],
)
def test_cut_sizes(count: int, train: float, dev: float, sizes: tuple[int, ...]):
    names = [f"name{number}" for number in range(count)]
    splits = split.cut(names, train, dev)
    assert tuple(map(len, splits.values())) == sizes
    assert [name for members in splits.values() for name in members] == names


def test_empty_train_is_refused():
    with pytest.raises(
        InputError, match=r"0\.8 of 1 names leaves train empty; raise split\.train$"
    ):
        split.cut(["ava"], 0.8, 0.1)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_list_too_short_for_a_dev_name_is_refused(count: int):
    names = [f"name{number}" for number in range(count)]
    with pytest.raises(InputError) as error:
        split.cut(names, 0.8, 0.1)
    assert str(error.value) == (
        f"split: 0.1 of {count} names leaves dev empty; use more names, or set split.dev to 0 and "
        "evaluate.splits to [train]"
    )
    assert list(map(len, split.cut(names, 0.8, 0.0).values()))[1] == 0


@pytest.mark.parametrize("count", [6, 9, 10])
def test_six_names_are_enough_for_a_dev_name(count: int):
    splits = split.cut([f"name{number}" for number in range(count)], 0.8, 0.1)
    assert len(splits["dev"]) == 1


def test_empty_split_has_no_leak():
    pieces = {"train": [["ava"], ["mia"]], "dev": [["mia", "zoe"]], "test": []}
    described = split.describe({name: partial(list, lists) for name, lists in pieces.items()})
    assert described == [("train", 2, 8, None), ("dev", 2, 8, 0.5), ("test", 0, 0, None)]
