"""The page of tools.report in headless Chromium, offline: what it computes, shows and lets do."""

import contextlib
import itertools
import json
import math
import re
import string
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from charlm import params
from charlm.core.errors import InputError
from charlm.core.storage import split_path
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.drawing.symbols import symbol_label
from charlm.models.base import Model
from charlm.models.registry import MODELS, load_models
from charlm.names import read_names
from charlm.sampling import Uniforms, default_max_length, sample_names
from tests.conftest import STAGES, Project, run_stages
from tests.test_report import SMALL
from tools.compare.runs import Run, held_out, parse_evaluation
from tools.report.browser import open_browser
from tools.report.page import build_page
from tools.report.results import Results, losses_of_names, read_results
from tools.score import score

pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
# of other scripts, and what a page must show as text
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"quoted\" 'twice' &amp; `more`",
    "</script><b>x</b>",
    "${7*7}{{7*7}}{%x%}",
    "var(--ink)",
    "علي",
    "王小明",
    "zoë",
    "👩‍👩‍👧",
]
WORDS = [f"{first}{second}{third}" for first in "bdgk" for second in "aeo" for third in "lnrt"]
FEW_STEPS = {"bigram_neural.steps": 5, "mlp.steps": 20, "sample.measured": 50, "mlp.hidden": 12}
SETTINGS: dict[str, dict[str, object]] = {
    "unsmoothed": {"bigram_count.smoothing": 0},
    "deep, two boundaries": {
        "mlp.layers": 2,
        "mlp.activation": "gelu",
        "mlp.direct": True,
        "vocabulary.boundary": "two",
        "vocabulary.boundary_place": "last",
        "contexts.block_size": 4,
        "ngram_count.order": 3,
        "ngram_count.smoothing": "add_k",
        "mixture.weights": "per_position",
    },
}
# what is cut off outside the regions that scroll, and which labels of a chart overlap
CUT_OFF = """() => [...document.querySelectorAll("body *")].filter((one) =>
    !one.closest(".scroll, #next, .hidden, .skip, script, svg") &&
    (one.matches(".vega") || getComputedStyle(one).overflowX !== "visible") &&
    one.scrollWidth > one.clientWidth + 1).map((one) => one.outerHTML.slice(0, 80))"""
OVERLAPS = """() => [...document.querySelectorAll(".vega svg")].flatMap((svg) => {
    const labels = [...svg.querySelectorAll("text")].filter((one) => one.textContent.trim());
    const boxes = labels.map((one) => one.getBoundingClientRect());
    const common = (a, b, low, high) => Math.min(a[high], b[high]) - Math.max(a[low], b[low]);
    return boxes.flatMap((a, i) => boxes.slice(i + 1).flatMap((b, j) =>
        common(a, b, "left", "right") > 1 && common(a, b, "top", "bottom") > 1
            ? [[labels[i].textContent, labels[i + 1 + j].textContent]] : []));
})"""
AXE = "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })"
MINUS_INFINITY = "\N{MINUS SIGN}∞"
MAX_ERROR = 1e-5  # nats per character: float32 in Python, float64 in the browser
# what the page itself computes, for texts
SCORE = """async (texts) => {
    const { loadModels, encode, score } = globalThis.charlm;
    const data = JSON.parse(document.getElementById("data").textContent);
    const models = await loadModels(data);
    return Object.fromEntries(models.map(({ label, logits }) => [
        label,
        texts.map((text) => score(logits, encode(text, data).numbers, data).map(String)),
    ]));
}"""
NEXT = """async (text) => {
    const { loadModels, encode, next } = globalThis.charlm;
    const data = JSON.parse(document.getElementById("data").textContent);
    const { numbers } = encode(text, data);
    const models = await loadModels(data);
    return models.map(({ logits }) => [...next(logits, numbers, data).map(Math.exp)]);
}"""
BARS = """rows => rows.map((row) => [...row.querySelectorAll(".bar")].map((bar) =>
    [Number(bar.dataset.symbol), parseFloat(bar.style.getPropertyValue("--height")), bar.title]))"""
