"""What every program shares: errors in one line, Ctrl-C, one stage at a time, memory limits."""

import argparse
import atexit
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from charlm.core.errors import InputError
from charlm.core.snapshot import Snapshot
from charlm.core.storage import BEFORE_RENAME
from charlm.core.versions import check_versions

LOCK = Path("data/.lock")
SMALL_BYTES = 10**9  # a need as small as this is never refused
MEMORY_SHARE = 0.75  # of the machine's memory that a stage may need, by its own estimate
DEFAULT_MEMORY_BYTES = 8 * 10**9  # where the machine does not tell how much it has
WORKING_COPIES = 6  # tables of one size that exist at the same time, at most


def run_stage(main: Callable[[], None]) -> None:
    """Run the `main` of a stage while no other stage runs in this folder.

    It writes nothing once its code or parameters have changed. This also stops a stage that
    outlives its `dvc` from overwriting the results of other parameters.
    """
    stage = Path(sys.argv[0]).stem
    # taken before the lock: an edit while the stage waits for it counts, too
    BEFORE_RENAME.append(Snapshot.take(stage).check)

    def locked_main() -> None:
        check_versions(stage)
        with exclusive_lock(stage):
            main()

    # At exit Python looks once more through all objects that torch's import has made. Skipping
    # that makes start and end together 1.3 times faster.
    atexit.register(gc.freeze)
    run(locked_main)


def run_tool(main: Callable[[], None]) -> None:
    """Run the `main` of a tool. Ctrl-C lets it remove its temporary files first."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def checked_main() -> None:
        check_arguments()
        main()

    try:
        run(checked_main)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of a tool's command line, whose help shows the tool's docstring."""
    path = Path(sys.argv[0]).with_suffix("")
    program = path.parent if path.name == "__main__" else path
    return argparse.ArgumentParser(
        prog=f"python -m {program.parent.name}.{program.name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def check_arguments() -> None:
    """Check that the command line is text.

    Raises:
        InputError: an argument contains bytes that no text has in the encoding of the system.
    """
    for argument in sys.argv[1:]:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise InputError(f"{os.fsencode(argument)!r}: not text; type it in UTF-8")


def run(main: Callable[[], None]) -> None:
    """Run a program; print an error of its input as one line and exit with its status."""
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


def memory_limit_bytes() -> int:
    """Return how much memory a stage may need: MEMORY_LIMIT_GB, or a share of the machine's.

    Raises:
        InputError: MEMORY_LIMIT_GB is not a positive number.
    """
    if setting := os.environ.get("MEMORY_LIMIT_GB"):
        try:
            limit = float(setting) * 1e9
        except ValueError:
            limit = 0.0
        if not 0 < limit < float("inf"):
            raise InputError(f"MEMORY_LIMIT_GB={setting}: must be a number of gigabytes above 0")
        return int(limit)
    import psutil

    try:
        return int(MEMORY_SHARE * psutil.virtual_memory().total)
    except OSError:
        return DEFAULT_MEMORY_BYTES


def check_table_memory(
    what: str, rows: int, columns: int, advice: str, itemsize_bytes: int = 8
) -> None:
    """Refuse tables that need more memory than the limit.

    Args:
        what: the tables, for the message.
        rows, columns: the size of one.
        advice: what to change.
        itemsize_bytes: size of one cell.

    Raises:
        InputError: WORKING_COPIES such tables need too much.
    """
    check_memory(what, WORKING_COPIES * rows * columns * itemsize_bytes, advice)


def check_network_memory(what: str, parameters: int, activations: int, advice: str) -> None:
    """Refuse to train a network that needs more memory than the limit.

    Args:
        what: the training, for the message.
        parameters: number of parameters. Six float32 each: the parameter, its gradient, two of
            the optimizer, and the file twice.
        activations: number of units times the rows computed at once. Four float32 each.
        advice: what to change.

    Raises:
        InputError: the training needs too much.
    """
    check_memory(what, 4 * (6 * parameters + 4 * activations), advice)


def check_memory(what: str, needed_bytes: int, advice: str) -> None:
    """Refuse what needs more memory than the limit.

    Raises:
        InputError: it needs too much.
    """
    if needed_bytes <= SMALL_BYTES:
        return
    limit = memory_limit_bytes()
    if needed_bytes > limit:
        raise InputError(
            f"{what} would take about {needed_bytes / 1e9:,.0f} GB of memory; at most "
            f"{limit / 1e9:,.0f} GB are allowed (MEMORY_LIMIT_GB changes that); {advice}"
        )
