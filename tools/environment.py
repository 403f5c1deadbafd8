"""Check that an environment that `make` did not create has the pinned packages.

    python -m tools.environment dev    the packages of pyproject.toml, and those of its extra `dev`

`make` runs this where `.venv` is a link, or a folder that it did not create. Each package, and what
it needs in turn, must be installed in the version that constraints*.txt pins. One that only some
systems need is checked if it is installed. This imports nothing but the standard library.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from charlm.core.versions import read_pins

ENVIRONMENT, PROJECT = Path(".venv"), Path("pyproject.toml")
INSTALLED_BY_MAKE = ("embedded", "report", "test")  # extras
MAX_PROBLEMS = 3  # named in the message
NAME = re.compile(r"([\w.-]+)\s*(?:\[([^]]*)\])?")
EXTRA = re.compile(r"extra == ['\"]([^'\"]+)")


class Requirement(NamedTuple):
    """A package that another one needs.

    Args:
        name: in lower case, with hyphens.
        extras: those that are asked for, separated by commas.
        is_conditional: only some systems need it.
    """

    name: str
    extras: str
    is_conditional: bool


def canonical_name(name: str) -> str:
    """Return the one spelling of the name of a package.

    >>> canonical_name("ruamel.yaml_CLIB")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_requirements(lines: Iterable[str], extras: str = "") -> Iterator[Requirement]:
    """Yield the requirements of a package with some of its extras.

    >>> list(parse_requirements(["fsspec[http]>=2; sys_platform == 'linux'", "a; extra == 'b'"]))
    [Requirement(name='fsspec', extras='http', is_conditional=True)]
    """
    for line in lines:
        specifier, _, marker = line.partition(";")
        extra = EXTRA.search(marker)
        if (match := NAME.match(specifier)) and (not extra or extra[1] in extras.split(",")):
            yield Requirement(canonical_name(match[1]), match[2] or "", bool(marker))


def find_problems(requirements: Iterable[Requirement], pins: Mapping[str, str]) -> list[str]:
    """Return what is missing or has another version than the pinned one.

    Args:
        requirements: of the project; what they need in turn is looked up.
        pins: version of each package.
    """
    problems: dict[str, None] = {}  # a set in the order of insertion
    waiting = list(dict.fromkeys(requirements))
    for requirement in waiting:
        name = requirement.name
        pin = pins.get(name)
        wanted = f"{name} {pin}" if pin else name
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if not requirement.is_conditional:
                problems[f"{wanted} is missing"] = None
            continue
        # a local part such as +cpu names the build, not the version
        if pin not in (None, distribution.version.partition("+")[0]):
            problems[f"{name} is {distribution.version} instead of {pin}"] = None
        needed = parse_requirements(distribution.requires or [], requirement.extras)
        waiting += [other for other in dict.fromkeys(needed) if other not in waiting]
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
    pins = {
        canonical_name(name): version
        for path in Path().glob("constraints*.txt")
        for name, version in read_pins(path).items()
    }
    if problems := find_problems(parse_requirements(lines), pins):
        sys.exit(message(problems, extras))


if __name__ == "__main__":
    main()
