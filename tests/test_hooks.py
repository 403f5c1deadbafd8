"""Git's hooks: they hand variables about their repository to what they start."""

import sys
from pathlib import Path

import pytest

from tests.conftest import Project, posix

pytestmark = posix
# with the status of each as pre-commit hook, and as pre-push hook
PROGRAMS = [
    ("pytest -q -n0 -p no:cacheprovider tests/test_dvc_state.py", "0 0"),
    pytest.param("tools.verify", "0 0", marks=pytest.mark.faults),
    # before the commit there are changes, from which it starts no experiments
    pytest.param("tools.sweep bigram_count.smoothing=2,3", "1 0", marks=pytest.mark.faults),
]


@pytest.fixture
def worktree(project: Project, tmp_path: Path) -> Project:
    """A linked worktree of a clone, on a separate branch, with the results of the clone."""
    linked = Project(tmp_path / "worktree")
    project.run("git", "worktree", "add", "--quiet", "-b", "topic", str(linked.root))
    linked.run("dvc", "cache", "dir", "--local", str(project.root / ".dvc/cache"))
    linked.run("dvc", "checkout", "--quiet")
    return linked


@pytest.mark.parametrize(("program", "statuses"), PROGRAMS)
def test_hook_of_a_worktree_changes_only_what_is_committed(
    program: str, statuses: str, project: Project, worktree: Project, tmp_path: Path
):
    for hook in ("pre-commit", "pre-push"):
        path = project.root / ".git/hooks" / hook
        path.write_text(
            f"#!/bin/sh\n{sys.executable} -m {program}\necho $? >>{tmp_path}/statuses\n"
        )
        path.chmod(0o755)
    remote = str(tmp_path / "remote.git")
    project.run("git", "init", "--quiet", "--bare", remote)
    config = (project.root / ".git/config").read_text()
    main = project.run("git", "rev-parse", "main").stdout

    with (worktree.root / "CHANGELOG.md").open("a") as changelog:
        changelog.write("One more line.\n")
    worktree.run("git", "commit", "--quiet", "--all", "--message", "change")
    committed = worktree.run("git", "log", "--format=%s", "--name-only", f"{main.strip()}..").stdout
    worktree.run("git", "push", "--quiet", remote, "topic")

    assert committed.split() == ["change", "CHANGELOG.md"]
    pushed = worktree.run("git", "ls-remote", remote, "refs/heads/topic").stdout.split()[0]
    assert pushed == worktree.run("git", "rev-parse", "HEAD").stdout.strip()
    assert worktree.run("git", "rev-parse", "HEAD~1").stdout == main
    assert worktree.changed() == project.changed() == ""
    assert (project.root / ".git/config").read_text() == config
    branches = project.run("git", "for-each-ref", "--format=%(refname:short)", "refs/heads").stdout
    assert branches.split() == ["main", "topic"]
    assert project.run("git", "rev-parse", "main").stdout == main
    project.run("git", "fsck", "--no-dangling")
    assert (tmp_path / "statuses").read_text().split() == statuses.split()