CURSOR = """() => {
    const cell = document.querySelector("#pairs td.on");
    return [cell.parentNode.rowIndex, cell.cellIndex];
}"""
# what is cut off or beyond the edge in the playground; what is typed may be longer than its field
CUT_OFF = """() => {
    const section = document.getElementById("playground").getBoundingClientRect();
    const all = [...document.querySelectorAll("#playground :not(input, select, option)")];
    return all.filter((one) => {
        const { left, right } = one.getBoundingClientRect();
        const isOutside = left < section.left || right > section.right;
        const isWider = one.clientWidth > 1 && one.scrollWidth > one.clientWidth;
        const isCut = isWider && getComputedStyle(one).overflowX !== "visible";
        return one.checkVisibility() && (isOutside || isCut);
    }).map((one) => one.outerHTML);
}"""
DRAW = """async (settings) => {
    const { loadModels, encode, drawNames } = globalThis.charlm;
    const data = JSON.parse(document.getElementById("data").textContent);
    const models = await loadModels(data);
    const all = { maxLength: data.maxLength, ...settings };
    all.prefix = encode(settings.prefix, data).numbers;
    return Object.fromEntries(models.map(({ label, logits }) =>
        [label, drawNames(logits, data, all)]));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        stack = contextlib.ExitStack()
        started = stack.enter_context(open_browser())
    except InputError as error:
        pytest.skip(str(error))
    with stack:
        yield started


@contextlib.contextmanager
def opened(
    browser: Any, path: Path, width: int = 1280, scheme: str = "light", state: str = ""
) -> Iterator[Any]:
    """Open a page offline; afterwards no request, no error and no warning may have occurred."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        offline=True,
    )
    found = context.new_page()
    requests: list[str] = []
    problems: list[str] = []
    found.on("request", lambda request: requests.append(request.url))
    found.on("console", lambda message: problems.append(message.text))
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.on("dialog", lambda dialog: problems.append(dialog.message))
    found.goto(path.as_uri() + state)
    found.wait_for_selector("#playground[data-ready]")
    found.wait_for_function(
        "document.querySelectorAll('details[open] .vega:not(:has(svg))').length === 0"
    )
    yield found
    context.close()
    assert [url.partition("#")[0] for url in requests] == [path.as_uri()]
    assert problems == []


def open_all(page: Any) -> None:
    """Open all sections, and wait until their charts are drawn."""
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.wait_for_function("document.querySelectorAll('.vega:not(:has(svg))').length === 0")


def results_of(folder: Path) -> Results:
    """Read what the stages left in a folder that is no repository, so that nothing is stale."""
    found = read_results("workspace")
    evaluation = parse_evaluation((folder / "data/evaluation.csv").read_bytes())
    return found._replace(
        run=Run("workspace", evaluation, "words.txt", found.settings),
        losses=losses_of_names(evaluation),
    )


