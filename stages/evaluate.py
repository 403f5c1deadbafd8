"""Evaluate every model on the splits that `evaluate.splits` names.

python -m stages.evaluate    data/models/*, data/contexts/{mlp,ngram}/*, data/splits/*
    → metrics/evaluate.json, plots/{models,positions}.csv, data/evaluation.csv
"""

import math
import sys

import numpy as np
import pandas as pd

from charlm import params, stats
from charlm.errors import InputError
from charlm.examples import read_longest_examples
from charlm.models.base import Model
from charlm.models.registry import load_models
from charlm.names import read_names
from charlm.runtime import run_stage
from charlm.scoring import Characters, Scores, score_characters
from charlm.storage import DATA, METRICS, PLOTS, split_path, write_json
from charlm.tables import write_table
from charlm.tensors import Arrays
from charlm.vocabulary import read_vocabulary

ByModel = dict[str, dict[str, float]]  # {model: {metric: value}}
METRIC_NAMES = (  # in the order in which a reader wants them
    "nll",
    "stderr",
    "perplexity",
    "accuracy",
    "nll_unseen",
    "stderr_unseen",
    "zero_probability",
)
MAX_EXPONENT = 700  # exp(710) is more than a float can hold


def add_up(scores: Scores, groups: np.ndarray, weights: np.ndarray | int = 1) -> pd.DataFrame:
    """Add up the scores of the characters of each name, or at each position.

    Args:
        scores: of each character.
        groups: (characters,), the name or position of each.
        weights: (characters,), how often each counts.

    Returns:
        One row per name or position: `characters`; `nll`, nats; `correct`, how many are the most
        probable one; `zeros`, how many have probability 0.
    """
    columns = {
        "characters": np.ones(len(groups)),
        "nll": scores.nll,
        "correct": scores.is_correct,
        "zeros": np.isinf(scores.nll),
    }
    sums = pd.DataFrame(
        {column: np.bincount(groups, values * weights) for column, values in columns.items()}
    )
    return sums.astype({"characters": int, "correct": int, "zeros": int})


def summarise(scores: pd.DataFrame, in_train: np.ndarray) -> dict[str, float]:
    """Return the metrics of one model on one split.

    Args:
        scores: one row per unique name, as `add_up` returns them, multiplied by its repeats.
        in_train: (names,) bool, whether each also occurs in train.

    Returns:
        accuracy: share of characters that are the most probable one.
        nll, stderr: average negative log-likelihood and its standard error, nats per character.
        perplexity: exp(nll).
        nll_unseen, stderr_unseen: those of the names that do not occur in train.
        zero_probability: number of characters with probability 0.

        Infinite values, an average of no names, a standard error of one name, and a
        zero_probability of 0 are left out.
    """
    metrics = {"accuracy": scores["correct"].sum() / scores["characters"].sum()}
    for suffix, names in {"": scores, "_unseen": scores[~in_train]}.items():
        nll, characters = names["nll"].to_numpy(), names["characters"].to_numpy()
        if len(names) and not names["zeros"].any():
            metrics[f"nll{suffix}"] = stats.average(nll, characters)
            if len(names) > 1:
                metrics[f"stderr{suffix}"] = stats.standard_error(nll, characters)
    if zeros := int(scores["zeros"].sum()):
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
) -> tuple[pd.DataFrame, pd.DataFrame, ByModel]:
    """Evaluate all models on one split.

    Args:
        split: its name.
        names: its names, in the order of its examples.
        examples: its `contexts` and `targets`.
        train: the training names.
        models: the trained models, by name.

    Returns:
        One row per name, with its summed NLL under each model; one row per model and position in
        the name, with the average NLL there, if finite; and the metrics of each model.

    Raises:
        InputError: the split contains no names, or the examples belong to other names.
    """
    if not names:
        raise InputError(
            f"evaluate: evaluate.splits names {split}, which contains no names; "
            f"remove {split} there, or leave names for it in split.train and split.dev"
        )
    table = pd.DataFrame({"split": split, "name": names})
    table["characters"] = [len(name) + 1 for name in names]
    table["in_train"] = [name in train for name in names]
    lengths = np.diff(np.flatnonzero(examples["targets"] == 0), prepend=-1)
    if not np.array_equal(lengths, table["characters"]):
        raise InputError(
            f"evaluate: data/splits/{split}.txt and data/contexts/*/{split}.safetensors "
            "are of different names; run `dvc repro`"
        )
    unique_name, _ = pd.factorize(table["name"])
    is_repeat = table["name"].duplicated()
    repeats, in_train = np.bincount(unique_name), table["in_train"][~is_repeat].to_numpy()
    characters = Characters.of(examples, unique_name)
    del names, examples  # everything that follows is smaller, except for the table
    positions, metrics = [], {}
    for name, model in models.items():
        scores = score_characters(model, characters)
        by_name = add_up(scores, characters.name)
        metrics[name] = summarise(by_name.mul(repeats, axis=0), in_train)
        table[name] = by_name["nll"].replace(math.inf, math.nan).to_numpy()[unique_name]
        by_position = add_up(scores, characters.position, characters.repeats)
        positions.append(average_by_position(split, name, by_position))
    return table, pd.concat(positions), metrics


