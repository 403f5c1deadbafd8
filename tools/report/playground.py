"""The models of a page: their stored tensors, packed for the browser, which computes with them.

The tensors are those of data/models/NAME.safetensors, whole numbers in the smallest type that holds
them, compressed with gzip. `models.js` unpacks them and has the form of each model.
"""

import base64
import gzip
import hashlib
from collections import Counter
from contextlib import suppress
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from charlm.data.tensors import Arrays
from charlm.drawing.symbols import symbol_label
from charlm.models.registry import FITTED_ON_DEV, model_class
from charlm.sampling import default_max_length
from tools.compare.runs import held_out
from tools.report.results import Results

FORMS = ("bigram_count", "bigram_neural", "ngram_count", "mlp", "mixture")  # of models.js
MAX_PACKED_BYTES = 1_700_000  # of all that is packed, so that the page stays below 3 MB
MAX_RAW_BYTES = 20_000_000  # of one model; a larger one is not even compressed
MAX_REAL_NAMES = 1000  # whose losses are there, per model
MAX_EXTREMES = 8  # names whose losses under two models differ most, for each of the two
REVISION_DIGITS = 10  # of the hash of symbols and models
DEFAULT_MODEL = "mlp"
EXAMPLE_LENGTH = 3  # characters that are typed already when the page opens
Packed = dict[str, Any]  # arrays as models.js unpacks them


class Playground(NamedTuple):
    """What the playground computes with, and what is not in it."""

    data: dict[str, Any]  # for page.js
    notes: list[str]  # what is left out, and why

    @property
    def labels(self) -> list[str]:
        """What its models are called."""
        return [model["label"] for model in self.data["models"]]

    @property
    def default(self) -> str:
        """The model that names are drawn from at first."""
        models = self.data["models"]
        preferred = [model["label"] for model in models if model["name"] == DEFAULT_MODEL]
        labels: list[str] = self.labels + preferred
        return labels[-1]

    @property
    def second(self) -> str:
        """The model that it is compared with at first: that of the other revision, or the first."""
        name, *_ = self.default.split()
        return next(
            (label for label in self.labels if label.startswith(f"{name} ")), self.labels[0]
        )


def build_playground(sides: dict[str, Results]) -> Playground:
    """Pack the models of one revision, or of two; what is the same in both is packed once.

    Args:
        sides: what the revisions left, by what to call them.
    """
    notes = [
        f"Not in the playground: the models of {side.revision}, which are not here."
        for side in sides.values()
        if side.vocabulary is None
    ]
    sides = {name: side for name, side in sides.items() if side.vocabulary is not None}
    vocabularies = [side.vocabulary for side in sides.values() if side.vocabulary is not None]
    if any(vocabulary != vocabularies[0] for vocabulary in vocabularies):
        return Playground({"models": []}, ["No playground: A and B have different symbols."])
    if not vocabularies:
        return Playground({"models": []}, notes)
    vocabulary = vocabularies[0]
    *_, last = sides.values()

    models: dict[str, dict[str, Any]] = {}  # by fingerprint
    losses: dict[str, pd.DataFrame] = {}  # by label
    train, dev = last.splits.get("train", []), last.splits.get("dev", [])
    lists = {"train": sorted(set(train)), "dev": sorted(set(dev) - set(train))}
    encoded = {split: "\n".join(names).encode() for split, names in lists.items()}
    words = pack({split: np.frombuffer(text, np.uint8) for split, text in encoded.items()})
    room = MAX_PACKED_BYTES - len(words["data"])
    if room < 0:
        notes.append("Drawn names are not marked: the list is too long for a page.")
        words, room = pack({}), MAX_PACKED_BYTES
    for name in dict.fromkeys(name for side in sides.values() for name in side.models):
        keys = {suffix: fingerprint(name, sides[suffix]) for suffix in sides}
        for suffix, side in sides.items():
            key = keys[suffix]
            if key in models or name not in side.models:
                continue
            label = name if len(set(keys.values())) == 1 else f"{name} {suffix}"
            model, problem = pack_model(name, side, models, room)
            if model is None:
                notes.append(f"{label} is not in the playground: {problem}.")
                continue
            models[key] = {"label": label, **model}
            losses[label] = losses_of_real_names(name, side)
            room -= len(model["tensors"]["data"])
    limit = last.settings.get("sample", {}).get("max_length")
    data = {
        "symbols": vocabulary.itos,
        "labels": [symbol_label(symbol) for symbol in vocabulary.itos],
        "start": vocabulary.start,
        "end": vocabulary.end,
        "maxLength": limit or default_max_length(train or [""]),
        "example": common_beginning(train),
        "models": list(models.values()),
        "words": words,
        "comparisons": compare_names(losses),
        "fitted": FITTED_ON_DEV,
        "revision": hash_models(vocabulary.itos, list(models)),
    }
    return Playground(data, notes)


