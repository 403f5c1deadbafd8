"""The charts of a page, as Vega-Lite: what is drawn, not in which colours.

The widths are those of the page, and the colours are named as in its style sheet, so that a chart
fits a phone and a dark screen.
"""

from itertools import cycle
from typing import Any

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
# of the lines of models, from the last to the first, which is on top: all are seen where they meet
DASHES: tuple[list[int], ...] = ([], [12, 4], [6, 4], [2, 3], [9, 11])
SIDE_COLORS = {"A": "var(--side-a)", "B": "var(--side-b)"}
SIDE_DASHES: dict[str, list[int]] = {"A": [5, 4], "B": []}  # A is on top
LENGTHS_SHOWN = 0.99  # share of the names of each model
SPLIT_COLORS = {"train": "var(--train)", "dev": "var(--dev)"}
LEGEND = {"symbolType": "stroke", "symbolSize": 500, "symbolStrokeWidth": 2.2}


def chart(title: str, text: str, spec: Spec) -> Chart:
    """Return a chart; the text is also what a screen reader says."""
    shared = {"width": "container", "height": 260, "description": text}
    return {"title": title, "text": text, "spec": shared | spec}


def axis(field: str, title: str, **options: Any) -> Spec:
    """Return the channel of a number; labels that would touch are left out."""
    labels = {"labelOverlap": "greedy", "labelSeparation": 8} | options.pop("axis", {})
    channel = {"field": field, "type": "quantitative", "title": title, "axis": labels}
    return channel | options


def joined(sides: dict[str, Results], field: str) -> Rows:
    """Return the rows of all revisions, each with the name of its revision."""
    return [
        {**row, "revision": name} for name, side in sides.items() for row in getattr(side, field)
    ]


def unchanged(sides: dict[str, Results], field: str, of: str) -> set[str]:
    """Return what has the same rows in both of two revisions, such as the same lengths.

    Args:
        sides: what the revisions left.
        field: of `Results`, a table.
        of: the column that says what a row is about, such as `model`.
    """
    if len(sides) < 2:
        return set()
    first, second = (list(getattr(side, field)) for side in sides.values())
    return {
        name
        for name in {row[of] for row in first}
        if [row for row in first if row[of] == name] == [row for row in second if row[of] == name]
    }


def undrawn(sides: dict[str, Results]) -> list[str]:
    """Return which models have the same curves, positions and lengths in both of two revisions."""
    by_model = (unchanged(sides, field, "model") for field in ("positions", "lengths"))
    return sorted(set.intersection(*by_model) - {REAL})


def panels(rows: Rows, models: list[str], is_comparison: bool, same: set[str]) -> dict[str, Rows]:
    """Return what to draw in charts of their own, by the end of their title.

    Returns:
        All rows, by an empty title; of two revisions those of each model that differs.
    """
    if not is_comparison:
        return {"": rows} if rows else {}
    by_model = {
        name: [row for row in rows if row["model"] == name] for name in models if name not in same
    }
    return {f": {name}": of_model for name, of_model in by_model.items() if of_model}


def training_charts(sides: dict[str, Results]) -> list[Chart]:
    """Return the losses during training, on a logarithmic scale, one chart per model."""
    charts = []
    same = unchanged(sides, "curves", "of")
    rows = [row for row in joined(sides, "curves") if row["of"] not in same]
    for name in dict.fromkeys(row["of"] for row in rows):
        shown = [row for row in rows if row["of"] == name]
        losses = [row["nll"] for row in shown]
        lowest = max(min(losses), MIN_LOSS)
        highest = max(*losses, MIN_LOSS) * 1.02
        domain = [lowest / 1.02, min(highest, max(MAX_LOSS, lowest * MAX_LOSS_RATIO))]
        scale = {"type": "log", "domain": domain, "nice": False}
        splits = list(dict.fromkeys(row["split"] for row in shown))
        colors = by_value("split", {split: SPLIT_COLORS[split] for split in splits})
        encoding: Spec = {
            "x": axis("step", "step"),
            "y": axis("shown", NLL, scale=scale, axis={"format": ".3~g", "tickCount": 6}),
            **(revision_channels() if len(sides) > 1 else {"color": colors}),
            "tooltip": tooltip("split", "step", "nll", sides=sides),
        }
        last_split = [row for row in shown if row["split"] == splits[-1]]
        thin = " (thin)" if len(sides) > 1 else ""
        text = (
            f"The loss of {name} over the steps of its training"
            f" on train{thin + ', the batch of a step, and on dev' if 'dev' in splits else ''}: "
            f"{describe_curves(last_split)}."
        )
        layers: list[Spec] = []
        for split in splits:
            of_split = {"transform": [{"filter": {"field": "split", "equal": split}}]}
            mark = {"type": "line", "clip": True, "strokeWidth": 2.2 if split == "dev" else 1.2}
            layers.append({**of_split, "mark": mark, "encoding": {"detail": {"field": "revision"}}})
            if split == "dev":  # measured at few steps
                layers.append({**of_split, "mark": {"type": "point", "filled": True, "size": 22}})
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
    channel = {"field": field, "type": "ordinal", "title": None, "sort": list(values)}
    return channel | {"scale": scale, "legend": LEGEND}


