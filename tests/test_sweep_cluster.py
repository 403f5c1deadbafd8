"""tools.sweep on a cluster: a real scheduler and nannies on this machine, each with its folder."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from charlm.core.errors import InputError
from tests.conftest import Project, posix
from tests.test_faults import (
    CHECKED,
    POINTS,
    TIMEOUT_S,
    base,
    experiments,
    one_by_one,
    start,
    trees,
    until,
)
from tests.test_sweep import sweep

pytest.importorskip("distributed", reason="needs the extra `cluster`")

from distributed import LocalCluster

from tools.sweep import dask_engine
from tools.sweep.node import stage_environment

__all__ = ["base", "one_by_one"]  # fixtures
RUNNING = "names-sweep-*/task-*/clone/data/.lock"  # in a node's folder, while a stage runs


class Cluster:
    """A scheduler and nodes, each in a separate folder."""

    def __init__(self, folder: Path, key: Path | None = None, host: str = "127.0.0.1") -> None:
        self.folder = folder
        options = [f"--tls-{kind}={key}" for kind in ("ca-file", "cert", "key")] if key else []
        self.options = [*options, "--no-dashboard"]
        self.processes: list[subprocess.Popen] = []
        found = folder / "scheduler.json"
        protocol = "tls" if key else "tcp"
        address = ("--host", f"{protocol}://{host}", "--port", "0", "--protocol", protocol)
        self.start("scheduler", [*address, "--scheduler-file", str(found)], [])
        until(lambda: found.exists() and found.read_text().endswith("}"), "the scheduler")
        self.address = json.loads(found.read_text())["address"]

    def start(self, what: str, arguments: list[str], prefix: list[str], **variables: str) -> None:
        name = f"{what}{len(self.processes)}"
        command = [*prefix, sys.executable, "-m", f"distributed.cli.dask_{what}"]
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes.append(
                subprocess.Popen(
                    [*command, *arguments, *self.options],
                    cwd=self.folder,
                    env=os.environ | variables,
                    stdout=log,
                    stderr=log,
                )
            )

    def node(
        self, threads: int = 1, prefix: tuple[str, ...] = (), **variables: str
    ) -> tuple[Path, psutil.Process]:
        """Start a node; return its folder and its nanny."""
        folder = self.folder / f"node{len(self.processes)}"
        folder.mkdir()
        arguments = [self.address, f"--nthreads={threads}", f"--local-directory={folder}"]
        self.start("worker", arguments, list(prefix), TMPDIR=str(folder), **variables)
        return folder, psutil.Process(self.processes[-1].pid)

    def stop(self) -> None:
        for process in reversed(self.processes):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


@contextmanager
def cluster(folder: Path, **options) -> Iterator[Cluster]:
    folder.mkdir()
    started = Cluster(folder, **options)
    try:
        yield started
    finally:
        started.stop()


def another_version(folder: Path) -> str:
    """Return a PYTHONPATH on which a package has another version."""
    other = folder / "packages/tabulate-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: tabulate\nVersion: 0.0.1\n")
    return os.pathsep.join([str(other.parent), os.environ.get("PYTHONPATH", "")])


def processes_in(folder: Path) -> list[str]:
    """Return what runs in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            pass
    return found


