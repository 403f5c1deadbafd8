"""Every picture of the pipeline, as bytes of an SVG file that are the same on every machine."""

import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

FONT = FontProperties(fname=f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf")


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def pair_counts(counts: np.ndarray, itos: list[str]) -> bytes:
    """Draw how often each symbol follows each other: a cell a pair, with the pair and its count.

    Args:
        counts: (symbols, symbols), row: first symbol, column: the one that follows.
        itos: the symbols.
    """
    size = len(itos)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "names"
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
