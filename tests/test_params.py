import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import load_yaml

from charlm import params
from charlm.core.errors import InputError
from charlm.core.yaml_files import parse_yaml
from tests.conftest import ROOT

GOOD: dict[str, dict] = yaml.safe_load((ROOT / "params.yaml").read_text())


def written(folder: Path, **changes: object) -> Path:
    """params.yaml with keys such as mlp__lr set to other values, as PyYAML writes them."""
    values = {section: dict(keys) for section, keys in GOOD.items()}
    for key, value in changes.items():
        section, name = key.split("__")
        values[section][name] = value
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_committed_file_is_valid_and_has_a_comment_on_every_key():
    params.load(ROOT / "params.yaml")
    section = "fetch"
    above = ""
    for line in (ROOT / "params.yaml").read_text().splitlines():
        if line.startswith("  ") and line.partition(":")[0].strip() in GOOD[section]:
            assert "#" in line or "#" in above, line
        elif line.rstrip(":") in GOOD:
            section = line.rstrip(":")
        above = line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mlp__hidden", "300"),
        ("mlp__hidden", 0),
        ("mlp__hidden", 3.5),
        ("mlp__hidden", True),
        ("mlp__hidden", None),
        ("mlp__lr", "0.1"),
        ("mlp__lr", ".nan"),
        ("mlp__lr", float("nan")),
        ("mlp__lr", float("inf")),
        ("mlp__lr", "1e999"),
        ("mlp__lr", "inf"),
        ("mlp__lr", 0),
        ("mlp__lr", True),
        ("mlp__init", "zeros"),
        ("mlp__batch_size", 0),
        ("mlp__layers", 0),
        ("mlp__activation", "relu"),
        ("mlp__dropout", 1.0),
        ("mlp__dropout", -0.1),
        ("ngram_count__order", 1),
        ("ngram_count__order", 17),
        ("sample__measured", 0),
        ("bigram_count__smoothing", -1),
        ("split__train", 1.1),
        ("split__train", 0),
        ("split__unique", "yes"),
        ("split__limit", 0),
        ("split__seed", -1),
        ("vocabulary__boundary", 1),
        ("vocabulary__boundary", "three"),
        ("vocabulary__boundary_place", "middle"),
        ("mlp__keep", "first"),
        ("evaluate__splits", []),
        ("evaluate__splits", ["dev", "dev"]),
        ("evaluate__splits", ["validation"]),
        ("evaluate__splits", "dev"),
        ("sample__temperature", 0.0),
        ("find_learning_rate__steps", 1),
        ("fetch__sha256", "abc"),
        ("fetch__url", ""),
        ("contexts__block_size", "3"),
    ],
)
def test_wrong_value_is_one_line_with_section_key_and_what_was_found(
    tmp_path: Path, key: str, value: object
):
    with pytest.raises(InputError) as error:
        params.load(written(tmp_path, **{key: value}))
    message = str(error.value)
    section, name = key.split("__")
    assert "\n" not in message
    assert section in message
    assert name in message
    assert "found" in message


BELOW_1 = math.nextafter(1.0, 0.0)
ABOVE_0 = math.ulp(0.0)  # the smallest number there is


