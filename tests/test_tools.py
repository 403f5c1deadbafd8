"""tools.score and tools.generate, run on small stored models."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from charlm.core import storage
from charlm.core.errors import InputError
from charlm.data import tensors
from charlm.data.vocabulary import Vocabulary
from charlm.models.bigram_count import BigramCount
from charlm.params import Sample
from tests.conftest import ROOT, Project
from tests.test_models import write_models
from tools import generate
from tools.generate import load
from tools.score import Step, as_row, as_text, score, total_nll

VOCABULARY = Vocabulary.of([".", "a", "b"])
SETTINGS = {"seed": 1, "measured": 1, "temperature": 1.0}
# after the boundary a or b; after a always b; after b the end, or rarely an a
P = np.array([[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.75, 0.25, 0.0]])
UNIFORM = load("uniform", 3)
COUNTED = BigramCount({"P": P}, 3)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder with models of the symbols above, and `ab` as the only training name."""
    write_models(tmp_path, P)
    storage.write_lines(tmp_path / "data/splits/train.txt", ["ab"])
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return Project(folder).call(*arguments)


def test_steps_worked_by_hand():
    steps = score("ab", COUNTED, VOCABULARY)
    assert [(step.context, step.next) for step in steps] == [(".", "a"), ("a", "b"), ("b", ".")]
    assert [math.exp(step.log_probability) for step in steps] == pytest.approx([0.5, 1.0, 0.75])
    assert total_nll(steps) == pytest.approx(-math.log(0.375))


def test_impossible_name_is_infinite():
    steps = score("aa", COUNTED, VOCABULARY)
    assert steps[1] == Step("a", "a", -math.inf)
    assert total_nll(steps) == math.inf


def test_perplexity_too_large_for_a_number_is_infinite():
    def last_line(nll: float) -> str:
        return as_text("a", "m", [Step(".", "a", -nll)]).splitlines()[-1]

    assert "perplexity inf" in last_line(700.0)
    assert "perplexity inf" not in last_line(699.0)


def test_score_as_json(trained: Path):
    found = json.loads(run(trained, "tools.score", "ab", "aa", "--json").stdout)
    assert list(found) == ["ab", "aa"]
    count = found["ab"]["bigram_count"]
    assert count["sum"] == pytest.approx(-math.log(0.375))
    assert count["nll"] == pytest.approx(-math.log(0.375) / 3)
    assert count["steps"][0] == {"context": ".", "next": "a", "probability": pytest.approx(0.5)}
    assert (found["aa"]["bigram_count"]["nll"], found["aa"]["bigram_count"]["sum"]) == (
        None,
        None,
    )
    assert found["aa"]["bigram_count"]["steps"][1]["probability"] == 0
    assert found["aa"]["mlp"]["nll"] == pytest.approx(math.log(3))
    assert found["aa"]["mlp"]["steps"][2]["context"] == "aa"


def test_other_alphabets_are_printed_as_they_are(trained: Path):
    storage.write_json(trained / "data/vocabulary.json", [".", "a", "ə"])
    assert '\n  "aə": {' in run(trained, "tools.score", "aə", "--json").stdout
    assert "aə under mlp\n" in run(trained, "tools.score", "aə").stdout


def test_score_as_text_names_the_impossible_pair(trained: Path):
    (trained / "more.txt").write_text("aa\n")
    printed = run(trained, "tools.score", "ab", "-f", "more.txt", "--steps").stdout
    assert "ab under bigram_count\n  .  →  a   0.500000   -0.6931\n" in printed
    assert "sum 0.9808, mean 0.3269, perplexity 1.3867\n" in printed
    assert "sum inf, mean inf, perplexity inf: a is never followed by a\n" in printed


def test_several_names_are_one_line_each(trained: Path):
    arguments = ("tools.score", "ab", "aa", "--model", "mlp", "--model", "bigram_count")
    # ln 27 = 3.2958, ln 3 = 1.0986, ln 0.375 = -0.9808
    assert run(trained, *arguments).stdout.splitlines() == [
        "name    model           log-likelihood    mean NLL    likelihood    perplexity",
        "------  ------------  ----------------  ----------  ------------  ------------",
        "ab      mlp                    -3.2958      1.0986       0.03704             3",
        "ab      bigram_count           -0.9808      0.3269         0.375        1.3867",
        "aa      mlp                    -3.2958      1.0986       0.03704             3",
        "aa      bigram_count              -inf         inf             0           inf",
    ]


def test_likelihood_too_small_for_a_number_is_not_shown_as_zero():
    def likelihood(nll: float) -> str:
        return as_row("a", "m", [Step(".", "a", -nll)])[4]

    assert likelihood(700.0) == "< 1e-304"
    assert likelihood(699.0) == "2.68e-304"
    assert likelihood(math.inf) == "0"


