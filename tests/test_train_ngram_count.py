from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from charlm.core.errors import InputError
from charlm.core.storage import split_path, write_bytes, write_json
from charlm.data.examples import build_examples
from charlm.data.tensors import Arrays
from charlm.data.vocabulary import PATH, Vocabulary, build_vocabulary
from charlm.models.ngram_count import NgramCount
from charlm.scoring import score
from stages import split, train_ngram_count
from stages.train_ngram_count import count_levels, count_names, count_ngrams, discounts
from tests.conftest import ROOT, SETTINGS, limit_memory
from tests.test_models import ngram_arrays

VOCABULARY = Vocabulary.of([".", "a", "b"])


def tensors(names: list[str], vocabulary: Vocabulary, order: int) -> Arrays:
    ngrams = count_ngrams(count_names([names]), vocabulary, order)
    return train_ngram_count.train(count_levels(ngrams, vocabulary), len(vocabulary))


def train(names: list[str], vocabulary: Vocabulary, order: int) -> NgramCount:
    return NgramCount(tensors(names, vocabulary, order), len(vocabulary))


def probabilities(model: NgramCount, *context: int) -> list[float]:
    return np.exp(model.logits(np.array([context])))[0].tolist()


def reference(names: list[str], vocabulary: Vocabulary, order: int) -> dict[tuple[int, ...], Any]:
    """Return the probabilities after every context that occurs, by the formula of Chen & Goodman.

    Counts are kept in tables with zeros, by the text of the context.
    """
    symbols = len(vocabulary)
    counts: dict[tuple[int, ...], np.ndarray] = {}  # after contexts that reach back to the start
    for name in names:
        text = [vocabulary.start, *vocabulary.encode(name).tolist(), vocabulary.end]
        for end in range(1, len(text)):
            context = tuple(text[max(0, end - order + 1) : end])
            counts.setdefault(context, np.zeros(symbols, dtype=int))[text[end]] += 1
    levels: list[dict[tuple[int, ...], np.ndarray]] = [{}]
    for length in reversed(range(order)):
        level = {context: row for context, row in counts.items() if len(context) == length}
        for context, following in levels[-1].items():
            level.setdefault(context[1:], np.zeros(symbols, dtype=int))
            level[context[1:]] += following > 0
        levels.append(level)
    del levels[0]
    found: dict[tuple[int, ...], np.ndarray] = {}
    for level in reversed(levels):
        D = discounts(np.concatenate([row[row > 0] for row in level.values()]))
        for context, following in level.items():
            capped = np.minimum(following, 3)
            taken = sum(D[i] * (capped == i).sum() for i in (1, 2, 3))
            shorter = found[context[1:]] if context else np.full(symbols, 1 / symbols)
            found[context] = (following - D[capped] + taken * shorter) / following.sum()
    return found


def test_counts_of_shorter_contexts_are_of_different_predecessors():
    # .a and .b, ab, twice b.
    ngrams = count_ngrams([Counter(["ab", "b"])], VOCABULARY, 2)
    longest, empty = count_levels(ngrams, VOCABULARY)
    assert longest.keys.tolist() == [0, 1, 2]
    assert longest.counts.dense(np.arange(3)).tolist() == [[0, 1, 1], [0, 0, 1], [2, 0, 0]]
    # b follows the boundary and a; the end, though it occurs twice, follows only b
    assert empty.counts.dense(np.arange(1)).tolist() == [[1, 1, 2]]


def test_ngrams_of_a_repeated_name_are_counted_as_often():
    # aab twice: ..a .aa aab ab.; b once: ..b .b. - the last symbol of the context comes first
    table = Counter({"aab": 2, "b": 1})
    for tables in ([table], [Counter(["aab"]), Counter(["b"]), Counter(["aab"])]):
        found = count_ngrams(tables, VOCABULARY, 3)
        assert found.symbols.tolist() == [
            [0, 0, 1],
            [0, 0, 2],
            [1, 0, 1],
            [1, 1, 2],
            [2, 0, 0],
            [2, 1, 0],
        ]
        assert found.counts.tolist() == [2, 1, 2, 2, 1, 2]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 50])
