"""tools.verify: what passes and what it finds."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from charlm.data.tensors import read_tensors, write_tensors
from charlm.params import Fetch
from tests.conftest import NO_NETWORK, Project
from tools import verify

PASSED = (0, "verify: every stage, run anew, gives the bytes that are committed\n", "")


def verified(project: Project) -> tuple[int, str, str]:
    ran = project.call("tools.verify", **NO_NETWORK)  # the list that is here is enough
    return ran.returncode, ran.stdout, ran.stderr


def hash_of(project: Project, stage: str, path: str) -> str:
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"][stage]
    return next(out["md5"] for out in lock["outs"] if out["path"] == path)


def flip(path: Path) -> None:
    """Change one byte of a file of the cache, which DVC makes read-only."""
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def four_stages(project: Project) -> Project:
    """A clone whose pipeline is only its first four stages, committed."""
    path = project.root / "dvc.yaml"
    stages = yaml.safe_load(path.read_text())["stages"]
    names = ("fetch", "split", "build_contexts", "train_bigram_count")
    path.write_text(yaml.safe_dump({"stages": {name: stages[name] for name in names}}))
    (project.root / "dvc.lock").unlink()
    assert project.repro() == set()  # their results come from the run cache
    project.commit("four stages")
    return project


def test_unchanged_results_pass_and_changed_ones_are_named_with_their_stage(
    four_stages: Project, monkeypatch: pytest.MonkeyPatch
):
    project = four_stages
    # the cache is elsewhere for every project of the user, so for the new clone, too
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(project.root.parent / "settings"))
    cache = project.root.parent / "elsewhere"
    (project.root / verify.CACHE).rename(cache)
    project.run("dvc", "cache", "dir", "--global", str(cache))
    vocabulary = verify.cached(cache, hash_of(project, "build_contexts", "data/vocabulary.json"))
    vocabulary.unlink()
    assert verified(project) == PASSED
    assert project.changed() == ""
    assert not vocabulary.exists()  # the new clone has its own cache

    # a model is edited, and committed as if it had been trained
    path = project.root / "data/models/bigram_count.safetensors"
    model = read_tensors(path, "train_bigram_count")
    model["P"][3, 4] += 0.5
    write_tensors(path, model)
    project.run("dvc", "commit", "--force", "train_bigram_count")
    project.commit("a better model")
    dev = verify.cached(cache, hash_of(project, "split", "data/splits/dev.txt"))
    flip(dev)

    status, _, found = verified(project)
    assert status == 1
    assert f"{dev}: its content is not what its name says" in found
    assert "verify: stage train_bigram_count differs:" in found
    assert "data/models/bigram_count.safetensors: P by up to 0.5" in found


def test_damaged_cache_file_is_found_and_restored_as_advised(project: Project):
    cache = project.root / verify.CACHE
    samples = verify.cached(cache, hash_of(project, "sample", "data/samples/mlp.txt"))
    sound = samples.read_bytes()
    assert verify.damaged(cache) == []
    flip(samples)
    assert verify.damaged(cache) == [samples]
    samples.unlink()
    assert project.repro() == {"sample"}
    assert samples.read_bytes() == sound
    assert project.changed() == ""


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
                "data/a.csv: present in only one of the two runs",
                "data/b.csv: present in only one of the two runs",
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
    assert (
        verify.compare_locks({"one": stage}, {"one": stage | change}, ["one"], [tmp_path]) == found
    )


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ({"b": np.float32([0, 1])}, []),
        ({"b": np.float32([0, 3])}, ["b by up to 2"]),
        ({"b": np.float32([[0, 1]])}, ["b in shape or type"]),
        ({"b": np.float64([0, 1])}, ["b in shape or type"]),
        ({"W": np.float32([0, 1])}, ["W in shape or type", "b in shape or type"]),
    ],
)
def test_tensors_that_differ_are_named(made: dict[str, np.ndarray], found: list[str]):
    committed = save({"b": np.float32([0, 1])})
    assert verify.compare_tensors(committed, save(made)) == found


def test_listing_of_a_directory_may_be_in_either_cache(tmp_path: Path):
    listing = b'[{"relpath": "train.csv", "md5": "11111111111111111111111111111111"}]'
    md5 = f"{hashlib.md5(listing).hexdigest()}.dir"
    write_bytes(verify.cached(tmp_path / "made", md5), listing)
    folders = [tmp_path / "made", tmp_path / "here"]
    entries = [{"path": "data/a", "md5": md5}]
    assert verify.expand(folders, entries) == {"data/a/train.csv": "1" * 32}
    assert verify.damaged(tmp_path / "made") == []
    flip(verify.cached(tmp_path / "made", md5))
    assert verify.expand(folders, entries) == {"data/a": md5}
    assert verify.damaged(tmp_path / "made") == [verify.cached(tmp_path / "made", md5)]


def test_local_list_of_names_is_used_only_if_it_is_the_requested_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write_bytes(Path("data/names.txt"), b"ava\n")
    sha256 = hashlib.sha256(b"ava\n").hexdigest()
    requested = Fetch(url="https://example.org/lists/words.txt?raw=1", sha256=sha256)
    folder = tmp_path / "names"
    assert verify.mirror_of_names(folder, requested) == str(folder)
    assert (folder / "words.txt").read_bytes() == b"ava\n"
    assert verify.mirror_of_names(folder, requested.model_copy(update={"sha256": "0" * 64})) == ""


def test_command_runs_in_its_folder_and_one_that_fails_is_one_line(tmp_path: Path):
    code = "import os; print(os.getcwd(), os.environ['MIRROR'])"
    printed = verify.run(sys.executable, "-c", code, folder=tmp_path, MIRROR="lists")
    assert printed == f"{tmp_path.resolve()} lists\n"
    with pytest.raises(InputError, match=r"^verify: git show failed: fatal: not a git repository"):
        verify.run("git", "show", folder=tmp_path)
