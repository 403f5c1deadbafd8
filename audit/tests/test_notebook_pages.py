"""audit/notebooks.yaml, what it refers to, and the pages of audit/pages/ made from it."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from audit import notebooks
from audit.notebooks import Item
from charlm.core.errors import InputError
from tests.conftest import ROOT
from tools import tables
from tools.recipes import bands, catalog, figures
from tools.recipes.bands import Band

NOTEBOOKS = catalog.read_sections(ROOT / "audit/notebooks.yaml", notebooks.Notebook)
GROUPS = catalog.load(ROOT / "audit/recipes.yaml")
RECIPES = {name for group in GROUPS.values() for name in group.recipes}
ITEMS = {name: notebook.items for name, notebook in NOTEBOOKS.items()}
ALL_ITEMS = [item for items in ITEMS.values() for item in items]

COUNT = {
    "what": "count of ab",
    "printed": "541.0",
    "command": "`pytest audit/tests/test_errata.py -k counts_with_two_symbols`",
    "agreement": "exact",
}
LOSS = {
    "what": "losses",
    "printed": "2.28, 2.30",
    "recipe": "small",
    "figure": ["train NLL", "dev NLL"],
    "agreement": "unseeded",
}
DRAWS = {
    "what": "losses of two starts",
    "printed": "3.5, 4.9",
    "loop": "starts",
    "figure": "first NLL",
    "agreement": "unseeded",
}
WARM_UP = {"what": "ten draws", "printed": "0 <1> 2", "left_out": "warm-up, no names involved"}
PLOT = {"plot": "counts", "command": "plots/bigram_counts.svg (train)"}
QUESTION = {"question": "1a: what is b|a?", "answer": "As in `small`: 0.5."}
ERRATUM = {"place": "x", "wrong": "2*3", "right": "6", "shown": "6 = 6"}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)


def content(*items: dict[str, object]) -> dict[str, object]:
    """Return what audit/notebooks.yaml holds for one notebook with one heading."""
    sections = [{"heading": "A heading", "items": [*items]}]
    return {"000": {"title": "A notebook", "sections": sections, "errata": [ERRATUM]}}


def load(path: Path, found: object) -> dict[str, notebooks.Notebook]:
    path.write_text(yaml.safe_dump(found))
    return catalog.read_sections(path, notebooks.Notebook)


LOOPS = {
    "starts": bands.Entry(
        command="python starts",
        seeds=[1, 2, 3, 4, 5],
        figures={
            "first NLL": Band(mean=3.8, sd=0.25, values=[3.8] * 5),
            **{
                f"batch {number}": Band(mean=3.8, sd=number / 8, values=[3.8] * 5)
                for number in range(1, 5)
            },
        },
    )
}


def row(figure: str, ours: str, band: Band | None = None) -> figures.Result:
    found = catalog.Figure(what=figure, file="metrics/evaluate.json", key="nll", band=band)
    return figures.Result("small", found, ours)


def rows(**ours: str) -> notebooks.Rows:
    """Return rows of the recipe `small`, without bands."""
    return {("small", figure): row(figure, value) for figure, value in ours.items()}


def groups(*pictures: str) -> dict[str, catalog.Group]:
    figures = [
        catalog.Figure(what=what, file="metrics/nll/dev.json", key="mlp")
        for what in ("train NLL", "dev NLL")
    ]
    small = catalog.Recipe(question="why?", overrides=[], figures=figures, picture=[*pictures])
    return {"sizes": catalog.Group(title="Sizes", recipes={"small": small})}


# --- the model --------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [COUNT, LOSS, DRAWS, WARM_UP, PLOT, QUESTION])
def test_each_kind_of_item_is_accepted(tmp_path: Path, item: dict[str, object]):
    loaded = load(tmp_path / "n.yaml", content(item))
    assert loaded["000"].items == [Item(**item)]


def test_one_figure_may_be_a_string():
    assert Item(**LOSS | {"figure": "dev NLL"}).figure == ["dev NLL"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (COUNT | {"plot": "x"}, "needs exactly one of what, question, plot"),
        ({"command": "x"}, "needs exactly one of what, question, plot"),
        (
            COUNT | {"left_out": "x"},
            "'count of ab' needs exactly one of recipe, loop, command, left_out, answer",
        ),
        (
            {"plot": "counts"},
            "'counts' needs exactly one of recipe, loop, command, left_out, answer",
        ),
        (COUNT | {"figure": ["x"]}, "'count of ab': figure without recipe or loop"),
        (DRAWS | {"figure": None}, "'losses of two starts': loop without figure"),
        (COUNT | {"why": "x"}, "'count of ab': why without figure"),
        (LOSS | {"here": "2"}, "'losses': here without command"),
        (PLOT | {"printed": "2"}, "'counts': printed without what"),
        (PLOT | {"command": None, "answer": "2"}, "'counts': answer without question"),
        (
            PLOT | {"agreement": "exact"},
            "'counts': agreement belongs to figures that are not left out",
        ),
        (
            WARM_UP | {"agreement": "exact"},
            "'ten draws': agreement belongs to figures that are not left out",
        ),
        (
            COUNT | {"agreement": None},
            "'count of ab': agreement belongs to figures that are not left out",
        ),
        (COUNT | {"printed": None}, "'count of ab': what without printed"),
        (LOSS | {"figure": None}, "'losses': recipe without figure or plot or question"),
        (COUNT | {"agreement": "close"}, None),
        (COUNT | {"what": 3}, None),
    ],
)
def test_wrong_item_is_one_line(tmp_path: Path, item: dict[str, object], message: str | None):
    path = tmp_path / "n.yaml"
    with pytest.raises(InputError) as refused:
        load(path, content(PLOT, item))
    where, _, problem = str(refused.value).removeprefix(f"{path}: ").partition(": ")
    assert where.startswith("000.sections.0.items.1")
    assert "\n" not in problem
    if message:
        assert problem == message
    else:
        assert problem.endswith(("; found 'close'", "; found 3"))


@pytest.mark.parametrize(
    ("item", "missing"),
    [
        (LOSS | {"recipe": "large"}, "losses: there is no recipe large"),
        (
            LOSS | {"figure": ["dev NLL", "test NLL"]},
            "losses: there is no figure 'test NLL' of recipe small",
        ),
        (
            LOSS | {"figure": ["* NLL", "NLL at step *"]},
            "losses: there is no figure 'NLL at step *' of recipe small",
        ),
        (DRAWS | {"loop": "ends"}, "losses of two starts: there is no loop ends"),
        (
            DRAWS | {"figure": ["first NLL", "step *"]},
            "losses of two starts: there is no figure 'step *' of loop starts",
        ),
        ({"plot": "x", "recipe": "small"}, "x: there is no picture of recipe small"),
        (
            PLOT | {"command": "audit/pictures/no.svg"},
            "counts: there is no file audit/pictures/no.svg",
        ),
        (
            COUNT | {"command": "`pytest audit/tests/test_errata.py -k nobody`"},
            "count of ab: there is no test nobody in audit/tests/test_errata.py",
        ),
        (
            COUNT | {"command": "`pytest tests/test_no.py -k x`"},
            "count of ab: there is no file tests/test_no.py",
        ),
        (PLOT | {"command": "plots/no.svg"}, "counts: there is no file plots/no.svg"),
        (PLOT | {"command": "labs/no.ipynb"}, "counts: there is no file labs/no.ipynb"),
        (PLOT | {"command": "`python -m tools.no`"}, "counts: there is no program tools.no"),
        (
            PLOT | {"command": "`python -m tools.recipes large`, and"},
            "counts: there is no recipe large",
        ),
        (QUESTION | {"answer": "See docs/no.md."}, "1a: what is b|a?: there is no file docs/no.md"),
        (WARM_UP | {"left_out": "metrics/no.json"}, "ten draws: there is no file metrics/no.json"),
    ],
)
def test_what_an_item_names_must_exist(tmp_path: Path, item: dict[str, object], missing: str):
    loaded = load(tmp_path / "n.yaml", content(COUNT, item))
    with pytest.raises(InputError) as refused:
        notebooks.check(loaded, groups(), LOOPS)
    assert str(refused.value) == f"audit/notebooks.yaml: [000] A heading: {missing}"


def test_what_an_erratum_names_must_exist(tmp_path: Path):
    found = content(COUNT)
    found["000"]["errata"] = [ERRATUM | {"shown": "tests/test_no.py"}]
    with pytest.raises(InputError) as refused:
        notebooks.check(load(tmp_path / "n.yaml", found), groups(), LOOPS)
    assert str(refused.value) == (
        "audit/notebooks.yaml: [000] erratum in x: there is no file tests/test_no.py"
    )


@pytest.mark.parametrize(
    ("lab", "missing"),
    [("1_bigrams 2, 99", "step 99 of labs/1_bigrams.ipynb"), ("9_later", "lab labs/9_later.ipynb")],
)
def test_steps_of_labs_must_exist(tmp_path: Path, lab: str, missing: str):
    found = content(COUNT)
    found["000"]["sections"][0]["lab"] = lab
    with pytest.raises(InputError, match=rf"\[000\] A heading: there is no {missing}$"):
        notebooks.check(load(tmp_path / "n.yaml", found), groups(), LOOPS)


def test_outputs_of_stages_and_pictures_of_recipes_exist(tmp_path: Path):
    here = PLOT | {"command": "data/vocabulary.json, data/splits/train.txt and params.yaml"}
    picture = {"plot": "x", "recipe": "small"}
    loaded = load(tmp_path / "n.yaml", content(here, picture))
    notebooks.check(loaded, groups("plots/embedding.svg"), LOOPS)


# --- the pages --------------------------------------------------------------------------------


def test_page_by_hand(tmp_path: Path):
    loaded = load(tmp_path / "n.yaml", content(WARM_UP, COUNT, PLOT, LOSS, DRAWS, QUESTION))
    band = Band(mean=2.3, sd=0.01, values=[2.3] * 5)
    ours = {
        ("small", figure): row(figure, value, band)
        for figure, value in (("train NLL", "2.2961"), ("dev NLL", "2.2947 ± 0.0100"))
    }
    assert notebooks.page("000", loaded["000"], ours, LOOPS) == (
        r"""# [000] A notebook

