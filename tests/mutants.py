"""What do the tests not catch? Break the code in many small ways, one at a time, and run them.

    make mutants                                                200 of all modules
    make mutants MUTANTS="--count 20 charlm/stats.py stages/split.py"

A mutant survives if its module's own tests pass, without those that run whole pipelines. One that
runs out of time does not.
"""

import argparse
import ast
import copy
import importlib
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("charlm/**/*.py", "stages/*.py", "tools/**/*.py", "audit/*.py")
# charlm before torch; then what every test would spend seconds on importing
PRELOADED = (
    *("charlm", "torch", "torch.optim", "pandas", "matplotlib.figure", "hypothesis", "scipy.stats"),
    *("dvc.api", "dvc.repo", "pydantic", "psutil", "pyarrow.parquet", "requests", "tabulate"),
)
PROJECT = ("charlm", "stages", "tools", "audit", "benchmarks", "tests")
PIPELINES = {"finished", "quick", "project"}  # the slow fixtures
SLOW = re.compile("comparisons_in_docs|sixty_most_frequent|keeps_failing|_broken|coverage|19_of")
SHARED = {  # files of tests besides test_NAME.py, by source file or package
    "charlm/__init__.py": ("layout", "runtime", "networks", "arithmetic"),
    "charlm/core/errors.py": ("fetch", "runtime"),
    "tools/hints.py": ("tools", "next"),
    "tools/dvc_state.py": ("rescue",),
    "tools.sweep": ("sweep_grid", "sweep_runner", "sweep_verdicts"),
    "tools.recipes": ("recipes", "bands"),
    "tools/documents.py": ("readme",),
    "tools/compare/__main__.py": ("compare",),
    "tools/compare/runs.py": ("compare",),
    "charlm/drawing/symbols.py": ("plots",),
    "tools.report": ("report",),
    "charlm/core/yaml_files.py": ("params", "rescue"),
    "charlm/core/runtime.py": ("versions",),
    "charlm/data/examples.py": ("stored",),
    "charlm/scoring.py": ("evaluate",),
    "charlm/training.py": ("train_mlp",),
    "charlm/data/tensors.py": ("stored",),
    "charlm/data/vocabulary.py": ("stored", "words"),
    "charlm.models": ("models", "networks", "stored"),
    "charlm.networks": ("networks",),
    "stages": ("words", "stored", "stages"),
    "tools": ("help",),
    "tools/environment.py": ("makefile", "help"),
    "tools/generate.py": ("tools", "help"),
    "tools/program.py": ("tools", "help"),
    "tools/score.py": ("tools", "help"),
    "tools/tables.py": ("readme", "help"),
    "audit/notebooks.py": ("notebook_pages", "help"),
    "tools/deps.py": ("dvc_yaml", "layout", "help"),
}
TIME_LIMIT_S = 120
PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
PAIRS = "Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, And Or, Add Sub, Mult Div, BitAnd BitOr"
SWAPS = {
    getattr(ast, one): getattr(ast, other)
    for pair in PAIRS.split(", ")
    for one, other in (pair.split(), reversed(pair.split()))
}


class Mutant(NamedTuple):
    """A source with one change."""

    path: str
    line: int
    before: str
    after: str
    source: str


def replacements(node: ast.AST) -> Iterator[tuple[Any, ast.AST]]:
    """Yield parts of a node and what else could be there."""
    changed = copy.deepcopy(node)
    match changed:
        case ast.Compare(ops=ops):
            for number, operator in enumerate(ops):
                ops[number] = SWAPS[type(operator)]()
                yield node, changed
                ops[number] = operator
        case ast.BinOp(op=ast.Div(), right=ast.JoinedStr() | ast.Constant(value=str())):
            pass  # a path
        case ast.BoolOp(op=op) | ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            changed.op = SWAPS[type(op)]()
            yield node, changed
        case ast.UnaryOp(op=ast.Not()):
            yield node, changed.operand
        case ast.Constant(value=bool() | int() | float() as value):
            other = not value if isinstance(value, bool) else value + 1
            yield node, ast.Constant(other)
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) if "__name__" not in ast.unparse(test):
            if ast.unparse(test) != "TYPE_CHECKING":
                yield from ((test, ast.Constant(value)) for value in (True, False))
        case ast.Return(value=ast.expr() as returned) if ast.unparse(returned) != "None":
            yield returned, ast.Constant(None)
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Continue():
            yield node, ast.Pass()
        # without the only assignment of a name, any test finds the NameError
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield node, ast.Pass()
        case ast.arguments():
            for default in [*node.defaults, *filter(None, node.kw_defaults)]:
                if isinstance(default, ast.Constant) and isinstance(default.value, str):
                    yield default, ast.Constant(f"{default.value}x")


def is_check(node: ast.AST) -> bool:
    """Tell whether a node is the `strict` of a zip, which only checks what holds anyway."""
    return isinstance(node, ast.keyword) and node.arg == "strict"


