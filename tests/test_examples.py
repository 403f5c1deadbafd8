import numpy as np
import pytest

from charlm.core.errors import InputError
from charlm.data import examples
from charlm.data.vocabulary import Vocabulary, build_vocabulary
from stages import split
from tests.conftest import SETTINGS, limit_memory

VOCABULARY = Vocabulary.of([".", "a", "b"])
ALPHABET = Vocabulary.of([".", *"abcdefghijklmnopqrstuvwxyz"])


def decoded(found: dict[str, np.ndarray], vocabulary: Vocabulary) -> list[tuple[str, str]]:
    rows = zip(found["contexts"], found["targets"], strict=True)
    return [(vocabulary.decode(context), vocabulary.itos[target]) for context, target in rows]


def test_five_contexts_of_emma():
    found = examples.build_examples(["emma"], ALPHABET, 3)
    assert decoded(found, ALPHABET) == [
        ("...", "e"),
        ("..e", "m"),
        (".em", "m"),
        ("emm", "a"),
        ("mma", "."),
    ]
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "contexts": np.uint8,
        "targets": np.uint8,
    }


@pytest.mark.parametrize(
    "itos",
    [
        ["<START>", "<END>", *"abcdefghijklmnopqrstuvwxyz"],
        [*"abcdefghijklmnopqrstuvwxyz", "<START>", "<END>"],
    ],
)
def test_five_contexts_of_emma_between_two_boundary_symbols(itos: list[str]):
    vocabulary = Vocabulary.of(itos)
    found = examples.build_examples(["emma", "a"], vocabulary, 3)
    assert decoded(found, vocabulary) == [
        ("<START><START><START>", "e"),
        ("<START><START>e", "m"),
        ("<START>em", "m"),
        ("emm", "a"),
        ("mma", "<END>"),
        ("<START><START><START>", "a"),
        ("<START><START>a", "<END>"),
    ]
    assert vocabulary.start not in found["targets"]
    assert vocabulary.end not in found["contexts"]


def test_full_stop_of_a_name_is_not_its_end():
    vocabulary = Vocabulary.of(["<.>", ".", "a"])
    assert decoded(examples.build_examples(["a.", "."], vocabulary, 2), vocabulary) == [
        ("<.><.>", "a"),
        ("<.>a", "."),
        ("a.", "<.>"),
        ("<.><.>", "."),
        ("<.>.", "<.>"),
    ]


@pytest.mark.parametrize("block_size", [1, 2, 3, 8])
def test_no_context_reaches_into_the_previous_name(block_size: int):
    both = examples.build_examples(["ava", "jo"], ALPHABET, block_size)
    single = [examples.build_examples([name], ALPHABET, block_size) for name in ("ava", "jo")]
    for key in ("contexts", "targets"):
        np.testing.assert_array_equal(both[key], np.concatenate([found[key] for found in single]))


@pytest.mark.parametrize("block_size", [1, 3])
def test_no_names_no_examples(block_size: int):
    found = examples.build_examples([], ALPHABET, block_size)
    assert found["contexts"].shape == (0, block_size)
    assert found["targets"].shape == (0,)


def test_examples_that_need_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "1")
    names = ["a" * 10_000] * 500  # 5 million characters, 65 bytes each, six times
    with pytest.raises(
        InputError,
        match=r"^contexts of 64 symbols for 5,000,500 characters would take about 2 GB of memory; "
        r"at most 1 GB are allowed .*; lower contexts\.block_size or ngram_count\.order, or use ",
    ):
        examples.build_examples(names, ALPHABET, 64)


@pytest.mark.parametrize(("symbols", "itemsize_bytes"), [(3, 1), (256, 1), (257, 2)])
def test_memory_of_examples_is_estimated(
    monkeypatch: pytest.MonkeyPatch, symbols: int, itemsize_bytes: int
):
    itos = [".", *map(chr, range(ord("a"), ord("a") + symbols - 1))]
    vocabulary = Vocabulary.of(itos)
    # six tables of 3 symbols and a target for each of 7 characters, two of them end marks
    needed = 6 * 7 * (3 + 1) * itemsize_bytes
    limit_memory(monkeypatch, needed)
    assert len(examples.build_examples(["abba", "b"], vocabulary, 3)["targets"]) == 7
    limit_memory(monkeypatch, needed - 1)
    with pytest.raises(InputError, match="contexts of 3 symbols for 7 characters would"):
        examples.build_examples(["abba", "b"], vocabulary, 3)


def test_first_five_names_give_32_examples(names: list[str]):
    assert names[:5] == ["emma", "olivia", "ava", "isabella", "sophia"]
    for block_size in (1, 3, 10):
        assert len(examples.build_examples(names[:5], ALPHABET, block_size)["targets"]) == 32


def test_examples_decode_into_the_exact_text(names: list[str]):
    vocabulary = build_vocabulary(names, SETTINGS.vocabulary)
    assert vocabulary == ALPHABET
    found = examples.build_examples(names, vocabulary, 15)
    assert len(found["targets"]) == 228146
    text = vocabulary.decode(found["targets"])
    assert text == "".join(f"{name}." for name in names)
    # at an end mark the context contains the whole name, because no name is longer than 15
    endings = found["contexts"][found["targets"] == 0]
    assert [vocabulary.decode(context).lstrip(".") for context in endings] == names


def test_bigram_counts_by_hand():
    found = examples.build_examples(["ab", "aab"], VOCABULARY, 1)  # .a ab b. .a aa ab b.
    counts = examples.bigram_counts(found, 3)
    assert counts.tolist() == [[0, 2, 0], [0, 1, 2], [2, 0, 0]]


