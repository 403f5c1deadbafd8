"""What tools.environment finds in environments that consist of metadata."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import environment
from tools.environment import find_problems

PINS = {"dvc": "3.67.1", "fsspec": "2026.9.0", "aiohttp": "3.14.5", "colorama": "0.4.6"}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without packages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    return tmp_path / "site"


def install(site: Path, name: str, version: str, *needs: str) -> None:
    """Write the metadata of an installed package."""
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs)]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")


def problems(*requirements: str) -> list[str]:
    return find_problems(map(Requirement, requirements), PINS)


def test_version_is_compared_without_its_local_part(site: Path):
    install(site, "dvc", "3.67.1+cpu")
    install(site, "fsspec", "2026.9.0.1")
    assert problems("dvc>=3", "fsspec") == ["fsspec is 2026.9.0.1 instead of 2026.9.0"]


def test_package_without_a_pin_may_have_any_version(site: Path):
    install(site, "nvidia_cublas", "13")
    assert problems("nvidia-cublas", "triton") == ["triton is missing"]


def test_what_a_package_needs_is_checked_too(site: Path):
    install(site, "dvc", "3.67.1", "dvc-data (>=3)", "fsspec[http]")
    install(site, "dvc_data", "3", "dvc", "colorama")
    install(site, "fsspec", "2026.9.0", "aiohttp!=4; extra == 'http'")
    install(site, "aiohttp", "3.0")
    assert problems("DVC") == ["colorama 0.4.6 is missing", "aiohttp is 3.0 instead of 3.14.5"]


def test_extra_that_no_package_asks_for_is_not_checked(site: Path):
    install(site, "dvc", "3.67.1", 'colorama; extra == "all"')
    install(site, "colorama", "0.1")
    assert problems("dvc") == []


def test_package_that_only_other_systems_need_is_not_checked(site: Path):
    install(site, "dvc", "3.67.1", "colorama; sys_platform == 'none'", "aiohttp")
    assert problems("dvc") == ["aiohttp 3.14.5 is missing"]
    install(site, "colorama", "0.1")
    assert problems("dvc") == ["aiohttp 3.14.5 is missing"]


@pytest.mark.parametrize(
    ("missing", "shown"),
    [
        ("abc", "a is missing, b is missing, c is missing"),
        ("abcde", "a is missing, b is missing, c is missing, and 2 more"),
    ],
)
def test_message_has_three_problems_and_a_command_for_pip(site: Path, missing: str, shown: str):
    Path(".venv").symlink_to("/shared")
    Path("constraints.txt").touch()
    site.mkdir()
    (site / "pip.py").touch()
    found = [f"{name} is missing" for name in missing]
    assert environment.message(found, ["embedded", "dev"]) == (
        f".venv -> /shared: {shown}; make does not install into an environment that it did not "
        "create, so run: .venv/bin/python -m pip install -c constraints.txt "
        "'.[embedded,export,report,test,dev]'"
    )


def test_unknown_extra_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    Path("pyproject.toml").write_text(
        "[project]\ndependencies = []\noptional-dependencies = {dev = [], test = []}\n"
    )
    monkeypatch.setattr(sys, "argv", ["-c", "develop"])
    with pytest.raises(SystemExit):
        environment.main()
    assert "no extra of pyproject.toml: develop; it has dev, test\n" in capsys.readouterr().err
