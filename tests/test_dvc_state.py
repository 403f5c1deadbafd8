"""tools.dvc_state: files of revisions, and whether outputs belong to the inputs that there are."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from tests.conftest import Project, posix
from tools import dvc_state
from tools.dvc_state import Files, md5

FILES = {
    "train.py": b"a = 1\r\n",  # hashed as it is
    "params.yaml": b"mlp: {hidden: 200, lr: 2e-1}\nother: 1\n",
    "out.csv": b"name,nll\n",
    "note.txt": b"not an input\n",
    "more.yaml": b"mlp: 1\n",
}
LISTED = {"dev.bin": "d1" * 16, "train.bin": "7a" * 16}
LISTING = json.dumps([{"md5": md5, "relpath": path} for path, md5 in LISTED.items()]).encode()
DIRECTORY = f"{md5(LISTING)}.dir"
SPLITS = "5b" * 16


def cached(listing: bytes) -> Path:
    """Return where the cache has the list of a directory."""
    name = f"{md5(listing)}.dir"
    return Path(".dvc/cache/files/md5", name[:2], name[2:])


def pipeline() -> dict:
    return {
        "split": {"cmd": "split", "outs": ["splits.txt", {"contexts": {"cache": True}}]},
        "train": {
            "cmd": "train",
            "deps": ["contexts/train.bin", "splits.txt", "train.py"],
            "params": ["mlp", {"params.yaml": ["other"]}],
            "outs": [{"out.csv": {"cache": False}}],
        },
        "draw": {"cmd": "draw", "deps": ["note.txt", "out.csv"], "outs": ["picture.svg"]},
    }


def lock() -> dict:
    def entries(**md5s: str) -> list[dict]:
        return [{"path": path, "hash": "md5", "md5": value} for path, value in md5s.items()]

    return {
        "split": {"cmd": "split", "outs": entries(**{"splits.txt": SPLITS, "contexts": DIRECTORY})},
        "train": {
            "cmd": "train",
            "deps": entries(
                **{
                    "contexts/train.bin": LISTED["train.bin"],
                    "splits.txt": SPLITS,
                    "train.py": md5(FILES["train.py"]),
                }
            ),
            "params": {"params.yaml": {"mlp": {"hidden": 200, "lr": 0.2}, "other": 1}},
            "outs": entries(**{"out.csv": md5(FILES["out.csv"])}),
        },
        # drawn from another note, which out.csv does not depend on
        "draw": {"cmd": "draw", "deps": entries(**{"note.txt": "0" * 32}), "outs": []},
    }


def check(files: dict[str, bytes], stages: dict, locked: dict) -> None:
    """Check out.csv in the current folder, after these files were written to it."""
    written = {"dvc.yaml": {"stages": stages}, "dvc.lock": {"schema": "2.0", "stages": locked}}
    content = {path: yaml.safe_dump(value).encode() for path, value in written.items()} | files
    for path, value in content.items():
        write_bytes(Path(path), value)
    Files("workspace").check(["out.csv"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without git whose cache has the list of an output directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    write_bytes(Path(".dvc/config"), b"[core]\n    no_scm = true\n")
    write_bytes(cached(LISTING), LISTING)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_inputs_as_recorded_pass():
    check(FILES, pipeline(), lock())


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("path", "content", "line"),
    [
        ("train.py", b"a = 1\n", "train changed since it ran: train.py"),
        ("params.yaml", b"mlp: {hidden: 0o10, lr: 0.2}\nother: 1\n", "mlp.hidden was 200, is 8"),
        ("params.yaml", b"mlp: {hidden: 200}\nother: 1\n", "mlp.lr was 0.2, is None"),
        ("params.yaml", b"mlp: {hidden: 200, lr: 0.2}\nother: 2\n", "other was 1, is 2"),
        ("params.yaml", b"other: 1\n", "mlp was {'hidden': 200, 'lr': 0.2}, is None"),
        ("params.yaml", b"[]", r"params\.yaml: must be a mapping; found nothing"),
        ("params.yaml", b"[1]", r"got 'list' in file 'params\.yaml'"),
        ("out.csv", b"", r"out\.csv: dvc\.lock records MD5 \w{32}, found d41d8cd98f00b204"),
        ("dvc.lock", b"", r"dvc\.lock: must be a mapping; found nothing"),
        ("dvc.lock", b"stages: [1]", r"dvc\.lock: must have a mapping of stages"),
        ("dvc.lock", b"a: [", r"dvc\.lock: not valid YAML"),
        ("dvc.yaml", b"\xff\xfea", r"dvc\.yaml: not valid YAML"),
        ("dvc.yaml", b"stages: {split: {cmd: x}}", r"dvc\.yaml: no stage writes out\.csv"),
        ("dvc.lock", b"stages: {split: {outs: [1]}}", r"dvc\.lock. validation failed"),
    ],
)
def test_files_that_changed(path: str, content: bytes, line: str):
    with pytest.raises(InputError, match=line):
        check(FILES | {path: content}, pipeline(), lock())


@pytest.mark.usefixtures("folder")
def test_source_that_is_missing():
    with pytest.raises(InputError, match=r"train changed since it ran: train\.py is missing"):
        check({path: FILES[path] for path in FILES if path != "train.py"}, pipeline(), lock())


def changed_command(stages: dict, locked: dict) -> None:
    stages["train"]["cmd"] = "train --fast"


def new_dep(stages: dict, locked: dict) -> None:
    stages["train"]["deps"].append("note.txt")


def removed_dep(stages: dict, locked: dict) -> None:
    stages["train"]["deps"].remove("train.py")


def new_param(stages: dict, locked: dict) -> None:
    locked["train"]["params"]["params.yaml"].pop("other")


def removed_param(stages: dict, locked: dict) -> None:
    stages["train"]["params"] = ["mlp"]
    locked["train"]["params"]["params.yaml"]["other"] = 3


def removed_file_of_params(stages: dict, locked: dict) -> None:
    stages["train"]["params"] = [{"more.yaml": ["mlp"]}]
    locked["train"]["params"]["params.yaml"]["mlp"]["hidden"] = 300
    locked["train"]["params"]["more.yaml"] = {"mlp": 1}


def other_output(stages: dict, locked: dict) -> None:
    locked["split"]["outs"][0]["md5"] = "5c" * 16


def never_ran(stages: dict, locked: dict) -> None:
    locked.pop("split")


def many_changes(stages: dict, locked: dict) -> None:
    for entry in locked["train"]["deps"]:
        entry["md5"] = "0" * 32
    stages["train"]["cmd"] = "train --fast"


def three_changes(stages: dict, locked: dict) -> None:
    for entry in locked["train"]["deps"]:
        entry["md5"] = "0" * 32


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (changed_command, "train changed since it ran: its command; run `dvc repro`"),
        (new_dep, "train changed since it ran: note.txt is a new dep"),
        (removed_dep, "train changed since it ran: train.py is no longer a dep"),
        (new_param, "train changed since it ran: other was None, is 1"),
        (removed_param, "train changed since it ran: other was 3, is 1"),
        (removed_file_of_params, r"train changed since it ran: mlp\.hidden was 300, is 200"),
        (other_output, "train changed since it ran: splits.txt"),
        (never_ran, "stage split never ran"),
        (many_changes, "its command, contexts/train.bin, splits.txt and 1 more"),
        (three_changes, r"contexts/train\.bin, splits\.txt, train\.py; run"),
    ],
)
def test_stages_that_changed(change: Callable[[dict, dict], None], line: str):
    stages, locked = pipeline(), lock()
    change(stages, locked)
    with pytest.raises(InputError, match=line):
        check(FILES, stages, locked)


@pytest.mark.usefixtures("folder")
def test_file_inside_an_output_directory_that_changed():
    locked = lock()
    locked["train"]["deps"][0]["md5"] = "7b" * 16
    with pytest.raises(InputError, match=r"train changed since it ran: contexts/train\.bin"):
        check(FILES, pipeline(), locked)


@pytest.mark.usefixtures("folder")
def test_every_stale_stage_is_named():
    stages, locked = pipeline(), lock()
    locked["train"]["cmd"] = locked["split"]["cmd"] = "other"
    with pytest.raises(InputError, match=r"stage split changed since .*; also stale: train; run"):
        check(FILES, stages, locked)


@pytest.mark.usefixtures("folder")
def test_stage_that_dvc_yaml_no_longer_has_does_not_count():
    stages, locked = pipeline(), lock()
    stages["cut"] = stages.pop("split")
    locked |= {"cut": locked["split"]}
    locked["split"] = {"cmd": "x", "outs": [{"path": "splits.txt", "hash": "md5", "md5": "0" * 32}]}
    check(FILES, stages, locked)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (None, None),
        (("code/a.py", b"b = 2\n"), "train changed since it ran: code; run"),
        (("code/b.py", b""), "train changed since it ran: code; run"),
        (("code/notes.txt", b""), None),
    ],
)
def test_folder_of_code_is_compared_whole(
    folder: Path, edit: tuple[str, bytes] | None, line: str | None
):
    """MD5 of its list of files; a file that .dvcignore names is none of them."""
    stages, locked = pipeline(), lock()
    stages["train"]["deps"].append("code")
    listing = json.dumps([{"md5": md5(b"a = 1\n"), "relpath": "a.py"}]).encode()
    entry = {"path": "code", "hash": "md5", "md5": f"{md5(listing)}.dir", "size": 6, "nfiles": 1}
    locked["train"]["deps"].append(entry)
    files = FILES | {"code/a.py": b"a = 1\n", ".dvcignore": b"/code/*\n!/code/*.py\n"}
    files |= dict([edit]) if edit else {}
    with pytest.raises(InputError, match=line) if line else contextlib.nullcontext():
        check(files, stages, locked)


def test_sections_are_mappings_or_empty():
    assert dvc_state.parse_sections(b"mlp: {seed: 1}\nsample:\n", "params.yaml") == {
        "mlp": {"seed": 1},
        "sample": {},
    }
    with pytest.raises(InputError, match="mlp must be a mapping; found a list"):
        dvc_state.parse_sections(b"mlp: [1]", "params.yaml")
    with pytest.raises(InputError, match=r"^params\.yaml: not valid YAML: "):
        dvc_state.parse_sections(b"[" * 3000, "params.yaml")


# --- files of revisions ----------------------------------------------------------------------


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A commit of a text and of a stage whose output is a directory; then the text is changed."""
    project = Project(tmp_path / "clone")
    (project.root / ".dvc").mkdir(parents=True)
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    write_bytes(Path(".dvc/config"), b"")
    write_bytes(Path(".gitignore"), b"/data\n/.dvc/cache\n/.dvc/tmp\n")
    write_bytes(Path("text.txt"), b"old\n")
    stage = {"cmd": "split", "outs": ["data/contexts"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"split": stage}}))
    outs = [{"path": "data/contexts", "hash": "md5", "md5": DIRECTORY, "size": 4, "nfiles": 1}]
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


