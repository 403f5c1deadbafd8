"""Which folder may import which, and what each of them has."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from charlm import ARITHMETIC
from charlm.models.registry import NETWORKS
from tests.conftest import ROOT, STAGES
from tools import deps
from tools.__main__ import PROGRAMS

MAY_IMPORT = {
    "charlm": (),
    "stages": ("charlm",),
    "tools": ("charlm",),
    "audit": ("tools", "charlm"),
    "benchmarks": ("tools", "charlm"),
    "labs": ("tools", "charlm"),
}
SOURCES = {
    path.relative_to(ROOT).as_posix(): path
    for folder in MAY_IMPORT
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "tests" not in path.parts
}
# Ends the process when a package is about to be imported, and prints what it would find.
WATCH = f"""
import importlib, os, sys

class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == sys.argv[2]:
            settled = {{key: os.environ.get(key) for key in {ARITHMETIC!r}}} == {ARITHMETIC!r}
            print("settled" if settled else "too early", flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch)
importlib.import_module(sys.argv[1])
print("not imported")
"""


def import_watched(module: str, package: str, folder: Path = ROOT) -> str:
    """Import a module in a fresh process; tell whether a package is imported, and when."""
    environment = {key: value for key, value in os.environ.items() if key not in ARITHMETIC}
    finished = subprocess.run(
        [sys.executable, "-c", WATCH, module, package],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return finished.stdout.strip()


# of each folder one; what settles it is the package
@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("audit.plain_loops", "torch"),
        ("benchmarks.timed", "numpy"),
        ("stages.evaluate", "numpy"),
        ("stages.train_mlp", "torch"),
        ("tools.score", "numpy"),
    ],
)
def test_arithmetic_is_settled_before_it_is_imported(module: str, package: str):
    assert import_watched(module, package) == "settled"


@pytest.mark.parametrize("tool", ["score", "next", "generate", "compare", "report"])
def test_tools_start_without_torch(tool: str):
    assert import_watched(f"tools.{tool}", "torch") == "not imported"


# A program that starts where /proc/cpuinfo is another file.
START = """
import pathlib, sys
read, cpuinfo = pathlib.Path.open, pathlib.Path("/proc/cpuinfo")
here = pathlib.Path("cpuinfo")
pathlib.Path.open = lambda path, *options, **more: read(
    here if path == cpuinfo else path, *options, **more
)
sys.argv[0] = "-m"
import charlm
print("started")
"""


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux only")
@pytest.mark.parametrize(
    ("flags", "printed"),
    [("sse2 avx", "this processor has no AVX2, "), ("sse2 avx avx2 fma", "started\n")],
)
def test_processor_without_avx2_is_refused_before_torch_is_imported(
    tmp_path: Path, flags: str, printed: str
):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t:\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = subprocess.run(
        [sys.executable, "-c", START],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (started.stdout or started.stderr).startswith(printed)
    assert started.returncode == ("avx2" not in flags.split())
    assert started.stderr.count("\n") == started.returncode


def test_watch_sees_a_torch_that_comes_too_early(tmp_path: Path):
    (tmp_path / "early.py").write_text("import torch\nimport charlm\n")
    assert import_watched("early", "torch", tmp_path) == "too early"


@pytest.mark.parametrize("path", SOURCES)
def test_each_room_imports_only_those_below_it(path: str):
    imported = {name.split(".")[0] for name in deps.imports(SOURCES[path].read_text())}
    room = path.split("/")[0]
    assert imported & set(MAY_IMPORT) <= {room, *MAY_IMPORT[room]} - {"stages"}


def test_every_module_of_the_library_is_behind_a_stage():
    behind, behind_networks = (
        set().union(*(deps.closure(f"stages.{stage}", ROOT)[0] for stage in stages))
        for stages in (STAGES, [f"train_{name}" for name in NETWORKS])
    )
    assert {path for path in SOURCES if path.startswith("charlm/")} - behind == deps.APART
    stored = {f"charlm/models/{name}.py" for name in NETWORKS}
    assert deps.APART - stored <= behind_networks


@pytest.mark.parametrize(
    ("folder", "below"), [("core", set()), ("data", {"core"}), ("models", {"core", "data"})]
)
def test_each_folder_of_the_library_imports_only_those_below_it(folder: str, below: set[str]):
    sources = [source for path, source in SOURCES.items() if path.startswith(f"charlm/{folder}/")]
    names = set().union(*(deps.imports(source.read_text()) for source in sources))
    assert {name.split(".")[1] for name in names if name.startswith("charlm.")} <= {folder, *below}


def test_the_library_does_not_depend_on_what_wraps_a_stage():
    importers = {
        path for path in SOURCES if "charlm.core.runtime" in deps.imports(SOURCES[path].read_text())
    }
    assert {path for path in importers if path.startswith("charlm/")} == set()


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.startswith(("charlm/", "tools/"))]
)
def test_sweeps_on_one_machine_need_neither_dask_nor_posix(path: str):
    imported = {name.split(".")[0] for name in deps.imports(SOURCES[path].read_text())}
    assert not imported & {"fcntl", "pwd", "resource"}
    assert ("distributed" in imported) == (path == "tools/sweep/dask_engine.py")


def test_every_program_is_listed(capsys: pytest.CaptureFixture):
    programs = {
        path.removeprefix("tools/").removesuffix(".py").removesuffix("/__main__")
        for path, source in SOURCES.items()
        if path.startswith("tools/") and 'if __name__ == "__main__"' in source.read_text()
    }
    listed = [name for names in PROGRAMS.values() for name in names]
    # node.py is run by the engines of sweeps
    assert sorted(listed) == sorted(programs - {"__main__", "sweep/node"})


def test_every_script_of_stages_is_a_stage():
    scripts = {path.stem for path in (ROOT / "stages").iterdir() if path.suffix == ".py"}
    assert scripts == {"__init__", *STAGES, *(f"train_{name}" for name in NETWORKS)}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_has_one_skeleton(stage: str):
    source = (ROOT / f"stages/{stage}.py").read_text()
    tree = ast.parse(source)
    assert f"python -m stages.{stage} " in ast.get_docstring(tree)
    assert ast.unparse(tree.body[-2]).startswith("def main() -> None:")
    assert ast.unparse(tree.body[-1]) == "if __name__ == '__main__':\n    run_stage(main)"


@pytest.mark.parametrize("stage", STAGES)
def test_stage_writes_through_the_library_alone(stage: str):
    """Which writes whole files or none, and nothing after `dvc` has exited."""
    source = (ROOT / f"stages/{stage}.py").read_text()
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    methods = {function.attr for function in called if isinstance(function, ast.Attribute)}
    functions = {function.id for function in called if isinstance(function, ast.Name)}
    assert not methods & {"open", "save", "savefig", "to_csv", "write_bytes", "write_text"}
    assert "open" not in functions
