"""The targets of the Makefile, with scripts in place of the installed programs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, posix

pytestmark = posix
FILES = ("Makefile", "pyproject.toml", "constraints.txt", "constraints-dev.txt")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell, even if this test runs in `make test`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone as far as the Makefile looks."""
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def write_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def write_environment(folder: Path, script: str) -> None:
    """Write a .venv that counts as installed, and whose python is a script."""
    write_program(folder / ".venv/bin/python", script)
    (folder / ".venv/.installed").touch()


@pytest.mark.parametrize(("status", "asked"), [(0, ""), (1, "-m tools.rescue\n")])
def test_repro_runs_the_rescue_only_if_dvc_fails(folder: Path, status: int, asked: str):
    script = f'[ "$1" = -c ] && exit; [ "$*" = "-m dvc repro" ] && exit {status}; echo "$@"'
    write_environment(folder, script)
    ran = make(folder, "repro")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == asked


@pytest.mark.parametrize(
    "script",
    ["exit 1", '[ "$1" = -c ] && echo "(3, 1)"'],
    ids=["without dvc", "of another Python"],
)
def test_unsound_environment_is_built_anew(folder: Path, script: str):
    write_environment(folder, script)
    program = '[ "$1" = -c ] && echo "(3, 12)" || echo "built: $*"; exit 0'
    made = make(folder, "repro", f"PYTHON={write_program(folder / 'new', program)}")
    assert "built: -m venv --clear .venv\n" in made.stdout


def test_files_without_git_are_refused_before_anything_is_installed(folder: Path):
    shutil.rmtree(folder / ".git")
    refused = make(folder, "repro")
    assert refused.returncode != 0
    assert "This is not a git clone" in refused.stderr
    assert not (folder / ".venv").exists()


def test_project_may_be_in_a_subfolder_of_a_git_repository(folder: Path):
    below = folder / "names"
    below.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, below)
    program = write_program(folder / "new", 'echo "built: $*"')
    assert "built: -m venv --clear .venv\n" in make(below, "repro", f"PYTHON={program}").stdout


def test_python_that_is_too_old_is_named(folder: Path):
    script = "exec python3 -c \"import sys; sys.version_info = (3, 10); exec('''$2''')\""
    ran = make(folder, "repro", f"PYTHON={write_program(folder / 'old', script)}")
    assert ran.returncode != 0
    assert "Python 3.11 or newer is needed" in ran.stderr
    assert not (folder / ".venv").exists()
