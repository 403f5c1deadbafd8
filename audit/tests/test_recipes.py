"""Recipes against params.yaml and dvc.yaml, audit/NOTEBOOKS.md against them, and recipes run."""

import contextlib
import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from audit import summary
from charlm import params
from charlm.core.errors import InputError
from charlm.core.storage import write_bytes, write_json
from charlm.data.examples import bigram_counts, build_examples
from charlm.data.vocabulary import build_vocabulary
from charlm.models.registry import MODELS
from charlm.tables import write_facts
from stages import evaluate, split, train_bigram_count
from tests.conftest import (
    ROOT,
    STAGES,
    Project,
    declared,
    losses,
    run_stages,
    write_recipes,
)
from tools import documents, experiments
from tools.experiments import experiment_ref, file_of, overridden
from tools.recipes import __main__ as program
from tools.recipes import catalog, figures
from tools.recipes.bands import Band
from tools.recipes.catalog import Figure, Recipe
from tools.recipes.figures import Result

GROUPS = catalog.load(ROOT / "audit/recipes.yaml")
RECIPES = {name: recipe for group in GROUPS.values() for name, recipe in group.recipes.items()}
TRAINED = {"bigram_count", "bigram_neural", "find_learning_rate", "mlp", "ngram_count"}
NOTEBOOKS = (ROOT / "audit/NOTEBOOKS.md").read_text()
RESULTS = {path for stage in STAGES for path in declared(stage, "outs", "metrics", "plots")}
DVC_RESULTS = {path for stage in STAGES for path in declared(stage, "outs")}
# of those that git does not have, DVC does
COLUMNS = {"plots/positions.csv": evaluate.POSITION_COLUMNS}


SERIES = {
    "what": "dev NLL at step {step}",
    "file": "plots/mlp.csv",
    "key": "nll",
    "where": {"step": [0, 9]},
}


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)


# --- audit/recipes.yaml -------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_overrides_fit_params(name: str):
    overridden(RECIPES[name].overrides)


def test_every_recipe_has_a_question_and_a_name_that_git_takes_as_a_ref():
    assert len(RECIPES) == sum(len(group.recipes) for group in GROUPS.values())
    for name, recipe in RECIPES.items():
        assert recipe.question.endswith("?")
        assert recipe.figures
        subprocess.run(["git", "check-ref-format", f"refs/exps/{name}"], check=True)


@pytest.mark.parametrize("name", RECIPES)
def test_figures_are_in_results_that_git_or_dvc_keeps(name: str):
    for figure in RECIPES[name].figures:
        path = Path(figure.file)
        assert {figure.file, path.parent.as_posix()} & RESULTS
        if figure.file in DVC_RESULTS:  # which a fresh clone does not have
            continue
        if figure.where is not None:
            columns = COLUMNS.get(figure.file) or next(csv.reader(path.open()))
            assert {figure.key, *figure.where} <= {"row", *columns}
        elif path.name in ("test.json", "test_unseen.json"):  # not in what is committed
            assert path.parent == evaluate.NLL
            assert figure.key in MODELS
        else:
            figures.value(figure, path.read_bytes())


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_changes_only_models_that_its_figures_are_about(name: str):
    recipe = RECIPES[name]
    sections = {override.partition(".")[0] for override in recipe.overrides}
    if recipe.seeds:
        sections.add(recipe.seeded)
    shown = " ".join(f"{figure.file} {figure.key} {figure.where}" for figure in recipe.figures)
    assert {section for section in sections & TRAINED if section not in shown} == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question": 3}, "counting.recipes.a.question: Input should be a valid string; found 3"),
        ({"q": "why"}, "counting.recipes.a.q: Extra inputs are not permitted; found 'why'"),
        ({"figures": 3}, "counting.recipes.a.figures: Input should be a valid list; found 3"),
        (
            {"figures": [SERIES | {"what": "NLL at {row}"}]},
            ("counting.recipes.a.figures: not a series as described at the top: KeyError('row')"),
        ),
        (
            {"figures": [SERIES | {"notebook": [3.5]}]},
            ("counting.recipes.a.figures: dev NLL at step {step}: 2 values of step, 1 of notebook"),
        ),
    ],
)
def test_wrong_recipe_is_one_line(tmp_path: Path, change: dict[str, object], message: str):
    recipe = {"question": "why?", "overrides": [], "figures": []} | change
    content = {"shared": {}, "counting": {"title": "t", "recipes": {"a": recipe}}}
    (tmp_path / "recipes.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError) as refused:
        catalog.load(tmp_path / "recipes.yaml")
    assert str(refused.value).startswith(f"{tmp_path / 'recipes.yaml'}: {message}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- counting", "not sections by name in YAML: "),
        ("a: [", "not sections by name in YAML: "),
        ("", "not sections by name in YAML: "),
        ("a: {title: t}", "a.recipes: Field required"),
    ],
)
def test_file_that_holds_no_recipes_is_one_line(tmp_path: Path, content: str, message: str):
    (tmp_path / "recipes.yaml").write_text(content)
    with pytest.raises(InputError) as refused:
        catalog.load(tmp_path / "recipes.yaml")
    assert str(refused.value).startswith(f"{tmp_path / 'recipes.yaml'}: {message}")
    assert "\n" not in str(refused.value)