@pytest.mark.usefixtures("committed")
def test_hash_of_a_file_in_an_output_directory_is_the_one_listed_in_the_cache():
    write_bytes(cached(LISTING), LISTING)
    files = Files("HEAD")
    assert files.listed_md5("data/contexts/dev.bin") == LISTED["dev.bin"]
    with pytest.raises(FileNotFoundError):
        files.listed_md5("data/contexts/gone.bin")


@pytest.mark.usefixtures("committed")
def test_output_directory_that_is_not_in_the_cache_is_missing():
    files = Files("HEAD")
    for read in (files.listed_md5, files.read):
        with pytest.raises(FileNotFoundError) as missing:
            read("data/contexts/dev.bin")
        assert missing.value.filename == "data/contexts/dev.bin"


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("revision", ["nonsense", "HEAD:text.txt", "HEAD~1", "\udcff"])
def test_revision_that_is_no_commit_is_refused(revision: str):
    with pytest.raises(InputError, match=r"^unknown Git revision, or not a commit; "):
        Files(revision)


@pytest.fixture
def partial_clone(
    committed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Project]:
    """A function that clones two commits without what a filter leaves out of the first."""

    def clone(objects: str) -> Project:
        committed.commit("second")
        committed.run("git", "config", "uploadpack.allowFilter", "true")
        project = Project(tmp_path / "partial")
        source = f"file://{committed.root}"
        committed.run("git", "clone", "--quiet", f"--filter={objects}", source, str(project.root))
        monkeypatch.chdir(project.root)
        return project

    return clone


