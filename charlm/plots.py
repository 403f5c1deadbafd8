"""Every picture of the pipeline, as bytes of an SVG file that are the same on every machine."""

import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font

if TYPE_CHECKING:
    from charlm.projection import Plane

# with its size, which would otherwise come from the matplotlibrc of whoever runs this
FONT_PATH = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
FONT = FontProperties(fname=FONT_PATH, size=10)
CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}
MAX_SYMBOLS = 60  # in a picture


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


@contextmanager
def _plain_style() -> Iterator[None]:
    """Ignore the user's matplotlib settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "names"
        yield


def _frequent(frequency: np.ndarray) -> np.ndarray:
    """Return the numbers of the symbols to show, in order: the most frequent if there are many.

    Args:
        frequency: (symbols,).
    """
    return np.sort(np.argsort(-frequency, kind="stable")[:MAX_SYMBOLS])


def _labels(itos: list[str], shown: np.ndarray) -> list[str]:
    """Return the symbols, or their code points where the font lacks them or they are blank."""
    known = get_font(FONT_PATH).get_charmap()
    return [
        symbol
        if symbol.isprintable() and symbol != " " and ord(symbol) in known
        else f"{ord(symbol):04X}"
        for symbol in (itos[number] for number in shown)
    ]


def draw_counts(counts: np.ndarray, itos: list[str]) -> bytes:
    """Draw how often each symbol follows each other one: one cell per pair, with its count.

    Args:
        counts: (symbols, symbols), row: first symbol, column: the one that follows.
        itos: the symbols.
    """
    shown = _frequent(counts.sum(axis=0))
    counts, labels = counts[np.ix_(shown, shown)], _labels(itos, shown)
    side = 0.6 * len(labels)
    with _plain_style():
        figure = Figure(figsize=(side, side))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(counts, cmap="Blues")
        axes.axis("off")
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if count > counts.max() / 2 else "black"
            pair = labels[row] + labels[column]
            size = 9 if len(pair) <= 5 else 7
            style = CENTRED | {"color": color, "size": size, "parse_math": False}
            axes.text(column, row, f"{pair}\n{count}", fontproperties=FONT, **style)
        return _svg(figure)


def draw_probabilities(
    tables: dict[str, np.ndarray], itos: list[str], frequency: np.ndarray
) -> bytes:
    """Draw tables of probabilities side by side, in percent; values below 0.5 % are left blank.

    Args:
        tables: (symbols, symbols) under the title of each; row: first symbol, column: the next.
        itos: the symbols.
        frequency: (symbols,), of each; the most frequent are shown.
    """
    shown = _frequent(frequency)
    labels = _labels(itos, shown)
    side, margin = 0.34 * len(labels), 0.7
    width, height = (side + margin) * len(tables), side + margin
    with _plain_style():
        figure = Figure(figsize=(width, height))
        for number, (title, whole) in enumerate(tables.items()):
            table = whole[np.ix_(shown, shown)]
            left = (number * (side + margin) + margin / 2) / width
            axes = figure.add_axes((left, 0.01, side / width, side / height))
            axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
            axes.set_title(title, fontproperties=FONT, size=16)
            axes.xaxis.tick_top()
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_ticks(range(len(labels)), labels, fontproperties=FONT, parse_math=False)
            axes.tick_params(length=0)
            for (row, column), share in np.ndenumerate(table):
                if share >= 0.005:
                    color = "white" if share > 0.5 else "black"
                    style = CENTRED | {"color": color, "size": 9}
                    axes.text(column, row, f"{100 * share:.0f}", fontproperties=FONT, **style)
        return _svg(figure)


def draw_embedding(planes: "dict[str, Plane]", itos: list[str], frequency: np.ndarray) -> bytes:
    """Draw every symbol at its place in the embedding, side by side; vowels in another colour.

    Args:
        planes: the places of the symbols and the labels of the axes, under the title of each.
        itos: the symbols.
        frequency: (symbols,), of each; the most frequent are shown.
    """
    shown = _frequent(frequency)
    labels = _labels(itos, shown)
    with _plain_style():
        figure = Figure(figsize=(5.5 * len(planes), 5.5), layout="constrained")
        subplots = figure.subplots(1, len(planes), squeeze=False)[0]
        for axes, (title, plane) in zip(subplots, planes.items(), strict=True):
            places = np.array(plane["places"])
            colors = ["crimson" if _is_vowel(symbol) else "steelblue" for symbol in labels]
            axes.scatter(*places[shown].T, s=180, c=colors)
            for place, symbol in zip(places[shown], labels, strict=True):
                size = 10 if len(symbol) == 1 else 5
                style = CENTRED | {"color": "white", "size": size, "parse_math": False}
                axes.text(*place, symbol, fontproperties=FONT, **style)
            axes.set_title(title, fontproperties=FONT)
            axes.set_xlabel(plane["axes"][0], fontproperties=FONT)
            axes.set_ylabel(plane["axes"][1], fontproperties=FONT)
            _use_font(axes)
            axes.grid(color="whitesmoke")
            axes.set_axisbelow(True)
        return _svg(figure)


def _is_vowel(symbol: str) -> bool:
    return unicodedata.normalize("NFD", symbol)[0] in "aeiou"


def _use_font(axes: Axes) -> None:
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(FONT)


def draw_learning_rate(curve: dict[str, np.ndarray]) -> bytes:
    """Draw the loss while the learning rate rises, and mark where it is lowest.

    Args:
        curve: `exponent`, `lr`, `nll` and `smoothed_nll`, each (steps,).
    """
    exponent, smoothed = curve["exponent"], curve["smoothed_nll"]
    valley = int(np.nanargmin(smoothed))
    with _plain_style():
        figure = Figure(figsize=(7, 4))
        axes = figure.add_axes((0.1, 0.14, 0.87, 0.76))
        axes.plot(exponent, curve["nll"], color="lightsteelblue", lw=0.6, label="each step")
        axes.plot(exponent, smoothed, color="navy", label="smoothed")
        mark = f"lowest at {exponent[valley]:.2f}: a rate of {curve['lr'][valley]:.3f}"
        axes.axvline(exponent[valley], color="crimson", ls="--", label=mark)
        axes.set_ylim(bottom=0, top=np.nanmax(smoothed) * 1.2)
        axes.set_title("Loss while the learning rate rises", fontproperties=FONT)
        axes.set_xlabel("exponent of ten of the learning rate", fontproperties=FONT)
        axes.set_ylabel("NLL (nats per character)", fontproperties=FONT)
        _use_font(axes)
        axes.legend(prop=FONT)
        return _svg(figure)