def test_two_experiments_of_one_name_are_refused(tmp_path: Path):
    recipe = {"question": "why?", "overrides": [], "figures": []}
    content = {"x": {"title": "t", "recipes": {"a": recipe | {"seeds": [1]}, "a-seed-1": recipe}}}
    (tmp_path / "recipes.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="a-seed-1: two experiments have this name"):
        catalog.load(tmp_path / "recipes.yaml")


@pytest.mark.parametrize(
    ("changes", "content", "place"),
    [
        ({"key": "mlp"}, b'{"bigram_count": 2.1}', "mlp"),
        ({"key": "mlp"}, b'{"mlp": "none"}', "mlp"),
        ({"key": "nll"}, b'{"nll": {"mlp": 2.1}}', "nll"),
        ({"key": "nll.mlp.dev"}, b'{"nll": {"mlp": 2.1}}', "nll.mlp.dev"),
        ({"key": "nll"}, b"1,", "nll"),
        (
            {"key": "nll", "where": {"step": 1}},
            b"step,nll\n0,3.2\n",
            "nll where {'step': 1}",
        ),
        (
            {"key": "model", "where": {"step": 0}},
            b"step,model\n0,mlp\n",
            "model where {'step': 0}",
        ),
        (
            {"key": "value", "where": {"fact": "parameters"}},
            b"fact,value\nparameters\n",
            "value where {'fact': 'parameters'}",
        ),
        (
            {"key": "nll", "where": {"split": "dev", "model": "mlp"}},
            b"split,model,nll\ndev,mlp,\ndev,mixture,2.1\ntest,mlp,2.1\n",
            "nll where {'split': 'dev', 'model': 'mlp'}",
        ),
    ],
)
def test_figure_that_is_not_there_is_one_line(
    changes: dict[str, object], content: bytes, place: str
):
    path = "a.csv" if content.startswith(b"step") else "a.json"
    with pytest.raises(InputError) as refused:
        figures.value(figure(file=path, **changes), content)
    assert str(refused.value) == f"{path}: no number at {place}"


@pytest.mark.parametrize(
    ("changes", "content", "found"),
    [
        ({"where": {"step": 2}}, b"step,nll\n0,3.5\n2,3.0\n4,2.0\n", 3.0),
        ({"where": {"row": 2}}, b"rate,nll\n0.1,3.5\n0.2,3.0\n0.3,2.0\n", 2.0),
    ],
)
def test_rows_of_csv(changes: dict[str, object], content: bytes, found: float):
    assert figures.value(figure(file="a.csv", key="nll", **changes), content) == found


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("few", "`a 0, <START> 1, <END> 2`"),
        ("few.length", 3),
        ("many", "`2 0, 3 1, 5 2, ..., 13 5, 17 6, 19 7`"),
        ("many.length", 8),
        ("many.nll", None),
    ],
)
def test_list_in_json(key: str, found: object):
    lists = {"few": ["a", "<START>", "<END>"], "many": [2, 3, 5, 7, 11, 13, 17, 19]}
    content = json.dumps(lists).encode()
    if found is None:
        with pytest.raises(InputError, match=r"no number at many\.nll"):
            figures.value(figure(key=key), content)
    else:
        assert figures.value(figure(key=key), content) == found


