"""Packages other than those of constraints.txt are refused, unless a parameter allows them."""

import sys
from importlib import metadata
from pathlib import Path

import matplotlib  # noqa: F401 - a stage that has loaded it is checked
import pytest

from charlm.core.errors import InputError
from charlm.core.versions import CONSTRAINTS, PINNED, check_versions, read_pins
from tests.conftest import ROOT, Project

INSTALLED = metadata.version("matplotlib")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params("pinned")


def write_params(versions: str) -> None:
    Path("params.yaml").write_text(f"environment:\n  versions: {versions}\n")


def test_installed_packages_are_those_of_constraints():
    for name, version in read_pins(ROOT / CONSTRAINTS).items():
        if name in PINNED:
            assert metadata.version(name).partition("+")[0] == version


def test_pinned_version_passes_and_so_does_a_folder_without_pins():
    check_versions("plot_mlp")
    CONSTRAINTS.write_text(f"matplotlib=={INSTALLED}\ntabulate==0.1\n")
    check_versions("plot_mlp")


def test_another_version_is_refused_with_what_to_do():
    CONSTRAINTS.write_text("matplotlib==0.1\n")
    with pytest.raises(InputError) as error:
        check_versions("plot_mlp")
    assert str(error.value) == (
        f"plot_mlp: matplotlib {INSTALLED} is installed, constraints.txt pins 0.1, so the bytes "
        "may differ; install the pins with `pip install -c constraints.txt .`, or allow it with "
        "`dvc exp run -S environment.versions=any`"
    )


def test_parameter_allows_another_version():
    CONSTRAINTS.write_text("matplotlib==0.1\n")
    write_params("any")
    check_versions("plot_mlp")


def test_package_that_is_not_loaded_is_not_checked(monkeypatch: pytest.MonkeyPatch):
    CONSTRAINTS.write_text("matplotlib==0.1\n")
    monkeypatch.delitem(sys.modules, "matplotlib")
    check_versions("split")


def test_stage_writes_nothing_with_another_version(tmp_path: Path):
    CONSTRAINTS.write_text("torch==0.1\n")
    refused = Project(tmp_path).run(
        sys.executable, "-m", "stages.train_mlp", check=False, PYTHONPATH=str(ROOT)
    )
    assert refused.returncode == 1
    assert "constraints.txt pins 0.1" in refused.stderr
    assert not (tmp_path / "data/models").exists()
