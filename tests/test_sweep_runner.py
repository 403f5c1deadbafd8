"""tools.sweep.runner with an engine made by hand; tools.sweep.node's supervisor and files.

And tools.sweep.local with a `dvc` that takes a second where the real one takes ten.
"""

import argparse
import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
from dvc.config import Config

from charlm.core.errors import InputError
from tests.conftest import IDENTITY, ROOT, Project, posix
from tests.test_faults import experiments, left, until
from tools import dvc_state
from tools.sweep import __main__ as program
from tools.sweep import node, runner, transport
from tools.sweep.local import LocalEngine
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


def test_what_runs_is_printed_while_experiments_are_submitted_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    clock = iter(range(0, 1000, 31))  # each look is longer ago than REPORT_S
    monkeypatch.setattr(runner.time, "monotonic", lambda: float(next(clock)))
    runner.run_experiments({"again": []}, Engine({}))
    assert capsys.readouterr().err.startswith("running: a on red for 40 s; b for 11 s\nagain: 1 s")


def test_failed_experiments_are_refused_a_line_each():
    runner.check_errors({})
    with pytest.raises(InputError, match=r"^a failed: diverged\nb failed: no space$"):
        runner.check_errors({"a": "diverged", "b": "no space"})


def test_time_left_counts_what_runs_as_half_done(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    progress = runner.Progress(5, 3)
    progress.done = 4
    clock[0] = 145.0
    # one is left, which runs: 4.5 in 45 s
    assert progress.remaining() == "10 s"
    progress.done = 1
    # four are left, three of which run: 2.5 in 45 s
    assert progress.remaining() == "72 s"


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (
            "train_mlp: lower mlp.lr\nERROR: failed to reproduce 'train_mlp'",
            "train_mlp: lower mlp.lr",
        ),
        (  # the last line of a stage before DVC's first one
            "split: 3 names\ntrain_mlp: lower mlp.lr\nERROR: failed\nERROR: cache: full",
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


# --- one machine ------------------------------------------------------------------------------

# Like DVC it sets an experiment up in the checkout that it runs in, one at a time.
SLOW_DVC = """
import shutil, subprocess, sys, time
from pathlib import Path
from filelock import FileLock

def git(*command):
    return subprocess.check_output(("git", *command), text=True).strip()

name, override = sys.argv[-2:]
head = git("rev-parse", "HEAD")
with FileLock(".git/set-up.lock"):
    with Path("params.yaml").open("a") as params:
        params.write(f"# {override}\\n")
    shutil.copyfile(".dvc/config.local", "settings")
    git("add", "params.yaml", "settings")
    time.sleep(0.3)
    commit = git("commit-tree", git("write-tree"), "-p", head, "-m", name)
    git("reset", "--quiet", "--hard")
git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", commit)
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with nothing but parameters; what it starts has SLOW_DVC for DVC."""
    module = tmp_path / "packages/dvc/__main__.py"
    module.parent.mkdir(parents=True)
    module.write_text(SLOW_DVC)
    module.with_name("__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    for key, value in IDENTITY.items():
        monkeypatch.setenv(key, value)
    project = Project(tmp_path / "café, #1")  # which DVC cannot write into its settings
    (project.root / ".dvc").mkdir(parents=True)
    for path in (".dvc/config", ".dvc/.gitignore", "params.yaml"):
        shutil.copy2(ROOT / path, project.root / path)
    (project.root / "old").touch()
    project.run("git", "init", "--quiet")
    project.commit("parameters")
    monkeypatch.chdir(project.root)
    return project


def test_each_of_16_points_runs_while_others_are_set_up(slow: Project):
    head = slow.run("git", "rev-parse", "HEAD").stdout.strip()
    points = {f"hidden-{hidden}": [f"mlp.hidden={hidden}"] for hidden in range(16)}
    assert program.run_missing(points, argparse.Namespace(address=None, jobs=4), head) == {}
    params = (slow.root / "params.yaml").read_text()
    refs = experiments(slow)
    assert set(refs) == set(points)
    for name, (override,) in points.items():
        content = slow.run("git", "show", f"{refs[name]}:params.yaml").stdout
        assert content == f"{params}# --set-param={override}\n"
    assert slow.changed() == ""
    assert left(slow) == ["lock"]
    written = slow.root / "settings"
    written.write_text(slow.run("git", "show", f"{refs['hidden-0']}:settings").stdout)
    assert Config.load_file(written)["cache"]["dir"] == str(slow.root / ".dvc/cache")


def test_experiments_start_from_what_was_there_when_the_engine_was_made(slow: Project):
    params, new = slow.root / "params.yaml", slow.root / "new"
    before = params.read_text()
    head = slow.run("git", "rev-parse", "HEAD").stdout.strip()
    params.write_text(f"{before}# not committed\n")
    (slow.root / "old").unlink()
    new.touch()
    slow.run("git", "add", "new")
    staged = slow.changed()
    engine = LocalEngine(2)
    assert slow.changed() == staged
    params.write_text(f"{before}# edited while they run\n")
    slow.commit("what was edited")
    params.write_text(f"{before}# edited again\n")

    assert runner.run_experiments({"a": ["mlp.lr=1"], "b": ["mlp.lr=2"]}, engine) == {}
    for name, ref in experiments(slow).items():
        assert ref == f"refs/exps/{head[:2]}/{head[2:]}/{name}"
        listed = slow.run("git", "diff", "--name-status", "--no-renames", head, ref).stdout
        assert listed.split() == ["A", "new", "D", "old", "M", "params.yaml", "A", "settings"]
        content = slow.run("git", "show", f"{ref}:params.yaml").stdout
        assert content.startswith(f"{before}# not committed\n# --set-param=mlp.lr=")
    assert len(experiments(slow)) == 2
    assert params.read_text() == f"{before}# edited again\n"
    assert slow.changed() == " M params.yaml\n"


def test_experiment_needs_no_name_and_address_of_git(
    slow: Project, monkeypatch: pytest.MonkeyPatch
):
    assert transport.author() == ("test@localhost", "test@localhost")
    for key in IDENTITY:
        monkeypatch.delenv(key)
    for key in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(key, str(slow.root))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    slow.run("git", "config", "user.useConfigOnly", "true")
    assert runner.run_experiments({"a": ["mlp.lr=1"]}, LocalEngine(1)) == {}
    assert set(experiments(slow)) == {"a"}


def test_cluster_is_refused_after_head_has_moved(slow: Project):
    head = slow.run("git", "rev-parse", "HEAD").stdout.strip()
    slow.commit("another")
    with pytest.raises(InputError) as refused:
        transport.pack(slow.root / ".dvc/cache", head)
    assert str(refused.value) == (
        "sweep: HEAD has moved since the sweep began; run the same command again"
    )


# --- a node -----------------------------------------------------------------------------------


@pytest.fixture
def node_cache(slow: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of a node on this machine."""
    monkeypatch.setattr(node.tempfile, "gettempdir", lambda: str(tmp_path))
    return node.node_folder() / "cache"


def test_node_returns_the_experiment_and_the_files_that_are_new(slow: Project, node_cache: Path):
    contents = {hashlib.md5(content).hexdigest(): content for content in (b"old", b"new", b"none")}
    old, new, _ = contents
    outs = "".join(f"    - {{path: data/{md5}, md5: {md5}}}\n" for md5 in contents)
    (slow.root / "dvc.lock").write_text(f"stages:\n  one:\n    outs:\n{outs}")
    slow.commit("results")
    head = slow.run("git", "rev-parse", "HEAD").stdout.strip()
    package = node.Package(transport.git("bundle", "create", "-q", "-", "HEAD"), {old: b"old"}, {})
    node.place(node_cache, new, b"new")  # as DVC would while the experiment runs
    job = transport.job("a", ["mlp.lr=1"], head)
    ended = node.run(job, package)
    assert (ended["name"], ended["files"], ended["detail"]) == ("a", {new: b"new"}, "")
    assert ended.keys() == {"name", "node", "bundle", "files", "detail", "seconds"}
    assert node.cache_path(node_cache, old).read_bytes() == b"old"

    cache = slow.root / ".dvc/cache"
    transport.receive(ended, job["ref"], cache)
    assert node.cache_path(cache, new).read_bytes() == b"new"
    assert set(experiments(slow)) == {"a"}
    params = slow.run("git", "show", f"{job['ref']}:params.yaml").stdout
    assert params.endswith("# --set-param=mlp.lr=1\n")
    settings = slow.run("git", "show", f"{job['ref']}:settings").stdout
    assert str(node_cache) in settings

    failed = node.run(job | {"head": "0" * 40}, package)
    assert failed.keys() == {"name", "node", "error", "seconds"}
    assert failed["error"].startswith("git reset --quiet: ")
    refused = node.run(job, package._replace(environment={"Python": "2.7"}))
    assert refused.keys() == {"name", "node", "refused"}
    assert node.at_work() == {}
    assert not list(node_cache.parent.glob("task-*"))


@pytest.mark.parametrize(
    ("statuses", "removed", "returned"),
    [([0], True, 0), ([1, 0], True, 0), ([1, 2], True, 2), ([1], False, 1)],
)
def test_failed_experiment_runs_once_more_if_partial_results_were_removed(
    tmp_path: Path, statuses: list[int], removed: bool, returned: int
):
    rescue = tmp_path / "tools/rescue.py"  # whose status says whether it removed some
    rescue.parent.mkdir()
    rescue.write_text(
        f"import sys\nassert sys.argv[1:] == ['--run-cache']\nsys.exit({not removed:d})"
    )
    left = iter(statuses)

    def start() -> node.Supervised:
        code = f"raise SystemExit({next(left)})"
        return node.Supervised([sys.executable, "-c", code], tmp_path, dict(os.environ))

    assert node.run_dvc(start, tmp_path, dict(os.environ))[0] == returned
    assert not list(left)


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


def test_file_that_cannot_be_placed_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(node.os, "chmod", fail)
    with pytest.raises(OSError, match="No space left"):
        node.place(tmp_path, hashlib.md5(b"content").hexdigest(), b"content")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


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
    assert dvc_state.remove_partial_runs(tmp_path)
    assert sorted(path.relative_to(runs).as_posix() for path in runs.rglob("*")) == [
        "new",
        "new/.c.tmp",
        "whole",
        "whole/1234",
    ]
    assert not dvc_state.remove_partial_runs(tmp_path)


def test_differences_of_environments_are_named():
    here = node.installed(("numpy", "no-such-package"))
    assert here["no-such-package"] == "none"
    assert node.differences(here) == ""
    head = here | {"numpy": "1.0", "Python": "2.7"}
    assert node.differences(head) == (
        f"Python {here['Python']} (the head has 2.7), numpy {here['numpy']} (the head has 1.0)"
    )


def test_variables_of_a_git_hook_do_not_reach_what_is_run(monkeypatch: pytest.MonkeyPatch):
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_AUTHOR_NAME"):
        monkeypatch.setenv(name, "of a hook")
    node.git_variables.cache_clear()
    kept = {name for name, value in node.stage_environment().items() if value == "of a hook"}
    assert kept == {"GIT_AUTHOR_NAME"}
    monkeypatch.setenv("PATH", "/nowhere")
    node.git_variables.cache_clear()
    assert node.stage_environment()["GIT_DIR"] == "of a hook"  # without git nothing is known
    node.git_variables.cache_clear()


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
