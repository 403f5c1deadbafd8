"""Print a row of audit/pages/ in full, with the command that gives its value.

    python -m audit.show 002 4.2    row 4.2 of audit/pages/002.md

Where that command is a test, it runs, and what it compares is printed with the value computed anew:
the comparisons with most of the notebook's numbers if it has many. Values of recipes and plain
loops are the recorded ones.
"""

import contextlib
import io
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from audit import notebooks
from charlm.core.errors import InputError
from tools.program import argument_parser, run_tool
from tools.recipes import bands
from tools.recipes.catalog import load, read_sections

OTHER_NOTEBOOK = "[0"  # how the name of a case of one notebook begins: `[003] three names`
NUMBER = re.compile(r"-?\d[\d.]*")
MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)|\\([\\*<|])")  # a link, an escape


class Comparisons:
    """A plugin of pytest that collects what the cases of one notebook compare."""

    def __init__(self, notebook: str) -> None:
        self.notebook = notebook
        self.values: dict[tuple[str, str], None] = {}  # as written, and computed; each once
        self.problems: list[str] = []

    def pytest_assertion_pass(self, item: pytest.Item, orig: str, expl: str) -> None:
        """Note a comparison that holds: as written, and with its values."""
        case = item.name.partition("[")[2].removesuffix("]")
        if case.startswith(OTHER_NOTEBOOK) and not case.startswith(f"[{self.notebook}]"):
            return
        # right of `==` is what the test expects; further lines say where a value comes from
        written, value = (
            text.rpartition(" == ")[0] or text
            for text in (" ".join(orig.split()), expl.splitlines()[0])
        )
        self.values[written, value] = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that fails or is skipped."""
        if report.failed or report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "see pytest"
            self.problems.append(f"  {report.nodeid}: {report.outcome}: {reason}")


def most_alike(values: Iterable[tuple[str, str]], printed: str) -> list[tuple[str, str]]:
    """Return the values with most of the numbers that a notebook prints; all if none has any.

    >>> most_alike([("a", "0.0478"), ("b", "[0.0478, 0.0377]"), ("c", "'emma'")], "0.0478, 0.0377")
    [('b', '[0.0478, 0.0377]')]

    Args:
        values: comparisons as written, and the values computed.
        printed: by the notebook; only numbers of three characters and more count.
    """
    wanted = {number for number in NUMBER.findall(printed) if len(number) > 2}
    found = {pair: len(wanted & {*NUMBER.findall(pair[1])}) for pair in values}
    most = max(found.values(), default=0)
    return [pair for pair, count in found.items() if count == most]


def recompute(path: str, name: str, notebook: str, printed: str = "") -> list[str]:
    """Run the tests of a file whose names contain `name`; return what they compare, in lines."""
    # compiled by a run that collects no comparisons
    for compiled in Path(path).parent.glob(f"__pycache__/{Path(path).stem}.*-pytest-*.pyc"):
        compiled.unlink(missing_ok=True)
    found = Comparisons(notebook)
    options = ("-n0", "-vv", "-p", "no:cacheprovider", "-o", "enable_assertion_pass_hook=true")
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([path, "-k", name, *options], plugins=[found])
    values = most_alike(found.values, printed)
    lines = [f"  {written}\n    {value}" for written, value in values] + found.problems
    return lines or ["  no test has run; see pytest"]


def show(notebook: str, number: str) -> str:
    """Return a row of a page, in lines.

    Raises:
        InputError: there is no such notebook or row.
    """
    known = read_sections(notebooks.SOURCE, notebooks.Notebook)
    if notebook not in known:
        raise InputError(f"no notebook {notebook!r}; there are {', '.join(known)}")
    figures = notebooks.figures_of(known[notebook])
    if number not in figures:
        raise InputError(
            f"[{notebook}] has no row {number!r}; it has {next(iter(figures))} to "
            f"{[*figures][-1]}: {notebooks.FOLDER}/{notebook}.md"
        )
    item, groups = figures[number], load()
    row = notebooks.row_of(number, item, notebooks.values(groups), bands.load())
    cells = {
        header: MARKUP.sub(r"\1\2", cell)
        for header, cell in zip(notebooks.HEADERS, row, strict=True)
        if cell
    }
    width = max(map(len, cells))
    lines = [f"{header:{width}}  {cell}" for header, cell in cells.items()]
    for path, name in notebooks.PYTEST.findall(item.command or ""):
        lines += ["", f"{path} -k {name}:", *recompute(path, name, notebook, item.printed or "")]
    return "\n".join(lines)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("notebook", help="such as 002")
    parser.add_argument("row", help="such as 4.2")
    arguments = parser.parse_args()
    print(show(arguments.notebook, arguments.row))


if __name__ == "__main__":
    run_tool(main)
