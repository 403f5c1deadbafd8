"""Names drawn from small models; some draws worked out by hand."""

import math

import numpy as np
import pytest
import torch

from charlm import sampling
from charlm.core.errors import InputError
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.models.mlp import MLP
from charlm.sampling import Samples, Uniforms, default_max_length, sample_names
from tests.conftest import limit_memory
from tests.test_models import random_mlp

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # of numpy, on stderr
VOCABULARY = Vocabulary.of([".", "a", "b"])


def counted(*rows: list[float]) -> BigramCount:
    return BigramCount({"P": np.array(rows)}, 3)


def neural(*rows: list[float]) -> BigramNeural:
    return BigramNeural({"W": np.float32(rows)}, 3)


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
    top_k: int | None = None,
) -> list[str]:
    how = (count, temperature, max_length, Uniforms(seed), prefix, top_k)
    return sample_names(model, vocabulary, *how).names


@pytest.mark.parametrize("seed", [0, 1, 2147483647, 2**32 + 5])
def test_uniforms_are_those_of_torch(seed: int):
    uniforms, generator = Uniforms(seed), torch.Generator().manual_seed(seed)
    for count in (1, 3, 20, 1000):  # 2,048 outputs in all, of which the twister has 624 at once
        expected = torch.rand(count, dtype=torch.float64, generator=generator).numpy()
        found = uniforms.draw(count)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, expected)


def test_no_uniforms_leave_those_that_follow_as_they_are():
    uniforms = Uniforms(1)
    assert uniforms.draw(0).shape == (0,)
    np.testing.assert_array_equal(uniforms.draw(3), Uniforms(1).draw(3))


def test_names_follow_the_model():
    names = draw(count=4000)
    assert all(name == "a" + "b" * (len(name) - 1) for name in names)
    for length in (1, 2, 3):
        share = sum(len(name) == length for name in names) / 4000
        expected = 0.5**length
        assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 4000)


def test_only_the_seed_decides():
    np.random.seed(0)  # noqa: NPY002 - the generator that must not matter
    first = draw(count=50)
    np.random.seed(1)  # noqa: NPY002
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
    found = sample_names(endless, VOCABULARY, 5, 1.0, 4, Uniforms(1))
    assert found == Samples(["aaaa"] * 5, cut_off=5)
    # every second name of up to 3 characters goes on, as does every fourth of up to 2
    found = sample_names(MODEL, VOCABULARY, 4000, 1.0, 3, Uniforms(1))
    assert found.cut_off == found.names.count("abb")
    assert abs(found.cut_off / 4000 - 1 / 4) < 4 * math.sqrt(3 / 16 / 4000)
    assert sample_names(MODEL, VOCABULARY, 100, 1.0, 100, Uniforms(1)).cut_off == 0


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
    model = random_mlp(3, block_size=2, embedding=2, hidden=4)
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
    W = np.zeros((len(itos), len(itos)), np.float32)
    if vocabulary.start != vocabulary.end:
        W[:, vocabulary.start] = 50.0  # as good as certain
    model = BigramNeural({"W": W}, len(itos))
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
        P = np.zeros((len(itos), len(itos)))
        P[vocabulary.start, a] = P[a, b] = P[b, vocabulary.end] = 1
        P[P.sum(axis=1) == 0] = 1 / len(itos)
        model = BigramCount({"P": P}, len(itos))
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


def test_only_the_most_probable_symbols_are_drawn():
    # b is the most probable symbol, with e / (1 + e) = 0.731 of two; the end is the third
    model = neural(*[[0.0, 1.0, 2.0]] * 3)
    assert draw(model, count=3, max_length=2, top_k=1) == ["bb"] * 3
    names = draw(model, count=4000, max_length=1, top_k=2)
    assert set(names) == {"a", "b"}
    assert abs(names.count("b") / 4000 - 0.731) < 4 * math.sqrt(0.731 * 0.269 / 4000)
    assert draw(model, count=100, top_k=3) == draw(model, count=100)
    # at a high temperature both are as probable, and the third is still left out
    assert set(draw(model, count=100, max_length=1, top_k=2, temperature=1e6)) == {"a", "b"}


def test_symbols_as_probable_as_the_last_are_drawn_too():
    names = draw(neural(*[[0.0, 1.0, 1.0]] * 3), count=100, max_length=1, top_k=1)
    assert set(names) == {"a", "b"}


def test_impossible_symbols_stay_impossible_among_the_most_probable():
    assert set(draw(count=50, max_length=1, top_k=2)) == {"a"}
    vocabulary = Vocabulary.of(["<START>", "<END>", "a"])
    start = BigramNeural({"W": np.float32([[9, 1, 2]] * 3)}, 3)
    assert draw(start, count=3, max_length=2, vocabulary=vocabulary, top_k=1) == ["aa"] * 3


def test_high_temperature_is_close_to_uniform_among_what_is_possible():
    names = draw(count=3000, temperature=1e6, max_length=1)
    assert set(names) == {"a"}
    names = draw(neural(*[[5.0, 1.0, 0.0]] * 3), count=3000, temperature=1e6, max_length=1)
    assert all(abs(names.count(name) / 3000 - 1 / 3) < 0.04 for name in ("", "a", "b"))


def test_mlp_sees_the_characters_drawn_before():
    # its block size is 2: a follows the start, b follows .a, the end follows ab
    C = np.eye(3, dtype=np.float32)
    W1 = np.zeros((6, 3), np.float32)
    for hidden, (before, last) in enumerate([(0, 0), (0, 1), (1, 2)]):
        W1[before, hidden] = W1[3 + last, hidden] = 10.0
    W2 = np.zeros((3, 3), np.float32)
    W2[0, 1] = W2[1, 2] = W2[2, 0] = 1000.0
    b1, b2 = np.float32([-15, -15, -15]), np.zeros(3, np.float32)
    model = MLP({"C": C, "W1": W1, "b1": b1, "W2": W2, "b2": b2}, 3)
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
        def logits(self, contexts: np.ndarray) -> np.ndarray:
            rows.append(contexts.tolist())
            return super().logits(contexts)

    model = Watched(MODEL.arrays, 3)
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