Figures: 4, of which 1 with a recipe, 1 with a plain loop, 1 with a command, 1 left out. Questions: 1. Plots: 1. Errata: 1. [What the columns mean](README.md).

`python -m audit.show 000 1.1` prints that row in full, with the command that gives its value;
where that is a test, it runs. To work through the lectures instead: [the labs](../../labs/).

## A heading

| row | what | notebook | here | plain loop | ours is | the notebook | kind | how to get it |
|---|---|---|---|---|---|---|---|---|
| 1.1 | count of ab | 541.0 | the same |  |  |  | exact |  |
| 1.2 | losses | 2.28, 2.30 | 2.2961, 2.2947 ± 0.0100 | 2.3000 ± 0.0100, 2.3000 ± 0.0100 | inside | agrees | unseeded | recipe `small` |
| 1.3 | losses of two starts | 3.5, 4.9 |  | 3.8000 ± 0.2500 |  | differs in 1 of 2 | unseeded | `python starts` |

Questions:

- **1a: what is b\|a?** As in `small`: 0.5.

Plots:

- counts: [plots/bigram_counts.svg](../../plots/bigram_counts.svg) (train)

Left out:

- ten draws (0 \<1> 2): warm-up, no names involved

## Errata

<details><summary>The rest (1)</summary>

