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
