import base64
import io
import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread

from charlm.drawing import plots, symbols

LEFT = "\u200e"  # from here on, left to right
APART = "\u200c\u200e"  # the next letter does not join, either
COUNTS = np.array([[0, 3], [12, 1]])
CURVE = {
    "exponent": np.array([-1.0, 0.0]),
    "lr": np.array([0.1, 1.0]),
    "nll": np.array([3.0, 4.0]),
    "smoothed_nll": np.array([3.0, 4.0]),
}


def drawn_text(svg: bytes) -> list[str]:
    # matplotlib draws text as outlines and names what it draws in a comment
    return [unescape(text) for text in re.findall(r"<!-- (.+?) -->", svg.decode())]


def texts(svg: bytes) -> list[str]:
    """The text of a picture whose glyphs come from the viewer's fonts."""
    found = ET.fromstring(svg.decode()).iter("{http://www.w3.org/2000/svg}text")
    return [element.text or "" for element in found]


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


def curve(*nll: float) -> dict[str, np.ndarray]:
    return {"step": np.arange(len(nll)), "nll": np.array(nll)}


def test_losses_have_the_same_bytes_whatever_the_settings_of_the_user():
    losses = (curve(3.0, 2.5), curve(3.0, 2.2), curve(3.1, 2.4))
    plain = plots.draw_losses(*losses)
    with matplotlib.rc_context({"font.family": "monospace", "lines.linewidth": 9}):
        assert plots.draw_losses(*losses) == plain


def test_losses_of_both_networks_are_drawn_on_train_and_on_dev():
    text = drawn_text(plots.draw_losses(curve(4.0, 2.5), curve(3.0, 2.2), curve(3.1, 2.4, 2.3)))
    assert {"Neural bigram", "train", "MLP", "train, the batch of a step", "dev"} <= set(text)
    assert {"2.5", "3", "3.5", "4"} <= set(text)
    assert not {"2", "5"} & set(text)


def test_losses_without_dev_have_no_entry_for_it():
    text = drawn_text(plots.draw_losses(curve(3.0, 2.5), curve(3.0, 2.2), curve()))
    assert "train, the batch of a step" in text
    assert "dev" not in text


def test_losses_close_to_zero_do_not_stretch_the_picture():
    text = drawn_text(plots.draw_losses(curve(3.0, 2.5), curve(3.0, 0.0), curve(3.0, 0.0)))
    labels = [float(label) for label in text if re.fullmatch(r"[\d.]+", label)]
    assert min(label for label in labels if label) == 0.05  # the lowest tick above 3 / 100


def test_losses_of_several_decades_have_few_ticks():
    left_out = {"0.7", "1.5", "3"}
    one = plots.draw_losses(curve(3.0, 0.4), curve(3.0, 2.2), curve(3.0, 2.4))
    assert left_out <= set(drawn_text(one))
    more = plots.draw_losses(curve(3.0, 0.2), curve(3.0, 2.2), curve(3.0, 2.4))
    assert left_out.isdisjoint(drawn_text(more))


def test_steps_of_a_long_training_do_not_overlap():
    long = {"step": np.array([0, 199_999]), "nll": np.array([3.0, 2.0])}
    text = drawn_text(plots.draw_losses(curve(3.0, 2.5), long, curve()))
    assert [label for label in text if len(label) > 4 and label.isdigit()] == [
        *("50000", "100000", "150000", "200000")
    ]


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


def test_counted_and_learned_probabilities_and_their_difference_are_side_by_side():
    counted, learned = (
        np.array([[0.004, 0.996], [0.5, 0.5]]),
        np.array([[0.04, 0.96], [0.25, 0.75]]),
    )
    svg = plots.draw_probabilities(counted, learned, [".", "a"], np.ones(2))
    axes = [".", "a"] * 2
    assert drawn_text(svg) == [
        *(*axes, "100", "50", "50", "counted, in percent"),
        *(*axes, "4", "96", "25", "75", "learned by gradient descent, in percent"),
        *(*axes, "+4", "-4", "-25", "+25"),
        "learned minus counted, in points; red: learned is higher",
        "The next symbol (column) after each symbol (row)",
    ]
    width, height = size_inches(svg)
    assert width > 2.5 * height


def test_share_that_rounds_to_0_percent_is_left_blank():
    table = np.array([[0.005, 0.995], [0.0051, 0.9949]])  # half a percent is rounded to even
    shown = drawn_text(plots.draw_probabilities(table, table[::-1], [".", "a"], np.ones(2)))
    assert [text for text in shown if text.isdigit()] == ["100", "1", "99", "1", "99", "100"]
    assert not [text for text in shown if text.startswith(("+", "-"))]


