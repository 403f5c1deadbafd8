"""tools.report: what a page says, without a browser."""

import base64
import gzip
import hashlib
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dvc_render.vega_templates import Template
from PIL import Image

from charlm.core.errors import InputError
from charlm.data.vocabulary import Vocabulary
from tests.conftest import ROOT, Project
from tools.compare.runs import Comparison, Run
from tools.report import charts, maps, page, playground, results, similarity, text
from tools.report.results import Loss, Results, losses_of_names, read_pairs, read_results

vl_convert = pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
FOLDER = ROOT / "tools/report"
ABC = Vocabulary.of([".", "a", "b"])
# dev: ava (also in train), bo twice, cy
EVALUATION = pd.DataFrame(
    {
        "split": ["train", "dev", "dev", "dev", "dev"],
        "name": ["ava", "ava", "bo", "bo", "cy"],
        "characters": [4, 4, 3, 3, 3],
        "in_train": [True, True, False, False, False],
        "mlp": [4.0, 4.0, 6.0, 6.0, 3.0],
        "gpt": [8.0, 8.0, np.nan, np.nan, 3.0],
    }
)
EMPTY = Results(
    revision="workspace",
    commit="",
    settings={},
    run=None,
    stale="workspace: data/evaluation.csv: not found; run `dvc repro` to create it",
    losses={},
    splits={},
    vocabulary=None,
    models={},
    curves=[],
    positions=[],
    lengths=[],
    alike={},
    pairs=None,
    samples={},
    missing=[],
)
P = np.array([[0.0, 0.75, 0.25], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
W = np.zeros((3, 3), dtype=np.float32)
SMALL = EMPTY._replace(
    settings={"fetch": {"url": "https://host/names.txt", "sha256": "0123456789abcdef"}},
    run=Run("workspace", EVALUATION, "names.txt", {}),
    stale="",
    losses={"bigram_count": {"train": Loss(2.5, 0.1), "dev names not in train": Loss(2.0, 0.1)}},
    splits={"train": ["a", "ab"], "dev": ["ab", "b"]},
    vocabulary=ABC,
    models={"bigram_count": {"P": P}, "bigram_neural": {"W": W}},
    samples={"bigram_count": ["ab", "b", "<i>"]},
)


def test_losses_are_averaged_by_character_and_over_names_not_in_train():
    losses = losses_of_names(EVALUATION)
    # dev: (4 + 6 + 6 + 3) / (4 + 3 + 3 + 3); not in train: (6 + 6 + 3) / 9
    assert losses["mlp"]["train"] == Loss(1.0, None)
    assert losses["mlp"]["dev"].nll == pytest.approx(19 / 13)
    assert losses["mlp"]["dev names not in train"].nll == pytest.approx(15 / 9)
    # deviations from 15/9: bo, twice, 12 - 6 * 15/9 = 2, and cy -2
    assert losses["mlp"]["dev names not in train"].stderr == pytest.approx(8**0.5 / 9)
    assert losses["gpt"]["dev"] == Loss(None, None)


def test_losses_of_a_commit_without_its_cache_are_those_of_git():
    table = (
        b"split,model,nll,stderr,perplexity,accuracy,zero_probability\n"
        b"train,mlp,2.0,0.1,7.4,0.3,0\n"
        b"dev,mlp,2.1,0.2,8.2,0.3,0\n"
        b"dev,bigram_count,,,,0.3,4\n"
        b"dev_unseen,mlp,2.2,0.3,9.0,0.3,0\n"
    )
    reader = results.Reader({results.METRICS: table}.__getitem__)
    assert results.losses_of_metrics(reader) == {
        "mlp": {
            "train": Loss(2.0, 0.1),
            "dev": Loss(2.1, 0.2),
            "dev names not in train": Loss(2.2, 0.3),
        }
    }


def test_pairs_are_counted_and_those_of_the_models_shown():
    content = {"contexts": np.uint8([[0], [1], [1], [2]]), "targets": np.uint8([1, 1, 2, 0])}

    def read(path: str) -> bytes:
        assert path == results.CONTEXTS
        return results.safetensors.numpy.save(content)

    weights = [[1, 1, 2], [1, 2, 1], [3, 0.5, 0.5]]
    models = SMALL.models | {"bigram_neural": {"W": np.log(weights)}}
    pairs = read_pairs(results.Reader(read), ABC, models)
    assert pairs.counts.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert pairs.totals.tolist() == [1, 2, 1]
    assert pairs.probabilities["counted"].tolist() == P.tolist()
    assert pairs.probabilities["learned"] == pytest.approx(np.array(weights) / 4)
    group = text.pair_group(pairs, ABC)
    assert group.said[1][2] == "a → b: 1 of 2 times; counted 75.00%, learned 25.00%"
    assert group.left_out == 0
    assert group.tables["counted"][1][0].percent == ""
    # . → a, a → a, a → b, b → .
    assert {key: array.tolist() for key, array in pairs.seen.items()} == {
        "first": [0, 1, 1, 2],
        "following": [1, 1, 2, 0],
        "counts": [1, 1, 1, 1],
        "counted": [7500, 2500, 7500, 10000],
        "learned": [2500, 5000, 2500, 7500],
    }
    assert group.tables["counted"][1][2].percent == "75"


def test_pairs_of_two_boundaries(monkeypatch: pytest.MonkeyPatch):
    vocabulary = Vocabulary.of(["<START>", "<END>", "a", "b", "c"])
    # ab, ab, a and c: four starts and four ends, three a, two b and one c, which is not shown
    firsts, nexts = zip(*[(0, 2), (2, 3), (3, 1)] * 2, (0, 2), (2, 1), (0, 4), (4, 1), strict=True)
    content = {"contexts": np.uint8([firsts]).T, "targets": np.uint8(nexts)}
    monkeypatch.setattr(results, "MAX_SYMBOLS", 4)
    reader = results.Reader(lambda path: results.safetensors.numpy.save(content))
    pairs = read_pairs(reader, vocabulary, {})
    assert pairs.symbols.tolist() == [0, 1, 2, 3]
    assert pairs.totals.tolist() == [4, 0, 3, 2]
    assert text.pair_group(pairs, vocabulary).left_out == 1
    monkeypatch.setattr(results, "MAX_PAIRS", 2)
    seen = read_pairs(reader, vocabulary, {}).seen
    assert (seen["first"].tolist(), seen["counts"].tolist()) == ([0, 2], [3, 2])
    assert pairs.counts.tolist() == [[0, 0, 3, 0], [0, 0, 0, 0], [0, 1, 0, 2], [0, 2, 0, 0]]


def test_facts_name_the_list_the_split_and_the_leak():
    assert text.facts(SMALL) == {
        "Data set": "names.txt (SHA-256 0123456789ab…)",
        "Names": "4, 3 of them different",
        "Split": "train 2, dev 2",
        "Leak": "50.0% of dev also occur in train",
        "Characters": "2",
    }


def test_facts_that_two_revisions_share_are_there_once():
    old = SMALL._replace(revision="old", commit="0123456789abcdef")
    assert text.facts_by_side({"": old})[""]["Revision"] == "old (0123456789)"
    shared = text.facts_by_side({"A": old, "B": SMALL})
    assert list(shared) == [""]
    assert (shared[""]["A"], shared[""]["B"]) == ("old (0123456789)", "workspace")
    longer = SMALL._replace(splits={"train": ["a"]})
    assert list(text.facts_by_side({"A": old, "B": longer})) == ["A", "B"]


def test_changed_parameters_are_shown_as_in_the_file():
    before = {"mlp": {"hidden": 200, "lr": 0.04}, "split": {"unique": False, "limit": None}}
    after = {"mlp": {"hidden": 300, "lr": 0.04}, "split": {"unique": True}}
    assert text.changed_parameters(before, after) == [
        ("mlp.hidden", "200", "300"),
        ("split.unique", "false", "true"),
        ("split.limit", "null", "none"),
    ]


@pytest.mark.parametrize(
    ("verdict", "difference", "detail", "sentence"),
    [
        ("worse", 0.008, "", "a beats b by 0.0080 ± 0.0020."),
        ("better", -0.008, "", "b beats a by 0.0080 ± 0.0020."),
        (
            "significant but negligible",
            0.008,
            "",
            "a beats b by 0.0080 ± 0.0020, which is significant but negligible.",
        ),
        (
            "significant but negligible",
            -0.008,
            "",
            "b beats a by 0.0080 ± 0.0020, which is significant but negligible.",
        ),
        ("not significant", 0.008, "; why", "a and b: not significant; why."),
        ("the same", 0.0, ", name for name", "a and b predict the same."),
        (
            "worse",
            None,
            ": probability 0 for 0 names under A, 4 under B",
            "a beats b: probability 0 for 0 names under a, 4 under b.",
        ),
        (
            "better",
            None,
            ": probability 0 for 4 names under A, 0 under B",
            "b beats a: probability 0 for 4 names under a, 0 under b.",
        ),
        ("cannot be compared", None, ": why", "a and b: cannot be compared: why."),
    ],
)
def test_verdict_on_two_models(verdict: str, difference: float | None, detail: str, sentence: str):
    values = (
        (None,) * 3 if difference is None else (difference, difference - 0.002, difference + 0.002)
    )
    row = Comparison("a\nb", "dev", False, 2.0, 2.0, *values, 40, verdict, detail)
    assert text.model_sentence(row) == sentence


def two_models() -> Results:
    """A run in which `good` has a loss of 0.9 to 1.1 per name and `bad` of 1.9 to 2.1."""
    wobble = np.tile([-0.1, 0.1], 20)
    evaluation = pd.DataFrame(
        {
            "split": "dev",
            "name": [f"name{number}" for number in range(40)],
            "characters": 1,
            "in_train": False,
            "bad": 2 + wobble[::-1],
            "good": 1 + wobble,
        }
    )
    run = Run("workspace", evaluation, "names.txt", {})
    return SMALL._replace(run=run, losses=losses_of_names(evaluation))


@pytest.mark.parametrize("ranked", [["good", "bad"], ["bad", "good"]])
def test_the_better_model_beats_the_worse_one_in_any_order(
    ranked: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(text, "rank_models", lambda side: ranked)
    # each name's difference is 0.2 from their mean: 2.0227 * (40 * 0.2**2)**0.5 / 40
    assert text.verdicts({"": two_models()}) == ["good beats bad by 1.0000 ± 0.0640."]


def test_models_are_ranked_by_their_loss_on_names_not_in_train():
    assert text.rank_models(two_models()) == ["good", "bad"]


def test_verdict_on_two_revisions():
    row = Comparison("mlp", "dev", False, 2.0, 1.99, -0.01, -0.013, -0.007, 40, "better")
    assert text.revision_sentence(row) == "mlp on dev: B is better by 0.0100 ± 0.0030."
    zeros = Comparison(
        "mlp", "dev", False, 2.0, None, None, None, None, 40, "worse", ": probability 0"
    )
    assert text.revision_sentence(zeros) == "mlp on dev: B is worse: probability 0."


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        (
            ["better", "worse"],
            "In part: on dev, B is better in one 0.0100 ± 0.0030, and worse in two 0.0100 ± 0.0030",
        ),
        (["better", "the same"], "Yes: on dev, B is better in one 0.0100 ± 0.0030"),
        (["worse", "not significant"], "No: on dev, B is worse in one 0.0100 ± 0.0030"),
        (["the same", "the same"], "No: on dev, A and B predict the same, name for name"),
        (
            ["not significant", "the same"],
            "No difference that matters on dev (one: not significant)",
        ),
    ],
)
def test_headline_says_whether_b_is_better(
    verdicts: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
):
    rows = [
        Comparison(model, "dev", False, 2.0, 1.99, -0.01, -0.013, -0.007, 40, verdict)
        for model, verdict in zip(("one", "two"), verdicts, strict=True)
    ]
    rows.append(rows[0]._replace(split="test", verdict="worse"))
    monkeypatch.setattr(text, "compare_runs", lambda *_: rows)
    assert text.headline({"A": SMALL, "B": SMALL}) == f"{sentence}."
    lacking = text.headline({"A": SMALL, "B": EMPTY})
    assert lacking == "Not known: the losses of single names are not here."


def test_best_loss_of_a_column_and_its_place():
    losses = {
        "one": {"dev": Loss(2.0, 0.1), "dev names not in train": Loss(3.0, 0.5)},
        "two": {"dev": Loss(None, None), "dev names not in train": Loss(2.0, 0.0)},
    }
    one, two = text.result_lines({"": SMALL._replace(losses=losses)}, ["one", "two"])
    assert [cell.is_best for cell in one.cells] == [True, False]
    assert [cell.is_best for cell in two.cells] == [False, True]
    # from 2.0 to 3.0 + 1.96 * 0.5 = 3.98
    assert (two.place, one.place, one.half) == (0, pytest.approx(100 / 1.98, abs=0.01), 49.49)


def test_samples_are_marked():
    assert [sample.mark for sample in text.samples(SMALL)["bigram_count"]] == [
        "train",
        "dev",
        "new",
    ]
    unknown = text.samples(SMALL._replace(splits={}))
    assert {sample.mark for sample in unknown["bigram_count"]} == {""}


def unpack(packed: dict) -> dict[str, np.ndarray]:
    content, offset, arrays = gzip.decompress(base64.b64decode(packed["data"])), 0, {}
    for name, kind, shape in packed["arrays"]:
        dtype = np.dtype(kind.removesuffix("Array").lower())
        assert offset % dtype.itemsize == 0, "JavaScript refuses an array that begins there"
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(content, dtype, count, offset).reshape(shape)
        offset += arrays[name].nbytes
    return arrays


def test_packed_tensors_keep_their_values_and_are_aligned():
    tensors = {
        "few": np.array([1, 2, 3], dtype=np.int64),
        "many": np.array([0, 70_000], dtype=np.int64),
        "huge": np.array([2**40]),
        "W": np.array([[0.5], [-1.5]], dtype=np.float32),
        "weight": np.array(0.25),
    }
    packed = playground.pack(tensors)
    found = unpack(packed)
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in tensors.items()
    }
    assert found["few"].dtype == np.uint8
    assert found["huge"].dtype == np.float64
    assert packed == playground.pack(dict(reversed(tensors.items())))


