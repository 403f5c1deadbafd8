"""The charts of a page, as Vega-Lite: what is drawn, not in which colours.

The widths are those of the page, and the colours are named as in its style sheet, so that a chart
fits a phone and a dark screen.
"""

from itertools import cycle
from typing import Any

from charlm.drawing.symbols import is_vowel, symbol_label
from tools.report.results import Results, Rows

Spec = dict[str, Any]
Chart = dict[str, Any]  # its heading, what it shows in words, and how: `title`, `text` and `spec`
NLL = "NLL (nats per character)"
MIN_LOSS = 0.001  # lower ones are drawn here: a logarithmic scale has no zero
MAX_LOSS = 10  # higher ones may be cut off: a start at N(0, 1) is far above
MAX_LOSS_RATIO = 20  # of the highest loss shown to the lowest, if above MAX_LOSS
MIN_CHARACTERS = 30  # at a position in the name; the average of fewer says little
REAL = "dev"  # the names that samples are compared with
MODEL_COLORS = 8  # in style.css
LINE_WIDTHS = (5, 1.6, 3.4, 2, 1.4)  # of the models, in their order
SPLIT_COLORS = {"train": "var(--train)", "dev": "var(--dev)"}
KIND_COLORS = {"vowel": "var(--vowel)", "other": "var(--consonant)"}


def chart(title: str, text: str, spec: Spec) -> Chart:
    """Return a chart; the text is also what a screen reader says."""
    shared = {"width": "container", "height": 260, "description": text}
    return {"title": title, "text": text, "spec": shared | spec}


def axis(field: str, title: str, **options: Any) -> Spec:
    """Return the channel of a number."""
    return {"field": field, "type": "quantitative", "title": title} | options


def compared(sides: dict[str, Results], spec: Spec) -> Spec:
    """Add a dash per revision to the channels of a chart, if there are two."""
    if len(sides) > 1:
        legend = {"symbolType": "stroke", "symbolStrokeColor": "var(--muted)"}
        spec["strokeDash"] = {"field": "revision", "title": None, "legend": legend}
    return spec


def joined(sides: dict[str, Results], field: str) -> Rows:
    """Return the rows of all revisions, each with the name of its revision."""
    return [
        {**row, "revision": name} for name, side in sides.items() for row in getattr(side, field)
    ]


def training_charts(sides: dict[str, Results]) -> list[Chart]:
    """Return the losses during training, on a logarithmic scale, one chart per model."""
    charts = []
    rows = joined(sides, "curves")
    for name in dict.fromkeys(row["of"] for row in rows):
        shown = [row for row in rows if row["of"] == name]
        losses = [row["nll"] for row in shown]
        lowest = max(min(losses), MIN_LOSS)
        highest = max(*losses, MIN_LOSS) * 1.02
        domain = [lowest / 1.02, min(highest, max(MAX_LOSS, lowest * MAX_LOSS_RATIO))]
        scale = {"type": "log", "domain": domain, "nice": False}
        splits = list(dict.fromkeys(row["split"] for row in shown))
        encoding: Spec = {
            "x": axis("step", "step"),
            "y": axis("shown", NLL, scale=scale, axis={"format": ".3~g", "tickCount": 6}),
            "color": by_value("split", {split: SPLIT_COLORS[split] for split in splits}),
            "tooltip": tooltip("split", "step", "nll", sides=sides),
        }
        last_split = [row for row in shown if row["split"] == splits[-1]]
        text = (
            f"The loss of {name} over the steps of its training"
            f"{' on train, the batch of a step, and on dev' if 'dev' in splits else ' on train'}: "
            f"{describe_curves(last_split)}."
        )
        layers: list[Spec] = []
        for split in splits:
            of_split = {"transform": [{"filter": {"field": "split", "equal": split}}]}
            mark = {"type": "line", "clip": True, "strokeWidth": 2 if split == "dev" else 1.2}
            layers.append({**of_split, "mark": mark, "encoding": compared(sides, {})})
            if split == "dev":  # measured at few steps
                layers.append({**of_split, "mark": {"type": "point", "filled": True}})
        floored = {"calculate": f"max(datum.nll, {MIN_LOSS})", "as": "shown"}
        values = {"data": {"values": shown}, "transform": [floored]}
        spec = values | {"encoding": encoding, "layer": layers}
        charts.append(chart(f"Training of {name}", text, spec))
    return charts


def describe_curves(rows: Rows) -> str:
    """Return how the loss of each revision changes in words, with its lowest value and step."""
    curves: dict[str, Rows] = {}
    for row in rows:
        curves.setdefault(row["revision"], []).append(row)
    texts = {name: describe_curve(curve) for name, curve in curves.items()}
    if len(texts) == 1:
        return "".join(texts.values())
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


def describe_curve(rows: Rows) -> str:
    """Return how a loss changes, in words.

    >>> losses = [3.3, 2.1, 2.4]
    >>> describe_curve([{"step": step, "nll": nll} for step, nll in enumerate(losses)])
    'it falls from 3.30 to 2.10, the lowest, after step 1, and ends at 2.40'
    """
    first, last = rows[0]["nll"], rows[-1]["nll"]
    lowest = min(rows, key=lambda row: row["nll"])
    if lowest["nll"] == first:
        return (
            f"it is lowest at {first:.2f}, after step {rows[0]['step']:,}, and ends at {last:.2f}"
        )
    text = f"it falls from {first:.2f} to {lowest['nll']:.2f}"
    if lowest["nll"] == last:
        return f"{text}, the lowest, after the last step"
    return f"{text}, the lowest, after step {lowest['step']:,}, and ends at {last:.2f}"