def mutants(path: str) -> list[Mutant]:
    """Return every mutant of a source file."""
    source = (ROOT / path).read_bytes()
    starts = [0, *(found.end() for found in re.finditer(b"\n", source))]
    tree = ast.parse(source)
    # formatted strings are messages; of annotations and the last lines, `if __name__ ...`, no
    # test depends on the value
    skipped = {
        child
        for node in ast.walk(tree)
        for branch in (node, getattr(node, "annotation", None), getattr(node, "returns", None))
        if branch and (branch is not node or isinstance(node, ast.JoinedStr) or is_check(node))
        for child in ast.walk(branch)
    }
    if ast.unparse(tree.body[-1]).startswith("if __name__"):
        skipped |= set(ast.walk(tree.body[-1]))
    found = []
    for node in ast.walk(tree):
        for old, new in () if node in skipped else replacements(node):
            start = starts[old.lineno - 1] + old.col_offset
            end = starts[old.end_lineno - 1] + old.end_col_offset
            after = ast.unparse(new)
            text = f"({after})" if isinstance(old, ast.BoolOp | ast.BinOp) else after
            mutated = (source[:start] + text.encode() + source[end:]).decode()
            before = " ".join(source[start:end].decode().split())
            found.append(Mutant(path, old.lineno, before, after, mutated))
    return found


def sample(paths: list[str], count: int, seed: int) -> list[Mutant]:
    """Draw lines of code, and one mutant of each."""
    by_line: dict[tuple[str, int], list[Mutant]] = {}
    for path in paths:
        for mutant in mutants(path):
            by_line.setdefault((path, mutant.line), []).append(mutant)
    generator = random.Random(seed)
    lines = generator.sample(sorted(by_line), min(count, len(by_line)))
    return [generator.choice(by_line[line]) for line in lines]


def tests_of(path: str) -> list[str]:
    """Return what to run for a source file: its doctests, then its own files of tests."""
    package = ".".join(Path(path).parts[:-1])
    names = (Path(path).stem, *SHARED.get(path, SHARED.get(package, ())))
    files = [f"{folder}test_{name}.py" for name in names for folder in ("tests/", "audit/tests/")]
    return [path, *(file for file in dict.fromkeys(files) if Path(file).exists())]


class Plugin:
    """Leave out tests of whole pipelines, and write down which test fails."""

    def __init__(self, killer: Path) -> None:
        self.killer = killer

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [
            item
            for item in items
            if PIPELINES.isdisjoint(getattr(item, "fixturenames", ()))
            and not SLOW.search(item.name)
        ]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.killer.write_text(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.killer.write_text(report.nodeid)


def run_tests(arguments: list[str], killer: Path, anew: bool) -> None:
    """Run pytest in this process, a fork, and exit with its status."""
    os.setpgrp()
    options = ["-x", "-q", "-n0", "-p", "no:cacheprovider"]
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    if anew:  # what torch reads once, it has read already
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *options, *arguments])
    # most mutants fail in the first files, so that the others need not be imported
    for files in (arguments[:2], arguments[2:]):
        if files and pytest.main([*options, *files], plugins=[Plugin(killer)]) not in PASSED:
            os._exit(1)
    os._exit(0)


def survives(arguments: list[str], killer: Path, anew: bool = False) -> bool:
    """Tell whether the tests pass in the current folder."""
    killer.write_text("")
    process = multiprocessing.get_context("fork").Process(
        target=run_tests, args=(arguments, killer, anew)
    )
    process.start()
    process.join(TIME_LIMIT_S)
    if process.is_alive() and process.pid:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode in PASSED


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="*", help="source files: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    every = [path.relative_to(ROOT).as_posix() for glob in SOURCES for path in ROOT.glob(glob)]
    drawn = sample(arguments.paths or sorted(every), arguments.count, arguments.seed)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in PRELOADED:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] in PROJECT]:
        del sys.modules[name]
    killers, surviving = set(), []
    with tempfile.TemporaryDirectory() as folder:
        scratch, killer = Path(folder, "repository"), Path(folder, "killer")
        shutil.copytree(ROOT, scratch, ignore=shutil.ignore_patterns(".venv", "cache", "tmp"))
        os.chdir(scratch)
        for number, mutant in enumerate(drawn, start=1):
            Path(mutant.path).write_text(mutant.source)
            alive = survives(tests_of(mutant.path), killer, mutant.path == "charlm/__init__.py")
            shutil.copyfile(ROOT / mutant.path, mutant.path)
            where = f"{mutant.path}:{mutant.line}  {mutant.before} → {mutant.after}"
            killers |= {killer.read_text()} - {""}
            print(
                f"{number} {where}: {'SURVIVES' if alive else killer.read_text()}", file=sys.stderr
            )
            surviving += [where] * alive
        if killers and not survives(sorted(killers), killer):
            print(f"{killer.read_text()} fails without any mutant, too", file=sys.stderr)
    print("\n".join(sorted(surviving)))
    killed = len(drawn) - len(surviving)
    print(f"{killed} of {len(drawn)} killed ({killed / len(drawn):.1%}), seed {arguments.seed}")


if __name__ == "__main__":
    main()
