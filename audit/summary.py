"""Run recipes and show their figures beside those of the notebooks in audit/NOTEBOOKS.md.

python -m audit.summary            all parts of it, and a table of docs/performance.md
python -m audit.summary PART ...   some parts, such as counting
"""

from functools import partial
from pathlib import Path

from tabulate import tabulate

from charlm.core.storage import METRICS, read_bytes, read_json, write_bytes
from charlm.models.registry import FITTED_ON_DEV
from charlm.tables import parse_facts
from tools.documents import Make, fill_in, rewrite
from tools.experiments import file_of, found
from tools.program import argument_parser, run_tool
from tools.recipes.catalog import Group, experiments, load
from tools.recipes.figures import Result, results, table
from tools.sweep.local import run_all

NOTEBOOKS, PICTURES = Path("audit/NOTEBOOKS.md"), Path("audit/pictures")
PERFORMANCE = Path("docs/performance.md")


def section(group: Group, rows: list[Result]) -> str:
    """Return one group's part of audit/NOTEBOOKS.md: questions, table, notes and pictures."""
    names: dict[str, list[str]] = {}
    for name, recipe in group.recipes.items():
        if recipe.note:
            names.setdefault(recipe.note, []).append(f"`{name}`")
    parts = [
        [f"- `{name}`: {recipe.question}" for name, recipe in group.recipes.items()],
        [table(rows, "pipe")],
        [f"- {', '.join(noted)}: {note}" for note, noted in names.items()],
        [
            f'<img src="{PICTURES.name}/{path.name}" width="800" alt="{name}">'
            for name, recipe in group.recipes.items()
            for path in map(partial(picture_path, name), recipe.picture)
        ],
    ]
    return f"## {group.title}\n\n" + "\n\n".join(
        "\n".join(paragraph) for paragraph in parts if paragraph
    )


def picture_path(name: str, picture: str) -> Path:
    """Return where a recipe's picture is kept beside audit/NOTEBOOKS.md."""
    return PICTURES / f"{name}_{Path(picture).name}"


def written(name: str, group: Group, text: str) -> list[Result]:
    """Return the rows of a group that are in the text of audit/NOTEBOOKS.md."""
    content = text.partition(f"<!-- table: {name} -->")[2].partition("<!-- end -->")[0]
    lines = [line.split("|") for line in content.splitlines() if line.startswith("|")][2:]
    figures = [(key, item) for key, recipe in group.recipes.items() for item in recipe.figures]
    return [Result(*figure, line[4].strip()) for figure, line in zip(figures, lines, strict=True)]


def write(groups: dict[str, Group], rows: dict[str, list[Result]]) -> None:
    """Put the results of these groups into audit/NOTEBOOKS.md, and their pictures beside it."""
    text = read_bytes(NOTEBOOKS).decode()
    for name, group in groups.items():
        text = fill_in(text, {name: partial(section, group, rows[name])})
        for recipe_name, recipe in group.recipes.items():
            experiment = next(iter(recipe.experiments(recipe_name).items()))
            for picture in recipe.picture:
                content = file_of(found(*experiment), picture)
                write_bytes(picture_path(recipe_name, picture), content)
    write_bytes(NOTEBOOKS, text.encode())


def beat() -> str:
    """Return the losses, sizes and times of counts, networks and mixtures."""
    groups, text = load(), read_bytes(NOTEBOOKS).decode()
    ours = {
        (row.recipe, row.figure.what): row.ours
        for group in ("splits", "answer", "beyond")
        for row in written(group, groups[group], text)
    }
    seconds: dict[str, float] = read_json(Path("benchmarks/results.json"))["training_seconds"]
    parameters = int(parse_facts(read_bytes(METRICS / "mlp.csv"))["parameters"])
    rows = [
        (
            "default MLP",
            *(
                f"{read_json(METRICS / 'nll' / f'{split}.json')['mlp']:.4f} ¹"
                for split in ("dev", "dev_unseen")
            ),
            f"{ours['unique-names', 'MLP dev NLL']} ¹",
            ours["final", "test NLL"],
            f"{parameters:,}",
            f"{seconds['mlp']:.2g} s",
        )
    ]
    for title, recipe, model, size, training in (
        ("n-grams of order 6", "kneser-ney-6", "n-gram", "n-grams", "ngram_count"),
        ("both mixed", "kneser-ney-6", "mixture", "", ""),
        ("`best-mlp`", "best-mlp", "MLP", "parameters", "best-mlp"),
        ("n-grams and `best-mlp` mixed", "best-mlp", "mixture", "", ""),
    ):
        is_fitted = model in FITTED_ON_DEV
        mark, dev = ("²", f"{model} dev NLL (fitted)") if is_fitted else ("¹", f"{model} dev NLL")
        rows.append(
            (
                title,
                f"{ours[recipe, dev]} {mark}",
                f"{ours[recipe, f'{dev} of names not in train']} {mark}",
                f"{ours[f'{recipe}-unique', dev]} {mark}",
                ours[recipe, f"{model} test NLL"],
                ours[recipe, f"number of {size}"] if size else "both",
                f"{seconds[training]:.2g} s" if training else "both",
            )
        )
    headers = ("model", "dev", "dev names not in train", "dev, no name twice", "test")
    return tabulate(
        rows, (*headers, "parameters", "training"), tablefmt="pipe", disable_numparse=True
    )


TABLES: dict[str, Make] = {"beat": beat}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="none: all")
    arguments = parser.parse_args()
    groups = load()
    if unknown := set(arguments.parts) - set(groups):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(groups)}")
    groups = {name: groups[name] for name in arguments.parts or groups}
    recipes = (item for group in groups.values() for item in group.recipes.items())
    run_all(dict(experiments(recipes)))
    write(groups, {name: list(results(group.recipes)) for name, group in groups.items()})
    text = read_bytes(PERFORMANCE).decode()
    rewrite({PERFORMANCE: fill_in(text, TABLES)}, check=False)


if __name__ == "__main__":
    run_tool(main)
