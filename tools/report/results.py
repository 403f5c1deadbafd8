"""What a revision left: settings, losses, curves, tables, models and samples.

The only module of the report that knows which file holds what. What a revision lacks is left out
and remembered in `Results.missing`.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import safetensors.numpy
from safetensors import SafetensorError
from scipy.sparse import csr_array
from scipy.special import logsumexp, softmax

from charlm import stats
from charlm.core.errors import InputError
from charlm.core.storage import SPLITS, damaged, model_path, split_path
from charlm.data.tensors import Arrays
from charlm.data.vocabulary import PATH as VOCABULARY
from charlm.data.vocabulary import Vocabulary
from charlm.models.registry import MODELS, model_class
from charlm.tables import parse_rows
from tools.compare.runs import COLUMNS, HELD_OUT, Run, Settings, held_out, read_run
from tools.dvc_state import PARAMS, Files, parse_sections
from tools.report.similarity import View, views

METRICS = "metrics/evaluate.csv"
METRIC_TYPES = {"split": str, "model": str, "nll": float, "stderr": float}
CONTEXTS = "data/contexts/bigram/train.safetensors"
BIGRAM_CURVE, MLP_CURVE = "plots/bigram_neural.csv", "plots/mlp.csv"
CURVE_TYPES = {"step": int, "nll": float}
POSITIONS, LENGTHS = "plots/positions.csv", "plots/lengths.csv"
POSITION_TYPES = {"split": str, "model": str, "position": int, "characters": int, "nll": float}
LENGTH_TYPES = {"length": int, "model": str, "share": float}  # `model` may be `dev`: real names
BIGRAMS = {"counted": ("bigram_count", "P"), "learned": ("bigram_neural", "W")}
MAX_SYMBOLS = 30  # in a table of pairs: as many as a phone has room for
MAX_PAIRS = 20_000  # that can be looked up
UNSEEN = "names not in train"  # of a held-out split
Rows = list[dict[str, Any]]
Read = Callable[[str], bytes]  # content of a file by its path; FileNotFoundError if there is none
Parse = Callable[[bytes], Any]
PARSE_ERRORS = (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


class Loss(NamedTuple):
    """An average loss, nats per character."""

    nll: float | None  # None: a name has probability 0
    stderr: float | None


class Pairs(NamedTuple):
    """How often one symbol follows another, for the most frequent symbols."""

    symbols: np.ndarray  # (shown,) int64, their numbers
    counts: np.ndarray  # (shown, shown) int64, row: first symbol, column: the next
    totals: np.ndarray  # (shown,) int64: how often each first symbol occurs, whatever follows
    probabilities: dict[str, np.ndarray]  # counted, learned: (shown, shown)
    frequency: np.ndarray  # (symbols,) int64, of all symbols
    seen: Arrays  # the most frequent pairs of all symbols, see `seen_pairs`


class Results(NamedTuple):
    """What one revision left."""

    revision: str
    commit: str  # empty for the workspace
    settings: Settings
    run: Run | None  # None without the losses of each name
    stale: str  # why `run` is None although its file may exist
    losses: dict[str, dict[str, Loss]]  # {model: {names: loss}}
    splits: dict[str, list[str]]
    vocabulary: Vocabulary | None
    models: dict[str, Arrays]
    curves: Rows  # one row per model, split and step that was recorded
    positions: Rows
    lengths: Rows
    alike: dict[str, View]  # of the MLP
    pairs: Pairs | None
    samples: dict[str, list[str]]
    missing: list[str]  # paths that could not be read


class Reader:
    """Reads files, and remembers which of them do not exist."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.missing: list[str] = []

    def bytes(self, path: str) -> bytes | None:
        """Return the content of a file, or None."""
        try:
            return self._read(path)
        except FileNotFoundError:
            self.missing.append(path)
            return None

    def parsed(self, path: str, stage: str, form: str, parse: Parse) -> Any:
        """Return what a function makes of the content of a file, or None.

        Args:
            path: of the file.
            stage: the stage that writes the file.
            form: what it must be.
            parse: of its content.

        Raises:
            InputError: it is something else.
        """
        if (content := self.bytes(path)) is None:
            return None
        try:
            return parse(content)
        except PARSE_ERRORS as error:
            raise damaged(Path(path), f"not {form} ({error})", stage) from None

    def rows(self, path: str, types: dict[str, type], stage: str) -> Rows:
        """Return the rows of a csv file, none if there is no such file.

        Args:
            path: of the file.
            types: of its columns that are needed; a row with an empty one is left out.
            stage: the stage that writes the file.

        Raises:
            InputError: it lacks a column, or has another type in it.
        """

        def parse(content: Any) -> Rows:
            table = parse_rows(content) if content else []
            whole = [row for row in table if all(row[column] != "" for column in types)]
            return [{column: kind(row[column]) for column, kind in types.items()} for row in whole]

        return self.parsed(path, stage, f"a table of {', '.join(types)}", parse) or []

    def tensors(self, path: str, stage: str) -> Any:
        """Return the tensors of a file, or None; see `parsed`."""
        return self.parsed(path, stage, "a whole safetensors file", safetensors.numpy.load)

    def lists(self, paths: dict[str, str]) -> dict[str, list[str]]:
        """Return the lines of those files that exist."""
        contents = {key: self.bytes(path) for key, path in paths.items()}
        return {
            key: content.decode(errors="replace").split("\n")[:-1]
            for key, content in contents.items()
            if content is not None
        }


