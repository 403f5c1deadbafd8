"""Evaluate every model on the splits that `evaluate.splits` names.

python -m stages.evaluate    data/models/*, data/contexts/{mlp,ngram}/*, data/splits/*
    → metrics/evaluate.json, plots/{models,positions}.csv, data/evaluation.csv
"""

import math
import sys
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from charlm import InputError, storage as files, stats as losses, params
from charlm.models import base as stored, mlp as models
from charlm.models.mlp import MODELS, Parameters
from charlm.runtime import run

Nested = dict[str, dict[str, dict[str, float]]]


class Characters(NamedTuple):
    """The characters of a split's distinct names; the end of a name is one of its characters."""

    contexts: np.ndarray  # (characters, block size): what comes before each
    targets: np.ndarray  # (characters,): the symbols themselves; 0 ends a name
    name: np.ndarray  # (characters,) int64: which distinct name
    position: np.ndarray  # (characters,) int64: how many characters of the name come before
    times: np.ndarray  # (characters,) int64: how often the name stands in the split

    @classmethod
    def of(cls, examples: dict[str, np.ndarray], which: np.ndarray) -> Self:
        """Take each name's examples once.

        Args:
            examples: `contexts` and `targets` of all names, in their order.
            which: (names,), the distinct name that each is, numbered as they first appear.
        """
        lengths = np.diff(np.flatnonzero(examples["targets"] == 0), prepend=-1)
        rows = np.repeat(~pd.Series(which).duplicated().to_numpy(), lengths)
        targets = examples["targets"][rows]
        ends = targets == 0
        name = np.cumsum(ends) - ends
        start = np.flatnonzero(np.diff(name, prepend=-1))
        return cls(
            contexts=examples["contexts"][rows],
            targets=targets,
            name=name,
            position=np.arange(len(targets)) - start[name],
            times=np.bincount(which)[name],
        )


class Scores(NamedTuple):
    """What a model makes of characters."""

    nll: np.ndarray  # (characters,) float64, nats; infinite where the model rules it out
    hit: np.ndarray  # (characters,) bool: whether it is the most probable one


def score(model: str, parameters: Parameters, characters: Characters) -> Scores:
    """Score each character under a model, each distinct context once.

    Args:
        model: its name.
        parameters: its tensors.
        characters: with contexts at least as long as the model's block size.
    """
    found, index = models.next_log_probabilities(model, parameters, characters.contexts)
    best = found.argmax(dim=1).numpy()
    return Scores(-found.numpy()[index, characters.targets], best[index] == characters.targets)


def add_up(scores: Scores, places: np.ndarray, times: np.ndarray | int = 1) -> pd.DataFrame:
    """Add up the characters of each name, or at each position.

    Args:
        scores: of each character.
        places: (characters,), the name or position of each.
        times: (characters,), how often each counts.

    Returns:
        One row a name or position: `characters`; `nll`, nats; `hits`, how often the most probable
        one is right; `zeros`, how many have probability 0.
    """
    columns = {
        "characters": np.ones(len(places)),
        "nll": scores.nll,
        "hits": scores.hit,
        "zeros": np.isinf(scores.nll),
    }
    sums = pd.DataFrame(
        {column: np.bincount(places, values * times) for column, values in columns.items()}
    )
    return sums.astype({"characters": int, "hits": int, "zeros": int})


def summarise(scores: pd.DataFrame, in_train: np.ndarray) -> dict[str, float]:
    """Return the metrics of one model on one split.

    Args:
        scores: one row a distinct name, as `add_up` gives them, times how often it stands there.
        in_train: (names,) bool, whether each also stands in train.

    Returns:
        accuracy: share of characters that are the most probable one.
        nll, stderr: average negative log-likelihood and its standard error, nats per character.
        perplexity: exp(nll).
        nll_unseen, stderr_unseen: those of the names that do not stand in train.
        zero_probability: number of characters that the model rules out.

        What is infinite, an average of no names or a standard error of one is left out; so is a
        zero_probability of 0.
    """
    metrics = {"accuracy": scores["hits"].sum() / scores["characters"].sum()}
    for suffix, some in {"": scores, "_unseen": scores[~in_train]}.items():
        if len(some) and not some["zeros"].any():
            metrics[f"nll{suffix}"] = losses.average(some["nll"], some["characters"])
            if len(some) > 1:
                metrics[f"stderr{suffix}"] = losses.standard_error(
                    some["nll"].to_numpy(), some["characters"].to_numpy()
                )
    if zeros := int(scores["zeros"].sum()):
        metrics["zero_probability"] = zeros
    if metrics.get("nll", math.inf) < 700:  # exp(710) is more than a float can hold
        metrics["perplexity"] = math.exp(metrics["nll"])
    return metrics