def test_series_is_a_figure_per_value():
    series = SERIES | {"notebook": [3.5, 3.25]}
    recipe = Recipe(question="why?", overrides=[], figures=[series, SERIES])
    assert [figure.what for figure in recipe.figures] == [
        *("dev NLL at step 0", "dev NLL at step 9"),
        *("dev NLL at step 0", "dev NLL at step 9"),
    ]
    first, second, third, _ = recipe.figures
    assert (first.where, first.notebook) == ({"step": 0}, "3.5")
    assert (second.where, second.notebook) == ({"step": 9}, "3.25")
    assert third.notebook is None


def test_bands_are_those_of_the_recipe_and_figure(tmp_path: Path):
    recipe = {"question": "why?", "overrides": [], "figures": [SERIES]}
    content = {"x": {"title": "t", "recipes": {"a": recipe, "b": recipe}}}
    write_bands(tmp_path, a={"dev NLL at step 9": 2.0})
    (tmp_path / "audit/recipes.yaml").write_text(yaml.safe_dump(content))
    loaded = catalog.load(tmp_path / "audit/recipes.yaml")["x"].recipes
    first, second = loaded["a"].figures
    assert first.band is None
    assert second.band == Band(mean=2.0, sd=0.125, values=[2.0] * 5)
    assert [figure.band for figure in loaded["b"].figures] == [None, None]


def write_bands(folder: Path, **means: dict[str, float]) -> None:
    """Write bands of three times 0.125 around means, by recipe and figure."""
    entries = {
        name: {
            "command": "python x",
            "seeds": [1, 2, 3, 4, 5],
            "figures": {
                what: {"mean": mean, "sd": 0.125, "values": [mean] * 5}
                for what, mean in of_recipe.items()
            },
        }
        for name, of_recipe in means.items()
    }
    write_json(folder / "audit/bands.json", entries)


def test_seeds_are_those_of_the_model_that_the_recipe_is_about():
    recipe = Recipe(question="why?", overrides=[], seeds=[7], seeded="bigram_neural", figures=[])
    assert recipe.experiments("a") == {"a-seed-7": ["bigram_neural.seed=7"]}


def test_number_of_a_table_is_whole_if_it_is_written_so():
    content = b"fact,value\nparameters,1234\nweight,0.25\n"
    found = [
        figures.value(figure(file="a.csv", key="value", where={"fact": fact}), content)
        for fact in ("parameters", "weight")
    ]
    assert found == [1234, 0.25]
    assert [type(number) for number in found] == [int, float]


def test_a_seed_is_an_experiment():
    recipe = Recipe(question="why?", overrides=["mlp.lr=1 mlp.steps=2"], seeds=[7, 8], figures=[])
    assert recipe.experiments("a") == {
        "a-seed-7": ["mlp.lr=1", "mlp.steps=2", "mlp.seed=7"],
        "a-seed-8": ["mlp.lr=1", "mlp.steps=2", "mlp.seed=8"],
    }
    assert recipe.model_copy(update={"seeds": None}).experiments("a") == {
        "a": ["mlp.lr=1", "mlp.steps=2"]
    }


# --- the table --------------------------------------------------------------------------------


def figure(**changes: object) -> Figure:
    return Figure(**{"what": "dev NLL", "file": "metrics/nll/dev.json", "key": "mlp"} | changes)


@pytest.mark.parametrize(
    ("ours", "shown", "verdict"),
    [
        ([1.9998], "1.9998", "OUTSIDE"),
        ([2.0], "2.0000", "inside"),
        ([2.10004], "2.1000", "inside"),
        ([2.1002], "2.1002", "OUTSIDE"),
        ([1.9, 2.3], "2.1000 ± 0.2828", "inside"),
    ],
)
def test_verdict_is_about_the_four_decimals_that_are_shown(
    ours: list[float], shown: str, verdict: str
):
    band = Band(mean=2.05, sd=0.05 / 3, values=[2.05] * 5)  # 2.0 to 2.1
    row = Result.of("a", figure(band=band), ours)
    assert (row.ours, row.verdict) == (shown, verdict)
    assert Result.of("a", figure(), ours).verdict == ""


@pytest.mark.parametrize(
    ("ours", "shown"),
    [
        ([3481], "3,481"),
        ([3481, 3481], "3,481"),
        ([1, 2], "1.5000 ± 0.7071"),
        ([2.0, 2.0], "2.0000 ± 0.0000"),
        (["`a 0`"], "`a 0`"),
    ],
)
def test_counts_and_texts_are_shown_as_they_are(ours: list[float | str], shown: str):
    assert Result.of("a", figure(), ours).ours == shown


