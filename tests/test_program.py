import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, posix


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
