"""Every picture of the pipeline, as bytes of an SVG file that are the same on every machine."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

if TYPE_CHECKING:
    import pandas as pd

FONT = FontProperties(fname=f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf")


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


def pair_counts(counts: np.ndarray, itos: list[str]) -> bytes:
    """Draw how often each symbol follows each other: a cell a pair, with the pair and its count.

    Args:
        counts: (symbols, symbols), row: first symbol, column: the one that follows.
        itos: the symbols.
    """
    size = len(itos)
    with _plain_style():
        figure = Figure(figsize=(0.6 * size, 0.6 * size))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(counts, cmap="Blues")
        axes.axis("off")
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if count > counts.max() / 2 else "black"
            style = {"ha": "center", "color": color, "fontproperties": FONT, "parse_math": False}
            axes.text(column, row, itos[row] + itos[column], va="bottom", size=9, **style)
            axes.text(column, row, str(count), va="top", size=8, **style)
        return _svg(figure)


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
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_fontproperties(FONT)
        axes.legend(prop=FONT)
        return _svg(figure)
