"""The vocabulary: the characters of the names and the boundary of a name, numbered.

A boundary is a separate symbol, not a character. It is written `.`, as in the lecture, or `<.>`
where names contain full stops. It can also be two symbols, `<START>` and `<END>`.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from charlm.core.errors import InputError
from charlm.core.storage import DATA, damaged, read_json

if TYPE_CHECKING:
    from charlm.params import Vocabulary as Settings

START, END = "<START>", "<END>"
ONE_SYMBOL = "."
ONE_SYMBOL_BESIDE_FULL_STOPS = "<.>"
MAX_SYMBOLS = 65_536  # as many as two bytes can number
MAX_SHOWN_SYMBOLS = 60  # in an error
PATH = DATA / "vocabulary.json"


@dataclass(frozen=True)
class Vocabulary:
    """Every symbol that a text can contain, numbered."""

    itos: list[str]  # the symbol of each number
    start: int  # the number of the symbol before a name
    end: int  # of the symbol after it; the same one unless they are two

    @classmethod
    def of(cls, itos: list[str]) -> Self:
        """Recognise the boundary in a list of symbols.

        >>> Vocabulary.of([".", "a", "b"]).end
        0
        >>> Vocabulary.of(["a", "b", "<START>", "<END>"]).end
        3

        Raises:
            ValueError: there is none.
        """
        # a character is one code point, so only a boundary is written with more
        for start, end in (
            (START, END),
            (ONE_SYMBOL_BESIDE_FULL_STOPS,) * 2,
            (ONE_SYMBOL,) * 2,
        ):
            if start in itos and end in itos:
                return cls(itos, itos.index(start), itos.index(end))
        raise ValueError("no boundary")

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self.itos)

    @property
    def characters(self) -> list[str]:
        """The symbols that names consist of."""
        boundary = (self.start, self.end)
        return [symbol for number, symbol in enumerate(self.itos) if number not in boundary]

    @property
    def dtype(self) -> np.dtype:
        """The smallest unsigned type that can hold all numbers."""
        return np.min_scalar_type(len(self) - 1)

    @cached_property
    def _stoi(self) -> np.ndarray:
        """The number of each code point; -1: none."""
        stoi = np.full(sys.maxunicode + 1, -1, dtype=np.int32)
        numbers = [number for number in range(len(self)) if number not in (self.start, self.end)]
        stoi[_code_points("".join(self.characters))] = numbers
        return stoi

    def encode(self, text: str) -> np.ndarray:
        """Return the number of each character.

        >>> Vocabulary.of([".", "a", "e", "m", "v"]).encode("ava")
        array([1, 4, 1], dtype=uint8)

        Raises:
            ValueError: a character of `text` is not in the vocabulary.
        """
        numbers = self._stoi[_code_points(text)]
        if numbers.min(initial=0) < 0:
            unknown = text[int(numbers.argmin())]
            shown = "".join(self.characters[:MAX_SHOWN_SYMBOLS])
            shown += "…" if len(self.characters) > MAX_SHOWN_SYMBOLS else ""
            raise ValueError(f"{unknown!r} is not among the characters {shown!r}")
        smallest: np.ndarray = numbers.astype(self.dtype)
        return smallest

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the text of symbol numbers.

        >>> Vocabulary.of([".", "a", "e", "m", "v"]).decode([0, 1, 4, 1])
        '.ava'
        """
        return "".join(map(self.itos.__getitem__, numbers))


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def build_vocabulary(names: Iterable[str], settings: "Settings") -> Vocabulary:
    """Number the boundary and all characters of the names, the latter in the order of Unicode.

    A character is a Unicode code point.

    Raises:
        InputError: there are too many of them.
    """
    found: set[str] = set()
    for name in names:
        found.update(name)
    characters = sorted(found)
    if settings.boundary == "two":
        boundary = [START, END]
    else:
        boundary = [ONE_SYMBOL_BESIDE_FULL_STOPS if ONE_SYMBOL in characters else ONE_SYMBOL]
    allowed = MAX_SYMBOLS - len(boundary)
    if len(characters) > allowed:
        raise InputError(
            f"build_contexts: the names contain {len(characters):,} different characters; at most "
            f"{allowed:,} are allowed"
        )
    is_first = settings.boundary_place == "first"
    return Vocabulary.of(boundary + characters if is_first else characters + boundary)


def read_vocabulary() -> Vocabulary:
    """Return the vocabulary that build_contexts wrote.

    Raises:
        InputError: there is no such file, or it contains something else.
    """
    itos: list[str] = read_json(PATH)
    if not (isinstance(itos, list) and all(isinstance(symbol, str) for symbol in itos)):
        raise damaged(PATH, "not a list of symbols", "build_contexts")
    try:
        vocabulary = Vocabulary.of(itos)
    except ValueError:
        problem = f"contains no boundary: {ONE_SYMBOL}, or {START} and {END}"
        raise damaged(PATH, problem, "build_contexts") from None
    if len(set(itos)) < len(itos) or any(len(one) != 1 for one in vocabulary.characters):
        raise damaged(PATH, "its symbols are not different characters", "build_contexts")
    return vocabulary
