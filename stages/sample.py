"""Sample new names from every model.

python -m stages.sample    data/models/*, data/vocabulary.json, data/splits/{train,dev}.txt
    → data/samples/NAME.txt, metrics/sample.csv, plots/lengths.csv

Every model samples with the same seed: models with the same probabilities make the same names.
"""

import sys

import numpy as np

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, PLOTS, split_path, write_lines
from charlm.data.vocabulary import read_vocabulary
from charlm.models.registry import load_models
from charlm.names import read_names
from charlm.sampling import Samples, Uniforms, default_max_length, sample_names
from charlm.tables import exact, write_rows

SHOWN = 5  # names of the last model in the printed line
MAX_CUT_OFF = 0.01  # share of the samples that nothing is said about


def length_shares(names: list[str], longest: int) -> np.ndarray:
    """Return the share of names of each length, from 0 to the longest.

    >>> length_shares(["ava", "zo", "mia", "emma"], longest=4)
    array([0.  , 0.  , 0.25, 0.5 , 0.25])
    """
    return np.bincount([len(name) for name in names], minlength=longest + 1) / len(names)


def measure(samples: Samples, train: set[str], dev: list[str]) -> dict[str, float]:
    """Measure the quality of samples.

    Args:
        samples: names that a model made up.
        train: the training names.
        dev: the dev names.

    Returns:
        in_train: share that occurs in train, learned or memorised.
        distinct: share that is left when repeats are removed.
        at_most_one_letter: share of names of at most one letter.
        cut_off: share that was cut off at the maximal length.
        in_dev: share that occurs in dev and not in train: real names that the model never saw. A
            model that only memorises samples none of these.
        length_distance: total variation distance between their lengths and those of dev, from 0
            (the same) to 1 (none in common).

        The last two are left out if there are no dev names.
    """
    names = samples.names
    metrics = {
        "in_train": sum(name in train for name in names) / len(names),
        "distinct": len(set(names)) / len(names),
        "at_most_one_letter": sum(len(name) <= 1 for name in names) / len(names),
        "cut_off": samples.cut_off / len(names),
    }
    if dev:
        unseen = set(dev) - train
        metrics["in_dev"] = sum(name in unseen for name in names) / len(names)
        longest = max(map(len, names + dev))
        difference = length_shares(names, longest) - length_shares(dev, longest)
        metrics["length_distance"] = float(np.abs(difference).sum() / 2)
    return metrics


def length_rows(lists: dict[str, list[str]]) -> list[tuple[int, str, float]]:
    """Return the share of each length, one row per list of names and length.

    >>> length_rows({"dev": ["a", "ba", "bo", "mi"], "mlp": []})
    [(0, 'dev', 0.0), (1, 'dev', 0.25), (2, 'dev', 0.75)]
    """
    lists = {title: names for title, names in lists.items() if names}
    longest = max(len(name) for names in lists.values() for name in names)
    return [
        (length, title, share)
        for title, names in lists.items()
        for length, share in enumerate(length_shares(names, longest).tolist())
    ]


def main() -> None:
    settings = params.load().sample
    vocabulary = read_vocabulary()
    train, dev = read_names(split_path("train")), read_names(split_path("dev"))
    max_length = settings.max_length or default_max_length(train)
    train_names = set(train)
    kept, measured, metrics = {}, {}, {}
    for name, model in load_models(len(vocabulary)).items():
        kept[name], samples = (
            sample_names(
                model,
                vocabulary,
                count,
                settings.temperature,
                max_length,
                Uniforms(settings.seed),
            )
            for count in (settings.count, settings.measured)
        )
        measured[name] = samples.names
        metrics[name] = measure(samples, train_names, dev)

    for name, samples in kept.items():
        write_lines(DATA / "samples" / f"{name}.txt", samples.names)
    rows = length_rows({"dev": dev} | measured)
    write_rows(PLOTS / "lengths.csv", ["length", "model", "share"], rows)
    measures = [*next(iter(metrics.values()))]
    cells = [(name, *map(exact, values.values())) for name, values in metrics.items()]
    write_rows(METRICS / "sample.csv", ["model", *measures], cells)
    for name, values in metrics.items():
        if values["cut_off"] > MAX_CUT_OFF:
            print(
                f"sample: warning: {values['cut_off']:.1%} of the names of {name} were cut off at "
                f"{max_length} characters; raise sample.max_length",
                file=sys.stderr,
            )
    shares = ", ".join(f"{name} {values['in_train']:.1%}" for name, values in metrics.items())
    last = list(kept)[-1]
    print(
        f"sample: {last}: {', '.join(kept[last].names[:SHOWN])}; share of {settings.measured:,} "
        f"names that occur in train: {shares}"
    )


if __name__ == "__main__":
    run_stage(main)