def tooltip(*fields: str, sides: dict[str, Results] | None = None) -> list[Spec]:
    """Return what a hover says."""
    shown = [*fields, *(["revision"] if sides and len(sides) > 1 else [])]
    formats = {"nll": ".4f", "share": ".1%", "characters": ","}
    return [
        {"field": field} | ({"format": formats[field]} if field in formats else {})
        for field in shown
    ]


def by_value(field: str, values: dict[str, Any]) -> Spec:
    """Return a channel, such as that of a colour, by the values of a field."""
    scale = {"domain": list(values), "range": list(values.values())}
    return {"field": field, "type": "ordinal", "title": None, "sort": list(values), "scale": scale}


def model_channels(models: list[str]) -> Spec:
    """Return the channels of a model's line; by its width, none is hidden under another."""
    colors = {name: f"var(--model-{n % MODEL_COLORS})" for n, name in enumerate(models)}
    widths = dict(zip(models, cycle(LINE_WIDTHS), strict=False))
    return {
        "color": by_value("model", colors),
        "strokeWidth": by_value("model", widths),
        "opacity": {"condition": {"param": "pick", "value": 1}, "value": 0.12},
    }


# a click on the legend shows one model
PICK = {"name": "pick", "select": {"type": "point", "fields": ["model"]}, "bind": "legend"}


def position_charts(sides: dict[str, Results], models: list[str]) -> list[Chart]:
    """Return the loss at each position in the name, one chart per split that was evaluated."""
    charts = []
    rows = [row for row in joined(sides, "positions") if row["characters"] >= MIN_CHARACTERS]
    losses = [row["nll"] for row in rows]
    for split in dict.fromkeys(row["split"] for row in rows):
        shown = [row for row in rows if row["split"] == split]
        encoding: Spec = {
            "x": axis("position", "position in the name", axis={"tickMinStep": 1}),
            "y": axis("nll", NLL, scale={"zero": False, "domain": [min(losses), max(losses)]}),
            **model_channels(models),
            "tooltip": tooltip("model", "position", "nll", "characters", sides=sides),
        }
        text = (
            f"The average loss of each model at each position in the names of {split}, the end of "
            f"a name included, where there are at least {MIN_CHARACTERS} characters."
        )
        spec = {
            "data": {"values": shown},
            "params": [PICK],
            "mark": {"type": "line", "point": {"size": 22}},
            "encoding": compared(sides, encoding),
        }
        charts.append(chart(f"Loss by position in the name: {split}", text, spec))
    return charts


def length_charts(sides: dict[str, Results], models: list[str]) -> list[Chart]:
    """Return how long drawn names are, beside real ones."""
    rows = joined(sides, "lengths")
    if not rows:
        return []
    real = [
        row | {"low": row["length"] - 0.45, "high": row["length"] + 0.45}
        for row in rows
        if row["model"] == REAL
    ]
    drawn = [row for row in rows if row["model"] != REAL]
    longest = max((row["length"] for row in rows if row["share"] >= 0.0005), default=0)
    scale = {"domain": [-0.5, longest], "nice": False}
    x = axis("length", "characters", axis={"tickMinStep": 1}, scale=scale)
    y = axis("share", "share of the names", axis={"format": "%"}, scale={"domainMin": 0})
    lines: Spec = {
        "x": x,
        "y": y,
        **model_channels(models),
        "tooltip": tooltip("model", "length", "share", sides=sides),
    }
    spec = {
        "layer": [
            {
                "data": {"values": real},
                "mark": {"type": "bar", "color": "var(--real)"},
                "encoding": {
                    "x": {**x, "field": "low"},
                    "x2": {"field": "high"},
                    "y": y,
                    "y2": {"datum": 0},
                    "tooltip": tooltip("length", "share"),
                },
            },
            {
                "data": {"values": drawn},
                "params": [PICK],
                "mark": {"type": "line", "point": {"size": 22}, "clip": True},
                "encoding": compared(sides, lines),
            },
        ]
    }
    text = "The lengths of drawn names, one line per model, and of the names in dev, as bars."
    return [chart("Lengths of drawn names and of real ones", text, spec)]


def embedding_charts(sides: dict[str, Results]) -> list[Chart]:
    """Return the embedding in two dimensions, before training and after it."""
    charts = []
    for name, side in sides.items():
        if side.vocabulary is None or side.pairs is None:
            continue
        itos = side.vocabulary.itos
        for stage, plane in side.embedding.items():
            title = f"{stage.removesuffix(' training')} training"
            rows = [
                {
                    "symbol": symbol_label(itos[number]),
                    "kind": "vowel" if is_vowel(itos[number]) else "other",
                    "x": plane["places"][number][0],
                    "y": plane["places"][number][1],
                }
                for number in side.pairs.symbols.tolist()
            ]
            label, across = (text or "no second dimension" for text in plane["axes"])
            spec = {
                "height": 340,
                "data": {"values": rows},
                "mark": {"type": "text", "fontSize": 17, "fontWeight": 600},
                "encoding": {
                    "x": axis("x", label, scale={"zero": False, "padding": 14}),
                    "y": axis("y", across, scale={"zero": False, "padding": 14}),
                    "text": {"field": "symbol"},
                    "color": by_value("kind", KIND_COLORS),
                    "tooltip": [{"field": "symbol"}, {"field": "kind"}],
                },
            }
            of = f" ({name})" if len(sides) > 1 else ""
            text = (
                f"The symbols in the MLP's embedding {title}, in two dimensions; vowels stand out."
            )
            charts.append(chart(f"Embedding {title}{of}", text, spec))
    return charts
