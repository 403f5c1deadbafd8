"""Evaluate every model on the splits that `evaluate.splits` names.

python -m stages.evaluate    data/models/*, data/contexts/{mlp,ngram}/*, data/splits/*
    → metrics/evaluate.json, plots/{models,positions}.csv, data/evaluation.csv
"""

import math
import sys
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np

from charlm import params, stats
from charlm.errors import InputError
from charlm.examples import read_longest_examples
from charlm.models.base import Model
from charlm.models.registry import load_models
from charlm.names import read_names
from charlm.runtime import run_stage
from charlm.scoring import Characters, Scores, score
from charlm.storage import DATA, METRICS, PLOTS, split_path, write_json
from charlm.tables import write_rows
from charlm.tensors import Arrays
from charlm.vocabulary import read_vocabulary

ByModel = dict[str, dict[str, float]]  # {model: {metric: value}}
Columns = dict[str, np.ndarray]
Position = tuple[str, str, int, int, float]  # a row of plots/positions.csv
POSITION_COLUMNS = ("split", "model", "position", "characters", "nll")
METRIC_NAMES = (  # in the order of metrics/evaluate.json
    "nll",
    "stderr",
    "perplexity",
    "accuracy",
    "nll_unseen",
    "stderr_unseen",
    "zero_probability",
)
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


def summarise(sums: Sums, in_train: np.ndarray) -> dict[str, float]:
    """Return the metrics of one model on one split.

    Args:
        sums: one entry per unique name, multiplied by its repeats.
        in_train: (names,) bool, whether each also occurs in train.

    Returns:
        accuracy: share of characters that are the most probable one.
        nll, stderr: average negative log-likelihood and its standard error, nats per character.
        perplexity: exp(nll).
        nll_unseen, stderr_unseen: those of the names that do not occur in train.
        zero_probability: number of characters with probability 0.

        Infinite values, averages over no names, standard errors of one name, and a
        zero_probability of 0 are left out.
    """
    metrics = {"accuracy": sums.correct.sum() / sums.characters.sum()}
    for suffix, rows in {"": np.full(len(in_train), True), "_unseen": ~in_train}.items():
        nll, characters = sums.nll[rows], sums.characters[rows]
        if len(nll) and not sums.zeros[rows].any():
            metrics[f"nll{suffix}"] = stats.average(nll, characters)
            if len(nll) > 1:
                metrics[f"stderr{suffix}"] = stats.standard_error(nll, characters)
    if zeros := int(sums.zeros.sum()):
        metrics["zero_probability"] = zeros
    if metrics.get("nll", math.inf) < MAX_EXPONENT:
        metrics["perplexity"] = math.exp(metrics["nll"])
    return metrics


def evaluate_split(
    split: str,
    names: list[str],
    examples: Arrays,
    train: set[str],
    models: dict[str, Model],
    end: int,
) -> tuple[Columns, list[Position], ByModel]:
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
        finite; and the metrics of each model.

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
    positions, metrics = [], {}
    for name, model in models.items():
        scores = score(model, characters.contexts, characters.targets)
        by_name = add_up(scores, characters.name)
        columns[name] = np.where(by_name.zeros > 0, math.nan, by_name.nll)[unique_name]
        metrics[name] = summarise(Sums(*(column * repeats for column in by_name)), in_train)
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


def by_metric(by_split: dict[str, ByModel]) -> dict[str, ByModel]:
    """Turn {split: {model: {metric: value}}} into {metric: {model: {split: value}}}."""
    turned: dict[str, ByModel] = {}
    for metric in METRIC_NAMES:
        for split, by_model in by_split.items():
            for model, metrics in by_model.items():
                if metric in metrics:
                    turned.setdefault(metric, {}).setdefault(model, {})[split] = metrics[metric]
    return turned


def bars(nll: ByModel) -> Iterable[tuple[str, float]]:
    """Yield {model: {split: nll}} as rows of a bar chart, labelled `model (split)`."""
    for model, by_split in nll.items():
        for split, value in by_split.items():
            yield f"{model} ({split})", value


def warnings(metrics: dict[str, ByModel], symbols: int) -> Iterable[str]:
    """Yield what a reader should know about the metrics.

    Args:
        metrics: {metric: {model: {split: value}}}.
        symbols: size of the vocabulary.
    """
    for model, by_split in metrics.get("zero_probability", {}).items():
        for split, count in by_split.items():
            problem = f"{model} gives {count} characters of {split} probability 0"
            yield f"{problem}, so it has no nll there"
    for model, by_split in metrics.get("nll", {}).items():
        for split, nll in by_split.items():
            # as printed, so that the guess itself is not worse by its last bit
            if round(nll, 4) > round(math.log(symbols), 4):
                uniform = f"a uniform guess, ln {symbols} = {math.log(symbols):.4f}"
                yield f"{model} is worse on {split} than {uniform}: {nll:.4f}"


def main() -> None:
    settings = params.load().evaluate
    vocabulary = read_vocabulary()
    symbols = len(vocabulary)
    models = load_models(symbols)
    train = set(read_names(split_path("train")))
    tables: list[Columns] = []
    positions: list[Position] = []
    metrics_of: dict[str, ByModel] = {}
    for split in settings.splits:
        names, examples = read_names(split_path(split)), read_longest_examples(split, symbols)
        columns, found, metrics_of[split] = evaluate_split(
            split, names, examples, train, models, vocabulary.end
        )
        tables.append(columns)
        positions += found
    metrics = by_metric(metrics_of)

    rows = chain.from_iterable(zip(*table.values(), strict=True) for table in tables)
    write_rows(DATA / "evaluation.csv", [*tables[0]], rows)
    write_rows(PLOTS / "models.csv", ["model", "nll"], bars(metrics.get("nll", {})))
    write_rows(PLOTS / "positions.csv", POSITION_COLUMNS, positions)
    write_json(METRICS / "evaluate.json", metrics)
    for warning in warnings(metrics, symbols):
        print(f"evaluate: warning: {warning}", file=sys.stderr)
    last = settings.splits[-1]
    shown = [
        f"{model} {found['nll']:.4f}" if "nll" in found else f"{model} none"
        for model, found in metrics_of[last].items()
    ]
    print(f"evaluate: {last} nll: {', '.join(shown)}")


if __name__ == "__main__":
    run_stage(main)