def lacks_objects(project: Project) -> bool:
    listed = project.run("git", "rev-list", "--objects", "--missing=print", "HEAD").stdout
    return any(line.startswith("?") for line in listed.splitlines())


@pytest.mark.parametrize("objects", ["blob:none", "tree:0"])
def test_what_a_partial_clone_lacks_of_a_commit_is_fetched(
    partial_clone: Callable[[str], Project], objects: str
):
    project = partial_clone(objects)
    assert lacks_objects(project)
    files = Files("HEAD~1")
    assert not lacks_objects(project)  # DVC would wait without end
    assert files.read("text.txt") == b"old\n"


def test_partial_clone_without_its_remote_is_refused(partial_clone: Callable[[str], Project]):
    project = partial_clone("blob:none")
    project.run("git", "remote", "set-url", "origin", "file:///gone")
    assert Files("HEAD").read("text.txt") == b"new\n"
    with pytest.raises(InputError) as refused:
        Files("HEAD~1")
    line = str(refused.value)
    assert line.startswith("this clone lacks some of git's objects, and git cannot fetch them: ")
    assert line.endswith("with a connection to the remote, run `git fetch --refetch --no-filter`")
    assert "\n" not in line
    project.run("git", "remote", "set-url", "origin", f"file://{project.root.parent}/clone")
    project.run("git", "fetch", "--refetch", "--no-filter")
    assert not lacks_objects(project)


def test_fetch_that_does_not_end_is_given_up(
    partial_clone: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch
):
    project = partial_clone("blob:none")
    project.run("git", "config", "remote.origin.uploadpack", "sleep 60;")
    monkeypatch.setattr(dvc_state, "FETCH_TIMEOUT_S", 0.2)
    with pytest.raises(InputError, match=r"cannot fetch them: no end after 0\.2 seconds; "):
        Files("HEAD~1")


@posix
def test_what_a_killed_process_started_is_killed_too():
    with subprocess.Popen(("sh", "-c", "sleep 60; true")) as parent:
        while not (children := psutil.Process(parent.pid).children()):
            time.sleep(0.01)
        dvc_state.kill_tree(parent.pid)
    assert psutil.wait_procs(children, timeout=30)[1] == []