@pytest.mark.parametrize("symbols", [2, 300])
def test_names_counted_in_pieces_give_the_tensors_of_all_at_once(
    monkeypatch: pytest.MonkeyPatch, length: int, symbols: int
):
    generator = np.random.default_rng(symbols)
    letters = [chr(0x4E00 + number) for number in range(symbols)]
    names = ["".join(generator.choice(letters[:9], size=size)) for size in [1, 2, 3, 4, 5] * 8]
    vocabulary = build_vocabulary(letters, SETTINGS.vocabulary)
    expected = tensors(names, vocabulary, order=6)
    monkeypatch.setattr(train_ngram_count, "PIECE_LENGTH", length)
    tables = [*count_names([name] for name in names)]
    assert len(tables) >= sum(map(len, names)) // (length + 5)
    assert sum(tables, Counter()) == Counter(names)
    levels = count_levels(count_ngrams(tables, vocabulary, 6), vocabulary)
    found = train_ngram_count.train(levels, len(vocabulary))
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        np.testing.assert_array_equal(found[key], tensor, strict=True)


def test_ngrams_that_need_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch):
    tables = [Counter(["ab"]), Counter(["b"])]  # .a ab b. and .b b.
    limit_memory(monkeypatch, 6 * 5 * 2)
    assert len(count_ngrams(tables, VOCABULARY, 2).counts) == 4
    limit_memory(monkeypatch, 6 * 5 * 2 - 1)
    with pytest.raises(
        InputError,
        match=r"^5 n-grams of order 2 would take about .*; lower ngram_count\.order, or ",
    ):
        count_ngrams(tables, VOCABULARY, 2)


@pytest.mark.parametrize(
    ("content", "problem"),
    [("", "contains no names"), ("abc\n", "'c' is not among the characters")],
)
def test_names_that_split_did_not_write_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, problem: str
):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_json(PATH, VOCABULARY.itos)
    write_bytes(split_path("train"), content.encode())
    with pytest.raises(InputError) as error:
        train_ngram_count.main()
    assert str(error.value).startswith(f"data/splits/train.txt: {problem}")
    assert str(error.value).endswith("; split writes it: delete it and run `dvc repro`")


def test_discounts_by_hand():
    # 3 pairs once, 2 twice, 1 three times, 1 four times: Y = 3 / 7
    counts = np.array([1, 1, 1, 2, 2, 3, 4])
    Y = 3 / 7
    expected = [0, 1 - 2 * Y * 2 / 3, 2 - 3 * Y * 1 / 2, 3 - 4 * Y * 1 / 1]
    assert discounts(counts).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            [1, 1, 3],
            [0, 0.9, 1, 2.7],
        ),  # nothing twice: all of 1 and of 3, were it not for the limit
        ([2, 2, 3, 4], [0, 0.5, 1, 1.5]),  # nothing once
        ([1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4], [0, 1 - 2 / 7 * 3, 1, 2.7]),
        ([1] * 9 + [2] + [3] * 9 + [4], [0, 1 - 2 * 9 / 11 / 9, 0.2, 3 - 4 * 9 / 11 / 9]),
    ],
)
def test_discounts_where_counts_are_few_or_strange(counts: list[int], expected: list[float]):
    found = discounts(np.array(counts))
    assert found.tolist() == pytest.approx(expected)


def test_probabilities_of_two_names_by_hand():
    model = train(["ab", "b"], VOCABULARY, order=2)
    # empty context: counts 1, 1, 2 with discounts 0.5 and 1.8, and 2.8 of 4 redistributed evenly
    shorter = NgramCount(
        {
            key: tensor[:1] if key == "D" else tensor
            for key, tensor in model.arrays.items()
            if key in ("size", "D") or key.endswith("0")
        },
        3,
    )
    assert probabilities(shorter, 0) == pytest.approx([4.3 / 12, 4.3 / 12, 3.4 / 12])
    # discounts 0.6 and 1.8
    expected = [[0.215, 0.415, 0.37], [0.215, 0.215, 0.57], [0.4225, 0.3225, 0.255]]
    every = np.exp(model.logits(np.array([[0], [1], [2]])))
    np.testing.assert_allclose(every, expected, atol=1e-6)
    some = np.exp(model.logits(np.array([[2], [0]])))
    np.testing.assert_allclose(some, [expected[2], expected[0]], atol=1e-6)