def labels(*sides: Results) -> list[str]:
    names = ["A", "B"] if len(sides) > 1 else [""]
    return playground.build_playground(dict(zip(names, sides, strict=True))).labels


def test_models_that_are_the_same_in_both_revisions_are_there_once():
    other = SMALL._replace(models={**SMALL.models, "bigram_neural": {"W": W + 1}})
    assert labels(SMALL) == ["bigram_count", "bigram_neural"]
    assert labels(SMALL, other) == ["bigram_count", "bigram_neural A", "bigram_neural B"]


def test_what_is_not_in_the_playground_is_said(monkeypatch: pytest.MonkeyPatch):
    elsewhere = SMALL._replace(vocabulary=Vocabulary.of([".", "c"]))
    differing = playground.build_playground({"A": SMALL, "B": elsewhere})
    assert differing.notes == ["No playground: A and B have different symbols."]
    lacking = playground.build_playground({"A": SMALL, "B": EMPTY._replace(revision="old")})
    assert lacking.notes == ["Not in the playground: the models of old, which are not here."]
    assert lacking.labels == labels(SMALL)
    for weights, problem in (
        ({"weight": np.array(0.5)}, "not the tensors of mixture: weight"),  # of older revisions
        (
            {"bigram_count": np.array(0.5), "mlp": np.array(0.5)},
            "mlp, of which it is composed, is not",
        ),
    ):
        mixed = playground.build_playground(
            {"": SMALL._replace(models=SMALL.models | {"mixture": weights})}
        )
        assert f"mixture is not in the playground: {problem}." in mixed.notes
    monkeypatch.setattr(playground, "MAX_RAW_BYTES", 40)  # P has 72 bytes, W 36
    large = playground.build_playground({"": SMALL})
    assert large.notes == [
        "bigram_count is not in the playground: its 0.0 MB are too many for a page."
    ]
    assert large.labels == ["bigram_neural"]
    monkeypatch.setattr(playground, "FORMS", ("bigram_count",))
    unknown = playground.build_playground({"": SMALL})
    assert "bigram_neural is not in the playground: tools/report/models.js has no form of it." in (
        unknown.notes
    )


