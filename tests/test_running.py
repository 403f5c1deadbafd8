"""What every stage shares: the folder's lock, errors in one line, limits of memory."""

import fcntl
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import psutil
import pytest

from charlm import InputError, runtime as running
from tests.conftest import ROOT

STAGE = """
from pathlib import Path
from charlm.runtime import run

def main():
    print("at work", flush=True)
    input()

run(main)
"""


def start(folder: Path, name: str, code: str = STAGE) -> subprocess.Popen[str]:
    """Run a stage of this name, which works until it is told to end."""
    (folder / f"{name}.py").write_text(code)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, f"{name}.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def line(stream: TextIO) -> str:
    """The next line of a stage, which is to come soon."""
    assert select.select([stream], [], [], 60)[0], "says nothing"
    return stream.readline()


def test_second_stage_waits_for_the_first_and_says_for_whom(tmp_path: Path):
    first = start(tmp_path, "one")
    assert line(first.stdout) == "at work\n"
    second = start(tmp_path, "two")
    assert line(second.stderr) == (
        f"two: waits for one (process {first.pid}), at work in this folder\n"
    )
    assert select.select([second.stdout], [], [], 0) == ([], [], [])
    first.communicate("\n", timeout=60)
    assert line(second.stdout) == "at work\n"
    assert second.communicate("\n", timeout=60) == ("", "")


def test_a_killed_stage_leaves_no_lock(tmp_path: Path):
    first = start(tmp_path, "one")
    assert line(first.stdout) == "at work\n"
    first.kill()
    first.wait(timeout=60)
    second = start(tmp_path, "two")
    assert second.communicate("\n", timeout=60) == ("at work\n", "")


def test_stages_of_other_folders_do_not_wait(tmp_path: Path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    both = [start(folder, "stage") for folder in folders]
    assert [line(stage.stdout) for stage in both] == ["at work\n"] * 2
    for stage in both:
        stage.communicate("\n", timeout=60)


def test_file_that_cannot_be_read_or_written_is_one_line(tmp_path: Path):
    code = STAGE.replace("input()", "Path('data').read_text()")
    failed = start(tmp_path, "one", code)
    _, error = failed.communicate(timeout=60)
    assert (failed.returncode, error) == (1, "data: Is a directory\n")
    code = STAGE.replace("input()", "Path('/dev/full').write_text('a')")
    failed = start(tmp_path, "one", code)
    _, error = failed.communicate(timeout=60)
    assert (failed.returncode, error) == (1, "one: No space left on device\n")


def test_lock_holds_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    running.LOCK.symlink_to("/dev/full")
    with running.alone("one"), running.LOCK.open("ab") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("reaped", [True, False])
def test_stage_is_abandoned_once_its_dvc_is_gone(monkeypatch: pytest.MonkeyPatch, reaped: bool):
    dvc = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(running, "STARTED_BY", psutil.Process(dvc.pid))
    assert not running.abandoned()
    dvc.kill()
    if reaped:
        dvc.wait(60)
    while not running.abandoned():
        pass
    dvc.wait(60)


def test_stage_that_no_dvc_started_is_never_abandoned():
    assert running.STARTED_BY is None
    assert not running.abandoned()


def test_memory_is_refused_above_the_limit_with_the_estimate():
    running.afford("a table", running.MEMORY, "take less")
    with pytest.raises(
        InputError,
        match=r"a table would take about 9 GB of memory, more than the 8 GB allowed; take less$",
    ):
        running.afford("a table", 9 * 10**9, "take less")


@pytest.mark.parametrize("ignored", [False, True], ids=["by_hand", "in_the_background"])
def test_ctrl_c_ends_a_stage_while_it_still_imports_unless_it_is_ignored(
    tmp_path: Path, ignored: bool
):
    """As a shell does for `python -m stages.split &`."""
    (tmp_path / "signalled.py").write_text(
        "import os, signal, sys\n"
        "sys.argv[0] = '-m'\n"
        "import charlm\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('goes on')\n"
    )
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        finished = subprocess.run(
            [sys.executable, "signalled.py"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    expected = (0, "goes on\n", "") if ignored else (-signal.SIGINT, "", "")
    assert (finished.returncode, finished.stdout, finished.stderr) == expected