def test_tensors_of_two_names_by_hand():
    # .a and .b once, ab once, b. twice; the empty context has each with its predecessors
    found = tensors(["ab", "b"], VOCABULARY, order=2)
    assert {key: tensor.tolist() for key, tensor in found.items() if key != "D"} == {
        "size": 3,
        "keys0": [0],
        "ngrams0": [3],
        "next0": [0, 1, 2],
        "counts0": [1, 1, 2],
        "keys1": [0, 1, 2],
        "ngrams1": [2, 1, 1],
        "next1": [1, 2, 2, 0],
        "counts1": [1, 1, 1, 2],
    }
    # two pairs once, one twice, none three times; then three once, one twice
    assert found["D"].tolist() == [[0, 0.5, 1.8, 1.5], [0, pytest.approx(0.6), 1.8, 1.5]]


def test_contexts_reach_back_to_one_start_whose_counts_are_plain():
    # .a twice, .b; .ab and ab. twice, .b. once: no context has two starts
    found = tensors(["ab", "ab", "b"], VOCABULARY, order=3)
    assert found["keys1"].tolist() == [0, 1, 2]
    # after the start the plain counts 2 and 1; b after a has one predecessor, the end after b two
    assert found["next1"].tolist() == [1, 2, 2, 0]
    assert found["counts1"].tolist() == [2, 1, 1, 2]
    assert found["keys2"].tolist() == [1 * 3 + 0, 2 * 3 + 0, 2 * 3 + 1]  # .a, .b and ab
    assert found["next2"].tolist() == [2, 0, 0]
    assert found["counts2"].tolist() == [2, 1, 2]
    model = NgramCount(found, 3)
    assert probabilities(model, 0, 0) == probabilities(model, 2, 0)  # that of . alone


