import numpy as np
import pytest

from charlm.data.examples import bigram_counts, build_examples
from charlm.data.vocabulary import Vocabulary
from stages import split, train_bigram_count

VOCABULARY = Vocabulary.of([".", *"abcdefghijklmnopqrstuvwxyz"])


def counts_of(names: list[str]) -> np.ndarray:
    return bigram_counts(build_examples(names, VOCABULARY, 1), 27)


def nll_per_pair(P: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -np.log(P)


@pytest.mark.parametrize(
    ("smoothing", "expected"),
    [
        (0, [[0.25, 0.75], [0.5, 0.5]]),  # the second row has no counts: uniform
        (1, [[2 / 6, 4 / 6], [0.5, 0.5]]),
        (0.5, [[1.5 / 5, 3.5 / 5], [0.5, 0.5]]),
    ],
)
def test_probabilities_worked_by_hand(smoothing: float, expected: list[list[float]]):
    P = train_bigram_count.normalise(np.array([[1, 3], [0, 0]]), smoothing)
    np.testing.assert_allclose(P, expected, rtol=1e-15)


def test_two_boundary_symbols_by_hand():
    # a, <START>, <END>: <START>a twice, aa once, a<END> twice
    vocabulary = Vocabulary.of(["a", "<START>", "<END>"])
    counts = bigram_counts(build_examples(["a", "aa"], vocabulary, 1), 3)
    assert counts.tolist() == [[1, 0, 2], [2, 0, 0], [0, 0, 0]]
    # smoothing gives <START> a share that no target uses; after <END> all are the same
    P = train_bigram_count.normalise(counts, 1)
    expected = [[2 / 6, 1 / 6, 3 / 6], [3 / 5, 1 / 5, 1 / 5], [1 / 3, 1 / 3, 1 / 3]]
    np.testing.assert_allclose(P, expected, rtol=1e-15)
    assert train_bigram_count.normalise(counts, 0)[2].tolist() == [1 / 3] * 3


def test_a_single_pair_without_smoothing_is_certain():
    P = train_bigram_count.normalise(np.array([[1, 0], [0, 2]]), smoothing=0)
    assert P.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("smoothing", [0, 0.01, 1])
def test_rows_and_not_columns_sum_to_one(smoothing: float):
    P = train_bigram_count.normalise(counts_of(["emma", "olivia", "ava"]), smoothing)
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-12)
    assert abs(P.sum(axis=0) - 1).max() > 0.1


def test_reference_losses_on_all_names(names: list[str]):
    counts = counts_of(names)
    P = train_bigram_count.normalise(counts, 0)
    assert P[0, 2] == pytest.approx(0.0408, abs=5e-5)
    seen = counts > 0
    total = (counts[seen] * nll_per_pair(P)[seen]).sum()
    assert total / 228146 == pytest.approx(2.4540, abs=5e-5)
    assert total / 32033 == pytest.approx(17.478, abs=5e-4)
    smoothed = (counts * nll_per_pair(train_bigram_count.normalise(counts, 1))).sum()
    assert smoothed / 228146 == pytest.approx(2.4546, abs=5e-5)


@pytest.mark.parametrize(("name", "nll"), [("emma", 12.5690), ("olivia", 17.5112), ("ava", 8.7055)])
def test_reference_losses_of_single_names(names: list[str], name: str, nll: float):
    P = train_bigram_count.normalise(counts_of(names), 0)
    counts = counts_of([name])
    seen = counts > 0
    assert (counts[seen] * nll_per_pair(P)[seen]).sum() == pytest.approx(nll, abs=5e-5)


def test_one_pair_of_jq_does_not_occur(names: list[str]):
    counts = counts_of(names)
    number = VOCABULARY.itos.index
    pairs = [(number(first), number(second)) for first, second in (".j", "jq", "q.")]
    assert [int(counts[pair]) for pair in pairs] == [2422, 0, 28]


@pytest.mark.parametrize(
    ("smoothing", "nll"),
    [
        (0.01, 2.4535),
        (0.1, 2.4531),
        (0.3, 2.4530),
        (3, 2.4550),
        (10, 2.4627),
        (30, 2.4858),
        (100, 2.5544),
        (1000, 2.8941),
    ],
)
def test_reference_sweep_of_smoothing_on_dev(names: list[str], smoothing: float, nll: float):
    splits = split.cut(split.shuffle(names, 42), 0.8, 0.1)
    P = train_bigram_count.normalise(counts_of(splits["train"]), smoothing)
    counts = counts_of(splits["dev"])
    assert (counts * nll_per_pair(P)).sum() / 22655 == pytest.approx(nll, abs=5e-4)
