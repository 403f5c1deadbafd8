"""Every picture of the pipeline, as bytes of an SVG file that are the same on every machine."""

import io
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from charlm.drawing.symbols import is_vowel, most_frequent, symbol_label

if TYPE_CHECKING:
    from charlm.projection import Plane

# every property is set, because the others come from the matplotlibrc of whoever runs this
FONT_PATH = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
FONT = FontProperties(
    family="sans-serif",
    style="normal",
    variant="normal",
    weight="normal",
    stretch="normal",
    size=10,
    fname=FONT_PATH,
)
# what a viewer tries, in this order, in a picture with characters that FONT lacks; browsers find
# some emoji in named fonts only, and the font of emoji comes last because it has digits, too
VIEWER_FONTS = ["DejaVu Sans", "Noto Sans", "sans-serif", "Noto Color Emoji"]
MISSING_WIDTH_EM = 1.25  # of a character that FONT lacks: that of the widest emoji
CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}

LOSS_TICKS = (1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 7)  # of each decade
FEW_LOSS_TICKS = (1, 2, 5)  # if there is more than one
MANY_STEPS = 10_000  # the numbers of more would overlap at matplotlib's own ticks
MAX_LOSS_RATIO = 100  # of the highest loss to the bottom of the picture

PAGE_INCHES = 10  # no picture is wider, but tables side by side
COUNTS_CELL_INCHES = 0.36  # with few symbols
PANEL_CELL_INCHES = 0.22  # of one of the tables side by side, with few symbols
SMALL_CELL_INCHES = 0.11  # with more, whose cells have no number
MIN_PANEL_SYMBOLS = 24  # a table of fewer has larger cells, so that there is room for its title
HEADING_INCHES = 0.4  # above the titles of tables side by side
MIN_DIFFERENCE = 0.01  # of probabilities, in the darkest colour
CELL_PADDING_INCHES = 0.06
CELL_PADDING_SHARE = 0.2  # of a small cell
LABELS_INCHES = 0.7  # beside and above a table
ROW_INCHES = 0.4  # of the label of a row
LABEL_HEIGHT = 0.9  # of the height of its row
OTHERS = "…"  # label of the symbols that are not among the most frequent
MAX_NUMBERED_SYMBOLS = 30  # with more, the two lines of a cell would overlap those below

LEFT_TO_RIGHT_MARK = "\u200e"
NON_JOINER = "\u200c"


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


