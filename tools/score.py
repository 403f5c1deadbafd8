"""Show how probable names are under the trained models.

python -m tools.score emma                          one name: character by character
python -m tools.score emma jq anubhavm              several: one line per name and model
python -m tools.score emma jq --steps --model mlp   several, character by character, under one model
python -m tools.score -f my_names.txt --json
"""

import argparse
import json
import math
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from charlm.core.errors import InputError
from charlm.core.storage import model_path, read_bytes
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.models.base import Model, context_size
from charlm.models.registry import MODELS, load_models
from charlm.names import parse_list, parse_names
from tools.dvc_state import warn_if_stale
from tools.hints import lower_case_hint
from tools.program import argument_parser, run_tool

MAX_NLL = 700  # nats; the exponential of more is no longer a float
COLUMNS = ("name", "model", "log-likelihood", "mean NLL", "likelihood", "perplexity")


class Step(NamedTuple):
    """One character of a name, as a model predicts it."""

    context: str
    next: str
    log_probability: float  # nats; minus infinity where the probability is 0


def score(name: str, model: Model, vocabulary: Vocabulary) -> list[Step]:
    """Return the log-probability of each character of a name, and of its end.

    Raises:
        InputError: a character of the name is not in the vocabulary.
    """
    try:
        examples = build_examples([name], vocabulary, context_size([model], len(name)))
    except ValueError as error:
        raise InputError(f"{name!r}: {error}{lower_case_hint(name, vocabulary)}") from None
    contexts, targets = examples["contexts"], examples["targets"].tolist()
    rows = model.log_probabilities(contexts)
    sizes = range(1, len(name) + 2) if model.reads_whole_names else repeat(model.block_size)
    return [
        Step(vocabulary.decode(context[-size:]), vocabulary.itos[target], row[target].item())
        for context, size, target, row in zip(contexts, sizes, targets, rows, strict=False)
    ]


def total_nll(steps: list[Step]) -> float:
    """Return the negative log-likelihood of a whole name, in nats."""
    return -math.fsum(step.log_probability for step in steps)


def perplexity(nll: float) -> float:
    """Return the exponential of an average NLL; infinite if that is too large for a float."""
    return math.exp(nll) if nll < MAX_NLL else math.inf


def as_json(steps: list[Step]) -> dict[str, object]:
    """Return the mean, the sum and the steps; null for what is infinite."""
    total = total_nll(steps)
    finite = math.isfinite(total)
    return {
        "nll": total / len(steps) if finite else None,
        "sum": total if finite else None,
        "steps": [
            {"context": context, "next": symbol, "probability": math.exp(log_probability)}
            for context, symbol, log_probability in steps
        ],
    }


def as_text(name: str, model: str, steps: list[Step]) -> str:
    """Return a table of the steps, and a line that adds them up.

    >>> print(as_text("a", "m", [Step(".", "a", math.log(0.5)), Step("a", ".", -math.inf)]))
    a under m
      .  →  a   0.500000   -0.6931
      a  →  .   0.000000      -inf
      sum inf, mean inf, perplexity inf: a is never followed by .
    """
    total = total_nll(steps)
    mean = total / len(steps)
    ruled_out = [step for step in steps if step.log_probability == -math.inf]
    lines = [f"{name} under {model}"]
    for context, symbol, log_probability in steps:
        probability = f"{math.exp(log_probability):.6f} {log_probability:9.4f}"
        lines.append(f"  {context}  →  {symbol}   {probability}")
    why = "".join(f": {step.context} is never followed by {step.next}" for step in ruled_out[:1])
    lines.append(f"  sum {total:z.4f}, mean {mean:z.4f}, perplexity {perplexity(mean):.4f}{why}")
    return "\n".join(lines)


def as_row(name: str, model: str, steps: list[Step]) -> tuple[str, ...]:
    """Return the cells of COLUMNS.

    >>> as_row("a", "m", [Step(".", "a", math.log(0.5)), Step("a", ".", math.log(0.25))])
    ('a', 'm', '-2.0794', '1.0397', '0.125', '2.8284')
    """
    total = total_nll(steps)
    mean = total / len(steps)
    is_too_small = MAX_NLL <= total < math.inf
    likelihood = f"< {math.exp(-MAX_NLL):.0e}" if is_too_small else f"{math.exp(-total):.4g}"
    return name, model, f"{-total:z.4f}", f"{mean:z.4f}", likelihood, f"{perplexity(mean):.5g}"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("names", nargs="*", help="names to score")
    parser.add_argument("-f", "--file", type=Path, help="a file of names, one per line")
    parser.add_argument(
        "--model", action="append", choices=MODELS, help="only this model; can be repeated"
    )
    parser.add_argument(
        "--steps",
        action=argparse.BooleanOptionalAction,
        help="show each character, or do not; without either, only if there is one name",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with each character")
    arguments = parser.parse_args()
    names = parse_names(arguments.names, "argument")
    if arguments.file:
        names += parse_list(read_bytes(arguments.file), str(arguments.file), any_lines=True).names
    if not names:
        parser.error("no names: give some, or a file of them with -f")

    vocabulary = read_vocabulary()
    models = load_models(len(vocabulary), tuple(arguments.model or MODELS))
    unique = list(dict.fromkeys(names))
    scored = [
        (name, title, score(name, model, vocabulary))
        for name in unique
        for title, model in models.items()
    ]
    show_steps = len(unique) == 1 if arguments.steps is None else arguments.steps
    if arguments.json:
        scores: dict[str, dict[str, object]] = {name: {} for name in unique}
        for name, title, steps in scored:
            scores[name][title] = as_json(steps)
        print(json.dumps(scores, indent=2, ensure_ascii=False, allow_nan=False))
    elif show_steps:
        print("\n\n".join(as_text(*item) for item in scored))
    else:
        align = ("left", "left", *["right"] * 4)
        rows = [as_row(*item) for item in scored]
        print(tabulate(rows, COLUMNS, disable_numparse=True, colalign=align))
    warn_if_stale("score", [*map(model_path, models)])


if __name__ == "__main__":
    run_tool(main)
