"""docs/class.md: its commands, as typed."""

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project

PAGE = (ROOT / "docs/class.md").read_text()
LINES = [
    line for block in re.findall("```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.split("\n")
]
TOOL = re.compile(r"python -m (tools\.\w+) ")


def test_tools_accept_what_the_page_types(project: Project):
    project.run("sh", "-c", next(line for line in LINES if line.startswith("awk ")))
    project.run("git", "branch", "last-step", "HEAD~1")  # in place of the experiment
    typed = [line for line in LINES if TOOL.match(line)]
    typed.sort(key=lambda line: "tools.report" not in line)  # which refuses stale results
    assert {TOOL.match(line)[1] for line in typed} == {
        *("tools.use", "tools.next", "tools.report", "tools.compare", "tools.generate"),
    }
    for line in typed:
        command, *_ = line.partition(" | ")
        ran = project.call(*shlex.split(command, comments=True)[2:])
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout, line


@pytest.mark.faults
def test_page_from_top_to_bottom(finished: Project, names: list[str], tmp_path: Path):
    project = finished.copy(tmp_path / "clone")
    script = "\n".join(LINES).replace("source .venv/bin/activate\n", "")
    project.run("sh", "-ec", script.replace("make repro", "dvc repro"))
    assert "url: words.txt\n" in (project.root / "params.yaml").read_text()
    assert project.changed() == "?? samples.txt\n"
    samples = (project.root / "samples.txt").read_text().split()
    train = (project.root / "data/splits/train.txt").read_text().split()
    assert samples == sorted({*samples} - {*train})
    compared = project.run("python", "-m", "tools.compare", "HEAD", "last-step", "--model", "mlp")
    _, _, a, b, difference, *_ = compared.stdout.splitlines()[5].split()
    assert f"> mlp, dev: A {a}, B {b}, B - A {difference}, " in PAGE