@pytest.fixture(scope="module", params=SETTINGS)
def page(
    request: pytest.FixtureRequest, browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """An open page of models of hostile names; `page.folder` has them."""
    folder = tmp_path_factory.mktemp("report")
    names = [*HOSTILE, *WORDS, *HOSTILE, *WORDS]
    stages = [name for name in STAGES if name != "find_learning_rate" and "plot" not in name]
    changes = FEW_STEPS | SETTINGS[request.param]
    run_stages(folder, "\n".join(names).encode(), changes, stages)
    with contextlib.chdir(folder):
        (folder / "index.html").write_text(build_page({"": results_of(folder)}, None))
    with opened(browser, folder / "index.html") as found:
        found.folder = folder
        yield found


@pytest.fixture(scope="module")
def wide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of models of a list with so many symbols."""
    folder = tmp_path_factory.mktemp("wide")
    latin = [*string.ascii_lowercase, *string.ascii_uppercase]
    characters = [*latin, *map(chr, range(0x4E00, 0x5000))][: request.param - 1]
    random = Random(2)
    names = ["".join(random.choices(characters, k=random.randint(2, 25))) for _ in range(90)]
    names += ["".join(characters[first : first + 4]) for first in range(0, len(characters), 4)]
    stages = [name for name in STAGES if name != "find_learning_rate" and "plot" not in name]
    run_stages(folder, "\n".join(names).encode(), FEW_STEPS, stages)
    with contextlib.chdir(folder):
        found = build_page({"": results_of(folder)}, None)
    (folder / "index.html").write_text(found)
    assert len(found.encode()) < 3e6
    return folder / "index.html"


@pytest.mark.parametrize(
    ("wide", "width", "scheme"),
    [(27, 1280, "dark"), (49, 390, "light"), (500, 1280, "light")],
    indirect=["wide"],
)
def test_page_of_any_alphabet_is_readable(browser: Any, wide: Path, width: int, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe is not installed")
    with opened(browser, wide, width, scheme) as page:
        open_all(page)
        assert page.evaluate(OVERLAPS) == []
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.evaluate(axe.AXE_SCRIPT)
        violations = page.evaluate(AXE)["violations"]
        assert [(one["id"], one["nodes"][0]["target"]) for one in violations] == []


@pytest.mark.parametrize("wide", [49], indirect=True)
def test_sections_fold_on_a_phone_and_links_open_them(browser: Any, wide: Path):
    is_open = "all => all.map((one) => one.open)"
    with opened(browser, wide, 390) as page:
        details = page.locator("section > details")
        count = details.count()
        assert count == 5
        assert details.evaluate_all(is_open) == [False] * count
        assert page.locator("#score").is_visible()
        page.click("nav a[href='#samples']")
        page.wait_for_selector("#samples details[open]")
        assert page.locator("#samples .names").first.is_visible()
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert details.evaluate_all(is_open) == [True] * count
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert details.evaluate_all(is_open).count(True) == 1
    with opened(browser, wide, 1280) as page:
        assert page.locator("section > details").evaluate_all(is_open) == [True] * count


@pytest.mark.parametrize("wide", [500], indirect=True)
def test_any_symbol_can_be_looked_up(browser: Any, wide: Path):
    train = [f".{name}." for name in (wide.parent / "data/splits/train.txt").read_text().split()]
    pairs = Counter(pair for name in train for pair in pairwise(name))
    symbol = max(first for first, _ in pairs)  # in no table
    with opened(browser, wide) as page:
        page.fill(".lookup input", symbol)
        rows = "all => all.map((row) => [row.cells[0].textContent, row.cells[1].textContent])"
        for table, one, other in ((0, 0, 1), (1, 1, 0)):
            shown = page.locator(".found table").nth(table).locator("tr").evaluate_all(rows)[1:]
            expected = {pair[other]: n for pair, n in pairs.items() if pair[one] == symbol}
            assert len(shown) == min(12, len(expected))
            assert all(expected[name] == int(count) for name, count in shown)
        page.fill(".lookup input", "§")
        assert page.inner_text(".lookup [role=status]") == "No name contains “§”."
        assert page.locator(".found table").count() == 0


def random_texts(vocabulary: Vocabulary, count: int) -> list[str]:
    """Return texts of the characters of a vocabulary, the same ones every time."""
    random = Random(1)
    characters = vocabulary.characters
    return ["".join(random.choices(characters, k=random.randint(0, 9))) for _ in range(count)]


def assert_equal(expected: list[float], found: list[str]) -> None:
    """Compare log-probabilities with those of the page, in which JSON has no infinity."""
    numbers = [float(text.replace("Infinity", "inf")) for text in found]
    assert [math.isinf(number) for number in numbers] == [math.isinf(log) for log in expected]
    finite = [pair for pair in zip(expected, numbers, strict=True) if math.isfinite(pair[0])]
    assert all(abs(one - other) <= MAX_ERROR for one, other in finite)
    assert abs(sum(one - other for one, other in finite)) <= 10 * MAX_ERROR


def load(folder: Path) -> tuple[dict[str, Model], Vocabulary, list[str]]:
    with contextlib.chdir(folder):
        vocabulary = read_vocabulary()
        return load_models(len(vocabulary)), vocabulary, read_names(split_path("train"))


def test_probabilities_are_those_of_python(page: Any):
    models, vocabulary, train = load(page.folder)
    texts = [*train[:60], *random_texts(vocabulary, 140)]
    found = page.evaluate(SCORE, texts)
    assert list(found) == list(MODELS)
    for name, model in models.items():
        for text, logs in zip(texts, found[name], strict=True):
            steps = score(text, model, vocabulary)
            assert_equal([step.log_probability for step in steps], logs)


def test_drawn_names_are_those_of_python(page: Any):
    models, vocabulary, train = load(page.folder)
    longest = default_max_length(train)
    assert page.evaluate("JSON.parse(document.getElementById('data').textContent).maxLength") == (
        longest
    )
    for seed, temperature, prefix, max_length, top_k in (
        (0, 1.0, "", longest, None),
        (2**31 - 1, 0.4, "ba", longest, None),
        (7, 3.0, "<", longest, None),
        (1, 0.5, "<img", 5, None),  # a name that is cut off ends in no space
        (1, 0.5, " b", 2, None),  # but may begin with one
        (5, 3.0, "", longest, 1),
        (5, 3.0, "b", longest, 3),
        (5, 1.5, "", longest, len(vocabulary)),
    ):
        settings = {"seed": seed, "temperature": temperature, "prefix": prefix, "count": 12}
        found = page.evaluate(DRAW, {**settings, "maxLength": max_length, "topK": top_k})
        for name, model in models.items():
            how = (12, temperature, max_length, Uniforms(seed), prefix, top_k)
            drawn = sample_names(model, vocabulary, *how).names
            assert found[name] == drawn, (name, settings)
        assert max_length != 5 or any("<img" in names for names in found.values())


def test_names_are_shown_as_text(page: Any):
    text = HOSTILE[1]
    page.fill("#text", text)
    assert page.input_value("#text") == text
    tiles = page.locator("#score tr").first.locator(".tile b").all_inner_texts()
    assert "".join(tiles[:-1]) == text.replace(" ", "␣")
    assert page.locator("#samples .names, #drawn").count() == len(MODELS) + 1
    assert page.locator("#samples script, #samples img, #score img, #drawn img").count() == 0
    page.check("input[name=begin]")
    drawn = page.locator("#drawn li").all_inner_texts()
    assert len(drawn) == 20
    assert all(name.startswith(text) for name in drawn)
    page.fill("#text", "ba§")
    assert page.inner_text("#said") == "No name contains “§”"
    page.fill("#text", "ba.")  # the boundary is no character
    assert page.inner_text("#said") == "No name contains “.”"
    page.fill("#text", "BA")
    assert page.inner_text("#said") == "No name contains “B”, “A”; did you mean “ba”?"


def test_all_unknown_characters_are_named(page: Any):
    page.fill("#text", "§b.§Q")
    assert page.inner_text("#said") == "No name contains “§”, “.”, “Q”"


def fields(page: Any) -> dict[str, str]:
    """Return what is typed and picked."""
    typed = page.input_value("#text")
    values = page.evaluate(
        "Object.fromEntries(new FormData(document.getElementById('draw')).entries())"
    )
    return {"text": typed, **values}


# opens the state or the section of a link on a page that is open, and waits until the page did
FOLLOW = """async (hash) => {
    const changed = new Promise((done) => addEventListener("hashchange", done, { once: true }));
    location.hash = hash;
    await changed;
}"""
DEFAULTS = {
    "text": "bal",
    "model": "mlp",
    "second": "bigram_count",
    "temperature": "1",
    "top-k": "",
    "seed": "0",
    "count": "20",
}


def copy_link(page: Any) -> str:
    """Return the part of the copied link after #."""
    page.evaluate("document.getElementById('link-said').textContent = ''")
    page.click("#copy")
    page.wait_for_function("document.getElementById('link-said').textContent")
    link: str = page.input_value("#link")
    assert page.url == link
    return link.partition("#")[2]


def test_link_restores_the_state(browser: Any, page: Any):
    shown = ("#rows", "#score", "#letters", "#mirrored", "#extremes", "#drawn")
    for text in ["&=%", HOSTILE[0], HOSTILE[7], ""]:
        page.evaluate(FOLLOW, f"none{text}")
        page.fill("#text", text)
        page.select_option("select[name=model]", "ngram_count")
        page.select_option("select[name=second]", "mlp")
        for name, value in {"temperature": "0.8", "top-k": "4", "seed": "11", "count": "7"}.items():
            page.fill(f"input[name={name}]", value)
        page.check("input[name=begin]")
        before, seen = fields(page), [page.inner_text(one) for one in shown]
        link = copy_link(page)
        page.evaluate(FOLLOW, "text=bal")  # the rest is what it is when a page opens
        assert fields(page) == DEFAULTS
        page.evaluate(FOLLOW, link)
        assert fields(page) == before
        assert before["text"] == text
        assert [page.inner_text(one) for one in shown] == seen
        assert page.inner_text("#link-said") == ""
        assert page.locator("#playground :is(script, img)").count() == 0
        if text == HOSTILE[0]:
            with opened(browser, page.folder / "index.html", state=f"#{link}") as other:
                assert fields(other) == before
                assert [other.inner_text(one) for one in shown] == seen


def test_link_is_selected_where_it_cannot_be_copied(page: Any):
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.fill("#text", "ba")
    link = copy_link(page)
    assert page.inner_text("#link-said") == "The link is selected: copy it."
    assert link.startswith("text=ba&model=")
    assert page.evaluate("String(getSelection())").endswith(link)
    assert page.evaluate("document.activeElement.id") == "link"


OTHER_MODELS = "The link is from other models (abc), so numbers and names may differ"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("revision=OWN", ""),
        ("revision=abc", f"{OTHER_MODELS}."),
        ("revision=abc&count=900", f"{OTHER_MODELS}; ignored in the link: count=900."),
        (
            "model=gpt&temperature=hot&seed=-1&top-k=0&begin=yes&x=%3Cb%3E",
            "Ignored in the link: model=gpt, temperature=hot, seed=-1, top-k=0, begin=yes, x=<b>.",
        ),
        ("temperature=&seed=1e999", "Ignored in the link: temperature=, seed=1e999."),
        ("__proto__=1", "Ignored in the link: __proto__=1."),
        ("text=" + 61 * "b", f"Ignored in the link: text={35 * 'b'}…."),
    ],
)
def test_what_is_wrong_with_a_link_is_said_in_one_line(page: Any, state: str, said: str):
    revision = page.evaluate("JSON.parse(document.getElementById('data').textContent).revision")
    page.fill("input[name=temperature]", "")  # what a link leaves out becomes the default
    page.evaluate(FOLLOW, f"text=bal&{state.replace('OWN', revision)}")
    assert page.inner_text("#link-said") == said
    assert fields(page) == DEFAULTS
    assert page.locator("#drawn li").count() == 20
    assert page.locator("#link-said *").count() == 0


