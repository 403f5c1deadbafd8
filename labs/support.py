"""What the labs share: the pipeline's data, its commands, pictures, and verdicts on answers."""

import base64
import hashlib
import io
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm import params  # the package settles the arithmetic: before numpy and torch
from charlm.core.errors import InputError
from charlm.core.storage import DATA, model_path, read_bytes, read_json, split_path
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.names import read_names
from tools.dvc_state import warn_if_stale

SETTINGS = Path("labs/settings.json")  # those that the numbers in the labs belong to
SECTIONS = {  # of params.yaml, by lab: what its numbers depend on
    "1_bigrams": ("split", "vocabulary", "bigram_count", "bigram_neural"),
    "2_mlp": ("split", "vocabulary", "contexts", "mlp", "find_learning_rate"),
}
MODELS = {"1_bigrams": ("bigram_count", "bigram_neural"), "2_mlp": ("mlp",)}  # that a lab opens
DPI = 80
COLOURS = 64  # of a picture, to keep the notebooks small


@dataclass(frozen=True)
class Lab:
    """What the pipeline has made of the list, and whether the numbers in the text belong to it."""

    names: list[str]  # in the order of the list
    train: list[str]
    dev: list[str]
    test: list[str]
    vocabulary: Vocabulary
    changed: tuple[str, ...]  # what differs from the committed settings and list

    def number(self, label: str, value: float, low: float, high: float) -> None:
        """Print a number and the range in which it lies on every system.

        Args:
            label: what the number is.
            value: the number.
            low: the least value expected with the committed settings and list.
            high: the greatest.
        """
        band = "(range: not for this list or these settings)"
        print(f"{label}: {value:.4f}   {band if self.changed else f'({low:.4f} to {high:.4f})'}")


def current_settings(lab: str) -> dict[str, Any]:
    """Return what the numbers in a lab depend on: the list of names and sections of params.yaml."""
    sections = params.load().model_dump(mode="json", include=set(SECTIONS[lab]))
    return {"the list of names": hashlib.sha256(read_bytes(DATA / "names.txt")).hexdigest()} | {
        section: sections[section] for section in SECTIONS[lab]
    }


def load(lab: str) -> Lab:
    """Read the names and the splits; say whether the numbers in the text belong to them.

    A missing file ends the program, or the cell, with one line.

    Args:
        lab: name of the script, without its ending.
    """
    try:
        names = read_names(DATA / "names.txt")
        train, dev, test = (read_names(split_path(split)) for split in ("train", "dev", "test"))
        vocabulary = read_vocabulary()
        models = [model_path(model) for model in MODELS[lab]]
        for path in models:
            read_bytes(path)  # whether it is there
        settings, expected = current_settings(lab), read_json(SETTINGS)[lab]
    except InputError as error:
        sys.exit(f"{lab}: {error}")
    warn_if_stale(lab, models)
    changed = tuple(key for key in expected if settings[key] != expected[key])
    text = "The list and the settings are those that this lab describes."
    if changed:
        text = (
            f"The numbers in the text and the ranges do not apply: {', '.join(changed)} changed "
            "since this lab was written. The exercises and their checks work."
        )
    print(f"{len(names):,} names. {text}")
    return Lab(names, train, dev, test, vocabulary, changed)


def run(command: str) -> None:
    """Print a command of the pipeline, and what it prints.

    Args:
        command: begins with `python`, which is the one that runs this.
    """
    print(f"$ {command}")
    arguments = [sys.executable, *shlex.split(command)[1:]]
    finished = subprocess.run(arguments, capture_output=True, encoding="utf-8", check=False)
    print((finished.stdout + finished.stderr).rstrip("\n"))


def show(description: str) -> None:
    """Show the current figure below a cell; a script draws nothing.

    Args:
        description: for readers who do not see the picture.
    """
    import matplotlib.pyplot as plt
    from PIL import Image

    figure = plt.gcf()
    if "ipykernel" in sys.modules:
        from IPython.display import display

        content, small = io.BytesIO(), io.BytesIO()
        figure.savefig(content, format="png", dpi=DPI, bbox_inches="tight")
        Image.open(content).convert("RGB").quantize(COLOURS).save(small, "png", optimize=True)
        encoded = base64.b64encode(small.getvalue()).decode()
        display({"image/png": encoded, "text/plain": f"[{description}]"}, raw=True)
    plt.close(figure)


def verdict(problem: str | None, right: str) -> None:
    """Print what a check found.

    Args:
        problem: what is wrong with the answer; None: nothing.
        right: what to say about a right answer.
    """
    print(f"Not yet: {problem}." if problem else f"Right: {right}.")


def is_empty(*answers: object) -> bool:
    """Tell whether an answer is missing, and say so."""
    empty = any(answer is None for answer in answers)
    if empty:
        print("No answer yet: fill in the cell above, run it, and run this one again.")
    return empty
