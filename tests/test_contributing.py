"""CONTRIBUTING.md, followed to the letter in a clone: a new model, and a new stage."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Project, clone, losses

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SECTION, STAGE_SECTION = (
    TEXT.partition(f"## Add a {what}\n")[2].partition("\n## ")[0] for what in ("model", "stage")
)
STEP = re.compile(
    r"(?:Create `(?P<new>[^`]+)`|[Ii]n `(?P<old>[^`]+)`, above the line `(?P<anchor>[^`]+)`):\n\n"
    r"```\w+\n(?P<block>.*?)```\n",
    re.DOTALL,
)


def follow_the_steps(project: Project, section: str) -> None:
    """Create the files and insert the lines of a section."""
    for step in STEP.finditer(section):
        if step["new"]:
            (project.root / step["new"]).write_text(step["block"])
        else:
            path = project.root / step["old"]
            text = path.read_text()
            anchor = f"\n{step['anchor']}\n"
            assert text.count(anchor) == 1, f"{step['old']}: {step['anchor']}"
            path.write_text(text.replace(anchor, f"\n{step['block']}{step['anchor']}\n"))
    project.run(sys.executable, "-m", "tools.deps")  # what `make deps` runs


@pytest.fixture(scope="module")
def with_unigram(quick: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = quick.copy(tmp_path_factory.mktemp("unigram") / "clone")
    follow_the_steps(project, SECTION)
    assert "make deps\ndvc repro\n" in SECTION
    project.repro()
    return project


def test_steps_touch_no_other_place(with_unigram: Project):
    changed = {line[3:] for line in with_unigram.changed().splitlines()}
    results = {path for path in changed if path.startswith(("dvc.lock", "metrics/", "plots/"))}
    assert changed - results == {
        "charlm/models/registry.py",
        "charlm/models/unigram.py",
        "charlm/params.py",
        "dvc.yaml",
        "params.yaml",
        "stages/train_unigram.py",
    }


def test_new_model_is_evaluated(with_unigram: Project, names: list[str]):
    assert "`metrics/nll/dev.json` now has the loss of `unigram`" in SECTION
    nll = losses(with_unigram.root)
    assert nll["dev"]["unigram"] == pytest.approx(2.8210, abs=5e-5)
    assert all("unigram" in by_model for by_model in nll.values())


def test_new_model_is_sampled_scored_and_drawn_from(with_unigram: Project):
    assert (with_unigram.root / "data/samples/unigram.txt").read_text().count("\n") == 20
    scored = with_unigram.run(sys.executable, "-m", "tools.score", "emma").stdout
    assert "emma under unigram\n" in scored
    drawn = with_unigram.run(
        sys.executable, "-m", "tools.generate", "--model", "unigram", "-n", "3"
    ).stdout
    assert drawn.count("\n") == 3


def test_new_model_is_compared_and_declared(with_unigram: Project):
    compared = with_unigram.run(
        sys.executable,
        *("-m", "tools.compare", "workspace", "--model", "unigram", "--other", "mlp"),
    ).stdout
    assert "unigram → mlp" in compared
    stages = yaml.safe_load((with_unigram.root / "dvc.yaml").read_text())["stages"]
    for stage in ("evaluate", "sample"):
        assert "charlm/models" in stages[stage]["deps"]
        assert "data/models/unigram.safetensors" in stages[stage]["deps"]


def test_new_model_is_on_the_page_of_the_report(with_unigram: Project):
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    with_unigram.run(sys.executable, "-m", "tools.report")
    page = (with_unigram.root / "report/index.html").read_text()
    results = page.partition('id="results"')[2].partition("</section>")[0]
    assert "<code>unigram</code>" in results
    note = "unigram is not in the playground: tools/report/models.js has no form of it."
    assert note in page
    assert "<h3>" in page.partition('id="samples"')[2].partition("<code>unigram</code>")[0]


def test_new_stage_runs(quick: Project, tmp_path: Path, names: list[str]):
    project = quick.copy(tmp_path / "clone")
    follow_the_steps(project, STAGE_SECTION)
    assert "make deps\ndvc repro longest\n" in STAGE_SECTION
    assert project.repro("longest") == {"fetch", "longest"}  # fetch imports params.py
    changed = {line[3:] for line in project.changed().splitlines()}
    files = ("charlm/params.py", "dvc.lock", "dvc.yaml", "params.yaml")
    assert changed == {*files, "stages/longest.py"}
    longest = (project.root / "data/longest.txt").read_text().splitlines()
    assert len(longest) == 10
    assert len(longest[0]) == max(map(len, names)) == 15


@pytest.mark.faults
@pytest.mark.parametrize(
    ("section", "tests"),
    [
        (SECTION, ("dvc_yaml", "models", "next", "stored", "sweep_grid")),
        (STAGE_SECTION, ("dvc_yaml",)),
    ],
    ids=["model", "stage"],
)
def test_tests_accept_what_is_new(tmp_path: Path, section: str, tests: tuple[str, ...]):
    project = clone(tmp_path / "clone")
    follow_the_steps(project, section)
    options = ("-q", "-n0", "-p", "no:cacheprovider")
    files = [f"tests/test_{name}.py" for name in tests]
    project.run(sys.executable, "-m", "pytest", *options, *files)
