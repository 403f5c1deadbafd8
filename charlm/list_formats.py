"""Recognise a table or markup where a plain list, one name per line, is expected."""

import html
import json
import re
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

SAMPLE_SIZE = 1000  # lines to try a format on first, and rows to judge a column by
MIN_SHARE = 0.9  # of lines, to have a format; of the cells of a column, to be numbers
MIN_ROWS = 5  # of names with numbers: "Area 51" is a name
NUMBER = r"[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?%?"
LETTER = r"[^\W\d_]"
NUMBER_OR_LETTER = f"{NUMBER}|.?"  # a rank, count or sex
QUOTED = re.compile('"(.*)"')
COMMENT = re.compile(r"#+(?:\s.*)?")
RULE = re.compile("[-+:=]*")  # a cell of the line below a header in Markdown
NO_TITLE = re.compile(rf"(?!{LETTER}).*|n/?a|nan|none|null|unknown", re.IGNORECASE)
TITLE = re.compile(
    "(?:(?:first|last|given|family|full|fore|sur|middle|nick|baby)[ _-]?)?names?|words?|tokens?"
    "|terms?|(?:vor|nach)?namen?|nom|prénom|nombre|apellido|nome|cognome|имя|фамилия",
    re.IGNORECASE,
)
Split = Callable[[str], list[str]]  # of a line into cells; none if it does not have the format
Line = tuple[int, str]  # number and text
Row = tuple[int, list[str]]  # number of the line, and cells


class Table(NamedTuple):
    """The lines of a file that is not a plain list, split into columns."""

    label: str  # what makes it one
    matches: int  # lines that have it
    first: int  # number of the first one
    rows: list[Row]
    has_header: bool  # in the first row
    left_out: list[int]  # numbers of the lines without a row

    @classmethod
    def of(cls, label: str, matches: int, first: int, rows: list[Row], lines: list[Line]) -> Self:
        """Return the table of these lines; its first row is a header if it looks like one."""
        used = {number for number, _ in rows}
        left_out = [number for number, _ in lines if number not in used]
        return cls(label, matches, first, rows, has_header([row for _, row in rows]), left_out)


def common_width(rows: list[list[str]]) -> int:
    """Return the most common number of cells."""
    return Counter(map(len, rows)).most_common(1)[0][0]


class Format(NamedTuple):
    """How to recognise the lines of one format, and to split them into columns."""

    label: str  # what such a line has; {} is replaced by the number of separators
    split: Split
    min_share: float = MIN_SHARE  # of the lines
    needs_counts: bool = False  # see has_counts; "Paris, France" is a name
    keeps_others: bool = False  # lines without the format are names, too
    after_number: bool = False  # only if the first line is a number

    def read(self, lines: list[Line], min_share: float) -> Table | None:
        """Return the table that lines are; None if too few of them have the format."""
        starts_with_number = lines[0][1].strip().isdecimal()
        rows = [(number, cells) for number, line in lines if (cells := self.split(line))]
        if not rows or (self.after_number and not starts_with_number):
            return None
        cell_lists = [cells for _, cells in rows]
        width, first = common_width(cell_lists), rows[0][0]
        matches = sum(len(cells) == width for cells in cell_lists)
        if matches < min_share * len(lines) or (self.needs_counts and not has_counts(cell_lists)):
            return None
        if self.keeps_others:
            rows = [(number, self.split(line) or [line.strip()]) for number, line in lines]
            rows = rows[starts_with_number:]
        elif len(lines) == 1:  # all names are in it, perhaps in brackets and quotes of Python
            rows = [(first, [cell.strip("[('\")]")]) for cell in cell_lists[0]]
        else:  # where there are more cells, a name may be split
            rows = [row for row in rows if len(row[1]) <= width]
        label = self.label.format(width - 1) + "s" * ("{}" in self.label and width > 2)
        return Table.of(label, matches, first, rows, lines)


def separated(separator: str, ends: str | None = None) -> Split:
    """Return a function that splits a line at a separator, a regex, outside of double quotes.

    Characters of `ends` are stripped first; None: spaces of all kinds. A line in which less than
    two cells have text is not split.

    >>> separated(",")('"Lee, Ada",F'), separated(",")("Ada,")
    (['Lee, Ada', 'F'], [])
    """
    cell = re.compile(rf'(?:^|{separator}) *("(?:[^"]|"")*"|.*?) *(?={separator}|$)')

    def split(line: str) -> list[str]:
        cells: list[str] = cell.findall(re.sub(" {3,}", "  ", line.strip(ends)))
        if sum(map(bool, cells)) < 2 or all(map(RULE.fullmatch, cells)):
            return []
        return [
            match[1].replace('""', '"') if (match := QUOTED.fullmatch(text)) else text
            for text in cells
        ]

    return split


