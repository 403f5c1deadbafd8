"""Nothing that only POSIX has: every stage and tool without fcntl, SIGALRM, sysexits and /proc."""

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import IN_ONE_PROCESS, ROOT, STAGES, Project, write_inputs

# Python runs this first, where its folder is on PYTHONPATH.
WITHOUT_POSIX = """
import os, signal, sys

sys.modules["fcntl"] = None
for module, names in {
    signal: ("SIGALRM", "setitimer", "ITIMER_REAL", "alarm", "SIGKILL"),
    os: ("EX_UNAVAILABLE", "fork", "setsid"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

def refuse_proc(event, arguments):
    if event == "open" and str(arguments[0]).startswith("/proc"):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])

sys.addaudithook(refuse_proc)
"""
WORDS = [f"{first}{second}na" for first in "abcdefgh" for second in "aeiou"]
FEW_STEPS = {"bigram_neural.steps": 2, "mlp.steps": 2, "find_learning_rate.steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("portable")
    (folder / "sitecustomize.py").write_text(WITHOUT_POSIX)
    write_inputs(folder, "\n".join(WORDS).encode(), FEW_STEPS)
    return folder


def run(folder: Path, *arguments: str) -> str:
    # filelock warns that its portable lock is a weaker one
    options = (sys.executable, "-W", "ignore::UserWarning", *arguments)
    path = os.pathsep.join([str(folder), str(ROOT)])
    finished = Project(folder).run(*options, PYTHONPATH=path, MEMORY_LIMIT_GB="")
    assert finished.stderr == ""
    return finished.stdout


def test_every_stage_and_the_tools_for_models_run(folder: Path):
    printed = run(folder, "-c", IN_ONE_PROCESS, *STAGES).splitlines()
    assert [line.partition(": ")[0] for line in printed] == list(STAGES)
    assert "ana under mlp" in run(folder, "-m", "tools.score", "ana")
    assert run(folder, "-m", "tools.generate", "-n", "2").count("\n") == 2


def test_every_tool_can_be_imported(folder: Path):
    tools = [f"tools.{path.stem}" for path in (ROOT / "tools").glob("[a-z]*.py")]
    assert run(folder, "-c", f"import {', '.join(tools)}") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells its memory in /proc")
def test_memory_limit_has_a_default_where_the_machine_tells_nothing(folder: Path):
    code = "from charlm.data import memory; print(memory.memory_limit_bytes())"
    assert run(folder, "-c", code) == "8000000000\n"
