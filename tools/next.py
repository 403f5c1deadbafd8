"""Show what follows the beginning of a name under the trained models, the most probable first.

python -m tools.next a                                     after an a that begins a name
python -m tools.next                                       how names begin
python -m tools.next emm --model mlp --model ngram_count   only under these models
python -m tools.next a --csv                               for programs: every symbol

Models that count show in parentheses how often a symbol followed in train: after the last
character under bigram_count, after the longest end of the beginning that occurs in train under
ngram_count.
"""

import csv
import sys
import unicodedata
from typing import NamedTuple

import numpy as np
from tabulate import tabulate

from charlm.core.errors import InputError
from charlm.core.storage import model_path, split_path
from charlm.data.examples import build_examples, build_split_examples
from charlm.data.tensors import Arrays
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.models.base import Model, context_size
from charlm.models.registry import MODELS, load_models
from charlm.names import read_names
from charlm.tables import cell
from tools.dvc_state import warn_if_stale
from tools.hints import lower_case_hint, other_case_hint
from tools.program import argument_parser, positive, run_tool

# models that count, and whether they use a shorter context where the whole one is not in train
COUNTING = {"bigram_count": False, "ngram_count": True}
COLUMNS = ("model", "context", "next", "probability", "count")
DEFAULT_ROWS = 10


class Prediction(NamedTuple):
    """What a model predicts after the beginning of a name."""

    context: np.ndarray  # (at most block size,): the symbols that the prediction depends on
    P: np.ndarray  # (symbols,) float64, the probability of each
    counts: np.ndarray | None  # (symbols,) int64, how often each followed the context in train

    def ranked(self) -> np.ndarray:
        """Return the symbols, the most probable first."""
        return np.argsort(-self.P, kind="stable")


def predict(prefix: str, model: Model, vocabulary: Vocabulary) -> Prediction:
    """Return a model's probabilities of each symbol after the beginning of a name.

    Raises:
        InputError: a character of it is not in the vocabulary.
    """
    try:
        size = context_size([model], len(prefix))
        contexts = build_examples([prefix], vocabulary, size)["contexts"]
    except ValueError as error:
        raise InputError(f"{prefix!r}: {error}{lower_case_hint(prefix, vocabulary)}") from None
    (logs,) = model.log_probabilities(contexts[-1:])
    return Prediction(contexts[-1], np.exp(logs), None)


def count_next(prediction: Prediction, examples: Arrays, backs_off: bool) -> Prediction:
    """Add how often each symbol follows the context in examples.

    Args:
        prediction: what a model predicts.
        examples: contexts (examples, at least block size) and targets (examples,).
        backs_off: whether to take the longest end of the context that occurs in them.
    """
    context, symbols = prediction.context, len(prediction.P)
    occurs = np.ones(len(examples["targets"]), dtype=bool)
    length = 0
    while length < len(context):
        longer = occurs & (examples["contexts"][:, -length - 1] == context[-length - 1])
        if backs_off and not longer.any():
            break
        occurs, length = longer, length + 1
    counts = np.bincount(examples["targets"][occurs], minlength=symbols)
    return prediction._replace(context=context[len(context) - length :], counts=counts)


def as_table(predictions: dict[str, Prediction], vocabulary: Vocabulary, rows: int) -> str:
    """Return the most probable symbols under each model, side by side."""
    headers = [
        f"{name}\nafter {vocabulary.decode(prediction.context) or 'any symbol'}"
        for name, prediction in predictions.items()
    ]
    columns = [
        [entry(prediction, symbol, vocabulary) for symbol in prediction.ranked()[:rows]]
        for prediction in predictions.values()
    ]
    ranks = range(1, 1 + min(rows, len(vocabulary)))
    return tabulate(
        zip(ranks, *columns, strict=True), ["", *headers], disable_numparse=True, stralign="left"
    )


def entry(prediction: Prediction, symbol: int, vocabulary: Vocabulary) -> str:
    """Return a symbol with its probability and count, as the table shows them."""
    shown = "␣" if vocabulary.itos[symbol] == " " else vocabulary.itos[symbol]
    counted = "" if prediction.counts is None else f" ({prediction.counts[symbol]:,})"
    return f"{shown} {prediction.P[symbol]:.4f}{counted}"


def write_csv(predictions: dict[str, Prediction], vocabulary: Vocabulary) -> None:
    """Print every symbol under each model, the most probable first, as csv."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, prediction in predictions.items():
        context = vocabulary.decode(prediction.context)
        for symbol in prediction.ranked():
            count = "" if prediction.counts is None else prediction.counts[symbol]
            row = (name, context, vocabulary.itos[symbol], float(prediction.P[symbol]), count)
            writer.writerow([cell(value) for value in row])


def main() -> None:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("prefix", nargs="?", default="", help="the beginning of a name; none: its start")
    add("--model", action="append", choices=MODELS, help="only this model; can be repeated")
    add("-n", "--rows", type=positive, default=DEFAULT_ROWS, help="how many symbols")
    add("--csv", action="store_true", help="print every symbol, as csv")
    arguments = parser.parse_args()

    vocabulary = read_vocabulary()
    models = load_models(len(vocabulary), tuple(arguments.model or MODELS))
    prefix = unicodedata.normalize("NFC", arguments.prefix)
    predictions = {name: predict(prefix, model, vocabulary) for name, model in models.items()}
    if counting := [name for name in predictions if name in COUNTING]:
        block_size = max(models[name].block_size for name in counting)
        examples = build_split_examples("train", vocabulary, block_size)
        for name in counting:
            predictions[name] = count_next(predictions[name], examples, COUNTING[name])
    if arguments.csv:
        write_csv(predictions, vocabulary)
    else:
        print(as_table(predictions, vocabulary, arguments.rows))
    train = split_path("train")
    if hint := other_case_hint(prefix, read_names(train) if train.exists() else []):
        print(f"next: {hint}", file=sys.stderr)
    warn_if_stale("next", [*map(model_path, models)])


if __name__ == "__main__":
    run_tool(main)
