"""Run experiments on an engine, and say how far they are."""

import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, NamedTuple, Protocol

from charlm.core.errors import InputError

REPORT_S = 30  # between lines about what runs, while nothing ends
Experiments = dict[str, list[str]]  # overrides, by name


class Outcome(NamedTuple):
    """How an experiment ended."""

    name: str
    seconds: float
    error: str = ""  # one line; empty if it succeeded
    node: str = ""  # empty for this machine
    detail: str = ""  # what else to print


class Engine(Protocol):
    """Where experiments run: `local` and `dask_engine` have one each."""

    def slots(self) -> int:
        """Return how many experiments run at once."""

    def submit(self, name: str, overrides: list[str]) -> "Future[Any]":
        """Run an experiment when there is room."""

    def collect(self, name: str, ended: "Future[Any]") -> Outcome | None:
        """Put the results of an experiment into git and DVC's cache; None: submit it again."""

    def running(self) -> dict[str, tuple[str, float]]:
        """Return node (empty: this machine) and seconds so far of each running experiment."""

    def close(self) -> None:
        """Stop what has not ended."""


class Progress:
    """Lines on stderr: what has ended, what runs where, and about how long the rest takes."""

    def __init__(self, total: int, slots: int) -> None:
        self.total, self.slots = total, slots
        self.done = self.failed = 0
        self.start = self.last_line = time.monotonic()

    def print(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        self.last_line = time.monotonic()

    def ended(self, outcome: Outcome, running: int) -> None:
        """Print that an experiment has ended."""
        self.done += 1
        self.failed += bool(outcome.error)
        what = f"{outcome.seconds:.0f} s"
        what += f" on {outcome.node}" if outcome.node else ""
        what += f"{outcome.detail}, failed: {outcome.error}" if outcome.error else outcome.detail
        counts = [f"{self.done} of {self.total} done"]
        counts += [f"{self.failed} failed"] * bool(self.failed)
        counts += [f"{running} running"] * bool(running)
        counts += [f"about {self.remaining()} left"] * (self.done < self.total)
        self.print(f"{outcome.name}: {what} ({', '.join(counts)})")

    def remaining(self) -> str:
        """Return about how long the rest takes, by the time since the start.

        Those that run now are half done on average.
        """
        now = time.monotonic() - self.start
        left = self.total - self.done
        pace = now / (self.done + min(self.slots, left) / 2)
        return duration(pace * left)

    def report(self, engine: Engine) -> None:
        """Print what runs, if nothing was printed for a while."""
        if time.monotonic() - self.last_line < REPORT_S:
            return
        at_work = [
            f"{name}{f' on {node}' if node else ''} for {seconds:.0f} s"
            for name, (node, seconds) in engine.running().items()
        ]
        self.print(f"running: {'; '.join(at_work) or 'nothing yet'}")


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it.

    >>> duration(8.2), duration(100), duration(7300)
    ('8 s', '2 min', '2 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def run_experiments(experiments: Experiments, engine: Engine) -> dict[str, str]:
    """Run experiments, all at once as far as the engine can; return the errors of those that fail.

    However it ends, the engine is closed.
    """
    progress = Progress(len(experiments), engine.slots())
    errors = {}
    try:
        pending = {engine.submit(*item): item[0] for item in experiments.items()}
        while pending:
            ended, _ = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
            for future in ended:
                name = pending.pop(future)
                outcome = engine.collect(name, future)
                if outcome is None:
                    pending[engine.submit(name, experiments[name])] = name
                    continue
                if outcome.error:
                    errors[name] = outcome.error
                progress.ended(outcome, min(len(pending), progress.slots))
            progress.report(engine)
    finally:
        engine.close()
    return errors


def check_errors(errors: dict[str, str]) -> None:
    """Refuse to go on if experiments failed.

    Raises:
        InputError: some did.
    """
    if errors:
        raise InputError("\n".join(f"{name} failed: {words}" for name, words in errors.items()))
