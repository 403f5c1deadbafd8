"""tools.rescue: what it says about files that git could not merge."""

import shutil
from pathlib import Path

import pytest

from charlm import lockfile, params, yaml_files
from charlm.errors import InputError
from tests.conftest import ROOT, Project

CONFLICT = b"<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.1'\n>>>>>>> wide\n"
OF_A_LOCK = (
    "dvc.lock: has a merge conflict, which begins with <<<<<<<; first resolve those of params.yaml "
    "and the code, then run `git checkout --ours dvc.lock && dvc repro` and `git add dvc.lock "
    "metrics plots`"
)
OF_PARAMS = (
    "params.yaml: has a merge conflict, which begins with <<<<<<<; edit it and delete the marks"
)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["dvc.lock"], OF_A_LOCK),
        (["params.yaml"], OF_PARAMS),
        (["dvc.yaml"], OF_PARAMS.replace("params", "dvc")),
        (["dvc.lock", "params.yaml"], OF_PARAMS),  # first things first
    ],
)
def test_merge_conflict_is_named_with_what_resolves_it(
    tmp_path: Path, files: list[str], message: str
):
    for name in ("dvc.lock", "dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in files:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes() + CONFLICT)
    refused = Project(tmp_path).call("tools.rescue")
    assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", f"{message}\n")


def test_everything_that_reads_yaml_names_a_merge_conflict(tmp_path: Path):
    with pytest.raises(InputError) as error:
        lockfile.parse_mapping(b"stages:\n" + CONFLICT, "dvc.lock")
    assert str(error.value) == OF_A_LOCK
    with pytest.raises(InputError) as error:
        lockfile.parse_mapping(b"mlp:\n" + CONFLICT, "params.yaml")
    assert str(error.value) == OF_PARAMS
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes() + CONFLICT)
    with pytest.raises(InputError) as error:
        params.load(path)
    assert str(error.value) == OF_PARAMS.replace("params.yaml", str(path))


@pytest.mark.parametrize("content", [b"a: '<<<<<<< '\n", b"a:\n- <<<<<<<\n", b"<<<<<<<\n"])
def test_marks_elsewhere_are_no_conflict(content: bytes):
    assert not yaml_files.has_conflict(content)