def matched(pattern: str) -> Split:
    r"""Return a function that splits a line into the groups of a regex.

    >>> matched(r"(\S+) (\d+)")("Ada 5"), matched(r"(\S+) (\d+)")("Ada")
    (['Ada', '5'], [])
    """
    whole = re.compile(rf"\s*(?:{pattern})\s*")

    def split(line: str) -> list[str]:
        match = whole.fullmatch(re.sub(r"\s{3,}", "  ", line))
        return [cell.strip() for cell in match.groups() if cell] if match else []

    return split


TAGGED = matched(r"(?:<[A-Za-z][^<>]*>\s*)+([^<>]*[^<>\s])\s*(?:<.*)?")


def tagged(line: str) -> list[str]:
    """Return the first text between HTML tags, as the one cell of a line that begins with a tag."""
    return [html.unescape(cell) for cell in TAGGED(line)]


FORMATS = (
    Format("an HTML tag", tagged, 0.6),
    Format(
        "a bullet",
        matched(r"(?:[-*+•‣◦▪·\u2013\u2014>]|\\item)\s+(?:\[[ xX]?\]\s+)?(\S.*)"),
        0.6,
    ),
    Format(
        "a number in front",
        matched(
            rf"[(\[#]?\d+(?:[.):\]]+(?:\s+|(?={LETTER}))|\s+[-\u2013\u2014]\s+)(\S.*)"
            r"|(?:#\d+|[a-zA-Z]\))\s+(\S.*)"
        ),
        0.6,
    ),
    Format("a number sign in front", matched(r"#+\s+(\S.*)"), 0.95),
    Format("quotation marks", matched(r"[\"'“\u2018«„]([^\"]*)[\"'”\u2019»“][,;]?")),
    Format(
        "a number after a colon, dash or parenthesis",
        matched(
            r"[\"']?([^\d:\"]*[^\d:\"'\s])[\"']?"
            # no year of four digits in parentheses
            r"(?:\s*:\s*|\s+[-\u2013\u2014→]+>?\s+|\s*\((?![12]\d{3}\)))"
            rf"({NUMBER})\)?(?:,|\s.*)?"
        ),
        0.8,
        needs_counts=True,
    ),
    Format("{} tab", separated("\t", " "), 0.6),
    Format("{} pipe", separated(r"\|", " |"), 0.6),
    Format("{} semicolon", separated(";(?! )")),
    Format("{} comma", separated(",(?! )")),
    Format("{} semicolon", separated(r";\s*"), needs_counts=True),
    Format("{} comma", separated(r",\s*"), needs_counts=True),
    Format("a comma or semicolon at the end", matched(r"(.*\S)[,;]")),
    Format("{} double space", separated(" {2,}")),
    Format("an equals sign", matched(r"([\w .'-]*\w)\s*=>?\s*([^=]*[^=\s])")),
    # the first line of a dictionary of Hunspell is the number of its words, some without flags
    Format(
        "flags after a slash",
        matched(r"([^/]+)/\S+(?:\s.*)?"),
        0.1,
        keeps_others=True,
        after_number=True,
    ),
    Format("flags after a slash", matched(r"([^/\s]+)/[A-Z\d,]+"), 0.6, keeps_others=True),
    Format(
        "a number, F or M after a space",
        matched(
            rf"(?=\S*{LETTER})(\S+)(?: +[FfMm])?(?: +({NUMBER}))+"
            rf"|(?=.*{LETTER})(.*\S) +({NUMBER}|[FfMm])"
        ),
        needs_counts=True,
    ),
    # indented by `uniq -c`, it may be before several words; "12 Main Street" is a name
    Format(
        "a number before a space",
        matched(rf"(?<=\s\s)({NUMBER}) +(\S.*)|({NUMBER}) +((?=\S*{LETTER})\S+)"),
        needs_counts=True,
    ),
)


