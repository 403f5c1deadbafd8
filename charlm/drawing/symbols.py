"""How symbols are shown in pictures and on pages: as what, in which order, and which are vowels."""

import re
import unicodedata

import numpy as np

MAX_SYMBOLS = 60  # in a picture
# characters that Python calls printable although they leave no ink: fillers, variation selectors
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef]"
)
VOWELS = frozenset(
    "aeiouæœøə\u0131"  # Latin, with the dotless i
    "аеиоуыэюяєіәөүұ"  # Cyrillic
    "αεηιουω"  # Greek
)
CYRILLIC_CONSONANTS = frozenset("йў")  # which decompose into a vowel and a breve


def most_frequent(frequency: np.ndarray) -> np.ndarray:
    """Return the numbers of the symbols to show, in order: the most frequent if there are many.

    Args:
        frequency: (symbols,).
    """
    return np.sort(np.argsort(-frequency, kind="stable")[:MAX_SYMBOLS])


def symbol_label(symbol: str) -> str:
    """Return how a symbol is drawn: itself, if that can be seen.

    >>> [symbol_label(symbol) for symbol in ("a", " ", "\\u200d", "\\u0301", "<START>", "<.>")]
    ['a', '␣', '200D', '◌́', '<S>', '<.>']
    """
    if re.fullmatch("<.{2,}>", symbol):  # the boundaries, as makemore's first lecture draws them
        return f"<{symbol[1]}>"
    if symbol == " ":
        return "␣"
    category = unicodedata.category(symbol[0])
    # fonts draw enclosing marks, such as that of the keycap emoji, around few characters only
    if not symbol.isprintable() or INVISIBLE.match(symbol) or category == "Me":
        return f"{ord(symbol):04X}"
    return f"◌{symbol}" if category.startswith("M") else symbol


def is_vowel(symbol: str) -> bool:
    """Return whether a Latin, Cyrillic or Greek letter is a vowel, with or without accents."""
    letter = unicodedata.normalize("NFC", symbol.casefold())
    return letter not in CYRILLIC_CONSONANTS and unicodedata.normalize("NFD", letter)[0] in VOWELS
