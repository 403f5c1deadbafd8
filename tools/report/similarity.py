"""Which characters are alike: in the MLP's embedding, and in what the MLP predicts after them."""

from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import pdist, squareform

from charlm.data.tensors import Arrays
from charlm.data.vocabulary import Vocabulary
from charlm.drawing.symbols import is_vowel
from charlm.models.mlp import MLP

CONTEXTS = 64  # in which characters are exchanged
MAX_CHARACTERS = 60  # in a map, the most frequent ones
NEIGHBOURS = 4  # of each character
DECIMALS = 4  # of a place: the last bits differ between processors


class View(NamedTuple):
    """Characters in two dimensions, and what of their distances is kept there."""

    numbers: np.ndarray  # (shown,) int64, of the characters in the vocabulary
    places: np.ndarray  # (shown, 2) float64, from 0 to 1 in the wider direction
    variance: float  # share of the squared distances
    kept: float  # share of the nearest neighbours
    neighbours: np.ndarray  # (shown, NEIGHBOURS) int64, rows of the nearest in all dimensions
    vowels: float | None  # share of the neighbours of vowels that are vowels; None without any
    chance: float | None  # the same share of all other characters


def views(
    arrays: Arrays, vocabulary: Vocabulary, frequency: np.ndarray, names: list[str]
) -> dict[str, View]:
    """Return views of a stored MLP: its embedding, and its predictions.

    Args:
        arrays: as they are stored.
        vocabulary: of the MLP.
        frequency: (symbols,), how often each occurs.
        names: of train, in which characters are exchanged.

    Raises:
        ValueError: they are not the arrays of an MLP of this vocabulary.
    """
    mlp = MLP(arrays, len(vocabulary))
    mlp.arrays = {key: array.astype(np.float64) for key, array in arrays.items()}
    numbers = frequent_characters(vocabulary, frequency)
    if len(numbers) < 2 or not names:
        return {}
    letters = np.array([is_vowel(vocabulary.itos[number]) for number in numbers])
    contexts = sample_contexts(names, vocabulary, mlp.block_size)
    return {
        "embedding": view(numbers, mlp.arrays["C"][numbers], letters),
        "predictions": view(numbers, predictions_after(mlp, contexts, numbers), letters),
    }


def frequent_characters(vocabulary: Vocabulary, frequency: np.ndarray) -> np.ndarray:
    """Return the numbers of the most frequent characters, in their order."""
    ranked = np.argsort(-frequency, kind="stable")
    characters = ranked[(ranked != vocabulary.start) & (ranked != vocabulary.end)]
    return np.sort(characters[:MAX_CHARACTERS])


def sample_contexts(names: list[str], vocabulary: Vocabulary, size: int) -> np.ndarray:
    """Return beginnings of names, of one character or more, at equal distances in the list.

    >>> sample_contexts(["ab"], Vocabulary.of([".", "a", "b"]), 3)
    array([[0, 0, 1]])
    """
    rows = np.linspace(0, len(names) - 1, min(CONTEXTS, len(names))).round().astype(int)
    contexts = np.full((len(rows), size), vocabulary.start)
    for number, row in enumerate(rows):
        name = vocabulary.encode(names[row])
        beginning = name[: 1 + number % len(name)][-size:]
        contexts[number, size - len(beginning) :] = beginning
    return contexts


def predictions_after(mlp: MLP, contexts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return what follows each character in place of the last one of each context.

    Returns:
        (shown, contexts * symbols), square roots of probabilities, scaled so that the distance of
        two rows is the root mean square of the Hellinger distances.
    """
    exchanged = np.tile(contexts, (len(numbers), 1))
    exchanged[:, -1] = np.repeat(numbers, len(contexts))
    roots = np.exp(mlp.log_probabilities(exchanged) / 2)
    scaled: np.ndarray = roots.reshape(len(numbers), -1) / (2 * len(contexts)) ** 0.5
    return scaled


def view(numbers: np.ndarray, features: np.ndarray, vowels: np.ndarray) -> View:
    """Project features to two dimensions.

    Args:
        numbers: (shown,) of the characters.
        features: (shown, dimensions); distances between its rows matter.
        vowels: (shown,) bool.
    """
    points, variance = principal_components(features)
    neighbours = nearest(features)
    shown = nearest(points)
    kept = np.mean([len({*a} & {*b}) for a, b in zip(neighbours, shown, strict=True)])
    is_mixed = vowels.any() and not vowels.all() and vowels.sum() > 1
    return View(
        numbers=numbers,
        places=np.round(
            (points - points.min(axis=0)) / (np.ptp(points, axis=0).max() or 1), DECIMALS
        ),
        variance=variance,
        kept=float(kept) / neighbours.shape[1],
        neighbours=neighbours,
        vowels=float(vowels[neighbours[vowels]].mean()) if is_mixed else None,
        chance=float((vowels.sum() - 1) / (len(vowels) - 1)) if is_mixed else None,
    )


def principal_components(features: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the first two principal components of rows, and their share of the variance."""
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1][:2].clip(0), vectors[:, ::-1][:, :2]
    # the sign of a component is arbitrary: make its largest entry positive
    signs = np.sign(vectors[abs(vectors).argmax(axis=0), [0, 1]])
    total = (centred**2).sum()
    return vectors * signs * values**0.5, float(values.sum() / total) if total else 1.0


def nearest(points: np.ndarray) -> np.ndarray:
    """Return for each row which others are nearest, in the order of their distance.

    >>> nearest(np.array([[0.0], [1.0], [3.0]]))
    array([[1, 2],
           [0, 2],
           [1, 0]])
    """
    distances = squareform(pdist(points)).round(9)  # equal ones in the order of the rows
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(points) - 1)]