def model_channels(models: list[str]) -> Spec:
    """Return the channels of a model's line."""
    colors = {name: f"var(--model-{n % MODEL_COLORS})" for n, name in enumerate(models)}
    dashes = dict(zip(reversed(models), cycle(DASHES), strict=False))
    return {
        "color": by_value("model", colors),
        "strokeDash": by_value("model", {name: dashes[name] for name in models}),
        "opacity": {"condition": {"param": "pick", "value": 1}, "value": 0.12},
    }


def revision_channels() -> Spec:
    """Return the channels of a revision's line."""
    return {
        "color": by_value("revision", SIDE_COLORS),
        "strokeDash": by_value("revision", SIDE_DASHES),
    }


def lines_of(rows: Rows, models: list[str], encoding: Spec, is_comparison: bool) -> Spec:
    """Return lines, one per model, or one per revision.

    Args:
        rows: to draw.
        models: all of them; the last one is drawn first, and shows between the dashes of others.
        encoding: the other channels.
        is_comparison: of two revisions.
    """
    ordered = sorted(rows, key=lambda row: (-models.index(row["model"]), row["revision"] == "A"))
    mark = {"type": "line", "point": {"size": 22}, "strokeWidth": 2.2, "clip": True}
    spec: Spec = {"data": {"values": ordered}, "mark": mark}
    if is_comparison:
        return spec | {"encoding": encoding | revision_channels()}
    return spec | {"params": [PICK], "encoding": encoding | model_channels(models)}


# a click on the legend shows one model
PICK = {"name": "pick", "select": {"type": "point", "fields": ["model"]}, "bind": "legend"}


def position_charts(sides: dict[str, Results], models: list[str]) -> list[Chart]:
    """Return the loss at each position in the name, one chart per split that was evaluated.

    Of two revisions, one chart per split and model that differs.
    """
    charts = []
    is_comparison = len(sides) > 1
    same = unchanged(sides, "positions", "model")
    rows = [row for row in joined(sides, "positions") if row["characters"] >= MIN_CHARACTERS]
    for split in dict.fromkeys(row["split"] for row in rows):
        of_split = [row for row in rows if row["split"] == split]
        for title, shown in panels(of_split, models, is_comparison, same).items():
            compared = rows if not is_comparison else shown  # all splits on one scale
            losses = [row["nll"] for row in compared]
            encoding: Spec = {
                "x": axis("position", "position in the name", axis={"tickMinStep": 1}),
                "y": axis("nll", NLL, scale={"zero": False, "domain": [min(losses), max(losses)]}),
                "tooltip": tooltip("model", "position", "nll", "characters", sides=sides),
            }
            whose = (
                f"The average loss of {title[2:]}" if title else "The average loss of each model"
            )
            text = (
                f"{whose} at each position in the names of {split}, the end of "
                f"a name included, where there are at least {MIN_CHARACTERS} characters."
            )
            spec = lines_of(shown, models, encoding, is_comparison)
            charts.append(chart(f"Loss by position in the name: {split}{title}", text, spec))
    return charts


def length_charts(sides: dict[str, Results], models: list[str]) -> list[Chart]:
    """Return how long drawn names are, beside real ones; of two revisions, one chart per model."""
    is_comparison = len(sides) > 1
    same = unchanged(sides, "lengths", "model")
    *_, last = sides.values()
    real = [
        row | {"low": row["length"] - 0.45, "high": row["length"] + 0.45}
        for row in last.lengths
        if row["model"] == REAL
    ]
    rows = [row for row in joined(sides, "lengths") if row["model"] != REAL]
    charts = []
    for title, shown in panels(rows, models, is_comparison, same).items():
        longest = longest_shown([*shown, *real])
        low, high = min(row["length"] for row in [*shown, *real]) - 0.5, longest + 0.5
        x = axis(
            "length",
            "characters",
            axis={"tickMinStep": 1},
            scale={"domain": [low, high], "nice": False},
        )
        y = axis("share", "share of the names", axis={"format": "%"}, scale={"domainMin": 0})
        fields = tooltip("model", "length", "share", sides=sides)
        within = [row for row in shown if row["length"] <= longest]
        bars: Spec = {
            "data": {"values": [row for row in real if row["length"] <= longest]},
            "mark": {"type": "bar", "color": "var(--real)"},
            "encoding": {
                "x": {**x, "field": "low"},
                "x2": {"field": "high"},
                "y": y,
                "y2": {"datum": 0},
                "tooltip": tooltip("length", "share"),
            },
        }
        lines = lines_of(within, models, {"x": x, "y": y, "tooltip": fields}, is_comparison)
        per = "one line per revision" if is_comparison else "one line per model"
        text = f"The lengths of drawn names, {per}, and of the names in dev, as bars"
        longer = f"; not shown: up to {1 - LENGTHS_SHOWN:.0%} of each that are longer"
        is_cut = len(within) < len(shown)
        text += f"{longer if is_cut else ''}."
        heading = f"Lengths of drawn names and of real ones{title}"
        charts.append(chart(heading, text, {"layer": [bars, lines]}))
    return charts


def longest_shown(rows: Rows) -> int:
    """Return the length up to which nearly all names of each model are shown.

    >>> longest_shown([{"model": "mlp", "length": n, "share": p} for n, p in enumerate([0.5, 0.5])])
    1
    """
    rest: dict[str, float] = {}
    for row in sorted(rows, key=lambda row: -row["length"]):
        rest[row["model"]] = rest.get(row["model"], 0) + row["share"]
        if rest[row["model"]] > 1 - LENGTHS_SHOWN:
            return int(row["length"])
    return 1
