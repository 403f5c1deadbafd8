"""tools.rescue: which failures of `dvc repro` it names, and when it takes the other list."""

import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from charlm import params
from charlm.core import yaml_files
from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from charlm.download import EMBEDDED
from tests.conftest import ROOT, Project
from tools import dvc_state, rescue
from tools.rescue import lock_is_damaged  # itself, which most tests replace

FETCH = (sys.executable, "-m", "stages.fetch")
REPRO = ("dvc", "repro")
EXPERIMENT = ("dvc", "exp", "run", *(f"--set-param=fetch.{k}={v}" for k, v in EMBEDDED.items()))
Usage = namedtuple("Usage", "free")
CONFLICT = b"<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.1'\n>>>>>>> wide\n"
OF_A_LOCK = (
    "dvc.lock: has a merge conflict, which begins with <<<<<<<; first resolve those of params.yaml "
    "and the code, then run `git checkout --ours dvc.lock && dvc repro` and `git add dvc.lock "
    "metrics plots`"
)
OF_PARAMS = (
    "params.yaml: has a merge conflict, which begins with <<<<<<<; edit it and delete the marks"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose params.yaml asks for the lecture's list, which is not there."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rescue"])
    monkeypatch.setattr(rescue, "lock_is_damaged", lambda: False)
    return tmp_path


def rescued(
    monkeypatch: pytest.MonkeyPatch, statuses: dict[tuple[str, ...], int]
) -> tuple[int, list[tuple[str, ...]]]:
    """Return its exit status, and what it ran, given how each command ends."""
    commands = []

    def run(*command: str) -> int:
        commands.append(command)
        return statuses[command]

    monkeypatch.setattr(rescue, "run", run)
    with pytest.raises(SystemExit) as ended:
        rescue.main()
    return ended.value.code, commands


@pytest.mark.parametrize("status", [0, 3])
def test_without_network_the_other_list_is_announced_and_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, status: int
):
    ran = rescued(monkeypatch, {FETCH: 69, EXPERIMENT: status})
    assert ran == (status, [FETCH, EXPERIMENT])
    printed = capsys.readouterr().out
    assert "No network, so names.txt cannot be downloaded." in printed
    assert "\npybabynames:2017, the names of one year" in printed


@pytest.mark.parametrize("status", [0, 3])
def test_list_that_can_be_fetched_after_all_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, status: int
):
    ran = rescued(monkeypatch, {FETCH: 0, REPRO: status})
    assert ran == (status, [FETCH, REPRO])
    assert capsys.readouterr().out == ""


def test_other_failure_of_the_fetch_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    assert rescued(monkeypatch, {FETCH: 1}) == (1, [FETCH])


def test_own_list_and_list_that_is_there_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, folder: Path
):
    names, settings = folder / "data/names.txt", folder / "params.yaml"
    names.parent.mkdir()
    names.touch()
    assert rescued(monkeypatch, {}) == (1, [])
    names.unlink()
    settings.write_text(settings.read_text().replace("karpathy/makemore", "me/lists"))
    assert rescued(monkeypatch, {}) == (1, [])


def test_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=9_999_999))
    with pytest.raises(InputError) as refused:
        rescue.main()
    assert str(refused.value) == (
        f"{folder}: the disk is full, 9,999 kB are free; make room and run `dvc repro` again"
    )
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free=10_000_000))
    assert rescued(monkeypatch, {FETCH: 1}) == (1, [FETCH])