@pytest.mark.parametrize(
    ("key", "lowest", "highest"),
    [
        ("split__seed", 0, 2**63 - 1),
        ("split__train", ABOVE_0, 1.0),
        ("split__dev", 0.0, BELOW_1),
        ("split__limit", 1, None),
        ("contexts__block_size", 1, 64),
        ("bigram_count__smoothing", 0.0, 1e9),
        ("bigram_neural__seed", 0, 2**63 - 1),
        ("bigram_neural__steps", 1, 10_000_000),
        ("bigram_neural__lr", ABOVE_0, None),
        ("bigram_neural__l2", 0.0, 1e6),
        ("ngram_count__order", 2, 16),
        ("mlp__embedding", 1, 100_000),
        ("mlp__hidden", 1, 100_000),
        ("mlp__layers", 1, 100),
        ("mlp__dropout", 0.0, BELOW_1),
        ("mlp__lr", ABOVE_0, None),
        ("mlp__weight_decay", 0.0, 1e6),
        ("mlp__steps", 1, 10_000_000),
        ("mlp__batch_size", 1, 10_000_000),
        ("find_learning_rate__batch_size", 1, 10_000_000),
        ("find_learning_rate__steps", 2, 100_000),
        ("find_learning_rate__lowest", -10.0, None),
        ("find_learning_rate__highest", None, 10.0),
        ("sample__count", 1, 10_000_000),
        ("sample__measured", 1, 10_000_000),
        ("sample__temperature", ABOVE_0, None),
        ("sample__max_length", 1, 10_000),
    ],
)
def test_limits_of_a_number_are_allowed_and_what_is_beyond_is_not(
    tmp_path: Path, key: str, lowest: float | None, highest: float | None
):
    shares = {"split__train": ABOVE_0, "split__dev": 0.0}  # any other share fits beside them
    for limit, beyond in ((lowest, -math.inf), (highest, math.inf)):
        if limit is None:
            continue
        section, name = key.split("__")
        values = params.load(written(tmp_path, **shares | {key: limit})).model_dump()
        assert values[section][name] == limit
        step = 1 if beyond > 0 else -1
        over = limit + step if isinstance(limit, int) else math.nextafter(limit, beyond)
        with pytest.raises(InputError, match=name):
            params.load(written(tmp_path, **shares | {key: over}))


def test_unknown_key_is_named_with_those_that_are_allowed(tmp_path: Path):
    with pytest.raises(
        InputError, match=r"mlp\.hiden: unknown key; allowed here: seed, .*hidden.*; found 300$"
    ):
        params.load(written(tmp_path, mlp__hiden=300))


def test_missing_key_and_section_are_named(tmp_path: Path):
    values = {section: dict(keys) for section, keys in GOOD.items()}
    del values["fetch"]["sha256"]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"fetch\.sha256: this key is required"):
        params.load(path)
    path.write_text(
        yaml.safe_dump({section: keys for section, keys in GOOD.items() if section != "split"})
    )
    with pytest.raises(InputError, match="split: this key is required"):
        params.load(path)
    path.write_text(yaml.safe_dump(GOOD | {"mpl": {}}))
    with pytest.raises(
        InputError, match="mpl: unknown key; allowed here: environment, fetch, split"
    ):
        params.load(path)


def test_shares_may_not_add_up_to_more_than_one(tmp_path: Path):
    with pytest.raises(InputError, match=r"they give 1\.1$"):
        params.load(written(tmp_path, split__train=0.8, split__dev=0.3))
    assert params.load(written(tmp_path, split__train=0.9, split__dev=0.1)).split.dev == 0.1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"parts": [[3, 0.5], [2, 0.1]]}, "mlp: the steps of parts must ascend; found [3, 2]"),
        ({"parts": [[3, 0.5], [3, 0.1]]}, "mlp: the steps of parts must ascend; found [3, 3]"),
        ({"parts": [[3, 0.5, 1]]}, "mlp.parts.0: expected a step and a learning rate, such as"),
        ({"parts": [3, 0.5]}, "such as [30000, 0.05]; found 3"),
        ({"parts": "3:0.5"}, "mlp.parts: Input should be a valid list; found '3:0.5'"),
        ({"parts": [[0, 0.5]]}, "mlp.parts.0.0: Input should be greater than or equal to 1"),
        ({"parts": [[3, 0]]}, "mlp.parts.0.1: Input should be greater than 0; found 0"),
        (
            {"schedule": "parts"},
            "mlp: schedule: parts needs parts, pairs of a step and the learning",
        ),
        (
            {"schedule": "parts", "parts": [[10, 0.5]], "steps": 10},
            "mlp: the steps of parts must be below steps, 10; found 10",
        ),
    ],
)
def test_parts_that_cannot_be_are_one_line(tmp_path: Path, changes: dict[str, Any], problem: str):
    with pytest.raises(InputError) as error:
        params.load(written(tmp_path, **{f"mlp__{key}": value for key, value in changes.items()}))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("components", "problem"),
    [
        (["mlp"], "mixture.components: List should have at least 2 items"),
        (["mlp", "mlp"], "mixture: components may name each model once; found ['mlp', 'mlp']"),
        (["mlp", "mixture"], "mixture: a mixture is no component of itself; found ['mlp', 'mix"),
        ("mlp", "mixture.components: Input should be a valid list; found 'mlp'"),
    ],
)
def test_components_that_cannot_be_mixed_are_one_line(
    tmp_path: Path, components: object, problem: str
):
    with pytest.raises(InputError) as error:
        params.load(written(tmp_path, mixture__components=components))
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_parts_are_pairs_of_a_step_and_a_rate(tmp_path: Path):
    changes = {"mlp__schedule": "parts", "mlp__parts": [[300, 0.05], ["6e2", "1e-2"]]}
    assert params.load(written(tmp_path, **changes)).mlp.parts == [(300, 0.05), (600, 0.01)]
    # those of another schedule have no effect, so that they may be beyond its steps
    changes = {"mlp__schedule": "cosine", "mlp__parts": [[10**7, 0.05]]}
    assert params.load(written(tmp_path, **changes)).mlp.schedule == "cosine"


