"""YAML as DVC reads it: version 1.2, where 0200 is 200 and yes is a word."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

CONFLICT_MARK = b"<<<<<<< "  # begins a line where git could not merge
MAX_VALUES = 10_000  # of a file; aliases of aliases can stand for billions


def parse_yaml(content: bytes) -> Any:
    """Return the content of a YAML file.

    >>> parse_yaml(b"{hidden: 0200, lr: 2e-1, unique: yes}")
    {'hidden': 200, 'lr': 0.2, 'unique': 'yes'}

    Raises:
        ValueError: it is not valid, or its aliases stand for too many values; the message is one
            line.
    """
    try:
        value = YAML(typ="safe").load(content.decode("utf-8"))
        count_values(value)
    except (YAMLError, ValueError, RecursionError) as error:
        if has_conflict(content):
            raise ValueError(
                "has a merge conflict, which begins with <<<<<<<; edit it and delete the marks"
            ) from None
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from None
    return value


def has_conflict(content: bytes) -> bool:
    """Tell whether git marked a merge conflict in a file.

    >>> has_conflict(b"a: 1\\n<<<<<<< HEAD\\nb: 2\\n=======\\nb: 3\\n>>>>>>> main\\n")
    True
    """
    return any(line.startswith(CONFLICT_MARK) for line in content.splitlines())


def count_values(value: Any, counted: int = 0) -> int:
    """Return how many values are in nested lists and dicts, added to those counted before.

    Raises:
        ValueError: more than MAX_VALUES.
    """
    counted += 1
    if counted > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        counted = count_values(item, counted)
    return counted
