import numpy as np

from charlm import examples as contexts, vocabulary
from stages import build_contexts, split

ITOS = [".", "a", "b"]


def test_hand_counted_pairs():
    examples = build_contexts.build(["ab", "aab"], ITOS, 1)  # .a ab b. .a aa ab b.
    counts = contexts.pair_counts(examples["contexts"], examples["targets"], 3)
    assert counts.tolist() == [[0, 2, 0], [0, 1, 2], [2, 0, 0]]


def test_hand_counted_contexts_of_two():
    examples = build_contexts.build(["ab", "aab"], ITOS, 2)
    found = contexts.next_counts(examples["contexts"], examples["targets"], 3)
    assert found.distinct.tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    assert found.counts.tolist() == [[0, 2, 0], [0, 1, 1], [0, 0, 1], [2, 0, 0]]
    assert found.index.tolist() == [0, 1, 3, 0, 1, 2, 3]


def test_distinct_contexts_of_wide_symbols_and_any_length_come_in_order():
    rows = np.array([[256, 1], [1, 2], [256, 1], [2, 0], [1, 2]], dtype=np.uint16)
    found = contexts.distinct(rows)
    assert found.contexts.tolist() == [[1, 2], [2, 0], [256, 1]]
    assert found.index.tolist() == [2, 0, 2, 1, 0]
    assert found.contexts.dtype == np.uint16
    long = np.repeat(rows, 32, axis=1)
    assert contexts.distinct(long).contexts[:, [0, -1]].tolist() == found.contexts.tolist()
    assert contexts.distinct(rows[:0]).contexts.shape == (0, 2)


def test_pairs_of_many_symbols_do_not_overflow_a_byte():
    numbers = np.full((1, 1), 200, dtype=np.uint8)
    counts = contexts.pair_counts(numbers, numbers[:, 0], 201)
    assert counts[200, 200] == counts.sum() == 1


def test_reference_distinct_contexts_of_train(names: list[str]):
    train = split.cut(split.shuffle(names, seed=42), train=0.8, dev=0.1)["train"]
    examples = build_contexts.build(train, vocabulary.build(names), 3)
    assert len(examples["targets"]) == 182_625
    found = contexts.next_counts(examples["contexts"], examples["targets"], 27)
    assert (len(found.distinct), (found.counts > 0).sum()) == (5438, 22_701)


def test_reference_counts(names: list[str]):
    itos = [".", *"abcdefghijklmnopqrstuvwxyz"]
    examples = build_contexts.build(names, itos, 1)
    counts = contexts.pair_counts(examples["contexts"], examples["targets"], 27)
    largest = np.argsort(-counts, axis=None)[:10]
    assert [(itos[n // 27] + itos[n % 27], int(counts.flat[n])) for n in largest] == [
        ("n.", 6763),
        ("a.", 6640),
        ("an", 5438),
        (".a", 4410),
        ("e.", 3983),
        ("ar", 3264),
        ("el", 3248),
        ("ri", 3033),
        ("na", 2977),
        (".k", 2963),
    ]