@pytest.mark.parametrize(
    ("changes", "agreement"),
    [
        ({"notebook": 2.17}, "agrees"),
        ({"notebook": 2.4, "why": "more steps"}, "differs: more steps"),
        ({"notebook": 2.17, "why": "more steps"}, "agrees"),
        ({"notebook": 2.2}, "agrees only to the digits printed"),  # 2.0250 to 2.1750, and 0.05
        ({"notebook": 2.17, "no_verdict": "no steps"}, "no verdict: no steps"),
        ({}, ""),
        ({"notebook": 2.17, "band": None}, ""),
    ],
)
def test_agreement_is_about_the_notebook(changes: dict[str, object], agreement: str):
    band = Band(mean=2.1, sd=0.025, values=[2.1] * 5)
    assert Result.of("a", figure(**{"band": band} | changes), [9.0]).agreement == agreement


def test_table_by_hand():
    band = Band(mean=2.1, sd=0.025, values=[2.1] * 5)
    rows = [
        Result("a", figure(notebook=2.4, why="more steps", band=band), "2.1500"),
        Result("a", figure(what="test NLL"), "2.2500"),
    ]
    assert [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in figures.table(rows, "github").split("\n")[2:]
    ] == [
        ["a", "dev NLL", "2.4", "2.1500", "2.1000 ± 0.0250", "inside", "differs: more steps"],
        ["", "test NLL", "", "2.2500", "", "", ""],
    ]


# --- audit/NOTEBOOKS.md -------------------------------------------------------------------------


def written(name: str) -> list[Result]:
    return summary.written(name, GROUPS[name], NOTEBOOKS)


@pytest.mark.parametrize("name", GROUPS)
def test_notebooks_md_is_what_the_tool_writes(name: str):
    section = summary.section(GROUPS[name], written(name))
    assert documents.fill_in(NOTEBOOKS, {name: lambda: section}) == NOTEBOOKS


@pytest.mark.parametrize("name", GROUPS)
def test_what_lies_outside_its_band_is_explained(name: str):
    assert written(name)
    for row in written(name):
        assert row.verdict != "OUTSIDE" or RECIPES[row.recipe].note


def test_notebooks_md_holds_the_numbers_of_the_committed_results():
    final = {row.figure.what: float(row.ours) for row in written("answer") if row.recipe == "final"}
    assert final["dev NLL"] == pytest.approx(losses(ROOT)["dev"]["mlp"], abs=5e-5)


def test_notebooks_md_holds_the_losses_of_the_counts(names: list[str]):
    lists = {"all": names, **split.cut(split.shuffle(names, seed=42), train=0.8, dev=0.1)}
    for row in written("counting"):
        if not row.figure.what.endswith("NLL"):
            continue
        chosen = overridden(RECIPES[row.recipe].overrides)
        train, scored = ("train", "dev") if row.figure.what == "dev NLL" else ("all", "all")
        vocabulary = build_vocabulary(names, params.Vocabulary(**chosen["vocabulary"]))
        counts = {
            key: bigram_counts(build_examples(lists[key], vocabulary, 1), len(vocabulary))
            for key in {train, scored}
        }
        P = train_bigram_count.normalise(counts[train], chosen["bigram_count"]["smoothing"])
        seen = counts[scored] > 0
        nll = -(counts[scored][seen] * np.log(P[seen])).sum() / counts[scored].sum()
        assert row.ours == f"{nll:.4f}", row.recipe


def test_pictures_of_recipes_are_there():
    for name, recipe in RECIPES.items():
        for picture in recipe.picture:
            path = summary.picture_path(name, picture)
            assert (ROOT / path).exists()
            assert f'src="{path.relative_to("audit")}"' in NOTEBOOKS


# --- run for real -----------------------------------------------------------------------------