def read_results(revision: str) -> Results:
    """Read what a revision left.

    Args:
        revision: a commit, branch, tag or experiment, or `workspace`.

    Raises:
        InputError: DVC does not know the revision, or a file is damaged.
    """
    files = Files(revision)
    reader = Reader(files.read)
    params = reader.bytes(PARAMS)
    run, stale = None, ""
    try:
        run = read_run(revision, files)
    except InputError as error:
        stale = str(error)
    losses = losses_of_names(run.evaluation) if run else losses_of_metrics(reader)
    vocabulary = reader.parsed(
        *(VOCABULARY.as_posix(), "build_contexts", "a vocabulary"),
        lambda content: Vocabulary.of(json.loads(content)),
    )
    names = [name for name in MODELS if name in losses or not losses]
    models = {
        name: tensors
        for name in names
        if (tensors := reader.tensors(model_path(name).as_posix(), model_class(name).stage))
    }
    splits = reader.lists({split: split_path(split).as_posix() for split in SPLITS})
    bigram_curve = reader.rows(BIGRAM_CURVE, CURVE_TYPES, "train_bigram_neural")
    mlp_curve = reader.rows(MLP_CURVE, {"split": str} | CURVE_TYPES, "train_mlp")
    pairs = read_pairs(reader, vocabulary, models)
    return Results(
        revision=revision,
        commit=files.commit,
        settings=parse_sections(params, PARAMS) if params else {},
        run=run,
        stale=stale,
        losses=losses,
        splits=splits,
        vocabulary=vocabulary,
        models=models,
        curves=[
            *({"of": "bigram_neural", "split": "train", **row} for row in bigram_curve),
            *({"of": "mlp", **row} for row in mlp_curve),
        ],
        positions=reader.rows(POSITIONS, POSITION_TYPES, "evaluate"),
        lengths=reader.rows(LENGTHS, LENGTH_TYPES, "sample"),
        alike=read_views(models.get("mlp"), vocabulary, pairs, splits.get("train", [])),
        pairs=pairs,
        samples=reader.lists({name: f"data/samples/{name}.txt" for name in names}),
        missing=reader.missing,
    )


def losses_of_names(evaluation: pd.DataFrame) -> dict[str, dict[str, Loss]]:
    """Return the average loss of each model on each split, and on its names not in train."""
    models = [str(column) for column in evaluation if column not in COLUMNS]
    tables: dict[str, pd.DataFrame] = {}
    for split in evaluation["split"].astype(str).unique():
        rows = evaluation[evaluation["split"] == split]
        unique = rows.drop_duplicates("name").set_index("name")
        tables[split] = unique.assign(count=rows["name"].value_counts())
        if split in HELD_OUT:
            tables[f"{split} {UNSEEN}"] = held_out(evaluation, split)
    return {
        model: {label: average_loss(table, model) for label, table in tables.items() if len(table)}
        for model in models
    }


