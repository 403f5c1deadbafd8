"""Run stages and benchmarks in separate processes, and time them."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

import yaml

from charlm import ARITHMETIC

ROOT = Path.cwd()
PEAK_MEMORY = "/proc/self/status"  # Linux only
# Runs a module as __main__, or imports it under another name, then prints the peak of its memory.
RUN_MODULE = f"""
import pathlib, runpy, sys
runpy.run_module(sys.argv[1], run_name=sys.argv[2])
print(pathlib.Path({PEAK_MEMORY!r}).read_text().partition("VmHWM:")[2].split()[0])
"""
TIME_MAIN = """
import importlib, sys, time
stage = importlib.import_module(f"stages.{sys.argv[1]}")
start = time.perf_counter()
stage.main()
print(time.perf_counter() - start)
"""


class Run(NamedTuple):
    """A process from start to end."""

    seconds: float
    megabytes: float  # peak of resident memory
    cpu: float  # seconds, of all its threads


class Cost(NamedTuple):
    """What something took."""

    wall: float  # seconds
    cpu: float  # seconds of all processes that it started and that have ended

    @classmethod
    def of(cls, action: Callable[[], object]) -> Self:
        """Run an action."""
        start, cpu = time.perf_counter(), cpu_of_children()
        action()
        return cls(time.perf_counter() - start, cpu_of_children() - cpu)


def cpu_of_children() -> float:
    """Return the CPU seconds of all processes that this one started and that have ended."""
    import resource  # not on Windows

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*command: str, folder: Path, **variables: str) -> str:
    """Run a command in a folder and return what it prints; `variables` are added."""
    environment = unpinned_environment() | variables
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
    ).stdout


def run_stage(
    stage: str, folder: Path, imports_only: bool = False, before: str = "", root: Path = ROOT
) -> Run:
    """Run a stage in a separate process, or only its imports, after the code `before`.

    Args:
        root: of the project whose stage it is.
    """
    run_name = "imported" if imports_only else "__main__"
    command = (sys.executable, "-c", before + RUN_MODULE, f"stages.{stage}", run_name)
    start, cpu = time.perf_counter(), cpu_of_children()
    printed = run(*command, folder=folder, PYTHONPATH=str(root))
    megabytes = int(printed.split()[-1]) / 1024
    return Run(time.perf_counter() - start, megabytes, cpu_of_children() - cpu)


def time_main(stage: str, folder: Path) -> float:
    """Run a stage in a separate process; return the seconds that it takes after its imports."""
    printed = run(sys.executable, "-c", TIME_MAIN, stage, folder=folder, PYTHONPATH=str(ROOT))
    return float(printed.split()[-1])


def write_params(folder: Path, changes: dict[str, dict[str, Any]]) -> None:
    """Write the params.yaml of this project, changed in some sections, to a folder."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, values in changes.items():
        settings[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(settings))


def seconds_per_step(
    stage: str, section: str, folder: Path, steps: int, **changes: object
) -> float:
    """Time one step of a training: the difference between a long and a short run of its stage.

    Args:
        stage: that trains.
        section: of params.yaml that has its `steps`.
        folder: that has its inputs.
        steps: of the long run.
        changes: of other parameters of the section.
    """
    few = 2
    seconds = []
    for number in (few, steps):
        write_params(folder, {section: {**changes, "steps": number}})
        seconds.append(run_stage(stage, folder).seconds)
    return (seconds[1] - seconds[0]) / (steps - few)


def time_project(name: str, folder: Path = ROOT) -> float:
    """Time a function of this project on the data of a folder; see `benchmarks.timed`."""
    command = (sys.executable, "-m", "benchmarks.timed", name)
    return float(json.loads(run(*command, folder=folder, PYTHONPATH=str(ROOT)))["seconds"])


def time_notebooks(name: str) -> dict[str, float]:
    """Time a loop of the notebooks, without the settings that hold this project's arithmetic."""
    command = (sys.executable, str(ROOT / "benchmarks/notebooks.py"), name)
    found: dict[str, float] = json.loads(run(*command, folder=ROOT))
    return found


def unpinned_environment() -> dict[str, str]:
    """Return the environment without what `charlm` has set in it."""
    return {key: value for key, value in os.environ.items() if key not in ARITHMETIC}


def summarise_pairs(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Return the medians of both sides and of the ratio within a pair, and its range.

    >>> summarise_pairs([(4, 8), (1, 4), (6, 6)])
    {'seconds': 4, 'seconds_against': 6, 'ratio': 0.5, 'lowest': 0.25, 'highest': 1.0, 'runs': 3}
    """
    ratios = [ours / theirs for ours, theirs in pairs]
    return {
        "seconds": median(ours for ours, _ in pairs),
        "seconds_against": median(theirs for _, theirs in pairs),
        "ratio": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "runs": len(pairs),
    }


def machine() -> dict[str, object]:
    """Return the facts of this machine that the times depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    pins = dict(line.split("==") for line in Path("constraints.txt").read_text().split())
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "dvc": pins["dvc"],
        "torch": pins["torch"],
    }
