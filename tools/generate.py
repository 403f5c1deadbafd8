"""Draw names from a trained model, optionally with a given beginning.

python -m tools.generate --model mlp -n 20 --prefix mar --temperature 0.8 --seed 1
python -m tools.generate -n 50 --top-k 5 --groups      names of train, of dev alone, new ones
python -m tools.generate --model wrong_axis --max-length 200   what a forgotten keepdim does
"""

import sys
import unicodedata

import numpy as np
from pydantic import ValidationError

from charlm import params
from charlm.core.errors import InputError
from charlm.core.storage import model_path, split_path
from charlm.data.examples import bigram_counts, build_examples
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.models.base import Model
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.models.registry import MODELS, load_models
from charlm.names import read_names
from charlm.params import Sample
from charlm.sampling import Uniforms, default_max_length, sample_names
from tools.dvc_state import warn_if_stale
from tools.hints import lower_case_hint, other_case_hint
from tools.program import argument_parser, run_tool

UNIFORM = "uniform"  # every symbol is equally probable, as for a model that has learned nothing
WRONG_AXIS = "wrong_axis"  # counts of train, each column divided by the sum of a row
DEFAULT_MODEL = "mlp"
MAX_ROUNDS = 100  # of drawing, until enough names are new
SETTINGS = ("seed", "count", "temperature", "max_length")  # of the section `sample`


def load(model: str, symbols: int) -> Model:
    """Return a trained model, or a bigram of zeros for the uniform one."""
    if model == UNIFORM:
        return BigramNeural({"W": np.zeros((symbols, symbols), np.float32)}, symbols)
    return load_models(symbols, (model,))[model]


def normalised_along_the_wrong_axis(names: list[str], vocabulary: Vocabulary) -> Model:
    """Return the bigram of `N / N.sum(1)`: without keepdim, row sums are aligned with columns.

    To draw from a row, torch.multinomial divides it by its sum, as is done here.

    Raises:
        InputError: nothing follows some symbol, so that its sum is 0.
    """
    N = bigram_counts(build_examples(names, vocabulary, 1), len(vocabulary))
    sums = N.sum(axis=1)
    if not sums.all():
        symbol = vocabulary.itos[int(sums.argmin())]
        raise InputError(
            f"--model {WRONG_AXIS}: nothing follows {symbol} in the names of train; it needs "
            "vocabulary.boundary: one, and every character in train"
        )
    P = N / sums
    return BigramCount({"P": P / P.sum(axis=1, keepdims=True)}, len(vocabulary))


def draw(
    model: Model,
    vocabulary: Vocabulary,
    settings: Sample,
    max_length: int,
    prefix: str,
    excluded: set[str],
    top_k: int | None = None,
) -> list[str]:
    """Draw names until enough of them are not excluded.

    Args:
        model: to draw from.
        vocabulary: its symbols.
        settings: seed, count and temperature, as in params.yaml.
        max_length: characters, at most.
        prefix: how each name begins.
        excluded: names to leave out.
        top_k: of how many most probable symbols each is drawn, all if None.

    Raises:
        InputError: too few names are new, or no name can begin with the prefix.
    """
    if len(prefix) > max_length:
        raise InputError(f"--prefix: at most {max_length} characters are allowed; found {prefix!r}")
    how = (settings.count, settings.temperature, max_length, Uniforms(settings.seed), prefix, top_k)
    names: list[str] = []
    for _ in range(MAX_ROUNDS):
        try:
            drawn, _ = sample_names(model, vocabulary, *how)
        except ValueError as error:
            raise InputError(f"--prefix: {error}{lower_case_hint(prefix, vocabulary)}") from None
        names += [name for name in drawn if name not in excluded]
        if len(names) >= settings.count:
            return names[: settings.count]
    found = f"only {len(names)} of {settings.count * MAX_ROUNDS} names drawn are new"
    raise InputError(f"--new: {found}; draw fewer names, or raise --temperature")


def grouped(names: list[str], train: list[str], dev: list[str]) -> str:
    """Return names in lines, in groups by where they occur.

    >>> grouped(["ava", "zu", "mia"], train=["ava"], dev=["ava", "mia"])
    'in train (1):\\nava\\n\\nin dev only (1):\\nmia\\n\\nnew (1):\\nzu'
    """
    in_train, in_dev = set(train), set(dev)
    groups: dict[str, list[str]] = {"in train": [], "in dev only": [], "new": []}
    for name in names:
        group = "in train" if name in in_train else "in dev only" if name in in_dev else "new"
        groups[group].append(name)
    blocks = [[f"{group} ({len(found):,}):", *found] for group, found in groups.items()]
    return "\n\n".join("\n".join(block) for block in blocks)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", choices=[*MODELS, UNIFORM, WRONG_AXIS], default=DEFAULT_MODEL)
    parser.add_argument("-n", "--count", type=int, default=20, help="how many names")
    parser.add_argument("--prefix", default="", help="how each name begins")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1 more typical names")
    parser.add_argument(
        "--max-length",
        type=int,
        help="characters, then a cut: twice the longest training name, at least 30",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--top-k", type=int, help="draw from the K most probable symbols only")
    parser.add_argument("--groups", action="store_true", help="list names in train, in dev, new")
    parser.add_argument("--new", action="store_true", help="leave out training names")
    arguments = vars(parser.parse_args())
    try:
        settings = Sample(measured=1, **{key: arguments[key] for key in SETTINGS})
    except ValidationError as error:
        parser.error(params.explain(error))

    vocabulary = read_vocabulary()
    top_k = arguments["top_k"]
    if top_k is not None and not 1 <= top_k <= len(vocabulary):
        raise InputError(f"--top-k: 1 to {len(vocabulary)} symbols are allowed; found {top_k}")
    train = read_names(split_path("train"))
    excluded = {"", *train} if arguments["new"] else set()
    if arguments["model"] == WRONG_AXIS:
        model = normalised_along_the_wrong_axis(train, vocabulary)
    else:
        model = load(arguments["model"], len(vocabulary))
    prefix = unicodedata.normalize("NFC", arguments["prefix"])
    max_length = settings.max_length or max(default_max_length(train), len(prefix) + 1)
    names = draw(model, vocabulary, settings, max_length, prefix, excluded, top_k)
    if arguments["groups"]:
        print(grouped(names, train, read_names(split_path("dev"))))
    else:
        print("\n".join(names))
    if hint := other_case_hint(prefix, train):
        print(f"generate: {hint}", file=sys.stderr)
    if arguments["model"] in MODELS:
        warn_if_stale("generate", [model_path(arguments["model"])])


if __name__ == "__main__":
    run_tool(main)