def test_losses_of_real_names_are_those_not_in_train():
    side = SMALL._replace(run=Run("workspace", EVALUATION, "", {}))
    assert playground.real_names("mlp", side).tolist() == [1, 2]
    assert playground.real_names("gpt", side).tolist() == [1, np.inf]


def losses(**nll: float) -> pd.DataFrame:
    return pd.DataFrame({"nll": nll, "characters": 3})


def test_names_are_compared_under_every_two_models(monkeypatch: pytest.MonkeyPatch):
    found = playground.compare_names(
        {
            "good": losses(ava=1.0, bo=2.004, cy=5.0, di=4.0, eve=math.inf, flo=3.0),
            "bad": losses(ava=2.5, bo=6.0, cy=4.5, di=4.0, eve=math.inf, flo=math.inf, gus=1.0),
            "other": losses(zoe=1.0),
        }
    )
    # di is equal, eve infinite under both, gus and zoe are no names of both
    assert found == [
        {
            "models": ["good", "bad"],
            "total": 6,
            "better": [3, 1],
            "names": [
                [["flo", 3.0, None], ["bo", 2.0, 6.0], ["ava", 1.0, 2.5]],
                [["cy", 5.0, 4.5]],
            ],
        }
    ]
    monkeypatch.setattr(playground, "MAX_EXTREMES", 1)
    (few,) = playground.compare_names({"a": losses(x=1, y=2, z=3), "b": losses(x=2, y=5, z=1)})
    assert few["better"] == [2, 1]
    assert few["names"] == [[["y", 2, 5]], [["z", 3, 1]]]


