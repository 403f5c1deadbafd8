import numpy as np
import pytest
import torch

from charlm import InputError, runtime as running, vocabulary
from charlm.models import mlp as models
from stages import build_contexts, split, train_ngram_count
from stages.train_ngram_count import discounts, interpolate, levels
from tests.conftest import SETTINGS

ITOS = [".", "a", "b"]


def train(names: list[str], itos: list[str], order: int) -> models.Parameters:
    examples = build_contexts.build(names, itos, order - 1)
    tensors = train_ngram_count.train(levels(examples, len(itos)), len(itos))
    return {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}


def test_counts_of_shorter_contexts_are_of_different_predecessors():
    # .a and .b, ab, twice b.
    longest, empty = levels(build_contexts.build(["ab", "b"], ITOS, 1), 3)
    assert longest.contexts.tolist() == [[0], [1], [2]]
    assert longest.counts.tolist() == [[0, 1, 1], [0, 0, 1], [2, 0, 0]]
    # b stands after the boundary and after a; the end, though it is there twice, after b alone
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
    P = train(["ab", "b"], ITOS, order=2)
    # empty context: counts 1, 1, 2 with discounts 0.5 and 1, and 2 of 4 given out evenly
    assert P["P0"][0].tolist() == pytest.approx([3.5 / 12, 3.5 / 12, 5 / 12])
    # discounts 0.6 and 1
    expected = [[0.175, 0.375, 0.45], [0.175, 0.175, 0.65], [0.6458333, 0.1458333, 0.2083333]]
    np.testing.assert_allclose(P["P1"].numpy(), expected, atol=1e-6)
    logits = models.ngram_count_logits(P, torch.tensor([[2], [0]]))
    np.testing.assert_allclose(logits.exp().numpy(), [expected[2], expected[0]], atol=1e-6)


def test_rows_sum_to_one_at_every_length():
    for name, tensor in train(["ab", "b", "abba", "bab", "a"], ITOS, order=4).items():
        if name.startswith("P"):
            np.testing.assert_allclose(tensor.sum(dim=1).numpy(), 1, atol=1e-12)


def test_unknown_context_is_answered_by_its_longest_known_end():
    P = train(["ab", "abb"], ITOS, order=4)

    def answer(*context: int) -> list[float]:
        return models.ngram_count_logits(P, torch.tensor([context])).exp()[0].tolist()

    # bb ends a name, but never stood behind b or a boundary
    assert answer(2, 2, 2) == answer(0, 2, 2) == pytest.approx(stored(P, 2, 2))
    # aa stood nowhere, a did
    assert answer(1, 1, 1) == pytest.approx(stored(P, 1))
    # symbols before those that it looks at change nothing
    assert answer(1, 0, 0, 1) == answer(0, 0, 1) == pytest.approx(stored(P, 0, 0, 1))


def stored(P: models.Parameters, *context: int) -> list[float]:
    """The row of a context, found by walking from its last symbol to its first."""
    row = 0
    for length, symbol in enumerate(reversed(context), start=1):
        row = P[f"keys{length}"].tolist().index(row * 3 + symbol)
    return P[f"P{len(context)}"][row].tolist()


def test_nothing_is_ruled_out():
    generator = np.random.default_rng(1)
    for size in (1, 3, 10, 50):
        for _ in range(20):
            words = ["".join(generator.choice(["a", "b"], size=3)) for _ in range(size)]
            tensors = train(words, ITOS, order=4)
            assert all((tensors[name] > 0).all() for name in tensors if name.startswith("P"))


def test_interpolation_gives_back_what_it_takes():
    counts = np.array([[4, 1, 0], [0, 2, 0]])
    shorter = np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
    found = interpolate(counts, np.array([0, 0.5, 1.0, 1.5]), shorter)
    # 1.5 + 0.5 of 5, and 1 of 2
    expected = [[(2.5 + 1) / 5, (0.5 + 0.5) / 5, 0.5 / 5], [0.1, (1 + 0.2) / 2, 0.3]]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize(("order", "reference"), [(4, 2.056), (5, 1.984), (6, 1.975)])
def test_reference_losses_on_the_lectures_split(names: list[str], order: int, reference: float):
    itos, chosen = vocabulary.build(names), SETTINGS.split
    splits = split.cut(split.shuffle(names, chosen.seed), chosen.train, chosen.dev)
    P = train(splits["train"], itos, order)
    dev = build_contexts.build(splits["dev"], itos, order - 1)
    logits = models.ngram_count_logits(P, torch.from_numpy(dev["contexts"]).long())
    targets = torch.from_numpy(dev["targets"]).long()
    nll = torch.nn.functional.cross_entropy(logits, targets).item()
    assert nll == pytest.approx(reference, abs=0.003)


def test_long_contexts_that_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "MEMORY", 8 * 3 * 4 * (3 * 4 + 6) - 1)
    examples = {
        "contexts": np.uint8([[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 1]]),
        "targets": np.uint8([1, 2, 1, 0]),
    }
    with pytest.raises(InputError, match="contexts of up to 3 symbols, 4 of them that long, would"):
        train_ngram_count.levels(examples, symbols=3)
    monkeypatch.setattr(running, "MEMORY", 8 * 3 * 4 * (3 * 4 + 6))
    train_ngram_count.levels(examples, symbols=3)
