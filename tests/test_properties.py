"""Any words and parameters: an error in one line, or a finished stage with right outputs.

`make test` tries a few generated cases, `make test-faults` over 2,000.
"""

import json
import math
import re
import tempfile
import unicodedata
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.numpy
import yaml
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from charlm import params
from charlm.core.errors import InputError
from charlm.core.storage import SPLITS
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.models.registry import model_class
from charlm.names import read_names
from charlm.tables import parse_rows
from tests.conftest import ROOT, STAGES, declared, run_stages

GOOD = yaml.safe_load((ROOT / "params.yaml").read_text())
PICTURES = ("plot_bigrams", "plot_mlp")  # nine tenths of the time of all stages on a few names
WITHOUT_PICTURES = [stage for stage in STAGES if stage not in PICTURES]
KEYS = [f"{section}.{key}" for section, keys in GOOD.items() for key in keys]

letters = st.sampled_from([*"abcxyzABC .'-", "é", "ə", "ğ", "花", "子", "🙂", "\u200d", "\u0301"])
words = st.text(letters, max_size=8) | st.text(max_size=5)
good_words = st.text(st.sampled_from("abcé花🙂"), min_size=1, max_size=6)
good_lists = st.lists(good_words, min_size=2, max_size=30).map(
    lambda some: "\n".join(some).encode()
)
lists = (
    good_lists
    | good_lists
    | good_lists
    | st.lists(words, max_size=10).map(
        lambda some: "\n".join(some).encode("utf-8", "surrogatepass")
    )
    | st.binary(max_size=40)
)
shares = st.floats(0.1, 0.9) | st.sampled_from([0.8, 0.9, 1.0])


def one_line(error: InputError, beginning: str = "") -> None:
    """Check that the error is one line."""
    assert str(error).startswith(beginning)
    assert str(error)
    assert "\n" not in str(error)
    event("refused")


def meant(content: bytes) -> list[str]:
    """Return the names of a list, as people mean it."""
    lines = re.split("\r\n|\r|\n", content.decode())
    ends = r"[\s\xad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]*"
    whole = re.compile(f"{ends}(.*?){ends}", re.DOTALL)
    names = (whole.fullmatch(unicodedata.normalize("NFC", line))[1] for line in lines)
    return [name for name in names if name]


