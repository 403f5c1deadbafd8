import numpy as np
import pytest
import torch

from charlm.errors import InputError
from charlm.examples import build_examples
from charlm.models.ngram_count import NgramCount
from charlm.vocabulary import build_vocabulary
from stages import split, train_ngram_count
from stages.train_ngram_count import count_levels, discounts, interpolate
from tests.conftest import SETTINGS, limit_memory

ITOS = [".", "a", "b"]


def train(names: list[str], itos: list[str], order: int) -> NgramCount:
    examples = build_examples(names, itos, order - 1)
    tensors = train_ngram_count.train(count_levels(examples, len(itos)), len(itos))
    named = {key: torch.from_numpy(tensor) for key, tensor in tensors.items()}
    return NgramCount.from_tensors(named, len(itos))


def test_counts_of_shorter_contexts_are_of_different_predecessors():
    # .a and .b, ab, twice b.
    longest, empty = count_levels(build_examples(["ab", "b"], ITOS, 1), 3)
    assert longest.contexts.tolist() == [[0], [1], [2]]
    assert longest.counts.tolist() == [[0, 1, 1], [0, 0, 1], [2, 0, 0]]
    # b follows the boundary and a; the end, though it occurs twice, follows only b
    assert empty.counts.tolist() == [[1, 1, 2]]


def test_discounts_by_hand():
    # 3 pairs once, 2 twice, 1 three times, 1 four times: Y = 3 / 7
    counts = np.array([0, 1, 1, 1, 2, 2, 3, 4])
    Y = 3 / 7
    expected = [0, 1 - 2 * Y * 2 / 3, 2 - 3 * Y * 1 / 2, 3 - 4 * Y * 1 / 1]
    assert discounts(counts).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 1, 3], [0, 0.5, 1, 1.5]),  # nothing twice
        ([2, 2, 3, 4], [0, 0.5, 1, 1.5]),  # nothing once
        ([1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4], [0, 1 - 2 / 7 * 3, 1, 3 - 4 / 7 / 7]),
        ([1] * 9 + [2] + [3] * 9 + [4], [0, 1 - 2 * 9 / 11 / 9, 0.2, 3 - 4 * 9 / 11 / 9]),
    ],
)
def test_discounts_where_counts_are_few_or_strange(counts: list[int], expected: list[float]):
    found = discounts(np.array(counts))
    assert found.tolist() == pytest.approx(expected)


def test_probabilities_of_two_names_by_hand():
    model = train(["ab", "b"], ITOS, order=2)
    # empty context: counts 1, 1, 2 with discounts 0.5 and 1, and 2 of 4 redistributed evenly
    assert model.P0[0].tolist() == pytest.approx([3.5 / 12, 3.5 / 12, 5 / 12])
    # discounts 0.6 and 1
    expected = [[0.175, 0.375, 0.45], [0.175, 0.175, 0.65], [0.6458333, 0.1458333, 0.2083333]]
    np.testing.assert_allclose(model.P1.numpy(), expected, atol=1e-6)
    logits = model(torch.tensor([[2], [0]]))
    np.testing.assert_allclose(logits.exp().numpy(), [expected[2], expected[0]], atol=1e-6)


def test_rows_sum_to_one_at_every_length():
    tensors = train(["ab", "b", "abba", "bab", "a"], ITOS, order=4).arrays()
    for length in range(4):
        np.testing.assert_allclose(tensors[f"P{length}"].sum(axis=1), 1, atol=1e-12)


def test_unknown_context_has_the_probabilities_of_its_longest_known_end():
    model = train(["ab", "abb"], ITOS, order=4)

    def probabilities(*context: int) -> list[float]:
        return model(torch.tensor([context])).exp()[0].tolist()

    # bb ends a name, but never follows b or a boundary
    assert (
        probabilities(2, 2, 2)
        == probabilities(0, 2, 2)
        == pytest.approx(stored_probabilities(model, 2, 2))
    )
    # aa does not occur, a does
    assert probabilities(1, 1, 1) == pytest.approx(stored_probabilities(model, 1))
    # symbols before the last three change nothing
    expected = stored_probabilities(model, 0, 0, 1)
    assert probabilities(1, 0, 0, 1) == probabilities(0, 0, 1) == pytest.approx(expected)


def stored_probabilities(model: NgramCount, *context: int) -> list[float]:
    """Return the row of a context, found from its last symbol to its first."""
    tensors, row = model.arrays(), 0
    for length, symbol in enumerate(reversed(context), start=1):
        row = tensors[f"keys{length}"].tolist().index(row * 3 + symbol)
    return tensors[f"P{len(context)}"][row].tolist()


def test_no_probability_is_zero():
    generator = np.random.default_rng(1)
    for size in (1, 3, 10, 50):
        for _ in range(20):
            words = ["".join(generator.choice(["a", "b"], size=3)) for _ in range(size)]
            tensors = train(words, ITOS, order=4).arrays()
            assert all((tensors[f"P{length}"] > 0).all() for length in range(4))


def test_interpolation_redistributes_what_it_takes():
    counts = np.array([[4, 1, 0], [0, 2, 0]])
    shorter = np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
    found = interpolate(counts, np.array([0, 0.5, 1.0, 1.5]), shorter)
    # 1.5 + 0.5 of 5, and 1 of 2
    expected = [[(2.5 + 1) / 5, (0.5 + 0.5) / 5, 0.5 / 5], [0.1, (1 + 0.2) / 2, 0.3]]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("order", "reference"), [(4, 2.056), (5, 1.984), (6, 1.975)])
def test_reference_losses_on_the_lectures_split(names: list[str], order: int, reference: float):
    itos, chosen = build_vocabulary(names), SETTINGS.split
    splits = split.cut(split.shuffle(names, chosen.seed), chosen.train, chosen.dev)
    model = train(splits["train"], itos, order)
    dev = build_examples(splits["dev"], itos, order - 1)
    logits = model(torch.from_numpy(dev["contexts"]).long())
    targets = torch.from_numpy(dev["targets"]).long()
    nll = torch.nn.functional.cross_entropy(logits, targets).item()
    assert nll == pytest.approx(reference, abs=0.003)


def test_long_contexts_that_need_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch):
    # six tables of 3 symbols after 4 contexts of each of 4 lengths, 8 bytes per cell
    needed = 6 * 3 * 4 * 4 * 8
    limit_memory(monkeypatch, needed - 1)
    examples = {
        "contexts": np.uint8([[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 1]]),
        "targets": np.uint8([1, 2, 1, 0]),
    }
    with pytest.raises(InputError, match="contexts of up to 3 symbols, 4 of them that long, would"):
        count_levels(examples, symbols=3)
    limit_memory(monkeypatch, needed)
    assert len(count_levels(examples, symbols=3)) == 4
