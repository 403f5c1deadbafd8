"""Names drawn from small models; some draws worked out by hand."""

import math

import pytest
import torch
from torch import Generator, Tensor

from charlm import sampling
from charlm.core.errors import InputError
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.models.mlp import MLP
from charlm.sampling import Samples, default_max_length, sample_names
from tests.conftest import limit_memory

VOCABULARY = Vocabulary.of([".", "a", "b"])


def counted(*rows: list[float]) -> BigramCount:
    return BigramCount.from_tensors({"P": torch.tensor(rows, dtype=torch.float64)}, 3)


def neural(*rows: list[float]) -> BigramNeural:
    return BigramNeural.from_tensors({"W": torch.tensor(rows)}, 3)


# a name is a, then any number of b; each continues with probability one half
MODEL = counted([0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.5, 0.0, 0.5])


def draw(
    model: Model = MODEL,
    count: int = 10,
    seed: int = 1,
    prefix: str = "",
    temperature: float = 1.0,
    max_length: int = 30,
    vocabulary: Vocabulary = VOCABULARY,
) -> list[str]:
    generator = Generator().manual_seed(seed)
    return sample_names(model, vocabulary, count, temperature, max_length, generator, prefix).names


def test_names_follow_the_model():
    names = draw(count=4000)
    assert all(name == "a" + "b" * (len(name) - 1) for name in names)
    for length in (1, 2, 3):
        share = sum(len(name) == length for name in names) / 4000
        expected = 0.5**length
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 4000)


def test_only_the_seed_decides():
    torch.manual_seed(0)
    first = draw(count=50)
    torch.manual_seed(1)
    assert draw(count=50) == first
    assert draw(count=50, seed=2) != first


def test_draws_of_a_name_do_not_depend_on_the_others():
    # after a, more names end at once; those that continue in both models continue alike
    shorter = counted([0.0, 1.0, 0.0], [0.9, 0.0, 0.1], [0.5, 0.0, 0.5])
    pairs = list(zip(draw(count=200), draw(shorter, count=200), strict=True))
    assert any(len(short) > 3 for _, short in pairs)
    assert all(short in ("a", long) for long, short in pairs)


def test_long_names_are_cut_off():
    endless = counted(*[[0.0, 1.0, 0.0]] * 3)
    assert draw(endless, count=2, max_length=4) == ["aaaa", "aaaa"]
    assert draw(count=3, max_length=1) == ["a", "a", "a"]


def test_names_cut_off_are_counted():
    endless = counted(*[[0.0, 1.0, 0.0]] * 3)
    generator = Generator().manual_seed(1)
    found = sample_names(endless, VOCABULARY, 5, 1.0, 4, generator)
    assert found == Samples(["aaaa"] * 5, cut_off=5)
    # every second name of up to 3 characters goes on, as does every fourth of up to 2
    generator = Generator().manual_seed(1)
    found = sample_names(MODEL, VOCABULARY, 4000, 1.0, 3, generator)
    assert found.cut_off == found.names.count("abb")
    assert abs(found.cut_off / 4000 - 1 / 4) < 4 * math.sqrt(3 / 16 / 4000)
    generator = Generator().manual_seed(1)
    assert sample_names(MODEL, VOCABULARY, 100, 1.0, 100, generator).cut_off == 0


