"""What works in which kind of git repository: the table of docs/guarantees.md, cell by cell."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import NO_NETWORK, Project, posix, write_recipes

pytestmark = [posix, pytest.mark.faults]
SPARSE = ("audit", "charlm", "metrics", "plots", "stages", "tools", ".dvc")
TO_SHA_1 = "git -C ../NEW switch BRANCH\n"
UNSHALLOW = "run `git fetch --unshallow`\n"
TO_FILES = "run `git refs migrate --ref-format=files`\n"
Build = Callable[[Project, Path], None]  # makes a clone of a project in a folder


def cloned(*options: str) -> Build:
    def build(source: Project, folder: Path) -> None:
        source.run("git", "clone", "--quiet", *options, f"file://{source.root}", str(folder))

    return build


def worktree(source: Project, folder: Path) -> None:
    source.run("git", "worktree", "add", "--quiet", "-b", "topic", str(folder))


def sparse(source: Project, folder: Path) -> None:
    cloned("--sparse")(source, folder)
    Project(folder).run("git", "sparse-checkout", "set", *SPARSE)


def submodule(source: Project, folder: Path) -> None:
    outer = Project(folder.parent)
    outer.run("git", "init", "--quiet")
    allowed = ("-c", "protocol.file.allow=always")
    outer.run("git", *allowed, "submodule", "--quiet", "add", f"file://{source.root}", folder.name)


def sha256(source: Project, folder: Path) -> None:
    folder.mkdir()
    project = Project(folder)
    project.run("git", "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    export = f"git -C '{source.root}' fast-export main"
    project.run("sh", "-c", f"{export} | git fast-import --quiet && git reset --quiet --hard")


def reftable(source: Project, folder: Path) -> None:
    known = source.run("git", "init", "--ref-format=reftable", str(folder), check=False)
    if known.returncode:
        pytest.skip("this git does not know reftable")
    shutil.rmtree(folder)
    cloned("--ref-format=reftable")(source, folder)


@pytest.fixture
def source(quick: Project, tmp_path: Path) -> Project:
    project = quick.copy(tmp_path / "source")
    project.run("git", "config", "uploadpack.allowFilter", "true")
    where = {"fact": "lines"}
    figure = {"what": "names", "file": "metrics/fetch.csv", "key": "value", "where": where}
    few = {"question": "why?", "overrides": ["sample.count=3"], "figures": [figure]}
    write_recipes(project, few=few)
    project.commit("one recipe")
    return project


def check(project: Project, tool: str, refused: str = "") -> None:
    """Check that a tool succeeds, or that it refuses in one line with this end."""
    name, *arguments = tool.split()
    ran = project.call(f"tools.{name}", *arguments, **NO_NETWORK)
    assert (ran.returncode != 0) == bool(refused), ran.stderr
    if refused:
        assert ran.stderr.endswith(refused)
        assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("build", "other", "refused", "experiment", "recipe"),
    [
        pytest.param(worktree, "HEAD~1", "", "saved", "", id="worktree"),
        pytest.param(cloned("--depth=2"), "HEAD~1", "", "lost", UNSHALLOW, id="shallow"),
        pytest.param(cloned("--filter=blob:none"), "HEAD~2", "", "failed", "", id="partial"),
        pytest.param(cloned("--filter=tree:0"), "HEAD~2", "", "failed", "", id="treeless"),
        pytest.param(sparse, "HEAD~2", "", "saved", "", id="sparse"),
        pytest.param(submodule, "HEAD~2", "", "saved", "", id="submodule"),
        pytest.param(sha256, "HEAD~2", TO_SHA_1, "failed", TO_SHA_1, id="sha256"),
        pytest.param(reftable, "HEAD~2", TO_FILES, "failed", "", id="reftable"),
    ],
)
def test_what_works_in_a_kind_of_repository(
    source: Project,
    tmp_path: Path,
    build: Build,
    other: str,
    refused: str,
    experiment: str,
    recipe: str,
):
    """
    Args:
        build: makes the repository.
        other: a commit to compare the workspace with.
        refused: how the line ends that refuses commits; empty if they can be read.
        experiment: what becomes of one that DVC runs aside.
        recipe: how the line ends that refuses a recipe.
    """
    project = Project(tmp_path / "outer" / "clone")
    project.root.parent.mkdir()
    build(source, project.root)
    (project.root / ".dvc/cache").mkdir(exist_ok=True)
    shutil.copytree(source.root / ".dvc/cache", project.root / ".dvc/cache", dirs_exist_ok=True)

    assert project.repro() == set()
    check(project, "score emma")
    check(project, "report")
    # before git fetches what a partial clone lacks
    run = ("dvc", "exp", "run", "--temp", "--name", "aside", "--set-param", "sample.count=4")
    failed = project.run(*run, check=False).returncode != 0
    saved = "aside" in project.run("dvc", "exp", "list", "--name-only", check=False).stdout
    assert (failed, saved) == (experiment == "failed", experiment == "saved")

    check(project, f"compare {other} --model mlp --other bigram_count", refused)
    check(project, f"report {other}", refused)
    # in a partial clone DVC itself waits without end unless git has fetched before
    differ = project.run("dvc", "metrics", "diff", other, check=False)
    assert (differ.returncode != 0) == bool(refused)

    check(project, "recipes few", recipe)

    # two stages are enough for verify
    stages = yaml.safe_load((project.root / "dvc.yaml").read_text())["stages"]
    short = {"stages": {name: stages[name] for name in ("fetch", "split")}}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump(short))
    (project.root / "dvc.lock").unlink()
    assert project.repro() == set()
    project.commit("two stages")
    check(project, "verify")
