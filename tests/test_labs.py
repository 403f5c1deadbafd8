"""The labs: each notebook is its script with outputs, and the solutions pass their checks."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charlm.core import storage
from charlm.data import tensors
from charlm.data.examples import bigram_counts, build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.networks.mlp import MLP
from labs import __main__ as program
from labs import support
from stages.train_bigram_count import normalise
from tests import mistakes_mlp
from tests.conftest import ROOT

# torch's tensors in pictures: numpy warns, and the lecture draws like this
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LABS = sorted(path.stem for path in ROOT.glob("labs/[0-9]*.py"))


def read_script(lab: str) -> list[tuple[str, str]]:
    """Return kind and text of each cell of a percent-format script."""
    script = (ROOT / f"labs/{lab}.py").read_text()
    cells = []
    for block in script.split("\n# %%")[1:]:
        header, _, text = block.partition("\n")
        lines = text.strip("\n").split("\n")
        is_text = header.strip() == "[markdown]"
        if is_text:
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        cells.append(("markdown" if is_text else "code", "\n".join(lines)))
    return cells


def read_notebook(lab: str) -> program.Notebook:
    notebook: program.Notebook = json.loads((ROOT / f"labs/{lab}.ipynb").read_text())
    return notebook


@pytest.mark.parametrize("lab", LABS)
def test_notebook_has_the_cells_of_its_script(lab: str):
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in read_notebook(lab)["cells"]]
    assert cells == read_script(lab), "run `make labs`"


@pytest.mark.parametrize("lab", LABS)
def test_notebook_is_what_a_run_writes(lab: str):
    path, notebook = ROOT / f"labs/{lab}.ipynb", read_notebook(lab)
    cells = notebook["cells"]
    assert path.stat().st_size <= program.MAX_BYTES
    assert program.normalise(json.loads(path.read_text())) == notebook
    assert [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"] == [
        *range(1, 1 + sum(cell["cell_type"] == "code" for cell in cells))
    ]
    kinds = {output["output_type"] for cell in cells for output in cell.get("outputs", [])}
    assert "error" not in kinds
    assert program.differences(notebook, notebook, exactly=False) == []  # all within their ranges


@pytest.mark.parametrize("lab", LABS)
def test_settings_that_a_lab_describes_are_the_committed_ones(
    lab: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)
    described = json.loads((ROOT / support.SETTINGS).read_text())[lab]
    monkeypatch.setattr(support, "read_bytes", lambda path: b"")
    assert described.keys() == support.current_settings(lab).keys()
    for section in support.SECTIONS[lab]:
        assert described[section] == support.current_settings(lab)[section], "run `make labs`"


def notebook_of(*cells: list[str]) -> program.Notebook:
    """A notebook with code cells that print these texts; `picture` is a picture."""
    outputs = [
        [
            {"data": {"image/png": ""}} if text == "picture" else {"name": "stdout", "text": text}
            for text in texts
        ]
        for texts in cells
    ]
    return {"cells": [{"cell_type": "code", "outputs": output} for output in outputs]}


BEFORE = notebook_of(["loss: 2.4540   (2.4000 to 2.5000)\n", "picture"], ["emma\n"])


def test_a_run_that_prints_something_else_differs():
    line = "loss: 2.4541   (2.4000 to 2.5000)"
    new = notebook_of([f"{line}\n", "picture"], ["ava\n"])
    assert program.differences(new, BEFORE, exactly=False) == []
    assert program.differences(new, BEFORE, exactly=True) == [
        f"code cell 1: prints {line!r}, committed: {line.replace('41', '40')!r}",
        "code cell 2: prints 'ava', committed: 'emma'",
    ]


@pytest.mark.parametrize("exactly", [False, True])
def test_a_number_outside_its_range_or_a_missing_picture_differs(exactly: bool):
    new = notebook_of(["loss: 2.6000   (2.4000 to 2.5000)\n"], ["emma\n"])
    found = program.differences(new, BEFORE, exactly)
    assert len(found) == 2 + exactly
    assert found[0] == "code cell 1: 0 pictures, 1 in the committed notebook"
    assert found[-1] == "code cell 1: 2.6000 is not within 2.4000 to 2.5000"
    (fewer,) = program.differences(notebook_of([]), BEFORE, exactly)
    assert fewer == "1 code cells, 2 in the committed notebook"


def test_pieces_of_one_output_are_joined_and_times_left_out():
    cell = {
        "cell_type": "code",
        "source": "x",
        "metadata": {"execution": {"iopub.execute_input": "12:00"}},
        "outputs": [
            {"name": "stdout", "text": ["a\n", "b"]},
            {"name": "stdout", "text": ["\n"]},
            {"name": "stderr", "text": ["c"]},
        ],
    }
    metadata = {"language_info": {"name": "python", "version": "3.11.1"}}
    (cleaned,) = program.normalise({"cells": [cell], "metadata": metadata})["cells"]
    assert cleaned["metadata"] == {}
    assert [output["text"] for output in cleaned["outputs"]] == [["a\n", "b\n"], ["c"]]


def test_lab_without_data_ends_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()  # the root of a repository has one
    with pytest.raises(
        SystemExit, match=r"^1_bigrams: data/names.txt: not found; run `dvc repro` "
    ):
        support.load("1_bigrams")


FIVE_NAMES = ["emma", "olivia", "ava", "isabella", "sophia"]  # 32 examples
# what people get wrong, by lab and exercise; every exercise has at least one
MISTAKES = {
    ("1_bigrams", 1): ["begins_with_a = P[1, 0].item()  # ends"],
    ("1_bigrams", 2): [
        "my_softmax = lambda logits: logits.exp() / logits.exp().sum(dim=0, keepdim=True)",
        "my_softmax = lambda logits: logits.exp() / logits.exp().sum(dim=1, keepdim=True)",
        "my_softmax = lambda logits: logits.exp() / logits.exp().sum(dim=1)",
        """