def test_certain_name_has_a_loss_of_zero():
    assert as_row("a", "m", [Step(".", "a", -0.0)])[2:] == ("0.0000", "0.0000", "1", "1")


def test_one_name_is_shown_by_character_unless_asked_otherwise(trained: Path):
    arguments = ("tools.score", "ab", "--model", "bigram_count")
    by_character = run(trained, *arguments).stdout
    assert by_character.startswith("ab under bigram_count\n  .  →  a   0.500000   -0.6931\n")
    assert run(trained, *arguments, "--steps").stdout == by_character
    assert run(trained, *arguments, "--no-steps").stdout.splitlines()[2].split() == [
        *("ab", "bigram_count", "-0.9808", "0.3269", "0.375", "1.3867")
    ]


def test_json_has_only_the_models_asked_for(trained: Path):
    found = json.loads(run(trained, "tools.score", "ab", "--json", "--model", "mlp").stdout)
    assert list(found["ab"]) == ["mlp"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tools.score", "aB"], "'aB': 'B' is not among the characters 'ab'; did you mean 'ab'?\n"),
        (["tools.score", "aC"], "'aC': 'C' is not among the characters 'ab'\n"),
        (
            ["tools.generate", "--prefix", "A"],
            "--prefix: 'A' is not among the characters 'ab'; did you mean 'a'?\n",
        ),
    ],
)
def test_upper_case_gets_a_hint(trained: Path, arguments: list[str], message: str):
    assert run(trained, *arguments).stderr == message


def test_letter_that_is_known_in_upper_case_stays_in_the_hint(trained: Path):
    storage.write_json(trained / "data/vocabulary.json", [".", "A", "b"])
    refused = run(trained, "tools.score", "AB")
    assert refused.stderr == "'AB': 'B' is not among the characters 'Ab'; did you mean 'Ab'?\n"


def test_documented_lines_open_the_trained_tensors(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = (ROOT / "docs/experiments.md").read_text()
    (lines,) = re.findall("```python\n(.*?)```", page, re.DOTALL)
    assert len(lines.splitlines()) == 3
    monkeypatch.chdir(trained)
    exec(lines, {})
    assert capsys.readouterr().out == "[0. 0.]\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["ab", "--model", "gpt"], 2, "invalid choice: 'gpt'"),
        (["ac"], 1, "'ac': 'c' is not among the characters 'ab'"),
        (["a.b"], 1, "'a.b': '.' is not among the characters 'ab'"),
        (["a\tb"], 1, "argument 1: 'a\\tb' is not a name: it contains a tab"),
        ([""], 2, "no names: give some"),
        ([], 2, "no names: give some"),
        (["-f", "gone.txt"], 1, "gone.txt: not found"),
        ([os.fsdecode(b"z\xff")], 1, "b'z\\xff': not text; type it in UTF-8"),
    ],
)
def test_score_refuses(trained: Path, arguments: list[str], status: int, message: str):
    refused = run(trained, "tools.score", *arguments)
    assert (refused.returncode, refused.stdout) == (status, "")
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_score_takes_each_line_of_a_file_as_a_name(trained: Path):
    # where a table is fetched, the advice is to train on one of its columns
    (trained / "table.csv").write_text("ab,ba\nba,ab\n")
    refused = run(trained, "tools.score", "-f", "table.csv")
    assert refused.stderr == "'ab,ba': ',' is not among the characters 'ab'\n"


@pytest.mark.parametrize("tool", [["tools.score", "ab"], ["tools.generate"]])
def test_without_models_the_command_that_creates_them_is_named(tmp_path: Path, tool: list[str]):
    (tmp_path / "params.yaml").touch()  # the root of a repository has one
    refused = run(tmp_path, *tool)
    assert refused.returncode == 1
    assert refused.stderr == "data/vocabulary.json: not found; run `dvc repro` to create it\n"


