"""A project in a subfolder of a git repository."""

import shutil
from pathlib import Path

import pytest
import yaml

from audit import summary
from tests.conftest import Project
from tools import tables


@pytest.fixture
def subfolder(quick: Project, tmp_path: Path) -> Project:
    """A quick clone as a folder of another git repository, committed there."""
    project = quick.copy(tmp_path / "work" / "names")
    shutil.rmtree(project.root / ".git")
    outer = Project(project.root.parent)
    outer.run("git", "init", "--quiet", "--initial-branch=main")
    (outer.root / ".gitignore").write_text("/site/\n")
    # a file of the same name at the root of git is another one
    (outer.root / "params.yaml").write_text("other: 1\n")
    outer.commit("names, and other things")
    return project


def call(project: Project, module: str, *arguments: str) -> str:
    """Run a tool, which has to succeed; return what it printed."""
    ran = project.call(module, *arguments)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    return ran.stdout


def test_compare_reads_commits_and_finds_stale_results(subfolder: Project):
    assert "the same, name for name" in call(subfolder, "tools.compare", "HEAD", "workspace")
    subfolder.set_param("mlp.hidden", 300)
    subfolder.commit("parameters without results")
    models = ("--model", "mlp", "--other", "bigram_count")
    assert "B is worse" in call(subfolder, "tools.compare", "HEAD~1", *models)
    refused = subfolder.call("tools.compare", "HEAD", "HEAD~1")
    assert refused.stderr == (
        "compare: HEAD: stale: stage train_mlp changed since it ran: mlp.hidden was 200, is 300; "
        "run `dvc repro`\n"
    )


@pytest.mark.faults
def test_recipes_tables_and_verify(subfolder: Project, monkeypatch: pytest.MonkeyPatch):
    project = subfolder
    where = {"fact": "lines"}
    figure = {"what": "names", "file": "metrics/fetch.csv", "key": "value", "where": where}
    picture = "plots/bigram_counts.svg"
    few = {"question": "why?", "overrides": ["sample.count=3"], "figures": [figure]}
    content = {"x": {"title": "Few", "recipes": {"few": few | {"picture": picture}}}}
    (project.root / "audit/recipes.yaml").write_text(yaml.safe_dump(content))
    (project.root / "audit/NOTEBOOKS.md").write_text("<!-- table: x -->\n<!-- end -->\n")
    first = project.call("tools.recipes", "--all")
    assert first.stderr.startswith("few: ")
    assert "few" in project.run("dvc", "exp", "list", "--name-only").stdout.split()
    again = project.call("tools.recipes", "few")
    assert (again.stdout, again.stderr) == (first.stdout, "")
    monkeypatch.setattr(summary, "TABLES", {})
    assert project.call("audit.summary").stderr == ""
    drawn = project.root / "audit/pictures/few_bigram_counts.svg"
    assert drawn.read_bytes() == (project.root / picture).read_bytes()

    monkeypatch.chdir(project.root)
    assert "the same, name for name" in tables.compare_runs("HEAD few --model mlp")

    # of the pipeline only its first stages, so that all can be run anew
    path = project.root / "dvc.yaml"
    stages = yaml.safe_load(path.read_text())["stages"]
    path.write_text(yaml.safe_dump({"stages": {key: stages[key] for key in ("fetch", "split")}}))
    (project.root / "dvc.lock").unlink()
    project.repro()
    project.commit("two stages")
    assert call(project, "tools.verify").startswith(
        "verify: every stage, run anew, gives the bytes"
    )
    (project.root / "metrics/fetch.csv").write_text("fact,value\n")
    project.run("dvc", "commit", "--force", "fetch")
    project.commit("edited")
    refused = project.call("tools.verify")
    assert "verify: stage fetch differs:\n" in refused.stderr
    assert "verify: names/metrics/fetch.csv: not as committed\n" in refused.stderr