@pytest.fixture
def restored_environment() -> Iterator[None]:
    """Undo what Dask's LocalCluster sets in this process and leaves for whatever starts later."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.faults
@pytest.mark.usefixtures("restored_environment")
def test_stages_started_after_a_local_cluster_are_not_slowed_down():
    for key in ("MALLOC_TRIM_THRESHOLD_", "PYTHONHASHSEED"):
        os.environ.pop(key, None)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None):
        pass
    assert os.environ["MALLOC_TRIM_THRESHOLD_"] == "65536"  # still
    given = stage_environment()
    assert "MALLOC_TRIM_THRESHOLD_" not in given
    assert given["PYTHONHASHSEED"] == "6640"  # no result depends on it


@pytest.mark.faults
def test_points_have_the_git_trees_of_sequential_runs(
    base: Project, one_by_one: dict[str, str], tmp_path: Path
):
    project = base.copy(tmp_path / "clone")
    axes = ("mlp.hidden=5,6,7,8", "mlp.steps=20,30")
    with cluster(tmp_path / "cluster") as nodes:
        for _ in range(2):
            nodes.node()
        other, _ = nodes.node(PYTHONPATH=another_version(tmp_path))
        out, _ = sweep(project, *axes, "--address", nodes.address)
        assert not list(other.glob("names-sweep-*/cache"))  # refused, so nothing was sent there
        assert set(experiments(project)) == {*POINTS}
        # what has run comes from git and the cache of the head, and no node is asked
        again, err = sweep(project, *axes, "--address", "tcp://127.0.0.1:1")
        assert "8 experiments exist, 0 to run" in err
        assert again == out
    assert project.changed() == ""
    found = trees(project)
    assert {name: found[name] for name in CHECKED} == one_by_one
    project.run("dvc", "exp", "apply", "hidden-8-steps-20")
    project.run("dvc", "checkout")


@pytest.mark.faults
def test_four_tasks_start_at_once_on_one_empty_node_and_one_fails(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    with cluster(tmp_path / "cluster") as nodes:
        folder, _ = nodes.node(threads=4)
        axes = ("mlp.lr=1e30,0.04,0.05,0.06", "--address", nodes.address)
        out, err = sweep(project, *axes, status=1)
        assert not list(folder.glob("names-sweep-*/task-*"))
    assert re.search(
        r"^lr-1e\+30 failed: train_mlp: the loss is .* lower mlp.lr", err, re.MULTILINE
    )
    assert "1 of 1 runs failed" in out
    assert set(experiments(project)) == {"lr-0.04", "lr-0.05", "lr-0.06"}


@posix
@pytest.mark.faults
def test_task_of_a_killed_worker_runs_again_and_leaves_no_process(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    axes = ("mlp.hidden=5,6,7", "--address")
    with cluster(tmp_path / "cluster") as nodes:
        folder, nanny = nodes.node()
        ran = start(project, sys.executable, "-m", "tools.sweep", *axes, nodes.address)
        until(lambda: any(folder.glob(RUNNING)), "a stage", 3 * TIMEOUT_S)
        (task,) = {path.parents[2] for path in folder.glob(RUNNING)}
        assert processes_in(task)
        for child in nanny.children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
        until(lambda: not processes_in(task), "the end of what the worker had started")
        assert ran.wait(5 * TIMEOUT_S) == 0, (tmp_path / "printed").read_text()
        assert set(experiments(project)) == {"hidden-5", "hidden-6", "hidden-7"}
        assert not list(folder.glob("names-sweep-*/task-*"))


@posix
@pytest.mark.faults
def test_ctrl_c_on_the_head_and_the_same_command_again(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    with cluster(tmp_path / "cluster") as nodes:
        nodes.node()
        command = ("mlp.hidden=5,6,7", "--address", nodes.address)
        first = start(project, sys.executable, "-m", "tools.sweep", *command)
        printed = tmp_path / "printed"
        until(lambda: "(1 of 3 done" in printed.read_text(), "the first point", 3 * TIMEOUT_S)
        os.killpg(first.pid, signal.SIGINT)
        assert first.wait(TIMEOUT_S) == -signal.SIGINT
        assert "Traceback" not in printed.read_text()
        done = len(experiments(project))
        assert 0 < done < 3
        _, err = sweep(project, *command)
        assert f"{done} experiments exist, {3 - done} to run" in err
        assert len(experiments(project)) == 3


@pytest.mark.faults
def test_node_with_another_version_of_a_package_is_refused(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    refused = r"sweep: node tcp://\S+ is refused: tabulate 0.0.1 \(the head has [\d.]+\)"
    with cluster(tmp_path / "cluster") as nodes:
        nodes.node(PYTHONPATH=another_version(tmp_path))
        _, err = sweep(project, "mlp.hidden=6,7", "--address", nodes.address, status=1)
    assert re.search(f"^{refused}$", err, re.MULTILINE)
    assert "sweep: no node has the environment of this one; install the same" in err
    assert experiments(project) == {}


@posix
@pytest.mark.faults
@pytest.mark.skipif(
    not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("ip")),
    reason="needs root and the program ip",
)
def test_node_whose_cable_is_pulled_is_given_up(base: Project, tmp_path: Path):
    project = base.copy(tmp_path / "clone")
    key = project.root / "sweep.pem"
    sweep(project, "--new-key")
    namespace, cable = f"sweep{os.getpid()}", f"sw{os.getpid()}"
    network = f"10.{os.getpid() % 200 + 20}.77"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    try:
        ip("netns", "add", namespace)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces: {error.stderr.decode().strip()}")
    inside = ("ip", "netns", "exec", namespace)
    try:
        ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("addr", "add", f"{network}.1/24", "dev", cable)
        ip("link", "set", cable, "up")
        for device in ("lo", "eth0"):
            ip("-n", namespace, "link", "set", device, "up")
        ip("-n", namespace, "addr", "add", f"{network}.2/24", "dev", "eth0")
        with cluster(tmp_path / "cluster", key=key, host=f"{network}.1") as nodes:
            folder, _ = nodes.node(prefix=inside)
            command = (sys.executable, "-m", "tools.sweep", "mlp.hidden=6", "--address")
            ran = start(project, *command, nodes.address)
            until(lambda: any(folder.glob(RUNNING)), "a stage", 3 * TIMEOUT_S)
            ip("link", "set", cable, "down")
            nodes.node()
            assert ran.wait(5 * TIMEOUT_S) == 0, (tmp_path / "printed").read_text()
        assert set(experiments(project)) == {"base", "hidden-6"}
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=False)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("head:8786", "sweep: --address head:8786: must be tls://HOST:PORT"),
        ("tcp://10.0.0.1:8786", "sweep: --address tcp://10.0.0.1:8786: whoever reaches this port"),
        ("tcp://head:8786", "sweep: --address tcp://head:8786: whoever reaches this port could"),
    ],
)
def test_address_without_encryption_is_refused(address: str, message: str):
    with pytest.raises(InputError) as refused:
        dask_engine.check_address(address)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("address", ["tls://10.0.0.1:8786", "tcp://127.0.0.1:1", "tcp://[::1]:1"])
def test_address_that_is_safe_is_taken(address: str):
    dask_engine.check_address(address)


@posix
def test_key_is_for_its_owner_only_and_not_overwritten(tmp_path: Path):
    key = tmp_path / "sweep.pem"
    said = dask_engine.write_key(key)
    assert f"dask scheduler --protocol tls --tls-ca-file {key} --tls-cert {key}" in said
    assert key.stat().st_mode & 0o777 == 0o600
    content = key.read_text()
    assert content.count("BEGIN CERTIFICATE") == content.count("BEGIN PRIVATE KEY") == 1
    with pytest.raises(InputError, match="exists already; remove it first"):
        dask_engine.write_key(key)
    assert key.read_text() == content


def test_cluster_without_its_key_is_told_how_to_make_one(tmp_path: Path):
    with pytest.raises(InputError) as refused:
        dask_engine.connect("tls://127.0.0.1:1", tmp_path / "sweep.pem")
    assert str(refused.value) == (
        f"sweep: {tmp_path}/sweep.pem: not found; copy the key of the cluster there, or make one "
        "with `python -m tools.sweep --new-key`"
    )
