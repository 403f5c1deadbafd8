"""What a stage started with, compared with what is there when it writes."""

from pathlib import Path

import pytest

from charlm.core import snapshot
from charlm.core.errors import InputError
from charlm.core.snapshot import Snapshot

PIPELINE = "stages: {one: {params: [a, b]}, two: {}}"


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text("a: {x: 1}\nb: {y: 2}\nc: {z: 3}\n")
    return Snapshot.take("one")


@pytest.mark.parametrize(
    "params", ["a: {x: 1}\nb: {y: 2}\nc: {z: 4}\n", "# new\nb: {y: 2}\na: {x: 1}\n"]
)
def test_what_the_stage_does_not_read_may_change(taken: Snapshot, params: str):
    Path("params.yaml").write_text(params)
    taken.check()


@pytest.mark.parametrize(
    ("params", "changed"),
    [
        ("a: {x: 2}\nb: {y: 2}\n", "params.yaml: a"),
        ("a: {x: 2}\nb: {y: 3}\n", "params.yaml: a, params.yaml: b"),
        ("a: {x: 1}\n", "params.yaml: b"),
        ("a: [", "params.yaml: a, params.yaml: b"),
        ("- a\n", "params.yaml: a, params.yaml: b"),
    ],
)
def test_changed_sections_are_named(taken: Snapshot, params: str, changed: str):
    Path("params.yaml").write_text(params)
    with pytest.raises(InputError, match=f"^one: {changed} changed while it ran"):
        taken.check()


def test_deleted_parameters_are_changed_ones(taken: Snapshot):
    Path("params.yaml").unlink()
    with pytest.raises(InputError, match=r"^one: params\.yaml: a, params\.yaml: b changed while"):
        taken.check()


def test_without_a_pipeline_every_section_counts(taken: Snapshot):
    Path("dvc.yaml").unlink()
    Path("params.yaml").write_text("a: {x: 1}\nb: {y: 2}\nd: {z: 3}\n")
    with pytest.raises(InputError, match=r"^one: params\.yaml: c, params\.yaml: d changed while"):
        taken.check()


def test_sources_are_the_loaded_modules_of_the_project(taken: Snapshot):
    assert Path(snapshot.__file__) in taken.sources
    assert all(content for content in taken.sources.values())


def test_changed_source_is_named(taken: Snapshot, tmp_path: Path):
    source = tmp_path / "mlp.py"
    source.write_text("x = 1\n")
    started = taken._replace(sources={source: b"x = 1\n"})
    started.check()
    source.write_text("x = 2\n")
    with pytest.raises(InputError, match=r"^one: mlp\.py changed while it ran"):
        started.check()
