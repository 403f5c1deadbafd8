"""What the tests share: the real list of names, and finished pipelines in temporary clones."""

import tools  # noqa: F401, I001 - settles the arithmetic, and drops git's variables, before all else

import contextlib
import hashlib
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import hypothesis
import pytest
import yaml
from filelock import FileLock
from numpy._core._multiarray_umath import __cpu_features__ as cpu_features

from charlm import params
from charlm.core import storage
from charlm.core.runtime import run_stage
from charlm.data import memory
from charlm.download import EMBEDDED, NoNetworkError, read_url
from charlm.names import parse_list
from charlm.tables import parse_facts, parse_rows
from tools.program import run_tool

# What runs in the background ignores Ctrl-C, and programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SETTINGS = params.load(ROOT / "params.yaml")
# No request gets past a proxy that nobody answers.
NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "", "NAMES_MIRROR": ""}
HAS_SAME_BYTES = sys.platform == "linux" and platform.machine() == "x86_64"
same_bytes = pytest.mark.skipif(
    not HAS_SAME_BYTES, reason="the same bytes are promised on x86-64 Linux only"
)
# Variables as a person may have set them for other programs; none of them may change a byte. No two
# are about the same thing, so that none can undo what another does.
THREADS = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"]
# numpy refuses to start with a level that the processor lacks, and OpenBLAS crashes
HAS_AVX512 = cpu_features.get("AVX512DQ", False)
NEW_PROCESSOR_AND_TURKISH_LOCALE = {
    "ATEN_CPU_CAPABILITY": "avx512",
    "MKL_CBWR": "AVX512",
    "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    "ONEDNN_MAX_CPU_ISA": "ALL",
    "OPENBLAS_CORETYPE": "SkylakeX" if HAS_AVX512 else "Haswell",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3 X86_V4" if HAS_AVX512 else "X86_V3",
    **dict.fromkeys(THREADS, "4"),
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "tr_TR.UTF-8",
    "MPLBACKEND": "svg",
}
MATPLOTLIBRC = "font.size: 20\nfont.weight: bold\nfont.style: italic\nlines.linewidth: 5\n"
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
        # `git status` locks no index, so that a shared clone can be copied meanwhile
        own["GIT_OPTIONAL_LOCKS"] = "0"
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

    def call(
        self, module: str, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a stage or a tool in this process, which has its imports already.

        Its code is that of ROOT. What it prints, its exit status and its environment are those of
        `python -m MODULE`.
        """
        folder = ROOT.joinpath(*module.split("."))
        path = folder / "__main__.py" if folder.is_dir() else folder.with_suffix(".py")
        program = import_module(f"{module}.__main__" if folder.is_dir() else module)
        run = run_stage if module.startswith("stages.") else run_tool
        out, err, status = io.StringIO(), io.StringIO(), 0
        with (
            pytest.MonkeyPatch.context() as patched,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            for key, value in self.environment(**variables).items():
                patched.setenv(key, value)
            patched.setattr(sys, "argv", [str(path), *arguments])
            patched.chdir(self.root)
            try:
                run(program.main)
            except SystemExit as ended:
                status = int(ended.code or 0)
            finally:
                storage.pre_write_checks.clear()  # a process has one stage
        return subprocess.CompletedProcess(
            [module, *arguments], status, out.getvalue(), err.getvalue()
        )

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

    def forget_run(self, stage: str) -> None:
        """Remove a stage's runs from the cache, so that it has to run again."""
        for entry in (self.root / ".dvc/cache/runs").glob("*/*/*"):
            if entry.read_text().startswith(f"cmd: python -m stages.{stage}\n"):
                shutil.rmtree(entry.parent)

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
        values.setdefault(section, {})[name] = value
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


def losses(folder: Path) -> dict[str, dict[str, float]]:
    """Return the losses that evaluate wrote, by split and model."""
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("metrics/nll/*.json")}


def table(folder: Path, path: str) -> list[dict[str, str]]:
    """Return the rows of a table that a stage wrote."""
    return parse_rows((folder / path).read_bytes())


def facts(folder: Path, stage: str) -> dict[str, str]:
    """Return the facts that a stage wrote."""
    return parse_facts((folder / f"metrics/{stage}.csv").read_bytes())


def limit_memory(monkeypatch: pytest.MonkeyPatch, limit_bytes: int) -> None:
    """Allow so much memory, also where so little would never be refused."""
    monkeypatch.setattr(memory, "SMALL_BYTES", 0)
    monkeypatch.setattr(memory, "memory_limit_bytes", lambda: limit_bytes)


