"""Check that an environment that `make` did not create has the pinned packages.

    python -m tools.environment dev    the packages of pyproject.toml, and those of its extra `dev`

`make` runs this where `.venv` is a link, or a folder that it did not create. Each package, and what
it needs in turn on this system, must be installed in the version that constraints*.txt pins. This
imports nothing but the standard library and `packaging`, which other packages need.
"""

import argparse
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from charlm.core.versions import read_pins

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ENVIRONMENT, PROJECT = Path(".venv"), Path("pyproject.toml")
INSTALLED_BY_MAKE = ("embedded", "export", "report", "test")  # extras
MAX_PROBLEMS = 3  # named in the message


def find_problems(requirements: Iterable["Requirement"], pins: Mapping[str, str]) -> list[str]:
    """Return what is missing or has another version than the pinned one.

    Args:
        requirements: of the project; what they need in turn is looked up.
        pins: version of each package, by its name in lower case with hyphens.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    problems: dict[str, None] = {}  # a set in the order of insertion
    waiting = list(requirements)
    for requirement in waiting:  # which grows meanwhile
        name = canonicalize_name(requirement.name)
        pin = pins.get(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            problems[f"{name} {pin}".removesuffix(" None") + " is missing"] = None
            continue
        # a local part such as +cpu names the build, not the version
        if pin not in (None, distribution.version.partition("+")[0]):
            problems[f"{name} is {distribution.version} instead of {pin}"] = None
        for needed in map(Requirement, distribution.requires or []):
            extras = ("", *requirement.extras)
            applies = [not needed.marker or needed.marker.evaluate({"extra": e}) for e in extras]
            if any(applies) and str(needed) not in map(str, waiting):
                waiting.append(needed)
    return list(problems)


def message(problems: list[str], extras: Iterable[str]) -> str:
    """Return the line that names the problems and the command that removes them."""
    link = f" -> {ENVIRONMENT.readlink()}" if ENVIRONMENT.is_symlink() else ""
    more = len(problems) - MAX_PROBLEMS
    shown = problems[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
    python = f"{ENVIRONMENT}/bin/python"
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    constraints = " ".join(f"-c {path}" for path in sorted(Path().glob("constraints*.txt")))
    names = ",".join(dict.fromkeys([*INSTALLED_BY_MAKE, *extras]))
    return (
        f"{ENVIRONMENT}{link}: {', '.join(shown)}; make does not install into an environment that "
        f"it did not create, so run: {pip} {constraints} '.[{names}]'"
    )


def main() -> None:
    # argument_parser of charlm.core.runtime would import packages
    parser = argparse.ArgumentParser(
        prog="python -m tools.environment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("extras", nargs="*", metavar="EXTRA")
    extras = parser.parse_args().extras
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    known = project["optional-dependencies"]
    if unknown := set(extras) - set(known):
        parser.error(f"no extra of {PROJECT}: {', '.join(unknown)}; it has {', '.join(known)}")
    lines = [*project["dependencies"], *(line for extra in extras for line in known[extra])]
    try:
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name
    except ModuleNotFoundError:
        sys.exit(message(["packaging is missing"], extras))
    pins: dict[str, str] = {
        canonicalize_name(name): version
        for path in Path().glob("constraints*.txt")
        for name, version in read_pins(path).items()
    }
    if problems := find_problems(map(Requirement, lines), pins):
        sys.exit(message(problems, extras))


if __name__ == "__main__":
    main()
