"""Time eight points of a sweep: one by one, by DVC's queue, by tools.sweep here and on a cluster.

    python -m benchmarks.sweeps    → benchmarks/sweeps.json, two tables

Each way has a clone of HEAD with the same cache, in which the eight trainings are new. The cluster
is a scheduler and one node on this machine, with a thread per core. The second table is of one
experiment: what a node needs beyond `dvc exp run --temp`. It takes about 10 minutes on a machine
with nothing else to do, and needs the packages of the extra `cluster`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate

from benchmarks.processes import Cost, machine
from charlm.core.storage import write_json
from tools.dvc_state import cache_folder
from tools.experiments import git, head_commit
from tools.sweep import node, transport
from tools.sweep.local import core_count

RESULTS = Path("benchmarks/sweeps.json")
POINTS = range(130, 210, 10)  # of mlp.hidden; the last one is the base
AXIS = f"mlp.hidden={','.join(map(str, POINTS))}"
REPEATS = 3
LIMITS = {"an empty node": 1.5, "a warm node": 0.3}  # CPU seconds above `dvc exp run --temp`
START_S = 60
QUEUE_S = 1800
QUEUE = "`dvc queue start`"
DVC = (sys.executable, "-m", "dvc")


def run(*command: str, folder: Path, **variables: str) -> None:
    """Run a command of a clone."""
    env = node.stage_environment(**variables)
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)


def clone_with_results(folder: Path) -> Path:
    """Clone HEAD and run its pipeline there."""
    subprocess.run(["git", "clone", "--quiet", ".", str(folder)], check=True)
    run(*DVC, "repro", "--quiet", folder=folder)
    if subprocess.run(["git", "diff", "--quiet"], cwd=folder, check=False).returncode:
        run("git", "commit", "--quiet", "--all", "--message", "results", folder=folder)
    return folder


def sequential(folder: Path) -> None:
    """Run the points by `dvc exp run`, one after the other."""
    for hidden in POINTS:
        run(*DVC, "exp", "run", "--temp", "-S", f"mlp.hidden={hidden}", folder=folder)


def queue(folder: Path) -> None:
    """Run the points by DVC's queue."""
    run(*DVC, "exp", "run", "--queue", "-S", AXIS, folder=folder)
    # a worker that outlives it would keep a pipe open
    run(*DVC, "queue", "start", "--jobs", str(core_count()), folder=folder)
    end = time.monotonic() + QUEUE_S
    with chdir(folder):
        while len(git("for-each-ref", "refs/exps/*/*/*").splitlines()) < len(POINTS):
            if time.monotonic() > end:
                raise TimeoutError("DVC's queue did not finish")
            time.sleep(1)


def sweep(folder: Path, *arguments: str) -> None:
    """Run the points by tools.sweep."""
    run(sys.executable, "-m", "tools.sweep", AXIS, *arguments, folder=folder)


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Start a scheduler and a node; give the scheduler's address."""
    folder.mkdir(exist_ok=True)
    found = folder / "scheduler.json"
    found.unlink(missing_ok=True)
    env = os.environ | {"TMPDIR": str(folder)}
    module = (sys.executable, "-m")
    options = ("--no-dashboard", f"--scheduler-file={found}")
    scheduler = subprocess.Popen(
        [*module, "distributed.cli.dask_scheduler", *options, "--host=127.0.0.1", "--port=0"],
        stderr=subprocess.DEVNULL,
        env=env,
    )
    end = time.monotonic() + START_S
    while not (found.exists() and found.read_text().endswith("}")):
        if time.monotonic() > end:
            raise TimeoutError("the scheduler did not start")
        time.sleep(0.1)
    worker = subprocess.Popen(
        [
            *(*module, "distributed.cli.dask_worker", *options),
            *(f"--nthreads={core_count()}", f"--local-directory={folder}"),
        ],
        stderr=subprocess.DEVNULL,
        env=env,
    )
    try:
        yield json.loads(found.read_text())["address"]
    finally:
        for process in (worker, scheduler):
            process.send_signal(signal.SIGTERM)  # so that they wait for what they have started
            process.wait()


def on_cluster(folder: Path) -> None:
    """Run the points by tools.sweep on a cluster, whose start and end count, too."""
    with cluster(folder.parent / "nodes") as address:
        sweep(folder, "--address", address)


