"""List the programs in this folder, one line each.

python -m tools            lists them
python -m tools.NAME -h    what NAME does, with examples
"""

import ast
from pathlib import Path

from tabulate import tabulate

from tools.program import argument_parser, run_tool

FOLDER = Path(__file__).parent
PROGRAMS = {
    "To use the pipeline": (
        *("use", "score", "next", "generate", "export"),
        *("compare", "sweep", "recipes", "report", "plots_offline", "add_network"),
    ),
    "To maintain it": ("verify", "rescue", "environment", "deps", "tables"),
}


def first_line(name: str) -> str:
    """Return the first line of a program's docstring, without importing the program."""
    path = FOLDER / f"{name}.py"
    path = path if path.exists() else FOLDER / name / "__main__.py"
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0].rstrip(":.")


def main() -> None:
    argument_parser(__doc__).parse_args()
    for title, names in PROGRAMS.items():
        lines = [(f"  python -m tools.{name}", first_line(name)) for name in names]
        print(f"{title}:\n{tabulate(lines, tablefmt='plain')}")


if __name__ == "__main__":
    run_tool(main)