def my_softmax(logits):
    counts = (logits - logits.max()).exp()  # the largest of all rows
    return counts / counts.sum(dim=1, keepdim=True)
""",
    ],
    ("1_bigrams", 3): [
        """
W_free = W_start.clone().requires_grad_()
for _ in range(2):  # and the gradient not zeroed
    F.cross_entropy(W_free[x_emma], y_emma).backward()
my_gradient = W_free.grad
"""
    ],
    ("1_bigrams", 4): [
        """
def trigram_loss(counted, scored, k):
    one_dot = lambda names: torch.tensor(
        [[stoi[c] for c in t[i : i + 3]] for n in names for t in [f".{n}."] for i in range(len(n))]
    ).T
    N3 = torch.full((len(itos),) * 3, float(k))
    N3.index_put_(tuple(one_dot(counted)), torch.tensor(1.0), accumulate=True)
    P3 = N3 / N3.sum(dim=2, keepdim=True)
    return -P3[tuple(one_dot(scored))].log().mean().item()
""",
        """
two_dots = trigram_loss
trigram_loss = lambda counted, scored, k: two_dots(scored, scored, k)
""",
    ],
    ("1_bigrams", 5): [
        "my_parts = [names[:4], names[4:], []]",
        "my_parts = [names[:4], names[4:]]",
        "my_parts = [names[1:], names[:1], names[:1]]  # one name in two parts",
        "my_parts = [names[:3], names[3:4], names[4:]]  # not 80 %",
        "my_losses = [bigram_loss(count(names), count(seen), 1), *my_losses[1:]]  # all counted",
        "my_losses = [*my_losses[:2], *my_losses[:2]]",
    ],
    ("1_bigrams", 6): [
        """