def test_damaged_lock_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rescue, "lock_is_damaged", lambda: True)
    with pytest.raises(InputError, match=r"^dvc\.lock: damaged, .* `rm dvc\.lock && dvc repro`"):
        rescue.main()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["dvc.lock"], OF_A_LOCK),
        (["params.yaml"], OF_PARAMS),
        (["dvc.yaml"], OF_PARAMS.replace("params", "dvc")),
        (["dvc.lock", "params.yaml"], OF_PARAMS),  # first things first
    ],
)
def test_merge_conflict_is_named_with_what_resolves_it(
    tmp_path: Path, files: list[str], message: str
):
    for name in ("dvc.lock", "dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in files:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes() + CONFLICT)
    refused = Project(tmp_path).call("tools.rescue")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", f"{message}\n")


def test_merge_conflict_of_the_code_is_named(folder: Path):
    project = Project(folder)
    project.run("git", "init", "--quiet")
    for number, content in enumerate((b"a = 1\n", b"a = 2\n", b"a = 3\n"), 1):
        write_bytes(folder / "stages/split.py", content)
        stored = project.run("git", "hash-object", "-w", "stages/split.py").stdout.strip()
        with (folder / "entries").open("a") as entries:
            entries.write(f"100644 {stored} {number}\tstages/split.py\n")
    project.run("sh", "-c", "git update-index --index-info < entries")
    project.run("git", "checkout", "--merge", "stages/split.py")  # with marks, as a merge leaves it
    refused = project.call("tools.rescue")
    line = OF_PARAMS.replace("params.yaml", "stages/split.py")
    assert (refused.returncode, refused.stderr) == (1, f"{line}\n")


def test_everything_that_reads_yaml_names_a_merge_conflict(tmp_path: Path):
    with pytest.raises(InputError) as error:
        dvc_state.parse_mapping(b"stages:\n" + CONFLICT, "dvc.lock")
    assert str(error.value) == OF_A_LOCK
    with pytest.raises(InputError) as error:
        dvc_state.parse_mapping(b"mlp:\n" + CONFLICT, "params.yaml")
    assert str(error.value) == OF_PARAMS
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes() + CONFLICT)
    with pytest.raises(InputError) as error:
        params.load(path)
    assert str(error.value) == OF_PARAMS.replace("params.yaml", str(path))


@pytest.mark.parametrize("content", [b"a: '<<<<<<< '\n", b"a:\n- <<<<<<<\n", b"<<<<<<<\n"])
def test_marks_elsewhere_are_no_conflict(content: bytes):
    assert not yaml_files.has_conflict(content)


@pytest.mark.parametrize("status", [0, 1])
def test_partly_written_entry_of_the_run_cache_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, status: int
):
    entry = folder / ".dvc/cache/runs/4f/4f5a"
    write_bytes(entry / "whole", b"cmd: python -m stages.fetch\n")
    write_bytes(entry / ".partial.tmp", b"cmd: python")
    os.utime(entry / ".partial.tmp", (0, 0))
    assert rescued(monkeypatch, {REPRO: status}) == (status, [REPRO])
    assert [path.name for path in entry.iterdir()] == ["whole"]


@pytest.mark.parametrize(
    ("path", "content", "damaged"),
    [
        ("dvc.lock", "schema: '2.0'\nstages: {}\n", False),
        ("dvc.lock", "schema: '2.0'\nstages: {", True),
        ("dvc.yaml", "stages: {", False),  # what DVC says of that is enough
    ],
)
def test_lock_that_dvc_cannot_read_is_damaged(folder: Path, path: str, content: str, damaged: bool):
    write_bytes(folder / ".dvc/config", b"[core]\n    no_scm = True\n")
    (folder / "dvc.yaml").write_text("stages:\n  one:\n    cmd: one\n")
    (folder / path).write_text(content)
    assert lock_is_damaged() == damaged


def test_queued_experiment_that_git_has_collected_is_removed_from_the_queue(folder: Path):
    project = Project(folder)
    (folder / "dvc.yaml").write_text("stages:\n  one:\n    cmd: one\n    params: [split]\n")
    project.run("git", "init", "--quiet", "--initial-branch=main")
    write_bytes(folder / ".dvc/config", b"")
    write_bytes(folder / ".dvc/.gitignore", b"/tmp\n")
    project.commit("first")
    project.run("dvc", "exp", "run", "--queue", "--name=seed", "--set-param=split.seed=1,2")
    assert project.call("tools.rescue", "--queue").returncode == 1  # all are there
    # as git does by itself after 30 days; the newest one has a ref
    project.run("git", "reflog", "expire", "--all", "--expire-unreachable=now")
    project.run("git", "gc", "--quiet", "--prune=now")
    assert "Invalid commit" in project.run("dvc", "queue", "status", check=False).stderr
    rescued = project.call("tools.rescue", "--queue")
    assert rescued.returncode == 0
    assert rescued.stdout == (
        "rescue: removed from DVC's queue, because git has collected their commits: seed-1; queue "
        "again those that `dvc exp list -A` does not name\n"
    )
    shown = project.run("dvc", "queue", "status").stdout
    assert "seed-2" in shown
    assert "seed-1" not in shown
