"""The way from `make repro` to the embedded list, with stand-ins for the installed programs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `make repro` as from a shell, though `make test` may be what runs this."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "repro", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("status", "asked"), [(0, ""), (1, "-m tools.rescue\n")])
def test_repro_turns_to_the_embedded_list_only_where_dvc_fails(
    tmp_path: Path, status: int, asked: str
):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
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
    ran = make(tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == asked


def test_too_old_a_python_is_told(tmp_path: Path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "old"
    old.write_text(
        "#!/bin/sh\nexec python3 -c \"import sys; sys.version_info = (3, 10); exec('''$2''')\"\n"
    )
    old.chmod(0o755)
    ran = make(tmp_path, f"PYTHON={old}")
    assert ran.returncode != 0
    assert "Python 3.11 or newer is needed" in ran.stderr
    assert not (tmp_path / ".venv").exists()
