"""The engine of one machine: each experiment in a clone, as many at once as there are cores."""

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from charlm.core.errors import InputError
from tools.dvc_state import cache_folder
from tools.experiments import commit_of, find, git, head_commit, overridden
from tools.program import ADVICE
from tools.sweep.node import Supervised, one_line, own_folder, run_in_clone, stages_run
from tools.sweep.runner import Experiments, Outcome, check_errors, run_experiments
from tools.sweep.transport import fetch, job

CLONES = Path(".dvc/tmp/exps/clones")  # while their experiments run


class LocalEngine:
    """Threads, each of which waits for one experiment at a time.

    All experiments start from the same commit and files, whatever is edited or committed meanwhile.
    """

    def __init__(self, jobs: int | None = None, head: str = "") -> None:
        """Prepare to run experiments.

        Args:
            jobs: how many at once; by default one per core.
            head: the commit that they start from; by default HEAD, and what changed since.
        """
        self.jobs = jobs or core_count()
        self.cache = cache_folder()
        self.head = head or head_commit()
        self.files = head or snapshot()
        self.source = Path(git("rev-parse", "--show-toplevel").decode().rstrip("\n"))
        self.folder = CLONES.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pool = ThreadPoolExecutor(self.jobs)
        self.lock = threading.Lock()
        self.commands: dict[str, Supervised] = {}  # those that are running
        self.starts: dict[str, float] = {}
        self.closed = False

    def slots(self) -> int:
        return self.jobs

    def submit(self, name: str, overrides: list[str]) -> Future[Outcome]:
        return self.pool.submit(self.run, name, overrides)

    def collect(self, _: str, ended: Future[Outcome]) -> Outcome:
        return ended.result()

    def running(self) -> dict[str, tuple[str, float]]:
        now = time.monotonic()
        with self.lock:
            return {name: ("", now - start) for name, start in self.starts.items()}

    def close(self) -> None:
        with self.lock:
            self.closed = True
            for command in self.commands.values():
                command.stop()
        self.pool.shutdown(cancel_futures=True)

    def run(self, name: str, overrides: list[str]) -> Outcome:
        """Run an experiment; an older one of the same name is there until it has succeeded."""
        start = time.monotonic()
        with self.lock:
            self.starts[name] = start
        try:
            detail, why = self.run_in_clone(name, overrides)
        except (InputError, OSError, RuntimeError) as error:
            detail, why = "", " ".join(str(error).split())
        with self.lock:
            self.commands.pop(name, None)
            del self.starts[name]
        return Outcome(name, time.monotonic() - start, why, detail=detail)

    def run_in_clone(self, name: str, overrides: list[str]) -> tuple[str, str]:
        """Run an experiment; return what else to print, and why it failed."""
        task = job(name, overrides, self.head, self.files)
        outdated = commit_of(task["ref"])
        with own_folder(self.folder) as folder:
            start = partial(self.start, name)
            status, printed, errors = run_in_clone(folder, self.source, task, self.cache, start)
            if status:
                return stages_run(printed), one_line(errors, status)
            fetch(folder / "clone", task["ref"])
        return stages_run(printed) + (f", replaces {outdated[:7]}" if outdated else ""), ""

    def start(self, name: str, command: list[str], folder: Path, env: dict[str, str]) -> Supervised:
        """Start the command of an experiment, or one that ends at once if the engine is closed."""
        with self.lock:
            self.commands[name] = Supervised(command, folder, env)
            if self.closed:
                self.commands[name].stop()
            return self.commands[name]


def snapshot() -> str:
    """Return a commit of the files that git tracks as they are now; HEAD if it has the same.

    Neither these files nor the stash are changed.
    """
    # where nothing differs, `git stash create` fails after a copy of the folder
    if git("diff", "--name-only", "--ignore-submodules", "HEAD"):
        return git("stash", "create").decode().strip()
    return head_commit()


def core_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_repository() -> None:
    """Check that DVC can save experiments here.

    Raises:
        InputError: it cannot, in a shallow clone, with SHA-256 or outside of a DVC repository.
    """
    if not Path(".dvc").is_dir():
        raise InputError(f"{Path.cwd()}: not the root of a DVC repository; run from there")
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise InputError(
            "this is a shallow clone, in which DVC saves no experiments; run "
            "`git fetch --unshallow`"
        )
    if git("rev-parse", "--show-object-format").strip() != b"sha1":
        raise InputError(f"this is a SHA-256 repository; {ADVICE['unknown object format']}")


def run_all(experiments: Experiments) -> None:
    """Run those experiments that do not exist yet on this machine.

    Raises:
        InputError: some failed, or none can be run here.
    """
    missing = [name for name, overrides in experiments.items() if not find(name, overrides)]
    if not missing:
        return
    check_repository()
    # the longest first, so that no core waits for another at the end
    missing.sort(key=lambda name: -overridden(experiments[name])["mlp"]["steps"])
    check_errors(run_experiments({name: experiments[name] for name in missing}, LocalEngine()))
