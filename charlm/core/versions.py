"""Installed packages against those of constraints.txt, which give the promised bytes."""

import sys
from importlib import metadata
from pathlib import Path

from charlm.core.errors import InputError

CONSTRAINTS, PARAMS = Path("constraints.txt"), Path("params.yaml")
# packages whose version can change bytes
PINNED = ("matplotlib", "numpy", "pandas", "scipy", "torch")
ALLOWING = "environment.versions=any"


def check_versions(stage: str) -> None:
    """Compare the packages that a stage has loaded with their pins.

    The parameter `environment.versions` is part of what DVC records, so that results of other
    versions are marked as such, and its run cache keeps them apart.

    Raises:
        InputError: another version is installed, and `environment.versions` does not allow it.
    """
    pins = read_pins(CONSTRAINTS)
    differing = [
        f"{name} {installed} is installed, {CONSTRAINTS} pins {pins[name]}"
        for name in PINNED
        if name in sys.modules and name in pins
        # a local part such as +cpu names the build, not the version
        if (installed := metadata.version(name)).partition("+")[0] != pins[name]
    ]
    if differing and not any_version_is_allowed():
        raise InputError(
            f"{stage}: {'; '.join(differing)}, so the bytes may differ; install the pins with "
            f"`pip install -c {CONSTRAINTS} .`, or allow it with `dvc exp run -S {ALLOWING}`"
        )


def read_pins(path: Path) -> dict[str, str]:
    """Return the version of each package in a file of constraints; none without the file."""
    if not path.exists():
        return {}
    return dict(line.split("==") for line in path.read_text(encoding="utf-8").split())


def any_version_is_allowed() -> bool:
    """Tell whether params.yaml allows other versions than the pinned ones."""
    from charlm.core.yaml_files import parse_yaml  # only needed where versions differ

    try:
        return bool(parse_yaml(PARAMS.read_bytes())["environment"]["versions"] == "any")
    except (OSError, ValueError, KeyError, TypeError):
        return False
