import re

import matplotlib
import numpy as np

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


def test_symbols_are_not_read_as_formulas():
    assert b"<!-- $$ -->" in figures.pair_counts(COUNTS, [".", "$"])
