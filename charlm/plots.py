"""Every picture of the pipeline, as bytes of an SVG file that are the same on every machine."""

import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font

if TYPE_CHECKING:
    import pandas as pd

# with its size: at import it would be a person's own
FONT = FontProperties(fname=f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size=10)
SHOWN = 60  # symbols in a picture, at most


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


@contextmanager
def _plain_style() -> Iterator[None]:
    """Set aside a person's own settings of matplotlib."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "names"
        yield


def _frequent(frequency: np.ndarray) -> np.ndarray:
    """Return the numbers of the symbols to show, in order: the most frequent, where there are many.

    Args:
        frequency: (symbols,).
    """
    return np.sort(np.argsort(-frequency, kind="stable")[:SHOWN])


def _labels(itos: list[str], shown: np.ndarray) -> list[str]:
    """Return the symbols, or their code points where the font lacks them or they are blank."""
    known = get_font(FONT.get_file()).get_charmap()
    return [
        symbol
        if symbol.isprintable() and symbol != " " and ord(symbol) in known
        else f"{ord(symbol):04X}"
        for symbol in (itos[number] for number in shown)
    ]


def pair_counts(counts: np.ndarray, itos: list[str]) -> bytes:
    """Draw how often each symbol follows each other: a cell a pair, with the pair and its count.

    Args:
        counts: (symbols, symbols), row: first symbol, column: the one that follows.
        itos: the symbols.
    """
    shown = _frequent(counts.sum(axis=0))
    counts, labels = counts[np.ix_(shown, shown)], _labels(itos, shown)
    size = len(labels)
    with _plain_style():
        figure = Figure(figsize=(0.6 * size, 0.6 * size))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(counts, cmap="Blues")
        axes.axis("off")
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if count > counts.max() / 2 else "black"
            pair = labels[row] + labels[column]
            style = {"ha": "center", "va": "center", "color": color}
            style["size"] = 9 if len(pair) <= 5 else 7
            label = f"{pair}\n{count}"
            axes.text(column, row, label, fontproperties=FONT, parse_math=False, **style)
        return _svg(figure)


def pair_probabilities(
    tables: dict[str, np.ndarray], itos: list[str], frequency: np.ndarray
) -> bytes:
    """Draw tables of probabilities side by side, whole percentages of half a percent and more.

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
                    style = {"ha": "center", "va": "center", "color": color, "size": 9}
                    axes.text(column, row, f"{100 * share:.0f}", fontproperties=FONT, **style)
        return _svg(figure)


def embedding(
    planes: dict[str, tuple[np.ndarray, list[str]]], itos: list[str], frequency: np.ndarray
) -> bytes:
    """Draw every symbol at its place in the embedding, side by side; vowels in another colour.

    Args:
        planes: under the title of each, (symbols, 2) places and the labels of the two axes.
        itos: the symbols.
        frequency: (symbols,), of each; the most frequent are shown.
    """
    shown = _frequent(frequency)
    labels = _labels(itos, shown)
    with _plain_style():
        figure = Figure(figsize=(5.5 * len(planes), 5.5), layout="constrained")
        for axes, (title, (places, axis_labels)) in zip(
            figure.subplots(1, len(planes)), planes.items(), strict=True
        ):
            colors = ["crimson" if _is_vowel(symbol) else "steelblue" for symbol in labels]
            axes.scatter(*places[shown].T, s=180, c=colors)
            for place, symbol in zip(places[shown], labels, strict=True):
                size = 10 if len(symbol) == 1 else 5
                style = {"ha": "center", "va": "center", "color": "white", "size": size}
                axes.text(*place, symbol, fontproperties=FONT, parse_math=False, **style)
            axes.set_title(title, fontproperties=FONT)
            axes.set_xlabel(axis_labels[0], fontproperties=FONT)
            axes.set_ylabel(axis_labels[1], fontproperties=FONT)
            _own_font(axes)
            axes.grid(color="whitesmoke")
            axes.set_axisbelow(True)
        return _svg(figure)


def _is_vowel(symbol: str) -> bool:
    return unicodedata.normalize("NFD", symbol)[0] in "aeiou"


def _own_font(axes: Axes) -> None:
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_fontproperties(FONT)


def learning_rate(curve: "pd.DataFrame", valley: "pd.Series") -> bytes:
    """Draw the loss while the learning rate rises, and mark where it is lowest.

    Args:
        curve: columns exponent, nll and smoothed_nll, a row a step.
        valley: the row where smoothed_nll is lowest.
    """
    with _plain_style():
        figure = Figure(figsize=(7, 4))
        axes = figure.add_axes((0.1, 0.14, 0.87, 0.76))
        axes.plot(
            curve["exponent"], curve["nll"], color="lightsteelblue", lw=0.6, label="each step"
        )
        axes.plot(curve["exponent"], curve["smoothed_nll"], color="navy", label="smoothed")
        mark = f"lowest at {valley['exponent']:.2f}: a rate of {valley['lr']:.3f}"
        axes.axvline(valley["exponent"], color="crimson", ls="--", label=mark)
        axes.set_ylim(bottom=0, top=curve["smoothed_nll"].max() * 1.2)
        axes.set_title("Loss while the learning rate rises", fontproperties=FONT)
        axes.set_xlabel("exponent of ten of the learning rate", fontproperties=FONT)
        axes.set_ylabel("NLL (nats per character)", fontproperties=FONT)
        _own_font(axes)
        axes.legend(prop=FONT)
        return _svg(figure)
