"""Evaluate every model on the splits that `evaluate.splits` names.

python -m stages.evaluate    data/models/*, data/contexts/mlp/*, data/splits/*
    → metrics/evaluate.json, plots/{models,positions}.csv, data/evaluation.csv
"""

import math
import sys

import numpy as np
import pandas as pd
import torch

from stages import InputError, files, models, params
from stages.contexts import Distinct, distinct
from stages.models import MODELS, Parameters

Nested = dict[str, dict[str, dict[str, float]]]


def score_characters(
    model: str, parameters: Parameters, contexts: Distinct, targets: np.ndarray
) -> pd.DataFrame:
    """Score each character of a split under a model.

    Args:
        model: its name.
        parameters: its tensors.
        contexts: at least as long as the model's block size.
        targets: (examples,), the symbol that follows each; 0 ends a name.

    Returns:
        One row a character: `name`, counted from 0; `position` in it, from 1; `nll`, nats,
        infinite where the model rules it out; `hit`, whether it is the most probable one.
    """
    logits = MODELS[model](parameters, torch.from_numpy(contexts.contexts).long())
    log_probabilities = models.log_probabilities(logits).numpy()
    ends = targets == 0
    name = np.cumsum(ends) - ends
    first = np.flatnonzero(np.diff(name, prepend=-1))
    return pd.DataFrame(
        {
            "name": name,
            "position": np.arange(len(targets)) - first[name] + 1,
            "nll": -log_probabilities[contexts.index, targets],
            "hit": log_probabilities.argmax(axis=1)[contexts.index] == targets,
        }
    )


def add_up(characters: pd.DataFrame, column: str) -> pd.DataFrame:
    """Add up the characters of each name, or at each position.

    Args:
        characters: as `score_characters` gives them.
        column: name or position.

    Returns:
        One row a name or position: `characters`, the end mark counted; `nll`, nats; `hits`, how
        often the most probable one is right; `zeros`, how many have probability 0.
    """
    return (
        characters.assign(zero=np.isinf(characters["nll"]))
        .groupby(column)
        .agg(
            characters=("nll", "size"),
            nll=("nll", "sum"),
            hits=("hit", "sum"),
            zeros=("zero", "sum"),
        )
    )


def average_nll(scores: pd.DataFrame) -> float:
    """Return the average negative log-likelihood, nats per character."""
    # fsum is exact, so the order of the names does not matter
    return math.fsum(scores["nll"]) / scores["characters"].sum()


def summarise(scores: pd.DataFrame, in_train: pd.Series) -> dict[str, float]:
    """Return the metrics of one model on one split.

    Args:
        scores: one row a name, as `add_up` gives them.
        in_train: whether each name also stands in train.

    Returns:
        accuracy: share of characters that are the most probable one.
        nll: average negative log-likelihood, nats per character.
        perplexity: exp(nll).
        nll_unseen: nll of the names that do not stand in train.
        zero_probability: number of characters that the model rules out.

        What is infinite, or an average of no names, is left out; so is a zero_probability of 0.
    """
    nll, unseen, zeros = average_nll(scores), scores[~in_train], int(scores["zeros"].sum())
    metrics = {"accuracy": scores["hits"].sum() / scores["characters"].sum()}
    if zeros:
        metrics["zero_probability"] = zeros
    else:
        metrics["nll"] = nll
        if nll < 700:  # exp(710) is more than a float can hold
            metrics["perplexity"] = math.exp(nll)
    if len(unseen) and not unseen["zeros"].any():
        metrics["nll_unseen"] = average_nll(unseen)
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
            f"evaluate: data/splits/{split}.txt and data/contexts/mlp/{split}.safetensors "
            "do not belong together; run `dvc repro`"
        )
    contexts = distinct(examples["contexts"])
    positions, metrics = [], {}
    for model, parameters in trained.items():
        characters = score_characters(model, parameters, contexts, examples["targets"])
        scores = add_up(characters, "name")
        metrics[model] = summarise(scores, table["in_train"])
        table[model] = scores["nll"].replace(math.inf, math.nan)
        positions.append(by_position(split, model, characters))
    return table, pd.concat(positions), metrics


def by_position(split: str, model: str, characters: pd.DataFrame) -> pd.DataFrame:
    """Return the average NLL at each position in the name, where it is finite."""
    sums = add_up(characters, "position").query("zeros == 0").reset_index()
    sums["nll"] /= sums["characters"]
    sums.insert(0, "model", model)
    sums.insert(0, "split", split)
    return sums[["split", "model", "position", "characters", "nll"]]


def metric_first(found: Nested) -> Nested:
    """Turn {split: {model: {metric: value}}} into {metric: {model: {split: value}}}.

    The metrics come in the order in which a reader wants them.
    """
    order = ("nll", "perplexity", "accuracy", "nll_unseen", "zero_probability")
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
    trained = {model: models.read(model) for model in MODELS}
    train = set(files.read_names(files.DATA / "splits" / "train.txt"))
    tables, positions, found = [], [], {}
    for split in settings.splits:
        names = files.read_names(files.DATA / "splits" / f"{split}.txt")
        examples = files.read_tensors(files.DATA / "contexts" / "mlp" / f"{split}.safetensors")
        table, position, found[split] = evaluate_split(split, names, examples, train, trained)
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
    losses = [
        f"{model} {found[last][model]['nll']:.4f}"
        if "nll" in found[last][model]
        else f"{model} none"
        for model in MODELS
    ]
    print(f"evaluate: {last} nll: {', '.join(losses)}")


if __name__ == "__main__":
    main()
