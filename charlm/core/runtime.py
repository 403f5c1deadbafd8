"""What every stage shares: errors in one line, one stage at a time."""

import atexit
import gc
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from charlm.core.errors import InputError
from charlm.core.snapshot import Snapshot
from charlm.core.storage import pre_write_checks
from charlm.core.versions import check_versions

LOCK = Path("data/.lock")


def run_stage(main: Callable[[], None]) -> None:
    """Run the `main` of a stage while no other stage runs in this folder.

    It writes nothing once its code or parameters have changed. This also stops a stage that
    outlives its `dvc` from overwriting the results of other parameters.
    """
    stage = Path(sys.argv[0]).stem
    # taken before the lock: an edit while the stage waits for it counts, too
    pre_write_checks.append(Snapshot.take(stage).check)

    def locked_main() -> None:
        check_versions(stage)
        with exclusive_lock(stage):
            main()

    # At exit Python looks once more through all objects that torch's import has made. Skipping
    # that makes start and end together 1.3 times faster.
    atexit.register(gc.freeze)
    run(locked_main)


def run(main: Callable[[], None]) -> None:
    """Run a program; print an error of its input as one line and exit with its status."""
    if not gc.isenabled():  # since `charlm` was imported; all objects until here stay
        gc.freeze()
        gc.enable()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal whose encoding lacks an arrow shows a question mark instead
            stream.reconfigure(errors="replace")
    try:
        main()
        if sys.stdout is not None:  # as it is after `>&-`
            sys.stdout.flush()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:  # whoever reads the output wants no more of it, as `| head -1` does
        discard_output()
        sys.exit(1)
    except OSError as error:
        where = error.filename or Path(sys.argv[0]).stem
        print(f"{where}: {error.strerror or error}", file=sys.stderr)
        if error.filename is None:
            discard_output()
        sys.exit(1)


def discard_output() -> None:
    """Discard what is still to be printed: Python would try, and complain, once more at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def exclusive_lock(name: str) -> Iterator[None]:
    """Hold the lock of this folder; wait for it, and say so, while another stage holds it.

    When `dvc` is killed, the stage that it started keeps running. The operating system releases
    the lock when the process that holds it ends, however it ends.
    """
    LOCK.parent.mkdir(exist_ok=True)
    lock = FileLock(LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{name}: waiting for another stage that runs in this folder", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
