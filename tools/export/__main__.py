"""Write a trained model to a file that other programs read, and a card that describes it.

python -m tools.export ngram_count --format arpa       for KenLM → export/ngram_count.arpa
python -m tools.export mlp --format onnx               for ONNX Runtime → export/mlp.onnx
python -m tools.export mlp --format safetensors -o mlp.safetensors

ARPA is for models that count, ONNX for networks, safetensors for each but a mixture. The card, such
as export/mlp.onnx.md, has the lines that read the file, the losses, and the data behind it.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import safetensors.numpy

from charlm.core.errors import InputError
from charlm.core.storage import atomic_write, model_path, write_bytes
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.models.base import Model
from charlm.models.registry import FITTED_ON_DEV, MODELS, load_models
from tools.dvc_state import find_stale
from tools.export.arpa import ARPA_MODELS, arpa_file
from tools.export.card import EVALUATION, card
from tools.export.graphs import ONNX_MODELS, onnx_file
from tools.program import argument_parser, run_tool

FOLDER = Path("export")


def safetensors_file(model: Model, vocabulary: Vocabulary) -> bytes:
    """Return the arrays of a model, with its vocabulary.

    The metadata has one key: safetensors 0.8 writes several in another order in each run.
    """
    description = {
        "name": model.name,
        "symbols": vocabulary.itos,
        "start": vocabulary.start,
        "end": vocabulary.end,
        "block_size": model.block_size,
        "reads_whole_names": model.reads_whole_names,
    }
    metadata = {"model": json.dumps(description, ensure_ascii=False)}
    return safetensors.numpy.save(model.arrays, metadata)


WRITERS: dict[str, Callable[[Model, Vocabulary], bytes]] = {
    "arpa": arpa_file,
    "onnx": onnx_file,
    "safetensors": safetensors_file,
}


def check_format(name: str, kind: str) -> None:
    """Check that a model can have a format.

    Raises:
        InputError: it cannot.
    """
    if name in FITTED_ON_DEV:
        raise InputError(
            f"export: {name} is an average of other models: export these, and average their "
            f"probabilities with the weights of metrics/{name}.csv"
        )
    onnx_models = [model for model in ONNX_MODELS if model in MODELS]
    allowed = {"arpa": [*ARPA_MODELS], "onnx": onnx_models}
    if name not in allowed.get(kind, [name]):
        other = [key for key in WRITERS if name in allowed.get(key, [name])]
        raise InputError(
            f"export: {name} has no form as {kind}, which is for {', '.join(allowed[kind])}; "
            f"{name} can be {' or '.join(other)}"
        )


def check_paths(path: Path, card_path: Path) -> None:
    """Check that a file and its card can be written and replace nothing.

    Raises:
        InputError: something is in the way, or the folder does not exist.
    """
    if path.is_dir():
        raise InputError(f"export: {path} is a folder; give a file with -o")
    for one in (path, card_path):
        if one.exists():
            raise InputError(f"export: {one} exists; delete it, or choose another -o")
    if path.parent != FOLDER and not path.parent.is_dir():
        raise InputError(f"export: {path.parent}: no such folder; create it first")


def main() -> None:
    parser = argument_parser(__doc__)
    add = parser.add_argument
    add("name", metavar="NAME", choices=MODELS, help=f"a model: {', '.join(MODELS)}")
    add("--format", choices=WRITERS, required=True)
    add("-o", "--output", type=Path, metavar="PATH", help=f"{FOLDER}/NAME.FORMAT by default")
    arguments = parser.parse_args()
    name, kind = arguments.name, arguments.format
    path = arguments.output or FOLDER / f"{name}.{kind}"
    card_path = path.with_name(f"{path.name}.md")
    check_format(name, kind)
    check_paths(path, card_path)

    vocabulary = read_vocabulary()
    model = load_models(len(vocabulary), (name,))[name]
    try:
        content = WRITERS[kind](model, vocabulary)
    except ModuleNotFoundError as error:
        raise InputError(
            f"export: no package {error.name}; {kind} needs the extra `export`: "
            "pip install -c constraints.txt -c constraints-dev.txt '.[export]'"
        ) from None
    stale = find_stale([path for path in (model_path(name), EVALUATION) if path.exists()])
    sha256 = hashlib.sha256(content).hexdigest()
    text = card(model, vocabulary, kind, path.name, sha256, stale)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
        write_bytes(card_path, text.encode())
    print(f"export: {path}, {len(content):,} bytes; how to read it: {card_path}")
    if stale:
        print(f"export: {stale}", file=sys.stderr)


if __name__ == "__main__":
    run_tool(main)
