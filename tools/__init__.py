"""Programs that people run by hand, outside the pipeline."""

import sys
from types import TracebackType


def _without_ctrl_c(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a stack trace as python does, but none after Ctrl-C."""
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)


if sys.argv[0] == "-m":  # while `python -m tools.NAME` looks for its module
    sys.excepthook = _without_ctrl_c