def test_links_to_sections_are_no_state(page: Any):
    page.evaluate(FOLLOW, "text=bal&x=1")
    page.fill("#text", "ba")
    page.evaluate(FOLLOW, "results")
    assert page.input_value("#text") == "ba"
    assert abs(page.locator("#results").bounding_box()["y"]) < 2


def test_other_case_is_advised_where_the_list_has_it(browser: Any, tmp_path: Path):
    vocabulary = Vocabulary.of([".", " ", "'", *"ACIZadilnorv"])
    names = {"train": ["Carla", "Ida d'A", "CIA", "Zoo"], "dev": ["Ann"]}
    models = {"bigram_neural": {"W": np.zeros((len(vocabulary),) * 2, np.float32)}}
    path = tmp_path / "index.html"
    small = SMALL._replace(vocabulary=vocabulary, splits=names, models=models)
    path.write_text(build_page({"": small}, None))
    with opened(browser, path) as found:
        for text, hint in {
            "Car": "",
            "car": "No name contains “c”; did you mean “Car”?",
            "ida": "No name in train begins with “ida”; try “Ida”",
            "CiA": "No name in train begins with “CiA”; try “CIA”",
            "Ann": "",
            "ann": "",
        }.items():
            found.fill("#text", text)
            assert found.inner_text("#said") == hint, text


