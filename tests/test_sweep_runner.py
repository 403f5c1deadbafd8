"""tools.sweep.runner with an engine made by hand; tools.sweep.node's supervisor and files."""

import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.conftest import posix
from tests.test_faults import until
from tools.sweep import node, runner
from tools.sweep.runner import Outcome

ENDED = {"a": Outcome("a", 2, node="red"), "b": Outcome("b", 3, "train_mlp: diverged", "blue")}


class Engine:
    """Ends what is submitted at once, `again` only at the second time."""

    def __init__(self, outcomes: dict[str, Outcome]) -> None:
        self.outcomes = outcomes
        self.submitted: list[str] = []
        self.closed = False

    def slots(self) -> int:
        return 2

    def submit(self, name: str, overrides: list[str]) -> Future:
        self.submitted.append(name)
        future: Future = Future()
        future.set_result(overrides)
        return future

    def collect(self, name: str, ended: Future) -> Outcome | None:
        if name == "interrupted":
            raise KeyboardInterrupt
        is_first = self.submitted.count(name) == 1
        return None if name == "again" and is_first else self.outcomes.get(name, Outcome(name, 1))

    def running(self) -> dict[str, tuple[str, float]]:
        return {"a": ("red", 40.2), "b": ("", 11.0)}

    def close(self) -> None:
        self.closed = True


def test_failing_experiment_is_named_and_the_others_go_on(capsys: pytest.CaptureFixture[str]):
    engine = Engine(ENDED)
    errors = runner.run_experiments({"b": [], "a": [], "c": []}, engine)
    assert errors == {"b": "train_mlp: diverged"}
    assert sorted(engine.submitted) == ["a", "b", "c"]
    assert engine.closed
    printed = capsys.readouterr().err
    assert "b: 3 s on blue, failed: train_mlp: diverged (" in printed
    assert "a: 2 s on red (" in printed
    assert "3 of 3 done, 1 failed)" in printed


def test_experiment_that_a_node_hands_back_is_submitted_again():
    engine = Engine({})
    assert runner.run_experiments({"again": []}, engine) == {}
    assert engine.submitted == ["again", "again"]


def test_engine_is_closed_after_ctrl_c():
    engine = Engine({})
    with pytest.raises(KeyboardInterrupt):
        runner.run_experiments({"interrupted": []}, engine)
    assert engine.closed


def test_what_runs_is_printed_while_nothing_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    progress = runner.Progress(4, 2)
    engine = Engine({})
    clock[0] = 29
    progress.report(engine)
    assert capsys.readouterr().err == ""
    clock[0] = 40
    progress.report(engine)
    assert capsys.readouterr().err == "running: a on red for 40 s; b for 11 s\n"
    progress.report(engine)
    assert capsys.readouterr().err == ""
    # one of four done in 40 s and two half done: the other three take 3 / 2 of that
    progress.ended(Outcome("a", 40, node="red"), running=2)
    assert capsys.readouterr().err == ("a: 40 s on red (1 of 4 done, 2 running, about 60 s left)\n")


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (
            "train_mlp: lower mlp.lr\nERROR: failed to reproduce 'train_mlp'",
            "train_mlp: lower mlp.lr",
        ),
        (
            "WARNING: old\nERROR: unexpected error - no space\n\nHaving any",
            "ERROR: unexpected error - no space",
        ),
        ("", "dvc ended with status 9"),
    ],
)
def test_error_is_the_line_of_the_stage(stderr: str, line: str):
    assert node.one_line(stderr, 9) == line


# --- the supervisor ---------------------------------------------------------------------------

