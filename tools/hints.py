"""Advice for people who type a name or its beginning."""

from charlm.data.vocabulary import Vocabulary


def lower_case_hint(text: str, vocabulary: Vocabulary) -> str:
    """Return advice on a text all of whose characters are known once it is in lower case.

    A letter that the vocabulary has in upper case stays as it is.

    >>> lower_case_hint("Eva", Vocabulary.of([".", "a", "e", "v"]))
    "; did you mean 'eva'?"
    >>> lower_case_hint("Eva-2", Vocabulary.of([".", "a", "e", "v"]))
    ''
    """
    known = set(vocabulary.characters)
    lower = "".join(letter if letter in known else letter.lower() for letter in text)
    return f"; did you mean {lower!r}?" if lower != text and known.issuperset(lower) else ""


def other_case_hint(prefix: str, names: list[str]) -> str:
    """Return advice if no name begins with a prefix, and some do in other case.

    >>> other_case_hint("ca", ["Carla", "Bianca"])
    "no name in train begins with 'ca'; try 'Ca'"
    >>> other_case_hint("Ca", ["Carla", "Bianca"]), other_case_hint("x", ["Carla"])
    ('', '')
    """
    if any(name.startswith(prefix) for name in names):
        return ""
    folded = prefix.casefold()
    others = (name[: len(prefix)] for name in names)
    other = next((beginning for beginning in others if beginning.casefold() == folded), "")
    return other and f"no name in train begins with {prefix!r}; try {other!r}"
