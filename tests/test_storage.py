import math
from pathlib import Path

import pytest

from charlm.core import storage
from charlm.core.errors import InputError
from charlm.core.storage import METRICS
from tests.conftest import no_room, posix


def test_paths_of_models_and_splits():
    assert storage.model_path("mlp") == Path("data/models/mlp.safetensors")
    assert [storage.split_path(split) for split in storage.SPLITS] == [
        Path("data/splits/train.txt"),
        Path("data/splits/dev.txt"),
        Path("data/splits/test.txt"),
    ]


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "metrics.json"
    storage.write_bytes(path, b"old")

    def write() -> None:
        with storage.atomic_write(path) as temporary:
            temporary.write_bytes(b"ne")
            raise RuntimeError("a fault while writing")

    with pytest.raises(RuntimeError, match="a fault while writing"):
        write()
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("metrics.json", b"old")
    ]


def test_remains_of_a_killed_process_are_overwritten(tmp_path: Path):
    (tmp_path / ".file.tmp").write_bytes(b"a longer text, cut off by a ki")
    storage.write_bytes(tmp_path / "file", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"new")]


@pytest.mark.parametrize("content", ['[".", "a"', "", "\xff", "[" * 100_000])
def test_broken_json_is_one_line(tmp_path: Path, content: str):
    (tmp_path / "vocabulary.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"vocabulary\.json: not JSON .*; delete it and run"):
        storage.read_json(tmp_path / "vocabulary.json")


def test_missing_file_is_one_line(tmp_path: Path):
    for read in (storage.read_json, storage.read_bytes):
        with pytest.raises(InputError, match=r"gone\.json: not found$"):
            read(tmp_path / "gone.json")


def test_missing_result_names_the_command_or_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = "metrics/mlp.json: not found; run"
    assert str(storage.missing(METRICS / "mlp.json")) == f"{found} from the root of the repository"
    (tmp_path / "params.yaml").touch()
    assert str(storage.missing(METRICS / "mlp.json")) == f"{found} `dvc repro` to create it"


def test_damaged_file_is_named_with_its_stage_and_what_to_do():
    error = storage.damaged(Path("data/x.json"), "not a list", "build_contexts")
    assert str(error) == (
        "data/x.json: not a list; build_contexts writes it: delete it and run `dvc repro`"
    )


def test_json_has_nine_decimals_and_never_nan(tmp_path: Path):
    path = tmp_path / "metrics.json"
    storage.write_json(path, {"nll": {"mlp": 2.0000000004999, "n": 3}})
    assert path.read_text() == '{\n  "nll": {\n    "mlp": 2.0,\n    "n": 3\n  }\n}\n'
    for value in (math.nan, math.inf):
        for nested in (value, [[value]]):
            with pytest.raises(
                InputError, match=r"metrics\.json: not written: a value is not finite$"
            ):
                storage.write_json(path, {"nll": nested})
    assert storage.read_json(path) == {"nll": {"mlp": 2.0, "n": 3}}


def test_json_has_nine_decimals_in_lists_and_other_alphabets_as_they_are(tmp_path: Path):
    path = tmp_path / "embedding.json"
    storage.write_json(path, {"ə": [[0.12345678912, -1e-12], ["é"]]})
    assert '"ə"' in path.read_text(encoding="utf-8")
    assert storage.read_json(path) == {"ə": [[0.123456789, 0.0], ["é"]]}
    assert "-" not in path.read_text(encoding="utf-8")  # no negative zero


def test_metric_just_below_the_middle_is_not_rounded_up_by_a_table(tmp_path: Path):
    storage.write_json(tmp_path / "metrics.json", {"nll": 1.9687499})
    assert f"{storage.read_json(tmp_path / 'metrics.json')['nll']:.4f}" == "1.9687"


@posix
def test_full_disk_is_one_line_and_leaves_the_old_content(tmp_path: Path):
    path = tmp_path / "file"
    storage.write_bytes(path, b"old")
    with no_room(), pytest.raises(InputError, match=r"file: not written: File too large$"):
        storage.write_bytes(path, b"newer")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]


@posix
def test_link_at_the_temporary_name_is_not_written_through(tmp_path: Path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / ".file.tmp").symlink_to(tmp_path / "precious")
    storage.write_bytes(tmp_path / "file", b"new")
    found = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert found == {"precious": b"precious", "file": b"new"}


def test_nothing_but_the_file_is_left(tmp_path: Path):
    storage.write_bytes(tmp_path / "deep" / "file", b"1")
    storage.write_bytes(tmp_path / "deep" / "file", b"2")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    assert (tmp_path / "deep" / "file").read_bytes() == b"2"


def test_lines_end_in_a_newline_each(tmp_path: Path):
    storage.write_lines(tmp_path / "lines.txt", ["emma", "zoë"])
    assert (tmp_path / "lines.txt").read_bytes() == "emma\nzoë\n".encode()
    storage.write_lines(tmp_path / "lines.txt", [])
    assert (tmp_path / "lines.txt").read_bytes() == b""