@pytest.mark.parametrize("order", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("symbols", "settings"),
    [
        (2, {}),
        (5, {}),
        (5, {"boundary_place": "last"}),
        (5, {"boundary": "two", "boundary_place": "last"}),
        (300, {"boundary": "two"}),
    ],
)
def test_probabilities_are_those_of_tables_with_zeros(
    order: int, symbols: int, settings: dict[str, str]
):
    generator = np.random.default_rng(order)
    letters = [chr(0x4E00 + number) for number in range(symbols)]
    names = [
        "".join(generator.choice(letters, size=size)) for size in generator.integers(1, 9, size=60)
    ]
    chosen = SETTINGS.vocabulary.model_copy(update=settings)
    vocabulary = build_vocabulary([*letters, "z"], chosen)
    model, expected = train(names, vocabulary, order), reference(names, vocabulary, order)
    for length in range(1, order):
        contexts = [context for context in expected if len(context) == length]
        # z does not occur, so only what follows it is known
        before = vocabulary.encode("z").tolist() * (order - 1 - length)
        found = np.exp(model.logits(np.array([(*before, *context) for context in contexts])))
        rows = np.stack([expected[context] for context in contexts])
        np.testing.assert_allclose(found, rows, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
        assert (found > 0).all()


def test_rows_of_a_batch_do_not_depend_on_the_others():
    model = train(["ab", "b", "abba", "bab", "a"], VOCABULARY, order=4)
    contexts = np.array([*np.ndindex(3, 3, 3)])
    together = model.logits(contexts)
    assert len(together) == 27
    np.testing.assert_allclose(np.exp(together).sum(axis=1), 1, atol=1e-12)
    for context, row in zip(contexts, together, strict=True):
        assert np.array_equal(model.logits(context[None])[0], row)
    assert model.logits(contexts[:0]).shape == (0, 3)


def test_unknown_context_has_the_probabilities_of_its_longest_known_end():
    names = ["ab", "abb"]
    model, expected = train(names, VOCABULARY, order=4), reference(names, VOCABULARY, order=4)
    # bb ends a name, but never follows b or a boundary
    assert (
        probabilities(model, 2, 2, 2)
        == probabilities(model, 0, 2, 2)
        == pytest.approx(expected[2, 2])
    )
    # aa does not occur, a does
    assert probabilities(model, 1, 1, 1) == pytest.approx(expected[(1,)])
    # symbols before the last three change nothing
    found = probabilities(model, 0, 0, 1)
    assert probabilities(model, 1, 0, 0, 1) == found == pytest.approx(expected[0, 1])


def test_added_k_by_hand():
    # . before a twice and before b once; .a and ab before b and the end twice, .b before it once
    ngrams = count_ngrams(count_names([["ab", "ab", "b"]]), VOCABULARY, 3)
    levels = count_levels(ngrams, VOCABULARY)
    model = NgramCount(train_ngram_count.add_k(levels, VOCABULARY, 0.5), 3)
    assert model.block_size == 2
    assert probabilities(model, 0, 0) == pytest.approx([0.5 / 4.5, 2.5 / 4.5, 1.5 / 4.5])
    assert probabilities(model, 0, 1) == pytest.approx([0.5 / 3.5, 0.5 / 3.5, 2.5 / 3.5])
    assert probabilities(model, 1, 2) == pytest.approx([2.5 / 3.5, 0.5 / 3.5, 0.5 / 3.5])
    assert probabilities(model, 0, 2) == pytest.approx([1.5 / 2.5, 0.5 / 2.5, 0.5 / 2.5])
    # contexts that do not occur, though their ends do
    for context in ((2, 2), (2, 1), (1, 1)):
        assert probabilities(model, *context) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("boundary", [["a", "b", "."], ["a", "b", "<START>", "<END>"]])
def test_added_k_wherever_the_boundary_is(boundary: list[str]):
    vocabulary = Vocabulary.of(boundary)
    levels = count_levels(count_ngrams(count_names([["ab", "b"]]), vocabulary, 4), vocabulary)
    model = NgramCount(train_ngram_count.add_k(levels, vocabulary, 1), len(vocabulary))
    examples = build_examples(["ab"], vocabulary, 3)
    symbols = len(vocabulary)
    # a and b begin a name once each; what follows is seen once
    expected = [2 / (2 + symbols), *[2 / (1 + symbols)] * 2]
    assert np.exp(-score(model, **examples).nll).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("order", "dev_nll"), [(2, 2.4530), (3, 2.2223)])
def test_added_k_on_the_lectures_split(names: list[str], order: int, dev_nll: float):
    vocabulary, chosen = build_vocabulary(names, SETTINGS.vocabulary), SETTINGS.split
    splits = split.cut(split.shuffle(names, chosen.seed), chosen.train, chosen.dev)
    levels = count_levels(
        count_ngrams(count_names([splits["train"]]), vocabulary, order), vocabulary
    )
    model = NgramCount(train_ngram_count.add_k(levels, vocabulary, 0.2), len(vocabulary))
    nll = score(model, **build_examples(splits["dev"], vocabulary, order - 1)).nll
    assert nll.mean() == pytest.approx(dev_nll, abs=5e-5)


def test_scores_are_those_of_all_probabilities():
    model = train(["ab", "ab", "b"], VOCABULARY, order=3)
    contexts = np.array([[0, 0], [0, 1], [1, 1]])  # the last one is not in train
    inverse, targets = np.array([0, 0, 1, 2, 2]), np.array([1, 2, 2, 0, 2])
    logs = model.log_probabilities(contexts)
    nll, is_correct = model.score(contexts, inverse, targets)
    assert nll.tolist() == (-logs[inverse, targets]).tolist()
    assert is_correct.tolist() == (logs.argmax(axis=1)[inverse] == targets).tolist()


