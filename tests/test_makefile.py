"""The targets of the Makefile, with scripts in place of the installed programs."""

import os
import re
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


@pytest.mark.parametrize(("status", "asked"), [(0, ""), (1, "-m tools.rescue\n")])
def test_repro_runs_the_rescue_only_if_dvc_fails(tmp_path: Path, status: int, asked: str):
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    for name, script in {
        "dvc": f'[ "$*" = repro ] && exit {status}',
        "python": 'echo "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (tmp_path / ".venv/.installed").touch()
    ran = make(tmp_path, "repro")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == asked


def test_python_that_is_too_old_is_named(tmp_path: Path):
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "old"
    old.write_text(
        "#!/bin/sh\nexec python3 -c \"import sys; sys.version_info = (3, 10); exec('''$2''')\"\n"
    )
    old.chmod(0o755)
    ran = make(tmp_path, "repro", f"PYTHON={old}")
    assert ran.returncode != 0
    assert "Python 3.11 or newer is needed" in ran.stderr
    assert not (tmp_path / ".venv").exists()


def test_faults_are_looked_for_in_every_file_that_has_some():
    command = make(ROOT, "--dry-run", "test-faults").stdout
    listed = set(re.findall(r"tests/test_\w+\.py", command))
    assert listed <= {f"tests/{path.name}" for path in (ROOT / "tests").glob("test_*.py")}
    assert listed >= {
        f"tests/{path.name}"
        for path in (ROOT / "tests").glob("test_*.py")
        if re.search(r"mark\.faults|^@given", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
