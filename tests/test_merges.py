"""Merges of dvc.lock: git always stops, and `dvc repro` makes what belongs to the merged inputs.

Two branches each change one of two inputs, and the output stays the same on each. Merged line by
line, dvc.lock would have both inputs with an output that belongs to neither.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from tests.conftest import ROOT, Project, posix
from tools import verify
from tools.dvc_state import parse_stages

pytestmark = posix
IS_LARGE = "echo $(($(cat a.txt) + $(cat b.txt) > 3)) > large.txt"
STAGE = {
    "cmd": IS_LARGE,
    "deps": ["a.txt", "b.txt"],
    "outs": [{"large.txt": {"cache": False}}],
}


class Merging(Project):
    """A project of one stage: is the sum of two inputs above 3?"""

    def repro(self, force: bool = False) -> None:
        with contextlib.chdir(self.root), Repo() as repo:
            repo.reproduce(force=force)

    def is_stale(self) -> bool:
        with contextlib.chdir(self.root), Repo() as repo:
            return bool(repo.status())

    def change(self, name: str, value: int) -> None:
        """Change an input and bring the output up to date."""
        (self.root / f"{name}.txt").write_text(f"{value}\n")
        self.repro()

    def git(self, *arguments: str) -> int:
        return self.run("git", *arguments, check=False, GIT_EDITOR="true").returncode

    def unmerged(self) -> str:
        return self.run("git", "diff", "--name-only", "--diff-filter=U").stdout

    def values(self, revision: str = "") -> tuple[str, ...]:
        """Return the inputs and the output, in the folder or in a commit."""
        names = ("a.txt", "b.txt", "large.txt")
        if not revision:
            return tuple((self.root / name).read_text().strip() for name in names)
        return tuple(self.run("git", "show", f"{revision}:{name}").stdout.strip() for name in names)


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Merging]:
    """A repository on branch `b`, with the branches `main`, where both inputs are 1, and `a`."""
    folder = tmp_path_factory.mktemp("merges")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
        project = Merging(folder / "clone")
        (project.root / ".dvc").mkdir(parents=True)
        project.run("git", "init", "--quiet", "--initial-branch=main")
        (project.root / ".dvc/config").touch()
        (project.root / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n")
        shutil.copy(ROOT / ".gitattributes", project.root)
        (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"is_large": STAGE}}))
        for name in ("a", "b"):
            (project.root / f"{name}.txt").write_text("1\n")
        project.repro()
        project.commit("both are 1")
        for name in ("a", "b"):
            project.run("git", "switch", "--quiet", "--create", name, "main")
            project.change(name, 2)
            project.commit(f"{name} is 2")
        yield project


@pytest.fixture
def project(branches: Merging, tmp_path: Path) -> Merging:
    return Merging(branches.copy(tmp_path / "clone").root)


@pytest.mark.parametrize(
    ("command", "last"),
    [
        (("merge", "a"), ("commit", "--no-edit")),
        (("rebase", "a"), ("rebase", "--continue")),
        (("cherry-pick", "a"), ("cherry-pick", "--continue")),
        (("stash", "pop"), ("stash", "drop")),
    ],
    ids=lambda command: command[0],
)
def test_git_stops_and_repro_makes_what_belongs_to_the_merged_inputs(
    project: Merging, command: tuple[str, ...], last: tuple[str, ...]
):
    if command[0] == "stash":
        project.run("git", "switch", "--quiet", "main")
        project.change("a", 2)
        project.run("git", "stash")
        project.run("git", "switch", "--quiet", "b")
    assert project.git(*command) == 1
    assert project.unmerged() == "dvc.lock\n"
    assert b"<<<<<<<" not in (project.root / "dvc.lock").read_bytes()
    assert project.values() == ("2", "2", "0")
    assert project.is_stale()

    project.repro()
    project.run("git", "add", "dvc.lock", "large.txt")
    assert project.git(*last) == 0
    assert project.values() == ("2", "2", "1")
    assert not project.is_stale()
    assert project.git("stash", "show") != 0
    if command[0] != "stash":
        assert project.changed() == ""
        assert project.values("HEAD") == ("2", "2", "1")


def test_lock_that_a_server_merged_line_by_line_is_found_by_verify(project: Merging):
    """This setting overrides .gitattributes: git merges as servers do that ignore the file."""
    (project.root / ".git/info/attributes").write_text("/dvc.lock merge\n")
    assert project.git("merge", "a", "--message", "merged") == 0
    assert project.values("HEAD") == ("2", "2", "0")
    assert not project.is_stale()  # so says DVC
    committed = parse_stages((project.root / "dvc.lock").read_bytes(), "dvc.lock")
    project.repro(force=True)
    made = parse_stages((project.root / "dvc.lock").read_bytes(), "dvc.lock")
    first, *_ = verify.compare_locks(committed, made, ["is_large"], [])
    assert first == "stage is_large differs:"


@pytest.mark.faults
def test_experiment_of_another_lock_is_applied(project: Merging):
    """`dvc exp apply` does not merge: it brings back the files of the experiment."""
    project.run("git", "switch", "--quiet", "main")
    project.change("a", 3)
    project.run("dvc", "exp", "save", "--name", "three")
    project.run("git", "switch", "--quiet", "--force", "b")
    project.run("dvc", "exp", "apply", "three")
    assert (project.values(), project.unmerged()) == (("3", "1", "1"), "")
    assert not project.is_stale()


@pytest.mark.faults
@pytest.mark.parametrize("aside", ["--temp", "--queue"])
def test_experiment_aside_starts_from_the_changed_lock(project: Merging, aside: str):
    project.change("a", 4)
    (project.root / "b.txt").write_text("5\n")
    project.run("dvc", "exp", "run", aside, "--name", "aside")
    if aside == "--queue":
        project.change("a", 6)  # what was queued starts from its own lock
        project.run("dvc", "exp", "run", "--run-all")
    listed = project.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/aside")
    assert project.values(listed.stdout.strip()) == ("4", "5", "1")
    assert project.unmerged() == ""
