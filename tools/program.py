"""What every program shares: its command line, and Ctrl-C that lets it clean up."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from charlm.core.errors import InputError
from charlm.core.runtime import run

# packages whose errors are about the repository, not about this code
GIT_AND_DVC = ("_pygit2", "dulwich", "dvc", "dvc_data", "dvc_objects", "pygit2", "scmrepo")
# what to do, by what they say
ADVICE = {
    "not owned by current user": "run `git config --global --add safe.directory {folder}`",
    "unknown object format": (
        "DVC reads commits of SHA-1 repositories only; to make one: git init --object-format=sha1 "
        "../NEW && git fast-export --all | git -C ../NEW fast-import && git -C ../NEW switch BRANCH"
    ),
    "extensions.refstorage": (
        "DVC reads refs from files only; run `git refs migrate --ref-format=files`"
    ),
}


def run_tool(main: Callable[[], None]) -> None:
    """Run the `main` of a tool. Ctrl-C lets it remove its temporary files first."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def checked_main() -> None:
        check_arguments()
        try:
            main()
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in GIT_AND_DVC:
                raise
            raise InputError(f"{program_name()}: {explain(error)}") from None

    try:
        run(checked_main)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


def program_name() -> str:
    """Return the name of the running program, without its folder."""
    path = Path(sys.argv[0]).with_suffix("")
    return path.parent.name if path.name == "__main__" else path.name


def explain(error: Exception) -> str:
    """Return what a library of git or DVC says in one line, and what to do about it if we know."""
    reason = " ".join(str(error).split()) or type(error).__name__
    advice = next((advice for cause, advice in ADVICE.items() if cause in reason), "")
    return f"{reason}; {advice.format(folder=Path.cwd())}" if advice else reason


def argument_parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of a tool's command line, whose help shows the tool's docstring."""
    path = Path(sys.argv[0]).with_suffix("")
    folder = path.parents[1] if path.name == "__main__" else path.parent
    return argparse.ArgumentParser(
        prog=f"python -m {folder.name}.{program_name()}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def positive(text: str) -> int:
    """Return a whole number above 0.

    Raises:
        ArgumentTypeError: the text is something else.
    """
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed; found {text!r}")
    return int(text)


def check_arguments() -> None:
    """Check that the command line is text.

    Raises:
        InputError: an argument contains bytes that no text has in the encoding of the system.
    """
    for argument in sys.argv[1:]:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise InputError(f"{os.fsencode(argument)!r}: not text; type it in UTF-8")
