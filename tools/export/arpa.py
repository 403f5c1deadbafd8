"""Counting models as ARPA, the text format of KenLM, SRILM and others, in which they back off.

An n-gram has the log10 of its probability and, if it is also a context, that of its backoff weight:
the probability of what is not listed after it is the weight times that after the shorter context.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from charlm.core.errors import InputError
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model
from charlm.models.bigram_count import BigramCount
from charlm.models.ngram_count import Level, NgramCount, interpolate_

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
LOG_0 = -99  # as a logarithm, by the convention of the format


class Order(NamedTuple):
    """The n-grams of one length."""

    ngrams: list[str]  # tokens with a space between
    P: np.ndarray  # (n-grams,) float64: probability of the last token after the others
    backoff: np.ndarray  # (n-grams,) float64: weight as a context; 1: nothing is written


class Tokens:
    """The token of each symbol: `<s>` and `</s>` before and after a name, else the character."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.start, self.end = vocabulary.start, vocabulary.end
        itos = vocabulary.itos
        names = [character_token(symbol) if len(symbol) == 1 else symbol for symbol in itos]
        self.in_context, self.next = names.copy(), names.copy()
        self.in_context[self.start] = START
        self.next[self.end] = END


def character_token(character: str) -> str:
    """Return the token of a character: itself, unless it separates tokens.

    No other token has several characters, so that none is ambiguous.

    >>> character_token("a"), character_token(" "), character_token("\\u3000")
    ('a', '<space>', '<U+3000>')
    """
    if character == " ":
        return "<space>"
    return f"<U+{ord(character):04X}>" if character.isspace() else character


def special_tokens(vocabulary: Vocabulary) -> dict[str, str]:
    """Return the tokens of those characters that do not stand for themselves."""
    tokens = {character: character_token(character) for character in vocabulary.characters}
    return {character: token for character, token in tokens.items() if token != character}


def arpa_file(model: Model, vocabulary: Vocabulary) -> bytes:
    """Return a model as an ARPA file in UTF-8."""
    return "\n".join([*arpa_lines(model, vocabulary), ""]).encode()


def arpa_lines(model: Model, vocabulary: Vocabulary) -> Iterator[str]:
    """Yield the lines of a model; of those before the data, KenLM skips what begins with #."""
    tokens = Tokens(vocabulary)
    orders = ARPA_MODELS[model.name](model, tokens)
    yield f"# {model.name}: each token is a character of a name; logarithms to base 10"
    for character, token in special_tokens(vocabulary).items():
        yield f"# {token} is the character U+{ord(character):04X}"
    yield "\\data\\"
    for n, order in enumerate(orders, start=1):
        yield f"ngram {n}={len(order.ngrams)}"
    for n, order in enumerate(orders, start=1):
        yield ""
        yield f"\\{n}-grams:"
        for ngram, P, backoff in zip(
            order.ngrams, log10(order.P), log10(order.backoff), strict=True
        ):
            yield f"{P}\t{ngram}\t{backoff}" if backoff != "0" else f"{P}\t{ngram}"
    yield ""
    yield "\\end\\"


def log10(values: np.ndarray) -> list[str]:
    """Return logarithms as text, with the nine digits that a float32 needs.

    Rounding must not make one positive, which KenLM refuses.

    >>> log10(np.array([1 + 1e-15, 0.5, 0]))
    ['0', '-0.301029996', '-99']
    """
    with np.errstate(divide="ignore"):
        logs = np.log10(values).clip(LOG_0, 0)
    return [f"{log:z.9g}" for log in logs.tolist()]


def unigrams(P: np.ndarray, backoff: dict[str, float], tokens: Tokens) -> Order:
    """Return the unigrams of all symbols, of the start, which never follows, and of the unknown."""
    symbols = [
        symbol for symbol in range(len(P)) if symbol != tokens.start or tokens.start == tokens.end
    ]
    ngrams = [UNKNOWN, START, *(tokens.next[symbol] for symbol in symbols)]
    return Order(
        ngrams, np.append([0.0, 0.0], P[symbols]), np.array([backoff.get(one, 1) for one in ngrams])
    )


