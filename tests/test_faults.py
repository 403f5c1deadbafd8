"""Kills, full disks, two at once: nothing lost, nothing stale, the same bytes in the end.

Tests marked `faults` run with `make test-faults` only.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from charlm.networks.mlp import count_parameters
from tests.conftest import ROOT, STAGES, Project, built_once, clone, facts, posix, table

# 32 of them are in dev, enough to compare runs
WORDS = [f"{a}{b}{c}a" for a in "abcdefgh" for b in "aeiou" for c in "klmnrstv"] + ["ana", "zoë"]
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
# a change of parameters that changes the results of each stage
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
    "plot_bigrams": {"bigram_neural.lr": 1},
    "plot_mlp": {"mlp.hidden": 6},
}
REFUSED = (
    "train_mlp: params.yaml: mlp changed while it ran, so nothing more was written; "
    "run `dvc repro` again\n"
)
# the experiments of two axes, by the names that tools.sweep gives them
POINTS = {
    f"hidden-{hidden}-steps-{steps}": ("-S", f"mlp.hidden={hidden}", "-S", f"mlp.steps={steps}")
    for hidden in (5, 6, 7, 8)
    for steps in (20, 30)
}
# four of them, with every value of either axis
CHECKED = ["hidden-5-steps-20", "hidden-6-steps-30", "hidden-7-steps-20", "hidden-8-steps-30"]
EVENTS = ["start", "middle", "write:1", "rename:1", "write:last"]
TIMEOUT_S = 60  # only a test that fails waits so long
RUNNING = "clone/.dvc/tmp/exps/clones/*/clone/data/.lock"  # while a stage of an experiment runs
SOME = {("train_mlp", "rename:1", "stage")}  # also in `make test`
# Killed at each event, with dvc or without it. DVC removes the outputs before it runs a stage, so
# in the other stages an early kill leaves nothing, and a late one some outputs and half of another.
# What they do without dvc is in one function, run_stage, which test_layout.py finds in each.
FIRST_MIDDLE_LAST = {"fetch", "train_mlp", "plot_mlp"}
KILLS = [
    (stage, event, killed)
    for stage in STAGES
    for killed, events in (
        {"stage": EVENTS, "dvc": EVENTS, "both": ["start", "rename:1"]}
        if stage in FIRST_MIDDLE_LAST
        else {"stage": ["write:last"]}
    ).items()
    for event in events
]


def set_params(project: Project, changes: dict[str, object]) -> None:
    for key, value in changes.items():
        project.set_param(key, value)
        if key == "fetch.url":
            content = (project.root / str(value)).read_bytes()
            project.set_param("fetch.sha256", hashlib.sha256(content).hexdigest())


def results(project: Project) -> dict[str, bytes]:
    """Return all that a run leaves, also partial files; not those of DVC, `.NAME.tmp`."""
    folders = ("data/", "metrics/", "plots/", "dvc.lock", "params.yaml")
    return {
        path: content
        for path, content in project.files().items()
        if path.startswith(folders) and not re.search(r"/\.[^./]+\.tmp$", path)
    }


def fault(folder: Path, stage: str, event: str, what: str) -> dict[str, str]:
    """Return the variables that cause a fault; see tests/faults."""
    return {
        "FAULT": f"{stage} {event} {what}",
        "FAULT_FOLDER": str(folder),
        "PYTHONPATH": str(ROOT / "tests/faults"),
    }


def start(project: Project, *command: str, **variables: str) -> subprocess.Popen[str]:
    """Start a command; what it prints on stderr goes to the file `printed`."""
    with (project.root.parent / "printed").open("a") as printed:
        return subprocess.Popen(
            command,
            cwd=project.root,
            env=project.environment(**variables),
            stdout=subprocess.DEVNULL,
            stderr=printed,
            start_new_session=True,
        )


def tracked(project: Project, revision: str) -> dict[str, str]:
    """Return the results that are in git at a commit."""
    paths = ("dvc.lock", "metrics", "plots")
    listed = project.run("git", "ls-tree", "-r", "--name-only", revision, "--", *paths)
    return {
        path: project.run("git", "show", f"{revision}:{path}").stdout
        for path in listed.stdout.splitlines()
    }


def experiments(project: Project) -> dict[str, str]:
    """Return the references of the experiments, by name."""
    listed = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout
    return {ref.rpartition("/")[2]: ref for ref in listed.split() if ref.count("/") == 4}


def left(project: Project) -> list[str]:
    """Return what experiments have left in DVC's temporary folder."""
    return [path.name for path in project.root.glob(".dvc/tmp/exps/*/*")]