def time_ways(finished: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Return what each way of running the points takes."""
    ways: dict[str, Callable[[Path], None]] = {
        "`dvc exp run --temp`, one after the other": sequential,
        QUEUE: queue,
        "`tools.sweep` on this machine": sweep,
        "`tools.sweep` on a cluster, empty node": on_cluster,
    }
    results = {}
    for number, (what, way) in enumerate(ways.items()):
        project = folder / f"way{number}" / "clone"
        shutil.copytree(finished, project, symlinks=True)
        cost = Cost.of(lambda way=way, project=project: way(project))  # type: ignore[misc]
        results[what] = cost._asdict()
        print(f"{what}: {cost.wall:.0f} s, {cost.cpu:.0f} s of CPU", file=sys.stderr)
    return results


def time_one(finished: Path, folder: Path) -> dict[str, list[float]]:
    """Return the CPU seconds of one experiment, here and on an empty and a warm node."""
    costs: dict[str, list[float]] = {"`dvc exp run --temp`": [], **{key: [] for key in LIMITS}}
    with chdir(finished):
        package = transport.pack(cache_folder(), head_commit())
    for number in range(REPEATS):
        project = folder / f"one{number}" / "clone"
        shutil.copytree(finished, project, symlinks=True)
        here, empty, warm = (f"mlp.hidden={100 + 3 * number + way}" for way in range(3))
        command = (*DVC, "exp", "run", "--temp", "-S", here)
        used = Cost.of(lambda p=project, c=command: run(*c, folder=p))  # type: ignore[misc]
        costs["`dvc exp run --temp`"].append(used.cpu)
        nodes = folder / f"node{number}"
        nodes.mkdir()
        for kind, override in (("an empty node", empty), ("a warm node", warm)):
            with chdir(project):
                job = transport.job(override.replace("=", "-"), [override], head_commit())
            tempfile.tempdir = str(nodes)
            # what this process does for it counts, too
            own = time.process_time()
            used = Cost.of(lambda job=job: check(node.run(job, package)))  # type: ignore[misc]
            costs[kind].append(used.cpu + time.process_time() - own)
            tempfile.tempdir = None
    return costs


def check(ended: node.Job) -> None:
    """Refuse an experiment that failed."""
    if "bundle" not in ended:
        raise RuntimeError(ended.get("error") or ended["refused"])


def table(results: dict[str, Any], style: str) -> str:
    """Return what the ways take, beside the first one."""
    first = next(iter(results["ways"].values()))
    rows = [
        (
            what,
            f"{cost['wall']:.0f} s",
            # the workers of the queue detach themselves, so nobody is told what they used
            "" if what == QUEUE else f"{cost['cpu']:.0f} s",
            "" if what == QUEUE else f"{cost['cpu'] / first['cpu']:.2f}",
        )
        for what, cost in results["ways"].items()
    ]
    headers = ("eight points by", "time", "CPU", "CPU ratio")
    align = ("left", "right", "right", "right")
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True, colalign=align)


def overhead_table(results: dict[str, Any], style: str) -> str:
    """Return what an experiment costs on a node, beside `dvc exp run --temp`."""
    (here, base), *others = results["one"].items()
    rows = [(here, f"{median(base):.1f} s", "", "")]
    for kind, cpu in others:
        above = median(own - beside for own, beside in zip(cpu, base, strict=True))
        rows.append((f"on {kind}", f"{median(cpu):.1f} s", f"{above:+.2f} s", f"{LIMITS[kind]} s"))
    headers = ("one experiment", "CPU", "difference", "limit")
    align = ("left", "right", "right", "right")
    return tabulate(rows, headers, tablefmt=style, disable_numparse=True, colalign=align)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        finished = clone_with_results(folder / "finished" / "clone")
        one = time_one(finished, folder)
        print(f"CPU seconds of one experiment: {one}", file=sys.stderr)
        ways = time_ways(finished, folder)
    load = os.getloadavg()[2]  # of the last 15 minutes: what else ran
    results = {"machine": machine(), "cores": core_count(), "load": load, "one": one, "ways": ways}
    write_json(RESULTS, results)
    print(table(results, "simple"), overhead_table(results, "simple"), sep="\n\n")


if __name__ == "__main__":
    main()
