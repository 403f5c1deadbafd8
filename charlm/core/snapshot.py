"""The code and parameters that a running stage started with.

DVC records the code and the parameters that it finds after a stage has run. A result computed
before an edit would be recorded, and cached, as one of the edited files; so a stage that finds
them changed writes nothing.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple, Self

from charlm.core.errors import InputError

PACKAGES = ("charlm", "stages")  # of this project
PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")


class Snapshot(NamedTuple):
    """What a stage started with."""

    stage: str
    params: bytes  # content of params.yaml; empty if there is none
    sources: dict[Path, bytes]  # content of the loaded modules of this project

    @classmethod
    def take(cls, stage: str) -> Self:
        """Read the files as they are now."""
        files = [
            getattr(module, "__file__", None)
            for name, module in sys.modules.copy().items()
            if name.partition(".")[0] in (*PACKAGES, "__main__")
        ]
        paths = [Path(file) for file in files if file]
        return cls(stage, content(PARAMS), {path: content(path) for path in paths})

    def check(self) -> None:
        """Compare the files with what they are now.

        Raises:
            InputError: a source has changed, or a parameter that the stage reads.
        """
        changed = [path.name for path, before in self.sources.items() if content(path) != before]
        params = content(PARAMS)
        if params != self.params:
            changed += changed_sections(self.params, params, declared_sections(self.stage))
        if changed:
            raise InputError(
                f"{self.stage}: {', '.join(changed)} changed while it ran, so nothing more was "
                "written; run `dvc repro` again"
            )


def content(path: Path) -> bytes:
    """Return the content of a file; nothing if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def declared_sections(stage: str) -> list[str] | None:
    """Return the sections of params.yaml that dvc.yaml declares for a stage; None if unknown."""
    try:
        return list(sections(content(PIPELINE))["stages"][stage].get("params", []))
    except (AttributeError, KeyError, TypeError):
        return None


def changed_sections(before: bytes, after: bytes, declared: list[str] | None) -> list[str]:
    """Return the sections that differ between two params.yaml.

    >>> changed_sections(b"mlp: {seed: 1}", b"mlp: {seed: 2} # new", ["mlp"])
    ['params.yaml: mlp']

    Args:
        before, after: their contents.
        declared: the sections to compare; None: all.
    """
    one, other = sections(before), sections(after)
    names = [*one, *(name for name in other if name not in one)] if declared is None else declared
    return [f"{PARAMS}: {name}" for name in names if one.get(name) != other.get(name)]


def sections(text: bytes) -> dict[str, Any]:
    """Return the sections of a YAML file; none if it is not valid."""
    from charlm.core.yaml_files import parse_yaml  # only needed after an edit

    try:
        parsed = parse_yaml(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
