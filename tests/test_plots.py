import re

import matplotlib
import numpy as np
import pytest

from charlm import plots

COUNTS = np.array([[0, 3], [12, 1]])
CURVE = {
    "exponent": np.array([-1.0, 0.0]),
    "lr": np.array([0.1, 1.0]),
    "nll": np.array([3.0, 4.0]),
    "smoothed_nll": np.array([3.0, 4.0]),
}


def drawn_text(svg: bytes) -> list[str]:
    # matplotlib draws text as outlines and names what it draws in a comment
    return re.findall(r"<!-- (.+?) -->", svg.decode())


def plane(places: object) -> dict:
    return {"axes": ["x", "y"], "places": np.array(places, dtype=float).tolist()}


def test_counts_have_the_same_bytes_whatever_the_settings_of_the_user():
    plain = plots.draw_counts(COUNTS, [".", "a"])
    with matplotlib.rc_context(
        {"font.family": "monospace", "image.cmap": "jet", "svg.fonttype": "none", "figure.dpi": 50}
    ):
        assert plots.draw_counts(COUNTS, [".", "a"]) == plain
    assert b"<dc:date>" not in plain


def test_every_cell_is_labelled_with_pair_and_count():
    assert drawn_text(plots.draw_counts(COUNTS, [".", "a"])) == [
        "..",
        "0",
        ".a",
        "3",
        "a.",
        "12",
        "aa",
        "1",
    ]


def test_curve_of_the_search_is_the_same_whatever_the_settings_of_the_user():
    plain = plots.draw_learning_rate(CURVE)
    assert b"<!-- lowest at -1.00: a rate of 0.100 -->" in plain
    with matplotlib.rc_context({"font.family": "monospace", "lines.linewidth": 9}):
        assert plots.draw_learning_rate(CURVE) == plain


def test_the_lowest_smoothed_loss_is_marked_not_the_lowest_loss():
    curve = {
        "exponent": np.array([-2.0, -1.5, -1.0, -0.5]),
        "lr": 10.0 ** np.array([-2.0, -1.5, -1.0, -0.5]),
        "nll": np.array([0.5, 9.0, 3.0, 4.0]),
        "smoothed_nll": np.array([np.nan, 5.0, 3.0, 4.0]),
    }
    text = drawn_text(plots.draw_learning_rate(curve))
    assert "lowest at -1.00: a rate of 0.100" in text
    assert {
        "Loss while the learning rate rises",
        "exponent of ten of the learning rate",
        "NLL (nats per character)",
        "each step",
        "smoothed",
    } <= set(text)


def test_probabilities_below_half_a_percent_are_left_blank():
    table = np.array([[0.004, 0.996], [0.25, 0.75]])
    svg = plots.draw_probabilities({"one": table, "two": table}, [".", "a"], np.ones(2))
    assert drawn_text(svg) == [
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
    places = plane([[0, 1], [2, 3], [4, 5]])
    svg = plots.draw_embedding({"before": places, "after": places}, [".", "b", "é"], np.ones(3))
    text = drawn_text(svg)
    assert [text.count(symbol) for symbol in (".", "b", "é", "before", "after")] == [2, 2, 2, 1, 1]
    crimson, steelblue = svg.count(b"fill: #dc143c"), svg.count(b"fill: #4682b4")
    assert steelblue == 2 * crimson > 0


def test_a_single_plane_has_the_labels_of_its_axes():
    one = {"axes": ["dimension 1", ""], "places": [[0.0, 0.0], [1.0, 0.0]]}
    text = drawn_text(plots.draw_embedding({"trained": one}, [".", "a"], np.ones(2)))
    assert [text.count(label) for label in ("trained", "dimension 1")] == [1, 1]


def test_pictures_are_the_same_whatever_the_settings_of_the_user():
    def draw() -> list[bytes]:
        table = {"one": np.eye(2), "two": np.eye(2)}
        planes = {title: plane(np.eye(2)) for title in ("before", "after")}
        return [
            plots.draw_probabilities(table, [".", "$"], np.ones(2)),
            plots.draw_embedding(planes, [".", "$"], np.ones(2)),
        ]

    plain = draw()
    with matplotlib.rc_context(
        {"font.family": "monospace", "image.cmap": "jet", "axes.grid": True}
    ):
        assert draw() == plain


def test_symbols_are_not_read_as_formulas():
    assert b"<!-- $$ -->" in plots.draw_counts(COUNTS, [".", "$"])


def test_sixty_symbols_at_most_are_drawn():
    assert plots.MAX_SYMBOLS == 60


def test_of_many_symbols_the_most_frequent_are_drawn_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(plots, "MAX_SYMBOLS", 6)
    itos = [".", *map(chr, range(0x4E00, 0x4E00 + 9))]
    counts = np.zeros((10, 10), dtype=int)
    counts[0] = np.arange(10)  # how often each follows the boundary
    places = plane(np.eye(10)[:, :2])
    text = drawn_text(plots.draw_embedding({"one": places, "two": places}, itos, counts[0]))
    assert [label for label in text if label.startswith("4E")] == [
        f"{ord(symbol):04X}" for symbol in itos[4:]
    ] * 2
    assert plots.draw_counts(counts, itos).count(b"<!-- 4E") == 6 * 6
    probabilities = {"one": np.full((10, 10), 0.1)}
    assert plots.draw_probabilities(probabilities, itos, counts[0]).count(b"<!-- 10 -->") == 6 * 6


def test_symbol_that_the_font_lacks_or_that_is_blank_is_its_code_point():
    tables = {"one": np.eye(5)}
    text = drawn_text(plots.draw_probabilities(tables, [".", " ", "ə", "\u200d", "花"], np.ones(5)))
    assert text[:5] == [".", "0020", "ə", "200D", "82B1"]