def trees(project: Project) -> dict[str, str]:
    """Return the hash of everything that git keeps of each experiment, by its name."""
    return {
        name: project.run("git", "rev-parse", f"{ref}^{{tree}}").stdout.strip()
        for name, ref in experiments(project).items()
    }


def until(
    happened: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S, pause_s: float = 0.01
) -> None:
    """Wait until something has happened."""
    end = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(pause_s)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished pipeline of a few names, committed."""

    def build(folder: Path) -> None:
        project = clone(folder)
        for name, words in LISTS.items():
            (project.root / name).write_text("\n".join(words))
        set_params(project, SMALL)
        (project.root / "dvc.lock").unlink()
        project.repro()
        project.commit("small")

    return built_once(tmp_path_factory, "base", build)


@pytest.fixture(scope="session")
def one_by_one(base: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The git trees of the experiments of CHECKED, run one after the other."""

    def build(folder: Path) -> None:
        project = base.copy(folder)
        for name in CHECKED:
            project.run("dvc", "exp", "run", "--temp", "--name", name, *POINTS[name])

    return trees(built_once(tmp_path_factory, "one_by_one", build))


@pytest.fixture(scope="session")
def undisturbed(base: Project, tmp_path_factory: pytest.TempPathFactory):
    """Return the pipeline after a stage's change, and the counts of that stage's events.

    After `dvc repro TARGETS`, which without targets runs all stages that the change concerns.
    """

    def run(stage: str, *targets: str) -> tuple[Project, dict[str, int]]:
        def build(folder: Path) -> None:
            project = base.copy(folder)
            set_params(project, CHANGES[stage])
            variables = fault(folder.parent, stage, "none", "count")
            assert stage in project.repro(*targets, **variables)

        project = built_once(tmp_path_factory, "-".join((stage, *targets)), build)
        return project, json.loads((project.root.parent / f"{stage}.json").read_text())

    return run


def disturbed(stage: str, base: Project, expected: Project, folder: Path) -> Project:
    """Return the pipeline before that run, which has to run this stage and no other one."""
    project = base.copy(folder / "clone")
    set_params(project, CHANGES[stage])
    shutil.rmtree(project.root / ".dvc/cache")
    shutil.copytree(expected.root / ".dvc/cache", project.root / ".dvc/cache")
    project.forget_run(stage)
    return project


# --- kills ------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("stage", "event", "killed"),
    [
        pytest.param(*kill, marks=[] if kill in SOME else [pytest.mark.faults], id="-".join(kill))
        for kill in KILLS
    ],
)
def test_after_a_kill_the_next_run_ends_in_the_same_bytes(
    base: Project, undisturbed, tmp_path: Path, stage: str, event: str, killed: str
):
    # what follows the stage would come from the cache
    expected, counts = undisturbed(stage, stage)
    (tmp_path / f"{stage}.json").write_text(json.dumps(counts))
    event = event.replace("last", str(counts["writes"]))
    project = disturbed(stage, base, expected, tmp_path)
    first = start(project, "dvc", "repro", stage, **fault(tmp_path, stage, event, killed))
    assert first.wait(TIMEOUT_S) == (-signal.SIGKILL if killed != "stage" else 255)
    until((tmp_path / "happened").exists, "the fault")
    if killed == "dvc":  # the stage goes on as soon as the next one waits for it
        printed = tmp_path / "printed"
        second = start(project, "dvc", "repro", stage)
        line = f"{stage}: waiting for another stage that runs in this folder\n"
        until(lambda: line in printed.read_text(), line)
        (tmp_path / "go").touch()
        assert second.wait(TIMEOUT_S) == 0, printed.read_text()
    else:
        project.run("dvc", "repro", stage)
    assert results(project) == results(expected)


@posix
@pytest.mark.parametrize(
    "shell",
    # the one stays beside its command, the other replaces itself by it
    ["/bin/sh", pytest.param("/bin/bash", marks=pytest.mark.faults)],
)
def test_stage_of_a_killed_dvc_does_not_write_over_later_results(
    base: Project, undisturbed, tmp_path: Path, shell: str
):
    """The next run finds everything in the cache, so no stage of it waits for the one left."""
    expected, counts = undisturbed("train_mlp", "train_mlp")
    (tmp_path / "train_mlp.json").write_text(json.dumps(counts))
    project = disturbed("train_mlp", base, expected, tmp_path)
    variables = {"SHELL": shell} | fault(tmp_path, "train_mlp", "middle", "dvc")
    assert (
        start(project, "dvc", "repro", "train_mlp", **variables).wait(TIMEOUT_S) == -signal.SIGKILL
    )
    until((tmp_path / "happened").exists, "the fault")
    set_params(project, SMALL)
    assert project.repro() == set()
    (tmp_path / "go").touch()
    printed = tmp_path / "printed"
    until(lambda: printed.read_text().endswith(REFUSED), REFUSED)
    assert results(project) == results(base)