def test_generate_follows_prefix_and_seed(trained: Path):
    first = run(trained, "tools.generate", "--model", "bigram_count", "-n", "8", "--prefix", "ba")
    again = run(trained, "tools.generate", "--model", "bigram_count", "-n", "8", "--prefix", "ba")
    names = first.stdout.split()
    # b follows ba, then the end or another ab
    assert len(names) == 8
    assert all(name == "b" + "ab" * (len(name) // 2) and len(name) >= 3 for name in names)
    assert first.stdout == again.stdout


def draw(**changes: object) -> list[str]:
    settings = SETTINGS | {"count": 5, "max_length": 30} | changes
    chosen = Sample(**settings)
    return generate.draw(UNIFORM, VOCABULARY, chosen, chosen.max_length, "", set())


def test_uniform_model_gives_all_symbols_the_same_probability():
    names = draw(count=9000, max_length=1)
    assert all(abs(names.count(name) / 9000 - 1 / 3) < 0.03 for name in ("", "a", "b"))


def test_wrong_axis_divides_columns_by_the_sums_of_rows():
    # pairs of aab: .a aa ab b. with the row sums 1, 2, 1; a column divided by these, then the rows
    model = generate.normalised_along_the_wrong_axis(["aab"], VOCABULARY)
    expected = [[0, 1, 0], [0, 1 / 3, 2 / 3], [1, 0, 0]]
    assert model.arrays["P"].tolist() == [pytest.approx(row) for row in expected]


def test_wrong_axis_needs_symbols_that_something_follows(trained: Path):
    arguments = ("tools.generate", "--model", "wrong_axis", "-n", "3")
    assert run(trained, *arguments).stdout == "ab\nab\nab\n"
    storage.write_lines(trained / "data/splits/train.txt", ["b"])
    refused = run(trained, *arguments)
    assert refused.stderr == (
        "--model wrong_axis: nothing follows a in the names of train; it needs "
        "vocabulary.boundary: one, and every character in train\n"
    )


def test_prefix_counts_towards_the_length():
    settings = Sample(**SETTINGS, count=4, max_length=3)
    names = generate.draw(UNIFORM, VOCABULARY, settings, 3, "ab", set())
    assert all(len(name) <= 3 for name in names)


def test_new_leaves_out_training_names_and_says_when_there_are_no_others(trained: Path):
    names = run(trained, "tools.generate", "--model", "bigram_count", "-n", "30", "--new")
    assert len(names.stdout.split("\n")) == 31
    assert "ab" not in names.stdout.split()
    settings = Sample(**SETTINGS, count=5, max_length=1)
    message = "--new: only 0 of 500 names drawn are new; draw fewer names, or raise --temperature"
    with pytest.raises(InputError, match=f"^{message}$"):
        generate.draw(UNIFORM, VOCABULARY, settings, 1, "", {"", "a", "b"})


def test_groups_are_names_of_train_of_dev_alone_and_new_ones():
    names = ["ab", "b", "", "ba", "ab"]
    assert generate.grouped(names, train=["ab", "b"], dev=["ba", "b"]) == (
        "in train (3):\nab\nb\nab\n\nin dev only (1):\nba\n\nnew (1):\n"
    )
    assert generate.grouped([], [], []) == "in train (0):\n\nin dev only (0):\n\nnew (0):"


def test_top_k_and_groups_as_typed(trained: Path):
    # after each symbol b is the most probable one, then a
    W = np.float32([[0, 1, 2]] * 3)
    tensors.write_tensors(trained / "data/models/bigram_neural.safetensors", {"W": W})
    storage.write_lines(trained / "data/splits/dev.txt", ["bb", "ab"])
    arguments = ("tools.generate", "--model", "bigram_neural", "-n", "50", "--max-length", "2")
    assert run(trained, *arguments, "--top-k", "1").stdout.split() == ["bb"] * 50
    printed = run(trained, *arguments, "--top-k", "2", "--groups").stdout
    groups = [block.split("\n") for block in printed.removesuffix("\n").split("\n\n")]
    counts = [len(group) - 1 for group in groups]
    titles = ("in train", "in dev only", "new")
    assert [group[0] for group in groups] == [
        f"{title} ({count}):" for title, count in zip(titles, counts, strict=True)
    ]
    assert sum(counts) == 50
    assert [set(group[1:]) for group in groups] == [{"ab"}, {"bb"}, {"aa", "ba"}]


def test_new_prints_no_empty_name(trained: Path):
    # under the MLP a third of the names end at once, and no training name is empty
    arguments = ("tools.generate", "--model", "mlp", "-n", "50")
    assert "" in run(trained, *arguments).stdout.split("\n")[:-1]
    names = run(trained, *arguments, "--new").stdout.split("\n")[:-1]
    assert len(names) == 50
    assert not {"", "ab"} & set(names)


def test_default_length_fits_the_training_names_and_the_prefix(trained: Path):
    arguments = ("tools.generate", "--model", "bigram_neural", "-n", "200", "--temperature", "1e-9")
    # only b follows any symbol
    W = np.zeros((3, 3), np.float32)
    W[:, 2] = 1
    tensors.write_tensors(trained / "data/models/bigram_neural.safetensors", {"W": W})
    assert set(run(trained, *arguments).stdout.split()) == {"b" * 30}
    prefix = "a" * 31
    assert set(run(trained, *arguments, "--prefix", prefix).stdout.split()) == {f"{prefix}b"}
    storage.write_lines(trained / "data/splits/train.txt", ["ab", "a" * 16])
    assert set(run(trained, *arguments).stdout.split()) == {"b" * 32}
    assert set(run(trained, *arguments, "--max-length", "3").stdout.split()) == {"bbb"}


def test_prefix_may_be_typed_with_accents_apart(trained: Path):
    storage.write_json(trained / "data/vocabulary.json", [".", "a", "ë"])
    arguments = ("tools.generate", "--model", "bigram_count", "-n", "1", "--max-length", "1")
    assert run(trained, *arguments, "--prefix", "e\u0308").stdout == "ë\n"


def test_names_with_full_stops_are_scored_where_the_boundary_is_written_otherwise(trained: Path):
    storage.write_json(trained / "data/vocabulary.json", ["<.>", ".", "b"])
    printed = run(trained, "tools.score", ".b").stdout
    assert "\n  <.>  →  .   0.500000   -0.6931\n  .  →  b   1.000000" in printed
    assert "\n  b  →  <.>   0.750000" in printed


def test_score_mends_names_as_lists_are_mended(trained: Path):
    (trained / "more.txt").write_bytes(b"\xef\xbb\xbfba\r\n\r\n b \r\n")
    found = json.loads(run(trained, "tools.score", " ab ", "-f", "more.txt", "--json").stdout)
    assert list(found) == ["ab", "ba", "b"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--prefix", "c"], 1, "--prefix: 'c' is not among the characters 'ab'"),
        (["--prefix", "a.b"], 1, "--prefix: '.' is not among the characters 'ab'"),
        (
            ["--prefix", "abab", "--max-length", "3"],
            1,
            "--prefix: at most 3 characters are allowed; found 'abab'",
        ),
        (["--top-k", "0"], 1, "--top-k: 1 to 3 symbols are allowed; found 0"),
        (["--top-k", "4"], 1, "--top-k: 1 to 3 symbols are allowed; found 4"),
        (["-n", "0"], 2, "count: Input should be greater than or equal to 1; found 0"),
        (["--temperature", "nan"], 2, "temperature: Input should be a finite number; found nan"),
        (["--seed", "-1"], 2, "seed: Input should be greater than or equal to 0; found -1"),
        (["--model", "gpt"], 2, "invalid choice: 'gpt'"),
    ],
)
def test_generate_refuses(trained: Path, arguments: list[str], status: int, message: str):
    refused = run(trained, "tools.generate", *arguments)
    assert (refused.returncode, refused.stdout) == (status, "")
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("variables", [{"PYTHONIOENCODING": "latin-1"}, {"PYTHONOPTIMIZE": "2"}])
def test_tools_run_with_another_encoding_and_without_docstrings(
    trained: Path, variables: dict[str, str]
):
    command = (sys.executable, "-m", "tools.score", "ab")
    environment = {"PYTHONPATH": str(ROOT)} | variables
    assert "ab under mlp" in Project(trained).run(*command, **environment).stdout


@pytest.mark.parametrize("tool", [("score", "ab"), ("next", "a"), ("generate", "-n", "1")])
def test_numbers_of_a_stale_model_come_with_a_line_on_stderr(
    project: Project, tool: tuple[str, ...]
):
    name, *arguments = tool
    project.set_param("mlp.hidden", 300)  # newer than all models, and mlp alone depends on it
    stale, fresh = (
        project.call(f"tools.{name}", *arguments, "--model", model)
        for model in ("mlp", "bigram_count")
    )
    assert (stale.returncode, fresh.returncode, fresh.stderr) == (0, 0, "")
    assert stale.stdout
    changed = "stage train_mlp changed since it ran: mlp.hidden was 200, is 300; run `dvc repro`"
    assert stale.stderr == f"{name}: stale: {changed}\n"


def test_stale_code_is_named_and_a_copy_without_dvc_says_nothing(project: Project):
    with (project.root / "charlm/networks/mlp.py").open("a") as source:
        source.write("# edited\n")
    scored = project.call("tools.score", "ab", "--model", "mlp")
    assert "stage train_mlp changed since it ran: charlm/networks; " in scored.stderr
    (project.root / "dvc.lock").unlink()
    assert project.call("tools.score", "ab", "--model", "mlp").stderr == ""


@pytest.mark.parametrize("tool", [("next", "--model", "mlp"), ("generate", "--prefix")])
def test_beginning_in_other_case_gets_the_one_of_the_list(project: Project, tool: tuple[str, ...]):
    train = project.root / "data/splits/train.txt"
    content = "Carla\nBianca\n"
    train.unlink()
    train.write_text(content)
    name, *options = tool
    ran = project.call(f"tools.{name}", *options, "ca")
    assert f"{name}: no name in train begins with 'ca'; try 'Ca'\n" in ran.stderr