@contextmanager
def _plain_style(labels: Iterable[str] = ()) -> Iterator[None]:
    """Ignore the user's matplotlib settings.

    Text is drawn as outlines of FONT. If it lacks a character of the labels, the picture contains
    text instead, and each viewer takes the glyphs from its own fonts.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "names"
        if not _is_in_font("".join(labels)):
            matplotlib.rcParams["svg.fonttype"] = "none"
            matplotlib.rcParams["font.sans-serif"] = VIEWER_FONTS
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@cache
def _is_in_font(text: str) -> bool:
    return _code_points_in_font().issuperset(map(ord, text))


@cache
def _code_points_in_font() -> frozenset[int]:
    return frozenset(get_font(FONT_PATH).get_charmap())


def _pair(first: str, second: str) -> str:
    """Return two labels, the first one on the left, and not joined, whatever their script.

    Characters that FONT lacks could be joined, too: two halves of a flag, an emoji and its colour.
    """
    has_code_point = any(len(label) > 1 and label.isalnum() for label in (first, second))
    space = " " if has_code_point else ""
    both = first + second
    is_right_to_left = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in both)
    if is_right_to_left or not _is_in_font(both):
        return f"{LEFT_TO_RIGHT_MARK}{first}{space}{NON_JOINER}{LEFT_TO_RIGHT_MARK}{second}"
    return f"{first}{space}{second}"


@cache
def _letter_width_em(letter: str) -> float:
    if unicodedata.category(letter).startswith("M"):  # it is drawn over another letter
        return 0
    if not _is_in_font(letter):
        return MISSING_WIDTH_EM
    width, _, _ = text_to_path.get_text_width_height_descent(letter, FONT, ismath=False)
    return float(width) / FONT.get_size()


def _width_em(text: str) -> float:
    """Return the width of a text at size 1, generous where FONT lacks a character."""
    return sum(map(_letter_width_em, text))


def _fitting_size(text: str, largest: float, cell_inches: float) -> float:
    """Return the size, in points, at which a text fits into a cell, or the largest allowed."""
    padding = min(CELL_PADDING_INCHES, CELL_PADDING_SHARE * cell_inches)
    room_pt = 72 * (cell_inches - padding)
    return min(largest, round(room_pt / _width_em(text), 1))


def _label_table(axes: Axes, labels: list[str], cell_inches: float) -> None:
    """Write the symbols beside the rows of a table and above its columns."""
    axes.xaxis.tick_top()
    largest = min(10, round(LABEL_HEIGHT * 72 * cell_inches, 1))
    for axis, room in ((axes.xaxis, cell_inches), (axes.yaxis, max(cell_inches, ROW_INCHES))):
        axis.set_ticks(range(len(labels)), labels, fontproperties=FONT, parse_math=False)
        for tick, label in zip(axis.get_ticklabels(), labels, strict=True):
            tick.set_fontsize(_fitting_size(label, largest, room))
    axes.tick_params(length=0)


def _set_title(axes: Axes, title: str, shown: int, symbols: int, note: str = "") -> None:
    """Write a title, and which symbols are shown, and a note, if not all are."""
    if shown < symbols:
        title += f" (the {shown} most frequent of {symbols:,} symbols{note})"
    axes.set_title(title, fontproperties=FONT, size=16 if shown == symbols else 12)


def draw_counts(counts: np.ndarray, itos: list[str]) -> bytes:
    """Draw how often each symbol follows each other one: one cell per pair, with its count.

    With many symbols the cells have no text, the symbols are beside the rows and above the columns,
    and all symbols that are not among the most frequent have one row and one column together.

    Args:
        counts: (symbols, symbols), row: first symbol, column: the one that follows.
        itos: the symbols.
    """
    # <START> is never a target, <END> never a context
    shown = most_frequent(np.maximum(counts.sum(axis=0), counts.sum(axis=1)))
    labels = [symbol_label(itos[number]) for number in shown]
    if len(labels) > MAX_NUMBERED_SYMBOLS:
        return _draw_many_counts(group_others(counts, shown), labels, len(itos))
    counts = counts[np.ix_(shown, shown)]
    cell = min(COUNTS_CELL_INCHES, PAGE_INCHES / len(labels))
    side = cell * len(labels)
    is_outlined = _is_in_font("".join(labels))
    with _plain_style(labels):
        figure = Figure(figsize=(side, side))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.imshow(counts, cmap="Blues")
        axes.axis("off")
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if count > counts.max() / 2 else "black"
            pair = _pair(labels[row], labels[column])
            widest = max(pair, str(count), key=_width_em)
            size = _fitting_size(widest, 9, cell)
            style = CENTRED | {"color": color, "size": size, "parse_math": False}
            if is_outlined:
                axes.text(column, row, f"{pair}\n{count}", fontproperties=FONT, **style)
            else:  # a viewer centres only single lines of text
                axes.text(column, row - 0.03, pair, fontproperties=FONT, **style | {"va": "bottom"})
                axes.text(
                    column, row + 0.03, str(count), fontproperties=FONT, **style | {"va": "top"}
                )
        return _svg(figure)


def group_others(counts: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return counts of some symbols and, if these are not all, of all others together, last.

    >>> group_others(np.array([[1, 2, 3], [10, 20, 30], [100, 200, 300]]), np.array([1]))
    array([[ 20,  40],
           [202, 404]])

    Args:
        counts: (symbols, symbols).
        shown: the numbers of some symbols.
    """
    others = np.setdiff1d(np.arange(len(counts)), shown)
    order = np.concatenate([shown, others])
    starts = np.arange(min(len(shown) + 1, len(counts)))
    rows = np.add.reduceat(counts[np.ix_(order, order)], starts, axis=0)
    grouped: np.ndarray = np.add.reduceat(rows, starts, axis=1)
    return grouped


