"""One result everywhere: with any settings, in any folder and with any version of Python.

Each run ends in the outputs, metrics and plots of the first one, byte by byte. Only these are
compared, so that a change to the code fails here if it changes a result, and not for being one.
Tests marked `faults` run with `make test-faults` only.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, STAGES, Project, losses, posix, same_bytes

NUMPY_LEVELS = ["X86_V3", "X86_V4", "AVX512_ICL", "AVX512_SPR"]  # beyond what it is built for
OLD_PROCESSOR_AND_PLAIN_LOCALE = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "SSE4_2",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": " ".join(NUMPY_LEVELS),
    "LC_ALL": "C",
    "LANG": "C",
    "PYTHONUTF8": "0",
    "PYTHONHASHSEED": "123",
    "TZ": "Asia/Kolkata",
}
# DVC skips them in a clone, because all that they write is in git
IN_GIT = {
    name
    for name, stage in STAGES.items()
    if "outs" not in stage
    and all(
        isinstance(plot, dict) and "cache" in next(iter(plot.values())) for plot in stage["plots"]
    )
}


def outputs(project: Project) -> dict[str, str]:
    """The hash of each output, metric and plot of the last run."""
    stages = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}


@same_bytes
@pytest.mark.faults
def test_settings_of_the_environment_change_no_byte(finished: Project, tmp_path: Path):
    """On one core and with a strict umask; `finished` has other settings and four threads."""
    clone = finished.copy(tmp_path / "another folder" / "deeper")
    command = "umask 077; exec taskset --cpu-list 0 dvc repro --force"
    ran = clone.run("sh", "-c", command, **OLD_PROCESSOR_AND_PLAIN_LOCALE)
    assert ran.stdout.count("Running stage '") == len(STAGES)
    assert outputs(clone) == outputs(finished)


@same_bytes
@pytest.mark.faults
def test_worktree_of_a_shallow_clone_ends_in_the_same_bytes(finished: Project, tmp_path: Path):
    original = finished.copy(tmp_path / "original")
    original.commit("the first run")
    shallow, there = tmp_path / "shallow", tmp_path / "there" / "clone"
    there.parent.mkdir()
    original.run("git", "clone", "--quiet", "--depth", "1", f"file://{original.root}", str(shallow))
    Project(shallow).run("git", "worktree", "add", "--quiet", "--detach", str(there))
    clone = Project(there)
    assert clone.repro() == set(STAGES) - IN_GIT
    assert outputs(clone) == outputs(finished)


def pythons() -> list[str]:
    """The other interpreters on PATH that have the packages in the tested versions."""
    found = []
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    code = (
        "import json, sys\nfrom importlib.metadata import version\n"
        "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    )
    needed = ["dvc", "matplotlib", "numpy", "pandas", "pydantic", "safetensors", "torch"]
    for minor in (11, 12, 13):
        path = shutil.which(f"python3.{minor}")
        if path and minor != sys.version_info.minor:
            command = [path, "-c", code, *needed]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            versions = json.loads(ran.stdout) if ran.returncode == 0 else {}
            if versions and all(versions[name].startswith(pinned[name]) for name in needed):
                found.append(path)
    return found


@posix
@same_bytes
@pytest.mark.faults
def test_other_versions_of_python_end_in_the_same_bytes(finished: Project, tmp_path: Path):
    found = pythons()
    if not found:
        pytest.skip("no other python3.11 to 3.13 on PATH has the packages of constraints.txt")
    for python in found:
        clone = finished.copy(tmp_path / Path(python).name / "clone")
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin/python").write_text(f'#!/bin/sh\nexec {python} "$@"\n')
        (tmp_path / "bin/python").chmod(0o755)
        clone.run("sh", "-c", f'PATH="{tmp_path}/bin:$PATH" dvc repro --force')
        assert outputs(clone) == outputs(finished)


@pytest.mark.faults
def test_elsewhere_losses_are_nearly_the_same(finished: Project, tmp_path: Path):
    """Without what makes the arithmetic the same, as on another kind of machine."""
    clone = finished.copy(tmp_path / "clone")
    path = clone.root / "charlm/__init__.py"
    before, found, after = path.read_text().partition("os.environ.update(ARITHMETIC)\n")
    assert found
    path.write_text(before + after)
    clone.repro()
    committed, found = (losses(project.root) for project in (finished, clone))
    assert set(found) == set(committed) == {"train", "dev", "dev_unseen"}
    for split, by_model in committed.items():
        assert found[split] == pytest.approx(by_model, abs=0.005), split
