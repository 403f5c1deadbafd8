#!/bin/sh
# Dask 2026.8.0: adaptive scaling starts all workers while the first long task still runs.
#
# Eight tasks of ten seconds, of a kind never seen, first count as half a second each: one worker.
# Once the first has run longer than expected, all the waiting ones count as at least as long, and
# the scheduler asks for as many workers as it may, before any task has ended: memory for all must
# be there. What child processes of a worker use is not counted: the limits look at the worker's
# process alone.
#
# Seen: 1 worker, then 4, with no task ended
# Source: distributed/scheduler.py, adaptive_target(); distributed/worker_memory.py, both
#   memory_monitor(); https://docs.dask.org/en/stable/adaptive.html
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet distributed==2026.8.0 dask==2026.8.0
PATH="$work/env/bin:$PATH"
fail() {
    echo "changed: $1" >&2
    exit 1
}
cat >"$work/try.py" <<'END'
import subprocess
import sys
import time

from distributed import Client, LocalCluster, get_worker

SECONDS = 10
MEGABYTES = 300


def with_child():
    """Return how much memory the worker counts beside a child of 300 MB, which itself is not it."""
    hold = f"data = bytearray({MEGABYTES} * 2**20); print(1, flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold], **pipes) as child:
        child.stdout.readline()
        counted = get_worker().monitor.get_process_memory()
        child.communicate(b"\n")
    return counted / 2**20


if __name__ == "__main__":
    with (
        LocalCluster(
            n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.adapt(minimum=0, maximum=4, interval="200ms")
        tasks = [client.submit(time.sleep, SECONDS, pure=False) for _ in range(8)]
        counts = [0]
        while counts[-1] < 4 and not any(task.done() for task in tasks):
            counts.append(len(client.nthreads()))
            time.sleep(0.1)
        print(1 in counts, counts[-1], sum(task.done() for task in tasks))
        client.cancel(tasks)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        print(client.submit(with_child).result() < MEGABYTES)
END
found=$(python "$work/try.py" 2>"$work/errors")
test "$found" = "True 4 0
True" || fail "$found"
echo "as before: four workers before the first task has ended; a child's memory is not counted"
