"""Reading and writing files. Every file appears whole, under its name, or not at all."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from charlm.core.errors import InputError

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("plots")
SPLITS = ("train", "dev", "test")
PIECE_LENGTH = 2**20  # characters of a long file that are read at once
# run before a file gets its name; a running stage refuses here if its inputs have changed
pre_write_checks: list[Callable[[], None]] = []


def model_path(name: str) -> Path:
    """Return where the trained model of this name is stored."""
    return DATA / "models" / f"{name}.safetensors"


def split_path(split: str) -> Path:
    """Return where the names of a split are stored."""
    return DATA / "splits" / f"{split}.txt"


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    with read_errors(path):
        return path.read_bytes()


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn the errors of reading a file into an InputError that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def missing(path: Path) -> InputError:
    """Return the error about a file that does not exist."""
    if path.parts[0] not in (DATA.name, METRICS.name, PLOTS.name):
        return InputError(f"{path}: not found")
    is_root = Path("params.yaml").exists()
    advice = "run `dvc repro` to create it" if is_root else "run from the root of the repository"
    return InputError(f"{path}: not found; {advice}")


def damaged(path: Path, problem: str, stage: str) -> InputError:
    """Return the error about a file that is not what its stage writes."""
    return InputError(f"{path}: {problem}; {stage} writes it: delete it and run `dvc repro`")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; rename it to `path` once everything is written.

    Nothing is left under the temporary name if writing fails. What a killed process leaves there
    is removed the next time.

    Raises:
        InputError: the file cannot be written, or must not be.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # a symbolic link there would be written through
        yield temporary
        for check in pre_write_checks:
            check()
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: not written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_lines(path: Path, lines: list[str]) -> None:
    """Write lines, each with a newline at its end."""
    write_bytes(path, "\n".join([*lines, ""]).encode("utf-8"))


def iter_lines(path: Path) -> Iterator[list[str]]:
    """Yield the lines that `write_lines` wrote, PIECE_LENGTH characters or little more at a time.

    Raises:
        InputError: there is no such file, it cannot be read, or it is not UTF-8.
    """
    try:
        with read_errors(path), path.open(encoding="utf-8", newline="\n") as file:
            while text := file.read(PIECE_LENGTH):
                yield (text + file.readline()).removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; delete it and run `dvc repro`") from None


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        InputError: there is no such file, or it is not JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); delete it and run `dvc repro`") from None


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    # no negative zero
    return round(value, 9) + 0.0 if isinstance(value, float) else value


def write_json(path: Path, value: Any) -> None:
    """Write JSON, floats with nine decimals.

    With all of them `dvc metrics diff` would report differences of 1e-13 between machines; with
    fewer, a table of four decimals would round some values twice.

    Raises:
        InputError: a float is NaN or infinite.
    """
    try:
        text = json.dumps(_rounded(value), indent=2, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise InputError(f"{path}: not written: a value is not finite") from None
    write_bytes(path, f"{text}\n".encode())
