"""What every stage shares: one at a time in a folder, one line for what went wrong, limits."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from charlm import STARTED_BY, InputError

LOCK = Path("data/.lock")
MEMORY = 8_000_000_000  # bytes that a stage may need, by its own estimate


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main` while no other stage runs in this folder.

    Raises:
        InputError: a file or folder cannot be read or written.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that knows no arrow shows another sign
    try:
        with alone(Path(sys.argv[0]).stem):
            main()
    except OSError as error:
        where = error.filename or Path(sys.argv[0]).stem
        raise InputError(f"{where}: {error.strerror or error}") from None


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the folder's lock; wait for it, and say so, while another stage has it.

    A `dvc` that is killed leaves its stage running. The lock ends with the process that holds it,
    however it ends.
    """
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("ab+", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().decode(errors="replace") or "another stage"
            print(f"{name}: waits for {holder}, at work in this folder", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        with suppress(OSError):  # a full disk: the lock holds without the note of whose it is
            lock.truncate(0)
            lock.write(f"{name} (process {os.getpid()})".encode())
        yield


def abandoned() -> bool:
    """Tell whether DVC started this stage and is gone: a later `dvc` may want other results."""
    return STARTED_BY is not None and (
        not STARTED_BY.is_running() or STARTED_BY.status() == psutil.STATUS_ZOMBIE
    )


def afford(what: str, size: int, advice: str) -> None:
    """Refuse what would need more memory than MEMORY.

    Args:
        what: needs the memory.
        size: that it needs at its peak, bytes, estimated.
        advice: what to change.

    Raises:
        InputError: it is too much.
    """
    if size > MEMORY:
        raise InputError(
            f"{what} would take about {size / 1e9:,.0f} GB of memory, more than the "
            f"{MEMORY / 1e9:.0f} GB allowed; {advice}"
        )
