"""Reading and writing. Every file appears whole, under its name, or not at all."""

import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from charlm import InputError
from charlm.runtime import abandoned
from charlm.vocabulary import BOUNDARY

if TYPE_CHECKING:
    import pandas as pd

DATA, METRICS, PLOTS = Path("data"), Path("metrics"), Path("plots")
BYTE_ORDER_MARK = "\ufeff"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")  # all but the newline
LONGEST = 10_000  # characters of a name, as `sample.max_length` allows


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def missing(path: Path) -> InputError:
    """Return the error about a file that is not there."""
    return InputError(f"{path}: not found; `dvc repro` makes what is missing")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write under; rename it to `path` once all is written.

    Nothing is left under the temporary name if the writing fails; what a kill leaves there is
    written over the next time.

    Raises:
        InputError: it cannot be written, or the `dvc` that wants it is gone.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if abandoned():
            raise InputError(f"{path}: not written, as the dvc that asked for it was killed")
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: not written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def parse_names(content: bytes, where: str) -> list[str]:
    """Return the names of a list in UTF-8, one a line, with or without a newline at its end.

    >>> parse_names(b"emma\\nava", "names.txt")
    ['emma', 'ava']

    A character is a Unicode code point, in normal form C: one for é, several for a family emoji.

    Raises:
        InputError: no names, another encoding or normal form, or a line that is not a name.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise InputError(f"{where}, line {line}: byte 0x{byte:02x} is not UTF-8") from None
    lines = text.removesuffix("\n").split("\n")
    if lines == [""]:
        raise InputError(f"{where}: no names in it; one name a line is needed")
    if text.startswith(BYTE_ORDER_MARK):
        raise InputError(f"{where}: begins with a byte-order mark; save it as UTF-8 without one")
    # looked for in the whole text first: most lists hold nothing of the kind
    control = CONTROL.search(text) is not None
    composed = unicodedata.is_normalized("NFC", text)
    for number, name in enumerate(lines, start=1):
        if not name or name != name.strip() or BOUNDARY in name or len(name) > LONGEST:
            raise not_a_name(where, number, name)
        if control and CONTROL.search(name):
            raise not_a_name(where, number, name)
        if not composed and not unicodedata.is_normalized("NFC", name):
            raise InputError(
                f"{where}, line {number}: {name!r} is not in Unicode's normal form C, where a "
                "letter and its accent are one character; convert the list to it"
            )
    return lines


def not_a_name(where: str, number: int, name: str) -> InputError:
    """Return the error about a line that is not a name."""
    shown = repr(name if len(name) <= 50 else f"{name[:50]}…")
    return InputError(
        f"{where}, line {number}: {shown} is not a name; a name has 1 to {LONGEST:,} characters, "
        f"no space at its ends, no control character (Windows ends its lines with one), and no "
        f"{BOUNDARY!r}, the mark of start and end"
    )


def read_names(path: Path) -> list[str]:
    """Return the names of a file that fetch has checked; an empty file holds none."""
    content = read_bytes(path)
    return parse_names(content, str(path)) if content else []


def write_lines(path: Path, lines: list[str]) -> None:
    """Write one line each, every one with its newline."""
    write_bytes(path, "\n".join([*lines, ""]).encode("utf-8"))


def damaged(path: Path, problem: str, stage: str) -> InputError:
    """Return the error about a file that is not as its stage makes it."""
    return InputError(f"{path}: {problem}; {stage} makes it: delete it and run `dvc repro`")


def read_vocabulary() -> list[str]:
    """Return `itos`, the symbol of each number.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    path = DATA / "vocabulary.json"
    itos = read_json(path)
    if not (isinstance(itos, list) and all(isinstance(s, str) and len(s) == 1 for s in itos)):
        raise damaged(path, "not a list of characters", "build_contexts")
    if itos[:1] != [BOUNDARY] or len(set(itos)) < len(itos):
        raise damaged(path, f"not {BOUNDARY!r}, then other characters", "build_contexts")
    return itos


def read_tensors(path: Path, stage: str) -> dict[str, np.ndarray]:
    """Return the named tensors of a safetensors file.

    Args:
        path: of the file.
        stage: which makes it.

    Raises:
        InputError: there is no such file, it is cut short or of another kind, or it holds NaN or
            infinity.
    """
    try:
        tensors = safetensors.numpy.load_file(path)
    except FileNotFoundError:
        raise missing(path) from None
    except (SafetensorError, TypeError, OSError) as error:
        raise damaged(path, f"not a whole safetensors file ({error})", stage) from None
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise damaged(path, f"{name} is not finite", stage)
    return tensors


def read_examples(folder: str, split: str, symbols: int) -> dict[str, np.ndarray]:
    """Return a split's examples.

    Args:
        folder: of data/contexts.
        split: its name.
        symbols: size of the vocabulary.

    Returns:
        `contexts` (examples, block size) and `targets` (examples,), symbol numbers.

    Raises:
        InputError: the file is missing or damaged, or of another vocabulary.
    """
    path = DATA / "contexts" / folder / f"{split}.safetensors"
    examples = read_tensors(path, "build_contexts")
    number = np.min_scalar_type(symbols - 1)
    forms = {name: (tensor.dtype, tensor.ndim) for name, tensor in examples.items()}
    if forms != {"contexts": (number, 2), "targets": (number, 1)}:
        found = ", ".join(f"{name} {form[0]}, {form[1]}-d" for name, form in forms.items())
        wanted = f"contexts {number}, 2-d, targets {number}, 1-d"
        raise damaged(path, f"holds {found}; not {wanted}", "build_contexts")
    if folder == "bigram" and examples["contexts"].shape[1] != 1:
        raise damaged(path, "holds contexts of more than one symbol", "build_contexts")
    if split == "train" and not len(examples["targets"]):
        raise damaged(path, "holds no examples", "build_contexts")
    if len(examples["contexts"]) != len(examples["targets"]):
        raise damaged(path, "has not one target for each context", "build_contexts")
    if max(tensor.max(initial=0) for tensor in examples.values()) >= symbols:
        raise damaged(
            path, f"holds numbers beyond the {symbols} of data/vocabulary.json", "build_contexts"
        )
    return examples


def read_longest_examples(split: str, symbols: int) -> dict[str, np.ndarray]:
    """Return a split's examples with the longest contexts there are; each model takes its end."""
    found = [read_examples(folder, split, symbols) for folder in ("mlp", "ngram")]
    return max(found, key=lambda examples: examples["contexts"].shape[1])


def write_tensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write named tensors as safetensors: the same tensors always give the same bytes.

    Raises:
        InputError: a tensor holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise InputError(f"{path}: not written, {name} is not finite; lower the learning rate")
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    write_bytes(path, safetensors.numpy.save(contiguous))


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
    return round(value, 6) if isinstance(value, float) else value


def write_json(path: Path, value: Any) -> None:
    """Write JSON, floats with six decimals: `dvc metrics diff` shows a difference of 1e-13 as one.

    Raises:
        InputError: a float is NaN or infinite.
    """
    try:
        text = json.dumps(_rounded(value), indent=2, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise InputError(f"{path}: not written, a value is not finite") from None
    write_bytes(path, f"{text}\n".encode())


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as csv, floats with six decimals, a missing value as an empty cell."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
