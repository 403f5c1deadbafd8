"""The labs: each notebook is its script with outputs, and the solutions pass their checks."""

import json
from pathlib import Path

import pytest

from labs import __main__ as program
from labs import support
from tests.conftest import ROOT

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
            {"name": "stdout", "text": "a"},
            {"name": "stdout", "text": "b"},
            {"name": "stderr", "text": "c"},
        ],
    }
    metadata = {"language_info": {"name": "python", "version": "3.11.1"}}
    (cleaned,) = program.normalise({"cells": [cell], "metadata": metadata})["cells"]
    assert cleaned["metadata"] == {}
    assert [output["text"] for output in cleaned["outputs"]] == ["ab", "c"]


def test_lab_without_data_ends_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()  # the root of a repository has one
    with pytest.raises(
        SystemExit, match=r"^1_bigrams: data/names.txt: not found; run `dvc repro` "
    ):
        support.load("1_bigrams")