def _draw_many_counts(counts: np.ndarray, labels: list[str], symbols: int) -> bytes:
    """Draw counts as colours alone, by their square roots: most are far below the highest.

    Args:
        counts: see `group_others`.
        labels: of the symbols shown.
        symbols: how many there are.
    """
    shown = len(labels)
    highest = counts[:shown, :shown].max()  # others may be darker
    labels = [*labels, OTHERS][: len(counts)]
    side = PAGE_INCHES - LABELS_INCHES
    low, share = LABELS_INCHES / 2 / PAGE_INCHES, side / PAGE_INCHES
    with _plain_style(labels):
        figure = Figure(figsize=(PAGE_INCHES, PAGE_INCHES))
        axes = figure.add_axes((low, 0.005, share, share))
        axes.imshow(np.sqrt(counts), cmap="Blues", vmin=0, vmax=np.sqrt(highest))
        note = f"; {OTHERS} the others"
        _set_title(axes, "counts of pairs; darker: more", shown, symbols, note)
        _label_table(axes, labels, side / len(labels))
        return _svg(figure)


def draw_probabilities(
    counted: np.ndarray, learned: np.ndarray, itos: list[str], frequency: np.ndarray
) -> bytes:
    """Draw two tables of probabilities side by side, and beside them the difference, in percent.

    Colours go by square roots, since most probabilities are far below the highest. What rounds to
    0 has no number, and with many symbols nothing has.

    Args:
        counted, learned: (symbols, symbols), row: first symbol, column: the next.
        itos: the symbols.
        frequency: (symbols,), of each; the most frequent are shown.
    """
    shown = most_frequent(frequency)
    labels = [symbol_label(itos[number]) for number in shown]
    tables = [table[np.ix_(shown, shown)] for table in (counted, learned)]
    difference = tables[1] - tables[0]
    highest = max(table.max() for table in tables)
    widest = max(abs(difference).max(), MIN_DIFFERENCE)
    panels = {
        "counted, in percent": (tables[0], "Blues", 0, highest, "{:.0f}"),
        "learned by gradient descent, in percent": (tables[1], "Blues", 0, highest, "{:.0f}"),
        "learned minus counted, in points; red: learned is higher": (
            *(difference, "RdBu_r", -widest, widest, "{:+.0f}"),
        ),
    }
    cell = PANEL_CELL_INCHES if len(labels) <= MAX_NUMBERED_SYMBOLS else SMALL_CELL_INCHES
    side = cell * max(len(labels), MIN_PANEL_SYMBOLS)
    width, height = len(panels) * (side + LABELS_INCHES), side + LABELS_INCHES + HEADING_INCHES
    title = "The next symbol (column) after each symbol (row)"
    if len(labels) < len(itos):
        title += f": the {len(labels)} most frequent of {len(itos):,} symbols"
    with _plain_style(labels):
        figure = Figure(figsize=(width, height))
        figure.suptitle(title, fontproperties=FONT, size=16, y=1 - 0.15 / height)
        for number, (subtitle, panel) in enumerate(panels.items()):
            table, colors, low, high, form = panel
            left = number * (side + LABELS_INCHES) + LABELS_INCHES * 0.6
            axes = figure.add_axes((left / width, 0.1 / height, side / width, side / height))
            image, vmin, vmax = (np.sign(x) * np.sqrt(np.abs(x)) for x in (table, low, high))
            axes.imshow(image, cmap=colors, vmin=vmin, vmax=vmax)
            axes.set_title(subtitle, fontproperties=FONT, size=12)
            _label_table(axes, labels, side / len(labels))
            if len(labels) <= MAX_NUMBERED_SYMBOLS:
                _write_percents(axes, table, form, high, side / len(labels))
        return _svg(figure)


def _write_percents(
    axes: Axes, table: np.ndarray, form: str, highest: float, cell_inches: float
) -> None:
    """Write what does not round to 0 into the cells of a table.

    Args:
        axes: of the table.
        table: (rows, columns).
        form: of a percentage.
        highest: the value of the darkest colour.
        cell_inches: the width of a cell.
    """
    for (row, column), share in np.ndenumerate(table):
        percent = form.format(100 * share)
        if percent.strip("+-") != "0":
            color = "white" if abs(share) > 0.4 * highest else "black"
            style = CENTRED | {"color": color, "size": _fitting_size(percent, 9, cell_inches)}
            axes.text(column, row, percent, fontproperties=FONT, **style)


