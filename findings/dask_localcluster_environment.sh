#!/bin/sh
# Dask 2026.8.0: LocalCluster leaves PYTHONHASHSEED, OMP_NUM_THREADS and others set in its parent.
#
# The nanny sets them in its own process, for workers to inherit, and that is the one that called
# LocalCluster. They stay after it is closed, so whatever is started later has them: one thread,
# and no random hash seed. PYTHONHASHSEED=0, which somebody had set, becomes 6640; a number of
# threads is kept. With processes=False nothing is set.
#
# Seen: PYTHONHASHSEED=6640, MALLOC_TRIM_THRESHOLD_=65536, OMP_NUM_THREADS=1, MKL_NUM_THREADS=1,
#   OPENBLAS_NUM_THREADS=1, and __DASK_PARENT_PID
# Source: distributed/nanny.py, lines 225 to 228 and 726;
#   https://github.com/dask/distributed/issues/6749
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
import os
import sys

from distributed import LocalCluster

if __name__ == "__main__":
    before = dict(os.environ)
    processes = sys.argv[1] == "processes"
    with LocalCluster(n_workers=1, processes=processes, dashboard_address=None):
        pass
    changed = sorted(key for key in os.environ if os.environ[key] != before.get(key))
    print(*changed, os.environ.get("PYTHONHASHSEED"))
END
unset PYTHONHASHSEED MALLOC_TRIM_THRESHOLD_ MKL_NUM_THREADS OPENBLAS_NUM_THREADS
all="MALLOC_TRIM_THRESHOLD_ MKL_NUM_THREADS OMP_NUM_THREADS OPENBLAS_NUM_THREADS PYTHONHASHSEED"
found=$(env -u OMP_NUM_THREADS python "$work/try.py" processes 2>"$work/log")
test "$found" = "$all __DASK_PARENT_PID 6640" || fail "$found"
found=$(OMP_NUM_THREADS=7 PYTHONHASHSEED=0 python "$work/try.py" processes 2>"$work/log")
kept=$(echo "$all" | sed 's/ OMP_NUM_THREADS//')
test "$found" = "$kept __DASK_PARENT_PID 6640" || fail "$found"
found=$(env -u OMP_NUM_THREADS python "$work/try.py" threads 2>"$work/log")
test "$found" = None || fail "$found"
echo "as before: the variables stay set in the parent"