def test_results_are_hidden_while_the_text_cannot_be_scored(page: Any):
    page.uncheck("input[name=begin]")
    results = [page.locator(name) for name in ("#next", "#score", "#drawn")]
    for text, visible in (("ba", [True] * 3), ("ba§", [False, False, True])):
        page.fill("#text", text)
        assert [result.is_visible() for result in results] == visible
    page.check("input[name=begin]")  # the names drawn begin with the text before
    for text, is_visible in (("ba§", False), ("ba", True)):
        page.fill("#text", text)
        assert [result.is_visible() for result in results] == [is_visible] * 3


def test_no_names_are_drawn_with_an_invalid_setting(page: Any):
    for temperature in ("0", "-3", ""):
        page.fill("input[name=temperature]", temperature)
        assert page.locator("#drawn li").count() == 0
        assert page.inner_text("#setting-error") == "temperature: must be above 0"
    page.fill("input[name=temperature]", "1")
    page.fill("input[name=count]", "0")
    assert page.inner_text("#setting-error").startswith("names: ")
    assert page.locator("#drawn li").count() == 0
    page.fill("input[name=count]", "20")
    assert page.inner_text("#setting-error") == ""
    assert page.locator("#drawn li").count() == 20


def test_name_is_composed_before_it_is_scored(page: Any):
    page.fill("#text", "zoe\u0308")
    assert page.inner_text("#said") == ""
    tiles = page.locator("#score tr").first.locator(".tile b").all_inner_texts()
    vocabulary = load(page.folder)[1]
    assert tiles == ["z", "o", "\u00eb", symbol_label(vocabulary.itos[vocabulary.end])]


def test_colour_of_a_letter_is_full_from_seven_nats_on(page: Any):
    models, vocabulary, _ = load(page.folder)
    page.fill("#text", "bbal")
    shown = page.locator("#score .tile").evaluate_all(
        "all => all.map((tile) => parseFloat(tile.style.getPropertyValue('--surprise')))"
    )
    logs = [
        step.log_probability for one in models.values() for step in score("bbal", one, vocabulary)
    ]
    assert shown == pytest.approx([100 * min(1, -log / 7) for log in logs], abs=0.01)
    assert len(set(shown)) > 10


def test_impossible_character_has_probability_0(page: Any):
    models, vocabulary, _ = load(page.folder)
    impossible = [score("bb", model, vocabulary)[1].log_probability for model in models.values()]
    smoothing = params.load(page.folder / "params.yaml").bigram_count.smoothing
    assert math.isinf(impossible[0]) == (smoothing == 0)
    page.fill("#text", "bb")
    rows = page.locator("#score tr").all_inner_texts()
    assert [MINUS_INFINITY in row for row in rows] == [math.isinf(log) for log in impossible]


def test_last_column_is_the_share_of_real_names_that_are_worse(page: Any):
    models, vocabulary, _ = load(page.folder)
    evaluation = parse_evaluation((page.folder / "data/evaluation.csv").read_bytes())
    real = held_out(evaluation, "dev")
    page.fill("#text", "bal")
    shown = page.locator("#score tr td:last-child").all_inner_texts()
    for (name, model), text in zip(models.items(), shown, strict=True):
        nll = -sum(step.log_probability for step in score("bal", model, vocabulary)) / 4
        share = (~(real[name] / real["characters"] <= nll)).mean()  # an empty cell is infinite
        assert text == f"{100 * share:.0f} %"


def test_bars_are_of_the_40_most_probable_symbols_in_order(page: Any):
    vocabulary = load(page.folder)[1]
    page.fill("#text", "ba")
    tables = page.evaluate(NEXT, "ba")
    most = [max(P) for P in zip(*tables, strict=True)]
    possible = [
        number
        for number in range(len(vocabulary))
        if number != vocabulary.start or number == vocabulary.end
    ]
    total = [sum(P) for P in zip(*tables, strict=True)]
    shown = sorted(sorted(possible, key=lambda number: -total[number])[:40])
    assert len(shown) == 40
    for P, bars in zip(tables, page.locator("#next .row").evaluate_all(BARS), strict=True):
        assert [symbol for symbol, _, _ in bars] == shown
        heights = [height for _, height, _ in bars]
        assert heights == pytest.approx([100 * P[n] / max(most) for n in shown], abs=1e-3)
        for symbol, _, title in bars:
            # two digits, of what is below a tenth of a percent only one
            (percent,) = re.findall(r" (0|100|[1-9]\d|\d\.\d|0\.\d\d|0\.0+[1-9]|\de-\d+) %$", title)
            error = 0.5 if P[symbol] < 0.001 else 0.05
            assert float(percent) == pytest.approx(100 * P[symbol], rel=error)


