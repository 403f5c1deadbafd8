"""What every stage shares: the folder's lock, errors in one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

import pytest

from charlm.core import runtime
from charlm.core.errors import InputError
from charlm.download import with_time_limit
from tests.conftest import ROOT, posix

TIMEOUT_S = 60  # only a test that fails waits so long
STAGE = """
import sys
from pathlib import Path
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage

def main():
    Path(sys.argv[0]).with_suffix(".started").touch()
    print("started", flush=True)
    input()

run_stage(main)
"""
WITHOUT_ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file can have a single byte
"""


def start(folder: Path, name: str, code: str = STAGE) -> subprocess.Popen[str]:
    """Run a stage of this name, which works until it is told to end."""
    (folder / f"{name}.py").write_text(code)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, f"{name}.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )


def line(stream: TextIO) -> str:
    """Return the next line of a stage, which is expected soon."""
    return with_time_limit(TIMEOUT_S, lambda: stream.readline().encode()).decode()


def test_garbage_is_collected_while_a_program_runs_and_not_while_it_imports():
    code = (
        "import gc, sys; sys.argv[0] = '-m'; from charlm.core.runtime import run; "
        "print(gc.isenabled()); run(lambda: print(gc.isenabled(), gc.get_freeze_count() > 0))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout == "False\nTrue True\n"


# --- the lock ---------------------------------------------------------------------------------


def test_second_stage_says_that_it_waits_and_starts_after_the_first(tmp_path: Path):
    first = start(tmp_path, "one")
    assert line(first.stdout) == "started\n"
    second = start(tmp_path, "two")
    assert line(second.stderr) == "two: waiting for another stage that runs in this folder\n"
    time.sleep(0.5)  # one that does not wait starts at once
    assert not (tmp_path / "two.started").exists()
    first.communicate("\n", timeout=TIMEOUT_S)
    assert line(second.stdout) == "started\n"
    assert second.communicate("\n", timeout=TIMEOUT_S) == ("", "")


def test_killed_stage_leaves_no_lock(tmp_path: Path):
    first = start(tmp_path, "one")
    assert line(first.stdout) == "started\n"
    first.kill()
    first.wait(timeout=TIMEOUT_S)
    second = start(tmp_path, "two")
    assert second.communicate("\n", timeout=TIMEOUT_S) == ("started\n", "")


def test_stage_that_fails_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError), runtime.exclusive_lock("one"):
        raise InputError("one: fails")
    second = start(tmp_path, "two")
    assert second.communicate("\n", timeout=TIMEOUT_S) == ("started\n", "")


def test_stages_in_different_folders_do_not_wait(tmp_path: Path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    both = [start(folder, "stage") for folder in folders]
    assert [line(stage.stdout) for stage in both] == ["started\n"] * 2
    for stage in both:
        stage.communicate("\n", timeout=TIMEOUT_S)


@posix
def test_lock_needs_no_room_on_the_disk(tmp_path: Path):
    first = start(tmp_path, "one", WITHOUT_ROOM + STAGE)
    assert line(first.stdout) == "started\n"
    assert (tmp_path / runtime.LOCK).read_bytes() == b""
    second = start(tmp_path, "two", WITHOUT_ROOM + STAGE)
    assert line(second.stderr) == "two: waiting for another stage that runs in this folder\n"
    first.communicate("\n", timeout=TIMEOUT_S)
    assert second.communicate("\n", timeout=TIMEOUT_S) == ("started\n", "")


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("raise InputError('one: wrong')", "one: wrong\n"),
        ("Path('none').read_text()", "none: No such file or directory\n"),
        pytest.param("Path('data').read_text()", "data: Is a directory\n", marks=posix),
        pytest.param(
            "Path('/dev/full').write_text('a')",
            "one: No space left on device\n",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full"),
        ),
    ],
)
def test_error_of_an_input_or_a_file_is_one_line(tmp_path: Path, work: str, message: str):
    failed = start(tmp_path, "one", STAGE.replace("input()", work))
    printed = failed.communicate(timeout=TIMEOUT_S)
    assert (failed.returncode, *printed) == (1, "started\n", message)


def test_exit_status_is_that_of_the_error(tmp_path: Path):
    work = "error = InputError('one: wrong'); error.exit_status = 69; raise error"
    failed = start(tmp_path, "one", STAGE.replace("input()", work))
    assert failed.communicate(timeout=TIMEOUT_S) == ("started\n", "one: wrong\n")
    assert failed.returncode == 69


def test_error_in_the_code_keeps_its_traceback(tmp_path: Path):
    failed = start(tmp_path, "one", STAGE.replace("input()", "raise ValueError('a bug')"))
    _, error = failed.communicate(timeout=TIMEOUT_S)
    assert failed.returncode == 1
    assert error.startswith("Traceback ")
    assert error.endswith("ValueError: a bug\n")


@posix
@pytest.mark.parametrize("ignored", [False, True], ids=["by_hand", "in_the_background"])
def test_ctrl_c_ends_a_stage_while_it_still_imports_unless_it_is_ignored(
    tmp_path: Path, ignored: bool
):
    """As a shell does for `python -m stages.split &`."""
    (tmp_path / "signalled.py").write_text(
        "import os, signal, sys\n"
        "sys.argv[0] = '-m'\n"
        "import stages\n"
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
            check=False,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    expected = (0, "goes on\n", "") if ignored else (-signal.SIGINT, "", "")
    assert (finished.returncode, finished.stdout, finished.stderr) == expected


@posix
@pytest.mark.parametrize(
    ("redirection", "expected"),
    [
        ("| head -1", "a\n"),
        (">&-", ""),
        pytest.param(
            "> /dev/full",
            "",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full"),
        ),
    ],
)
@pytest.mark.parametrize("lines", [1, 100_000])  # one stays in a buffer until the end
def test_output_that_cannot_be_written_is_no_traceback(
    tmp_path: Path, redirection: str, expected: str, lines: int
):
    code = f"from charlm.core.runtime import run\nrun(lambda: print('a\\n' * {lines}))\n"
    (tmp_path / "tool.py").write_text(code)
    finished = subprocess.run(
        ["sh", "-c", f"{sys.executable} tool.py {redirection}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout == expected
    full = "tool: No space left on device\n"
    assert finished.stderr == (full if "full" in redirection else "")
