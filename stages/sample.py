"""Sample new names from every model.

python -m stages.sample    data/models/*, data/vocabulary.json, data/splits/{train,dev}.txt
    → data/samples/<model>.txt, plots/lengths.csv, metrics/sample.json

Every model draws with the same seed: where two of them agree, so do their names.
"""

from statistics import fmean

import numpy as np
import pandas as pd
import torch
from torch import Generator

from charlm import storage as files, params, vocabulary
from charlm.models import base as stored, mlp as models
from charlm.examples import distinct
from charlm.models.mlp import MODELS, Parameters
from charlm.runtime import afford, run
from charlm.vocabulary import BOUNDARY


def sample(
    model: str,
    parameters: Parameters,
    itos: list[str],
    count: int,
    temperature: float,
    max_length: int,
    generator: Generator,
    prefix: str = "",
) -> list[str]:
    """Draw names, all that have not ended one character further at each step.

    Args:
        temperature: divides the logits; below 1 the probable becomes more probable.
        max_length: characters after which a name is cut off.
        generator: of all draws.
        prefix: what each name begins with.

    Returns:
        `count` names. One whose first character is the end mark is empty.

    Raises:
        InputError: so many names take too much memory.
    """
    afford(
        f"{count:,} names of up to {max_length:,} characters, of {len(itos):,} symbols,",
        count * (10 * max_length + 12 * 8 * len(itos)),
        "lower the count or the length",
    )
    block_size = models.block_size(parameters)
    start = vocabulary.encode(BOUNDARY * block_size + prefix, itos)[-block_size:]
    contexts = np.tile(start, (count, 1))
    unfinished = np.arange(count)
    drawn = np.zeros((count, max_length - len(prefix)), dtype=start.dtype)
    for position in range(max_length - len(prefix)):
        # a context that many names share is computed once
        found, index = distinct(contexts)
        logits = MODELS[model](parameters, torch.from_numpy(found).long()).double()
        # relative to the largest logit, so that no temperature makes one infinite
        logits = (logits - logits.amax(dim=1, keepdim=True)) / temperature
        cumulative = logits.softmax(dim=1).cumsum(dim=1)
        # every name has its own share of chance, also where others have ended
        chance = torch.rand(count, dtype=torch.float64, generator=generator)[unfinished]
        below = cumulative[index] <= chance.unsqueeze(1) * cumulative[index, -1:]
        symbols = below.sum(dim=1).numpy().astype(start.dtype)
        drawn[unfinished, position] = symbols
        going = symbols != 0
        unfinished = unfinished[going]
        contexts = np.column_stack((contexts[going], symbols[going]))[:, 1:]
        if not len(unfinished):
            break
    lengths = np.count_nonzero(drawn, axis=1)
    rows = zip(drawn.tolist(), lengths, strict=True)
    return [prefix + vocabulary.decode(row[:length], itos) for row, length in rows]


def length_shares(names: list[str], longest: int) -> np.ndarray:
    """Return the share of names of each length, from 0 to the longest.

    >>> length_shares(["ava", "zo", "mia", "emma"], longest=4)
    array([0.  , 0.  , 0.25, 0.5 , 0.25])
    """
    return np.bincount([len(name) for name in names], minlength=longest + 1) / len(names)


def measure(names: list[str], train: set[str], dev: list[str]) -> dict[str, float]:
    """Return what samples are worth.

    Args:
        names: the samples.
        train: the training names.
        dev: the dev names.

    Returns:
        in_train: share that stands in train: learned, or learned by heart?
        distinct: share that is left when repeats are dropped.
        at_most_one_letter: share of names that are hardly any.
        in_dev: share that stands in dev and not in train: real names that the model never saw.
            What copies has none of these.
        length_distance: total variation between their lengths and those of dev, from 0, the same,
            to 1, none in common.

        The last two are left out if there are no dev names.
    """
    metrics = {
        "in_train": fmean(name in train for name in names),
        "distinct": len(set(names)) / len(names),
        "at_most_one_letter": fmean(len(name) <= 1 for name in names),
    }
    if dev:
        unseen = set(dev) - train
        metrics["in_dev"] = fmean(name in unseen for name in names)
        longest = max(map(len, names + dev))
        difference = length_shares(names, longest) - length_shares(dev, longest)
        metrics["length_distance"] = float(np.abs(difference).sum() / 2)
    return metrics


def length_table(names: dict[str, list[str]]) -> pd.DataFrame:
    """Return the share of each length, one row a list of names and length."""
    some = {title: members for title, members in names.items() if members}
    longest = max(len(name) for members in some.values() for name in members)
    shares = {title: length_shares(members, longest) for title, members in some.items()}
    table = pd.DataFrame(shares).rename_axis("length")
    return table.melt(var_name="model", value_name="share", ignore_index=False).reset_index()


def main() -> None:
    settings = params.load().sample
    itos = files.read_vocabulary()
    train, dev = (
        files.read_names(files.DATA / "splits" / f"{split}.txt") for split in ("train", "dev")
    )
    samples, measured = {}, {}
    for model, parameters in stored.read_all(len(itos)).items():
        samples[model], measured[model] = (
            sample(
                model,
                parameters,
                itos,
                count,
                settings.temperature,
                settings.max_length,
                Generator().manual_seed(settings.seed),
            )
            for count in (settings.count, settings.measured)
        )
    seen = set(train)
    found = {model: measure(names, seen, dev) for model, names in measured.items()}
    metrics = {
        metric: {model: values[metric] for model, values in found.items()}
        for metric in found["mlp"]
    }

    for model, names in samples.items():
        files.write_lines(files.DATA / "samples" / f"{model}.txt", names)
    files.write_table(files.PLOTS / "lengths.csv", length_table({"dev": dev} | measured))
    files.write_json(files.METRICS / "sample.json", metrics)
    shares = ", ".join(f"{model} {share:.1%}" for model, share in metrics["in_train"].items())
    some = ", ".join(samples["mlp"][:5])
    print(f"sample: of {settings.measured} names a model stand in train: {shares}; mlp: {some}")


if __name__ == "__main__":
    run(main)
