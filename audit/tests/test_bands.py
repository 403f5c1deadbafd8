"""Bands, the plain loops behind them, and the verdicts in audit/NOTEBOOKS.md and on the pages."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml

from audit import notebooks, plain_loops, summary
from audit.plain_loops import KneserNey
from charlm import ARITHMETIC
from charlm.core.errors import InputError
from tests.conftest import ROOT, same_bytes
from tools import deps
from tools.recipes import bands, catalog, figures
from tools.recipes.bands import Band

PROJECT = {"benchmarks", "charlm", "stages", "tools"}  # packages
ENTRIES = bands.load(ROOT / bands.PATH)
GROUPS = catalog.load(ROOT / "audit/recipes.yaml")
RECIPES = {name: recipe for group in GROUPS.values() for name, recipe in group.recipes.items()}
WITHOUT_LOOP = {("final", "dev NLL")}  # a notebook's loss that the default recipe is to beat
CHEAP = ("untrained", "five_names")  # loops that take less than a second per seed
SECONDS_EACH = (
    *("counts", "kneser_ney", "neural_penalties", "short_runs", "rate_search", "never_zeroed"),
    "batches_of_32",
)


@pytest.fixture
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]):
    """Put names.txt where the loops read it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/names.txt").write_text("\n".join(names))
    monkeypatch.chdir(tmp_path)
    plain_loops.names.cache_clear()


# --- a band -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sd", "number", "is_inside"),
    [
        (0.01, "2.1300", True),  # at 3 SD
        (0.01, "2.1301", False),
        (0.01, "2.13", True),
        (0.01, "2.14", False),
        (0.01, "2.1", True),  # 2.05 to 2.15
        (0.01, "2.0800 ± 0.0200", True),
        (None, "2.1005", True),
        (None, "2.1006", False),
        (0.0001, "2.1005", True),  # three of these are less than what rounding may do
    ],
)
def test_a_number_is_inside_to_the_digits_that_it_has(
    sd: float | None, number: str, is_inside: bool
):
    assert Band(mean=2.1, sd=sd, values=[2.1]).contains(number) is is_inside


def test_counts_must_be_equal():
    band = Band(mean=10281, values=[10281])
    assert band.contains("10,281")
    assert not band.contains("10000")
    assert not band.contains("10282")
    assert band.shown == "10,281"


def test_band_shows_mean_and_spread():
    assert Band(mean=2.1, sd=0.01, values=[]).shown == "2.1000 ± 0.0100"
    assert Band(mean=2.1, values=[2.1]).shown == "2.1000"


def entry(seeds: list[int], **band: object) -> dict[str, object]:
    return {"a": {"command": "python x", "seeds": seeds, "figures": {"NLL": band}}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (entry([1, 2, 3, 4], mean=1.0, sd=0.1, values=[1.0] * 4), "at least 5 seeds, or none"),
        (entry([1, 2, 3, 4, 5], mean=1.0, sd=0.1, values=[1.0] * 4), "NLL: one value per seed"),
        (entry([1, 2, 3, 4, 5], mean=1.0, values=[1.0] * 5), "NLL: one value per seed"),
        (entry([], mean=1.0, values=[1.0, 1.0]), "NLL: one value per seed"),
        ({"a": 3}, "Input should be a valid dictionary"),
    ],
)
def test_bands_of_too_few_seeds_are_refused(
    tmp_path: Path, content: dict[str, object], problem: str
):
    (tmp_path / "bands.json").write_text(json.dumps(content))
    with pytest.raises(InputError) as refused:
        bands.load(tmp_path / "bands.json")
    assert str(refused.value).startswith(f"{tmp_path / 'bands.json'}: a")
    assert problem in str(refused.value)
    assert str(refused.value).endswith("; run `python audit/plain_loops.py`")
    assert "\n" not in str(refused.value)


# --- the committed bands ----------------------------------------------------------------------


def test_mean_and_deviation_are_those_of_the_values():
    for name, found in ENTRIES.items():
        for figure, band in found.figures.items():
            again = plain_loops.summary(band.values)
            assert again == band.model_dump(exclude_none=True), (name, figure)