@posix
@pytest.mark.faults
def test_stage_that_waited_for_the_one_of_a_killed_dvc_reads_later_results(
    base: Project, undisturbed, tmp_path: Path
):
    _, counts = undisturbed("train_mlp")
    expected, _ = undisturbed("evaluate")
    project, printed = base.copy(tmp_path / "clone"), tmp_path / "printed"
    (tmp_path / "train_mlp.json").write_text(json.dumps(counts))
    set_params(project, CHANGES["train_mlp"])
    killed = start(project, "dvc", "repro", **fault(tmp_path, "train_mlp", "middle", "dvc"))
    assert killed.wait(TIMEOUT_S) == -signal.SIGKILL
    until((tmp_path / "happened").exists, "the fault")
    set_params(project, SMALL | CHANGES["evaluate"])
    second = start(project, "dvc", "repro")
    line = "evaluate: waiting for another stage that runs in this folder\n"
    until(lambda: line in printed.read_text(), line)

    (tmp_path / "go").touch()
    assert second.wait(TIMEOUT_S) == 0, printed.read_text()
    assert REFUSED in printed.read_text()
    assert results(project) == results(expected)


# --- edits during a run -----------------------------------------------------------------------


def edit(project: Project, change: str) -> None:
    """Change a parameter, `section.key=value`, or add a comment to a module."""
    if "=" in change:
        key, _, value = change.partition("=")
        project.set_param(key, int(value))
    else:
        with (project.root / change).open("a") as module:
            module.write("# edited\n")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("mlp.hidden=7", "params.yaml: mlp"),
        pytest.param("charlm/networks/mlp.py", "mlp.py", marks=pytest.mark.faults),
        pytest.param("stages/train_mlp.py", "train_mlp.py", marks=pytest.mark.faults),
    ],
)
def test_edit_during_a_run_is_not_recorded_as_its_result(
    base: Project, undisturbed, tmp_path: Path, change: str, named: str
):
    expected, counts = undisturbed("train_mlp", "train_mlp")
    (tmp_path / "train_mlp.json").write_text(json.dumps(counts))
    project = disturbed("train_mlp", base, expected, tmp_path)
    lock = (project.root / "dvc.lock").read_bytes()
    waits = fault(tmp_path, "train_mlp", "middle", "wait")
    run = start(project, "dvc", "repro", "train_mlp", **waits)
    until((tmp_path / "happened").exists, "the middle of the training")
    edit(project, change)
    (tmp_path / "go").touch()
    assert run.wait(TIMEOUT_S) != 0
    line = f"train_mlp: {named} changed while it ran, so nothing more was written; "
    assert line in (tmp_path / "printed").read_text()
    assert (project.root / "dvc.lock").read_bytes() == lock
    assert not (project.root / "data/models/mlp.safetensors").exists()
    assert "train_mlp" in project.repro("train_mlp")
    if "=" in change:
        parameters, _ = count_parameters(22, 3, 10, hidden=7)
        assert facts(project.root, "mlp") == {"parameters": str(parameters)}


@pytest.mark.faults
def test_edit_of_what_a_stage_does_not_read_does_not_stop_it(
    base: Project, undisturbed, tmp_path: Path
):
    expected, counts = undisturbed("train_mlp", "train_mlp")
    (tmp_path / "train_mlp.json").write_text(json.dumps(counts))
    project = disturbed("train_mlp", base, expected, tmp_path)
    waits = fault(tmp_path, "train_mlp", "middle", "wait")
    run = start(project, "dvc", "repro", "train_mlp", **waits)
    until((tmp_path / "happened").exists, "the middle of the training")
    edit(project, "sample.count=5")
    edit(project, "tools/score.py")
    (tmp_path / "go").touch()
    assert run.wait(TIMEOUT_S) == 0
    model = "data/models/mlp.safetensors"
    assert results(project)[model] == results(expected)[model]


# --- full disks -------------------------------------------------------------------------------

