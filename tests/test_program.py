import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from tests.conftest import ROOT, Project, posix
from tools.dvc_state import Files
from tools.program import run_tool
from tools.sweep.local import check_repository


@posix
def test_ctrl_c_lets_a_tool_clean_up_and_ends_it_without_a_traceback(tmp_path: Path):
    (tmp_path / "tool.py").write_text(
        "import signal\n"
        "from tools.program import run_tool\n"
        "def main():\n"
        "    try:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    finally:\n"
        "        print('cleaned up', flush=True)\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)  # as charlm does for `python -m`\n"
        "run_tool(main)\n"
    )
    finished = subprocess.run(
        [sys.executable, "tool.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == -signal.SIGINT
    assert (finished.stdout, finished.stderr) == ("cleaned up\n", "")


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away"
)
@pytest.mark.parametrize("tool", [("compare", "HEAD"), ("report", "HEAD")])
def test_clone_of_another_user_is_one_line_with_advice(
    project: Project, monkeypatch: pytest.MonkeyPatch, tool: tuple[str, str]
):
    for path in (project.root, project.root / ".git"):
        os.chown(path, 65534, 65534)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    name, *arguments = tool
    models = ("--model", "mlp", "--other", "bigram_count") if name == "compare" else ()
    refused = project.call(f"tools.{name}", *arguments, *models)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{name}: ")
    advice = f"; run `git config --global --add safe.directory {project.root}`\n"
    assert refused.stderr.endswith(advice)
    assert refused.stderr.count("\n") == 1


TO_SHA_1 = (
    "git init --object-format=sha1 ../NEW && git fast-export --all | git -C ../NEW fast-import "
    "&& git -C ../NEW switch BRANCH\n"
)


@pytest.mark.parametrize("tool", ["compare HEAD workspace", "report HEAD"])
@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("--object-format=sha256", TO_SHA_1),
        ("--ref-format=reftable", "run `git refs migrate --ref-format=files`\n"),
    ],
)
def test_repository_that_dvc_cannot_read_is_one_line_with_advice(
    tmp_path: Path, tool: str, option: str, advice: str
):
    project = Project(tmp_path)
    if project.run("git", "init", "--quiet", option, check=False).returncode:
        pytest.skip(f"this git does not know {option}")
    write_bytes(tmp_path / ".dvc/config", b"")
    project.commit("first")
    name, *arguments = tool.split()
    refused = project.call(f"tools.{name}", *arguments)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{name}: {tmp_path}/.git/: un")
    assert refused.stderr.endswith(advice)
    assert refused.stderr.count("\n") == 1


def test_advice_makes_a_repository_that_dvc_can_read(tmp_path: Path):
    project = Project(tmp_path / "OLD")
    write_bytes(project.root / ".dvc/config", b"")
    project.run("git", "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    project.commit("first")
    project.run("sh", "-c", TO_SHA_1.replace("BRANCH", "main"))
    with contextlib.chdir(tmp_path / "NEW"):
        assert Files("main").read(".dvc/config") == b""


def test_experiments_are_refused_in_a_repository_of_sha256(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_bytes(Path(".dvc/config"), b"")
    project = Project(tmp_path)
    project.run("git", "init", "--quiet", "--object-format=sha256")
    with pytest.raises(InputError) as refused:
        check_repository()
    assert str(refused.value).startswith("this is a SHA-256 repository; ")
    assert str(refused.value).endswith(TO_SHA_1.strip())


def test_error_of_this_code_is_not_mistaken_for_one_of_the_repository(
    monkeypatch: pytest.MonkeyPatch,
):
    def main() -> None:
        raise KeyError("here")

    monkeypatch.setattr(sys, "argv", ["tools/compare.py"])
    with pytest.raises(KeyError):
        run_tool(main)