def test_no_probability_is_zero():
    generator = np.random.default_rng(1)
    contexts = np.array([*np.ndindex(3, 3, 3)])
    for size in (1, 3, 10, 50):
        for _ in range(20):
            words = ["".join(generator.choice(["a", "b"], size=3)) for _ in range(size)]
            assert np.isfinite(train(words, VOCABULARY, order=4).logits(contexts)).all()


def test_interpolation_redistributes_what_it_takes():
    # after symbol 0 the counts 4, 1, 0 and after symbol 1 0, 2, 0; probabilities 0.5, 0.25, 0.25
    # after none
    stored = ngram_arrays({0: [2, 1, 1]}, {0: [4, 1, 0], 1: [0, 2, 0]})
    stored["D"][1] = [0, 0.5, 1.0, 1.5]
    found = np.exp(NgramCount(stored, 3).logits(np.array([[0], [1]])))
    # 1.5 + 0.5 of 5, and 1 of 2
    expected = [[(2.5 + 1) / 5, (0.5 + 0.5) / 5, 0.5 / 5], [0.25, (1 + 0.25) / 2, 0.125]]
    np.testing.assert_allclose(found, expected)


def test_names_shorter_than_the_contexts_give_a_model_of_their_length():
    # the longest context is .ab, before the end
    arrays = tensors(["ab", "b"], VOCABULARY, order=6)
    assert {key: array.tolist() for key, array in arrays.items()} == {
        key: array.tolist() for key, array in tensors(["ab", "b"], VOCABULARY, order=4).items()
    }
    assert train(["ab", "b"], VOCABULARY, order=6).block_size == 3


@pytest.mark.parametrize("boundary", ["one", "two"])
def test_place_of_the_boundary_changes_no_probability(boundary: str):
    generator = np.random.default_rng(2)
    names = ["".join(generator.choice(list("abc"), size=5)) for _ in range(40)]
    rows = []
    for place in ("first", "last"):
        settings = SETTINGS.vocabulary.model_copy(
            update={"boundary": boundary, "boundary_place": place}
        )
        vocabulary = build_vocabulary(names, settings)
        examples = build_examples(names, vocabulary, 3)
        P = np.exp(train(names, vocabulary, 4).logits(examples["contexts"]))
        order = [vocabulary.start, *vocabulary.encode("abc")]
        order += [vocabulary.end] * (boundary == "two")
        rows.append(P[:, order])
    np.testing.assert_allclose(*rows, atol=1e-12)


def test_file_has_at_most_20_bytes_per_ngram():
    generator = np.random.default_rng(3)
    letters = [chr(0x4E00 + number) for number in range(500)]
    names = ["".join(generator.choice(letters, size=3)) for _ in range(2000)]
    vocabulary = build_vocabulary(letters, SETTINGS.vocabulary)
    found = tensors(names, vocabulary, order=6)
    ngrams = sum(len(found[f"next{length}"]) for length in range(len(found["D"])))
    # as tables with zeros, the contexts of five symbols alone would have 4 million cells
    assert ngrams < 40_000
    content = safetensors.numpy.save(found)
    header = 8 + int.from_bytes(content[:8], "little")
    assert len(content) - header <= 20 * ngrams


@pytest.mark.parametrize(
    ("order", "kenlm"),
    [(2, 2.452831), (3, 2.218532), (4, 2.056368), (5, 1.984135), (6, 1.974602)],
)
def test_losses_on_the_lectures_split_are_those_of_kenlm(
    names: list[str], order: int, kenlm: float
):
    vocabulary, chosen = build_vocabulary(names, SETTINGS.vocabulary), SETTINGS.split
    splits = split.cut(split.shuffle(names, chosen.seed), chosen.train, chosen.dev)
    model = train(splits["train"], vocabulary, order)
    dev = build_examples(splits["dev"], vocabulary, order - 1)
    nll = score(model, dev["contexts"], dev["targets"]).nll
    # KenLM's vocabulary has an <unk> more, which costs it 5e-6 to 8e-6
    assert nll.mean() == pytest.approx(kenlm - 6.5e-6, abs=5e-6)
