"""What the tests share: the real list of names, and finished pipelines in temporary clones."""

import charlm  # noqa: F401, I001 - settles the arithmetic, so it precedes every import of torch

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
import yaml

from charlm import params, runtime
from charlm.download import EMBEDDED, NoNetworkError, read_url
from charlm.names import parse_names

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SETTINGS = params.load(ROOT / "params.yaml")
# No request gets past a proxy that nobody answers.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "", "NAMES_MIRROR": ""}
same_bytes = pytest.mark.skipif(
    not (sys.platform == "linux" and platform.machine() == "x86_64"),
    reason="the same bytes are promised on x86-64 Linux only",
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX system")
IDENTITY = {
    f"GIT_{role}_{key}": "test@localhost"
    for role in ("AUTHOR", "COMMITTER")
    for key in ("NAME", "EMAIL")
}
# the same cases every time; `make test-faults` asks for the many
for profile, cases in {"few": 50, "many": 1000}.items():
    hypothesis.settings.register_profile(
        profile, max_examples=cases, derandomize=True, deadline=None, database=None
    )
hypothesis.settings.load_profile(os.environ.get("CASES", "few"))


@dataclass
class Project:
    """A clone of this repository, with git, DVC and the stages run in it as a person would."""

    root: Path

    def environment(self, **variables: str) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "DVC_SITE_CACHE_DIR": str(self.root.parent / "site")}
        return os.environ | IDENTITY | own | variables

    def run(
        self, *command: str, check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = self.environment(**variables)
        finished = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        assert not check or finished.returncode == 0, (
            f"{command}\n{finished.stdout}\n{finished.stderr}"
        )
        return finished

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def changed(self) -> str:
        return self.run("git", "status", "--porcelain").stdout

    def set_param(self, key: str, value: object) -> None:
        section, name = key.split(".")
        path = self.root / "params.yaml"
        values = yaml.safe_load(path.read_text())
        values[section][name] = value
        path.write_text(yaml.safe_dump(values, sort_keys=False))

    def repro(self, *options: str, **variables: str) -> set[str]:
        """Run `dvc repro` and return the stages that it ran, as against skipped or checked out."""
        return set(
            re.findall(
                r"Running stage '(\w+)'", self.run("dvc", "repro", *options, **variables).stdout
            )
        )

    def files(self) -> dict[str, bytes]:
        """All files there are, but for the lock."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }

    def copy(self, folder: Path) -> "Project":
        return Project(Path(shutil.copytree(self.root, folder, symlinks=True)))


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow beyond one byte, as if the disk were full."""
    import resource  # Windows has none

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def declared(stage: str, *kinds: str) -> list[str]:
    """Return the paths that a stage declares under these keys of dvc.yaml."""
    entries = [entry for kind in kinds for entry in STAGES[stage].get(kind, [])]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def write_inputs(folder: Path, content: bytes, changes: dict[str, object]) -> None:
    """Write a list of names, and the params.yaml that fetches it, to a folder.

    Args:
        changes: of parameters, by `section.key`.
    """
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["fetch"] = {"url": "words.txt", "sha256": hashlib.sha256(content).hexdigest()}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    (folder / "words.txt").write_bytes(content)
    (folder / "params.yaml").write_text(yaml.safe_dump(values))


def run_stages(
    folder: Path, content: bytes, changes: dict[str, object], names: Iterable[str] = STAGES
) -> None:
    """Run stages one after the other in this process, in a folder, on a list of names.

    Args:
        changes: of parameters, by `section.key`.
        names: of the stages.
    """
    write_inputs(folder, content, changes)
    with contextlib.chdir(folder):
        for name in names:
            import_module(f"stages.{name}").main()


def limit_memory(monkeypatch: pytest.MonkeyPatch, limit_bytes: int) -> None:
    """Allow so much memory, also where so little would never be refused."""
    monkeypatch.setattr(runtime, "SMALL_BYTES", 0)
    monkeypatch.setattr(runtime, "memory_limit_bytes", lambda: limit_bytes)


def clone(folder: Path) -> Project:
    """Copy what is under test, as git would have it, into a separate repository."""
    project = Project(folder)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.commit("what is under test")
    return project


@pytest.fixture(scope="session")
def names_or_none() -> list[str] | None:
    try:
        content = read_url(SETTINGS.fetch.url)
    except NoNetworkError:
        return None
    return parse_names(content, "names.txt")


@pytest.fixture(scope="session")
def names(names_or_none: list[str] | None) -> list[str]:
    """The lecture's list of names."""
    if names_or_none is None:
        pytest.skip("names.txt cannot be had: no network, and NAMES_MIRROR is not set")
    return names_or_none


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, names_or_none: list[str] | None) -> Project:
    """A clone after its first `dvc repro`; on the embedded list where names.txt cannot be had.

    With the real list the commit is the one under test, results and all; with the embedded one
    the results of this run are committed, for others to be compared with.
    """
    project = clone(tmp_path_factory.mktemp("finished") / "clone")
    if names_or_none is None:
        for key, value in EMBEDDED.items():
            project.set_param(f"fetch.{key}", value)
    project.repro()
    if names_or_none is None:
        project.commit("the embedded list")
    return project


@pytest.fixture(scope="session")
def quick(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished clone whose MLP trains for a few steps, committed."""
    project = finished.copy(tmp_path_factory.mktemp("quick") / "clone")
    project.set_param("mlp.steps", 20)
    project.repro()
    project.commit("a quick MLP")
    return project


@pytest.fixture
def project(quick: Project, tmp_path: Path) -> Project:
    """A quick clone of the test's own."""
    return quick.copy(tmp_path / "clone")