def test_bars_sharpen_with_temperature_and_top_k(page: Any):
    models, vocabulary, _ = load(page.folder)
    page.evaluate(FOLLOW, "text=ba&temperature=0.5&top-k=3")
    start, end = vocabulary.start, vocabulary.end
    rows = page.locator("#next .row").evaluate_all(BARS)
    assert page.is_visible("#tempered")
    context = np.array([[start] * 64 + vocabulary.encode("ba").tolist()])
    plain, tempered = [], []
    for model in models.values():
        P = np.exp(model.log_probabilities(context)[0].astype(np.float64))
        plain.append(P)
        possible = [p for n, p in enumerate(P) if n != start or start == end]
        least = sorted(possible)[-3]
        top = np.where(least > P, 0, P) ** 2  # a temperature of 0.5 squares
        top[start] *= start == end
        tempered.append(top / top.sum())
    highest = max(np.max(plain), np.max(tempered))
    for P, Q, bars in zip(plain, tempered, rows, strict=True):
        heights = [height for _, height, _ in bars]
        assert heights == pytest.approx([100 * Q[n] / highest for n, _, _ in bars], abs=1e-3)
        assert sum(Q > 0) <= 3 or len(set(P)) < len(P)  # more only where some are equal
    marks = page.locator("#next .row .bar.tempered").evaluate_all(
        "all => all.map((bar) => parseFloat(bar.style.getPropertyValue('--mark')))"
    )
    expected = [100 * P[n] / highest for P, bars in zip(plain, rows, strict=True) for n, *_ in bars]
    assert marks == pytest.approx([mark for mark in expected if mark >= 2], abs=1e-3)
    page.evaluate(FOLLOW, "text=ba&temperature=1")
    assert page.locator("#next .row .bar.tempered").count() == 0
    assert not page.is_visible("#tempered")


def test_slider_and_field_of_the_temperature_are_one(page: Any):
    page.evaluate(FOLLOW, "text=ba&x=2")
    page.fill("input[name=temperature]", "0.5")
    assert page.input_value("#slider") == "0.5"
    sharp = page.inner_text("#rows")
    drawn = page.inner_text("#drawn")
    page.focus("#slider")
    page.keyboard.press("ArrowRight")
    assert page.input_value("input[name=temperature]") == "0.55"
    assert page.inner_text("#rows") != sharp
    page.keyboard.press("ArrowLeft")
    assert (page.inner_text("#rows"), page.inner_text("#drawn")) == (sharp, drawn)


def test_symbols_without_a_bar_are_named_and_can_be_shown(page: Any):
    vocabulary = load(page.folder)[1]
    page.evaluate(FOLLOW, "text=ba&x=3")
    labels = [symbol_label(symbol) for symbol in vocabulary.itos]
    tables = page.evaluate(NEXT, "ba")
    shown = page.locator("#axis span").all_inner_texts()
    boundary = {vocabulary.start} - {vocabulary.end}
    rest = [n for n, label in enumerate(labels) if label not in shown and n not in boundary]
    said = page.inner_text("#rest-said")
    count, highest, named = re.fullmatch(
        r"and (\d+) more symbols, at most (.+) %: (.+)", said
    ).groups()
    assert (int(count), named.split()) == (len(rest), [labels[n] for n in rest])
    most = max(P[n] for P in tables for n in rest)
    assert float(highest) == pytest.approx(100 * most, rel=0.1)
    hidden = vocabulary.itos[rest[0]]
    page.fill("#find", f"§{hidden}")
    assert labels[rest[0]] in page.locator("#axis span").all_inner_texts()
    assert labels[rest[0]] not in page.inner_text("#rest-said").partition(": ")[2].split()
    page.fill("#find", "")
    assert page.locator("#axis span").all_inner_texts() == shown


def test_loss_of_each_letter_is_compared(page: Any):
    models, vocabulary, _ = load(page.folder)
    page.evaluate(FOLLOW, "text=bala&model=ngram_count&second=bigram_neural")
    pair = [models[name] for name in ("ngram_count", "bigram_neural")]
    losses = [[-step.log_probability for step in score("bala", one, vocabulary)] for one in pair]
    columns = page.locator("#letters li").all_inner_texts()
    assert len(columns) == 6
    rows = [*zip(*losses, strict=True), tuple(map(sum, losses))]
    for column, label, (first, second) in zip(columns, "bala?Σ", rows, strict=True):
        found = column.split("\n")
        assert found[0] == {"?": symbol_label(vocabulary.itos[vocabulary.end]), "Σ": "sum"}.get(
            label, label
        )
        assert found[1:3] == [f"{first:.2f}", f"{second:.2f}"]
        difference = float(found[3].replace("\N{MINUS SIGN}", "-"))
        assert difference == pytest.approx(second - first, abs=0.006)
    heights = page.locator("#letters .both i").evaluate_all(
        "all => all.map((bar) => parseFloat(bar.style.getPropertyValue('--height')))"
    )
    highest = max(1, *losses[0], *losses[1])
    assert heights == pytest.approx(
        [100 * x / highest for both in rows[:-1] for x in both], abs=0.01
    )
    gains = [second - first for first, second in rows[:-1]]
    better, worse = ("ngram_count", "bigram_neural")[:: 1 if sum(gains) > 0 else -1]
    verdict = page.inner_text("#verdict")
    assert verdict.startswith(f"{better} predicts this name better by {abs(sum(gains)):.2f} nats")
    assert f"than {worse}; most at" in verdict
    page.select_option("select[name=second]", "ngram_count")
    assert page.inner_text("#verdict") == "Pick two models: these are the same."
    assert page.locator("#extremes li").count() == 0