@pytest.mark.parametrize("text", ["2e-1", "2E-1", "2.0e-1", "+2e-1", ".2e0"])
def test_scientific_notation_is_a_number_even_where_yaml_says_text(tmp_path: Path, text: str):
    path = written(tmp_path, mlp__lr="LR")
    path.write_text(path.read_text().replace("LR", text))
    assert params.load(path).mlp.lr == 0.2


@pytest.mark.parametrize("value", ["2e5", 200000.0, 200000])
def test_whole_numbers_may_be_written_in_scientific_notation(tmp_path: Path, value: object):
    assert params.load(written(tmp_path, mlp__steps=value)).mlp.steps == 200000


def test_broken_yaml_and_a_missing_file_are_one_line_each(tmp_path: Path):
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError, match="not found; run from the repository root"):
        params.load(path)
    for broken in (
        b"fetch: [",
        b"\xff\xfe",
        b"",
        b"- 1\n",
        b"fetch: {url: 'a\x00b'}",
        b"mlp: {lr: 2024-13-45}",
        b"mlp: {lr: 0x_}",
        b"mlp: {lr: " + b"[" * 3000,
        b"mlp: {lr: " + b"9" * 5000 + b"}",
    ):
        path.write_bytes(broken)
        with pytest.raises(InputError) as error:
            params.load(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"), [("0200", 200), ("0o310", 200), ("2_00", 200), ("0xc8", 200)]
)
def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path, text: str, value: int):
    """YAML 1.1 reads 0200 as 128, and DVC sees no change from 200."""
    path = written(tmp_path, mlp__hidden="HERE")
    path.write_text(path.read_text().replace("HERE", text))
    assert params.load(path).mlp.hidden == value
    assert load_yaml(str(path))["mlp"]["hidden"] == value


@pytest.mark.parametrize(("key", "text"), [("split__unique", "yes"), ("mlp__hidden", "3:20")])
def test_what_yaml_1_1_alone_reads_as_another_type_is_refused(tmp_path: Path, key: str, text: str):
    path = written(tmp_path, **{key: "HERE"})
    path.write_text(path.read_text().replace("HERE", text))
    with pytest.raises(InputError, match=f"found {text!r}$"):
        params.load(path)


def test_key_that_occurs_twice_is_refused(tmp_path: Path):
    path = written(tmp_path)
    path.write_text(path.read_text() + "mlp: {}\n")
    with pytest.raises(InputError, match="duplicate key"):
        params.load(path)


def test_aliases_that_stand_for_billions_of_values_are_refused(tmp_path: Path):
    path = written(tmp_path)
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    path.write_text("\n".join([path.read_text(), *bomb]))
    with pytest.raises(InputError, match=r"not valid YAML: more than 10,000 values$"):
        params.load(path)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("mlp:\n", "mlp: &net\n", "the anchor &net"),
        ("mlp:\n", "mlp:\n  <<: {seed: 1}\n", "the merge key <<"),
    ],
)
def test_mappings_that_dvc_would_not_set_as_asked_are_refused(
    tmp_path: Path, old: str, new: str, found: str
):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        params.load(path)
    assert str(error.value) == (
        f"{path}: {found}: with it `dvc exp run -S` loses a change, or makes it elsewhere, too; "
        "write out the keys and values"
    )


