"""Slides: each chart of a page, and pictures of the pipeline, in large type under a title.

Vega-Lite draws a chart in a small size, as on the page, and an SVG of 1,920 by 1,080 pixels
enlarges it, so that all its text is large. No browser is needed.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import matplotlib
import numpy as np

from charlm.core.errors import InputError
from charlm.core.storage import damaged, model_path, read_bytes
from charlm.drawing.symbols import symbol_label
from charlm.models.base import Model
from charlm.models.registry import FITTED_ON_DEV, model_class
from tools.dvc_state import Files
from tools.next import predict
from tools.report import charts
from tools.report.charts import NLL, Spec
from tools.report.maps import similarity_charts
from tools.report.results import UNSEEN, Results, Rows
from tools.report.vega import import_vl_convert

WIDTH, HEIGHT = 1920, 1080  # pixels
MARGIN, TOP, BOTTOM = 80, 170, 1010  # of a chart
TITLE_SIZE, FOOTER_SIZE = 60, 26
TITLE_WIDTH = 0.62  # of a character at size 1
SCALE = 2.6  # pixels of a slide per pixel of a chart
CHART_WIDTH, CHART_HEIGHT = (WIDTH - 2 * MARGIN) / SCALE, (BOTTOM - TOP) / SCALE
FONT = "DejaVu Sans"
STYLE = Path(__file__).with_name("style.css")
SVGS = {  # of the pipeline, and what they show
    "plots/bigram_counts.svg": "How often each symbol follows each symbol",
    "plots/bigram_probabilities.svg": "Probabilities, counted and learned",
    "plots/embedding.svg": "The embedding of the MLP",
    "plots/learning_rate.svg": "Loss while the learning rate rises",
    "plots/loss.svg": "Losses during training",
}
LARGE_SVGS = ("plots/learning_rate.svg",)  # of which there is no chart in large type
OWN_SWEEP, SWEEP = Path("dvc_plots/sweep.svg"), Path("docs/sweep.svg")
COMPOSED = {"concat", "facet", "hconcat", "repeat", "vconcat"}  # charts of charts
NEXT_ROWS = 8
PAIR_SYMBOLS, PAIR_ROWS = 30, 12
MIN_DIFFERENCE = 0.01  # of probabilities, in the darkest colour
FORMATS = ("png", "svg")
DEFINED = re.compile(r"\b(?:clip|gradient_)\d+\b")
# SVG may declare its size in points; its viewBox is in the units of its content
ROOT = re.compile(r"<svg\b([^>]*)>")
VIEW = re.compile(r'\bviewBox="([^"]+)"')


class Slide(NamedTuple):
    """A picture and what is above and below it."""

    title: str
    footer: str
    picture: Spec | str  # a chart, or an SVG
    file: str = ""  # its name, if it is not that of the slide


def colors() -> dict[str, str]:
    """Return the colours of the style sheet, those of a light screen, by their names."""
    light, _, _ = STYLE.read_text(encoding="utf-8").partition("}")
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", light))


def slug(text: str) -> str:
    """Return a text as a part of the name of a file.

    >>> slug("Loss by position: dev"), slug("St. Ca")
    ('Loss-by-position-dev', 'St-Ca')
    """
    return re.sub(r"[\W_]+", "-", text).strip("-")


def draw_chart(spec: Spec) -> str:
    """Return a chart as SVG, in the light colours of the page.

    Args:
        spec: Vega-Lite, which may name colours of the style sheet as `var(--name)`.
    """
    known = colors()
    text = re.sub(r"var\((--[\w-]+)\)", lambda match: known[match[1]], json.dumps(spec))
    colored = json.loads(text)
    if COMPOSED.isdisjoint(colored):
        fit = {"type": "fit", "contains": "padding"}
        colored |= {"width": CHART_WIDTH, "height": CHART_HEIGHT, "autosize": fit}
    ink = {"labelColor": known["--ink"], "titleColor": known["--ink"], "titleFontWeight": 400}
    line = known["--line"]
    sizes = {"labelFontSize": 12, "titleFontSize": 12}
    config = {
        "background": known["--card"],
        "font": f"{FONT}, sans-serif",
        "axis": {**ink, **sizes, "gridColor": line, "domainColor": line, "tickColor": line},
        "axisQuantitative": {"labelFlush": False, "labelOverlap": "greedy", "labelSeparation": 8},
        # above the axis, so that a long title is not cut off
        "axisLeft": {
            "titleAngle": 0,
            "titleAlign": "left",
            "titleAnchor": "end",
            "titleBaseline": "bottom",
            "titleX": 0,
            "titleY": -8,
        },
        "legend": {**ink, **sizes, "orient": "bottom", "columns": 5, "symbolSize": 120},
        "header": {"labelFontSize": 14, "labelFontWeight": 700, "labelColor": known["--ink"]},
        "view": {"stroke": None},
    }
    vl_convert = import_vl_convert()
    svg: str = vl_convert.vegalite_to_svg({"config": config, **colored})
    # Vega numbers clip paths and gradients from the start of the process on
    names = {old: f"def{n}" for n, old in enumerate(dict.fromkeys(DEFINED.findall(svg)))}
    return DEFINED.sub(lambda match: names[match[0]], svg)


def lay_out(slide: Slide) -> str:
    """Return a slide as SVG.

    Raises:
        InputError: its picture is not an SVG.
    """
    known = colors()
    picture = slide.picture
    content = picture if isinstance(picture, str) else draw_chart(picture)
    root = ROOT.search(content)
    view = root and VIEW.search(root[1])
    if not (root and view):
        raise InputError(f"{slide.footer}: not an SVG file with a viewBox")
    spaces = " ".join(re.findall(r'xmlns:\w+="[^"]*"', root[1]))
    size = min(TITLE_SIZE, (WIDTH - 2 * MARGIN) / (TITLE_WIDTH * max(1, len(slide.title))))
    place = f'x="{MARGIN}" y="{TOP}" width="{WIDTH - 2 * MARGIN}" height="{BOTTOM - TOP}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="{FONT}, sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{known["--card"]}"/>\n'
        f'<text x="{MARGIN}" y="112" font-size="{size:.4g}" font-weight="700" '
        f'fill="{known["--ink"]}">{escape(slide.title)}</text>\n'
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 28}" font-size="{FOOTER_SIZE}" '
        f'text-anchor="end" fill="{known["--muted"]}">{escape(slide.footer)}</text>\n'
        f'<svg {place} viewBox="{view[1]}" {spaces}>{content[root.end() :].rstrip()}\n</svg>\n'
    )


def as_png(svg: str) -> bytes:
    """Return an SVG as a png file."""
    vl_convert = import_vl_convert()
    vl_convert.register_font_directory(f"{matplotlib.get_data_path()}/fonts/ttf")
    png: bytes = vl_convert.svg_to_png(svg, scale=1)
    return png


def results_chart(side: Results) -> tuple[str, Spec] | None:
    """Return the losses on held-out names with their intervals: a title and the chart."""
    groups = {of: None for losses in side.losses.values() for of in losses}
    of = next((of for of in (f"dev {UNSEEN}", "dev", *groups) if of in groups), None)
    rows: Rows = [
        {
            "model": model + (" (fitted)" if model in FITTED_ON_DEV and "dev" in str(of) else ""),
            "color": f"var(--model-{number % charts.MODEL_COLORS})",
            "nll": loss.nll,
            "low": loss.nll - 1.96 * (loss.stderr or 0),
            "high": loss.nll + 1.96 * (loss.stderr or 0),
        }
        for number, (model, losses) in enumerate(side.losses.items())
        if (loss := losses.get(str(of))) and loss.nll is not None
    ]
    if not rows:
        return None
    lowest, highest = min(row["low"] for row in rows), max(row["high"] for row in rows)
    pad = max(highest - lowest, 0.01) / 10
    scale = {"domain": [lowest - pad, highest + pad], "nice": False}
    spec: Spec = {
        "data": {"values": rows},
        "encoding": {
            "y": {
                "field": "model",
                "type": "nominal",
                "title": None,
                "sort": {"field": "nll"},
                "axis": {"labelFontSize": 16, "labelLimit": 300, "domain": False, "ticks": False},
            },
            "color": {"field": "color", "type": "nominal", "scale": None},
        },
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 4},
                "encoding": {
                    "x": charts.axis("low", f"{NLL}, lower is better", scale=scale),
                    "x2": {"field": "high"},
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 160, "opacity": 1},
                "encoding": {"x": charts.axis("nll", "")},
            },
            {
                "mark": {"type": "text", "dy": -16, "fontSize": 16, "fontWeight": 700},
                "encoding": {
                    "x": charts.axis("nll", ""),
                    "text": {"field": "nll", "type": "quantitative", "format": ".4f"},
                },
            },
        ],
    }
    return f"Loss on {of}, with 95 % intervals", spec


def load_models(side: Results) -> dict[str, Model]:
    """Return the models of a revision that are there with all that they are composed of.

    Raises:
        InputError: one is not a model of its symbols.
    """
    symbols = len(side.vocabulary) if side.vocabulary else 0
    loaded: dict[str, Model] = {}
    for name, arrays in side.models.items():  # components come first, as in the registry
        kind = model_class(name)
        try:
            components = kind.component_names(arrays)
            if all(component in loaded for component in components):
                loaded[name] = kind(arrays, symbols, *map(loaded.__getitem__, components))
        except ValueError as error:
            raise damaged(model_path(name), str(error), kind.stage) from None
    return loaded


def common_beginning(names: list[str]) -> str:
    """Return the two characters that most names begin with.

    >>> common_beginning(["mara", "jo", "max"])
    'ma'
    """
    return Counter(name[:2] for name in names).most_common(1)[0][0] if names else ""


def next_chart(side: Results, prefix: str) -> Spec | None:
    """Return what each model says comes next, the most probable first.

    Raises:
        InputError: a character of the prefix is not in the vocabulary.
    """
    vocabulary = side.vocabulary
    if vocabulary is None:
        return None
    rows: Rows = []
    for number, (name, model) in enumerate(load_models(side).items()):
        prediction = predict(prefix, model, vocabulary)
        for rank, symbol in enumerate(prediction.ranked()[:NEXT_ROWS].tolist()):
            rows.append(
                {
                    "model": name,
                    "color": f"var(--model-{number % charts.MODEL_COLORS})",
                    "rank": rank,
                    "symbol": symbol_label(vocabulary.itos[symbol]),
                    "share": float(prediction.P[symbol]),
                }
            )
    if not rows:
        return None
    # room for the percentage beside the longest bar
    scale = {"domain": [0, 1.4 * max(row["share"] for row in rows)], "nice": False}
    share = {**charts.axis("share", "", scale=scale), "axis": None}
    text = {"type": "text", "baseline": "middle"}
    return {
        "data": {"values": rows},
        "facet": {
            "column": {
                "field": "model",
                "type": "nominal",
                "sort": [row["model"] for row in rows[::NEXT_ROWS]],
                "title": None,
            },
        },
        "spacing": 34,
        "spec": {
            "width": 100,
            "height": {"step": 37},
            "encoding": {"y": {"field": "rank", "type": "ordinal", "axis": None}},
            "layer": [
                {
                    "mark": {"type": "bar", "height": {"band": 0.7}, "cornerRadiusEnd": 3},
                    "encoding": {
                        "x": share,
                        "color": {"field": "color", "type": "nominal", "scale": None},
                    },
                },
                {
                    "mark": {**text, "align": "right", "dx": -6, "fontSize": 19, "fontWeight": 700},
                    "encoding": {"x": {"datum": 0, "axis": None}, "text": {"field": "symbol"}},
                },
                {
                    "mark": {**text, "align": "left", "dx": 5, "fontSize": 14},
                    "encoding": {
                        "x": share,
                        "text": {"field": "share", "type": "quantitative", "format": ".0%"},
                    },
                },
            ],
        },
    }


def pairs_charts(side: Results) -> dict[str, tuple[str, Spec]]:
    """Return which symbol follows which, and what the neural bigram makes of it: by name.

    Each is a table in colours beside the pairs that stand out, with its title.
    """
    if side.pairs is None or side.vocabulary is None:
        return {}
    counts, totals = side.pairs.counts, side.pairs.totals
    frequency = np.maximum(totals, counts.sum(axis=0))
    shown = np.sort(np.argsort(-frequency, kind="stable")[:PAIR_SYMBOLS])
    labels = [symbol_label(side.vocabulary.itos[n]) for n in side.pairs.symbols[shown].tolist()]
    counts = counts[np.ix_(shown, shown)]
    counted = counts / totals[shown, np.newaxis].clip(min=1)
    some = len(shown) < len(side.vocabulary)
    which = f" ({len(shown)} of {len(side.vocabulary)} symbols)" if some else ""
    heat = {"type": "sqrt", "range": ["var(--back)", "var(--heat)"], "interpolate": "lab"}
    bars = "how often in train"
    pairs = {
        "pairs": (
            f"Which symbol follows which; darker: more often{which}",
            table_and_bars(labels, counted, heat, bars, counts, ","),
        )
    }
    if "learned" in side.pairs.probabilities:
        difference = side.pairs.probabilities["learned"][np.ix_(shown, shown)] - counted
        widest = float(max(abs(difference).max(), MIN_DIFFERENCE))
        diverging = {
            "type": "sqrt",
            "domain": [-widest, 0, widest],
            "range": ["var(--consonant)", "var(--back)", "var(--vowel)"],
            "interpolate": "lab",
        }
        pairs["pairs-learned"] = (
            f"Learned minus counted; red: learned is higher{which}",
            table_and_bars(
                *(labels, difference, diverging),
                *("difference in percentage points", 100 * difference, "+.1f"),
            ),
        )
    return pairs


def table_and_bars(
    labels: list[str], table: np.ndarray, scale: Spec, title: str, values: np.ndarray, form: str
) -> Spec:
    """Return a table of pairs in colours, and bars of the pairs with the largest values.

    Args:
        labels: of the symbols.
        table: (symbols, symbols), row: first symbol, column: the next.
        scale: of its colours.
        title: of the bars.
        values: (symbols, symbols), which the bars show, of both signs or of one.
        form: of a value, as d3 formats numbers.
    """
    pairs = [(first, following) for first in labels for following in labels]
    cells = [
        {"first": first, "next": following, "value": value}
        for (first, following), value in zip(pairs, table.flatten().tolist(), strict=True)
    ]
    order = np.argsort(-abs(values), axis=None, kind="stable")[:PAIR_ROWS].tolist()
    flat = values.flatten().tolist()
    rows: Rows = [{"pair": " ".join(pairs[n]), "value": flat[n]} for n in order]
    low, high = (edge(0, *(row["value"] for row in rows)) for edge in (min, max))
    room = 0.3 * (high - low)  # for the number beside the longest bar
    side = CHART_HEIGHT - 40
    color = {
        "condition": {"test": "datum.value < 0", "value": "var(--consonant)"},
        "value": "var(--vowel)" if low < 0 else "var(--heat)",
    }
    small = {"labelFontSize": 11, "labelAngle": 0, "domain": False, "ticks": False}
    symbol = {"type": "nominal", "sort": labels, "scale": {"domain": labels}}
    value = charts.axis("value", "", scale={"domain": [low and low - room, high and high + room]})
    pair = {"field": "pair", "type": "nominal", "title": None, "sort": None}
    return {
        "spacing": 60,
        "hconcat": [
            {
                "width": side,
                "height": side,
                "data": {"values": cells},
                "mark": {"type": "rect", "stroke": "var(--card)", "strokeWidth": 0.5},
                "encoding": {
                    "x": {
                        "field": "next",
                        "title": "next symbol (column) after each symbol (row)",
                        "axis": {**small, "orient": "top"},
                        **symbol,
                    },
                    "y": {"field": "first", "title": None, "axis": small, **symbol},
                    "color": {
                        **charts.axis("value", "", scale=scale),
                        "legend": None,
                    },
                },
            },
            {
                "width": CHART_WIDTH - side - 150,
                "height": side,
                "title": {"text": title, "fontSize": 14, "fontWeight": 400},
                "data": {"values": rows},
                "encoding": {
                    "y": {**pair, "axis": {"labelFontSize": 17, "domain": False, "ticks": False}},
                    "x": {**value, "axis": None},
                },
                "layer": [
                    {
                        "mark": {"type": "bar", "height": {"band": 0.7}},
                        "encoding": {"color": color},
                    },
                    *(
                        {
                            "transform": [{"filter": f"datum.value {sign} 0"}],
                            "mark": {"type": "text", "align": align, "dx": dx, "fontSize": 14},
                            "encoding": {
                                "text": {"field": "value", "type": "quantitative", "format": form}
                            },
                        }
                        for sign, align, dx in ((">=", "left", 5), ("<", "right", -5))
                    ),
                ],
            },
        ],
    }


def read_svg(path: Path) -> str:
    """Return the content of an SVG file.

    Raises:
        InputError: there is none, or it is not text.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not an SVG file") from None