def finite(value: object) -> bool:
    """Tell whether all numbers in nested dicts are finite."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)


@given(
    content=lists,
    seed=st.none() | st.integers(0, 2**63 - 1),
    train=shares,
    dev=st.floats(0, 0.2) | st.sampled_from([0.0, 0.1]),
    unique=st.booleans(),
    limit=st.none() | st.integers(1, 20),
    block_size=st.integers(1, 64),
    order=st.integers(2, 16),
    boundary=st.sampled_from(["one", "two"]),
    boundary_place=st.sampled_from(["first", "last"]),
)
def test_names_are_split_and_contexts_give_them_back(content: bytes, **values: object):
    changes = {f"split.{key}": values[key] for key in ("seed", "train", "dev", "unique", "limit")}
    changes |= {
        "contexts.block_size": values["block_size"],
        "ngram_count.order": values["order"],
    }
    changes |= {f"vocabulary.{key}": values[key] for key in ("boundary", "boundary_place")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            run_stages(folder, content, changes, ("fetch", "split", "build_contexts"))
        except InputError as error:
            one_line(error)
            assert not list(folder.rglob("*.tmp"))
            return
        names = meant(content)
        stored = (folder / "data/names.txt").read_bytes()
        if content.decode().removesuffix("\n").split("\n") == names:
            assert stored == content
        else:
            assert stored.decode() == "".join(f"{name}\n" for name in names)
        used = (list(dict.fromkeys(names)) if values["unique"] else names)[: values["limit"]]
        splits = {split: read_names(folder / f"data/splits/{split}.txt") for split in SPLITS}
        assert sorted(chain(*splits.values())) == sorted(used)
        itos = json.loads((folder / "data/vocabulary.json").read_text())
        characters = sorted(set("".join(names)))
        boundary = ["<.>" if "." in characters else "."]
        if values["boundary"] == "two":
            boundary = ["<START>", "<END>"]
        is_first = values["boundary_place"] == "first"
        assert itos == (boundary + characters if is_first else characters + boundary)
        start, end = boundary[0], boundary[-1]
        lengths = {"bigram": 1, "mlp": values["block_size"]}
        for kind, block_size in lengths.items():
            for split, members in splits.items():
                path = folder / f"data/contexts/{kind}/{split}.safetensors"
                examples = safetensors.numpy.load_file(path)
                text = [itos[target] for target in examples["targets"]]
                assert text == [symbol for member in members for symbol in (*member, end)]
                assert examples["contexts"].shape == (len(text), block_size)
                # each context is the end of the text before it
                before = [start] * block_size
                for row, symbol in zip(examples["contexts"], text, strict=True):
                    assert [itos[number] for number in row] == before
                    before = [start] * block_size if symbol == end else [*before[1:], symbol]


runs = {  # strategies for a list of names and the settings of a run
    "words": st.lists(good_words, min_size=3, max_size=20),
    "rates": st.lists(st.floats(-6, 6), min_size=2, max_size=2),
    "smoothing": st.floats(0, 1e9) | st.just(0) | st.just(1),
    "l2": st.floats(0, 1e6) | st.just(0.0),
    "sizes": st.lists(st.integers(1, 8), min_size=4, max_size=4),
    "layers": st.integers(1, 4),
    "activation": st.sampled_from(["tanh", "gelu"]),
    "direct": st.booleans(),
    "dropout": st.floats(0, 0.99) | st.just(0.0),
    "init": st.sampled_from(["scaled", "normal"]),
    "optimizer": st.sampled_from(["adamw", "sgd"]),
    "schedule": st.sampled_from(["one_cycle", "cosine", "step_decay", "constant"]),
    "batch_size": st.none() | st.integers(1, 20),
    "targets": st.sampled_from(["expected", "drawn"]),
    "steps": st.integers(2, 12),
    "order": st.integers(2, 6),
    "splits": st.lists(st.sampled_from(SPLITS), min_size=1, max_size=3, unique=True),
    "temperature": st.floats(1e-6, 1e6) | st.just(1.0),
    "max_length": st.none() | st.integers(1, 12),
    "boundary": st.sampled_from(["one", "two"]),
    "boundary_place": st.sampled_from(["first", "last"]),
    "keep": st.sampled_from(["last", "best_on_dev"]),
}


def changes_of(values: dict[str, object]) -> dict[str, object]:
    """Return the changes of params.yaml of a run."""
    embedding, hidden, block_size, count = values["sizes"]
    names = ("layers", "activation", "direct", "dropout", "init", "optimizer", "schedule")
    more = ("batch_size", "targets", "steps", "keep")
    return {f"mlp.{key}": values[key] for key in (*names, *more)} | {
        "split.train": 0.5,
        "split.dev": 0.25,
        "vocabulary.boundary": values["boundary"],
        "vocabulary.boundary_place": values["boundary_place"],
        "contexts.block_size": block_size,
        "bigram_count.smoothing": values["smoothing"],
        "bigram_neural.lr": 10 ** values["rates"][0],
        "bigram_neural.l2": values["l2"],
        "bigram_neural.steps": values["steps"],
        "ngram_count.order": values["order"],
        "mlp.lr": 10 ** values["rates"][1],
        "mlp.embedding": embedding,
        "mlp.hidden": hidden,
        "find_learning_rate.steps": values["steps"],
        "find_learning_rate.hidden": hidden,
        "evaluate.splits": values["splits"],
        "sample.count": count,
        "sample.measured": count,
        "sample.temperature": values["temperature"],
        "sample.max_length": values["max_length"],
    }


@settings(
    max_examples=settings.default.max_examples // 5,
    phases=[Phase.generate],  # searching for a smaller case would take minutes
    suppress_health_check=[HealthCheck.too_slow],
)
@given(**runs)
def test_models_are_finite_and_their_rows_sum_to_one(words: list[str], **values: object):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            run_stages(folder, "\n".join(words).encode(), changes_of(values), WITHOUT_PICTURES)
        except InputError as error:
            one_line(error)
        assert not list(folder.rglob("*.tmp"))
        for path in folder.glob("data/models/*_count.safetensors"):
            cls = model_class(path.stem)
            names = read_names(folder / "data/splits/train.txt")
            vocabulary = Vocabulary.of(json.loads((folder / "data/vocabulary.json").read_text()))
            contexts = build_examples(names, vocabulary, values["order"] - 1)["contexts"]
            model = cls(safetensors.numpy.load_file(path), len(vocabulary))
            P = np.exp(model.logits(np.concatenate((contexts, contexts[::-1, ::-1]))))
            assert (P >= 0).all()
            assert abs(P.sum(axis=1) - 1).max() < 1e-9
        for path in folder.glob("metrics/nll/*.json"):
            assert finite(json.loads(path.read_text(), parse_constant=float))
        for path in folder.glob("metrics/*.csv"):
            cells = {cell for row in parse_rows(path.read_bytes()) for cell in row.values()}
            assert not cells & {"nan", "inf", "-inf"}
        for path in folder.glob("plots/*.csv"):
            table = pd.read_csv(path, keep_default_na=False)
            for column in {"nll", "share", "objective"} & set(table):
                assert finite(dict(enumerate(table[column].astype(float))))
        for path in folder.glob("data/samples/*.txt"):
            samples = path.read_text().split("\n")
            assert len(samples) == values["sizes"][-1] + 1
            assert max(map(len, samples)) <= (values["max_length"] or 30)


@settings(
    max_examples=settings.default.max_examples // 40,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(**runs)
def test_pictures_are_drawn_whatever_is_trained(words: list[str], **values: object):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            run_stages(folder, "\n".join(words).encode(), changes_of(values))
        except InputError as error:
            one_line(error)
            return
        for path in chain.from_iterable(declared(stage, "plots") for stage in PICTURES):
            assert (folder / path).read_bytes().endswith(b"</svg>\n")


anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.lists(st.integers() | st.text(max_size=3), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
)
NUMBERS = [".nan", ".NaN", "nan", ".inf", "-.inf", "+.INF", "inf", "1e999", "0x1f", "1_000", "1:30"]
OTHERS = ["~", "null", "", "yes", "2001-01-01", "[dev, dev]", "'0.1'", "{}", "- 1", "&a [*a]"]
TAGS = ["!!float nan", "!!python/object/apply:os.system [exit]", "!!binary aGk="]
spelled = st.sampled_from([*NUMBERS, *OTHERS, *TAGS])


@given(key=st.sampled_from(KEYS), value=anything, spelling=st.none() | spelled)
def test_any_value_of_any_parameter_is_accepted_or_refused_in_one_line(
    key: str, value: object, spelling: str | None
):
    section, name = key.split(".")
    values = {title: dict(keys) for title, keys in GOOD.items()}
    values[section][name] = "HERE" if spelling is not None else value
    text = yaml.safe_dump(values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_text(text.replace("HERE", spelling or ""), encoding="utf-8", newline="")
        try:
            found = params.load(path)
        except InputError as error:
            one_line(error, f"{path}: ")
            return
        assert finite(found.model_dump())
