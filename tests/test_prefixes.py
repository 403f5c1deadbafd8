"""Prefixes of names, and a model that reads names from their beginning."""

import math
from pathlib import Path

import numpy as np
import pytest

from charlm.core.errors import InputError
from charlm.core.storage import split_path, write_lines
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model, Shapes, context_size
from charlm.models.bigram_count import BigramCount
from charlm.models.mixture import Mixture
from charlm.models.prefixes import PrefixExamples, PrefixTree, names_of_contexts, pad_names
from charlm.sampling import Uniforms, sample_names
from charlm.scoring import score
from stages.evaluate import Names, evaluate_split
from tests.test_models import random_mlp
from tools import next as next_tool
from tools import score as score_tool

ONE = Vocabulary.of([".", "a", "b"])
TWO = Vocabulary.of(["a", "b", "<START>", "<END>"])
LAST = Vocabulary.of(["a", "b", "."])


class FirstAgain(Model):
    """After the first symbol of a name, the same one up to three times, then the end."""

    name = "first_again"
    stage = "train_first_again"
    reads_whole_names = True

    def logits(self, contexts: np.ndarray) -> np.ndarray:
        start, end = self.arrays["boundary"]
        names, lengths = names_of_contexts(contexts, start)
        following = np.where(lengths < 3, names[:, 0], end)
        logits = np.full((len(contexts), self.symbols), -math.inf)
        logits[np.arange(len(contexts)), following] = 0
        logits[lengths == 0] = 0
        return logits

    def expected_shapes(self) -> Shapes:
        return {"boundary": ("int64", (2,))}


def first_again(vocabulary: Vocabulary) -> FirstAgain:
    boundary = np.array([vocabulary.start, vocabulary.end])
    return FirstAgain({"boundary": boundary}, len(vocabulary))


def test_tree_by_hand():
    # "", a, b, aa, ab, aab; the second and the last name are the same
    names, lengths = pad_names(["aab", "ab", "b", "ab"], ONE)
    assert names.tolist() == [[1, 1, 2, 0], [1, 2, 0, 0], [2, 0, 0, 0], [1, 2, 0, 0]]
    assert lengths.tolist() == [3, 2, 1, 2]
    tree = PrefixTree.of(names, lengths, ONE.start)
    assert tree.symbols.tolist() == [0, 1, 2, 1, 2, 2]
    assert tree.parents.tolist() == [-1, 0, 0, 1, 1, 3]
    assert tree.paths[:, :4].tolist() == [
        [0, 1, 3, 5],
        [0, 1, 4, -1],
        [0, 2, -1, -1],
        [0, 1, 4, -1],
    ]

    levels, numbers, counts = tree.of_names(np.array([2, 0, 2]))
    assert numbers.tolist() == [0, 1, 2, 3, 5]
    assert counts.tolist() == [3, 1, 2, 1, 1]
    assert [level.symbols.tolist() for level in levels] == [[0], [1, 2], [1], [2], []]
    assert [level.parents.tolist() for level in levels] == [[0], [0, 0], [0], [0], []]
    assert [level.names.tolist() for level in levels] == [[0], [1, 0], [1], [1], []]


def test_no_names_have_no_tree_but_its_root():
    tree = PrefixTree.of(*pad_names([], ONE), ONE.start)
    assert (tree.symbols.tolist(), tree.paths.shape[0]) == ([0], 0)


@pytest.mark.parametrize("vocabulary", [ONE, TWO, LAST])
def test_names_of_contexts_are_what_follows_the_last_start(vocabulary: Vocabulary):
    contexts = build_examples(["aab", "b"], vocabulary, 4)["contexts"]
    names, lengths = names_of_contexts(contexts, vocabulary.start)
    found = [vocabulary.decode(row[:length]) for row, length in zip(names, lengths, strict=True)]
    assert found == ["", "a", "aa", "aab", "", "b"]


def test_context_that_does_not_reach_back_is_refused():
    with pytest.raises(ValueError, match="does not reach back to the start of its name"):
        names_of_contexts(np.array([[0, 1], [1, 1]]), 0)


def test_context_size_is_that_of_the_model_that_needs_most():
    models = {"mlp": random_mlp(3, block_size=5), "whole": first_again(ONE)}
    assert context_size([models["mlp"]], longest=9) == 5
    assert context_size(models.values(), longest=9) == 10  # nine symbols and the start
    assert context_size(models.values(), longest=2) == 5


@pytest.mark.parametrize("vocabulary", [ONE, TWO, LAST])
def test_whole_names_are_scored_and_sampled(vocabulary: Vocabulary):
    model = first_again(vocabulary)
    examples = build_examples(["aaa", "b"], vocabulary, context_size([model], 3))
    nll = score(model, **examples).nll.tolist()
    # the first symbol is one of all; b does not end so early
    ln = math.log(len(vocabulary))
    assert nll == [pytest.approx(ln), 0, 0, 0, pytest.approx(ln), math.inf]
    drawn = sample_names(model, vocabulary, 50, 1.0, 30, Uniforms(1)).names
    assert set(drawn) - {""} == {"aaa", "bbb"}
    assert set(sample_names(model, vocabulary, 5, 1.0, 30, Uniforms(1), "ba").names) == {"bab"}
    assert sample_names(model, vocabulary, 2, 1.0, 2, Uniforms(1), "b").names == ["bb", "bb"]


def test_whole_names_beside_models_of_a_few_symbols_are_evaluated():
    counted = BigramCount({"P": np.full((3, 3), 1 / 3)}, 3)
    weights = {"first_again": np.array(0.5), "bigram_count": np.array(0.5)}
    mixture = Mixture(weights, 3, first_again(ONE), counted)
    models = {"first_again": first_again(ONE), "bigram_count": counted, "mixture": mixture}
    names = Names.of(lambda: [["aaa"], ["bb"]], lambda: [["b"]])
    columns, _, metrics = evaluate_split("dev", names, models, ONE)
    ln = math.log(3)
    assert columns["first_again"].tolist() == [
        pytest.approx(ln),
        pytest.approx(math.nan, nan_ok=True),
    ]
    # a symbol that is certain to one of two models has (1 + 1/3) / 2, one that is not 1/6
    certain, impossible = math.log(3 / 2), math.log(6)
    expected = [ln + 3 * certain, ln + certain + impossible]
    assert columns["mixture"].tolist() == pytest.approx(expected)
    assert metrics["dev"]["mixture"]["nll"] == pytest.approx(sum(expected) / 7)


def test_tools_show_the_name_so_far():
    steps = score_tool.score("bab", first_again(TWO), TWO)
    assert [step.context for step in steps] == ["<START>", "<START>b", "<START>ba", "<START>bab"]
    prediction = next_tool.predict("ba", first_again(TWO), TWO)
    assert TWO.decode(prediction.context) == "<START>ba"
    assert prediction.P.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(("unique", "first"), [(False, [2 / 3, 1 / 3]), (True, [1 / 2, 1 / 2])])
def test_examples_of_names_by_hand(
    unique: bool, first: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_lines(split_path("train"), ["ab", "b", "ab"])
    examples = PrefixExamples.read("train", ONE, unique)
    assert examples.names == (2 if unique else 3)
    # "", a, b, ab: what follows each
    expected = [[0, *first], [0, 0, 1], [1, 0, 0], [1, 0, 0]]
    found = examples.shares.dense(np.arange(4))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_examples_of_a_damaged_file_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_lines(split_path("train"), ["ab", "c"])
    with pytest.raises(InputError, match=r"^data/splits/train\.txt: 'c' is not among the charact"):
        PrefixExamples.read("train", ONE)