def test_losses_of_names_are_in_the_page():
    models = {"bigram_count": {"P": P}, "mlp": {"C": W, "W1": W, "b1": W[0]}}
    evaluation = EVALUATION.rename(columns={"gpt": "bigram_count"})
    side = SMALL._replace(models=models, run=Run("workspace", evaluation, "", {}))
    (compared,) = playground.build_playground({"": side}).data["comparisons"]
    # bo has probability 0 under the bigram, cy has the same loss under both, ava is in train
    assert compared == {
        "models": ["bigram_count", "mlp"],
        "total": 2,
        "better": [0, 1],
        "names": [[], [["bo", None, 6.0]]],
    }


def test_hash_of_a_revision_is_that_of_its_symbols_and_models():
    def revision(side: Results) -> str:
        found: str = playground.build_playground({"": side}).data["revision"]
        return found

    assert re.fullmatch("[0-9a-f]{10}", revision(SMALL))
    assert revision(SMALL) == revision(SMALL._replace(revision="main", commit="0123"))
    other = SMALL.models | {"bigram_neural": {"W": W + 1}}
    symbols = Vocabulary.of([".", "a", "c"])
    changed = [SMALL._replace(models=other), SMALL._replace(vocabulary=symbols)]
    assert len({revision(side) for side in [SMALL, *changed]}) == 3