# The project is copied to a separate small disk, which is filled except for some room; the
# results are those of the last run, when there is room.
ON_A_SMALL_DISK = """
set -eu
mount -t tmpfs -o size=20m tmpfs "$DISK"
cp -a clone "$DISK" && cd "$DISK/clone"
head -c $(($(df --output=avail -B1 . | tail -1) - ROOM)) /dev/zero > "$DISK/filler"
dvc repro 2> "$OUT/errors" > "$OUT/printed" && exit 9
python -m tools.rescue 2> "$OUT/advice" && exit 9
find data metrics plots -name '.*.*.tmp' > "$OUT/halves"
rm "$DISK/filler"
if ! dvc repro > "$OUT/printed" 2> "$OUT/again"; then
    python -m tools.rescue 2>> "$OUT/again" && exit 9
    rm dvc.lock && dvc repro > "$OUT/printed"
fi
cp -a data metrics plots dvc.lock params.yaml "$OUT"
"""


def can_mount() -> bool:
    """Tell whether this system lets users mount a disk."""
    command = ["unshare", "--map-root-user", "--mount", "true"]
    return shutil.which("unshare") is not None and subprocess.call(command) == 0


@pytest.mark.faults
@pytest.mark.skipif(not can_mount(), reason="users cannot mount a disk")
@pytest.mark.parametrize("room", [0, 128])  # kilobytes
def test_full_disk_is_named_and_leaves_no_half_and_the_next_run_with_room_is_right(
    base: Project, undisturbed, tmp_path: Path, room: int
):
    # the training and what follows it have to run again, to replace other results
    other, _ = undisturbed("train_mlp")
    project = other.copy(tmp_path / "clone")
    set_params(project, SMALL)
    shutil.rmtree(project.root / ".dvc/cache")
    out, disk = (tmp_path / name for name in ("out", "disk"))
    out.mkdir()
    disk.mkdir()
    variables = {"ROOM": str(1024 * room), "OUT": str(out), "DISK": str(disk)}
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "bash", "-c", ON_A_SMALL_DISK],
        cwd=tmp_path,
        env=project.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    errors = (out / "errors").read_text()
    assert "No space left on device" in errors or "No possible cache link types" in errors
    assert "Traceback" not in errors
    assert f"{disk}/clone: the disk is full" in (out / "advice").read_text()
    assert (out / "halves").read_text() == ""
    assert results(Project(out)) == results(base)


# --- two at once ------------------------------------------------------------------------------


@posix
def test_two_runs_at_once_end_in_the_same_bytes_or_one_is_refused(
    base: Project, undisturbed, tmp_path: Path
):
    expected, _ = undisturbed("train_mlp", "train_mlp")
    project = disturbed("train_mlp", base, expected, tmp_path)
    waits = fault(tmp_path, "train_mlp", "write:1", "wait")
    first = start(project, "dvc", "repro", "train_mlp", **waits)
    until((tmp_path / "happened").exists, "the middle of the training")
    second = project.run("dvc", "repro", check=False)
    assert second.returncode != 0
    assert "is busy, it is being blocked by" in second.stderr
    assert f"(PID {first.pid}): " in second.stderr
    (tmp_path / "go").touch()
    assert first.wait(TIMEOUT_S) == 0
    assert results(project) == results(expected)


@posix
@pytest.mark.faults
def test_experiment_aside_does_not_disturb_a_run(base: Project, undisturbed, tmp_path: Path):
    expected, _ = undisturbed("train_mlp")
    project = disturbed("train_mlp", base, expected, tmp_path)
    first = start(project, "dvc", "repro", **fault(tmp_path, "train_mlp", "write:1", "wait"))
    until((tmp_path / "happened").exists, "the middle of the training")
    project.run("dvc", "exp", "run", "--temp", "--name", "aside", "-S", "sample.seed=1")
    (tmp_path / "go").touch()
    assert first.wait(TIMEOUT_S) == 0
    assert results(project) == results(expected)

    reference = expected.copy(tmp_path / "reference" / "clone")
    reference.set_param("sample.seed", 1)
    reference.repro()
    reference.commit("the reference")
    assert tracked(project, experiments(project)["aside"]) == tracked(reference, "HEAD")


@pytest.mark.faults
def test_three_queued_experiments_with_two_workers_are_what_they_are_alone(
    base: Project, one_by_one: dict[str, str], tmp_path: Path
):
    project = base.copy(tmp_path / "clone")
    queued = CHECKED[:3]
    for name in queued:
        project.run("dvc", "exp", "run", "--queue", "--name", name, *POINTS[name])

    def states() -> list[str]:
        lines = project.run("dvc", "queue", "status").stdout.splitlines()
        return [line.split()[-1] for line in lines if "hidden-" in line]

    try:
        # a worker that DVC leaves idle for ever keeps no pipe open that would be waited for
        assert start(project, "dvc", "queue", "start", "--jobs", "2").wait(TIMEOUT_S) == 0
        # each look starts dvc, which takes a core from the experiments
        until(lambda: states() == ["Success"] * 3, "three successes", 4 * TIMEOUT_S, pause_s=2)
    finally:
        project.run("dvc", "queue", "stop", "--kill", check=False)
    assert results(project) == results(base)
    assert trees(project) == {name: one_by_one[name] for name in queued}