def test_anchor_of_a_single_value_is_allowed(tmp_path: Path):
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    assert text.count("lr: 50") == text.count("lr: 0.04") == 1
    path.write_text(text.replace("lr: 50", "lr: &rate 50").replace("lr: 0.04", "lr: *rate"))
    assert params.load(path).mlp.lr == 50


@pytest.mark.parametrize("text", ["2024-01-01", "2024-01-01 10:00:00"])
def test_date_is_named_wherever_it_is(tmp_path: Path, text: str):
    path = written(tmp_path, mlp__hidden="wide")
    path.write_text(path.read_text() + f"notes:\n  all:\n  - 1\n  - {text}\n")
    with pytest.raises(InputError) as error:
        params.load(path)
    assert str(error.value) == (
        f"{path}: notes.all.1: {text} is a date, with which DVC runs no stage; quote or remove it"
    )


def test_long_wrong_value_is_shortened(tmp_path: Path):
    with pytest.raises(InputError) as error:
        params.load(written(tmp_path, mlp__init="x" * 10_000))
    _, _, found = str(error.value).partition("; found ")
    assert re.fullmatch("'x+[.]{3}x+'", found)
    assert len(found) == 80


KEYS = [(section, key) for section, keys in GOOD.items() for key in keys]
MAY_BE_EMPTY = {"mlp.parts"}  # a list
MAY_BE_NULL = {
    "fetch.sha256",
    "split.seed",
    "split.limit",
    "mlp.batch_size",
    "mlp.start_from",
    "mlp.start_from_sha256",
    "sample.max_length",
}
BOOLEANS = {"split.unique", "mlp.direct"}
PATHS = {"fetch.url", "mlp.start_from"}
WORDS = PATHS | {"fetch.sha256", "mlp.start_from_sha256"}
# as DVC or a person may write them
NO_NUMBERS = [".nan", ".NaN", ".NAN", "nan", "'.nan'", ".inf", "-.inf", ".INF", "inf", "'.inf'"]
NO_NUMBERS += [
    "1e999",
    "'1e999'",
    "-1e999",
    "!!float nan",
    "text",
    "[1]",
    "{a: 1}",
    "2020-01-01",
]


@pytest.mark.parametrize(("section", "key"), KEYS, ids=map(".".join, KEYS))
def test_no_key_accepts_a_value_of_another_kind(section: str, key: str):
    path, name = Path("params.yaml"), f"{section}.{key}"
    wrong = ["{}", "[[dev]]", "!!binary aGk="] + ["[]"] * (name not in MAY_BE_EMPTY)
    wrong += NO_NUMBERS if name not in WORDS else ["1", "true", ".nan", "''"]
    wrong += ["null", "~", ""] if name not in MAY_BE_NULL else []
    wrong += ["true"] if name not in BOOLEANS else ["1", "yes", "'true'"]
    wrong += ["yes"] if name not in PATHS else []  # a path, in YAML 1.2
    if isinstance(GOOD[section][key], (int, float)) and name not in BOOLEANS:
        wrong += ["-1e-300", f"-{10**30}"] if "est" not in key else [f"-{10**30}"]
        wrong += [f"{10**30}"] if key not in ("lr", "temperature") else ["0"]
    for text in wrong:
        value = parse_yaml(f"value: {text}".encode())["value"]  # the whole file takes 50 ms
        with pytest.raises(InputError) as error:
            params.validate(GOOD | {section: GOOD[section] | {key: value}}, path)
        assert str(error.value).startswith(f"{path}: {name}")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("section", "key"), KEYS, ids=map(".".join, KEYS))
def test_unknown_key_is_named_in_every_section(section: str, key: str):
    values = GOOD | {section: GOOD[section] | {f"{key}s": GOOD[section][key]}}
    with pytest.raises(InputError, match=rf"{section}\.{key}s: unknown key; allowed here: .*{key}"):
        params.validate(values, Path("params.yaml"))


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['touch ran']", "&a [*a]"])
def test_yaml_that_would_run_code_is_refused(tmp_path: Path, text: str):
    path = written(tmp_path, mlp__lr="HERE")
    path.write_text(path.read_text().replace("HERE", text))
    with pytest.raises(InputError):
        params.load(path)
    assert not Path("ran").exists()