def svg_slides(revision: str) -> dict[str, Slide]:
    """Return the pictures of the pipeline that a revision has, and the picture of a sweep."""
    files = Files(revision)
    slides = {}
    for path in LARGE_SVGS:
        try:
            content = files.read(path).decode()
        except FileNotFoundError:
            continue
        slides[slug(Path(path).stem)] = Slide(SVGS[path], path, content)
    if OWN_SWEEP.exists():
        slides["sweep"] = Slide("A sweep", str(OWN_SWEEP), read_svg(OWN_SWEEP))
    elif SWEEP.exists():
        title = "A sweep: the loss of the MLP on names.txt"
        slides["sweep"] = Slide(title, SWEEP.as_posix(), read_svg(SWEEP))
    return slides


def all_slides(side: Results, prefix: str | None) -> dict[str, Slide]:
    """Return every slide of a revision, by name.

    Args:
        side: what the revision left.
        prefix: the beginning of a name; None: the most common one.

    Raises:
        InputError: a character of the prefix is not in the vocabulary.
    """
    footer = side.run.dataset if side.run else side.revision
    models = list(side.losses)
    sides = {"": side}
    page: list[Any] = [
        *charts.training_charts(sides),
        *charts.position_charts(sides, models),
        *charts.length_charts(sides, models),
        *similarity_charts(sides),
    ]
    begin = common_beginning(side.splits.get("train", [])) if prefix is None else prefix
    drawn: dict[str, tuple[str, Spec, str]] = {}
    if results := results_chart(side):
        drawn["results"] = (*results, "results")
    if following := next_chart(side, begin):
        title = f"What follows “{begin}”" if begin else "How names begin"
        drawn["next"] = (title, following, f"next-{slug(begin) or 'start'}")
    for name, pairs in pairs_charts(side).items():
        drawn[name] = (*pairs, name)
    for one in page:
        name = slug(one["title"].lower())
        drawn[name] = (one["title"], one["spec"], name)
    return {
        name: Slide(title, footer, spec, file) for name, (title, spec, file) in drawn.items()
    } | svg_slides(side.revision)