# --- what a person does -----------------------------------------------------------------------


@posix
def test_ctrl_c_during_training_stops_it_without_a_stack_trace(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    project.set_param("mlp.steps", 10_000_000)  # hours
    first = start(project, "dvc", "repro", **fault(tmp_path, "train_mlp", "call:500", "tell"))
    until((tmp_path / "happened").exists, "the training")
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(TIMEOUT_S) != 0
    printed = (tmp_path / "printed").read_text()
    assert "failed to run: python -m stages.train_mlp, exited with -2" in printed
    assert "Traceback" not in printed
    assert "KeyboardInterrupt" not in printed
    # dvc had taken the old results away, the stage left nothing but the curve so far
    gone = {path for path in results(base) if path not in results(project)}
    assert gone == {"data/models/mlp.safetensors", "metrics/mlp.csv", "data/embedding.json"}
    assert [(row["split"], row["step"]) for row in table(project.root, "plots/mlp.csv")] == [
        ("dev", "0")
    ]
    set_params(project, {"mlp.steps": SMALL["mlp.steps"]})
    project.repro()
    assert results(project) == results(base)


@posix
@pytest.mark.parametrize(
    ("command", "sign"),
    [
        (["tools.verify"], "temporary/*/clone/data/.lock"),
        (["tools.recipes", "five-names", "lecture"], RUNNING),
    ],
    ids=["verify", "recipes"],
)
def test_ctrl_c_ends_programs_that_run_stages_without_a_stack_trace(
    base: Project, tmp_path: Path, command: list[str], sign: str
):
    project = base.copy(tmp_path / "clone")
    (tmp_path / "temporary").mkdir()
    ran = start(project, sys.executable, "-m", *command, TMPDIR=str(tmp_path / "temporary"))
    until(lambda: any(tmp_path.glob(sign)), "the first stage")
    os.killpg(ran.pid, signal.SIGINT)
    assert ran.wait(TIMEOUT_S) == -signal.SIGINT
    assert "Traceback" not in (tmp_path / "printed").read_text()
    assert not list((tmp_path / "temporary").iterdir())
    assert left(project) in ([], ["lock"])
    assert project.changed() == ""
    assert experiments(project) == {}


@posix
@pytest.mark.faults
def test_recipe_that_is_killed_leaves_the_older_experiment(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    project.run("dvc", "exp", "run", "--temp", "--name", "five-names")
    before = experiments(project)
    ran = start(project, sys.executable, "-m", "tools.recipes", "five-names")
    until(lambda: any(tmp_path.glob(RUNNING)), "the first stage")
    os.killpg(ran.pid, signal.SIGKILL)
    ran.wait(TIMEOUT_S)
    assert experiments(project) == before


def test_training_that_diverges_names_the_parameter_and_leaves_no_model(project: Project):
    failed = project.run("dvc", "exp", "run", "-S", "mlp.lr=1e6", check=False)
    assert failed.returncode != 0
    (line,) = (line for line in failed.stderr.splitlines() if line.startswith("train_mlp: "))
    assert re.fullmatch(
        r"train_mlp: the loss is (nan|inf) at step \d+; lower mlp.lr, now 1e\+06", line
    )
    assert "Traceback" not in failed.stderr
    assert not (project.root / "data/models/mlp.safetensors").exists()
    assert not (project.root / "metrics/mlp.csv").exists()


# --- a damaged dvc.lock -----------------------------------------------------------------------


@pytest.mark.faults
@pytest.mark.parametrize("length", [0, 3000])
def test_cut_dvc_lock_is_named_with_what_mends_it_or_does_no_harm(
    base: Project, tmp_path: Path, length: int
):
    project = base.copy(tmp_path / "clone")
    lock = project.root / "dvc.lock"
    lock.write_bytes(lock.read_bytes()[:length])
    if project.run("dvc", "repro", check=False).returncode != 0:
        advice = project.run(sys.executable, "-m", "tools.rescue", check=False)
        assert (advice.returncode, advice.stdout, advice.stderr) == (
            1,
            "",
            (
                "dvc.lock: damaged, as after a kill or a full disk; repair it with `rm dvc.lock && "
                "dvc repro`: what was computed comes back from the cache\n"
            ),
        )
        lock.unlink()
        assert project.repro() == set()
    assert results(project) == results(base)