def find_table(lines: list[str], max_share: float = 1) -> Table | None:
    """Return the table, or the list with markup, that lines are; None if they are a plain list.

    Args:
        lines: of a file, also those that are blank.
        max_share: of the lines, to be enough for a format that needs more.
    """
    numbers = array("L", (number for number, line in enumerate(lines, start=1) if line.strip()))
    if not numbers:
        return None

    def numbered(some: Sequence[int]) -> list[Line]:  # of all lines: as large as the lines
        return [(number, lines[number - 1]) for number in some]

    if lines[numbers[0] - 1].lstrip().startswith(("[", "{")) and (
        table := read_json(numbered(numbers))
    ):
        return table
    sample = numbered(numbers[:: len(numbers) // SAMPLE_SIZE + 1])
    for candidate in FORMATS:
        share = min(candidate.min_share, max_share)
        if candidate.read(sample, MIN_SHARE * share) and (
            table := candidate.read(numbered(numbers), share)
        ):
            return table
    comments = [number for number in numbers if lines[number - 1].lstrip().startswith("# ")]
    if not comments:
        return None
    filled = numbered(numbers)
    names = [(number, [line.strip()]) for number, line in filled]
    names = [row for row in names if not COMMENT.fullmatch(row[1][0])]
    if not names:
        return None
    return Table.of("the sign of a comment", len(comments), comments[0], names, filled)


def read_json(lines: list[Line]) -> Table | None:
    """Return the table that numbered lines are in JSON; None if they are none.

    It is an array, one array or object per line, or an object of names and their counts. Keys of
    objects become a header.
    """
    whole = parse_json("\n".join(line for _, line in lines))
    if isinstance(whole, dict):
        is_flat = not any(isinstance(value, (list, dict)) for value in whole.values())
        values = [(1, item) for item in whole.items()] if is_flat else []
    elif whole is not None:
        values = [(1, value) for value in whole]
    else:
        parsed = [(number, parse_json(line.rstrip(", "))) for number, line in lines]
        values = [(number, value) for number, value in parsed if value is not None]
        if len(values) < MIN_SHARE * len(lines):
            return None
    if not values:
        return None
    objects = [value for _, value in values if isinstance(value, dict)]
    keys = list(dict.fromkeys(key for value in objects for key in value))
    rows = [(values[0][0], keys)] if keys else []
    rows += [(number, json_cells(value, keys)) for number, value in values]
    table = Table.of("JSON", len(values), values[0][0], rows, lines if whole is None else [])
    return table._replace(has_header=bool(keys))


def json_cells(value: Any, keys: list[str]) -> list[str]:
    """Return the cells of a value in JSON: those of an array, or of an object in order of keys."""
    if isinstance(value, dict):
        value = [value.get(key, "") for key in keys]
    cells = value if isinstance(value, (list, tuple)) else [value]
    return [cell if isinstance(cell, str) else json.dumps(cell) for cell in cells]


def parse_json(text: str) -> Any:
    """Return the array or object that a text is in JSON; None if it is neither.

    >>> parse_json('["Ada", "Bea"]'), parse_json("[Ada]")
    (['Ada', 'Bea'], None)
    """
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def mostly(pattern: str, cells: Sequence[str]) -> bool:
    """Tell whether nearly all cells match a regex.

    >>> mostly("a|b", ["a"] * 9 + ["c"]), mostly("a|b", ["a", "c"])
    (True, False)
    """
    return sum(bool(re.fullmatch(pattern, cell)) for cell in cells) >= MIN_SHARE * len(cells)


def is_header(names: Sequence[str]) -> bool:
    """Tell whether the first of some names seems to be the title or the number of the others.

    >>> is_header(["Surname", "Lee"]), is_header(["2", "Lee", "Ray"]), is_header(["007", "Lee"])
    (True, True, False)
    """
    return bool(TITLE.fullmatch(names[0])) or names[0] == str(len(names) - 1)


def is_titled(column: Sequence[str]) -> bool:
    """Tell whether the first cell of a column, and no other one, is a title of names."""
    return bool(TITLE.fullmatch(column[0])) and column[0] not in column[1:]


def columns(rows: list[list[str]]) -> list[tuple[str, ...]]:
    """Return the columns of the first rows that have the most common number of cells."""
    width = common_width(rows)
    return list(zip(*[row for row in rows if len(row) == width][:SAMPLE_SIZE], strict=True))


def has_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row seems to be a header: it has a title, or a word above numbers.

    >>> has_header([["Ada", "n"], ["Bea", "5"]]), has_header([["Ada", "6"], ["Bea", "5"]])
    (True, False)
    """
    by_column = columns(rows)
    if len(by_column) == 1:
        return is_header([row[0] for row in rows])
    return any(
        is_titled(column)
        or (len(column) > 1 and mostly(NUMBER, column[1:]) and not NO_TITLE.fullmatch(column[0]))
        for column in by_column
    )


def has_counts(rows: list[list[str]]) -> bool:
    """Tell whether names that differ have numbers, the letters F and M, or titles beside them."""
    if len(rows) < MIN_ROWS:
        return len(rows) == 1 and len(rows[0]) > 2  # more than two names in one line
    by_column = columns(rows)
    names = by_column[names_column(rows)]
    return 2 * len(set(names)) >= len(names) and any(
        mostly(NUMBER, column)
        or (mostly("[FfMm]", column) and len(set(column)) > 1)
        or is_titled(column)
        for column in by_column
    )


def names_column(rows: list[list[str]]) -> int:
    """Return the index of the column that seems to hold the names.

    It has a title of names, or is the first one with many different texts.

    >>> names_column([["1", "F", "Ada"], ["2", "F", "Bea"], ["3", "M", "Cy"]])
    2
    """
    by_column = columns(rows)
    titled = [index for index, column in enumerate(by_column) if is_titled(column)]
    different = [
        0 if mostly(NUMBER_OR_LETTER, column) else len(set(column)) for column in by_column
    ]
    many = [index for index, count in enumerate(different) if 4 * count >= max(different)]
    return (titled + many)[0]