def choose(slides: dict[str, Slide], names: list[str]) -> dict[str, Slide]:
    """Return some of the slides; a name may be the path of an SVG file.

    Raises:
        InputError: there is no such slide or file.
    """
    chosen = {}
    for name in names:
        if name in slides:
            chosen[name] = slides[name]
        elif name.endswith(".svg"):
            path = Path(name)
            content = read_svg(path)
            title = SVGS.get(path.as_posix()) or path.stem.replace("_", " ").capitalize()
            chosen[slug(path.stem)] = Slide(title, name, content)
        else:
            known = ", ".join(slides)
            raise InputError(f"--only: no slide {name!r}; known are {known}, or name an .svg file")
    return chosen


def make_slides(
    side: Results, names: list[str] | None, prefix: str | None, form: str
) -> dict[str, bytes]:
    """Return slides as files, by their names.

    Args:
        side: what a revision left.
        names: of the slides; None: all.
        prefix: what the bars of the next symbol follow; None: the most common beginning.
        form: png or svg.

    Raises:
        InputError: there is no such slide, or a character of the prefix is not in the vocabulary.
    """
    slides = all_slides(side, prefix)
    chosen = slides if names is None else choose(slides, names)
    pictures = {f"{slide.file or name}.{form}": lay_out(slide) for name, slide in chosen.items()}
    return {name: as_png(svg) if form == "png" else svg.encode() for name, svg in pictures.items()}
