import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from charlm import InputError, storage as files


@pytest.mark.parametrize("content", [b"emma\nava", b"emma\nava\n"])
def test_names_with_and_without_newline_at_the_end(content: bytes):
    assert files.parse_names(content, "list") == ["emma", "ava"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "list: no names in it"),
        (b"\n", "list: no names in it"),
        (b"emma\n\nava\n", "list, line 2: '' is not a name"),
        (b"emma\n ava\n", "list, line 2: ' ava' is not a name"),
        (b"emma\r\nava\r\n", r"list, line 1: 'emma\\r' is not a name"),
        (b"emma\na.va\n", "list, line 2: 'a.va' is not a name"),
        (b"emma\nav\xe9\n", "list, line 2: byte 0xe9 is not UTF-8"),
        (b"\xef\xbb\xbfemma\n", "list: begins with a byte-order mark"),
        (b"emma\na\x00va\n", r"list, line 2: 'a\\x00va' is not a name"),
        (b"emma\na\tva\n", r"list, line 2: 'a\\tva' is not a name"),
        ("emma\nzoe\u0308\n".encode(), "list, line 2: .* is not in Unicode's normal form C"),
        (b"emma\n" + b"a" * 10_001, "list, line 2: 'a{50}…' is not a name; a name has 1 to 10,000"),
        (b"emma\n" + b"a" * 10_000_000, "list, line 2: 'a{50}…' is not a name"),
        (b"emma\nava \n", "list, line 2: 'ava ' is not a name"),
        (b"<!DOCTYPE html>\n<html>\n\n</html>", "list, line 3: '' is not a name"),
    ],
)
def test_what_is_no_list_of_names_is_refused_with_its_line(content: bytes, message: str):
    with pytest.raises(InputError, match=message):
        files.parse_names(content, "list")


@pytest.mark.parametrize(
    "names",
    [["Emma", "mary ann", "o'neil"], ["Şəhla", "Çinarə"], ["さくら", "陽菜"], ["👨‍👩‍👧", "zoë"]],
)
def test_names_of_other_alphabets_and_kinds_are_names(names: list[str]):
    assert files.parse_names("\n".join(names).encode(), "list") == names


def test_lines_written_are_names_read(tmp_path: Path):
    for names in (["emma", "zoë"], []):
        files.write_lines(tmp_path / "names.txt", names)
        assert files.read_names(tmp_path / "names.txt") == names


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "metrics.json"
    files.write_bytes(path, b"old")

    def write() -> None:
        with files.replacing(path) as temporary:
            temporary.write_bytes(b"ne")
            raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError, match="a fault of ours"):
        write()
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("metrics.json", b"old")
    ]


def test_broken_json_is_one_line(tmp_path: Path):
    (tmp_path / "vocabulary.json").write_text('[".", "a"')
    with pytest.raises(InputError, match=r"vocabulary\.json: not JSON .*; delete it and run"):
        files.read_json(tmp_path / "vocabulary.json")


def test_missing_file_is_one_line(tmp_path: Path):
    with pytest.raises(
        InputError, match=r"gone\.json: not found; `dvc repro` makes what is missing"
    ):
        files.read_json(tmp_path / "gone.json")


def test_tensors_come_back_with_type_and_shape_and_the_same_bytes(tmp_path: Path):
    tensors = {
        "b": np.arange(6, dtype=np.uint8).reshape(2, 3)[:, ::-1],
        "a": np.array([0.1]),
        "none": np.empty((0, 3), dtype=np.uint16),
    }
    files.write_tensors(tmp_path / "one", tensors)
    files.write_tensors(tmp_path / "two", dict(reversed(tensors.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    for name, tensor in files.read_tensors(tmp_path / "one", "train").items():
        assert tensor.dtype == tensors[name].dtype
        np.testing.assert_array_equal(tensor, tensors[name])


def test_tensors_that_are_not_finite_are_not_written(tmp_path: Path):
    for value in (math.nan, math.inf):
        with pytest.raises(InputError, match=r"mlp: not written, b is not finite"):
            files.write_tensors(tmp_path / "mlp", {"a": np.zeros(1), "b": np.array([value])})
    assert list(tmp_path.iterdir()) == []


def test_json_has_six_decimals_and_never_nan(tmp_path: Path):
    path = tmp_path / "metrics.json"
    files.write_json(path, {"nll": {"mlp": 2.0000004999, "n": 3}})
    assert path.read_text() == '{\n  "nll": {\n    "mlp": 2.0,\n    "n": 3\n  }\n}\n'
    for value in (math.nan, math.inf):
        with pytest.raises(InputError, match=r"metrics\.json: not written, a value is not finite"):
            files.write_json(path, {"nll": value})
    assert files.read_json(path) == {"nll": {"mlp": 2.0, "n": 3}}


def test_table_has_six_decimals_and_empty_cells(tmp_path: Path):
    files.write_table(
        tmp_path / "t.csv", pd.DataFrame({"name": ["ava", "nan"], "nll": [1.23456789, None]})
    )
    assert (tmp_path / "t.csv").read_bytes() == b"name,nll\nava,1.234568\nnan,\n"


def test_full_disk_is_one_line_and_leaves_the_old_content(tmp_path: Path):
    path = tmp_path / "file"
    files.write_bytes(path, b"old")
    (tmp_path / ".file.tmp").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"file: not written: No space left on device$"):
        files.write_bytes(path, b"newer")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]


def test_nothing_but_the_file_is_left(tmp_path: Path):
    files.write_bytes(tmp_path / "deep" / "file", b"1")
    files.write_bytes(tmp_path / "deep" / "file", b"2")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    assert (tmp_path / "deep" / "file").read_bytes() == b"2"
