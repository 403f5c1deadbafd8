import re

import matplotlib
import numpy as np
import pandas as pd

from stages import figures

COUNTS = np.array([[0, 3], [12, 1]])


def drawn_text(svg: bytes) -> list[str]:
    # matplotlib draws text as outlines and names what it draws in a comment
    return re.findall(r"<!-- (.+?) -->", svg.decode())


def test_same_bytes_whatever_the_persons_settings():
    plain = figures.pair_counts(COUNTS, [".", "a"])
    with matplotlib.rc_context(
        {"font.family": "monospace", "image.cmap": "jet", "svg.fonttype": "none", "figure.dpi": 50}
    ):
        assert figures.pair_counts(COUNTS, [".", "a"]) == plain
    assert b"<dc:date>" not in plain


def test_every_cell_is_labelled_with_pair_and_count():
    assert drawn_text(figures.pair_counts(COUNTS, [".", "a"])) == [
        "..",
        "0",
        ".a",
        "3",
        "a.",
        "12",
        "aa",
        "1",
    ]


def test_curve_of_the_search_is_drawn_the_same_whatever_the_persons_settings():
    curve = pd.DataFrame({"exponent": [-1.0, 0.0], "lr": [0.1, 1.0], "nll": [3.0, 4.0]})
    curve["smoothed_nll"] = curve["nll"]
    plain = figures.learning_rate(curve, curve.loc[0])
    assert b"<!-- lowest at -1.00: a rate of 0.100 -->" in plain
    with matplotlib.rc_context({"font.family": "monospace", "lines.linewidth": 9}):
        assert figures.learning_rate(curve, curve.loc[0]) == plain


def test_probabilities_below_half_a_percent_are_left_blank():
    table = np.array([[0.004, 0.996], [0.25, 0.75]])
    text = drawn_text(figures.pair_probabilities({"one": table, "two": table}, [".", "a"]))
    assert text == [
        *[".", "a"] * 2,
        "100",
        "25",
        "75",
        "one",
        *[".", "a"] * 2,
        "100",
        "25",
        "75",
        "two",
    ]


def test_every_symbol_is_drawn_in_the_embedding_and_vowels_in_another_colour():
    places = (np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]), ["x", "y"])
    svg = figures.embedding({"before": places, "after": places}, [".", "b", "é"])
    text = drawn_text(svg)
    assert [text.count(symbol) for symbol in (".", "b", "é", "before", "after")] == [2, 2, 2, 1, 1]
    crimson, steelblue = svg.count(b"fill: #dc143c"), svg.count(b"fill: #4682b4")
    assert steelblue == 2 * crimson > 0


def test_new_pictures_are_the_same_whatever_the_persons_settings():
    def draw() -> list[bytes]:
        table = {"one": np.eye(2), "two": np.eye(2)}
        planes = {title: (np.eye(2), ["x", "y"]) for title in ("before", "after")}
        return [
            figures.pair_probabilities(table, [".", "$"]),
            figures.embedding(planes, [".", "$"]),
        ]

    plain = draw()
    with matplotlib.rc_context(
        {"font.family": "monospace", "image.cmap": "jet", "axes.grid": True}
    ):
        assert draw() == plain


def test_symbols_are_not_read_as_formulas():
    assert b"<!-- $$ -->" in figures.pair_counts(COUNTS, [".", "$"])
