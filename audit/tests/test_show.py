"""audit.show: rows in full, and the values that tests compute."""

from pathlib import Path

import pytest

from audit import show
from charlm.core.errors import InputError
from tests.conftest import ROOT

TESTS = """
import pytest

def test_pairs():
    assert 2 + 2 == 4
    assert sum([0.25, 0.5]) == 0.75  # [002]

@pytest.mark.parametrize("x", [1, 2], ids=["[002] one", "[003] two"])
def test_pairs_of_one_notebook(x):
    assert x * 10 == 10 * x

def test_other():
    assert "other" == "other"
"""


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of tests; a process imports only one module of a name."""
    monkeypatch.chdir(tmp_path)
    path = f"test_of_{tmp_path.name}.py"
    Path(path).write_text(TESTS)
    return path


def test_values_are_computed_anew(tests: str):
    assert show.recompute(tests, "pairs", "002") == [
        "  2 + 2\n    (2 + 2)",
        "  sum([0.25, 0.5])\n    0.75",
        "  x * 10\n    (1 * 10)",
    ]
    assert show.recompute(tests, "pairs", "002", "loss 0.75") == ["  sum([0.25, 0.5])\n    0.75"]


def test_failing_test_is_named(tests: str):
    Path(tests).write_text("def test_pairs():\n    assert 1 == 2\n")
    assert show.recompute(tests, "pairs", "002") == [f"  {tests}::test_pairs: failed: see pytest"]
    assert show.recompute(tests, "nobody", "002") == ["  no test has run; see pytest"]


def test_row_of_a_recipe_has_its_recorded_value(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    assert show.show("002", "4.2").splitlines() == [
        "row            4.2",
        "what           loss of the first step, seed 42",
        "notebook       17.775842666625977",
        "here           17.7758",
        "plain loop     17.7758",
        "ours is        inside",
        "the notebook   agrees",
        "kind           seeded",
        "how to get it  `python -m tools.recipes five-names-seed-42`",
    ]


def test_unknown_rows_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=r"^no notebook '007'; there are 000, 001, "):
        show.show("007", "1.1")
    with pytest.raises(
        InputError,
        match=r"^\[002\] has no row '4.9'; it has 1.1 to 12.2: audit/pages/002.md$",
    ):
        show.show("002", "4.9")
