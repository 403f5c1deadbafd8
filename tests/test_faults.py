"""Kills, full disks, two at once: nothing lost, nothing stale, the same bytes in the end.

What is marked `faults` runs with `make test-faults` only.
"""

import hashlib
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project, clone
from tests.test_pipeline import STAGES

WORDS = [f"{first}{second}na" for first in "abcdefgh" for second in "aeiou"] + ["ana", "zoë"]
LISTS = {"words.txt": WORDS, "other.txt": WORDS[::-1]}
SMALL = {
    "fetch.url": "words.txt",
    "bigram_neural.steps": 5,
    "ngram_count.order": 3,
    "mlp.steps": 30,
    "mlp.hidden": 5,
    "find_learning_rate.steps": 20,
    "find_learning_rate.hidden": 5,
    "sample.count": 4,
    "sample.measured": 50,
}
# what makes each stage run, with other results
CHANGES = {
    "fetch": {"fetch.url": "other.txt"},
    "split": {"split.seed": 7},
    "build_contexts": {"contexts.block_size": 2},
    "train_bigram_count": {"bigram_count.smoothing": 2},
    "train_bigram_neural": {"bigram_neural.lr": 1},
    "train_ngram_count": {"ngram_count.order": 4},
    "train_mlp": {"mlp.hidden": 6},
    "fit_mixture": {"mlp.hidden": 6},
    "find_learning_rate": {"find_learning_rate.hidden": 6},
    "evaluate": {"evaluate.splits": ["train", "dev", "test"]},
    "sample": {"sample.temperature": 0.5},
}
EVENTS = ["start", "middle", "write:1", "rename:1", "write:2", "write:last", "rename:last"]
PATIENCE = 60  # seconds for what is to happen; only a test that fails waits so long
SOME = {("train_mlp", "rename:last"), ("split", "write:2")}  # also in `make test`


def set_params(project: Project, changes: dict[str, object]) -> None:
    for key, value in changes.items():
        project.set_param(key, value)
        if key == "fetch.url":
            content = (project.root / str(value)).read_bytes()
            project.set_param("fetch.sha256", hashlib.sha256(content).hexdigest())


def results(project: Project) -> dict[str, bytes]:
    """All that a run leaves, halves of files included."""
    folders = ("data/", "metrics/", "plots/", "dvc.lock", "params.yaml")
    return {path: content for path, content in project.files().items() if path.startswith(folders)}


def forget_run(project: Project, stage: str) -> None:
    """Take a stage's runs out of the cache, so that it has to run again."""
    for entry in (project.root / ".dvc/cache/runs").glob("*/*/*"):
        if entry.read_text().startswith(f"cmd: python -m stages.{stage}\n"):
            shutil.rmtree(entry.parent)


def fault(folder: Path, stage: str, event: str, what: str) -> dict[str, str]:
    """The variables that bring a fault about; see tests/faults."""
    return {
        "FAULT": f"{stage} {event} {what}",
        "FAULT_FOLDER": str(folder),
        "PYTHONPATH": str(ROOT / "tests/faults"),
    }


def start(project: Project, *command: str, **variables: str) -> subprocess.Popen[str]:
    """Run a command beside the test; what it prints on stderr goes to the file `printed`."""
    with (project.root.parent / "printed").open("a") as printed:
        return subprocess.Popen(
            command,
            cwd=project.root,
            env=project.environment(**variables),
            stdout=subprocess.DEVNULL,
            stderr=printed,
            start_new_session=True,
        )


def until(happened, what: str) -> None:
    """Wait for something."""
    last = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < last, f"never: {what}"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A pipeline finished on a few names, committed."""
    project = clone(tmp_path_factory.mktemp("base") / "clone")
    for name, words in LISTS.items():
        (project.root / name).write_text("\n".join(words))
    set_params(project, SMALL)
    (project.root / "dvc.lock").unlink()
    project.repro()
    project.commit("small")
    return project


@pytest.fixture(scope="module")
def undisturbed(base: Project, tmp_path_factory: pytest.TempPathFactory):
    """Give the pipeline after the change of a stage, and how often that stage does what."""
    found = {}

    def run(stage: str) -> tuple[Project, dict[str, int]]:
        if stage not in found:
            folder = tmp_path_factory.mktemp(stage)
            project = base.copy(folder / "clone")
            set_params(project, CHANGES[stage])
            assert stage in project.repro(**fault(folder, stage, "none", "count"))
            found[stage] = project, json.loads((folder / f"{stage}.json").read_text())
        return found[stage]

    return run


def disturbed(stage: str, base: Project, expected: Project, folder: Path) -> Project:
    """The pipeline before that run, which has to run the stage but no other one."""
    project = base.copy(folder / "clone")
    set_params(project, CHANGES[stage])
    shutil.rmtree(project.root / ".dvc/cache")
    shutil.copytree(expected.root / ".dvc/cache", project.root / ".dvc/cache")
    forget_run(project, stage)
    return project


# --- kills ------------------------------------------------------------------------------------


@pytest.mark.parametrize("killed", ["stage", "dvc", "both"])
@pytest.mark.parametrize(
    ("stage", "event"),
    [
        pytest.param(
            stage,
            event,
            marks=[] if (stage, event) in SOME else [pytest.mark.faults],
            id=f"{stage}-{event}",
        )
        for stage in STAGES
        for event in EVENTS
    ],
)
def test_after_a_kill_the_next_run_ends_in_the_same_bytes(
    base: Project, undisturbed, tmp_path: Path, stage: str, event: str, killed: str
):
    expected, counts = undisturbed(stage)
    (tmp_path / f"{stage}.json").write_text(json.dumps(counts))
    event = event.replace("last", str(counts["writes"]))
    project = disturbed(stage, base, expected, tmp_path)
    first = start(project, "dvc", "repro", **fault(tmp_path, stage, event, killed))
    assert first.wait(PATIENCE) == (-signal.SIGKILL if killed != "stage" else 255)
    until((tmp_path / "happened").exists, "the fault")
    if killed == "dvc":  # the stage goes on as soon as the next one waits for it
        printed = tmp_path / "printed"
        second = start(project, "dvc", "repro")
        line = f"{stage}: waits for {stage} (process "
        until(lambda: line in printed.read_text(), line)
        (tmp_path / "go").touch()
        assert second.wait(PATIENCE) == 0, printed.read_text()
    else:
        project.run("dvc", "repro")
    assert results(project) == results(expected)