def test_file_is_as_the_loops_write_it():
    text = (ROOT / bands.PATH).read_text()
    assert plain_loops.text_of(json.loads(text)) == text
    assert json.loads(text)["about"] == plain_loops.ABOUT


def test_each_entry_names_the_loop_that_gives_it():
    loops = {loop.__name__: [*seeds] for loop, seeds in plain_loops.LOOPS.items()}
    for name, found in ENTRIES.items():
        command, loop = found.command.rsplit(" ", 1)
        assert command == plain_loops.ABOUT["command"]
        assert found.seeds == loops[loop], name
    assert {found.command.rsplit(" ", 1)[1] for found in ENTRIES.values()} == {*loops}


@same_bytes
@pytest.mark.usefixtures("_data")
@pytest.mark.parametrize(
    "name", [*CHEAP, *(pytest.param(name, marks=pytest.mark.faults) for name in SECONDS_EACH)]
)
def test_loop_gives_the_committed_values(name: str):
    loop = getattr(plain_loops, name)
    seed = next(iter(plain_loops.LOOPS[loop] or plain_loops.NO_SEED))
    for entry, found in plain_loops.run(loop, seed).items():
        for figure, value in found.items():
            known = ENTRIES[entry].figures[figure].values[0]
            assert round(value, plain_loops.DECIMALS) == known, (entry, figure)


def test_every_band_is_used():
    pages = catalog.read_sections(ROOT / "audit/notebooks.yaml", notebooks.Notebook).values()
    shown = {item.loop for page in pages for item in page.items}
    texts = (ROOT / "audit/recipes.yaml").read_text() + (ROOT / "audit/notebooks.yaml").read_text()
    others = {*ENTRIES} - {*RECIPES} - shown
    assert {name for name in others if f"`{name}`" not in texts} == set()


# --- verdicts ---------------------------------------------------------------------------------


def test_no_band_is_typed_by_hand():
    content = yaml.safe_load((ROOT / "audit/recipes.yaml").read_text())
    for name, group in content.items():
        if name != "shared":
            for recipe in group["recipes"].values():
                assert not [figure for figure in recipe["figures"] if "band" in figure]


def test_each_number_of_a_notebook_has_a_plain_loop():
    missing = {
        (name, figure.what)
        for name, recipe in RECIPES.items()
        for figure in recipe.figures
        if figure.notebook is not None and figure.band is None
    }
    assert missing == WITHOUT_LOOP


def test_no_value_is_outside_its_band():
    text = (ROOT / "audit/NOTEBOOKS.md").read_text()
    rows = [row for name, group in GROUPS.items() for row in summary.written(name, group, text)]
    assert len(rows) >= 100
    assert [(row.recipe, row.figure.what) for row in rows if row.verdict == "OUTSIDE"] == []


def test_each_difference_of_a_notebook_is_explained():
    for recipe in RECIPES.values():
        for figure in recipe.figures:
            assert not figures.Result("", figure, "").agreement.endswith("None"), figure.what
    for page in notebooks.FOLDER.glob("0*.md"):
        for line in page.read_text().splitlines():
            assert not re.search(r"\| differs[^:|]*\|", line), line


@pytest.mark.parametrize("path", ["audit/recipes.yaml", "audit/notebooks.yaml"])
def test_spreads_in_the_text_are_those_of_a_loop_or_a_recipe(path: str):
    found = [band for entry in ENTRIES.values() for band in entry.figures.values() if band.sd]
    known = {(band.mean, band.sd) for band in found}
    rows = re.findall(r"(-?\d+\.\d{4}) ± (\d+\.\d{4}) ", (ROOT / "audit/NOTEBOOKS.md").read_text())
    known |= {(float(mean), float(sd)) for mean, sd in rows}
    for mean, sd in re.findall(r"(-?\d+\.\d+) ± (\d+\.\d+)", (ROOT / path).read_text()):
        decimals = [len(number.partition(".")[2]) for number in (mean, sd)]
        rounded = {tuple(map(round, pair, decimals)) for pair in known}
        assert (float(mean), float(sd)) in rounded, f"{mean} ± {sd}"


# --- the loops --------------------------------------------------------------------------------


