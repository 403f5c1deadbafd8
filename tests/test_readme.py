"""README.md and docs/ against the files that their figures come from."""

import json
import re
import sys
from pathlib import Path

import pytest

from audit import summary
from benchmarks import compare, scale
from benchmarks import documents as benchmark_documents
from charlm.core.errors import InputError
from tests.conftest import ROOT, Project, losses
from tools import documents, stages_picture, tables

README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("audit/**/*.md")]
TABLES = tables.TABLES | summary.TABLES | benchmark_documents.TABLES
MAX_LINES = 130  # a reader has two minutes
# what the tables need besides files in git; other tests hold these
NEED_A_RUN = {"names", "graph", "verdict", "verdicts"}


def test_readme_is_short():
    assert len(README.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", documents.FILES, ids=str)
def test_tables_are_those_of_the_results(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    cheap = {name: make for name, make in TABLES.items() if name not in NEED_A_RUN}
    text = path.read_text()
    assert documents.fill_in(text, cheap) == text, "run `make tables`"


def test_every_table_is_shown_once():
    texts = [path.read_text() for path in documents.FILES]
    shown = [name for text in texts for _, name, _ in documents.MARKS.findall(text)]
    assert sorted(shown) == sorted(TABLES)


def test_outdated_tables_are_named_and_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.chdir(tmp_path)
    text = "<!-- table: x -->\n{}\n<!-- end -->\n"
    for name, content in (("a.md", "old"), ("b.md", "new")):
        Path(name).write_text(text.format(content))

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["tables", *arguments])
        documents.rewrite_tables("", {"x": lambda: "new"}, [Path("a.md"), Path("b.md")])
        return capsys.readouterr().out

    with pytest.raises(InputError, match=r"^outdated: a\.md; run `make tables`$"):
        run("--check")
    assert Path("a.md").read_text() == text.format("old")
    assert run() == "rewrote a.md\n"
    assert Path("a.md").read_text() == text.format("new")
    assert run() == "rewrote nothing\n"
    assert run("--check") == ""


def test_what_tools_compare_prints_is_returned_and_its_error_raised(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(ROOT)
    assert tables.compare_runs("--help").startswith("usage: python -m tools.compare ")
    with pytest.raises(InputError, match="give A and B, or one revision"):
        tables.compare_runs("HEAD")


def test_default_mlp_reaches_its_loss():
    assert losses(ROOT)["dev"]["mlp"] <= 2.10


def test_sampled_names_are_those_of_the_pipeline(
    finished: Project, names: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(finished.root)
    assert f"-->\n{tables.names()}\n<!--" in README, "run `make tables`"


def test_graph_is_what_dvc_draws(finished: Project):
    drawn = finished.run("dvc", "dag", "--md").stdout.strip()
    assert drawn in (ROOT / "docs/design.md").read_text(), "run `make tables`"


def test_picture_of_the_stages_is_that_of_dvc_yaml(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    assert stages_picture.PATH.read_text() == stages_picture.draw(), "run `make tables`"


def test_picture_of_the_stages_has_the_arrows_of_the_lectures():
    stages = {
        "fetch": {"outs": ["data/names.txt"]},
        "split": {"deps": ["data/names.txt"], "outs": ["data/splits/train.txt"]},
        "build_contexts": {
            "deps": ["data/names.txt", "data/splits/train.txt"],
            "outs": [{"data/contexts": {"cache": False}}],
        },
        "fit": {"deps": ["data/contexts/one"], "metrics": ["metrics/fit"]},
        "evaluate": {"deps": ["data/contexts", "metrics/fit"]},
    }
    graph = stages_picture.dependencies(stages)
    assert graph["build_contexts"] == {"fetch", "split"}
    assert stages_picture.edges(graph) == {
        ("fetch", "split"): True,
        ("split", "build_contexts"): True,
        ("build_contexts", "fit"): False,
        ("fit", "evaluate"): False,
        # which the stages of the lectures do not imply without the one between them
        ("build_contexts", "evaluate"): True,
    }
    columns = [["fetch"], ["split"], ["build_contexts"], ["fit"], ["evaluate"]]
    assert stages_picture.columns(graph) == columns


def test_design_names_every_module_of_the_library():
    design = (ROOT / "docs/design.md").read_text()
    for path in ROOT.glob("charlm/*.py"):
        assert f"`{path.name}`" in design


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_pictures_of_this_repository_exist(path: Path):
    text = path.read_text()
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) + re.findall(
        r'<img src="([^"]+)"', text
    )
    for link in links:
        assert (path.parent / link).exists(), link


def test_benchmarks_shown_are_of_the_rows_and_limits_of_now():
    results = json.loads((ROOT / "benchmarks/results.json").read_text())
    assert {name: row["what"] for name, row in results["rows"].items()} == {
        name: row.what for name, row in compare.ROWS.items()
    }
    sizes = json.loads((ROOT / "benchmarks/scale.json").read_text())["sizes"]
    for stage in sizes["1"]["stages"].values():
        assert stage.get("megabytes_above", 0) <= scale.MEGABYTES


def test_every_promise_names_a_test_that_there_is():
    table = (ROOT / "docs/guarantees.md").read_text()
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", table)
    assert len(named) >= 20
    for file, test in named:
        source = (ROOT / "tests" / file).read_text()
        assert not test or f"def {test}(" in source