@pytest.mark.parametrize(
    ("labels", "default", "second"),
    [
        (["bigram_count", "mlp", "mixture"], "mlp", "bigram_count"),
        (["bigram_count", "mlp A", "mlp B"], "mlp B", "mlp A"),
        (["bigram_count"], "bigram_count", "bigram_count"),
    ],
)
def test_two_models_are_picked_when_the_page_opens(labels: list[str], default: str, second: str):
    models = [{"label": label, "name": label.split()[0]} for label in labels]
    built = playground.Playground({"models": models}, [])
    assert (built.default, built.second) == (default, second)


def test_page_has_its_sections_in_order_and_the_same_bytes_twice():
    html = page.build_page({"": SMALL}, {})
    assert html == page.build_page({"": SMALL}, {})
    assert re.findall('<section id="([a-z]+)"', html) == [
        *("run", "results", "playground", "training", "pairs", "similarity", "samples")
    ]
    assert len(html.encode()) < 3e6
    assert "<i>" not in html.partition('id="samples"')[2].partition("</section>")[0]
    assert "&lt;i&gt;" in html


def test_page_allows_only_its_own_scripts_and_no_request():
    html = page.build_page({"": SMALL}, {})
    (policy,) = re.findall('Content-Security-Policy" content="([^"]+)"', html)
    assert policy.startswith("default-src 'none'; ")
    scripts = re.findall('<script type="module">(.*?)</script>', html, re.DOTALL)
    hashes = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    assert re.findall("'sha256-([^']+)'", policy) == hashes
    assert len(hashes) == 1 + len(page.SCRIPTS)  # Vega
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_missing_files_are_named_with_the_command_that_makes_them():
    old = SMALL._replace(revision="old", commit="0123456789abcdef", missing=["a", "b", "c", "d"])
    make = "git switch --detach 0123456789 && dvc repro && git switch -"
    line = f"old: not here: a, b, c and 1 more; to make them: {make}."
    assert text.missing({"A": SMALL, "B": old}) == [line]
    bare = EMPTY._replace(stale="old: data/evaluation.csv is neither in git nor in DVC's cache; x")
    assert text.missing({"A": bare}) == [f"{bare.stale}."]


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("plots/mlp.csv", b"step,loss\n1,2\n", "not a table of split, step, nll"),
        ("plots/positions.csv", b"split,model,position,characters,nll\na,b,c,d,e\n", "not a table"),
        ("plots/lengths.csv", b"\xff\xfe", "not a table of length, model, share"),
        ("data/vocabulary.json", b'["a"]', r"not a vocabulary \(no boundary\)"),
        ("data/models/mlp.safetensors", b"x", "not a whole safetensors file"),
    ],
)
def test_damaged_file_is_named_in_one_line(
    path: str, content: bytes, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: {problem}") as caught:
        read_results("workspace")
    assert "\n" not in str(caught.value)


def test_row_with_an_empty_cell_is_left_out():
    reader = results.Reader({"plots/mlp.csv": b"step,nll\n1,\n2,2.5\n"}.__getitem__)
    assert reader.rows("plots/mlp.csv", {"step": int, "nll": float}, "train_mlp") == [
        {"step": 2, "nll": 2.5}
    ]


def test_curves_are_those_of_both_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("plots").mkdir()
    Path(results.BIGRAM_CURVE).write_bytes(b"step,nll\n1,3.5\n")
    Path(results.MLP_CURVE).write_bytes(b"split,step,nll\ntrain,1,3.0\ndev,1,3.25\n")
    assert read_results("workspace").curves == [
        {"of": "bigram_neural", "split": "train", "step": 1, "nll": 3.5},
        {"of": "mlp", "split": "train", "step": 1, "nll": 3.0},
        {"of": "mlp", "split": "dev", "step": 1, "nll": 3.25},
    ]


def test_training_that_starts_far_above_is_cut_off():
    curves = [
        {"of": "mlp", "split": "train", "step": step, "nll": nll}
        for step, nll in enumerate([100.0, 4.0, 2.0])
    ]
    (chart,) = charts.training_charts({"": SMALL._replace(curves=curves)})
    low, high = chart["spec"]["encoding"]["y"]["scale"]["domain"]
    assert low < 2 < high == 40
    assert "from 100.00 to 2.00" in chart["text"]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (
            [3.9, 2.29, 3.47],
            "it falls from 3.90 to 2.29, the lowest, after step 10, and ends at 3.47.",
        ),
        ([3.9, 2.5, 2.1], "it falls from 3.90 to 2.10, the lowest, after the last step."),
        ([3.9, 4.5, 5.1], "it is lowest at 3.90, after step 0, and ends at 5.10."),
    ],
)
def test_text_of_a_training_has_the_lowest_loss_on_dev_and_its_step(
    losses: list[float], expected: str
):
    curves = [
        {"of": "mlp", "split": split, "step": 10 * number, "nll": nll}
        for split, shown in {"train": [4.0, 1.0, 0.5], "dev": losses}.items()
        for number, nll in enumerate(shown)
    ]
    side = SMALL._replace(curves=curves)
    (chart,) = charts.training_charts({"": side})
    assert chart["text"].endswith(f"on dev: {expected}")
    higher = [{**row, "nll": row["nll"] + (row["split"] == "train")} for row in curves]
    (chart,) = charts.training_charts({"A": side, "B": side._replace(curves=higher)})
    assert chart["text"].endswith(f"on dev: A: {expected[:-1]}; B: {expected}")