def test_loops_import_nothing_of_the_project():
    source = (ROOT / "audit/plain_loops.py").read_text()
    imported = {name.partition(".")[0] for name in deps.imports(source)}
    assert not PROJECT & imported
    # of the project's arithmetic, what torch reads; the number of threads is set by its function
    assert "torch" in imported
    assert "numpy" not in imported
    for key in ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA"):
        assert f'{key}="{ARITHMETIC[key]}"' in source
    assert "torch.set_num_threads(1)" in source


@same_bytes
@pytest.mark.usefixtures("_data")
def test_chosen_loops_are_remade_and_the_others_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    text = (ROOT / bands.PATH).read_text()
    monkeypatch.setattr(plain_loops, "RESULTS", tmp_path / "bands.json")
    (tmp_path / "bands.json").write_text(text.replace('"mean": 17.7697', '"mean": 1.0'))
    monkeypatch.setattr(sys, "argv", ["plain_loops.py", "five_names"])
    plain_loops.main()
    assert (tmp_path / "bands.json").read_text() == text
    printed = capsys.readouterr().out.splitlines()
    assert "five-names, NLL at step 0: 17.7697" in printed
    assert all(line.startswith("five-names") for line in printed)


def test_unknown_loop_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["plain_loops.py", "six_names"])
    with pytest.raises(SystemExit) as ended:
        plain_loops.main()
    assert str(ended.value).startswith("plain_loops: no loop six_names; known: mlp_10_200, ")


def test_summary_by_hand():
    assert plain_loops.summary([1.0, 3.0]) == {"mean": 2.0, "sd": 1.41421, "values": [1.0, 3.0]}
    assert plain_loops.summary([27]) == {"mean": 27, "values": [27]}


def test_one_cycle_by_hand():
    # 20 steps: up in 2, then a cosine over 18
    assert [plain_loops.one_cycle(step, 20) for step in (0, 1, 2, 11)] == pytest.approx(
        [1 / 3, 2 / 3, 1, 0.5]
    )


def test_descent_by_hand():
    # loss w², gradient 2w: 3, then 3 - 0.1 * 6 = 2.4
    W = torch.tensor([[3.0]], requires_grad=True)
    losses = plain_loops.descend_bigram(W, lambda W: (W**2).sum(), 2, 0.1, l2=1)
    assert [nll for nll, _ in losses] == pytest.approx([9, 3.24])  # with l2 the gradient is 4w
    assert [objective for _, objective in losses] == pytest.approx([18, 6.48])


@pytest.mark.usefixtures("_data")
def test_loss_over_pairs_is_the_loss_over_rows():
    torch.manual_seed(0)
    W = plain_loops.bigram_start()
    over_pairs = plain_loops.pair_loss(plain_loops.pair_counts("five"))(W)
    assert over_pairs.item() == pytest.approx(plain_loops.loss_on("five")(W).item(), rel=1e-6)


@pytest.mark.usefixtures("_data")
def test_splits_are_the_lectures():
    sizes = [len(plain_loops.names(part)) for part in ("train", "dev", "test")]
    assert sizes == [25_626, 3_203, 3_204]
    assert plain_loops.names("train")[:3] == ["yuheng", "diondre", "xavien"]
    assert plain_loops.names("dev")[:2] == ["amay", "aytana"]


def test_kneser_ney_by_hand(monkeypatch: pytest.MonkeyPatch):
    # pairs .a a. .a ab b., with a = 1 and b = 2
    X, Y = torch.tensor([[0], [1], [0], [1], [2]]), torch.tensor([1, 0, 1, 2, 0])
    monkeypatch.setattr(plain_loops, "examples", lambda *_: (X, Y))
    model = KneserNey("toy", 2)
    assert model.after[()] == {1: 1, 0: 2, 2: 1}  # how many different symbols precede
    model.discounts = {0: [0, 0.5, 1, 1.5], 1: [0, 0.5, 1, 1.5]}
    shorter = (1 - 0.5 + 2 / 27) / 4
    assert model.probability((1,), 2) == pytest.approx((1 - 0.5 + 1 * shorter) / 2)
    assert model.probability((2,), 2) == pytest.approx(0.5 * shorter)
    assert sum(model.probability((1,), symbol) for symbol in range(27)) == pytest.approx(1)
