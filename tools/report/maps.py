"""Maps of characters, in which those that are alike are near each other and no label overlaps."""

import unicodedata
from itertools import combinations

import numpy as np

from charlm.drawing.symbols import is_vowel, symbol_label
from tools.report.charts import Chart, Spec, by_value, chart
from tools.report.results import Results

Point = tuple[float, float]
KIND_COLORS = {"vowel": "var(--vowel)", "other": "var(--consonant)"}
# heading and text of a map, by view
VIEWS = {
    "predictions": (
        "What the MLP predicts after each character",
        "Characters are near each other if the MLP predicts the same after them",
    ),
    "embedding": ("The embedding itself", "Characters by their embedding"),
}
MAP_WIDTH, MAP_HEIGHT, MAP_MARGIN = 290, 360, 12  # pixels of a phone; a wider chart is stretched
LARGE_LABEL, SMALL_LABEL, MANY_LABELS = 17, 13, 40  # pixels; and above how many labels are small
MAX_PUSHES = 400  # rounds in which labels are moved apart


def similarity_charts(sides: dict[str, Results]) -> list[Chart]:
    """Return which characters are alike in the MLP, one chart per view and revision."""
    charts = []
    for kind, (title, what) in VIEWS.items():
        for name, side in sides.items():
            if side.vocabulary is None or kind not in side.alike:
                continue
            view, itos = side.alike[kind], side.vocabulary.itos
            labels = [symbol_label(itos[number]) for number in view.numbers]
            size = LARGE_LABEL if len(labels) <= MANY_LABELS else SMALL_LABEL
            points = stretched(view.places)
            places = place_labels(points, [label_size(label, size) for label in labels])
            rows = [
                {
                    "symbol": label,
                    "kind": "vowel" if is_vowel(itos[number]) else "other",
                    "nearest": " ".join(labels[other] for other in nearest),
                    "x": round(x, 1),
                    "y": round(y, 1),
                    "to x": round(to_x, 1),
                    "to y": round(to_y, 1),
                }
                for label, number, nearest, (to_x, to_y), (x, y) in zip(
                    labels, view.numbers, view.neighbours, points, places, strict=True
                )
            ]
            moved = {"filter": "hypot(datum.x - datum['to x'], datum.y - datum['to y']) > 6"}
            to = {"x": map_axis("to x", MAP_WIDTH), "y": map_axis("to y", MAP_HEIGHT)}
            to_label = {**to, "x2": {"field": "x"}, "y2": {"field": "y"}}
            color = by_value("kind", KIND_COLORS) | {"legend": None}
            spec = {
                "height": MAP_HEIGHT,
                "data": {"values": rows},
                "layer": [
                    {
                        "transform": [moved],
                        "mark": {
                            "type": "rule",
                            "aria": False,
                            "color": "var(--muted)",
                            "opacity": 0.5,
                        },
                    }
                    | {"encoding": to_label},
                    {
                        "transform": [moved],
                        "mark": {"type": "point", "aria": False, "filled": True, "size": 12},
                    }
                    | {"encoding": {**to, "color": color}},
                    {
                        "mark": {"type": "text", "fontSize": size, "fontWeight": 600},
                        "encoding": {
                            "x": map_axis("x", MAP_WIDTH),
                            "y": map_axis("y", MAP_HEIGHT),
                            "text": {"field": "symbol"},
                            "color": color,
                            "tooltip": [
                                {"field": "symbol"},
                                {"field": "kind"},
                                {"field": "nearest"},
                            ],
                        },
                    },
                ],
            }
            more = len(side.vocabulary.characters) - len(labels)
            text = (
                f"{what}, in two dimensions: {view.variance:.0%} of the variance is kept, and "
                f"{view.kept:.0%} of the {view.neighbours.shape[1]} nearest neighbours of each."
                + (f" The {len(labels)} most frequent; {more:,} are left out." if more else "")
            )
            charts.append(chart(title, text, spec) | {"side": name})
    return charts


def map_axis(field: str, size: float) -> Spec:
    """Return a channel of a map, whose coordinates say nothing by themselves."""
    scale = {"domain": [-MAP_MARGIN, size + MAP_MARGIN], "nice": False, "zero": False}
    return {"field": field, "type": "quantitative", "axis": None, "scale": scale}


def stretched(places: np.ndarray) -> list[Point]:
    """Return places from 0 to the width and the height of the map."""
    low, spans = places.min(axis=0), np.ptp(places, axis=0)
    shares = np.where(spans > 0, (places - low) / np.where(spans > 0, spans, 1), 0.5)
    return [(x * MAP_WIDTH, y * MAP_HEIGHT) for x, y in shares.tolist()]


def label_size(label: str, size: int) -> Point:
    """Return the width and height that a label may have in any font, in pixels."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in label)
    return (0.85 * (len(label) - wide) + 1.05 * wide) * size + 2, 1.35 * size


def place_labels(points: list[Point], sizes: list[Point]) -> list[Point]:
    """Move labels apart until none overlaps another.

    Args:
        points: where the centre of each should be.
        sizes: width and height of each.

    Returns:
        Where they are: each pair that overlaps was pushed apart in the direction that is shorter.
    """
    places = [list(point) for point in points]
    for _ in range(MAX_PUSHES):
        is_moved = False
        for one, other in combinations(range(len(places)), 2):
            gaps = [
                abs(places[one][k] - places[other][k]) - (sizes[one][k] + sizes[other][k]) / 2
                for k in (0, 1)
            ]
            if max(gaps) >= 0:
                continue
            is_moved = True
            k = int(gaps[1] > gaps[0])
            push = (0.5 - gaps[k]) / 2 * (1 if places[one][k] > places[other][k] else -1)
            places[one][k] += push
            places[other][k] -= push
        if not is_moved:
            break
        for place in places:
            place[0] = min(max(place[0], 0), MAP_WIDTH)
            place[1] = min(max(place[1], 0), MAP_HEIGHT)
    return [(x, y) for x, y in places]
