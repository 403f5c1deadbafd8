import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project, posix
from tools.program import run_tool


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


def test_error_of_this_code_is_not_mistaken_for_one_of_the_repository(
    monkeypatch: pytest.MonkeyPatch,
):
    def main() -> None:
        raise KeyError("here")

    monkeypatch.setattr(sys, "argv", ["tools/compare.py"])
    with pytest.raises(KeyError):
        run_tool(main)
