"""tools.lockfile: whether outputs belong to the inputs that there are."""

from collections.abc import Callable

import pytest
import yaml

from charlm.core.errors import InputError
from tools import lockfile
from tools.lockfile import md5

FILES = {
    "train.py": b"a = 1\r\n",  # hashed as it is
    "params.yaml": b"mlp: {hidden: 200, lr: 2e-1}\nother: 1\n",
    "out.csv": b"name,nll\n",
    "note.txt": b"not an input\n",
}
LISTED = {"contexts/dev.bin": "d1", "contexts/train.bin": "7a"}


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
        "split": {"cmd": "split", "outs": entries(**{"splits.txt": "5b", "contexts": "c0.dir"})},
        "train": {
            "cmd": "train",
            "deps": entries(
                **{
                    "contexts/train.bin": LISTED["contexts/train.bin"],
                    "splits.txt": "5b",
                    "train.py": md5(FILES["train.py"]),
                }
            ),
            "params": {"params.yaml": {"mlp": {"hidden": 200, "lr": 0.2}, "other": 1}},
            "outs": entries(**{"out.csv": md5(FILES["out.csv"])}),
        },
        # drawn from another note, which out.csv does not depend on
        "draw": {"cmd": "draw", "deps": entries(**{"note.txt": "0"}), "outs": []},
    }


def check(
    files: dict[str, bytes], stages: dict, locked: dict, listed: dict[str, str] = LISTED
) -> None:
    written = {"dvc.yaml": {"stages": stages}, "dvc.lock": {"schema": "2.0", "stages": locked}}
    content = {path: yaml.safe_dump(value).encode() for path, value in written.items()} | files

    def read(path: str) -> bytes:
        if path not in content:
            raise FileNotFoundError(path)
        return content[path]

    lockfile.check_lock(["out.csv"], read, listed.__getitem__)


def test_inputs_as_recorded_pass():
    check(FILES, pipeline(), lock())


@pytest.mark.parametrize(
    ("path", "content", "line"),
    [
        ("train.py", b"a = 1\n", "train changed since it ran: train.py"),
        ("params.yaml", b"mlp: {hidden: 0o10, lr: 0.2}\nother: 1\n", "mlp.hidden was 200, is 8"),
        ("params.yaml", b"mlp: {hidden: 200}\nother: 1\n", "mlp.lr was 0.2, is None"),
        ("params.yaml", b"mlp: {hidden: 200, lr: 0.2}\nother: 2\n", "other was 1, is 2"),
        ("params.yaml", b"other: 1\n", "mlp was {'hidden': 200, 'lr': 0.2}, is None"),
        ("params.yaml", b"[]", r"params\.yaml: must be a mapping; found nothing"),
        ("params.yaml", b"[1]", r"params\.yaml: must be a mapping; found a list"),
        ("out.csv", b"", r"out\.csv: dvc\.lock records MD5 \w{32}, found d41d8cd98f00b204"),
        ("dvc.lock", b"", r"dvc\.lock: must be a mapping; found nothing"),
        ("dvc.lock", b"stages: [1]", r"dvc\.lock: must have a mapping of stages"),
        ("dvc.lock", b"a: [", r"dvc\.lock: not valid YAML"),
        ("dvc.yaml", b"\xff\xfea", r"dvc\.yaml: not valid YAML"),
        ("dvc.yaml", b"stages: {split: {cmd: x}}", r"dvc\.yaml: no stage writes out\.csv"),
        ("dvc.lock", b"stages: {split: {outs: [1]}}", "not as DVC writes it"),
    ],
)
def test_files_that_changed(path: str, content: bytes, line: str):
    with pytest.raises(InputError, match=line):
        check(FILES | {path: content}, pipeline(), lock())


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


def other_output(stages: dict, locked: dict) -> None:
    locked["split"]["outs"][0]["md5"] = "5c"


def never_ran(stages: dict, locked: dict) -> None:
    locked.pop("split")


def many_changes(stages: dict, locked: dict) -> None:
    for entry in locked["train"]["deps"]:
        entry["md5"] = "0"
    stages["train"]["cmd"] = "train --fast"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (changed_command, "train changed since it ran: its command; run `dvc repro`"),
        (new_dep, "train changed since it ran: note.txt is a new dep"),
        (removed_dep, "train changed since it ran: train.py is no longer a dep"),
        (new_param, "train changed since it ran: other was None, is 1"),
        (other_output, "train changed since it ran: splits.txt"),
        (never_ran, "stage split never ran"),
        (many_changes, "its command, contexts/train.bin, splits.txt and 1 more"),
    ],
)
def test_stages_that_changed(change: Callable[[dict, dict], None], line: str):
    stages, locked = pipeline(), lock()
    change(stages, locked)
    with pytest.raises(InputError, match=line):
        check(FILES, stages, locked)


def test_file_inside_an_output_directory_that_changed():
    with pytest.raises(InputError, match=r"train changed since it ran: contexts/train\.bin"):
        check(FILES, pipeline(), lock(), LISTED | {"contexts/train.bin": "7b"})


def test_sections_are_mappings_or_empty():
    assert lockfile.parse_sections(b"mlp: {seed: 1}\nsample:\n", "params.yaml") == {
        "mlp": {"seed": 1},
        "sample": {},
    }
    with pytest.raises(InputError, match="mlp must be a mapping; found a list"):
        lockfile.parse_sections(b"mlp: [1]", "params.yaml")
    with pytest.raises(InputError, match=r"^params\.yaml: not valid YAML: "):
        lockfile.parse_sections(b"[" * 3000, "params.yaml")