def average_by_position(split: str, model: str, sums: pd.DataFrame) -> pd.DataFrame:
    """Return the average NLL at each position in the name, from 1, where it is finite.

    Args:
        split: its name.
        model: its name.
        sums: one row per position, as `add_up` returns them.
    """
    sums = sums.assign(split=split, model=model, position=sums.index + 1)
    sums["nll"] /= sums["characters"]
    return sums.loc[sums["zeros"] == 0, ["split", "model", "position", "characters", "nll"]]


def by_metric(by_split: dict[str, ByModel]) -> dict[str, ByModel]:
    """Turn {split: {model: {metric: value}}} into {metric: {model: {split: value}}}."""
    turned: dict[str, ByModel] = {}
    for metric in METRIC_NAMES:
        for split, by_model in by_split.items():
            for model, metrics in by_model.items():
                if metric in metrics:
                    turned.setdefault(metric, {}).setdefault(model, {})[split] = metrics[metric]
    return turned


def bars(nll: ByModel) -> pd.DataFrame:
    """Return {model: {split: nll}} as rows of a bar chart, labelled `model (split)`."""
    rows = [
        (f"{model} ({split})", value)
        for model, by_split in nll.items()
        for split, value in by_split.items()
    ]
    return pd.DataFrame(rows, columns=["model", "nll"])


def main() -> None:
    settings = params.load().evaluate
    symbols = len(read_vocabulary())
    models = load_models(symbols)
    train = set(read_names(split_path("train")))
    tables, positions = [], []
    metrics_of: dict[str, ByModel] = {}
    for split in settings.splits:
        names, examples = read_names(split_path(split)), read_longest_examples(split, symbols)
        table, position, metrics_of[split] = evaluate_split(split, names, examples, train, models)
        tables.append(table)
        positions.append(position)
    metrics = by_metric(metrics_of)

    write_table(DATA / "evaluation.csv", pd.concat(tables))
    write_table(PLOTS / "models.csv", bars(metrics.get("nll", {})))
    write_table(PLOTS / "positions.csv", pd.concat(positions))
    write_json(METRICS / "evaluate.json", metrics)
    for model, by_split in metrics.get("zero_probability", {}).items():
        for name, count in by_split.items():
            problem = f"{model} gives {count} characters of {name} probability 0"
            print(f"evaluate: warning: {problem}, so it has no nll there", file=sys.stderr)
    last = settings.splits[-1]
    shown = [
        f"{model} {found['nll']:.4f}" if "nll" in found else f"{model} none"
        for model, found in metrics_of[last].items()
    ]
    print(f"evaluate: {last} nll: {', '.join(shown)}")


if __name__ == "__main__":
    run_stage(main)
