"""The picture of a sweep: loss over the first swept parameter, one line per value of the others."""

import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from tools.sweep.grid import Plan
from tools.sweep.verdicts import SettingResult

BAR_DISTANCE = 0.012  # of the width of the picture
LOG_RATIO = 10  # of the largest to the smallest value, from which on the scale is logarithmic


def numbers(values: list[str]) -> list[float] | None:
    """Return values as numbers, None if one of them is not a number.

    >>> numbers(["100", "2e-1"]), numbers(["64", "null"])
    ([100.0, 0.2], None)
    """
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def shifted(place: float, share: float, places: list[float], is_log: bool) -> float:
    """Return a place moved by a share of the distance between the outer ones.

    >>> shifted(2, 0.1, [1, 2, 3], is_log=False), shifted(10, 0.5, [1, 10, 100], is_log=True)
    (2.2, 100.0)
    """
    low, high = min(places), max(places)
    if is_log:
        return float(place * (high / low) ** share)
    return place + share * (high - low)


def draw(plan: Plan, rows: list[SettingResult]) -> bytes:
    """Draw the losses of a sweep as SVG.

    The bars are the joint intervals of the difference from the base, drawn around the loss: a bar
    that does not touch the dashed line is a significant difference.
    """
    axis, *other_axes = plan.axes
    labels = list(dict.fromkeys(plan.axes[axis]))
    places = numbers(labels)
    place = dict(zip(labels, places or range(len(labels)), strict=True))
    lines: dict[str, list[SettingResult]] = {}
    by_setting = {row.setting: row for row in rows}
    for setting in plan.settings:  # in the order of the axes, which the base may not have
        row = by_setting[setting.name]
        if row.loss is not None:
            values = zip(other_axes, row.values[1:], strict=True)
            lines.setdefault(", ".join(f"{key} {value}" for key, value in values), []).append(row)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "sweep"
        figure = Figure(figsize=(7.5, 4.5), layout="constrained")
        axes = figure.add_subplot()
        base_loss = by_setting[plan.base.name].loss
        if base_loss is not None:
            axes.axhline(base_loss, color="gray", ls="--", lw=1, label="base")
        is_log = bool(places and min(places) > 0 and max(places) / min(places) >= LOG_RATIO)
        for number, (label, line) in enumerate(lines.items()):
            line.sort(key=lambda row: place[row.values[0]])
            # side by side, so that no bar hides another one
            side = (number - (len(lines) - 1) / 2) * BAR_DISTANCE
            xs = [shifted(place[row.values[0]], side, list(place.values()), is_log) for row in line]
            style: dict[str, Any] = {"marker": "o", "ms": 4, "capsize": 3, "color": f"C{number}"}
            axes.errorbar(
                xs,
                [row.loss or 0.0 for row in line],
                # the intervals are symmetric; the base has none
                yerr=[((row.high or 0.0) - (row.low or 0.0)) / 2 for row in line],
                label=label or None,
                **style,
            )
        if is_log:
            axes.set_xscale("log")
            axes.minorticks_off()
        axes.set_xticks(list(place.values()), labels)
        axes.set_xlabel(axis)
        axes.set_ylabel(f"dev loss of {plan.model} (nats per character)")
        axes.grid(color="whitesmoke")
        axes.set_axisbelow(True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
