"""What a tool or a stage says to somebody who starts it wrongly, or asks how to."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools.__main__ import PROGRAMS

ONE_FILE = {path.stem for path in ROOT.glob("tools/*.py")}
TOOLS = [name for names in PROGRAMS.values() for name in names if name in ONE_FILE]


@pytest.mark.parametrize("tool", TOOLS)
def test_help_prints_the_docstring_with_its_examples_and_does_nothing(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", [f"{ROOT}/tools/{tool}.py", "--help"])
    monkeypatch.chdir(tmp_path)
    module = import_module(f"tools.{tool}")
    with pytest.raises(SystemExit) as ended:
        module.main()
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    assert printed.startswith(f"usage: python -m tools.{tool} ")
    assert module.__doc__.strip() in printed
    assert f"python -m tools.{tool}" in module.__doc__
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["stages.split", "tools.compare"])
def test_python_without_the_packages_is_told_to_activate_the_environment(module: str):
    # -S leaves out the folder in which packages are installed
    command = (sys.executable, "-S", "-m", module)
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"{sys.executable} lacks the packages of this project; activate the environment that "
        "`make repro` created: source .venv/bin/activate\n"
    )
