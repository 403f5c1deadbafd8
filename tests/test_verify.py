"""tools.verify: what it lets pass and what it finds."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages import files
from tests.conftest import Project
from tools import verify


def verified(project: Project) -> tuple[int, str, str]:
    ran = project.run(sys.executable, "-m", "tools.verify", check=False)
    return ran.returncode, ran.stdout, ran.stderr


def hash_of(project: Project, stage: str, path: str) -> str:
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"][stage]
    return next(out["md5"] for out in lock["outs"] if out["path"] == path)


def flip(path: Path) -> None:
    """Change one byte of a file of the cache, which DVC writes without leave to write."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_undisturbed_results_pass_and_changed_ones_are_named_with_their_stage(project: Project):
    assert verified(project) == (
        0,
        "verify: every stage, run anew, gives the bytes that are committed\n",
        "",
    )
    assert project.changed() == ""

    # somebody touches a model and commits it as if it had been trained
    path = project.root / "data/models/mlp.safetensors"
    model = files.read_tensors(path)
    model["b2"] = model["b2"] + np.float32([0.5] + [0] * 26)
    files.write_tensors(path, model)
    project.run("dvc", "commit", "--force", "train_mlp")
    project.commit("a better model")
    samples = verify.cached(project.root, hash_of(project, "sample", "data/samples/mlp.txt"))
    flip(samples)

    status, _, found = verified(project)
    assert status == 1
    assert f"{samples.relative_to(project.root)}: its content is not what its name says" in found
    assert "verify: stage train_mlp differs:" in found
    assert "data/models/mlp.safetensors: b2 by up to 0.5" in found
    assert "Traceback" not in found


def test_cache_file_that_was_changed_is_found(tmp_path: Path):
    for content in (b"emma", b"ava"):
        md5 = verify.hashlib.md5(content).hexdigest()
        files.write_bytes(verify.cached(tmp_path, md5), content)
    assert verify.damaged(tmp_path / verify.CACHE) == []
    flip(verify.cached(tmp_path, md5))
    assert verify.damaged(tmp_path / verify.CACHE) == [verify.cached(tmp_path, md5)]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        (
            {"outs": [{"path": "data/a.csv", "md5": "2" * 32}]},
            ["stage one differs:", f"data/a.csv: {'1' * 32} is committed, {'2' * 32} was made"],
        ),
        (
            {"outs": [{"path": "data/b.csv", "md5": "1" * 32}]},
            [
                "stage one differs:",
                "data/a.csv: made by only one of both",
                "data/b.csv: made by only one of both",
            ],
        ),
        (
            {"deps": [{"path": "stages/one.py", "md5": "9" * 32}]},
            [
                "stage one was committed after other inputs:",
                f"stages/one.py: {'3' * 32} is committed, {'9' * 32} was made",
            ],
        ),
        (
            {"params": {"params.yaml": {"one": {"seed": 2}}}},
            ["stage one was committed with other parameters or another command"],
        ),
    ],
)
def test_first_difference_of_two_locks(tmp_path: Path, change: dict, found: list[str]):
    stage = {
        "deps": [{"path": "stages/one.py", "md5": "3" * 32}],
        "params": {"params.yaml": {"one": {"seed": 1}}},
        "outs": [{"path": "data/a.csv", "md5": "1" * 32}],
    }
    for name, side in {"committed": stage, "made": stage | change}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"one": {}}}))
        lock = {"stages": {"one": side}}
        (tmp_path / name / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert verify.compare_locks(tmp_path / "committed", tmp_path / "made") == found
