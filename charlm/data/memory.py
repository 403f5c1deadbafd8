"""Estimates of memory, which refuse what would not fit before it is computed."""

import os

from charlm.core.errors import InputError

SMALL_BYTES = 10**9  # a need as small as this is never refused
MEMORY_SHARE = 0.75  # of the machine's memory that a stage may need, by its own estimate
DEFAULT_MEMORY_BYTES = 8 * 10**9  # where the machine does not tell how much it has
WORKING_COPIES = 6  # tables of one size that exist at the same time, at most


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
