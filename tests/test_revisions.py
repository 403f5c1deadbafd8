"""tools.revisions: files of a commit and of the folder, in a repository of one committed stage."""

import json
from pathlib import Path

import pytest
import yaml

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from tests.conftest import Project
from tools.lockfile import md5
from tools.revisions import Files

LISTING = json.dumps([{"md5": "1" * 32, "relpath": "dev.txt"}]).encode()
DIRECTORY = f"{md5(LISTING)}.dir"
CACHED = Path(".dvc/cache/files/md5", DIRECTORY[:2], DIRECTORY[2:])


@pytest.fixture(autouse=True)
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A commit of a text and of a stage whose output is a directory; then the text is changed."""
    project = Project(tmp_path / "clone")
    (project.root / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    write_bytes(Path(".dvc/config"), b"")
    write_bytes(Path(".gitignore"), b"/data\n/.dvc/cache\n/.dvc/tmp\n")
    write_bytes(Path("text.txt"), b"old\n")
    stage = {"cmd": "split", "outs": ["data/splits"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"split": stage}}))
    outs = [{"path": "data/splits", "hash": "md5", "md5": DIRECTORY, "size": 4, "nfiles": 1}]
    lock = {"schema": "2.0", "stages": {"split": {"cmd": "split", "outs": outs}}}
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.commit("first")
    write_bytes(Path("text.txt"), b"new\n")
    return project


def test_files_are_those_of_the_commit_or_of_the_folder(committed: Project):
    head = committed.run("git", "rev-parse", "HEAD").stdout.strip()
    at_head, here = Files("main"), Files("workspace")
    assert (at_head.commit, at_head.read("text.txt")) == (head, b"old\n")
    assert (here.commit, here.read("text.txt")) == ("", b"new\n")
    for files in (at_head, here):
        with pytest.raises(FileNotFoundError) as missing:
            files.read("gone.txt")
        assert missing.value.filename.lstrip("/") == "gone.txt"


def test_hash_of_a_file_in_an_output_directory_is_the_one_listed_in_the_cache():
    write_bytes(CACHED, LISTING)
    files = Files("HEAD")
    assert files.listed_md5("data/splits/dev.txt") == "1" * 32
    with pytest.raises(FileNotFoundError):
        files.listed_md5("data/splits/gone.txt")


def test_output_directory_that_is_not_in_the_cache_is_missing():
    files = Files("HEAD")
    for read in (files.listed_md5, files.read):
        with pytest.raises(FileNotFoundError) as missing:
            read("data/splits/dev.txt")
        assert missing.value.filename == "data/splits/dev.txt"


@pytest.mark.parametrize("revision", ["nonsense", "HEAD:text.txt", "HEAD~1", "\udcff"])
def test_revision_that_is_no_commit_is_refused(revision: str):
    with pytest.raises(InputError, match=r"^unknown Git revision, or not a commit; "):
        Files(revision)
