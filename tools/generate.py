"""Draw names from a trained model, if you like with a given beginning.

python -m tools.generate --model mlp -n 20 --prefix mar --temperature 0.8 --seed 1
"""

import argparse

import torch
from pydantic import ValidationError
from torch import Generator

from charlm import InputError, storage as files, params
from charlm.models import base as stored
from charlm.models.mlp import MODELS, Parameters
from charlm.params import Sample
from stages.sample import sample
from charlm.vocabulary import BOUNDARY

UNIFORM = "uniform"  # every symbol equally probable: what a model that has learned nothing says
ROUNDS = 100  # of drawing, at most, until enough names are new


def read(model: str, symbols: int) -> tuple[str, Parameters]:
    """Return the kind of a model and its tensors; the uniform one is a bigram of zeros."""
    if model == UNIFORM:
        return "bigram_neural", {"W": torch.zeros(symbols, symbols)}
    return model, stored.read(model, symbols)


DRAWN = ("seed", "count", "temperature", "max_length")  # what the section `sample` also has


def draw(model: str, itos: list[str], settings: Sample, prefix: str, train: set[str]) -> list[str]:
    """Draw names until enough of them are not in `train`.

    Args:
        model: a trained one, or `uniform`.
        itos: the vocabulary.
        settings: seed, count, temperature and length, as the stage takes them.
        prefix: how each name begins.
        train: names to leave out.

    Raises:
        InputError: too few names are new, or no name can begin with the prefix.
    """
    if BOUNDARY in prefix or len(prefix) > settings.max_length:
        allowed = f"{settings.max_length} characters at most, none of them {BOUNDARY!r}"
        raise InputError(f"--prefix: {allowed}, are allowed; found {prefix!r}")
    kind, parameters = read(model, len(itos))
    generator = Generator().manual_seed(settings.seed)
    names: list[str] = []
    for _ in range(ROUNDS):
        try:
            drawn = sample(
                kind,
                parameters,
                itos,
                settings.count,
                settings.temperature,
                settings.max_length,
                generator,
                prefix,
            )
        except ValueError as error:
            raise InputError(f"--prefix: {error}") from None
        names += [name for name in drawn if name not in train]
        if len(names) >= settings.count:
            return names[: settings.count]
    found = f"only {len(names)} of {settings.count * ROUNDS} names drawn are new"
    raise InputError(f"--new: {found}; ask for fewer, or raise --temperature")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=[*MODELS, UNIFORM], default="mlp")
    parser.add_argument("-n", "--count", type=int, default=20, help="how many names")
    parser.add_argument("--prefix", default="", help="how each name begins")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1 more typical names")
    parser.add_argument("--max-length", type=int, default=30, help="characters, then a cut")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--new", action="store_true", help="leave out training names")
    arguments = vars(parser.parse_args())
    try:
        settings = Sample(measured=1, **{key: arguments[key] for key in DRAWN})
    except ValidationError as error:
        parser.error(params.explain(error))

    itos = files.read_vocabulary()
    train = files.read_names(files.DATA / "splits" / "train.txt") if arguments["new"] else []
    names = draw(arguments["model"], itos, settings, arguments["prefix"], set(train))
    print("\n".join(names))


if __name__ == "__main__":
    main()
