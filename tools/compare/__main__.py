"""Compare two models, or two recipes, by their losses on the same names: is one really better?

    python -m tools.compare A B                          two trained models
    python -m tools.compare --a A1 A2 A3 --b B1 B2 B3    two recipes, each run with several seeds
    python -m tools.compare A --model mlp --other bigram_count

A and B are commits, branches, tags, experiments, or `workspace`, the folder as it is. Their scores
are read from DVC's cache; nothing is checked out. Only names count that both sides hold out and
neither trained on. Scores of a stage whose inputs changed since it ran are refused.
"""

import argparse
import json
import sys

from tabulate import tabulate

from charlm.core.errors import InputError
from tools.compare.runs import (
    Comparison,
    add_options,
    caveats,
    compare_runs,
    known_models,
    read_run,
)
from tools.dvc_state import WORKSPACE
from tools.program import argument_parser, run_tool


def as_text(rows: list[Comparison], style: str) -> str:
    """Return the rows as a table in one of tabulate's styles."""

    def number(value: float | None, form: str) -> str:
        return "none" if value is None else format(value, form)

    cells = [
        (
            row.model,
            f"{row.split} (fitted)" if row.fitted else row.split,
            number(row.a, ".4f"),
            number(row.b, ".4f"),
            number(row.difference, "+.5f"),
            f"{number(row.low, '+.5f')} to {number(row.high, '+.5f')}",
            f"{row.names:,}",
            ("B is " if row.verdict in ("better", "worse") else "") + row.verdict + row.detail,
        )
        for row in rows
    ]
    headers = ("model", "split", "A", "B", "B - A", "95 % interval", "names", "verdict")
    align = ("left", "left", "right", "right", "right", "right", "right", "left")
    return tabulate(cells, headers, tablefmt=style, disable_numparse=True, colalign=align)


def as_json(rows: list[Comparison]) -> str:
    """Return the rows as a list for programs."""
    fields = [field for field in Comparison._fields if field != "detail"]
    return json.dumps([{field: getattr(row, field) for field in fields} for row in rows], indent=2)


def parse_sides(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> tuple[list[str], list[str]]:
    """Return the revisions of A and of B, or exit and say what is wrong with the arguments."""
    given, a, b = arguments.revisions, arguments.a, arguments.b
    values = [*given, *(a or []), *(b or []), arguments.model, arguments.other]
    if any(value is not None and not value.strip() for value in values):
        parser.error("a revision or model is empty; is a shell variable unset?")
    if arguments.other and not arguments.model:
        parser.error("--other needs --model")
    if a or b:
        if given or not (a and b):
            parser.error("give A and B, or both --a and --b")
        return a, b
    if len(given) == 1 and arguments.other:
        return given, given
    if len(given) != 2:
        parser.error("give A and B, or one revision with --model and --other, or --a and --b")
    return given[:1], given[1:]


def main() -> None:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add(
        "revisions",
        nargs="*",
        metavar="REVISION",
        help=f"A and B: a commit, branch, tag or experiment, or {WORKSPACE}",
    )
    add("--a", nargs="+", metavar="A", help="several runs of one recipe")
    add("--b", nargs="+", metavar="B", help="several runs of another")
    add("--model", help="only this model")
    add("--other", metavar="MODEL", help="with --model: the model to take of B")
    add_options(parser)
    add("--fail-if-worse", action="store_true", help="status 1 if B is worse or cannot be compared")
    arguments = parser.parse_args()
    names_a, names_b = parse_sides(parser, arguments)
    notes: list[str] = []
    try:
        runs = {revision: read_run(revision) for revision in dict.fromkeys(names_a + names_b)}
        a, b = ([runs[revision] for revision in side] for side in (names_a, names_b))
        if arguments.model:
            other = arguments.other or arguments.model
            label = arguments.model if other == arguments.model else f"{arguments.model} → {other}"
            models = {label: (arguments.model, other)}
        else:
            shared = set.intersection(*(set(known_models(run)) for run in a + b))
            models = {model: (model, model) for model in known_models(a[0]) if model in shared}
            every = dict.fromkeys(model for run in a + b for model in known_models(run))
            if left_out := [model for model in every if model not in shared]:
                notes.append(f"Left out, as not all runs scored them: {', '.join(left_out)}.")
        rows = compare_runs(a, b, models, arguments.negligible)
    except InputError as error:
        raise InputError(f"compare: {error}") from None

    if arguments.json:
        print(as_json(rows))
    else:
        what = "recipes" if len(a) + len(b) > 2 else "trained models"
        print(f"A: {', '.join(names_a)}\nB: {', '.join(names_b)}\n")
        print(as_text(rows, "pipe" if arguments.md else "simple"))
        print(
            f"\nNats per character, for these two {what}, on names that both sides hold out and "
            "neither trained on."
        )
    notes += caveats(a, b, {model for both in models.values() for model in both})
    for note in notes:
        print(note, file=sys.stderr if arguments.json else sys.stdout)
    failing = ("worse", "cannot be compared")
    if arguments.fail_if_worse and any(row.verdict in failing for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    run_tool(main)