def average_loss(table: pd.DataFrame, model: str) -> Loss:
    """Return the average loss over names.

    Args:
        table: by unique name: `count`, `characters` and the summed NLL under the model.
        model: its name.
    """
    nll = (table[model] * table["count"]).to_numpy()
    characters = (table["characters"] * table["count"]).to_numpy()
    if np.isnan(nll).any():
        return Loss(None, None)
    stderr = stats.standard_error(nll, characters) if len(nll) > 1 else None
    return Loss(stats.average(nll, characters), stderr)


def losses_of_metrics(reader: Reader) -> dict[str, dict[str, Loss]]:
    """Return the losses that a commit has in git even without DVC's cache."""
    losses: dict[str, dict[str, Loss]] = {}
    for row in reader.rows(METRICS, METRIC_TYPES, "evaluate"):
        split = row["split"].removesuffix("_unseen")
        of = split if split == row["split"] else f"{split} {UNSEEN}"
        losses.setdefault(row["model"], {})[of] = Loss(row["nll"], row["stderr"])
    return losses


def read_views(
    arrays: Arrays | None, vocabulary: Vocabulary | None, pairs: Pairs | None, names: list[str]
) -> dict[str, View]:
    """Return which characters are alike in an MLP; nothing for one of an older form."""
    if arrays is None or vocabulary is None or pairs is None:
        return {}
    with suppress(ValueError):
        return views(arrays, vocabulary, pairs.frequency, names)
    return {}


def read_pairs(
    reader: Reader, vocabulary: Vocabulary | None, models: dict[str, Arrays]
) -> Pairs | None:
    """Return the table of pairs, or None."""
    examples = reader.tensors(CONTEXTS, "build_contexts")
    if examples is None or vocabulary is None:
        return None
    first, following = examples["contexts"][:, -1].astype(int), examples["targets"].astype(int)
    shape = (len(vocabulary), len(vocabulary))
    N = csr_array((np.ones(len(first), dtype=int), (first, following)), shape)
    totals = N.sum(axis=1)
    # <START> is never a target, <END> never a context
    frequency = np.maximum(totals, N.sum(axis=0))
    symbols = np.sort(np.argsort(-frequency, kind="stable")[:MAX_SYMBOLS])
    P, W = (models.get(name, {}).get(key) for name, key in BIGRAMS.values())
    probabilities = {}
    if P is not None:
        probabilities["counted"] = P[np.ix_(symbols, symbols)]
    if W is not None:
        probabilities["learned"] = softmax(W[symbols].astype(np.float64), axis=1)[:, symbols]
    return Pairs(
        symbols=symbols,
        counts=N[symbols][:, symbols].toarray(),
        totals=totals[symbols],
        probabilities=probabilities,
        frequency=frequency,
        seen=seen_pairs(N, P, W),
    )


def seen_pairs(N: csr_array, P: np.ndarray | None, W: np.ndarray | None) -> Arrays:
    """Return pairs that occur, the most frequent ones first, at most MAX_PAIRS.

    Args:
        N: (symbols, symbols), how often one follows another.
        P: (symbols, symbols), the counted probabilities, if they are there.
        W: (symbols, symbols), the logits of the learned ones, likewise.

    Returns:
        `first` and `following`, numbers of symbols; `counts`; `counted` and `learned`, in units of
        1/10,000; all (pairs,) int64.
    """
    pairs = N.tocoo()
    pairs.sum_duplicates()
    order = np.argsort(-pairs.data, kind="stable")[:MAX_PAIRS]
    first, following = (numbers[order].astype(np.int64) for numbers in pairs.coords)
    found = {"first": first, "following": following, "counts": pairs.data[order]}
    if P is not None:
        found["counted"] = np.rint(1e4 * P[first, following]).astype(np.int64)
    if W is not None:  # row by row: all of them may need much memory
        totals = np.array([logsumexp(row.astype(np.float64)) for row in W])
        found["learned"] = np.rint(1e4 * np.exp(W[first, following] - totals[first])).astype(int)
    return found
