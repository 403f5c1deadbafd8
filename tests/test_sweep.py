"""tools.sweep on one machine; tests/test_sweep_cluster.py has the cluster."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project, posix
from tests.test_faults import (
    CHECKED,
    POINTS,
    RUNNING,
    TIMEOUT_S,
    base,
    experiments,
    left,
    one_by_one,
    start,
    trees,
    until,
)

__all__ = ["base", "one_by_one"]  # fixtures


def sweep(project: Project, *arguments: str, status: int = 0) -> tuple[str, str]:
    """Run the tool; return what it printed on stdout and stderr."""
    ran = project.run(sys.executable, "-m", "tools.sweep", *arguments, check=False)
    assert ran.returncode == status, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout, ran.stderr


def call(project: Project, *arguments: str, status: int = 0) -> tuple[str, str]:
    """Do the same in this process, where nothing is to run."""
    ran = project.call("tools.sweep", *arguments)
    assert ran.returncode == status, ran.stderr
    return ran.stdout, ran.stderr


def test_two_points_end_in_a_verdict_and_are_not_run_twice(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    out, err = sweep(project, "mlp.hidden=5,6", "--json")
    assert "0 experiments exist, 2 to run" in err
    assert re.search(r"^hidden-6: \d+ s, ran train_mlp \(", err, re.MULTILINE)
    assert set(experiments(project)) == {"hidden-5", "hidden-6"}
    found = json.loads(out)
    assert [(one["setting"], one["verdict"] == "the base") for one in found["settings"]] == [
        ("hidden-5", True),
        ("hidden-6", False),
    ]
    assert (project.root / "dvc_plots/sweep.svg").exists()
    assert project.changed() == ""
    assert left(project) == ["lock"]

    again, err = call(project, "mlp.hidden=5,6", "--json")
    assert again == out
    assert "2 experiments exist, 0 to run" in err
    table, _ = call(project, "mlp.hidden=5,6", "--md")
    assert table.startswith("|   mlp.hidden |")
    loss = found["settings"][1]["loss"]
    assert f"{loss:.4f}" in table

    # one whose results are no longer in the cache is there no more
    ref = experiments(project)["hidden-6"]
    lock = project.run("git", "show", f"{ref}:dvc.lock").stdout
    md5 = re.search(r"- path: data/evaluation.csv\n +hash: md5\n +md5: (\w+)", lock)[1]
    (project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    out, _ = call(project, "mlp.hidden=5,6", "--dry-run")
    assert "1 experiments exist, 1 to run" in out


def test_dry_run_shows_the_experiments_and_runs_nothing(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    before = project.files()
    out, err = call(project, "mlp.hidden=5,7", "mlp.lr=0.5", "--seeds", "3", "--dry-run")
    assert err == ""
    assert "3 settings of " in out
    assert "mlp.seed 1 to 3, judged by mlp: 0 experiments exist, 9 to run, about " in out
    assert re.search(r" to run, about \d+ (s|min) on this machine\n", out)
    rows = [re.split("  +", line.strip()) for line in out.splitlines()[4:]]
    assert rows == [
        ["base-seed-1 … 3", "as in HEAD", "3"],
        ["hidden-5-lr-0.5-seed-1 … 3", "mlp.hidden=5 mlp.lr=0.5", "3"],
        ["hidden-7-lr-0.5-seed-1 … 3", "mlp.hidden=7 mlp.lr=0.5", "3"],
    ]
    _, err = call(project, "bigram_count.smoothing=2", "--seeds", "3", "--dry-run")
    assert err == "bigram_count has no seed, so every setting is run once.\n"
    ignored = ("clone/.dvc/tmp", ".git/")
    assert {path for path in project.files() if not path.startswith(ignored)} >= {
        path for path in before if not path.startswith(ignored)
    }
    assert experiments(project) == {}


def test_what_would_lose_something_is_refused(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    ref = f"refs/exps/{head[:2]}/{head[2:]}/hidden-7"
    project.run("git", "update-ref", ref, "HEAD")  # its parameters are those of HEAD
    _, err = call(project, "mlp.hidden=7", status=1)
    assert err == (
        "sweep: hidden-7: an experiment of this name has other parameters or code; rename it with "
        "`dvc exp rename`, or `dvc exp remove hidden-7`\n"
    )
    for path in ("metrics/mlp.csv", "metrics/nll/dev.json", "dvc.lock"):
        with (project.root / path).open("a") as file:
            file.write("\n")
    project.set_param("mlp.hidden", 9)
    _, err = call(project, "mlp.hidden=7", status=1)
    assert err == (
        "sweep: dvc.lock and 3 more changed since the last commit, and experiments start from "
        "that; commit first: `git add dvc.lock metrics params.yaml && git commit`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give what to sweep, such as mlp.hidden=100,200,300"),
        (["mlp.hidden=1", "--seeds", "0"], "--seeds: a whole number above 0 is needed"),
        (["mlp.hidden=1", "--jobs", "x"], "--jobs: a whole number above 0 is needed"),
        (["mlp.hidden=1", "--negligible", "-1"], "argument --negligible: invalid nonnegative"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str):
    _, err = call(Project(ROOT), *arguments, status=2)
    assert message in err


@pytest.mark.skipif("distributed" in sys.modules, reason="distributed is installed")
def test_cluster_without_its_packages_is_one_line(base: Project, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "tools.sweep.dask_engine", raising=False)
    _, err = call(base, "mlp.hidden=7", "--address", "tcp://127.0.0.1:1", status=1)
    assert err.splitlines()[-1].startswith("sweep: no package distributed; clusters need the extra")


@pytest.mark.faults
def test_failing_point_is_named_and_the_others_are_judged(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    out, err = sweep(project, "mlp.lr=1e30,0.05", "--seeds", "2", status=1)
    diverged = r"train_mlp: the loss is \w+ at step \d+; lower mlp.lr, now 1e\+30"
    for seed in (1, 2):
        assert re.search(
            rf"^lr-1e\+30-seed-{seed}: \d+ s, ran train_mlp, failed: {diverged} \(",
            err,
            re.MULTILINE,
        )
        assert re.search(rf"^lr-1e\+30-seed-{seed} failed: {diverged}$", err, re.MULTILINE)
    assert "2 of 2 runs failed" in out
    assert "Lowest loss: mlp.lr=0.0" in out
    assert len(experiments(project)) == 4


@pytest.mark.faults
def test_points_are_those_of_the_commit_that_the_sweep_began_with(
    base: Project, one_by_one: dict[str, str], tmp_path: Path
):
    """Whatever is edited and committed meanwhile, and beside another sweep in this folder."""
    project = base.copy(tmp_path / "clone")
    axes = ("mlp.hidden=5,6", "mlp.steps=20,30")
    sweeps = [start(project, sys.executable, "-m", "tools.sweep", *axes) for _ in range(2)]
    until(lambda: any(tmp_path.glob(RUNNING)), "the first stage")
    project.set_param("mlp.lr", 0.5)
    (project.root / "stages/train_mlp.py").write_text("raise NotImplementedError\n")
    project.commit("what was edited")
    project.set_param("mlp.lr", 0.7)
    edited = project.changed()
    for started in sweeps:
        assert started.wait(8 * TIMEOUT_S) == 0, (tmp_path / "printed").read_text()
    found = trees(project)
    assert set(found) == {name for name in POINTS if name.startswith(("hidden-5", "hidden-6"))}
    assert found.items() & one_by_one.items() == {(name, found[name]) for name in CHECKED[:2]}
    assert project.changed() == edited == " M params.yaml\n"
    assert left(project) == ["lock"]


@posix
@pytest.mark.faults
def test_after_ctrl_c_the_same_command_goes_on(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    command = ("mlp.hidden=5,6,7", "--jobs", "1")
    first = start(project, sys.executable, "-m", "tools.sweep", *command)
    printed = tmp_path / "printed"
    until(lambda: "(1 of 3 done" in printed.read_text(), "the first point", 3 * TIMEOUT_S)
    until(lambda: any(tmp_path.glob(RUNNING)), "a stage of the second one")
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(TIMEOUT_S) == -signal.SIGINT
    assert "Traceback" not in printed.read_text()
    assert left(project) == ["lock"]
    done = set(experiments(project))
    assert len(done) == 1
    _, err = sweep(project, *command)
    assert "1 experiments exist, 2 to run" in err
    assert set(experiments(project)) == {f"hidden-{size}" for size in (5, 6, 7)}


@pytest.mark.faults
def test_entry_that_a_killed_dvc_left_partly_written_does_no_harm(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    sweep(project, "mlp.hidden=6")
    for entry in (project.root / ".dvc/cache/runs").glob("*/*/*"):
        content = entry.read_text()
        if content.startswith("cmd: python -m stages.train_mlp\n"):
            partial = entry.with_name(".partial.tmp")
            partial.write_text(content.partition("outs:")[0])
            entry.unlink()
    project.run("dvc", "exp", "remove", "hidden-6", "base")
    failed = project.run("dvc", "exp", "run", "--temp", "-S", "mlp.hidden=6", check=False)
    assert "failed to reproduce 'train_mlp': 'outs'" in failed.stderr  # DVC alone
    sweep(project, "mlp.hidden=6")
    assert set(experiments(project)) == {"base", "hidden-6"}


@pytest.mark.faults
def test_test_split_is_scored_for_the_best_and_the_base_on_request(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    out, _ = sweep(project, "mlp.hidden=5,50", "--test")
    assert re.search(
        r"^Test loss of hidden-\d+, on 3\d test names not in train: \d\.\d{4}", out, re.MULTILINE
    )
    assert {f"hidden-5{rest}" for rest in ("", "-test", "0")} <= set(experiments(project))
