"""Where a correct run of a notebook's experiment lies, and verdicts on numbers against that.

The values are those of audit/plain_loops.py, whose loops share no code with the pipeline.
"""

import re
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError, model_validator

from charlm.core.errors import InputError
from charlm.core.storage import read_json
from charlm.params import Section

PATH = Path("audit/bands.json")
DEVIATIONS = 3  # from the mean over seeds, where chance plays a part
EXACT = 0.0005  # nats, where it does not
MIN_SEEDS = 5
COMMAND = "python audit/plain_loops.py"
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w.]*\w)")


class Band(Section):
    """The values of one figure: one per seed, or one if nothing is left to chance."""

    mean: float
    sd: float | None = None
    values: list[float]

    @property
    def shown(self) -> str:
        """The mean, and ± the standard deviation over seeds."""
        if not self.sd:
            whole = self.mean == int(self.mean)
            return f"{int(self.mean):,}" if whole else f"{self.mean:.4f}"
        return f"{self.mean:.4f} ± {self.sd:.4f}"

    def contains(self, number: str) -> bool:
        """Say whether a number is in the band, to the digits that are given.

        >>> Band(mean=2.161, sd=0.002, values=[2.159, 2.161, 2.163]).contains("2.17")
        True
        >>> Band(mean=2.161, sd=0.002, values=[2.159, 2.161, 2.163]).contains("2.170")
        False
        """
        return self._distance(number) <= rounding(number)

    def agreement(self, number: str) -> str:
        """Say whether a number agrees, and if only because few of its digits are given.

        >>> Band(mean=2.6818, sd=0.045, values=[]).agreement("2.5")
        'agrees only to the digits printed'
        """
        if not self.contains(number):
            return "differs"
        is_rounded = self.sd and self._distance(number) > 0
        return "agrees only to the digits printed" if is_rounded else "agrees"

    def _distance(self, number: str) -> float:
        """Return how far outside the band a number lies; negative inside."""
        return abs(parsed(number) - self.mean) - max(DEVIATIONS * (self.sd or 0), EXACT)


class Entry(Section):
    """What one loop gives."""

    command: str
    seeds: list[int]
    figures: dict[str, Band]

    @model_validator(mode="after")
    def _check_seeds(self) -> Self:
        if 0 < len(self.seeds) < MIN_SEEDS:
            raise ValueError(f"at least {MIN_SEEDS} seeds, or none if nothing is left to chance")
        for figure, band in self.figures.items():
            if len(band.values) != max(1, len(self.seeds)) or (band.sd is None) == bool(self.seeds):
                raise ValueError(f"{figure}: one value per seed, and their standard deviation")
        return self


def load(path: Path = PATH) -> dict[str, Entry]:
    """Read the bands, by the name of the recipe or loop.

    Raises:
        InputError: there is no such file, or it does not fit the classes above.
    """
    content = read_json(path)
    content.pop("about", None)
    try:
        return TypeAdapter(dict[str, Entry]).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {where}: {first['msg']}; run `{COMMAND}`") from None


def numbers(text: str) -> list[str]:
    """Return the numbers in a text, as they are written.

    >>> numbers("2.17, 11,000 and int64; 2.5 (10th)")
    ['2.17', '11,000', '2.5']
    """
    return NUMBER.findall(text)


def parsed(number: str) -> float:
    """Return a number that may have commas, and ± a standard deviation after it."""
    return float(number.split()[0].replace(",", ""))


def rounding(number: str) -> float:
    """Return half of the last digit of a number.

    >>> rounding("2.17"), rounding("3,481")
    (0.005, 0.5)
    """
    decimals = number.split()[0].partition(".")[2]
    return float(f"5e-{len(decimals) + 1}")