def pack_model(
    name: str, side: Results, packed: dict[str, dict[str, Any]], room: int
) -> tuple[dict[str, Any] | None, str]:
    """Return a model for the page, or None and why there is none.

    Args:
        name: of the model.
        side: its revision.
        packed: the models before it, by fingerprint.
        room: how many bytes it may take.
    """
    if name not in FORMS:
        return None, "tools/report/models.js has no form of it"
    components = []
    try:
        names = model_class(name).component_names(side.models[name])
    except ValueError as error:
        return None, str(error)
    for component in names:
        if (key := fingerprint(component, side)) not in packed:
            return None, f"{component}, of which it is composed, is not"
        components.append(packed[key]["label"])
    raw_bytes = sum(tensor.nbytes for tensor in side.models[name].values())
    tensors = pack(side.models[name]) if raw_bytes <= MAX_RAW_BYTES else None
    if tensors is None or len(tensors["data"]) > room:
        return None, f"its {raw_bytes / 1e6:,.1f} MB are too many for a page"
    real = pack({"nll": real_names(name, side)})
    return {"name": name, "components": components, "tensors": tensors, "real": real}, ""


def common_beginning(names: list[str]) -> str:
    """Return the beginning that most names have.

    >>> common_beginning(["mario", "ava", "mary"])
    'mar'
    """
    ((beginning, _),) = Counter(name[:EXAMPLE_LENGTH] for name in names or [""]).most_common(1)
    return beginning


def fingerprint(name: str, side: Results) -> str:
    """Return a hash of a model's tensors, and of those of the models that it is composed of."""
    digest = hashlib.sha256(name.encode())
    arrays = side.models.get(name, {})
    for key, tensor in sorted(arrays.items()):
        digest.update(f"{key} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    if arrays:
        with suppress(ValueError):  # the arrays of an older form
            for component in model_class(name).component_names(arrays):
                digest.update(fingerprint(component, side).encode())
    return digest.hexdigest()


def hash_models(symbols: list[str], fingerprints: list[str]) -> str:
    """Return the beginning of a hash of all that the playground computes with."""
    content = "\n".join([*symbols, *fingerprints]).encode()
    return hashlib.sha256(content).hexdigest()[:REVISION_DIGITS]


def losses_of_real_names(name: str, side: Results) -> pd.DataFrame:
    """Return the loss of each dev name that is not in train.

    Returns:
        By name: `nll`, its sum, infinite where a name has probability 0; and `characters`.
    """
    if side.run is None or name not in side.run.evaluation:
        return pd.DataFrame({"nll": [], "characters": []}, dtype=np.float64)
    names = held_out(side.run.evaluation, "dev")
    return names[["characters"]].assign(nll=names[name].fillna(np.inf))


def real_names(name: str, side: Results) -> np.ndarray:
    """Return the NLL per character of real names in ascending order.

    Returns:
        (names,) float32, a sample at equal distances if they are many; infinite where a name has
        probability 0.
    """
    losses = losses_of_real_names(name, side)
    nll = (losses["nll"] / losses["characters"]).sort_values().to_numpy(np.float32)
    shown = np.linspace(0, len(nll) - 1, min(len(nll), MAX_REAL_NAMES)).round().astype(int)
    return np.take(nll, shown)


def compare_names(losses: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Compare every two models name by name.

    Args:
        losses: of real names, by the label of a model.

    Returns:
        For every two models with names in common: `models`, their labels; `total`, the number of
        these names; `better`, how many have the lower loss under each; and `names`, for each model
        those that it predicts better by most, with both losses, None if infinite.
    """
    comparisons = []
    for (a, first), (b, second) in combinations(losses.items(), 2):
        both = pd.concat({"a": first["nll"], "b": second["nll"]}, axis=1, join="inner")
        difference = (both["a"] - both["b"]).dropna().sort_values(kind="stable")
        sides = [difference[difference < 0], difference[difference > 0][::-1]]
        chosen = [both.loc[side.index[:MAX_EXTREMES]] for side in sides]
        if len(both):
            comparisons.append(
                {
                    "models": [a, b],
                    "total": len(both),
                    "better": [len(side) for side in sides],
                    "names": [[*map(rounded, rows.itertuples())] for rows in chosen],
                }
            )
    return comparisons


def rounded(row: Any) -> list[Any]:
    """Return a name and its losses for JSON, which has no infinity."""
    name, *losses = row
    return [name, *(round(loss, 2) if np.isfinite(loss) else None for loss in losses)]


def pack(arrays: Arrays) -> Packed:
    """Compress arrays; `unpack` of models.js is the inverse.

    Returns:
        `data`: base64 of gzip of the arrays, one after the other; `arrays`: their names, types in
        JavaScript and shapes. Those of the largest type come first, so that each begins at a
        multiple of its size.
    """
    narrow = {name: narrowed(array) for name, array in arrays.items()}
    # safetensors returns tensors in another order every time
    ordered = sorted(narrow.items(), key=lambda item: (-item[1].itemsize, item[0]))
    content = b"".join(np.ascontiguousarray(array).tobytes() for _, array in ordered)
    return {
        "arrays": [
            [name, f"{array.dtype.name.title()}Array", array.shape] for name, array in ordered
        ],
        "data": base64.b64encode(gzip.compress(content, mtime=0)).decode(),
    }


def narrowed(array: np.ndarray) -> np.ndarray:
    """Return whole numbers in the smallest type that holds them; JavaScript has none of 8 bytes.

    >>> narrowed(np.array([0, 300])).dtype, narrowed(np.array([0.5])).dtype
    (dtype('uint16'), dtype('float64'))
    """
    if array.dtype.kind not in "iub":
        return array
    smallest = np.min_scalar_type(int(array.max(initial=0)))
    return array.astype(np.float64 if smallest == np.uint64 else smallest)