STARTS_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def is_running(pid: int) -> bool:
    """Tell whether there is such a process, zombies aside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_supervised_command_returns_its_status_and_output(tmp_path: Path):
    code = "import os, sys; print(os.getcwd()); print('wrong', file=sys.stderr); sys.exit(3)"
    command = node.Supervised([sys.executable, "-c", code], tmp_path, dict(os.environ))
    status, out, err = command.wait()
    assert (status, out.strip(), err.strip()) == (3, str(tmp_path), "wrong")


@posix
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
@pytest.mark.parametrize("ends", ["stop", "starter killed", "supervisor killed"])
def test_nothing_outlives_who_started_a_supervised_command(tmp_path: Path, ends: str):
    pids = tmp_path / "pids"
    starter_code = (
        "import os, sys\nfrom pathlib import Path\nfrom tools.sweep import node\n"
        f"command = node.Supervised([sys.executable, '-c', {STARTS_A_CHILD!r}], Path.cwd(), "
        "dict(os.environ))\n"
        "while not (out := os.pread(command.out.fileno(), 20, 0)).endswith(b'\\n'): pass\n"
        f"Path({str(pids)!r}).write_text(f'{{command.process.pid}} {{out.decode()}}')\n"
        "sys.stdin.readline()\ncommand.stop()\ncommand.wait()\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", starter_code], stdin=subprocess.PIPE)
    try:
        until(lambda: pids.exists() and pids.read_text().endswith("\n"), "the child")
        supervisor, child = map(int, pids.read_text().split())
        assert is_running(child)
        if ends == "starter killed":
            starter.kill()
        elif ends == "supervisor killed":
            os.kill(supervisor, signal.SIGKILL)
        starter.stdin.close()
        until(lambda: not is_running(child), "the end of the child")
        until(lambda: not is_running(supervisor), "the end of the supervisor")
    finally:
        starter.kill()
        starter.wait()


# --- files ------------------------------------------------------------------------------------


def test_file_is_placed_whole_with_the_right_hash_and_protected(tmp_path: Path):
    md5 = hashlib.md5(b"content").hexdigest()
    with pytest.raises(ValueError, match=f"5 bytes does not have its hash {md5}"):
        node.place(tmp_path, md5, b"other")
    assert not list(tmp_path.rglob("*.*"))
    for _ in range(2):
        node.place(tmp_path, md5, b"content")
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert path == tmp_path / "files/md5" / md5[:2] / md5[2:]
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o444


def test_hashes_of_a_lock_include_those_inside_directories(tmp_path: Path):
    inside = hashlib.md5(b"a").hexdigest()
    entries = f'[{{"md5": "{inside}", "relpath": "a"}}]'.encode()
    listed = f"{hashlib.md5(entries).hexdigest()}.dir"
    node.place(tmp_path, listed, entries)
    lock = f"stages:\n  one:\n    outs:\n    - {{path: d, md5: {listed}}}\n  two: {{cmd: x}}\n"
    assert node.recorded_hashes(lock.encode(), tmp_path) == [listed, inside]
    assert node.recorded_hashes(lock.encode(), tmp_path / "empty") == [listed]


def test_folders_of_dead_tasks_are_removed_and_those_in_use_are_not(tmp_path: Path):
    with node.own_folder(tmp_path) as first:
        dead = tmp_path / "task-dead"
        dead.mkdir()
        (dead / "file").touch()
        with node.own_folder(tmp_path) as second:
            assert first.exists()
            assert second.exists()
            assert not dead.exists()
        assert not second.exists()
    assert not first.exists()


def test_partial_entries_of_the_run_cache_are_removed_unless_they_are_new(tmp_path: Path):
    runs = tmp_path / "runs/ab"
    content = {"whole": ["1234", ".a.tmp"], "partial": [".b.tmp"], "empty": [], "new": [".c.tmp"]}
    for name, files in content.items():
        (runs / name).mkdir(parents=True)
        for file in files:
            (runs / name / file).touch()
    for path in ("whole/.a.tmp", "partial/.b.tmp", "empty"):
        os.utime(runs / path, (0, 0))
    assert node.remove_partial_runs(tmp_path)
    assert sorted(path.relative_to(runs).as_posix() for path in runs.rglob("*")) == [
        "new",
        "new/.c.tmp",
        "whole",
        "whole/1234",
    ]
    assert not node.remove_partial_runs(tmp_path)


def test_differences_of_environments_are_named():
    here = node.installed(("numpy", "no-such-package"))
    assert here["no-such-package"] == "none"
    assert node.differences(here) == ""
    head = here | {"numpy": "1.0", "Python": "2.7"}
    assert node.differences(head) == (
        f"Python {here['Python']} (the head has 2.7), numpy {here['numpy']} (the head has 1.0)"
    )


@posix
def test_folder_of_a_node_belongs_to_its_user_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(node.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = node.node_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    owner = folder.stat().st_uid + 1
    monkeypatch.setattr(node.os, "getuid", lambda: owner)
    folder.rename(tmp_path / f"names-sweep-{owner}")
    with pytest.raises(PermissionError, match="belongs to somebody else; set TMPDIR to another"):
        node.node_folder()