def draw_embedding(planes: "dict[str, Plane]", itos: list[str], frequency: np.ndarray) -> bytes:
    """Draw every symbol at its place in each embedding; vowels in another colour.

    The embeddings are side by side if a page has room for that.

    Args:
        planes: the places of the symbols and the labels of the axes, under the title of each.
        itos: the symbols.
        frequency: (symbols,), of each; the most frequent are shown.
    """
    shown = most_frequent(frequency)
    labels = [symbol_label(itos[number]) for number in shown]
    with _plain_style(labels):
        side = 5 * max(1, len(labels) / 30) ** 0.5  # inches
        columns = len(planes) if side * len(planes) <= PAGE_INCHES else 1
        rows = len(planes) // columns
        figure = Figure(figsize=(side * columns, side * rows), layout="constrained")
        subplots = figure.subplots(rows, columns, squeeze=False).flat
        for axes, (title, plane) in zip(subplots, planes.items(), strict=True):
            places = np.array(plane["places"])
            colors = ["crimson" if is_vowel(itos[number]) else "steelblue" for number in shown]
            axes.scatter(*places[shown].T, s=180, c=colors)
            for place, label, color in zip(places[shown], labels, colors, strict=True):
                style = CENTRED | {"color": "white", "parse_math": False}
                if _width_em(label) > MISSING_WIDTH_EM:  # the point would be too small
                    box = {"boxstyle": "round,pad=0.4", "facecolor": color, "edgecolor": "none"}
                    style |= {"size": 8, "bbox": box}
                axes.text(*place, label, fontproperties=FONT, **style)
            axes.set_title(title, fontproperties=FONT)
            axes.set_xlabel(plane["axes"][0], fontproperties=FONT)
            axes.set_ylabel(plane["axes"][1], fontproperties=FONT)
            _use_font(axes)
            axes.grid(color="whitesmoke")
            axes.set_axisbelow(True)
        return _svg(figure)


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


def draw_losses(
    bigram: dict[str, np.ndarray], mlp: dict[str, np.ndarray], mlp_dev: dict[str, np.ndarray]
) -> bytes:
    """Draw the losses while the neural bigram and the MLP are trained, on one logarithmic scale.

    Args:
        bigram, mlp: `step` and `nll` on train, each (steps,): all of it, and a batch.
        mlp_dev: the same on dev; without rows if dev is empty.
    """
    highest = max(bigram["nll"].max(), mlp["nll"].max())
    lowest = min(curve["nll"].min(initial=highest) for curve in (bigram, mlp, mlp_dev))
    with _plain_style():
        figure = Figure(figsize=(9, 4), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        left.plot(bigram["step"], bigram["nll"], color="navy", label="train")
        left.set_title("Neural bigram", fontproperties=FONT)
        left.set_ylabel("NLL (nats per character)", fontproperties=FONT)
        batch = "train, the batch of a step"
        right.plot(mlp["step"], mlp["nll"], color="steelblue", lw=0.6, label=batch)
        if len(mlp_dev["step"]):
            right.plot(*mlp_dev.values(), "o", color="crimson", ms=4, label="dev")
        right.set_title("MLP", fontproperties=FONT)
        left.set_yscale("log")
        bottom = max(lowest, highest / MAX_LOSS_RATIO)
        left.set_ylim(bottom / 1.05, highest * 1.05)
        ticks = LOSS_TICKS if highest < 10 * bottom else FEW_LOSS_TICKS
        left.yaxis.set_major_locator(LogLocator(subs=ticks, numticks=50))
        left.yaxis.set_minor_locator(NullLocator())
        left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        for axes in (left, right):
            axes.set_xlabel("step", fontproperties=FONT)
            if axes.get_xlim()[1] > MANY_STEPS:
                axes.locator_params(axis="x", nbins=5)
            axes.grid(color="whitesmoke")
            axes.set_axisbelow(True)
            _use_font(axes)
            axes.legend(prop=FONT, loc="upper right")
        return _svg(figure)