k = min((0.001, 0.01, 0.1, 1), key=lambda k: trigram_loss(lab.train, lab.train, k))
my_choice = (k, *(trigram_loss(lab.train, part, k) for part in (lab.train, lab.dev, lab.test)))
""",
        "my_choice = (10, 2.19, 2.22, 2.22)",
    ],
    ("1_bigrams", 7): [
        "my_logits = lambda W, x: W[:, x]",
        "my_logits = lambda W, x: [W[i] for i in x]",
        "my_logits = lambda W, x: F.one_hot(x, num_classes=len(W)).float() @ W",
    ],
    ("1_bigrams", 8): [
        "my_loss = lambda W, x, y: F.cross_entropy(F.softmax(W[x], dim=1), y)",
        "my_loss = lambda W, x, y: F.cross_entropy(W[x], y, reduction='sum')",
        "my_loss = lambda W, x, y: -F.softmax(W[x], dim=1)[range(len(y)), y].log().mean()",
    ],
    ("1_bigrams", 9): [
        # the names reversed, the table not
        "loss_backwards = -P[tuple(to_pairs([name[::-1] for name in names]))].log().mean().item()"
    ],
}
MISTAKES |= {("2_mlp", number): wrong for number, wrong in mistakes_mlp.MISTAKES.items()}
COPIED = (
    support.SETTINGS,
    *[f"metrics/nll/{split}.json" for split in ("train", "dev", "dev_unseen")],
    *[f"plots/{name}.csv" for name in ("bigram_neural", "learning_rate", "mlp")],
)


# in lab 2 of train, too: a network must beat the bigram on it after few steps
DEV = {"1_bigrams": "sophia", "2_mlp": "ava"}


def write_project(root: Path, dev: str) -> None:
    """Write what a lab reads, for five names, of which one is dev."""
    shutil.copy(ROOT / "params.yaml", root)
    for folder in ("labs", "metrics/nll", "plots"):
        (root / folder).mkdir(parents=True)
    for path in COPIED:
        shutil.copy(ROOT / path, root / path)
    symbols = [".", *sorted(set("".join(FIVE_NAMES)))]
    storage.write_json(root / "data/vocabulary.json", symbols)
    splits = {"names": FIVE_NAMES, "splits/train": FIVE_NAMES[:3]}
    for path, names in (splits | {"splits/dev": [dev], "splits/test": ["isabella"]}).items():
        storage.write_lines(root / f"data/{path}.txt", names)
    examples = build_examples(FIVE_NAMES[:3], Vocabulary.of(symbols), 1)
    P = normalise(bigram_counts(examples, len(symbols)), smoothing=1)
    tensors.write_tensors(root / "data/models/bigram_count.safetensors", {"P": P})
    W = np.zeros(P.shape, np.float32)
    tensors.write_tensors(root / "data/models/bigram_neural.safetensors", {"W": W})
    contexts = build_examples(FIVE_NAMES[:3], Vocabulary.of(symbols), 3)
    tensors.write_tensors(root / "data/contexts/mlp/train.safetensors", contexts)
    mlp = MLP(len(symbols), block_size=3, embedding=10, hidden=4)
    mlp.initialise("scaled", torch.Generator().manual_seed(1))
    tensors.write_tensors(root / "data/models/mlp.safetensors", mlp.requires_grad_(False).arrays())


def run_cell(code: str, namespace: dict[str, Any]) -> str:
    """Run the code of a cell, its trainings for 20 steps; return what it prints."""
    code = re.sub(r"\b\d{1,2}_000\b|(?<=steps=)[\d_]+", "20", code)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, namespace)
    return printed.getvalue()


@pytest.fixture(scope="module", params=LABS)
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A lab that has run on five names up to its exercises, and the variables that it leaves."""
    root, lab = tmp_path_factory.mktemp("lab"), request.param
    write_project(root, DEV[lab])
    _, *cells = [code for code in before_exercises(lab) if code]
    namespace: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)
        monkeypatch.setattr(support, "run", lambda command: None)
        printed = [run_cell(code, namespace) for code in cells]
        assert "do not apply: the list of names changed since" in "".join(printed)
        yield lab, namespace


def before_exercises(lab: str) -> list[str]:
    cells = read_script(lab)
    first = next(i for i, (_, text) in enumerate(cells) if text.startswith("## Exercises"))
    return [text for kind, text in cells[:first] if kind == "code"]


def exercises(lab: str) -> list[tuple[str, str, str, str]]:
    """Return question, cell to try in, check and code of the solution of each exercise."""
    cells = [text for _, text in read_script(lab)]
    first = [i for i, text in enumerate(cells) if text.startswith("### Exercise ")]
    found = []
    for question, attempt, check, solution in (cells[i : i + 4] for i in first):
        (code,) = re.findall("```python\n(.*?)```", solution, re.DOTALL)
        found.append((question, attempt, check, code))
    return found


@pytest.mark.parametrize("lab", LABS)
def test_first_cell_finds_the_root(lab: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = before_exercises(lab)[0]
    assert len([line for line in first.splitlines() if line]) <= 4
    (tmp_path / "labs").mkdir()
    (tmp_path / "dvc.yaml").touch()
    for folder in (tmp_path, tmp_path / "labs"):
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.path", [])
        namespace: dict[str, Any] = {}
        run_cell(first, namespace)
        assert namespace["sys"].path == [str(tmp_path.resolve())]
        assert Path.cwd() == tmp_path.resolve()


@pytest.mark.parametrize("lab", LABS)
def test_every_exercise_says_what_to_expect_and_which_command_does_it(lab: str):
    cells = [text for _, text in read_script(lab)]
    solutions = [text for text in cells if text.startswith("<details><summary>Solution</summary>")]
    asked = exercises(lab)
    assert len(solutions) == len(asked) == sum(key[0] == lab for key in MISTAKES)
    assert all("\nExpected: " in question for question, *_ in asked)
    assert all(re.search("```sh\n(dvc|python -m|rev) ", text) for text in solutions)


def test_checks_accept_the_solutions_and_refuse_no_answer_and_mistakes(
    session: tuple[str, dict[str, Any]],
):
    lab, namespace = session
    asked = exercises(lab)
    for _, attempt, check, solution in asked:
        run_cell(attempt, namespace)
        assert run_cell(check, namespace).startswith("No answer yet: ")
        run_cell(solution, namespace)
        assert run_cell(check, namespace).startswith("Right: ")
    for number, (_, attempt, check, solution) in enumerate(asked, start=1):
        for mistake in MISTAKES[lab, number]:
            run_cell(mistake, namespace)
            assert run_cell(check, namespace).startswith("Not yet: "), mistake
            run_cell(attempt, namespace)
            run_cell(solution, namespace)