def test_counts_of_pairs_by_hand_between_two_boundary_symbols():
    vocabulary = Vocabulary.of(["a", "b", "<START>", "<END>"])
    found = examples.build_examples(["ab", "aab"], vocabulary, 1)
    # as in the notebooks, the row of the end and the column of the start are zero
    assert examples.bigram_counts(found, 4).tolist() == [
        [1, 2, 0, 0],
        [0, 0, 0, 2],
        [2, 0, 0, 0],
        [0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("max_cells", "sizes"), [(1, [1, 1, 1]), (6, [2, 1]), (8, [2, 1]), (9, [3]), (2**20, [3])]
)
def test_groups_have_each_context_once_and_each_example_once(
    monkeypatch: pytest.MonkeyPatch, max_cells: int, sizes: list[int]
):
    monkeypatch.setattr(examples, "MAX_CELLS", max_cells)
    contexts = np.array([[2, 0], [0, 1], [2, 0], [1, 1], [0, 1]], dtype=np.uint8)
    groups = [*examples.context_groups(contexts, 3)]
    assert [len(group.contexts) for group in groups] == sizes
    unique = np.concatenate([group.contexts for group in groups])
    assert unique.tolist() == [[2, 0], [0, 1], [1, 1]]  # those that end alike are neighbours
    assert sorted(np.concatenate([group.rows for group in groups])) == [0, 1, 2, 3, 4]
    for group in groups:
        np.testing.assert_array_equal(group.contexts[group.inverse], contexts[group.rows])
    assert [*examples.context_groups(contexts[:0], 3)] == []


def test_counts_after_contexts_of_two_by_hand():
    built = examples.build_examples(["ab", "aab"], VOCABULARY, 2)
    unique, inverse = examples.unique_contexts(built["contexts"])
    assert unique.tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    assert inverse.tolist() == [0, 1, 3, 0, 1, 2, 3]
    counts = examples.count_next(inverse, built["targets"], 3)
    # 2 a; 1 a and 1 b; 1 b; 2 .
    assert counts.offsets.tolist() == [0, 1, 3, 4, 5]
    assert counts.next.tolist() == [1, 1, 2, 2, 0]
    assert counts.values.tolist() == [2, 1, 1, 1, 2]
    assert counts.dense(np.array([3, 1, 1])).tolist() == [[2, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert counts.dense(np.array([], dtype=np.int64)).shape == (0, 3)
    row, entry = counts.entries(np.array([3, 1]))
    assert (row.tolist(), entry.tolist()) == ([0, 1, 1], [4, 1, 2])


def test_no_examples_have_no_counts():
    none = np.array([], dtype=np.int64)
    counts = examples.count_next(none, none, 3)
    assert counts.offsets.tolist() == [0]
    assert counts.dense(none).shape == (0, 3)


def test_unique_contexts_of_two_byte_symbols_and_any_length_are_in_order():
    rows = np.array([[256, 1], [1, 2], [256, 1], [2, 0], [1, 2]], dtype=np.uint16)
    found = examples.unique_contexts(rows)
    assert found.contexts.tolist() == [[1, 2], [2, 0], [256, 1]]
    assert found.inverse.tolist() == [2, 0, 2, 1, 0]
    assert found.contexts.dtype == np.uint16
    long = np.repeat(rows, 32, axis=1)
    assert examples.unique_contexts(long).contexts[:, [0, -1]].tolist() == found.contexts.tolist()
    assert examples.unique_contexts(rows[:0]).contexts.shape == (0, 2)


def test_all_examples_share_the_empty_context():
    found = examples.unique_contexts(np.empty((3, 0), dtype=np.uint8))
    assert found.contexts.shape == (1, 0)
    assert found.inverse.tolist() == [0, 0, 0]
    assert examples.unique_contexts(np.empty((0, 0), dtype=np.uint8)).contexts.shape == (0, 0)


def test_counts_of_large_symbol_numbers_do_not_overflow_a_byte():
    numbers = np.full((1, 1), 200, dtype=np.uint8)
    counts = examples.bigram_counts({"contexts": numbers, "targets": numbers[:, 0]}, 201)
    assert counts[200, 200] == counts.sum() == 1


@pytest.mark.parametrize(("symbols", "gigabytes"), [(5_000, 1), (65_536, 206)])
def test_bigram_table_that_needs_too_much_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch, symbols: int, gigabytes: int
):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "1")
    built = {"contexts": np.zeros((1, 1), dtype=np.uint8), "targets": np.zeros(1, dtype=np.uint8)}
    with pytest.raises(InputError) as error:
        examples.bigram_counts(built, symbols)
    assert str(error.value).startswith(
        f"a table of {symbols:,} by {symbols:,} symbols would take about {gigabytes} GB of memory; "
    )
    with pytest.raises(InputError) as other:
        examples.check_bigram_memory(symbols)
    assert str(other.value) == str(error.value)
    examples.check_bigram_memory(symbols=2_401)


def test_reference_unique_contexts_of_train(names: list[str]):
    train = split.cut(split.shuffle(names, seed=42), train=0.8, dev=0.1)["train"]
    built = examples.build_examples(train, ALPHABET, 3)
    assert len(built["targets"]) == 182_625
    unique, inverse = examples.unique_contexts(built["contexts"])
    counts = examples.count_next(inverse, built["targets"], 27)
    assert (len(unique), len(counts.next)) == (5438, 22_701)
    assert counts.values.min() == 1
    assert counts.values.sum() == 182_625


def test_reference_counts(names: list[str]):
    counts = examples.bigram_counts(examples.build_examples(names, ALPHABET, 1), 27)
    largest = np.argsort(-counts, axis=None)[:10]
    assert [(ALPHABET.decode(divmod(n, 27)), int(counts.flat[n])) for n in largest] == [
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