def write_recipes(project: Project, **recipes: dict[str, object]) -> None:
    """Replace the recipes of a project."""
    content = {"x": {"title": "Width", "recipes": recipes}}
    (project.root / "audit/recipes.yaml").write_text(yaml.safe_dump(content))


# runs each stage as `python -m` does, one after the other in one process
IN_ONE_PROCESS = """
import runpy, sys
for stage in sys.argv[1:]:
    runpy.run_module(f"stages.{stage}", run_name="__main__", alter_sys=True)
"""


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


def built_once(
    factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]
) -> Project:
    """Build a project in a separate folder, once for all workers of pytest-xdist.

    Args:
        build: gets the path of the clone that it is to create.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / f"shared-{name}"
    with FileLock(shared / f"{folder.name}.lock"):
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker whose attempt failed
            folder.mkdir()
            build(folder / "clone")
            (folder / "built").touch()
    return Project(folder / "clone")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the long tests first, so that no worker is left with one at the end."""
    pipelines = {"base", "finished"}

    def is_short(item: pytest.Item) -> bool:
        has_cases = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        return not has_cases and pipelines.isdisjoint(getattr(item, "fixturenames", ()))

    items.sort(key=is_short)


@pytest.fixture(scope="session")
def names_or_none() -> list[str] | None:
    try:
        content = read_url(SETTINGS.fetch.url)
    except NoNetworkError:
        return None
    return parse_list(content, "names.txt").names


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
    the results of this run are committed, for others to be compared with. Where the bytes should
    be the committed ones, the run has settings that must not change them.
    """

    def build(folder: Path) -> None:
        project = clone(folder)
        if names_or_none is None:
            for key, value in EMBEDDED.items():
                project.set_param(f"fetch.{key}", value)
        (folder.parent / "matplotlibrc").write_text(MATPLOTLIBRC)
        settings = NEW_PROCESSOR_AND_TURKISH_LOCALE | {"MPLCONFIGDIR": str(folder.parent)}
        # by force also what DVC skips in a clone, because all that it writes is in git
        assert project.repro("--force", **(settings if HAS_SAME_BYTES else {})) == set(STAGES)
        if names_or_none is None:
            project.commit("the embedded list")

    return built_once(tmp_path_factory, "finished", build)


@pytest.fixture(scope="session")
def quick(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished clone whose MLP trains for a few steps: an experiment, which was committed.

    Beside it is experiments.csv, what `dvc exp show` printed before the commit.
    """

    def build(folder: Path) -> None:
        project = finished.copy(folder)
        project.run("dvc", "exp", "run", "-S", "mlp.steps=20", "--name", "quick")
        shown = project.run("dvc", "exp", "show", "--csv").stdout
        (folder.parent / "experiments.csv").write_text(shown)
        project.run("dvc", "exp", "remove", "quick")
        project.commit("a quick MLP")

    return built_once(tmp_path_factory, "quick", build)


@pytest.fixture(scope="session")
def with_recipes(quick: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A quick clone in which tools.recipes ran two recipes, `smoothing-3` and `few`.

    `few` only draws fewer names. Beside the clone, `stdout` and `stderr` have what was printed.
    """

    def build(folder: Path) -> None:
        project = quick.copy(folder)
        loss = {"what": "dev NLL", "file": "metrics/nll/dev.json", "key": "bigram_count"}
        symbols = {"what": "symbols", "file": "data/vocabulary.json", "key": "length"}
        smoothing = {"question": "why?", "overrides": ["bigram_count.smoothing=3"]}
        few = {"question": "why?", "overrides": ["sample.count=3"]}
        both = {
            "smoothing-3": smoothing | {"figures": [loss]},
            "few": few | {"figures": [loss, symbols]},
        }
        write_recipes(project, **both)
        project.commit("two recipes")
        ran = project.call("tools.recipes", *both)
        assert ran.returncode == 0, ran.stderr
        (folder.parent / "stdout").write_text(ran.stdout)
        (folder.parent / "stderr").write_text(ran.stderr)

    return built_once(tmp_path_factory, "with_recipes", build)


@pytest.fixture
def project(quick: Project, tmp_path: Path) -> Project:
    """A quick clone of the test's own."""
    return quick.copy(tmp_path / "clone")
