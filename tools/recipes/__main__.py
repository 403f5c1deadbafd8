"""Run the notebooks' experiments and compare their numbers with those of the notebooks.

    python -m tools.recipes                 lists the recipes of audit/recipes.yaml, and about how
                                            long each takes if DVC's cache has none of its results
    python -m tools.recipes NAME ...        runs these as DVC experiments of the same names
    python -m tools.recipes NAME -S mlp.lr=0.5
                                            runs NAME, and NAME with this change as the experiment
                                            NAME-mlp.lr=0.5, and shows both beside each other

The workspace stays as it was. An experiment that exists for the same code and parameters is not run
again.
"""

import math
import os
import re
from typing import Any

from tabulate import tabulate

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes
from charlm.core.yaml_files import parse_yaml
from tools.experiments import PARAMS, estimate_s, git_name, overridden
from tools.program import argument_parser, run_tool
from tools.recipes.catalog import RECIPES, Recipe, experiments, load
from tools.recipes.figures import Result, commits_of, results, table, values
from tools.sweep.local import run_all


def duration(recipe: Recipe, settings: dict[str, Any]) -> str:
    """Return about how long a recipe takes, its experiments one per core."""
    rounds = math.ceil(len(recipe.seeds or [0]) / (os.cpu_count() or 1))
    seconds = rounds * estimate_s(settings, recipe.overrides)
    return f"{5 * round(seconds / 5)} s" if seconds < 90 else f"{round(seconds / 60)} min"


def name_of_change(name: str, changes: list[str]) -> str:
    """Return the name of a recipe with changes, as git and DVC take it.

    >>> name_of_change("final", ["mlp.lr=0.5", "evaluate.splits=[train, dev]"])
    'final-mlp.lr=0.5-evaluate.splits=train-dev'
    """
    return git_name(re.sub(r"[\[\] ]", "", "-".join([name, *changes])))


def check_changes(recipes: dict[str, Recipe], changes: list[str]) -> None:
    """Check that changes fit params.yaml and change each experiment of the recipes.

    Raises:
        InputError: they do not.
    """
    where = f"-S {' '.join(changes)}"
    for name, recipe in recipes.items():
        changed = recipe.changed(changes).experiments(name)
        for experiment, before in recipe.experiments(name).items():
            if overridden(before) == overridden(changed[experiment], where):
                raise InputError(f"{where}: changes nothing in {experiment} ({RECIPES})")


def compare(recipes: dict[str, Recipe], changes: list[str]) -> str:
    """Return a table of the figures of recipes, without and with changes.

    A change can remove a figure: 50 steps have no loss at step 99.
    """
    rows = []
    for name, recipe in recipes.items():
        own = commits_of(recipe, name)
        changed = commits_of(recipe.changed(changes), name_of_change(name, changes))
        for number, figure in enumerate(recipe.figures):
            before = Result.of(name, figure, values(figure, own))
            try:
                after = Result.of(name, figure, values(figure, changed)).ours
            except InputError:
                after = "none"
            rows.append(
                (name if number == 0 else "", figure.what, before.notebook, before.ours, after)
            )
    headers = ("recipe", "figure", "notebook", "ours", " ".join(changes))
    align = ("left", "left", "right", "right", "right")
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def main() -> None:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="recipes to run, or parts of them; none: list all")
    add("--all", action="store_true", help="run every recipe")
    add(
        "-S",
        "--set-param",
        dest="changes",
        metavar="PARAMETER=VALUE",
        action="append",
        default=[],
        help="run each recipe also with this change, as `dvc exp run` takes it; can be repeated",
    )
    arguments = parser.parse_args()
    groups = load()
    known = {name: recipe for group in groups.values() for name, recipe in group.recipes.items()}
    if unknown := set(arguments.names) - set(known) - set(groups):
        parser.error(
            f"no recipe {', '.join(sorted(unknown))}; `python -m tools.recipes` lists them, and "
            f"the parts are {', '.join(groups)}"
        )
    if arguments.changes and not (arguments.names or arguments.all):
        parser.error("-S needs recipes to change")
    if not arguments.names and not arguments.all:
        settings = parse_yaml(read_bytes(PARAMS))
        width = max(map(len, known))
        for part, group in groups.items():
            print(f"{part}: {group.title}")
            for name, recipe in group.recipes.items():
                print(f"  {name:{width}}  {duration(recipe, settings):>6}  {recipe.question}")
        return

    chosen = {
        name: recipe
        for part, group in groups.items()
        for name, recipe in group.recipes.items()
        if arguments.all or {part, name} & {*arguments.names}
    }
    changed = {}
    if arguments.changes:
        check_changes(chosen, arguments.changes)
        changed = {
            name_of_change(name, arguments.changes): recipe.changed(arguments.changes)
            for name, recipe in chosen.items()
        }
    run_all(dict(experiments((chosen | changed).items())))
    print(compare(chosen, arguments.changes) if changed else table([*results(chosen)], "simple"))


if __name__ == "__main__":
    run_tool(main)
