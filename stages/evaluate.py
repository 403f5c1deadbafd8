"""Evaluate every model on the splits that `evaluate.splits` names.

python -m stages.evaluate    data/models/*, data/splits/*, data/vocabulary.json
    → metrics/nll/SPLIT.json, metrics/evaluate.csv, plots/positions.csv, data/evaluation.csv

A split such as dev_unseen has the names of dev that do not occur in train.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, compress
from typing import NamedTuple, Self

import numpy as np

from charlm import params, stats
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, PLOTS, SPLITS, iter_lines, split_path, write_json
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.models.base import Model, context_size
from charlm.models.registry import load_models
from charlm.scoring import Characters, Scores, score
from charlm.tables import cells, exact, join_columns, write_rows, write_texts

Metrics = dict[str, float]
Columns = dict[str, np.ndarray]
Position = tuple[str, str, int, int, float]  # a row of plots/positions.csv
POSITION_COLUMNS = ("split", "model", "position", "characters", "nll")
METRIC_COLUMNS = ("nll", "stderr", "perplexity", "accuracy", "zero_probability")
NLL = METRICS / "nll"
UNSEEN = "_unseen"  # behind the name of a split: those of its names that do not occur in train
SCORED_LENGTH = 2**21  # characters that are scored at once
MAX_EXPONENT = 700  # exp(710) overflows a float64


class Sums(NamedTuple):
    """Scores of characters, summed per name or per position in the name."""

    characters: np.ndarray  # int
    nll: np.ndarray  # float64, nats
    correct: np.ndarray  # int: how many characters are the most probable one
    zeros: np.ndarray  # int: how many have probability 0

    @classmethod
    def empty(cls, size: int) -> Self:
        """Return uninitialised sums of names, or none: a name has fewer than 2**31 characters."""
        return cls(*(np.empty(size, dtype) for dtype in (np.int32, np.float64, np.int32, np.int32)))


Read = Callable[[], Iterable[list[str]]]  # yields names, a piece at a time


class Names(NamedTuple):
    """What is known of the names of a split, which are read again whenever they are needed."""

    read: Read
    unique: np.ndarray  # (names,) int64: the number of each's unique name, in order of appearance
    characters: np.ndarray  # (names,) int64: with its end
    in_train: np.ndarray  # (names,) bool

    @classmethod
    def of(cls, read: Read, train: Read) -> Self:
        """Number names and look them up in train.

        They are numbered by a hash of 64 bits, as a table of millions of strings takes gigabytes.
        That any two of 14 million names share theirs has a probability of 3e-6; then one would
        be scored as the other.

        Args:
            read: yields the names.
            train: yields the training names.
        """
        hashes = from_pieces(map(hash, names) for names in read())
        characters = from_pieces(map(len, names) for names in read()) + 1
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        is_first = np.zeros(len(hashes), dtype=bool)
        is_first[first] = True
        number = is_first.cumsum()[first] - 1
        in_train = np.full(len(hashes), True)
        if read != train:
            seen = set(chain.from_iterable(read())).intersection(chain.from_iterable(train()))
            in_train = from_pieces(map(seen.__contains__, names) for names in read()).astype(bool)
        return cls(read, number[inverse], characters, in_train)

    def iter_unique(self) -> Iterator[list[str]]:
        """Yield each unique name once, in order, in pieces of about SCORED_LENGTH characters."""
        is_first = np.diff(np.maximum.accumulate(self.unique), prepend=-1) > 0
        piece: list[str] = []
        first = length = 0
        for names in self.read():
            last = first + len(names)
            piece += compress(names, is_first[first:last])
            length += (self.characters[first:last] - 1)[is_first[first:last]].sum()
            first = last
            if length >= SCORED_LENGTH:
                yield piece
                piece, length = [], 0
        if piece:
            yield piece


def from_pieces(pieces: Iterable[Iterable[int]]) -> np.ndarray:
    """Return all numbers of all pieces: (numbers,) int64."""
    arrays = [np.fromiter(piece, dtype=np.int64) for piece in pieces]
    return np.concatenate([np.empty(0, dtype=np.int64), *arrays])


def add_up(scores: Scores, groups: np.ndarray, weights: np.ndarray | None = None) -> Sums:
    """Add up the scores of the characters of each name, or at each position.

    Args:
        scores: of each character.
        groups: (characters,), the name or position of each.
        weights: (characters,) int64, how often each counts; None: once.
    """
    size = groups.max(initial=-1) + 1

    def count(rows: np.ndarray | slice) -> np.ndarray:
        repeats = None if weights is None else weights[rows]
        return np.bincount(groups[rows], repeats, size).astype(np.int64)

    nll = scores.nll if weights is None else scores.nll * weights
    return Sums(
        count(slice(None)),
        np.bincount(groups, nll),
        count(np.flatnonzero(scores.is_correct)),
        count(np.flatnonzero(np.isinf(nll))),
    )


def summarise(sums: Sums) -> Metrics:
    """Return the metrics of one model on some names.

    Args:
        sums: one entry per unique name, multiplied by its repeats.

    Returns:
        nll, stderr: average negative log-likelihood and its standard error, nats per character.
        perplexity: exp(nll).
        accuracy: share of characters that are the most probable one.
        zero_probability: number of characters with probability 0.

        Infinite values, and the standard error of one name, are left out.
    """
    metrics: Metrics = {
        "accuracy": sums.correct.sum() / sums.characters.sum(),
        "zero_probability": int(sums.zeros.sum()),
    }
    if not metrics["zero_probability"]:
        metrics["nll"] = stats.average(sums.nll, sums.characters)
        if len(sums.nll) > 1:
            metrics["stderr"] = stats.standard_error(sums.nll, sums.characters)
        if metrics["nll"] < MAX_EXPONENT:
            metrics["perplexity"] = math.exp(metrics["nll"])
    return metrics


def evaluate_split(
    split: str, names: Names, models: dict[str, Model], vocabulary: Vocabulary
) -> tuple[Columns, list[Position], dict[str, dict[str, Metrics]]]:
    """Evaluate all models on one split; each of its unique names is scored once, a piece at a time.

    Args:
        split: its name.
        names: its names.
        models: the trained models, by name.
        vocabulary: of the names.

    Returns:
        The columns of data/evaluation.csv that follow the names, one entry per name: its summed
        NLL under each model, NaN where it is infinite; the average NLL at each position in the
        name, where it is finite; and {split: {model: metrics}}, of the split and of those of its
        names that do not occur in train, if there are any.

    Raises:
        InputError: the split contains no names.
    """
    if not len(names.unique):
        raise InputError(
            f"evaluate: evaluate.splits has {split}, which is empty; remove it there, or "
            "change split.train and split.dev"
        )
    size = context_size(models.values(), longest=int(names.characters.max()) - 1)
    repeats = np.bincount(names.unique).astype(np.int32)
    by_name = {name: Sums.empty(len(repeats)) for name in models}
    by_position = dict.fromkeys(models, Sums.empty(0))
    first = 0
    for piece in names.iter_unique():
        examples = build_examples(piece, vocabulary, size)
        characters = Characters.of(piece)
        weights = repeats[first + characters.name]
        for name, model in models.items():
            scores = score(model, **examples)
            sums = add_up(scores, characters.name)
            for column, values in zip(by_name[name], sums, strict=True):
                column[first : first + len(piece)] = values
            sums = add_up(scores, characters.position, weights)
            by_position[name] = add_positions(by_position[name], sums)
        first += len(piece)

    columns = {"characters": names.characters, "in_train": names.in_train}
    positions = []
    is_seen = np.zeros(len(repeats), dtype=bool)
    is_seen[names.unique] = names.in_train
    parts: dict[str, slice | np.ndarray] = {split: slice(None)}
    if not is_seen.all():
        parts[f"{split}{UNSEEN}"] = ~is_seen
    metrics: dict[str, dict[str, Metrics]] = {part: {} for part in parts}
    for name, all_sums in by_name.items():
        columns[name] = np.where(all_sums.zeros > 0, math.nan, all_sums.nll)[names.unique]
        for part, rows in parts.items():
            metrics[part][name] = summarise(
                Sums(*(column[rows] * repeats[rows] for column in all_sums))
            )
        positions += average_by_position(split, name, by_position[name])
    return columns, positions, metrics


def add_positions(first: Sums, second: Sums) -> Sums:
    """Add sums by position, of which one may have more positions than the other."""
    size = max(len(first.nll), len(second.nll))
    return Sums(
        *(
            np.pad(one, (0, size - len(one))) + np.pad(other, (0, size - len(other)))
            for one, other in zip(first, second, strict=True)
        )
    )


def average_by_position(split: str, model: str, sums: Sums) -> list[Position]:
    """Return the average NLL at each position in the name, from 1, where it is finite.

    Args:
        split: its name.
        model: its name.
        sums: one entry per position.
    """
    return [
        (split, model, position, characters, nll / characters)
        for position, (characters, nll, _, zeros) in enumerate(zip(*sums, strict=True), start=1)
        if not zeros
    ]


def iter_texts(split: str, pieces: Iterable[list[str]], columns: Columns) -> Iterator[str]:
    """Yield the rows of data/evaluation.csv for one split, a piece at a time.

    Args:
        split: its name.
        pieces: its names.
        columns: what `evaluate_split` returned.
    """
    first = 0
    for names in pieces:
        last = first + len(names)
        columns_of_piece = [cells(column[first:last]) for column in columns.values()]
        yield join_columns([[split] * len(names), names, *columns_of_piece])
        first = last


def write_metrics(metrics: dict[str, dict[str, Metrics]]) -> None:
    """Write the losses, one file per split, and a table of all metrics.

    Args:
        metrics: {split: {model: metrics}}.
    """
    for split, by_model in metrics.items():
        losses = {model: values["nll"] for model, values in by_model.items() if "nll" in values}
        write_json(NLL / f"{split}.json", losses)
    rows = [
        (split, model, *(exact(values[key]) if key in values else "" for key in METRIC_COLUMNS))
        for split, by_model in metrics.items()
        for model, values in by_model.items()
    ]
    write_rows(METRICS / "evaluate.csv", ("split", "model", *METRIC_COLUMNS), rows)
    for path in NLL.glob("*.json"):  # of splits that were evaluated before
        if path.stem not in metrics:
            path.unlink()


def warnings(metrics: dict[str, dict[str, Metrics]], symbols: int) -> Iterable[str]:
    """Yield what a reader should know about the metrics.

    Args:
        metrics: {split: {model: metrics}}.
        symbols: size of the vocabulary.
    """
    for split, by_model in metrics.items():
        if split.endswith(UNSEEN):
            continue
        for model, values in by_model.items():
            if count := values["zero_probability"]:
                characters = f"{count} character{'s' * (count > 1)} of {split}"
                yield f"{model} gives {characters} probability 0, so it has no nll there"
            # as printed, so that the guess itself is not worse by its last bit
            elif round(values["nll"], 4) > round(math.log(symbols), 4):
                uniform = f"a uniform guess, ln {symbols} = {math.log(symbols):.4f}"
                yield f"{model} is worse on {split} than {uniform}: {values['nll']:.4f}"


def main() -> None:
    settings = params.load().evaluate
    vocabulary = read_vocabulary()
    symbols = len(vocabulary)
    reads: dict[str, Read] = {split: partial(iter_lines, split_path(split)) for split in SPLITS}
    names: dict[str, Names] = {
        split: Names.of(reads[split], reads["train"]) for split in settings.splits
    }
    models = load_models(symbols)
    tables: dict[str, Columns] = {}
    positions: list[Position] = []
    metrics: dict[str, dict[str, Metrics]] = {}
    for split in settings.splits:
        tables[split], positions_of_split, metrics_of_split = evaluate_split(
            split, names[split], models, vocabulary
        )
        positions += positions_of_split
        metrics |= metrics_of_split

    columns = ("split", "name", *tables[settings.splits[0]])
    texts = chain.from_iterable(
        iter_texts(split, names[split].read(), table) for split, table in tables.items()
    )
    write_texts(DATA / "evaluation.csv", columns, texts)
    write_rows(PLOTS / "positions.csv", POSITION_COLUMNS, positions)
    write_metrics(metrics)
    for warning in warnings(metrics, symbols):
        print(f"evaluate: warning: {warning}", file=sys.stderr)
    last = settings.splits[-1]
    shown = [
        f"{model} {values['nll']:z.4f}" if "nll" in values else f"{model} none"
        for model, values in metrics[last].items()
    ]
    print(f"evaluate: {last} nll: {', '.join(shown)}")


if __name__ == "__main__":
    run_stage(main)