def bigram_count(model: BigramCount, tokens: Tokens) -> list[Order]:
    """Return the bigrams of a table, where the unigrams are uniform.

    Smoothing gives the pairs that do not occur after a symbol the same, smallest probability: they
    are left out.
    """
    P = model.arrays["P"]
    smallest = P.min(axis=1)
    backoff = dict(zip(tokens.in_context, (smallest * len(P)).tolist(), strict=True))
    row, following = np.nonzero(smallest[:, None] < P)
    ngrams = [
        f"{tokens.in_context[first]} {tokens.next[second]}"
        for first, second in zip(row.tolist(), following.tolist(), strict=True)
    ]
    uniform = np.full(len(P), 1 / len(P))
    bigrams = Order(ngrams, P[row, following], np.ones(len(ngrams)))
    return [unigrams(uniform, backoff, tokens), bigrams]


def ngram_count(model: NgramCount, tokens: Tokens) -> list[Order]:
    """Return the n-grams with their interpolated probabilities.

    What an n-gram's context takes from its counts, over their sum, is the backoff weight.

    Raises:
        InputError: the model does not interpolate.
    """
    if model.k is not None:
        raise InputError(
            "export: ngram_count adds k to its counts, and only Kneser-Ney has a form as arpa: set "
            "ngram_count.smoothing to kneser_ney, or choose safetensors"
        )
    symbols, levels = model.symbols, model.levels
    contexts = [[""]]  # those of each length; each token of one has a space after it
    for level in levels[1:]:
        shorter, first = (part.tolist() for part in np.divmod(level.keys, symbols))
        contexts.append(
            [
                f"{tokens.in_context[symbol]} {contexts[-1][row]}"
                for row, symbol in zip(shorter, first, strict=True)
            ]
        )
    backoff = {
        context.rstrip(" "): weight
        for level, known in zip(levels[1:], contexts[1:], strict=True)
        for context, weight in zip(known, level.backoff.tolist(), strict=True)
    }
    P = np.full((1, symbols), 1 / symbols)
    interpolate_(P, levels[0], np.zeros(1, dtype=np.int64))
    pairs, probabilities = np.arange(symbols), P[0]
    orders = [unigrams(P[0], backoff, tokens)]
    for level, known in zip(levels[1:], contexts[1:], strict=True):
        pairs, probabilities = interpolate(level, pairs, probabilities)
        row, following = (part.tolist() for part in np.divmod(pairs, symbols))
        ngrams = [
            f"{known[context]}{tokens.next[symbol]}"
            for context, symbol in zip(row, following, strict=True)
        ]
        weights = np.array([backoff.get(ngram, 1) for ngram in ngrams])
        orders.append(Order(ngrams, probabilities, weights))
    return orders


def interpolate(
    level: Level, shorter_pairs: np.ndarray, shorter: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the n-grams of one length with their probabilities.

    Args:
        level: what follows the contexts of this length.
        shorter_pairs: (n-grams,) int64, ascending: of the n-grams that are shorter by one symbol,
            the row of the context times the number of symbols, plus the symbol that follows.
        shorter: (n-grams,) float64, their probabilities.

    Returns:
        The same two of this length.
    """
    table, symbols = level.discounted, level.discounted.symbols
    row = np.repeat(np.arange(len(level.keys)), np.diff(table.offsets))
    # what follows a context also follows the context without its first symbol
    suffix = np.searchsorted(shorter_pairs, level.keys[row] // symbols * symbols + table.next)
    return row * symbols + table.next, table.values + level.backoff[row] * shorter[suffix]


# what makes the n-grams of each model
ARPA_MODELS: dict[str, Callable[[Any, Tokens], list[Order]]] = {
    BigramCount.name: bigram_count,
    NgramCount.name: ngram_count,
}
