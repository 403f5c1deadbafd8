"""tools.report --slides: pictures in large type, without a browser."""

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from charlm.core.errors import InputError
from charlm.data.vocabulary import Vocabulary
from tests.conftest import Project
from tools.report import slides
from tools.report.results import Loss, Pairs, Results
from tools.report.similarity import View

pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
P = np.array([[0.0, 0.75, 0.25], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
W = np.log([[0.2, 0.6, 0.2], [0.1, 0.3, 0.6], [0.8, 0.1, 0.1]]).astype(np.float32)
LEARNED = np.exp(W.astype(float))
CURVE = [{"step": step, "nll": 3.0 - step, "split": "train"} for step in (0, 1)]
SIDE = Results(
    revision="workspace",
    commit="",
    settings={},
    run=None,
    stale="",
    losses={
        name: {"dev": Loss(2.4, 0.1), "dev names not in train": Loss(nll, 0.02)}
        for name, nll in (("bigram_count", 2.5), ("bigram_neural", 2.0))
    },
    splits={"train": ["ab", "ab", "b"], "dev": ["a"]},
    vocabulary=Vocabulary.of([".", "a", "b"]),
    models={"bigram_count": {"P": P}, "bigram_neural": {"W": W}},
    curves=[{"of": "bigram_neural", **row} for row in CURVE],
    positions=[
        {"split": "dev", "model": name, "position": position, "characters": 50, "nll": 2.0}
        for name in ("bigram_count", "bigram_neural")
        for position in (1, 2)
    ],
    lengths=[
        {"length": length, "model": name, "share": 0.5}
        for name in ("dev", "bigram_count")
        for length in (1, 2)
    ],
    alike={
        "predictions": View(
            numbers=np.array([1, 2]),
            places=np.array([[0.0, 1.0], [1.0, 0.0]]),
            variance=1.0,
            kept=1.0,
            neighbours=np.array([[1], [0]]),
            vowels=None,
            chance=None,
        )
    },
    pairs=Pairs(
        symbols=np.arange(3),
        counts=np.array([[0, 3, 1], [0, 2, 6], [7, 0, 0]]),
        totals=np.array([4, 8, 7]),
        probabilities={"counted": P, "learned": LEARNED},
        frequency=np.array([4, 8, 7]),
        seen={},
    ),
    samples={},
    missing=[],
)
PICTURE = (
    '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="50pt" height="20pt" '
    'viewBox="0 0 50 20"><rect width="50" height="20" fill="#ff0000"/></svg>\n'
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(svg: bytes) -> list[str]:
    found = ET.fromstring(svg.decode()).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in found]


def test_every_chart_is_a_slide_with_its_title_that_is_wide_and_not_blank(folder: Path):
    (folder / "plots").mkdir()
    (folder / "plots/learning_rate.svg").write_text(PICTURE)
    drawn = slides.make_slides(SIDE, None, None, "svg")
    titles = {name: texts(svg)[0] for name, svg in drawn.items()}
    charts = {
        slides.slug(chart["title"].lower()): chart["title"]
        for chart in (
            *slides.charts.training_charts({"": SIDE}),
            *slides.charts.position_charts({"": SIDE}, list(SIDE.losses)),
            *slides.charts.length_charts({"": SIDE}, list(SIDE.losses)),
            *slides.similarity_charts({"": SIDE}),
        )
    }
    assert len(charts) >= 4
    expected = {
        "results": "Loss on dev names not in train, with 95 % intervals",
        "next-ab": "What follows “ab”",
        "pairs": "Which symbol follows which; darker: more often",
        "pairs-learned": "Learned minus counted; red: learned is higher",
        **charts,
        "learning-rate": "Loss while the learning rate rises",
    }
    assert titles == {f"{name}.svg": title for name, title in expected.items()}
    composed = {"next-ab.svg", "pairs.svg", "pairs-learned.svg", "learning-rate.svg"}
    for name, svg in drawn.items():
        assert b"var(" not in svg
        pixels = imread(io.BytesIO(slides.as_png(svg.decode())))
        assert pixels.shape[:2] == (1080, 1920)
        content = pixels[slides.TOP : slides.BOTTOM, slides.MARGIN : -slides.MARGIN, :3]
        inked = np.argwhere((content < 0.99).any(axis=2))
        # one chart fills the room there is; several, whose shape is their own, one side of it
        filled = np.ptp(inked, axis=0) / content.shape[:2]
        assert (filled.max() if name in composed else filled.min()) > 0.9


def test_all_text_of_a_chart_is_large():
    (svg,) = slides.make_slides(SIDE, ["results"], None, "svg").values()
    root = ET.fromstring(svg.decode())
    inner = root.find("{http://www.w3.org/2000/svg}svg")
    _, _, width, height = map(float, inner.get("viewBox").split())
    scale = min(float(inner.get("width")) / width, float(inner.get("height")) / height)
    found = inner.iter("{http://www.w3.org/2000/svg}text")
    sizes = [scale * float(element.get("font-size").removesuffix("px")) for element in found]
    assert min(sizes) >= 28  # pixels of 1,080


def test_results_are_sorted_with_the_intervals_of_names_not_in_train():
    title, spec = slides.results_chart(SIDE)
    values = {row["model"]: (row["low"], row["high"]) for row in spec["data"]["values"]}
    assert values["bigram_count"] == pytest.approx((2.5 - 1.96 * 0.02, 2.5 + 1.96 * 0.02))
    (svg,) = slides.make_slides(SIDE, ["results"], None, "svg").values()
    found = texts(svg)
    assert found[0] == title
    assert found.index("bigram_neural") < found.index("bigram_count")
    assert {"2.5000", "2.0000"} <= set(found)


def test_without_held_out_names_results_are_of_the_split_there_is():
    losses = {"bigram_count": {"train": Loss(1.0, None)}}
    title, _ = slides.results_chart(SIDE._replace(losses=losses))
    assert title == "Loss on train, with 95 % intervals"
    assert slides.results_chart(SIDE._replace(losses={"mlp": {"dev": Loss(None, None)}})) is None


def test_bars_of_what_follows_a_prefix_are_those_of_the_models():
    rows = slides.next_chart(SIDE, "a")["data"]["values"]
    assert [(row["model"], row["symbol"]) for row in rows] == [
        *(("bigram_count", symbol) for symbol in "ba."),
        *(("bigram_neural", symbol) for symbol in "ba."),
    ]
    shares = [0.75, 0.25, 0, 0.6, 0.3, 0.1]
    assert [row["share"] for row in rows] == pytest.approx(shares, abs=1e-6)
    named = {
        prefix: list(slides.make_slides(SIDE, ["next"], prefix, "svg"))
        for prefix in (None, "", "ba")
    }
    assert named == {None: ["next-ab.svg"], "": ["next-start.svg"], "ba": ["next-ba.svg"]}


def test_pairs_are_shares_and_the_largest_values_are_bars():
    drawn = slides.pairs_charts(SIDE)
    table, bars = drawn["pairs"][1]["hconcat"]
    cells = {(c["first"], c["next"]): c["value"] for c in table["data"]["values"]}
    assert (cells["a", "b"], cells[".", "a"]) == (6 / 8, 3 / 4)
    most = [(row["pair"], row["value"]) for row in bars["data"]["values"]]
    assert most[:3] == [("b .", 7), ("a b", 6), (". a", 3)]
    _, bars = drawn["pairs-learned"][1]["hconcat"]
    largest = bars["data"]["values"][:2]
    # after b, . is counted 7 of 7 times and learned at 0.8; after ., . never and at 0.2
    assert {row["pair"] for row in largest} == {"b .", ". ."}
    assert sorted(row["value"] for row in largest) == pytest.approx([-20, 20])


def test_of_many_symbols_the_frequent_ones_are_in_the_table(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(slides, "PAIR_SYMBOLS", 2)
    title, spec = slides.pairs_charts(SIDE)["pairs"]
    assert title.endswith("(2 of 3 symbols)")
    table, _ = spec["hconcat"]
    # a is before another 8 times, . and b 7 times each
    assert {cell["first"] for cell in table["data"]["values"]} == {".", "a"}


def test_what_a_revision_lacks_has_no_slide():
    lacking = SIDE._replace(vocabulary=None, models={}, pairs=None, alike={}, lengths=[])
    drawn = slides.make_slides(lacking, None, None, "svg")
    assert list(drawn)[:2] == ["results.svg", "training-of-bigram-neural.svg"]
    assert not [name for name in drawn if name.startswith(("next", "pairs", "what", "lengths"))]


def test_any_svg_is_a_slide(folder: Path):
    (folder / "my_plot.svg").write_text(PICTURE)
    (svg,) = slides.make_slides(SIDE, ["my_plot.svg"], None, "svg").values()
    assert texts(svg) == ["My plot", "my_plot.svg"]
    drawn = slides.make_slides(SIDE, ["my_plot.svg"], None, "png")
    assert list(drawn) == ["my-plot.png"]
    pixels = imread(io.BytesIO(drawn["my-plot.png"]))
    red = np.argwhere((pixels[..., 0] > 0.9) & (pixels[..., 1] < 0.1))
    # 50 by 20 in a room of 1,760 by 840: as wide as it
    assert np.ptp(red, axis=0).tolist() == [703, 1759]


def test_own_sweep_is_shown_rather_than_that_of_the_page(folder: Path):
    for path in (slides.SWEEP, slides.OWN_SWEEP):
        path.parent.mkdir()
        path.write_text(PICTURE)
        (svg,) = slides.make_slides(SIDE, ["sweep"], None, "svg").values()
        assert texts(svg)[1] == path.as_posix()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pears", None, r"^--only: no slide 'pears'; known are results, next, pairs, .*an \.svg"),
        ("", None, r"^--only: no slide ''; known are results"),
        ("none.svg", None, r"^none\.svg: not found$"),
        ("text.svg", b"text", r"^text\.svg: not an SVG file with a viewBox$"),
        ("other.svg", b"\xff", r"^other\.svg: not an SVG file$"),
    ],
)
def test_unknown_slides_are_one_line(folder: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        slides.make_slides(SIDE, [name], None, "svg")


def test_prefix_of_unknown_symbols_and_damaged_models_are_one_line():
    with pytest.raises(InputError, match=r"^'Ab': 'A' is not .*"):
        slides.make_slides(SIDE, ["next"], "Ab", "svg")
    damaged = SIDE._replace(models={"bigram_count": {"P": np.eye(2)}})
    with pytest.raises(InputError, match=r"^data/models/bigram_count\.safetensors: not bigram_"):
        slides.make_slides(damaged, ["next"], None, "svg")


def test_slide_has_the_same_bytes_whatever_was_drawn_before():
    name = next(name for name in slides.all_slides(SIDE, None) if name.startswith("lengths"))
    first = slides.make_slides(SIDE, [name], None, "svg")
    assert b'id="def0"' in first[f"{name}.svg"]
    assert slides.make_slides(SIDE, [name], None, "svg") == first
    stops = [{"offset": 0, "color": "red"}, {"offset": 1, "color": "blue"}]
    bar = {"type": "bar", "color": {"gradient": "linear", "stops": stops}}
    shaded = {"data": {"values": [{}]}, "mark": bar, "encoding": {"x": {"datum": 1}}}
    assert 'id="def0"' in slides.draw_chart(shaded)
    assert slides.draw_chart(shaded) == slides.draw_chart(shaded)
    png = slides.make_slides(SIDE, [name], None, "png")
    assert slides.make_slides(SIDE, [name], None, "png") == png


def test_slides_of_the_workspace_are_written_and_no_page(project: Project):
    written = project.call("tools.report", "--slides", "out", "--only", "next,results")
    assert written.returncode == 0, written.stderr
    assert written.stdout == "report: out: next-ma.png, results.png\n"
    assert sorted(path.name for path in (project.root / "out").iterdir()) == [
        "next-ma.png",
        "results.png",
    ]
    assert not (project.root / "report").exists()