def images(svg: bytes) -> list[np.ndarray]:
    """The images of tables in a picture, the rows from top to bottom."""
    encoded = re.findall(rb"data:image/png;base64,\s*([^\"]+)", svg)
    return [imread(io.BytesIO(base64.b64decode(image)))[::-1] for image in encoded]


def test_probabilities_are_not_pale_and_only_what_differs_has_a_colour():
    counted, learned = np.array([[0.04, 0.36], [0.6, 0.4]]), np.array([[0.04, 0.36], [0.35, 0.65]])
    drawn = images(plots.draw_probabilities(counted, learned, [".", "a"], np.ones(2)))
    (low, _), (more, less) = (
        [
            image[len(image) * (2 * row + 1) // 4, len(image) * (2 * column + 1) // 4]
            for column in (0, 1)
        ]
        for image, row in ((drawn[0], 0), (drawn[2], 1))
    )
    # by square roots of the share of the highest of both tables
    assert low == pytest.approx(np.array(colormaps["Blues"]((0.04 / 0.65) ** 0.5)), abs=0.01)
    assert [more.tolist(), less.tolist()] == [
        pytest.approx(list(colormaps["RdBu_r"](place)), abs=0.01) for place in (0.0, 1.0)
    ]
    same = drawn[2][: len(drawn[2]) // 2]
    assert same == pytest.approx(np.broadcast_to(colormaps["RdBu_r"](0.5), same.shape), abs=0.01)


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
        planes = {title: plane(np.eye(2)) for title in ("before", "after")}
        return [
            plots.draw_probabilities(np.eye(2), np.ones((2, 2)) / 2, [".", "$"], np.ones(2)),
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
    assert symbols.MAX_SYMBOLS == 60


def test_of_many_symbols_the_most_frequent_are_drawn_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(symbols, "MAX_SYMBOLS", 6)
    itos = [".", *map(chr, range(0x4E00, 0x4E00 + 9))]
    frequency = np.arange(10)
    counts = np.diag(frequency)
    places = plane(np.eye(10)[:, :2])
    text = texts(plots.draw_embedding({"one": places, "two": places}, itos, frequency))
    assert [label for label in text if label in itos] == itos[4:] * 2
    pairs = [label for label in texts(plots.draw_counts(counts, itos)) if not label.isdigit()]
    assert pairs == [f"{LEFT}{first}{APART}{second}" for first in itos[4:] for second in itos[4:]]
    table = np.full((10, 10), 0.1)
    shown = texts(plots.draw_probabilities(table, table, itos, frequency))
    assert shown.count("10") == 2 * 6 * 6


def test_counts_of_many_symbols_are_colours_between_labels(monkeypatch: pytest.MonkeyPatch):
    counts, itos = np.full((4, 4), 7), latin(4)
    assert drawn_text(plots.draw_counts(counts, itos)).count("7") == 16
    monkeypatch.setattr(plots, "MAX_NUMBERED_SYMBOLS", 3)
    assert drawn_text(plots.draw_counts(counts, itos)) == [
        *itos,
        *itos,
        "counts of pairs; darker: more",
    ]


def test_counts_of_rare_symbols_are_added_up():
    counts = np.arange(25).reshape(5, 5)
    # 1 and 3 are shown; 0, 2 and 4 are the others
    expected = [
        [6, 8, 5 + 7 + 9],
        [16, 18, 15 + 17 + 19],
        [1 + 11 + 21, 3 + 13 + 23, 0 + 2 + 4 + 10 + 12 + 14 + 20 + 22 + 24],
    ]
    assert plots.group_others(counts, np.array([1, 3])).tolist() == expected
    assert plots.group_others(counts, np.arange(5)).tolist() == counts.tolist()


def test_rare_symbols_have_one_row_and_do_not_make_the_others_pale(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(symbols, "MAX_SYMBOLS", 3)
    monkeypatch.setattr(plots, "MAX_NUMBERED_SYMBOLS", 2)
    counts = np.diag([100, 81, 64, *[49] * 20])
    drawn = plots.draw_counts(counts, latin(23))
    assert drawn_text(drawn)[:8] == ["A", "B", "C", "…"] * 2
    (pixels,) = images(drawn)
    centres = [len(pixels) * (2 * number + 1) // 8 for number in range(4)]
    # the most frequent pair has the darkest colour, as without the others, which occur 980 times
    expected = [colormaps["Blues"](count**0.5 / 10) for count in (100, 81, 64, 100)]
    assert pixels[centres, centres] == pytest.approx(np.array(expected), abs=0.01)


def test_both_lines_of_a_cell_are_within_it():
    symbols = plots.MAX_NUMBERED_SYMBOLS
    line_inches = 9 * 1.2 / 72  # of the largest text, with matplotlib's spacing of lines
    assert 2 * line_inches <= plots.PAGE_INCHES / symbols


def test_tables_say_how_many_symbols_they_show(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(symbols, "MAX_SYMBOLS", 4)
    monkeypatch.setattr(plots, "MAX_NUMBERED_SYMBOLS", 3)
    table, itos, frequency = np.eye(1_200), latin(4) + ["a"] * 1_196, np.ones(1_200)
    text = drawn_text(plots.draw_probabilities(table, table, itos, frequency))
    assert text[-1].endswith("(row): the 4 most frequent of 1,200 symbols")
    assert not [label for label in text if label.isdigit()]  # colours alone
    counts = plots.draw_counts(np.ones((1_200, 1_200), dtype=int), itos)
    which = "(the 4 most frequent of 1,200 symbols; … the others)"
    assert f"counts of pairs; darker: more {which}" in drawn_text(counts)


def test_start_and_end_are_among_the_most_frequent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(symbols, "MAX_SYMBOLS", 3)
    # "ab", "ac", "ab": <START> follows nothing, and nothing follows <END>
    itos = ["a", "b", "c", "<START>", "<END>"]
    counts = np.zeros((5, 5), dtype=int)
    counts[3, 0] = 3
    counts[0, 1], counts[0, 2] = 2, 1
    counts[1, 4], counts[2, 4] = 2, 1
    shown = drawn_text(plots.draw_counts(counts, itos))
    assert [label for label in shown if not label.isdigit()] == [
        *("aa", "a<S>", "a<E>"),
        *("<S>a", "<S><S>", "<S><E>"),
        *("<E>a", "<E><S>", "<E><E>"),
    ]


@pytest.mark.parametrize(
    ("symbol", "label"),
    [
        ("a", "a"),
        ("<", "<"),
        (".", "."),
        ("<.>", "<.>"),
        ("<START>", "<S>"),
        ("<END>", "<E>"),
        (" ", "␣"),
        ("\u00a0", "00A0"),
        ("\u3000", "3000"),
        ("\u200d", "200D"),
        ("\ufeff", "FEFF"),
        ("\ufe0f", "FE0F"),
        ("\u3164", "3164"),  # a Hangul filler: a letter without ink
        ("\U000e0067", "E0067"),
        ("\u20e3", "20E3"),
        ("\u0323", "◌\u0323"),
        ("\u093e", "◌\u093e"),  # a Devanagari vowel, which has a width
        ("花", "花"),
        ("😀", "😀"),
    ],
)
def test_every_symbol_has_a_label_that_can_be_seen(symbol: str, label: str):
    places = plane([[0, 1], [2, 3]])
    svg = plots.draw_embedding({"one": places}, ["花", symbol], np.ones(2))
    assert label in texts(svg)


@pytest.mark.parametrize(
    ("vowels", "others"),
    [
        ("aeiouAEIOUéÖåİ\u0131æŒø", "ybZñç"),
        ("аеиоуыэюяАЁёїЄѝ", "йЙўбьъ"),
        ("αεηιουωΑΆϊΰ", "βΨσ"),
        ("", ".<␣0花김あア한अ😀عא"),
    ],
    ids=["Latin", "Cyrillic", "Greek", "others"],
)
def test_vowels_of_three_scripts_have_another_colour(vowels: str, others: str):
    itos = ["<END>", *others, *vowels]
    places = plane(np.zeros((len(itos), 2)))
    svg = plots.draw_embedding({"one": places}, itos, np.ones(len(itos))).decode()
    points = svg[svg.index('id="PathCollection_1"') :].split('id="patch_')[0]
    colors = re.findall(r"<use [^>]*fill: #(\w+)", points)
    assert colors == ["4682b4"] * (1 + len(others)) + ["dc143c"] * len(vowels)


def pictures(itos: list[str]) -> list[bytes]:
    """One picture of each kind that shows symbols."""
    table = np.eye(len(itos))
    frequency = np.ones(len(itos))
    places = plane(np.arange(2 * len(itos)).reshape(-1, 2))
    return [
        plots.draw_counts(table.astype(int), itos),
        plots.draw_probabilities(table, table, itos, frequency),
        plots.draw_embedding({"one": places}, itos, frequency),
    ]


@pytest.mark.parametrize("symbols", ["aZé", "дЙ", "ωΆ", "שل", " \u200d\u0301"])
def test_what_the_font_has_is_drawn_as_outlines(symbols: str):
    for svg in pictures([".", *symbols]):
        assert b"<text" not in svg
        assert b"DejaVuSans-" in svg


@pytest.mark.parametrize("symbols", ["花", "김a", "あ", "👍🏿", "क\u094d", "ก"])
def test_what_the_font_lacks_is_text_for_the_fonts_of_the_viewer(symbols: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = pictures([".", *symbols])
    for svg in drawn:
        assert b"font-family: 'DejaVu Sans', 'Noto Sans', sans-serif, 'Noto Color Emoji';" in svg
        assert b"DejaVuSans-" not in svg
        assert symbols[0] in "".join(texts(svg))


def test_one_missing_symbol_changes_no_other_picture():
    alone = pictures([".", "a"])
    pictures([".", "花"])
    assert pictures([".", "a"]) == alone


def test_two_symbols_in_a_cell_are_not_joined_and_the_first_is_on_the_left():
    counts = np.ones((2, 2), dtype=int)
    arabic = drawn_text(plots.draw_counts(counts, [".", "ل"]))[::2]
    assert arabic == ["..", f"{LEFT}.{APART}ل", f"{LEFT}ل{APART}.", f"{LEFT}ل{APART}ل"]
    flag = texts(plots.draw_counts(counts, ["🇩", "🇪"]))[::2]
    assert flag == [f"{LEFT}{first}{APART}{second}" for first in "🇩🇪" for second in "🇩🇪"]
    invisible = drawn_text(plots.draw_counts(counts, ["a", "\u200d"]))[::2]
    assert invisible == ["aa", "a 200D", "200D a", "200D 200D"]


def sizes(svg: bytes) -> dict[str, float]:
    return dict(all_sizes(svg))


def all_sizes(svg: bytes) -> list[tuple[str, float]]:
    """Each text and its size in a picture whose glyphs come from the viewer's fonts."""
    found = ET.fromstring(svg.decode()).iter("{http://www.w3.org/2000/svg}text")
    size = re.compile(r"font-size: ([\d.]+)px")
    return [
        (element.text or "", float(match[1]))
        for element in found
        if (match := size.search(element.get("style", "")))
    ]


def test_long_labels_and_counts_are_smaller_so_that_they_fit_into_their_cell():
    counts = np.array([[999, 9_999_999, 1], [1, 1, 1], [1, 1, 88]])
    size = sizes(plots.draw_counts(counts, ["花", "<START>", "a"]))
    assert size["88"] == 9
    # a cell has room for 0.3 inches, or 21.6 points; a digit is 0.636 of the size wide, and a
    # letter that the font lacks is taken to be 1.25
    assert size["999"] == size[f"{LEFT}花{APART}花"] == round(21.6 / (2 * 1.25), 1)
    assert size["9999999"] * 7 * 0.636 <= 21.6
    assert 4.5 < size["9999999"] == size[f"{LEFT}花{APART}<S>"]
    itos = ["花", *latin(22), "\U000e0067"]
    drawn = all_sizes(plots.draw_probabilities(np.eye(24), np.eye(24), itos, np.ones(24)))
    rows, columns = dict(drawn), dict(reversed(drawn))
    assert rows["花"] == columns["花"] == 10
    # 0.4 inches less the padding are 24.5 points, a cell of 0.22 inches less a fifth 12.7
    assert 7 < rows["E0067"] <= 24.5 / (5 * 0.63)
    assert 3.5 < columns["E0067"] <= 12.7 / (5 * 0.63)


def test_long_labels_of_the_embedding_have_a_box_of_the_colour_of_their_point():
    places = {"one": plane([[0, 1], [2, 3], [4, 5]])}
    plain = plots.draw_embedding(places, [".", "a", "b"], np.ones(3)).decode()
    boxed = plots.draw_embedding(places, ["<START>", "<END>", "b"], np.ones(3)).decode()
    assert boxed.count('<g id="patch_') == plain.count('<g id="patch_') + 2
    boxes = re.findall(
        r'<g id="text_\d+">\s*<g id="patch_\d+">\s*<path d="[^"]+" style="([^"]+)"', boxed
    )
    assert [style.split(";")[0] for style in boxes] == ["fill: #4682b4"] * 2


def test_marks_take_no_room_of_their_own_in_the_embedding():
    places = {"one": plane([[0, 1], [2, 3]])}
    plain = plots.draw_embedding(places, ["花", "a"], np.ones(2)).decode()
    mark = plots.draw_embedding(places, ["花", "\u094d"], np.ones(2)).decode()  # a virama
    assert mark.count('<g id="patch_') == plain.count('<g id="patch_')


def test_viewers_centre_both_lines_of_a_cell():
    svg = plots.draw_counts(COUNTS, [".", "花"]).decode()
    assert svg.count("<text") == svg.count("text-anchor: middle") == 2 * 4


def size_inches(svg: bytes) -> tuple[float, float]:
    """The width and the height of a picture."""
    root = ET.fromstring(svg.decode())
    width, height = (float(root.attrib[key].removesuffix("pt")) / 72 for key in ("width", "height"))
    return width, height


def latin(symbols: int) -> list[str]:
    return [chr(ord("A") + number) for number in range(symbols)]


def test_the_embedding_is_larger_if_it_shows_many_symbols():
    def width(symbols: int) -> float:
        places = plane(np.arange(2 * symbols).reshape(-1, 2))
        svg = plots.draw_embedding({"one": places}, latin(symbols), np.ones(symbols))
        return size_inches(svg)[0]

    assert width(2) == width(30) == 5
    assert width(60) == pytest.approx(5 * 2**0.5)


@pytest.mark.parametrize(
    ("symbols", "expected"), [(30, (10, 5)), (60, (5 * 2**0.5, 2 * 5 * 2**0.5))]
)
def test_embeddings_are_side_by_side_or_one_below_the_other_where_a_page_is_too_narrow(
    symbols: int, expected: tuple[float, float]
):
    places = plane(np.arange(2 * symbols).reshape(-1, 2))
    planes = {"before": places, "after": places}
    svg = plots.draw_embedding(planes, latin(symbols), np.ones(symbols))
    assert size_inches(svg) == pytest.approx(expected)
    assert {"before", "after"} <= set(drawn_text(svg))


def test_no_picture_is_wider_than_a_page(monkeypatch: pytest.MonkeyPatch):
    assert plots.PAGE_INCHES == 10
    places = plane(np.arange(2 * 31).reshape(-1, 2))
    drawn = (
        plots.draw_embedding({"one": places, "two": places}, latin(31), np.ones(31)),
        plots.draw_losses(curve(3.0, 2.5), curve(3.0, 2.2), curve(3.1, 2.4)),
        plots.draw_learning_rate(CURVE),
    )
    assert max(size_inches(svg)[0] for svg in drawn) <= 10
    # tables of few symbols are as wide as these need, those of more symbols as wide as a page
    monkeypatch.setattr(plots, "PAGE_INCHES", 2)
    for count, counts_width in ((3, 3 * 0.36), (6, 2)):
        counts = plots.draw_counts(np.eye(count, dtype=int), latin(count))
        assert size_inches(counts)[0] == pytest.approx(counts_width)


@pytest.mark.parametrize("count", [2, 27, 49, 60, 120])
def test_tables_side_by_side_are_not_too_tall(count: int):
    itos = [chr(ord("A") + number) for number in range(count)]
    table = np.full((count, count), 1 / count)
    width, height = size_inches(plots.draw_probabilities(table, table, itos, np.ones(count)))
    assert height <= 8
    assert 2.5 < width / height < 3


def test_text_of_many_symbols_fits_into_the_smaller_cells(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plots, "PAGE_INCHES", 2)
    # 12 cells: 2 / 12 inches, less a fifth, or 9.6 points
    itos = [*map(chr, range(0x4E00, 0x4E00 + 12))]
    counted = sizes(plots.draw_counts(np.full((12, 12), 999), itos))
    assert counted["999"] == round(9.6 / (2 * 1.25), 1)


def test_text_for_the_fonts_of_the_viewer_has_the_same_bytes_on_every_machine(tmp_path: Path):
    (tmp_path / "matplotlibrc").write_text(
        "font.family: monospace\nfont.weight: bold\nfont.style: italic\nfont.stretch: condensed\n"
        "font.variant: small-caps\n"
        "font.sans-serif: Comic Sans MS\nsvg.fonttype: path\n"
    )
    code = (
        "import hashlib\nfrom tests.test_plots import pictures\n"
        "print(hashlib.sha256(b''.join(pictures(['.', 'a', '花', '🏿']))).hexdigest())"
    )
    hashes = set()
    for changed in ({}, {"MPLCONFIGDIR": str(tmp_path), "LC_ALL": "C", "PYTHONHASHSEED": "7"}):
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | changed,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        )
        assert not ran.stderr
        hashes.add(ran.stdout)
    assert len(hashes) == 1