def evaluate_split(
    split: str,
    names: list[str],
    examples: dict[str, np.ndarray],
    train: set[str],
    trained: dict[str, Parameters],
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, float]]]:
    """Evaluate all models on one split.

    Args:
        split: its name.
        names: its names, in the order of its examples.
        examples: its `contexts` and `targets`.
        train: the training names.
        trained: the parameters of each model.

    Returns:
        One row a name, with its summed NLL under each model; one row a model and position in
        the name, with the average NLL there, if finite; and the metrics of each model.

    Raises:
        InputError: the split holds no names, or the examples are of other names.
    """
    if not names:
        raise InputError(
            f"evaluate: evaluate.splits asks for {split}, which holds no names; "
            f"take {split} out, or leave names for it in split.train and split.dev"
        )
    table = pd.DataFrame({"split": split, "name": names})
    table["characters"] = [len(name) + 1 for name in names]
    table["in_train"] = [name in train for name in names]
    lengths = np.diff(np.flatnonzero(examples["targets"] == 0), prepend=-1)
    if not np.array_equal(lengths, table["characters"]):
        raise InputError(
            f"evaluate: data/splits/{split}.txt and data/contexts/*/{split}.safetensors "
            "do not belong together; run `dvc repro`"
        )
    which, _ = pd.factorize(table["name"])
    times, in_train = np.bincount(which), table["in_train"][~table["name"].duplicated()].to_numpy()
    characters = Characters.of(examples, which)
    del names, examples  # all that follows is smaller, but for the table
    positions, metrics = [], {}
    for model, parameters in trained.items():
        scores = score(model, parameters, characters)
        once = add_up(scores, characters.name)
        metrics[model] = summarise(once.mul(times, axis=0), in_train)
        table[model] = once["nll"].replace(math.inf, math.nan).to_numpy()[which]
        at_position = add_up(scores, characters.position, characters.times)
        positions.append(by_position(split, model, at_position))
    return table, pd.concat(positions), metrics


def by_position(split: str, model: str, sums: pd.DataFrame) -> pd.DataFrame:
    """Return the average NLL at each position in the name, from 1, where it is finite.

    Args:
        split: its name.
        model: its name.
        sums: one row a position, as `add_up` gives them.
    """
    sums = sums.assign(split=split, model=model, position=sums.index + 1)
    sums["nll"] /= sums["characters"]
    return sums.loc[sums["zeros"] == 0, ["split", "model", "position", "characters", "nll"]]


def metric_first(found: Nested) -> Nested:
    """Turn {split: {model: {metric: value}}} into {metric: {model: {split: value}}}.

    The metrics come in the order in which a reader wants them.
    """
    order = (
        "nll",
        "stderr",
        "perplexity",
        "accuracy",
        "nll_unseen",
        "stderr_unseen",
        "zero_probability",
    )
    turned: Nested = {}
    for metric in order:
        for split, by_model in found.items():
            for model, metrics in by_model.items():
                if metric in metrics:
                    turned.setdefault(metric, {}).setdefault(model, {})[split] = metrics[metric]
    return turned


def bars(nll: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Return {model: {split: nll}} as rows of a bar chart, labelled `model (split)`."""
    rows = [
        (f"{model} ({split})", value)
        for model, by_split in nll.items()
        for split, value in by_split.items()
    ]
    return pd.DataFrame(rows, columns=["model", "nll"])


def main() -> None:
    settings = params.load().evaluate
    symbols = len(files.read_vocabulary())
    trained = stored.read_all(symbols)
    train = set(files.read_names(files.DATA / "splits" / "train.txt"))
    tables, positions, found = [], [], {}
    for split in settings.splits:
        path = files.DATA / "splits" / f"{split}.txt"
        examples = files.read_longest_examples(split, symbols)
        table, position, found[split] = evaluate_split(
            split, files.read_names(path), examples, train, trained
        )
        tables.append(table)
        positions.append(position)
    metrics = metric_first(found)

    files.write_table(files.DATA / "evaluation.csv", pd.concat(tables))
    files.write_table(files.PLOTS / "models.csv", bars(metrics.get("nll", {})))
    files.write_table(files.PLOTS / "positions.csv", pd.concat(positions))
    files.write_json(files.METRICS / "evaluate.json", metrics)
    for model, by_split in metrics.get("zero_probability", {}).items():
        for split, count in by_split.items():
            ruled_out = f"{model} gives {count} characters of {split} probability 0"
            print(f"evaluate: warning: {ruled_out}, so it has no nll there", file=sys.stderr)
    last = settings.splits[-1]
    shown = [
        f"{model} {found[last][model]['nll']:.4f}"
        if "nll" in found[last][model]
        else f"{model} none"
        for model in MODELS
    ]
    print(f"evaluate: {last} nll: {', '.join(shown)}")


if __name__ == "__main__":
    run(main)