| where | wrong | right | shown by |
|---|---|---|---|
| x | 2\*3 | 6 | 6 = 6 |

</details>
"""  # noqa: E501
    )


def test_long_series_is_folded_and_empty_columns_are_left_out():
    # printed, and its distance from the mean of batch N, 3.8, in standard deviations, N / 8
    printed = "3.80000000000000, 3.80000000000000, 3.05000000000000, 3.80000000000000"
    known = LOOPS["starts"].figures
    extra = {f"batch {n}": Band(mean=3.8, sd=n / 8, values=[3.8] * 5) for n in (5, 6)}
    loops = {"starts": LOOPS["starts"].model_copy(update={"figures": known | extra})}
    long = Item(**DRAWS | {"figure": "batch *", "printed": f"{printed}, 3.8, 3.9"})
    section = notebooks.Cells(heading="Batches", items=[long])
    table, fold = notebooks.cells(section, {"7.1": long}, {}, loops).split("\n\n", 2)[1:]
    assert table.splitlines()[0] == (
        "| row | what | notebook | plain loop | the notebook | kind | how to get it |"
    )
    # 0.75 below, at 3 / 8
    shown = "3.80000000000000, …, 3.9 (6 values; largest deviation 2.0 SD)"
    assert table.splitlines()[2].split(" | ")[2] == shown
    assert fold == (
        "<details><summary>Series in full</summary>\n\n"
        f"- 7.1, notebook: {printed}, 3.8, 3.9\n\n</details>"
    )


def test_series_without_spread_has_its_largest_difference():
    expected = [Band(mean=number, values=[number]) for number in range(7)]
    text = ", ".join(f"{number}.0000000000" for number in (0, 1, 2, 3, 4, 5.5, 6))
    text = text.replace("5.5.0", "5.5")
    assert notebooks.shortened(text, expected).endswith("(7 values; largest deviation 0.5000)")
    assert notebooks.shortened(text, expected[1:]).endswith("(7 values)")
    assert notebooks.shortened("1, 2", expected) == "1, 2"


def test_tests_are_not_named_in_rows_but_what_is_said_of_them_is():
    item = Item(**COUNT | {"command": "`pytest tests/a.py -k x` and `pytest tests/a.py -k y`; odd"})
    row = notebooks.row_of("1.1", item, {}, {})
    assert row[-1] == item.command
    assert notebooks.short_row(row, item, {}, {})[-1] == "odd"


def test_section_has_its_lab_and_its_pictures():
    picture = Item(plot="counts", command="audit/pictures/mlp-2-300_embedding.svg")
    section = notebooks.Cells(heading="A heading", lab="1_bigrams 7", items=[picture])
    assert notebooks.cells(section, {}, {}, {}).split("\n\n") == [
        "## A heading",
        "[Lab 1](../../labs/1_bigrams.ipynb): 7. Smoothing",
        "Plots:",
        "- counts: [audit/pictures/mlp-2-300_embedding.svg](../pictures/mlp-2-300_embedding.svg)",
        '  <img src="../pictures/mlp-2-300_embedding.svg" width="600" alt="mlp-2-300_embedding">',
    ]
    without = section.model_copy(update={"lab": None})
    assert "[Lab" not in notebooks.cells(without, {}, {}, {})


def test_pages_tell_nobody_to_apply_an_experiment():
    assert len(ITEMS) == 5
    for name in ITEMS:
        assert "exp apply" not in (notebooks.FOLDER / f"{name}.md").read_text()


def test_errata_that_change_a_conclusion_come_first_and_are_not_folded():
    found = [
        notebooks.Erratum(**ERRATUM | {"place": place, "rank": rank})
        for place, rank in (("rest", None), ("third", 3), ("first", 1))
    ]
    lines = notebooks.errata(found).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("| ")] == [
        *("where", "first", "third", "where", "rest"),
    ]
    assert lines[5] == "<details><summary>The rest (1)</summary>"
    assert "<details>" not in notebooks.errata(found[1:])


def test_worst_errata_of_all_notebooks_by_rank(tmp_path: Path):
    loaded = load(tmp_path / "n.yaml", content(COUNT))["000"]
    ranked = [notebooks.Erratum(**ERRATUM | {"rank": rank}) for rank in (2, 1)]
    pages = {
        "000": loaded.model_copy(update={"errata": [*loaded.errata, ranked[0]]}),
        "001": loaded.model_copy(update={"errata": [ranked[1]]}),
    }
    assert notebooks.worst_errata(pages).splitlines()[2:] == [
        r"| 1 | [[001]](001.md#errata) x | 2\*3 | 6 |",
        r"| 2 | [[000]](000.md#errata) x | 2\*3 | 6 |",
    ]


def test_value_for_a_claim_has_its_name():
    item = Item(**LOSS | {"what": "claim: 2.3", "figure": "dev NLL"})
    assert notebooks.here(item, rows(**{"dev NLL": "2.2947"})) == "dev NLL 2.2947"


def test_series_is_shown_in_the_order_of_the_recipe():
    item = Item(**LOSS | {"figure": "NLL at step [1-9]*"})
    ours = rows(**{f"NLL at step {step}": f"3.{step}" for step in (0, 9, 10)})
    assert notebooks.here(item, ours) == "3.9, 3.10"


def test_long_series_of_a_loop_has_one_range_of_deviations():
    item = Item(**DRAWS | {"figure": "batch *"})
    assert notebooks.plain_loop(item, {}, LOOPS) == "3.80, 3.80, 3.80, 3.80; SD 0.12 to 0.50"
    assert notebooks.plain_loop(Item(**DRAWS), {}, LOOPS) == "3.8000 ± 0.2500"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"printed": "3.5"}, "agrees"),
        ({"printed": "3.04"}, "differs"),
        ({"printed": "-3.5, 3.5"}, "agrees"),  # printed twice, with another sign
        ({"printed": "3.04", "why": "few steps"}, "differs: few steps"),
        ({"printed": "4"}, "agrees"),
        ({"printed": "4.6"}, "agrees only to the digits printed"),  # 3.05 to 4.55, and 0.05
        ({"printed": "3.5, 4.6"}, "agrees only to the digits printed"),
        ({"printed": "4.60"}, "differs"),
        ({"printed": "3.5", "no_verdict": "any rate fits"}, "no verdict: any rate fits"),
        ({"printed": "4 5"}, ""),
        ({"figure": "batch *", "printed": "3.8, 3.8, 3.8, 3.8"}, "agrees"),
        ({"figure": "batch *", "printed": "2.9, 2.9, 2.9, 2.9"}, "differs in 2 of 4"),
        ({"figure": "batch *", "printed": "3.8, 3.8"}, ""),
        ({"what": "claim: 4", "printed": "4"}, ""),
        ({"what": "claim: 3.9", "printed": "3.9"}, "agrees"),
    ],
)
def test_agreement_by_hand(changes: dict[str, str], expected: str):
    assert notebooks.agreement(Item(**DRAWS | changes), {}, LOOPS) == expected


def test_series_without_a_verdict_agree_with_the_bands_of_other_rates():
    series = {
        item.loop: bands.numbers(item.printed)
        for item in ITEMS["002"]
        if item.loop in {"rate-series-0.1", "rate-series-0.09", "rate-series-1"}
    }
    assert len(series) == 3
    loops = bands.load()
    for printed in series.values():
        for other in series:
            known = loops[other].figures.values()
            assert all(map(Band.contains, known, printed))
    known = loops["rate-series-0.001"].figures.values()
    assert not all(map(Band.contains, known, series["rate-series-0.1"]))
    page = (notebooks.FOLDER / "002.md").read_text()
    assert page.count("| no verdict: the first 20 losses at 0.1") == 3


def test_rows_whose_steps_were_chosen_here_have_no_verdict():
    ours, loops = notebooks.values(GROUPS), bands.load()
    figures = notebooks.figures_of(NOTEBOOKS["004"])
    rows = [
        row[notebooks.HEADERS.index("the notebook")]
        for row in (notebooks.row_of(*figure, ours, loops) for figure in figures.items())
        if row[1].startswith(notebooks.CLAIM) and ("decay" in str(row) or "(here" in str(row))
    ]
    assert len(rows) == 11
    assert all(not cell or cell.startswith("no verdict: ") for cell in rows)
    page = (notebooks.FOLDER / "004.md").read_text()
    assert (
        "| no verdict: the text does not say how many steps; 1,000 was chosen here, and 2.5" in page
    )
    band = bands.load()["mini-batch-32"].figures["mean batch NLL of the last 100 steps"]
    assert band.contains("2.5")
    assert not band.contains("2.50")


def test_verdict_is_about_all_figures_with_a_band():
    band = Band(mean=2.3, sd=0.01, values=[2.3] * 5)
    ours = {("small", "train NLL"): row("train NLL", "2.2961", band)}
    assert notebooks.verdict(Item(**LOSS | {"figure": "train NLL"}), ours) == "inside"
    ours["small", "dev NLL"] = row("dev NLL", "2.2600", band)
    assert notebooks.verdict(Item(**LOSS), ours) == "OUTSIDE: 1 of 2"
    ours["small", "dev NLL"] = row("dev NLL", "2.2600")
    assert notebooks.verdict(Item(**LOSS), ours) == "inside"
    assert notebooks.agreement(Item(**LOSS), ours, {}) == ""


def test_value_of_a_command_is_shown():
    item = Item(**COUNT | {"here": "542"})
    assert notebooks.here(item, {}) == "542"
    assert notebooks.here(Item(**COUNT | {"command": "data/names.txt"}), {}) == ""


def test_index_by_hand(tmp_path: Path):
    loaded = load(tmp_path / "n.yaml", content(WARM_UP, COUNT, PLOT, LOSS, DRAWS, QUESTION))
    lines = notebooks.index(loaded | {"001": loaded["000"]}).splitlines()
    assert lines[4] == (
        "| notebook | figures | with a recipe | with a plain loop | with a command | left out "
        "| questions | plots | plots left out | errata |"
    )
    assert lines[6:9] == [
        "| [[000]](000.md) A notebook | 4 | 1 | 1 | 1 | 1 | 1 | 1 | 0 | 1 |",
        "| [[001]](001.md) A notebook | 4 | 1 | 1 | 1 | 1 | 1 | 1 | 0 | 1 |",
        "| all | 8 | 2 | 2 | 2 | 2 | 2 | 2 | 0 | 2 |",
    ]


def test_values_are_those_of_notebooks_md():
    ours = notebooks.values(GROUPS)
    assert ours["count-all-names", "NLL"].ours == "2.4540"
    assert {recipe for recipe, _ in ours} == RECIPES


def test_notebooks_md_with_other_rows_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("audit").mkdir()
    Path("audit/NOTEBOOKS.md").write_text("<!-- table: sizes -->\n<!-- end -->\n")
    with pytest.raises(InputError) as refused:
        notebooks.values(groups())
    assert str(refused.value) == (
        "audit/NOTEBOOKS.md: part sizes does not have the rows of audit/recipes.yaml; run "
        "`python -m audit.summary sizes`"
    )


def test_outdated_pages_are_named_and_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    loaded = load(tmp_path / "n.yaml", content(COUNT))
    monkeypatch.setattr(notebooks, "read_sections", lambda *_: loaded)
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "pages")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["notebooks", *arguments])
        notebooks.main()
        return capsys.readouterr().out

    paths = [tmp_path / "pages/000.md", tmp_path / "pages/README.md"]
    with pytest.raises(InputError) as refused:
        run("--check")
    assert str(refused.value) == (f"outdated: {paths[0]}, {paths[1]}; run `make tables`")
    assert not any(path.exists() for path in paths)
    assert run() == f"rewrote {paths[0]}, {paths[1]}\n"
    assert run("--check") == ""
    paths[0].write_text("old")
    assert run() == f"rewrote {paths[0]}\n"
    assert run() == "rewrote nothing\n"


# --- the real ones ----------------------------------------------------------------------------


def test_committed_pages_are_what_the_tool_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(sys, "argv", ["notebooks", "--check"])
    notebooks.main()
    assert capsys.readouterr().out == ""
    assert {path.name for path in notebooks.FOLDER.iterdir()} == {
        "README.md",
        *(f"{name}.md" for name in NOTEBOOKS),
    }


def test_ten_errata_change_a_conclusion():
    ranks = [erratum.rank for notebook in NOTEBOOKS.values() for erratum in notebook.errata]
    assert sorted(rank for rank in ranks if rank) == [*range(1, 11)]
    shown = (notebooks.FOLDER / "README.md").read_text().partition("change a conclusion")[2]
    assert re.findall(r"^\| (\d+) \|", shown, re.MULTILINE) == [str(rank) for rank in range(1, 11)]


def test_five_notebooks_and_no_question_without_an_answer():
    assert [*NOTEBOOKS] == ["000", "001", "002", "003", "004"]
    for item in ALL_ITEMS:
        if item.question:
            assert item.answer


def test_items_of_a_heading_have_different_texts():
    for notebook in NOTEBOOKS.values():
        for section in notebook.sections:
            texts = [item.text for item in section.items]
            assert len({*texts}) == len(texts), section.heading


def test_values_of_commands_are_in_the_test():
    for item in ALL_ITEMS:
        if item.here:
            path, _ = notebooks.PYTEST.search(item.command).groups()
            source = (ROOT / path).read_text()
            for number in re.findall(r"\d+(?:\.\d+)?", item.here):
                assert number in source, f"{item.text}: {number}"


def test_recipes_and_loops_of_answers_exist():
    texts = [item.answer or item.command or item.left_out or "" for item in ALL_ITEMS]
    texts += [erratum.shown for notebook in NOTEBOOKS.values() for erratum in notebook.errata]
    named = {name for text in texts for name in re.findall(r"`([a-z]+(?:-[\w.]+)+)`", text)}
    assert len(named) >= 10
    assert named <= RECIPES | {*tables.EXPERIMENTS} | {*bands.load()}