def tool(project: Project, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    ran = project.call("tools.recipes", *arguments)
    assert ran.returncode == status, ran.stderr
    return ran


def existing(project: Project) -> set[str]:
    """The experiments that started from HEAD."""
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    folder = f"refs/exps/{head[:2]}/{head[2:]}/"
    listed = project.run("git", "for-each-ref", "--format=%(refname)", folder).stdout
    return {ref.removeprefix(folder) for ref in listed.split()}


def ran(stderr: str) -> set[str]:
    return set(re.findall(r"^([\w.=-]+): \d+ s", stderr, re.MULTILINE))


PARAMETERS = {
    "what": "parameters",
    "file": "metrics/mlp.csv",
    "key": "value",
    "where": {"fact": "parameters"},
}


def test_five_names_start_at_the_loss_of_the_notebook(tmp_path: Path, names: list[str]):
    recipe = RECIPES["five-names"]
    settings = overridden(recipe.overrides)
    changes = {f"{name}.{key}": settings[name][key] for name in settings for key in settings[name]}
    for key in ("fetch.url", "fetch.sha256"):
        del changes[key]
    stages = ("fetch", "split", "build_contexts", "train_mlp")
    run_stages(tmp_path, "\n".join(names).encode(), changes, stages)
    first = recipe.figures[0]
    ours = figures.value(first, (tmp_path / first.file).read_bytes())
    assert (Result.of("five-names", first, [ours]).ours, first.notebook) == ("17.7697", "17.7697")


def test_recipes_run_aside_under_their_names_and_only_once(
    with_recipes: Project, tmp_path: Path, names: list[str]
):
    project = with_recipes.copy(tmp_path / "clone")
    stdout, stderr = (
        (with_recipes.root.parent / stream).read_text() for stream in ("stdout", "stderr")
    )
    both = {"smoothing-3", "few"}
    assert ran(stderr) == both
    assert "replaces" not in stderr
    # only the model that it is about; `few` draws other names and trains nothing
    assert re.findall(r"^(.*): \d+ s, ran (.*) \(", stderr, re.MULTILINE) == [
        ("smoothing-3", "train_bigram_count")
    ]
    assert re.search(r"^ +symbols +27$", stdout, re.MULTILINE)
    assert re.search(r"^smoothing-3 +dev NLL +2\.4550 +2\.4550 +inside", stdout, re.MULTILINE)
    assert project.changed() == ""
    assert existing(project) == both
    again = tool(project, *sorted(both, reverse=True))
    assert (again.stdout, again.stderr) == (stdout, "")
    alone = tool(project, "smoothing-3").stdout

    changed = tool(project, "few", "-S", "bigram_count.smoothing=3")
    both_and_changed = both | {"few-bigram_count.smoothing=3"}
    assert ran(changed.stderr) == both_and_changed - both
    assert re.search(r"^few +dev NLL +2\.4533 +2\.4550$", changed.stdout, re.MULTILINE)
    assert existing(project) == both_and_changed

    project.set_param("bigram_count.smoothing", 2)  # overridden by one of them, not by the other
    changed = tool(project, *both)
    assert ran(changed.stderr) == {"few"}
    line = r"^few: \d+ s, (ran \w+, )?replaces [0-9a-f]{7} \(1 of 1 done\)$"
    assert re.search(line, changed.stderr, re.MULTILINE)
    assert existing(project) == both_and_changed

    # from another commit they are run again, so that to apply one brings nothing else back
    project.run("git", "restore", "params.yaml")
    project.commit("another")
    assert existing(project) == set()
    assert tool(project, "smoothing-3").stdout == alone
    project.run("dvc", "exp", "apply", "smoothing-3")
    assert "README.md" not in project.changed()
    applied = yaml.safe_load((project.root / "params.yaml").read_text())
    assert applied["bigram_count"]["smoothing"] == 3


@pytest.mark.faults
def test_recipe_that_fails_says_so_and_leaves_what_there_was(project: Project):
    one, other, failing = (
        {"question": "why?", "overrides": [override], "figures": [PARAMETERS]}
        for override in ("sample.count=3", "sample.count=4", "mlp.lr=1e30")
    )
    write_recipes(project, one=one, other=other)
    tool(project, "one")
    before = project.run("git", "for-each-ref", "refs/exps/*/*/one").stdout
    write_recipes(project, one=failing, other=other)
    failed = tool(project, "one", "other", status=1)
    assert "one failed: " in failed.stderr
    assert "lower mlp.lr, now 1e+30" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert existing(project) == {"one", "other"}
    assert before == project.run("git", "for-each-ref", "refs/exps/*/*/one").stdout != ""


def test_file_of_an_experiment_is_found_in_git_or_in_the_cache_of_dvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project = Project(tmp_path / "clone")
    folder = project.root / "names"  # the project need not be at the root of git
    write_bytes(folder / "plots/embedding.svg", b"cached")
    write_bytes(folder / "plots/loss.svg", b"in git")
    project.run("git", "init", "--quiet", "--initial-branch=main")
    names = Project(folder)
    names.run("dvc", "init", "--quiet", "--subdir")
    names.run("dvc", "add", "--quiet", "plots/embedding.svg")
    project.commit("two pictures")
    assert "names/plots/embedding.svg\n" not in project.run("git", "ls-files").stdout
    commit = project.run("git", "rev-parse", "HEAD").stdout.strip()
    for name in ("embedding.svg", "loss.svg"):
        write_bytes(folder / "plots" / name, b"of another experiment")
    project.commit("other pictures")

    monkeypatch.chdir(folder)
    for key, value in names.environment().items():
        monkeypatch.setenv(key, value)
    assert file_of(commit, "plots/loss.svg") == b"in git"
    assert file_of(commit, "plots/embedding.svg") == b"cached"

    def refused(path: str) -> str:
        with pytest.raises(InputError) as error:
            file_of(commit, path)
        return str(error.value)

    problem = (
        f"neither git nor DVC's cache has it for {commit[:7]}; remove this experiment with "
        "`dvc exp remove` and run it again"
    )
    assert refused("plots/gone.svg") == f"plots/gone.svg: {problem}"
    shutil.rmtree(folder / ".dvc/cache")
    file_of.cache_clear()
    assert refused("plots/embedding.svg") == f"plots/embedding.svg: {problem}"


def save_experiment(
    project: Project, name: str, overrides: list[str], nll: float, **others: int
) -> None:
    """Save what an experiment of this name would leave in git."""
    with contextlib.chdir(project.root):
        settings = overridden(overrides)
        (project.root / "params.yaml").write_text(yaml.safe_dump(settings))
        write_json(Path("metrics/nll/dev.json"), {"mlp": nll})
        write_facts(Path("metrics/mlp.csv"), others)
        write_bytes(Path("plots/embedding.svg"), name.encode())
        ref = experiment_ref(name)
        project.commit(name)
        project.run("git", "update-ref", ref, "HEAD")
        project.run("git", "reset", "--quiet", "--hard", "HEAD~1")


@pytest.fixture
def saved(tmp_path: Path) -> Project:
    """A repository of recipes whose experiments have all been run."""
    project = Project(tmp_path / "clone")
    (project.root / "audit").mkdir(parents=True)
    shutil.copy2(ROOT / "params.yaml", project.root)
    loss = {"what": "nll", "file": "metrics/nll/dev.json", "key": "mlp"}
    narrow = {
        "question": "How narrow?",
        "overrides": ["mlp.hidden=5 mlp.steps=3"],
        "seeds": [1, 2],
        "figures": [loss],
        "note": "small",
        "picture": "plots/embedding.svg",
    }
    wide = {"question": "How wide?", "overrides": ["mlp.hidden=9"], "figures": [PARAMETERS, loss]}
    deep = {"question": "How deep?", "overrides": ["mlp.layers=2"], "figures": [loss]}
    content = {
        "x": {"title": "Width", "recipes": {"narrow": narrow, "wide": wide}},
        "y": {"title": "Depth", "recipes": {"deep": deep}},
    }
    (project.root / "audit/recipes.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (project.root / "audit/NOTEBOOKS.md").write_text(UNRENDERED)
    (project.root / "docs").mkdir()
    (project.root / "docs/performance.md").write_text("<!-- table: beat -->\n<!-- end -->\n")
    write_bands(project.root, narrow={"nll": 2.25}, wide={"nll": 2.25}, deep={"nll": 2.25})
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.commit("recipes")
    for seed, nll in ((1, 2.0), (2, 3.0)):
        overrides = ["mlp.hidden=5", "mlp.steps=3", f"mlp.seed={seed}"]
        save_experiment(project, f"narrow-seed-{seed}", overrides, nll)
    save_experiment(project, "wide", ["mlp.hidden=9"], 2.25, parameters=1234)
    save_experiment(project, "deep", ["mlp.layers=2"], 2.75)
    return project


MARKS = ("<!-- table: x -->\n", "<!-- end -->\nb\n<!-- table: y -->\n", "<!-- end -->\n")
UNRENDERED = "a\n" + "".join(MARKS)
WIDTH = """\
## Width

- `narrow`: How narrow?
- `wide`: How wide?

| recipe   | figure     |   notebook |            ours |      plain loop | ours is   | the notebook   |
|:---------|:-----------|-----------:|----------------:|----------------:|:----------|:---------------|
| narrow   | nll        |            | 2.5000 ± 0.7071 | 2.2500 ± 0.1250 | inside    |                |
| wide     | parameters |            |           1,234 |                 |           |                |
|          | nll        |            |          2.2500 | 2.2500 ± 0.1250 | inside    |                |

- `narrow`: small

<img src="pictures/narrow_embedding.svg" width="800" alt="narrow">
"""  # noqa: E501
DEPTH = """\
## Depth

- `deep`: How deep?

| recipe   | figure   |   notebook |   ours |      plain loop | ours is   | the notebook   |
|:---------|:---------|-----------:|-------:|----------------:|:----------|:---------------|
| deep     | nll      |            | 2.7500 | 2.2500 ± 0.1250 | OUTSIDE   |                |
"""


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["wide"], ["wide"]),
        (["y", "wide"], ["wide", "deep"]),
        (["--all"], ["narrow", "wide", "deep"]),
    ],
)
def test_results_that_exist_are_shown(saved: Project, arguments: list[str], shown: list[str]):
    finished = tool(saved, *arguments)
    assert finished.stderr == ""  # nothing was run
    assert [line.split()[0] for line in finished.stdout.splitlines()[2:] if line[0] != " "] == shown
    assert saved.changed() == ""