def test_losses_of_zero_leave_the_others_apart():
    curves = [
        {"of": "mlp", "split": "train", "step": step, "nll": nll}
        for step, nll in enumerate([4.0, 2.0, 0.0])
    ]
    (chart,) = charts.training_charts({"": SMALL._replace(curves=curves)})
    assert chart["spec"]["encoding"]["y"]["scale"]["domain"] == [0.001 / 1.02, 4 * 1.02]
    first, second, last = line_heights(chart["spec"] | {"width": 600})
    assert 0 < first < second < last < 260


def test_each_model_has_pixels_of_its_own_where_all_meet():
    models = ["bigram_count", "bigram_neural", "ngram_count", "mlp", "mixture"]
    rows = [
        {"split": "dev", "model": name, "position": place, "characters": 99, "nll": 2.0 + place % 2}
        for name in models
        for place in range(1, 9)
    ]
    (chart,) = charts.position_charts({"": SMALL._replace(positions=rows)}, models)
    colors = ["#ff0000", "#00ff00", "#0000ff", "#ff00ff", "#00ffff"]
    spec = json.dumps(chart["spec"] | {"width": 460})
    for number, color in enumerate(colors):
        spec = spec.replace(f"var(--model-{number})", color)
    legend = json.loads(spec)["encoding"]["color"]["legend"]
    spec = spec.replace(json.dumps(legend), "null")
    picture = Image.open(io.BytesIO(vl_convert.vegalite_to_png(spec, scale=2))).convert("RGB")
    counts = {color: count for count, color in picture.getcolors(1_000_000)}
    for color in colors:
        rgb = tuple(int(color[place : place + 2], 16) for place in (1, 3, 5))
        assert counts.get(rgb, 0) > 100


