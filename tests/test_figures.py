import re

import matplotlib
import numpy as np
import pandas as pd

from stages import figures

COUNTS = np.array([[0, 3], [12, 1]])


def test_same_bytes_whatever_the_persons_settings():
    plain = figures.pair_counts(COUNTS, [".", "a"])
    with matplotlib.rc_context(
        {"font.family": "monospace", "image.cmap": "jet", "svg.fonttype": "none", "figure.dpi": 50}
    ):
        assert figures.pair_counts(COUNTS, [".", "a"]) == plain
    assert b"<dc:date>" not in plain


def test_every_cell_is_labelled_with_pair_and_count():
    # matplotlib draws text as outlines and names what it draws in a comment
    labels = re.findall(r"<!-- (.+?) -->", figures.pair_counts(COUNTS, [".", "a"]).decode())
    assert labels == ["..", "0", ".a", "3", "a.", "12", "aa", "1"]


def test_curve_of_the_search_is_drawn_the_same_whatever_the_persons_settings():
    curve = pd.DataFrame({"exponent": [-1.0, 0.0], "lr": [0.1, 1.0], "nll": [3.0, 4.0]})
    curve["smoothed_nll"] = curve["nll"]
    plain = figures.learning_rate(curve, curve.loc[0])
    assert b"<!-- lowest at -1.00: a rate of 0.100 -->" in plain
    with matplotlib.rc_context({"font.family": "monospace", "lines.linewidth": 9}):
        assert figures.learning_rate(curve, curve.loc[0]) == plain


def test_symbols_are_not_read_as_formulas():
    assert b"<!-- $$ -->" in figures.pair_counts(COUNTS, [".", "$"])
