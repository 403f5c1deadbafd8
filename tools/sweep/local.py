"""The engine of one machine: `dvc exp run --temp`, as many at once as there are cores."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from charlm.core.errors import InputError
from tools.dvc_state import cache_folder
from tools.experiments import (
    UNFINISHED,
    check_cache_path,
    commit_of,
    experiment_ref,
    find,
    git,
    overridden,
)
from tools.sweep.node import (
    Supervised,
    dvc_command,
    one_line,
    run_dvc,
    stage_environment,
    stages_run,
)
from tools.sweep.runner import Experiments, Outcome, check_errors, run_experiments


class LocalEngine:
    """Threads, each of which waits for one experiment at a time."""

    def __init__(self, jobs: int | None = None, check: Callable[[], None] = lambda: None) -> None:
        """Prepare to run experiments.

        Args:
            jobs: how many at once; by default one per core.
            check: raises InputError if no further experiment may start.
        """
        self.jobs = jobs or core_count()
        self.check = check
        self.cache = cache_folder()
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
        """Run an experiment in a temporary folder.

        It runs under another name and is renamed at the end, so that an older one of the same name
        is there until then, whatever happens.
        """
        start = time.monotonic()
        try:
            self.check()
        except InputError as error:
            return Outcome(name, 0, str(error))
        ref, unfinished = experiment_ref(name), experiment_ref(f"{name}{UNFINISHED}")
        outdated = commit_of(ref)
        git("update-ref", "-d", unfinished)  # of a run that was killed
        command = dvc_command(f"{name}{UNFINISHED}", overrides, "--temp")

        def begin() -> Supervised:
            with self.lock:
                self.starts[name] = start
                self.commands[name] = Supervised(command, Path.cwd(), stage_environment())
                if self.closed:
                    self.commands[name].stop()
                return self.commands[name]

        status, printed, errors = run_dvc(begin, self.cache)
        with self.lock:
            del self.commands[name], self.starts[name]
        detail = stages_run(printed)
        if status:
            why = one_line(errors, status)
            return Outcome(name, time.monotonic() - start, why, detail=detail)
        git("update-ref", ref, commit_of(unfinished))
        git("update-ref", "-d", unfinished)
        detail += f", replaces {outdated[:7]}" if outdated else ""
        return Outcome(name, time.monotonic() - start, detail=detail)


def core_count() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_repository() -> None:
    """Check that DVC can run and save experiments here.

    Raises:
        InputError: it cannot.
    """
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        raise InputError(
            "this is a shallow clone, in which DVC saves no experiments; run "
            "`git fetch --unshallow`"
        )
    check_cache_path()


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
