"""Sample new names from every model.

python -m stages.sample    data/models/*, data/vocabulary.json, data/splits/train.txt
    → data/samples/<model>.txt, metrics/sample.json

Every model draws with the same seed: where two of them agree, so do their names.
"""

from statistics import fmean

import numpy as np
import torch
from torch import Generator

from stages import files, models, params, vocabulary
from stages.contexts import distinct
from stages.models import MODELS, Parameters
from stages.vocabulary import BOUNDARY


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
    """
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


def share_new(names: list[str], train: set[str]) -> float:
    """Return the share of names that do not stand in train.

    >>> share_new(["ava", "avo", "zo", "zo"], train={"ava"})
    0.75
    """
    return fmean(name not in train for name in names)


def main() -> None:
    settings = params.load().sample
    itos = files.read_json(files.DATA / "vocabulary.json")
    train = set(files.read_names(files.DATA / "splits" / "train.txt"))
    samples = {}
    for model in MODELS:
        generator = Generator().manual_seed(settings.seed)
        samples[model] = sample(
            model,
            models.read(model),
            itos,
            settings.count,
            settings.temperature,
            settings.max_length,
            generator,
        )
    metrics = {
        "new": {model: share_new(names, train) for model, names in samples.items()},
        "mean_length": {model: fmean(map(len, names)) for model, names in samples.items()},
    }

    for model, names in samples.items():
        files.write_lines(files.DATA / "samples" / f"{model}.txt", names)
    files.write_json(files.METRICS / "sample.json", metrics)
    shares = ", ".join(f"{model} {share:.0%}" for model, share in metrics["new"].items())
    some = ", ".join(samples["mlp"][:5])
    print(f"sample: {settings.count} names a model, not in train: {shares}; mlp: {some}")


if __name__ == "__main__":
    main()
