"""params.yaml as typed values, checked whole before any work."""

import re
import reprlib
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.events import MappingStartEvent, ScalarEvent

from charlm.core.errors import InputError
from charlm.core.yaml_files import parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT_REPR = reprlib.Repr()  # of wrong values, which may be long or nested
SHORT_REPR.maxstring = SHORT_REPR.maxother = 80
SCIENTIFIC = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def _number_from_text(value: Any) -> Any:
    """Turn `2e-1`, which YAML 1.1 hands over as text, into the number; leave the rest alone."""
    if isinstance(value, str) and SCIENTIFIC.fullmatch(value):
        return float(value)
    return value


def _int_from_float(value: Any) -> Any:
    """Turn `2e5`, as text or as a float, into the whole number it stands for."""
    value = _number_from_text(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pair_from_list(value: Any) -> Any:
    """Turn a list of two, which is how YAML writes a pair, into a tuple."""
    if not isinstance(value, list) or len(value) != 2:
        found = SHORT_REPR.repr(value)
        raise ValueError(
            f"expected a step and a learning rate, such as [30000, 0.05]; found {found}"
        )
    return tuple(value)


Number = Annotated[float, BeforeValidator(_number_from_text)]
Int = Annotated[int, BeforeValidator(_int_from_float)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Seed = Annotated[Int, Field(ge=0, lt=2**63)]
Size = Annotated[Int, Field(ge=1, le=100_000)]
Steps = Annotated[Int, Field(ge=1, le=10_000_000)]
LearningRate = Annotated[Number, Field(gt=0)]
Part = Annotated[tuple[Steps, LearningRate], BeforeValidator(_pair_from_list)]
Penalty = Annotated[Number, Field(ge=0, le=1e6)]


class Section(BaseModel):
    """One section of params.yaml: no conversions, no unknown keys, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


AnySection = TypeVar("AnySection", bound=Section)


class Environment(Section):
    versions: Literal["pinned", "any"]


class Fetch(Section):
    url: Annotated[str, Field(min_length=1)]
    sha256: Sha256 | None
    lines: Literal["plain", "any"] = "plain"


class Split(Section):
    seed: Seed | None
    train: Annotated[Number, Field(gt=0, le=1)]
    dev: Annotated[Number, Field(ge=0, lt=1)]
    unique: bool
    limit: Annotated[Int, Field(ge=1)] | None

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if round(self.train + self.dev, 9) > 1:
            raise ValueError(
                f"train and dev may add up to 1 at most; they give {self.train + self.dev:g}"
            )
        return self


class Vocabulary(Section):
    boundary: Literal["one", "two"]
    boundary_place: Literal["first", "last"]


class Contexts(Section):
    block_size: Annotated[Int, Field(ge=1, le=64)]


class BigramCount(Section):
    smoothing: Annotated[Number, Field(ge=0, le=1e9)]


class BigramNeural(Section):
    seed: Seed
    steps: Steps
    lr: LearningRate
    l2: Penalty


class NgramCount(Section):
    order: Annotated[Int, Field(ge=2, le=16)]
    smoothing: Literal["kneser_ney", "add_k"]
    k: Annotated[Number, Field(gt=0, le=1e9)]


class Mlp(Section):
    seed: Seed
    embedding: Size
    hidden: Size
    layers: Annotated[Int, Field(ge=1, le=100)]
    activation: Literal["tanh", "gelu"]
    direct: bool
    dropout: Annotated[Number, Field(ge=0, lt=1)]
    init: Literal["scaled", "normal"]
    optimizer: Literal["adamw", "sgd"]
    schedule: Literal["one_cycle", "cosine", "step_decay", "constant", "parts"]
    lr: LearningRate
    parts: list[Part]
    weight_decay: Penalty
    steps: Steps
    batch_size: Annotated[Int, Field(ge=1, le=10_000_000)] | None
    targets: Literal["expected", "drawn"]
    keep: Literal["last", "best_on_dev"]
    start_from: Annotated[str, Field(min_length=1)] | None
    start_from_sha256: Sha256 | None

    @model_validator(mode="after")
    def _parts_follow_each_other(self) -> Self:
        starts = [step for step, _ in self.parts]
        if any(later <= earlier for earlier, later in pairwise(starts)):
            raise ValueError(f"the steps of parts must ascend; found {starts}")
        if self.schedule == "parts" and not starts:
            raise ValueError(
                "schedule: parts needs parts, pairs of a step and the learning rate from there on, "
                "such as [[30000, 0.05], [60000, 0.01]]; found none"
            )
        if self.schedule == "parts" and starts[-1] >= self.steps:
            raise ValueError(
                f"the steps of parts must be below steps, {self.steps}; found {starts[-1]}"
            )
        return self


class Gru(Section):
    seed: Seed
    ensemble: Annotated[Int, Field(ge=1, le=100)]
    unique: bool
    hidden: Size
    dropout: Annotated[Number, Field(ge=0, lt=1)]
    output_dropout: Annotated[Number, Field(ge=0, lt=1)]
    lr: LearningRate
    weight_decay: Penalty
    steps: Steps
    batch_size: Annotated[Int, Field(ge=1, le=10_000_000)]


class Transformer(Section):
    seed: Seed
    embedding: Size
    blocks: Annotated[Int, Field(ge=1, le=100)]
    heads: Size
    dropout: Annotated[Number, Field(ge=0, lt=1)]
    lr: LearningRate
    weight_decay: Penalty
    steps: Steps
    batch_size: Annotated[Int, Field(ge=1, le=10_000_000)]

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.embedding % (2 * self.heads):
            raise ValueError(
                f"embedding must be a multiple of twice the heads; found {self.embedding} and "
                f"{self.heads}"
            )
        return self


class Mixture(Section):
    components: Annotated[list[str], Field(min_length=2)]
    weights: Literal["constant", "per_position"]

    @model_validator(mode="after")
    def _no_component_twice(self) -> Self:
        if len(set(self.components)) < len(self.components):
            raise ValueError(f"components may name each model once; found {self.components}")
        if "mixture" in self.components:
            raise ValueError(f"a mixture is no component of itself; found {self.components}")
        return self


class FindLearningRate(Section):
    seed: Seed
    embedding: Size
    hidden: Size
    init: Literal["scaled", "normal"]
    batch_size: Annotated[Int, Field(ge=1, le=10_000_000)]
    steps: Annotated[Int, Field(ge=2, le=100_000)]
    lowest: Annotated[Number, Field(ge=-10, le=10)]
    highest: Annotated[Number, Field(ge=-10, le=10)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest must be below highest; found {self.lowest}, {self.highest}")
        return self


class Evaluate(Section):
    splits: Annotated[list[Literal["train", "dev", "test"]], Field(min_length=1)]

    @model_validator(mode="after")
    def _no_split_twice(self) -> Self:
        if len(set(self.splits)) < len(self.splits):
            raise ValueError(f"splits may name each split once; found {self.splits}")
        return self


class Sample(Section):
    seed: Seed
    count: Annotated[Int, Field(ge=1, le=10_000_000)]
    measured: Annotated[Int, Field(ge=1, le=10_000_000)]
    temperature: Annotated[Number, Field(gt=0)]
    max_length: Annotated[Int, Field(ge=1, le=10_000)] | None


class Params(Section):
    """All of params.yaml; the stages read one section each."""

    environment: Environment
    fetch: Fetch
    split: Split
    vocabulary: Vocabulary
    contexts: Contexts
    bigram_count: BigramCount
    bigram_neural: BigramNeural
    ngram_count: NgramCount
    mlp: Mlp
    mixture: Mixture
    find_learning_rate: FindLearningRate
    evaluate: Evaluate
    sample: Sample
    # of networks that `python -m tools.add_network` adds
    gru: Gru | None = None
    transformer: Transformer | None = None


def explain(error: ValidationError) -> str:
    """Put the first of pydantic's findings in one line: which key, what is allowed, what was found.

    For example: mlp.hidden: Input should be a valid integer; found '300'
    """
    first = error.errors()[0]
    key = ".".join(str(item) for item in first["loc"])
    shown = SHORT_REPR.repr(first["input"])
    if first["type"] == "value_error":
        return f"{key}: {first['ctx']['error']}"
    if first["type"] == "missing":
        return f"{key}: this key is required; found none"
    if first["type"] == "extra_forbidden":
        known: Iterable[str] = Params.model_fields
        if len(first["loc"]) > 1:
            section = Params.__annotations__[str(first["loc"][0])]
            known = getattr(section, "__args__", [section])[0].model_fields  # of X | None: X
        return f"{key}: unknown key; allowed here: {', '.join(known)}; found {shown}"
    return f"{key}: {first['msg']}; found {shown}"


def check_anchors(content: bytes) -> None:
    """Refuse anchors and merge keys of mappings.

    With `a: &one {x: 1}` and `b: *one`, `dvc exp run -S a.x=2` (DVC 3.67) changes nothing and ends
    with status 0, while `-S b.x=2` changes both.

    Raises:
        ValueError: there is one; the message is one line.
    """
    for event in YAML(typ="safe").parse(content.decode("utf-8")):
        is_mapping = isinstance(event, MappingStartEvent) and event.anchor
        if is_mapping or (isinstance(event, ScalarEvent) and event.value == "<<"):
            found = f"the anchor &{event.anchor}" if is_mapping else "the merge key <<"
            raise ValueError(
                f"{found}: with it `dvc exp run -S` loses a change, or makes it elsewhere, too; "
                "write out the keys and values"
            )


def check_dates(value: Any, key: str = "") -> None:
    """Refuse dates anywhere in the file: DVC 3.67 stops at them before it runs any stage.

    Raises:
        ValueError: there is one; the message is one line.
    """
    if isinstance(value, date):
        raise ValueError(
            f"{key}: {value} is a date, with which DVC runs no stage; quote or remove it"
        )
    items = value.items() if isinstance(value, dict) else ()
    for name, item in enumerate(value) if isinstance(value, list) else items:
        check_dates(item, f"{key}.{name}" if key else f"{name}")


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check all of params.yaml.

    Raises:
        InputError: the file is missing, is not YAML, or holds a key or value that is not allowed.
    """
    try:
        content = path.read_bytes()
        values = parse_yaml(content)
        check_anchors(content)
        check_dates(values)
    except FileNotFoundError:
        raise InputError(f"{path}: not found; run from the repository root") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return validate(values, path)


def required(section: AnySection | None, name: str) -> AnySection:
    """Return a section that params.yaml may lack.

    Raises:
        InputError: it does.
    """
    if section is None:
        raise InputError(
            f"params.yaml: no section {name}; `python -m tools.add_network {name}` adds it"
        )
    return section


def validate(values: Any, path: Path) -> Params:
    """Check the values of a params.yaml.

    Raises:
        InputError: a key or value is not allowed.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None