@pytest.mark.parametrize("blank", [" ", "\u00a0", "\u3000"])
def test_name_that_is_cut_off_ends_in_no_space(blank: str):
    # a, then a blank, then a again
    model = counted([0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
    vocabulary = Vocabulary.of([".", blank, "a"])
    for max_length, name in {1: "a", 2: "a", 3: f"a{blank}a", 4: f"a{blank}a"}.items():
        assert draw(model, 1, max_length=max_length, vocabulary=vocabulary) == [name]


def test_name_that_is_cut_off_keeps_the_space_at_its_start():
    model = counted([0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    assert draw(model, 1, max_length=3, vocabulary=Vocabulary.of([".", " ", "a"])) == [" aa"]


@pytest.mark.parametrize("max_cells", [1, 7, 300])
def test_names_do_not_depend_on_the_size_of_groups(monkeypatch: pytest.MonkeyPatch, max_cells: int):
    generator = Generator().manual_seed(5)
    model = MLP(3, 2, 2, 4)
    model.initialise("normal", generator)
    expected = draw(model, count=500)
    assert len(set(expected)) > 10
    monkeypatch.setattr(sampling, "MAX_CELLS", max_cells)
    assert draw(model, count=500) == expected


@pytest.mark.parametrize(
    "itos", [["<START>", "<END>", "a", "b"], ["a", "b", "<START>", "<END>"], ["a", "b", "."]]
)
@pytest.mark.parametrize("temperature", [1e-3, 1.0, 1e6])
def test_start_is_never_drawn(itos: list[str], temperature: float):
    vocabulary = Vocabulary.of(itos)
    W = torch.zeros(len(itos), len(itos))
    if vocabulary.start != vocabulary.end:
        W[:, vocabulary.start] = 50.0  # as good as certain
    model = BigramNeural.from_tensors({"W": W}, len(itos))
    names = draw(model, count=3000, temperature=temperature, max_length=1, vocabulary=vocabulary)
    # a, b and the end remain
    assert set(names) == {"", "a", "b"}
    assert all(abs(names.count(name) / 3000 - 1 / 3) < 0.04 for name in ("", "a", "b"))


@pytest.mark.parametrize("boundary", ["one", "two"])
def test_place_of_the_boundary_changes_no_name_that_is_certain(boundary: str):
    # a after the start, b after a, the end after b
    for itos in (
        (["a", "b", "."], [".", "a", "b"])
        if boundary == "one"
        else (["a", "b", "<START>", "<END>"], ["<START>", "<END>", "a", "b"])
    ):
        vocabulary = Vocabulary.of(itos)
        a, b = vocabulary.encode("ab").tolist()
        P = torch.zeros((len(itos), len(itos)), dtype=torch.float64)
        P[vocabulary.start, a] = P[a, b] = P[b, vocabulary.end] = 1
        P[P.sum(dim=1) == 0] = 1 / len(itos)
        model = BigramCount.from_tensors({"P": P}, len(itos))
        assert draw(model, count=3, vocabulary=vocabulary) == ["ab"] * 3
        assert draw(model, count=3, prefix="a", vocabulary=vocabulary) == ["ab"] * 3


@pytest.mark.parametrize(("longest", "expected"), [(1, 30), (15, 30), (16, 32), (40, 80)])
def test_default_length_is_twice_the_longest_name(longest: int, expected: int):
    assert default_max_length(["a", "b" * longest]) == expected


def test_name_may_be_empty():
    assert draw(counted(*[[1.0, 0.0, 0.0]] * 3), count=2) == ["", ""]


# any logit divided by 5e-324, the smallest number there is, would be infinite
@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-3])
def test_low_temperature_takes_the_most_probable(temperature: float):
    model = neural([0.0, 1.0, 1.1], [0.0, 5.0, 0.0], [3.0, 2.0, 1.0])
    assert draw(model, count=3, temperature=temperature) == ["b", "b", "b"]


def test_high_temperature_is_close_to_uniform_among_what_is_possible():
    names = draw(count=3000, temperature=1e6, max_length=1)
    assert set(names) == {"a"}
    names = draw(neural(*[[5.0, 1.0, 0.0]] * 3), count=3000, temperature=1e6, max_length=1)
    assert all(abs(names.count(name) / 3000 - 1 / 3) < 0.04 for name in ("", "a", "b"))


def test_mlp_sees_the_characters_drawn_before():
    # its block size is 2: a follows the start, b follows .a, the end follows ab
    C = torch.eye(3)
    W1 = torch.zeros(6, 3)
    for hidden, (before, last) in enumerate([(0, 0), (0, 1), (1, 2)]):
        W1[before, hidden] = W1[3 + last, hidden] = 10.0
    W2 = torch.zeros(3, 3)
    W2[0, 1] = W2[1, 2] = W2[2, 0] = 1000.0
    tensors = {"C": C, "W1": W1, "b1": torch.full((3,), -15.0), "W2": W2, "b2": torch.zeros(3)}
    model = MLP.from_tensors(tensors, 3)
    assert draw(model, count=3) == ["ab", "ab", "ab"]
    # a prefix is a context like what was drawn
    assert draw(model, count=2, prefix="a") == ["ab", "ab"]
    assert draw(model, count=2, prefix="bab") == ["bab", "bab"]


def test_prefix_counts_towards_the_length():
    endless = counted(*[[0.0, 1.0, 0.0]] * 3)
    assert draw(endless, count=2, prefix="bb", max_length=5) == ["bbaaa", "bbaaa"]
    assert draw(endless, count=2, prefix="bb", max_length=2) == ["bb", "bb"]


def test_prefix_with_an_unknown_character_is_refused():
    with pytest.raises(ValueError, match=r"^'c' is not among the characters 'ab'$"):
        draw(prefix="ac")


def test_context_that_names_share_is_computed_once():
    rows = []

    class Watched(BigramCount):
        def forward(self, contexts: Tensor) -> Tensor:
            rows.append(contexts.tolist())
            return super().forward(contexts)

    model = Watched.from_tensors({"P": MODEL.P}, 3)
    assert draw(model, count=100, max_length=3) == draw(count=100, max_length=3)
    assert rows == [[[0]], [[1]], [[2]]]


def test_so_many_names_that_they_need_too_much_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
):
    # six tables of 10 characters and a context of 1 per name, 8 bytes each
    needed = 6 * 1_000 * (10 + 1) * 8
    limit_memory(monkeypatch, needed - 1)
    message = "1,000 names of up to 10 characters would .* lower the count or the length"
    with pytest.raises(InputError, match=message):
        draw(count=1_000, max_length=10)
    limit_memory(monkeypatch, needed)
    assert len(draw(count=1_000, max_length=10)) == 1_000