def test_what_comes_next_is_mirrored_with_its_ratio(page: Any):
    vocabulary = load(page.folder)[1]
    page.evaluate(FOLLOW, "text=ba&model=mlp&second=bigram_neural")
    first, second = (
        page.evaluate(NEXT, "ba")[list(MODELS).index(name)] for name in ("mlp", "bigram_neural")
    )
    most = np.maximum(first, second)
    rows = page.locator("#mirrored tbody tr").all()
    assert len(rows) == 8
    for row, symbol in zip(rows, np.argsort(-most, kind="stable")[:8], strict=True):
        p, label, q, ratio = row.locator("td, th").all_inner_texts()
        assert label == symbol_label(vocabulary.itos[symbol])
        assert float(p.removesuffix(" %")) == pytest.approx(100 * first[symbol], rel=0.1)
        assert float(q.removesuffix(" %")) == pytest.approx(100 * second[symbol], rel=0.1)
        larger = max(first[symbol], second[symbol]) / min(first[symbol], second[symbol])
        assert float(ratio[:-2]) == pytest.approx(larger, abs=0.5)


def test_names_that_two_models_differ_on_most_are_listed(page: Any):
    evaluation = parse_evaluation((page.folder / "data/evaluation.csv").read_bytes())
    real = held_out(evaluation, "dev").fillna(np.inf)
    page.evaluate(FOLLOW, "text=ba&model=ngram_count&second=bigram_neural")
    gain = real["bigram_neural"] - real["ngram_count"]
    lists = [column.locator("button").all() for column in page.locator("#extremes > div").all()]
    for buttons, gains in zip(lists, (gain, -gain), strict=True):
        best = gains[gains > 0].nlargest(8)
        assert [button.get_attribute("data-name") for button in buttons] == [*best.index]
        for button, value in zip(buttons, best, strict=True):
            assert float(button.locator("small").inner_text()) == pytest.approx(value, abs=0.02)
    assert any(lists)
    said = f"ngram_count predicts {(gain > 0).sum()} better, bigram_neural {(gain < 0).sum()}."
    assert said in page.inner_text("#extremes-said")
    button = (lists[0] or lists[1])[0]
    name = button.get_attribute("data-name")
    button.focus()
    page.keyboard.press("Enter")
    assert page.input_value("#text") == name
    assert page.locator("#letters li").count() == len(name) + 2


def test_playground_is_readable_and_accessible(browser: Any, page: Any):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    levels = {
        "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
        "resultTypes": ["violations"],
    }
    frame = "() => new Promise((done) => requestAnimationFrame(done))"
    state = "#text=balbal&temperature=0.5&top-k=4&revision=abc"
    with opened(browser, page.folder / "index.html", state=state) as other:
        for width, scheme in ((1280, "light"), (390, "dark")):
            other.set_viewport_size({"width": width, "height": 900})
            other.emulate_media(color_scheme=scheme)
            for _ in range(3):  # the bars are drawn in the frame after the change
                other.evaluate(frame)
            boxes = [one.bounding_box() for one in other.locator("#axis span").all()]
            edges = [(box["x"], box["x"] + box["width"]) for box in boxes]
            assert all(one[1] <= other[0] for one, other in itertools.pairwise(edges))
            found = axe.run(other, context="#playground", options=levels)
            assert found.generate_snapshot() == "", found.generate_report()
            for text in ("balbal", "bal" * 20):
                other.fill("#text", text)
                assert other.evaluate(CUT_OFF) == []
            other.fill("#text", "balbal")


def test_click_on_a_bar_types_its_symbol_unless_it_is_the_end(page: Any):
    vocabulary = load(page.folder)[1]
    page.fill("#text", "b")
    for symbol in (vocabulary.encode("a")[0], vocabulary.end):
        # a bar of probability 0 has no height
        page.locator(f"#next .row .bar[data-symbol='{symbol}']").first.dispatch_event("click")
        assert page.input_value("#text") == "ba"


def test_drawn_names_are_marked_by_where_they_occur(page: Any):
    with contextlib.chdir(page.folder):
        train, dev = (set(read_names(split_path(split))) for split in ("train", "dev"))
    page.select_option("select[name=model]", "bigram_count")
    page.check("input[name=begin]")
    marks = set()
    for name in sorted(dev - train):
        page.fill("#text", name)
        for item in page.locator("#drawn li").all():
            drawn, mark = item.text_content(), item.get_attribute("class")
            expected = "train" if drawn in train else "dev" if drawn in dev else "new"
            assert mark == f"mark {expected}"
            marks.add(expected)
    assert marks >= {"dev", "new"}


def test_everything_can_be_done_with_the_keyboard(page: Any):
    page.uncheck("input[name=begin]")
    page.focus("#text")
    page.keyboard.press("Control+A")
    page.keyboard.type("bal")
    assert page.locator("#score tr").first.locator(".tile b").all_inner_texts()[:3] == [*"bal"]
    assert page.locator("#next .row").first.get_by_text("%").count() == 1
    before = page.locator("#drawn").inner_text()
    seed = int(page.input_value("input[name=seed]"))
    for field in ("model", "second", "temperature", "top-k", "seed", "count", "begin"):
        page.keyboard.press("Tab")
        while page.evaluate("document.activeElement.name") != field:
            page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert int(page.input_value("input[name=seed]")) == seed + 1
    assert page.locator("#drawn").inner_text() != before
    page.mouse.move(0, 0)  # what scrolls below the pointer would be hovered over
    page.locator("#pairs .scroll").first.focus()
    for key, down, right in (("ArrowDown", 1, 0), ("ArrowRight", 0, 1), ("ArrowLeft", 0, -1)):
        row, column = page.evaluate(CURSOR)
        page.keyboard.press(key)
        assert page.evaluate(CURSOR) == [row + down, column + right]
        assert page.locator("#pairs td.on").first.get_attribute("title") == page.inner_text(".said")
    assert page.locator("#pairs td.on").count() == 2