def test_two_revisions_are_drawn_per_model_that_differs():
    rows = [
        {"split": "dev", "model": name, "position": 1, "characters": 99, "nll": 2.0}
        for name in ("mlp", "mixture")
    ]
    sides = {
        "A": SMALL._replace(positions=rows),
        "B": SMALL._replace(positions=[rows[0] | {"nll": 1.5}, rows[1]]),
    }
    (chart,) = charts.position_charts(sides, ["mlp", "mixture"])
    assert chart["title"] == "Loss by position in the name: dev: mlp"
    drawn = chart["spec"]["data"]["values"]
    assert [(row["revision"], row["nll"]) for row in drawn] == [("B", 1.5), ("A", 2.0)]
    assert chart["spec"]["encoding"]["color"]["field"] == "revision"
    assert charts.undrawn(sides) == []
    lengths = [{"length": 1, "model": "mixture", "share": 1.0}]
    sides = {name: side._replace(lengths=lengths) for name, side in sides.items()}
    assert charts.undrawn(sides) == ["mixture"]


def test_labels_at_one_place_are_moved_apart_and_others_stay():
    places = maps.place_labels([(50, 50), (50, 50), (200, 200)], [(10, 20)] * 3)
    (x, y), (other_x, other_y), last = places
    assert abs(x - other_x) >= 10 or abs(y - other_y) >= 20
    assert last == (200, 200)