@pytest.mark.parametrize(
    ("parts", "rendered"), [(["x"], (WIDTH, "")), (["y"], ("", DEPTH)), ([], (WIDTH, DEPTH))]
)
def test_results_that_exist_are_rendered(
    saved: Project, parts: list[str], rendered: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(summary, "TABLES", {"beat": lambda: "the table"})
    finished = saved.call("audit.summary", *parts)
    assert (finished.returncode, finished.stderr) == (0, "")  # nothing was run
    expected = f"a\n{MARKS[0]}{rendered[0]}{MARKS[1]}{rendered[1]}{MARKS[2]}"
    assert (saved.root / "audit/NOTEBOOKS.md").read_text() == expected
    performance = (saved.root / "docs/performance.md").read_text()
    assert performance == "<!-- table: beat -->\nthe table\n<!-- end -->\n"
    picture = saved.root / "audit/pictures/narrow_embedding.svg"
    assert picture.exists() == bool(rendered[0])
    if rendered[0]:
        assert picture.read_bytes() == b"narrow-seed-1"


def test_unknown_part_is_refused(saved: Project):
    refused = saved.call("audit.summary", "z")
    assert (refused.returncode, "no part z; there are x, y" in refused.stderr) == (2, True)


def test_recipes_with_a_change_are_shown_beside_themselves(saved: Project):
    for seed, nll in ((1, 2.25), (2, 2.25)):
        overrides = ["mlp.hidden=5", "mlp.steps=3", "mlp.lr=0.5", f"mlp.seed={seed}"]
        save_experiment(saved, f"narrow-mlp.lr=0.5-seed-{seed}", overrides, nll)
    # this one has no number of parameters
    save_experiment(saved, "wide-mlp.lr=0.5", ["mlp.hidden=9", "mlp.lr=0.5"], 2.5)
    before = saved.changed()
    finished = tool(saved, "wide", "narrow", "-S", "mlp.lr=0.5")
    assert finished.stderr == ""  # nothing was run
    assert [re.split("  +", line.strip()) for line in finished.stdout.splitlines()] == [
        ["recipe", "figure", "notebook", "ours", "mlp.lr=0.5"],
        ["-" * 8, "-" * 10, "-" * 10, "-" * 15, "-" * 15],
        ["narrow", "nll", "2.5000 ± 0.7071", "2.2500 ± 0.0000"],
        ["wide", "parameters", "1,234", "none"],
        ["nll", "2.2500", "2.5000"],
    ]
    assert saved.changed() == before == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["mlp.hiden=9"], "-S mlp.hiden=9: Could not override 'mlp.hiden'."),
        (
            ["mlp.lr=0.5", "mlp.hidden=x"],
            "-S mlp.lr=0.5 mlp.hidden=x: mlp.hidden: Input should be a valid integer; found 'x'",
        ),
        (
            ["mlp.hidden=5"],
            "-S mlp.hidden=5: changes nothing in narrow-seed-1 (audit/recipes.yaml)",
        ),
        # each of its experiments sets the seed
        (["mlp.seed=7"], "-S mlp.seed=7: changes nothing in narrow-seed-1 (audit/recipes.yaml)"),
    ],
)
def test_wrong_change_is_refused(saved: Project, changes: list[str], message: str):
    options = [part for change in changes for part in ("-S", change)]
    refused = tool(saved, "narrow", *options, status=1)
    assert refused.stderr.splitlines()[0].startswith(message)
    assert refused.stdout == ""


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (["mlp.lr=2e-1", "mlp.steps=5"], "a-mlp.lr=2e-1-mlp.steps=5"),
        (["evaluate.splits=[train, dev]"], "a-evaluate.splits=train-dev"),
        (["fetch.url=../x~y:z^.lock"], "a-fetch.url=.-x-y-z-"),
    ],
)
def test_experiment_of_a_change_has_a_name_that_git_takes(changes: list[str], name: str):
    assert program.name_of_change("a", changes) == name
    subprocess.run(["git", "check-ref-format", f"refs/exps/{name}"], check=True)


