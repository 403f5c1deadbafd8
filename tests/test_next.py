"""tools.next, run on small stored models and training contexts."""

import csv
import io
import json
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from charlm.core.storage import split_path, write_lines
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.models.bigram_count import BigramCount
from charlm.models.registry import MODELS
from tests.conftest import Project
from tests.test_models import write_models
from tools.next import Prediction, as_table, count_next, predict

ONE = Vocabulary.of([".", "a", "b"])
TWO = Vocabulary.of(["a", "b", "<START>", "<END>"])
NAMES = ["ab", "aab", "b"]
# after the boundary a or b; after a mostly b; after b the end
P = np.array([[0.0, 0.75, 0.25], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder with NAMES, a counting bigram, and an MLP that prefers a."""
    write_models(tmp_path, P, mlp_bias=[0, math.log(2), 0])  # to the MLP a has 1/2
    write_lines(tmp_path / split_path("train"), NAMES)
    return tmp_path


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return Project(folder).call("tools.next", *arguments)


def test_table_is_sorted_by_probability_and_has_counts(trained: Path):
    printed = run(trained, "a", "--model", "bigram_count", "--model", "mlp").stdout
    # of the three a in NAMES, two are followed by b and one by a
    assert printed.splitlines() == [
        "    bigram_count    mlp",
        "    after a         after .a",
        "--  --------------  ----------",
        "1   b 0.7500 (2)    a 0.5000",
        "2   a 0.2500 (1)    . 0.2500",
        "3   . 0.0000 (0)    b 0.2500",
    ]


def test_without_a_prefix_it_is_the_start_of_a_name(trained: Path):
    arguments = ("--model", "bigram_count", "-n", "1")
    printed = run(trained, *arguments).stdout
    assert printed.splitlines()[1:] == ["    after .", "--  --------------", "1   a 0.7500 (2)"]
    assert run(trained, "", *arguments).stdout == printed


def test_csv_has_every_symbol_of_every_model(trained: Path):
    printed = run(trained, "a", "--csv", "-n", "1").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["model"] for row in rows[::3]] == list(MODELS)
    lines = printed.splitlines()
    assert lines[0] == "model,context,next,probability,count"
    first = 1 + 3 * list(MODELS).index("bigram_count")
    assert lines[first : first + 3] == [
        "bigram_count,a,b,0.750000,2",
        "bigram_count,a,a,0.250000,1",
        "bigram_count,a,.,0.000000,0",
    ]
    assert lines[1 + 3 * list(MODELS).index("mlp")] == "mlp,.a,a,0.500000,"
    # the mixture has 1/4 of the MLP's 1/2 and 3/4 of 1/3
    assert lines[1 + 3 * list(MODELS).index("mixture")] == "mixture,.a,a,0.375000,"


def prediction(context: list[int]) -> Prediction:
    return Prediction(np.uint8(context), np.ones(3) / 3, None)


@pytest.mark.parametrize(
    ("context", "backs_off", "used", "counts"),
    [
        ([0, 1], True, [0, 1], [0, 1, 1]),  # .a begins ab and aab
        ([2, 1], True, [1], [0, 1, 2]),  # ba is in no name
        ([2, 1], False, [2, 1], [0, 0, 0]),
        ([0, 2], True, [0, 2], [1, 0, 0]),
        ([2, 2], True, [2], [3, 0, 0]),
    ],
)
def test_counts_are_those_of_the_longest_known_end(
    context: list[int], backs_off: bool, used: list[int], counts: list[int]
):
    counted = count_next(prediction(context), build_examples(NAMES, ONE, 3), backs_off)
    assert (counted.context.tolist(), counted.counts.tolist()) == (used, counts)


def test_unknown_last_symbol_backs_off_to_no_context():
    examples = build_examples(["a"], ONE, 2)
    counted = count_next(prediction([0, 2]), examples, backs_off=True)
    assert (counted.context.tolist(), counted.counts.tolist()) == ([], [1, 1, 0])
    assert "after any symbol" in as_table({"ngram_count": counted}, ONE, rows=1)


def test_two_symbols_of_a_boundary():
    model = BigramCount({"P": np.tile([0.25, 0.0, 0.0, 0.75], (4, 1))}, 4)
    start, after = predict("", model, TWO), predict("b", model, TWO)
    assert (TWO.decode(start.context), TWO.decode(after.context)) == ("<START>", "b")
    assert [TWO.itos[symbol] for symbol in after.ranked()] == ["<END>", "a", "b", "<START>"]
    counted = count_next(start, build_examples(NAMES, TWO, 1), backs_off=False)
    assert counted.counts.tolist() == [2, 1, 0, 0]
    counted = count_next(after, build_examples(NAMES, TWO, 1), backs_off=False)
    assert counted.counts.tolist() == [0, 0, 0, 3]


def test_space_is_made_visible():
    vocabulary = Vocabulary.of([".", " ", "a"])
    table = as_table({"mlp": Prediction(np.uint8([0]), np.float64([0, 1, 0]), None)}, vocabulary, 1)
    assert table.splitlines()[-1] == "1   ␣ 1.0000"


def test_prefix_may_be_typed_with_accents_apart(trained: Path):
    (trained / "data/vocabulary.json").write_text(json.dumps([".", "a", "ë"]))
    write_lines(trained / split_path("train"), ["a"])
    assert "after ë\n" in run(trained, "e\u0308", "--model", "bigram_count").stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["ac"], 1, "'ac': 'c' is not among the characters 'ab'\n"),
        (["A"], 1, "'A': 'A' is not among the characters 'ab'; did you mean 'a'?\n"),
        (["."], 1, "'.': '.' is not among the characters 'ab'\n"),
        (["-n", "0"], 2, "a whole number above 0 is needed; found '0'\n"),
        (["-n", "x"], 2, "a whole number above 0 is needed; found 'x'\n"),
        (["--model", "gpt"], 2, "invalid choice: 'gpt'"),
    ],
)
def test_wrong_arguments_are_one_line(
    trained: Path, arguments: list[str], status: int, message: str
):
    refused = run(trained, *arguments)
    assert (refused.returncode, refused.stdout) == (status, "")
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_without_models_the_command_that_creates_them_is_named(tmp_path: Path):
    (tmp_path / "params.yaml").touch()
    refused = run(tmp_path, "a")
    assert refused.stderr == "data/vocabulary.json: not found; run `dvc repro` to create it\n"
