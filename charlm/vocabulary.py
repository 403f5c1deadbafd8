"""The vocabulary: every symbol that a name can contain, numbered; 0 marks both start and end."""

import sys
from collections.abc import Iterable

import numpy as np

from charlm.errors import InputError
from charlm.storage import DATA, damaged, read_json

BOUNDARY = "."
MAX_CHARACTERS = 65_535  # with the boundary, as many as two bytes can number
PATH = DATA / "vocabulary.json"


def build_vocabulary(names: Iterable[str]) -> list[str]:
    """Return `itos`, the symbol of each number: the boundary, then all characters in order.

    A character is a Unicode code point.

    >>> build_vocabulary(["emma", "ava"])
    ['.', 'a', 'e', 'm', 'v']

    Raises:
        InputError: there are more than 65,535 characters.
    """
    characters = sorted(set().union(*names) - {BOUNDARY})
    if len(characters) > MAX_CHARACTERS:
        raise InputError(
            f"build_contexts: the names contain {len(characters):,} different characters; at most "
            f"{MAX_CHARACTERS:,} are allowed"
        )
    return [BOUNDARY, *characters]


def read_vocabulary() -> list[str]:
    """Return `itos`, the symbol of each number.

    Raises:
        InputError: there is no such file, or it contains something else.
    """
    itos: list[str] = read_json(PATH)
    if not (isinstance(itos, list) and all(isinstance(s, str) and len(s) == 1 for s in itos)):
        raise damaged(PATH, "not a list of characters", "build_contexts")
    if itos[:1] != [BOUNDARY] or len(set(itos)) < len(itos):
        raise damaged(PATH, f"not {BOUNDARY!r}, then other characters", "build_contexts")
    return itos


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def encode(text: str, itos: list[str]) -> np.ndarray:
    """Return the number of each character, in the smallest unsigned type that can hold them all.

    >>> encode(".ava", [".", "a", "e", "m", "v"])
    array([0, 1, 4, 1], dtype=uint8)

    Raises:
        ValueError: a character of `text` is not in the vocabulary.
    """
    stoi = np.full(sys.maxunicode + 1, -1, dtype=np.int32)
    stoi[_code_points("".join(itos))] = np.arange(len(itos))
    numbers = stoi[_code_points(text)]
    if numbers.min(initial=0) < 0:
        unknown = text[int(numbers.argmin())]
        raise ValueError(f"{unknown!r} is not in the vocabulary {''.join(itos)!r}")
    smallest: np.ndarray = numbers.astype(np.min_scalar_type(len(itos) - 1))
    return smallest


def decode(numbers: Iterable[int], itos: list[str]) -> str:
    """Return the text of symbol numbers.

    >>> decode([0, 1, 4, 1], [".", "a", "e", "m", "v"])
    '.ava'
    """
    return "".join(itos[number] for number in numbers)
