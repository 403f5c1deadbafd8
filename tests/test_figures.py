import re

import matplotlib
import numpy as np
import pandas as pd

from charlm import plots as figures

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
    text = drawn_text(
        figures.pair_probabilities({"one": table, "two": table}, [".", "a"], np.ones(2))
    )
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
    svg = figures.embedding({"before": places, "after": places}, [".", "b", "é"], np.ones(3))
    text = drawn_text(svg)
    assert [text.count(symbol) for symbol in (".", "b", "é", "before", "after")] == [2, 2, 2, 1, 1]
    crimson, steelblue = svg.count(b"fill: #dc143c"), svg.count(b"fill: #4682b4")
    assert steelblue == 2 * crimson > 0


def test_new_pictures_are_the_same_whatever_the_persons_settings():
    def draw() -> list[bytes]:
        table = {"one": np.eye(2), "two": np.eye(2)}
        planes = {title: (np.eye(2), ["x", "y"]) for title in ("before", "after")}
        return [
            figures.pair_probabilities(table, [".", "$"], np.ones(2)),
            figures.embedding(planes, [".", "$"], np.ones(2)),
        ]

    plain = draw()
    with matplotlib.rc_context(
        {"font.family": "monospace", "image.cmap": "jet", "axes.grid": True}
    ):
        assert draw() == plain


def test_symbols_are_not_read_as_formulas():
    assert b"<!-- $$ -->" in figures.pair_counts(COUNTS, [".", "$"])


def test_of_many_symbols_the_sixty_most_frequent_are_drawn_in_their_order():
    itos = [".", *map(chr, range(0x4E00, 0x4E00 + 69))]
    counts = np.zeros((70, 70), dtype=int)
    counts[0] = np.arange(70)  # how often each follows the boundary
    plane = (np.eye(70)[:, :2], ["x", "y"])
    text = drawn_text(figures.embedding({"one": plane, "two": plane}, itos, counts[0]))
    assert [label for label in text if label.startswith("4E")] == [
        f"{ord(symbol):04X}" for symbol in itos[10:]
    ] * 2
    assert figures.pair_counts(counts, itos).count(b"<!-- 4E") == 60 * 60


def test_symbol_that_the_font_lacks_or_that_is_blank_is_its_code_point():
    tables = {"one": np.eye(5)}
    text = drawn_text(
        figures.pair_probabilities(tables, [".", " ", "ə", "\u200d", "花"], np.ones(5))
    )
    assert text[:5] == [".", "0020", "ə", "200D", "82B1"]