def test_characters_are_alike_if_the_mlp_predicts_the_same_after_them():
    # by their embeddings, a is nearest to b; the first layer has only one of the two dimensions
    vocabulary = Vocabulary.of([".", "a", "b", "c", "e"])
    C = np.float32([[0, 0], [9, 20], [-9, 20], [-9, -20], [9, -20]])
    arrays = {
        "C": C,
        "W1": np.float32([[0], [0], [1], [0]]),  # two symbols of context
        "b1": np.zeros(1, np.float32),
        "W2": np.float32([[1, 2, 0, 0, 0]]),
        "b2": np.zeros(5, np.float32),
    }
    found = similarity.views(arrays, vocabulary, np.array([9, 4, 3, 2, 1]), ["ab", "ce"])
    predicted = found["predictions"]
    assert predicted.numbers.tolist() == [1, 2, 3, 4]
    assert predicted.neighbours[:, 0].tolist() == [3, 2, 1, 0]
    assert predicted.variance == pytest.approx(1)
    assert predicted.places[0] == pytest.approx(predicted.places[3], abs=1e-3)
    assert found["embedding"].neighbours[:, 0].tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("name", ["log", "train_dev"])
def test_losses_of_zero_leave_the_others_apart_in_dvcs_charts(name: str):
    content = json.loads((ROOT / f".dvc/plots/{name}.json").read_text())
    rows = [
        {"split": "train", "step": str(step), "nll": nll}  # DVC gives cells of csv as text
        for step, nll in enumerate(["4.000000", "2.000000", "0.000000"])
    ]
    template = Template(content, name)
    values = {"data": rows, "x": "step", "y": "nll", "plot_width": 600, "plot_height": 260}
    for anchor, value in values.items():
        template.fill_anchor(anchor, value)
    first, second, last = line_heights(template.content)
    assert 0 <= first < second < last <= 260


def line_heights(spec: dict[str, Any]) -> list[float]:
    """Return how far below the top of a chart the points of its only line are."""
    (path,) = re.findall(
        r'aria-roledescription="line mark"[^>]* d="([^"]*)"', vl_convert.vegalite_to_svg(spec)
    )
    return [float(point.split(",")[1]) for point in re.split("[ML]", path)[1:]]


def test_scripts_are_short():
    lines = {
        name: (FOLDER / name).read_text(encoding="utf-8").splitlines() for name in page.SCRIPTS
    }
    assert len(lines["models.js"] + lines["page.js"]) <= 400
    assert len(lines["sections.js"]) <= 150
    assert all(len(lines[name]) <= 200 for name in ("state.js", "show.js", "compare.js"))
    assert max(len(line) for one in lines.values() for line in one) <= 100


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["a", "b", "c"], 2, "give two revisions, one, or none"),
        ([], 1, "report: workspace: data/evaluation.csv: not found; run `dvc repro`"),
    ],
)
def test_wrong_use_gives_one_line(arguments: list[str], status: int, message: str, tmp_path: Path):
    refused = Project(tmp_path).call("tools.report", *arguments)
    assert refused.returncode == status
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "report").exists()


def test_read_results_of_an_empty_folder_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    found = read_results("workspace")
    assert found.run is None
    assert "data/models/mlp.safetensors" in found.missing