# --- how long ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experiment_s", "seeds", "shown"),
    [(12, None, "10 s"), (13, [1, 2], "15 s"), (13, [1, 2, 3], "25 s"), (46, [1, 2, 3], "2 min")],
)
def test_experiments_of_a_recipe_take_turns_on_the_cores(
    monkeypatch: pytest.MonkeyPatch, experiment_s: int, seeds: list[int] | None, shown: str
):
    monkeypatch.setattr(experiments, "EXPERIMENT_S", experiment_s)
    monkeypatch.setattr(program.os, "cpu_count", lambda: 2)
    recipe = Recipe(question="why?", overrides=["mlp.steps=0"], seeds=seeds, figures=[])
    settings = params.load(ROOT / "params.yaml").model_dump()
    assert program.duration(recipe, settings) == shown


def test_experiment_that_dvc_refuses_is_named_with_what_dvc_says(saved: Project):
    (saved.root / ".dvc").mkdir()
    for path in (".dvc/config", ".dvc/.gitignore"):
        shutil.copy2(ROOT / path, saved.root / path)
    saved.run("git", "add", ".dvc")
    saved.set_param("mlp.layers", 3)  # in no experiment but `deep`, which overrides it
    failed = tool(saved, "deep", "wide", status=1)
    why = "ERROR: '.*dvc.yaml' does not exist"
    assert re.fullmatch(
        rf"wide: \d+ s, failed: {why} \(1 of 1 done, 1 failed\)\nwide failed: {why}\n",
        failed.stderr,
    )


