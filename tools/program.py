"""What every program shares: its command line, and Ctrl-C that lets it clean up."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from charlm.core.errors import InputError
from charlm.core.runtime import run


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