def test_hover_over_a_pair_says_what_it_is(page: Any):
    page.locator(".pairs").last.locator("tbody tr").nth(3).locator("td").nth(2).hover()
    marked = page.locator("#pairs td.on")
    assert marked.first.get_attribute("title") == page.inner_text(".said")
    assert "counted" in page.inner_text(".said")
    assert "learned" in page.inner_text(".said")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(browser: Any, page: Any, scheme: str):
    with opened(browser, page.folder / "index.html", 390, scheme) as phone:
        open_all(phone)
        assert phone.evaluate("document.documentElement.scrollWidth") == 390
        right_edges = phone.locator("figure .vega svg").evaluate_all(
            "all => all.map((svg) => svg.getBoundingClientRect().right)"
        )
        assert max(right_edges) <= 390


def test_text_alternatives_exist(page: Any):
    charts = page.locator("figure.chart .vega").count()
    assert charts >= 5
    described = page.locator(".vega [role=graphics-document][aria-label], .vega[aria-label]")
    assert described.count() == charts
    unnamed = "all => all.filter((field) => !field.labels.length).length"
    assert page.locator("input, select").evaluate_all(unnamed) == 0


@pytest.mark.faults
def test_page_of_the_real_names_computes_what_the_tools_print(browser: Any, finished: Project):
    path = finished.root / "report/index.html"
    command = (sys.executable, "-m", "tools.report")
    finished.run(*command)
    content = path.read_bytes()
    finished.run(*command)
    assert path.read_bytes() == content
    assert len(content) < 3e6
    _, vocabulary, _ = load(finished.root)
    dev = read_names(finished.root / "data/splits/dev.txt")
    names = list(dict.fromkeys(dev[:120] + [name[:3] for name in dev[120:160]]))
    names += [text for text in random_texts(vocabulary, 60) if text]
    printed = finished.call("tools.score", "--json", *names).stdout
    expected = json.loads(printed)
    with opened(browser, path) as page:
        found = page.evaluate(SCORE, list(expected))
        settings = {"seed": 3, "count": 20, "temperature": 0.8, "prefix": "ma"}
        drawn = page.evaluate(DRAW, settings)
    assert len(expected) >= 200
    for number, by_model in enumerate(expected.values()):
        for model, one in by_model.items():
            logs = [math.log(step["probability"]) for step in one["steps"]]
            assert_equal(logs, found[model][number])
    for model, names_of_page in drawn.items():
        options = ("--model", model, "--seed", "3", "--temperature", "0.8", "--prefix", "ma")
        assert finished.call("tools.generate", *options).stdout.splitlines() == names_of_page


@pytest.mark.faults
def test_charts_of_dvc_are_drawn_offline(browser: Any, finished: Project, tmp_path: Path):
    project = finished.copy(tmp_path / "clone")
    before = project.changed()
    project.run(sys.executable, "-m", "tools.plots_offline")
    assert project.changed() == before
    for command in (("show",), ("diff", "HEAD")):
        project.run("dvc", "plots", *command)
        context = browser.new_context(offline=True)
        page = context.new_page()
        requests: list[str] = []
        page.on("request", lambda request, made=requests: made.append(request.url))
        page.goto((project.root / "dvc_plots/index.html").as_uri())
        charts = (project.root / "dvc_plots/index.html").read_text().count("vegaEmbed('#")
        assert charts >= 5
        page.wait_for_function(
            "count => document.querySelectorAll('.vega-embed :is(svg, canvas).marks')"
            ".length >= count",
            arg=charts,
        )
        assert all(url.startswith("file://") for url in requests)
        boxes = page.eval_on_selector_all(
            "main > *", "all => all.map((one) => one.getBoundingClientRect().toJSON())"
        )
        assert len(boxes) > charts  # pictures, too
        beside = [pair for pair in itertools.pairwise(boxes) if pair[1]["left"] >= pair[0]["right"]]
        assert beside
        assert all(one["top"] == following["top"] for one, following in beside)
        images = page.locator("main img")
        for number in range(images.count()):
            assert images.nth(number).bounding_box()["width"] <= page.viewport_size["width"]
        context.close()


@pytest.mark.faults
def test_picture_is_a_small_png(browser: Any, finished: Project, tmp_path: Path):
    picture = tmp_path / "page.png"
    options = ("-o", str(tmp_path / "page.html"), "--picture", str(picture))
    finished.run(sys.executable, "-m", "tools.report", *options)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert 10_000 < picture.stat().st_size < 150_000