def test_outside_a_repository_is_one_line(tmp_path: Path):
    (tmp_path / "audit").mkdir()
    for name in ("audit/recipes.yaml", "params.yaml"):
        shutil.copy2(ROOT / name, tmp_path / name)
    write_bands(tmp_path)
    refused = tool(Project(tmp_path), "final", status=1)
    assert refused.stderr.startswith("git rev-parse: fatal: not a git repository")
    assert "Traceback" not in refused.stderr


def test_repository_without_dvc_is_one_line(saved: Project):
    saved.set_param("mlp.layers", 3)
    refused = tool(saved, "wide", status=1)
    assert refused.stderr == f"{saved.root}: not the root of a DVC repository; run from there\n"
    assert not (saved.root / ".dvc").exists()


def test_shallow_clone_is_told_how_to_become_a_whole_one(tmp_path: Path):
    clone = Project(tmp_path / "clone")
    url = ROOT.as_uri()
    Project(tmp_path).run("git", "clone", "--quiet", "--depth", "1", url, str(clone.root))
    refused = tool(clone, "final", status=1)
    assert refused.stderr == (
        "this is a shallow clone, in which DVC saves no experiments; run `git fetch --unshallow`\n"
    )


def test_list_names_every_recipe():
    listed = Project(ROOT).run(sys.executable, "-m", "tools.recipes").stdout
    lines = listed.splitlines()
    recipes = [line for line in lines if line.startswith("  ")]
    assert [line.split()[0] for line in recipes] == list(RECIPES)
    assert [line for line in lines if line not in recipes] == [
        f"{part}: {group.title}" for part, group in GROUPS.items()
    ]
    for line in recipes:
        assert re.match(r"  \S+ +\d+ (s|min)  \S", line)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlp-2-1000"], "no recipe mlp-2-1000; `python -m tools.recipes` lists them"),
        (["-S", "mlp.lr=1"], "-S needs recipes to change"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], message: str):
    assert message in tool(Project(ROOT), *arguments, status=2).stderr
