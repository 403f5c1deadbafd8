"""Which files are tables or markup, and which column of them has the names."""

import json
from collections.abc import Iterable

import pytest

from charlm.list_formats import find_table, is_header, names_column

NAMES = ["Ada", "Mary Ann", "Cleo", "O'Neil", "De la Cruz", "Fay", "Gwen", "Hana", "Ines", "Juno"]
WORDS = [name.replace(" ", "") for name in NAMES]
NUMBERED = list(enumerate(NAMES, start=1))


def lines(pattern: str, names: Iterable[str] = NAMES) -> list[str]:
    """Return one line per name; n is the number of the name, s is F or M in turn."""
    return [
        pattern.format(name=name, n=number, s="FM"[number % 2], count=900 // number)
        for number, name in enumerate(names, start=1)
    ]


# lines, what they have, the column of the names from 1
TABLES = {
    "tabs, rank first": (lines("{n}\t{name}\t{s}"), "2 tabs", 2),
    "tabs, last cells empty": (
        [line.rstrip("M") for line in lines("{name}\t{n}\t{s}")],
        "2 tabs",
        1,
    ),
    "tabs, ragged": (lines("{name}\t{n}")[:3] + lines("{name}\t{n}\t{s}")[3:], "2 tabs", 1),
    "commas": (lines("{name},{s},{n}"), "2 commas", 1),
    "state files of the agency": (lines("AK,{s},1910,{name},{n}"), "4 commas", 4),
    "title of names": (["id,person,surname", *lines("{n},x{n},{name}")], "2 commas", 3),
    "a word above numbers": (["who,amount", *lines("{name},{n}")], "1 comma", 1),
    "commas and spaces": (["name, sex, count", *lines("{name}, {s}, {n}")], "2 commas", 1),
    "comma, space, number": (lines("{name}, {n}"), "1 comma", 1),
    "comma, space, sex": (lines("{name}, {s}"), "1 comma", 1),
    "comma, space, title": (["Name, Town", *lines("{name}, town {s}{n}")], "1 comma", 1),
    "semicolons": (lines("{name};{n},5"), "1 semicolon", 1),
    "semicolons and spaces": (lines("{name}; {n}"), "1 semicolon", 1),
    "pipes": (lines("{n} | {name}"), "1 pipe", 2),
    "Markdown": (["| name | n |", "|:---|---:|", *lines("| {name} | {n} |")], "1 pipe", 1),
    "psql": ([" name | n ", "------+---", *lines(" {name} | {n}"), "(10 rows)"], "1 pipe", 1),
    "fixed width": (lines("{name:12}{n:6.3f} {count:5}"), "2 double spaces", 1),
    "fixed width, texts": (lines("{name:12}town {n}"), "1 double space", 1),
    "count": (lines("{name} {count}"), "a number, F or M after a space", 1),
    "vectors": (["10 3", *lines("{name} 0.{n} -2e-05 {n}", WORDS)], "a number, F or M after", 1),
    "sex and count": (lines("{name} {s} {n}", WORDS), "a number, F or M after a space", 1),
    "sex": (lines("{name} {s}"), "a number, F or M after a space", 1),
    "count first": (lines("{count} {name}", WORDS), "a number before a space", 2),
    "uniq -c": (lines("{count:7} {name}"), "a number before a space", 2),
    "colon": (lines("{name}: {n}"), "a number after a colon, dash or parenthesis", 1),
    "dash": (lines("{name} \u2013 {n}"), "a number after a colon, dash or parenthesis", 1),
    "parenthesis": (lines("{name} ({n})"), "a number after a colon, dash or parenthesis", 1),
    "dictionary of Python": (lines("  '{name}': {n},"), "a number after a colon, dash", 1),
    "object of JSON, no end": (["{", *lines('  "{name}": {n},')], "a number after a colon", 1),
    "equals sign": (lines("{name} = {n}"), "an equals sign", 1),
    "a key": (lines("name={name}"), "an equals sign", 2),
    "quotes": (lines('"{name}",'), "quotation marks", 1),
    "comma at the end": (lines("{name},"), "a comma or semicolon at the end", 1),
    "numbered": (lines("{n}. {name}"), "a number in front", 1),
    "numbered, headings": (["A to Z", "=", *lines("{n}. {name}")], "a number in front", 1),
    "numbered, no space": (lines("{n}.{name}"), "a number in front", 1),
    "numbered, parenthesis": (lines("({n}) {name}"), "a number in front", 1),
    "numbered, number sign": (lines("#{n} {name}"), "a number in front", 1),
    "numbered, dash": (lines("{n} - {name}"), "a number in front", 1),
    "bullets": (["Names:", "", *lines("* {name}")], "a bullet", 1),
    "boxes": (lines("- [x] {name}"), "a bullet", 1),
    "YAML": (["names:", *lines("  - {name}")], "a bullet", 1),
    "LaTeX": (lines(r"\item {name}"), "a bullet", 1),
    "MediaWiki": (lines("# {name}"), "a number sign in front", 1),
    "HTML": (["<ul>", *lines("<li class=x>{name}</li>"), "</ul>"], "an HTML tag", 1),
    "HTML, links": (lines('<li><a href="/{n}">{name}</a> (x)'), "an HTML tag", 1),
    "comments": (["# one", "#", *lines("{name}")], "the sign of a comment", 1),
    "Hunspell": (["10", *NAMES[:7], *lines("{name}/aB", NAMES[7:])], "flags after a slash", 1),
    "Hunspell, no number": (WORDS[:3] + lines("{name}/SM", WORDS[3:]), "flags after a slash", 1),
    "JSON lines": ([json.dumps({"n": n, "name": name}) for n, name in NUMBERED], "JSON", 2),
    "JSON lines, other key": ([json.dumps({"n": n, "who": who}) for n, who in NUMBERED], "JSON", 2),
    "JSON lines, arrays": ([json.dumps([n, name]) + "," for n, name in NUMBERED], "JSON", 2),
    "JSON": (json.dumps(NAMES, indent=1).split("\n"), "JSON", 1),
    "JSON, counts": ([json.dumps(dict.fromkeys(NAMES, 5))], "JSON", 1),
    "one line": ([", ".join(NAMES)], "9 commas", 1),
    "one line of Python": ([repr(WORDS)], "9 commas", 1),
}


@pytest.mark.parametrize(("content", "label", "column"), TABLES.values(), ids=TABLES)
def test_table_is_found_with_the_column_of_names(content: list[str], label: str, column: int):
    table = find_table(["", *content])
    assert table is not None
    assert table.label.startswith(label)
    index = names_column([cells for _, cells in table.rows])
    names = [cells[index] for _, cells in table.rows[table.has_header :]]
    assert index + 1 == column
    assert names in (NAMES, WORDS)
    # no line is lost: it is a row, or left out, or blank
    used = {number for number, _ in table.rows}
    blank = {number for number, line in enumerate(["", *content], start=1) if not line}
    if label != "JSON":
        assert used | set(table.left_out) | blank == set(range(1, len(content) + 2))


LISTS = {
    "with spaces": NAMES,
    "places": ["Austin, TX", "Washington, D.C.", "Paris, France", "Nice", "Oslo", "Rome, Italy"],
    "companies": lines("{name}, Inc."),
    "surnames first": lines("{name}, Bea"),
    "semicolons and spaces": lines("{name}; Bea"),
    "number of few after a colon": [f"Psalm: {n}" for n in range(20)],
    "four names with numbers": lines("{name} {count}", NAMES[:4]),
    "bands": ["Maroon 5", "U2", "3 Doors Down", "AC/DC", "10cc", "Sum 41", "R.E.M.", "M|A", "!!!"],
    "codes": ["007", "3M", "R2-D2", "K9", "7-Eleven", "B-52", "MI6", "A1", "4chan"],
    "numbers": [f"{n:03}" for n in range(20)],
    "numbers of few series": [f"{maker} {n}" for maker in ("Boeing", "Airbus") for n in range(9)],
    "films": lines("{name} (19{n:02})"),
    "addresses": lines("{n} {name} Street"),
    "clubs": ["1. FC Ava", "Hertha", "1. FC Bea", "Ajax", "Schalke 04", "TSG 1899 Cy", "Real"],
    "chemicals": [
        *("1,2-dichlorobenzene", "N,N-dimethylformamide", "Iron(III) oxide", "Vitamin B12"),
        *("2,4,6-trinitrotoluene", "4'-aminobenzene", "Benzene, 1,2-dichloro-", "H2O", "Red 40"),
    ],
    "SMILES": ["CCO", "C=C", "CC(=O)O", "c1ccccc1", "O=C=O", "C#N", "[Na+].[Cl-]", "N#N"],
    "time zones": ["Europe/Oslo", "Asia/Tokyo", "America/New_York", "Etc/GMT", "Africa/Accra"],
    "media types": ["text/html", "image/png", "audio/ogg", "video/mp4", "font/woff2"],
    "identifiers": ["std::map", "std::sort", "std::list", "std::pair", "std::set"],
    "verses": [f"Ruth {chapter}:{verse}" for chapter in range(1, 4) for verse in range(1, 9)],
    "endings": ["-ness", "-ing", "-ed", "-ly", "-tion"],
    "symbols": ["#", "$", "-", "*", "1.", "<b>", "|", ";", ","],
    "hashtags": ["#love", "#art", "#1", "#", "#sun"],
    "phones": [f"+44 20 {n:04}" for n in range(0, 9000, 700)],
    "brackets": ["[Ada]", "[Bea]", "{Cy}"],
    "one name with a number": ["Area 51"],
    "one name with a comma": ["Apple, Inc."],
    "no lines": [],
    "blank lines": ["", " "],
}


@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS)
def test_list_is_no_table(content: list[str]):
    assert find_table(content) is None


