"""Evaluate every model on the splits that `evaluate.splits` names.

python -m stages.evaluate    data/models/*, data/contexts/{mlp,ngram}/*, data/splits/*
    → metrics/nll/SPLIT.json, metrics/evaluate.csv, plots/positions.csv, data/evaluation.csv

A split such as dev_unseen has the names of dev that do not occur in train.
"""

import math
import sys
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np

from charlm import params, stats
from charlm.core.errors import InputError
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, PLOTS, split_path, write_json
from charlm.data.examples import read_longest_examples
from charlm.data.tensors import Arrays
from charlm.data.vocabulary import read_vocabulary
from charlm.models.base import Model
from charlm.models.registry import load_models
from charlm.names import read_names
from charlm.scoring import Characters, Scores, score
from charlm.tables import cells, exact, write_rows

Metrics = dict[str, float]
Columns = dict[str, np.ndarray]
Position = tuple[str, str, int, int, float]  # a row of plots/positions.csv
POSITION_COLUMNS = ("split", "model", "position", "characters", "nll")
METRIC_COLUMNS = ("nll", "stderr", "perplexity", "accuracy", "zero_probability")
NLL = METRICS / "nll"
UNSEEN = "_unseen"  # behind the name of a split: those of its names that do not occur in train
MAX_EXPONENT = 700  # exp(710) overflows a float64


class Sums(NamedTuple):
    """Scores of characters, summed per name or per position in the name."""

    characters: np.ndarray  # int64
    nll: np.ndarray  # float64, nats
    correct: np.ndarray  # int64: how many characters are the most probable one
    zeros: np.ndarray  # int64: how many have probability 0


def add_up(scores: Scores, groups: np.ndarray, weights: np.ndarray | int = 1) -> Sums:
    """Add up the scores of the characters of each name, or at each position.

    Args:
        scores: of each character.
        groups: (characters,), the name or position of each.
        weights: (characters,), how often each counts.
    """
    characters, nll, correct, zeros = (
        np.bincount(groups, values * weights)
        for values in (np.ones(len(groups)), scores.nll, scores.is_correct, np.isinf(scores.nll))
    )
    return Sums(characters.astype(int), nll, correct.astype(int), zeros.astype(int))


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
    split: str,
    names: list[str],
    examples: Arrays,
    train: set[str],
    models: dict[str, Model],
    end: int,
) -> tuple[Columns, list[Position], dict[str, dict[str, Metrics]]]:
    """Evaluate all models on one split.

    Args:
        split: its name.
        names: its names, in the order of its examples.
        examples: its `contexts` and `targets`.
        train: the training names.
        models: the trained models, by name.
        end: the symbol that ends a name.

    Returns:
        The columns of data/evaluation.csv, one entry per name: its summed NLL under each model,
        NaN where it is infinite; the average NLL at each position in the name, where it is
        finite; and {split: {model: metrics}}, of the split and of those of its names that do not
        occur in train, if there are any.

    Raises:
        InputError: the split contains no names, or the examples belong to other names.
    """
    if not names:
        raise InputError(
            f"evaluate: evaluate.splits has {split}, which is empty; remove it there, or "
            "change split.train and split.dev"
        )
    numbers: dict[str, int] = {}
    unique_name = np.array([numbers.setdefault(name, len(numbers)) for name in names])
    columns: Columns = {
        "split": np.full(len(names), split),
        "name": np.array(names, dtype=object),
        "characters": np.array([len(name) + 1 for name in names]),
        "in_train": np.array([name in train for name in names]),
    }
    lengths = np.diff(np.flatnonzero(examples["targets"] == end), prepend=-1)
    if not np.array_equal(lengths, columns["characters"]):
        raise InputError(
            f"evaluate: data/splits/{split}.txt and data/contexts/*/{split}.safetensors "
            "are of different names; run `dvc repro`"
        )
    _, first, repeats = np.unique(unique_name, return_index=True, return_counts=True)
    in_train = columns["in_train"][first]
    characters = Characters.of(examples, unique_name, end)
    del names, examples, numbers  # everything that follows is smaller, except for the columns
    parts = {split: np.full(len(in_train), True), f"{split}{UNSEEN}": ~in_train}
    metrics: dict[str, dict[str, Metrics]] = {
        part: {} for part, is_in_it in parts.items() if is_in_it.any()
    }
    positions = []
    for name, model in models.items():
        scores = score(model, characters.contexts, characters.targets)
        by_name = add_up(scores, characters.name)
        columns[name] = np.where(by_name.zeros > 0, math.nan, by_name.nll)[unique_name]
        for part, by_model in metrics.items():
            by_model[name] = summarise(
                Sums(*((column * repeats)[parts[part]] for column in by_name))
            )
        by_position = add_up(scores, characters.position, characters.repeats)
        positions += average_by_position(split, name, by_position)
    return columns, positions, metrics


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
    models = load_models(symbols)
    train = set(read_names(split_path("train")))
    tables: list[Columns] = []
    positions: list[Position] = []
    metrics: dict[str, dict[str, Metrics]] = {}
    for split in settings.splits:
        names, examples = read_names(split_path(split)), read_longest_examples(split, symbols)
        columns, positions_of_split, metrics_of_split = evaluate_split(
            split, names, examples, train, models, vocabulary.end
        )
        tables.append(columns)
        positions += positions_of_split
        metrics |= metrics_of_split

    rows = chain.from_iterable(zip(*map(cells, table.values()), strict=True) for table in tables)
    write_rows(DATA / "evaluation.csv", [*tables[0]], rows)
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
