"""Evaluate every model on the splits that `evaluate.splits` names.

python -m stages.evaluate    data/models/*, data/contexts/mlp/*, data/splits/*
    → metrics/evaluate.json, plots/models.csv, data/evaluation.csv
"""

import math
import sys

import numpy as np
import pandas as pd
import torch

from stages import InputError, files, models, params
from stages.models import MODELS, Parameters

Nested = dict[str, dict[str, dict[str, float]]]


def score(
    name: str, parameters: Parameters, contexts: np.ndarray, targets: np.ndarray
) -> pd.DataFrame:
    """Score each name of a split under a model.

    Args:
        contexts: (examples, block size), unsigned symbol numbers.
        targets: (examples,), the symbol that follows each; 0 ends a name.

    Returns:
        One row a name, sums over its characters: `nll`, nats, infinite where the model rules
        one out; `hits`, how often the most probable one is right; `zeros`, how many have
        probability 0.
    """
    distinct, index = np.unique(contexts, axis=0, return_inverse=True)
    logits = MODELS[name](parameters, torch.from_numpy(distinct).long())
    log_probabilities = models.log_probabilities(logits).numpy()
    nll = -log_probabilities[index, targets]
    ends = targets == 0
    owner = np.cumsum(ends) - ends
    columns = {
        "nll": nll,
        "hits": log_probabilities.argmax(axis=1)[index] == targets,
        "zeros": np.isinf(nll),
    }
    return pd.DataFrame(
        {column: np.bincount(owner, weights=values) for column, values in columns.items()}
    )


def summarise(scores: pd.DataFrame) -> dict[str, float]:
    """Return the metrics of one model on one split; those that have no finite value are left out.

    Args:
        scores: `nll`, `hits` and `zeros` as `score` gives them, with the names' `characters`
            (end mark counted) and whether they stand `in_train`.

    Returns:
        nll: average negative log-likelihood, nats per character.
        perplexity: exp(nll).
        accuracy: share of characters that are the most probable one.
        nll_unseen: nll of the names that do not stand in train.
        zero_probability: number of characters with probability 0, if there are any.
    """
    unseen = scores[~scores["in_train"]]
    # fsum is exact, so the order of the names does not matter
    nll = math.fsum(scores["nll"]) / scores["characters"].sum()
    metrics = {
        "nll": nll,
        "perplexity": math.exp(nll) if nll < 700 else math.inf,
        "accuracy": scores["hits"].sum() / scores["characters"].sum(),
        "nll_unseen": math.fsum(unseen["nll"]) / unseen["characters"].sum()
        if len(unseen)
        else math.nan,
        "zero_probability": int(scores["zeros"].sum()) or math.nan,
    }
    return {metric: value for metric, value in metrics.items() if math.isfinite(value)}


def evaluate_split(
    split: str,
    names: list[str],
    examples: dict[str, np.ndarray],
    train: set[str],
    trained: dict[str, Parameters],
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Evaluate all models on one split.

    Args:
        names: of this split, in the order of its examples.
        train: the training names.
        trained: the parameters of each model.

    Returns:
        One row a name, with its summed NLL under each model, and the metrics of each model.
    """
    table = pd.DataFrame(
        {
            "split": split,
            "name": names,
            "characters": [len(name) + 1 for name in names],
            "in_train": [name in train for name in names],
        }
    )
    metrics = {}
    for model, parameters in trained.items():
        scores = score(model, parameters, examples["contexts"], examples["targets"])
        metrics[model] = summarise(scores.join(table[["characters", "in_train"]]))
        table[model] = scores["nll"].replace(math.inf, None)
    return table, metrics


def metric_first(found: Nested) -> Nested:
    """Turn {split: {model: {metric: value}}} into {metric: {model: {split: value}}}."""
    turned: Nested = {}
    for split, by_model in found.items():
        for model, metrics in by_model.items():
            for metric, value in metrics.items():
                turned.setdefault(metric, {}).setdefault(model, {})[split] = value
    return turned


def main() -> None:
    settings = params.load().evaluate
    trained = {model: models.read(model) for model in MODELS}
    splits = {
        split: files.read_names(files.DATA / "splits" / f"{split}.txt")
        for split in {*settings.splits, "train"}
    }
    tables, found = [], {}
    for split in settings.splits:
        if not splits[split]:
            raise InputError(
                f"evaluate: evaluate.splits asks for {split}, which holds no names; "
                f"take {split} out, or leave names for it in split.train and split.dev"
            )
        examples = files.read_tensors(files.DATA / "contexts" / "mlp" / f"{split}.safetensors")
        table, found[split] = evaluate_split(
            split, splits[split], examples, set(splits["train"]), trained
        )
        tables.append(table)
    metrics = metric_first(found)
    bars = [
        (f"{model} ({split})", nll)
        for model, by_split in metrics.get("nll", {}).items()
        for split, nll in by_split.items()
    ]

    files.write_table(files.DATA / "evaluation.csv", pd.concat(tables))
    files.write_table(files.PLOTS / "models.csv", pd.DataFrame(bars, columns=["model", "nll"]))
    files.write_json(files.METRICS / "evaluate.json", metrics)
    for model, by_split in metrics.get("zero_probability", {}).items():
        for split, count in by_split.items():
            found_zero = f"{model} gives {count} characters of {split} probability 0"
            print(f"evaluate: warning: {found_zero}, so it has no nll there", file=sys.stderr)
    last = settings.splits[-1]
    losses = [f"{model} {found[last][model].get('nll', math.inf):.4f}" for model in MODELS]
    print(f"evaluate: {last} nll: {', '.join(losses)}")


if __name__ == "__main__":
    main()