def test_rows_with_a_split_name_are_left_out_with_their_numbers():
    content = [*lines("{name},{n}"), "Lee, Jr., Bo,7", "no cells"]
    content[4] = "Bo,Jr,6"
    table = find_table(content, max_share=0.5)
    assert table is not None
    assert table.left_out == [5, 12]
    assert [cells[0] for _, cells in table.rows] == [*NAMES[:4], *NAMES[5:], "Lee, Jr., Bo"]


def test_half_of_the_lines_are_enough_where_a_table_is_asked_for():
    content = [*lines("{name},{n}"), *NAMES[:5]]
    assert find_table(content) is None
    table = find_table(content, max_share=0.5)
    assert table is not None
    assert (table.label, table.matches, len(table.left_out)) == ("1 comma", 10, 5)


def test_quotes_protect_separators_and_entities_are_text():
    table = find_table(lines('"{name}, ""x""",{n}'))
    assert table is not None
    assert table.rows[0] == (1, ['Ada, "x"', "1"])
    table = find_table(lines("<li>{name} &amp; &eacute;</li>"))
    assert table is not None
    assert table.rows[0] == (1, ["Ada & é"])


@pytest.mark.parametrize("first", ["name", "Surname", "first_name", "Words", "Nachname", "2"])
def test_title_or_number_of_the_others_is_a_header(first: str):
    assert is_header([first, "Ada", "Bea"])


@pytest.mark.parametrize("first", ["Nameera", "007", "3", "Ada"])
def test_name_is_no_header(first: str):
    assert not is_header([first, "Ada", "Bea"])


@pytest.mark.parametrize("first", ["NA", "n/a", "-", "unknown", ""])
def test_missing_number_beside_the_first_name_makes_no_header(first: str):
    table = find_table([f"Zoe,{first},x", *lines("{name},{n},x")])
    assert table is not None
    assert not table.has_header


def test_time_is_linear_in_the_length_of_a_line():
    # minutes each, while a regex tried all ways to split the line
    for line in ("x" + " " * 200_000 + "y", "\t" * 200_000 + "x", "愛" * 200_000):
        assert find_table([line, "Ada"]) is None
