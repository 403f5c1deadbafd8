"""dvc.yaml against the code: what a stage declares is what its script imports and reads."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from charlm.core.storage import model_path
from charlm.models.registry import MODELS, model_class
from stages.evaluate import POSITION_COLUMNS
from tests.conftest import ROOT, STAGES, Project
from tools import deps

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
TEMPLATES = {"linear", "bar_horizontal"}  # of DVC's own
PLOTS = {
    path: options
    for stage in STAGES.values()
    for entry in stage.get("plots", [])
    for path, options in ([(entry, {})] if isinstance(entry, str) else entry.items())
}
# too large for git, or redrawn from what is in git
CACHED_PLOTS = {"plots/embedding.svg", "plots/lengths.csv", "plots/loss.svg", "plots/positions.csv"}
WITH_PANDAS = {"find_learning_rate"}
TRAINING_NETWORKS = {"train_bigram_neural", "train_mlp", "find_learning_rate"}
PLOTTING = {stage for stage in STAGES if stage.startswith("plot_")}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_has_script_and_description(stage: str):
    assert STAGES[stage]["cmd"] == f"python -m stages.{stage}"
    assert STAGES[stage]["desc"]


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_those_of_the_code(stage: str):
    declared = STAGES[stage]["deps"]
    expected = deps.complete_deps(stage, declared, STAGES[stage].get("outs", []), ROOT)
    assert declared == expected, "run `make deps` to update dvc.yaml"


def test_sample_writes_one_list_of_names_per_model():
    assert STAGES["sample"]["outs"] == deps.derived_outs(), "run `make deps` to update dvc.yaml"


def test_no_edit_of_a_module_reruns_a_stage_that_does_not_import_it():
    for stage in STAGES:
        behind, _ = deps.closure(f"stages.{stage}", ROOT)
        for dep in STAGES[stage]["deps"]:
            if (ROOT / dep).is_dir() and dep.startswith("charlm/"):
                files = {path.relative_to(ROOT).as_posix() for path in (ROOT / dep).rglob("*.py")}
                assert files - deps.APART <= behind, f"{stage}: {dep}; run `make deps`"


def test_a_folder_of_modules_has_no_other_files_that_are_hashed():
    """.dvcignore keeps them out of the hash in a folder, and git keeps them out of a commit."""
    listed = subprocess.run(
        ["git", "ls-files", "charlm"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(path.endswith(".py") for path in listed.stdout.split())


def test_deps_of_the_code_by_hand(tmp_path: Path):
    sources = {
        "stages/__init__.py": "import charlm",
        "stages/one.py": "from charlm import a\nfrom charlm.models.registry import MODELS",
        "charlm/__init__.py": "",
        "charlm/a.py": "import torch\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from charlm import b\ndef f():\n    from charlm import c",
        "charlm/b.py": "",
        "charlm/c.py": "",
        "charlm/core/__init__.py": "",
        "charlm/core/errors.py": "",
        "charlm/models/__init__.py": "",
        "charlm/models/registry.py": "from charlm.core import errors",
        "charlm/models/mlp.py": "",
        "charlm/models/unused.py": "",
    }
    for path, source in sources.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    modules = set(sources) - {"charlm/b.py", "charlm/models/unused.py"}
    modules = modules - {"charlm/core/__init__.py", "charlm/core/errors.py"} | {"charlm/core"}
    models = {f"data/models/{name}.safetensors" for name in MODELS}
    found = deps.complete_deps("one", ["data/names.txt", "stages/gone.py"], root=tmp_path)
    assert found == sorted(modules | models | {"constraints.txt", "data/names.txt"})


def test_missing_deps_are_written_and_nothing_else_is_changed(tmp_path: Path):
    for name in ("charlm", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name)
    text = (ROOT / "dvc.yaml").read_text()
    before, title, after = text.partition("  evaluate:\n")
    # a stage whose only section is that of the versions, and one that reads others too
    section = "    params:\n    - environment\n    plots:\n    - plots/bigram_counts.svg"
    assert after.count(section) == 1
    after = after.replace(section, "    plots:\n    - plots/bigram_counts.svg")
    missing = ("charlm/names.py", "data/models/mlp.safetensors", "data/samples/mlp.txt")
    for path in (*missing, "environment"):
        assert f"    - {path}\n" in after
        after = after.replace(f"    - {path}\n", "", 1)
    (tmp_path / "dvc.yaml").write_text(before + title + after)
    ran = Project(tmp_path).run(sys.executable, "-m", "tools.deps", PYTHONPATH=str(ROOT))
    assert ran.stdout == "deps: dvc.yaml: evaluate, sample, plot_bigrams changed\n"
    assert (tmp_path / "dvc.yaml").read_text() == text


@pytest.mark.parametrize("stage", STAGES)
def test_script_reads_only_the_sections_it_declares(stage: str):
    tree = ast.parse((ROOT / f"stages/{stage}.py").read_text())
    loads = [node for node in ast.walk(tree) if ast.unparse(node) == "params.load()"]
    # settings = params.load().section, or settings = params.load() and settings.section
    sources = {"params.load()"} | {
        ast.unparse(node.targets[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "params.load()"
    }
    sections = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in sources
    }
    declared = set(STAGES[stage].get("params", []))
    assert sections == declared - {deps.ENVIRONMENT}
    assert sorted(declared) == deps.complete_params(sections, STAGES[stage]["deps"])
    assert len(loads) == bool(sections)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_the_slow_packages_it_needs(stage: str):
    _, packages = deps.closure(f"stages.{stage}", ROOT)
    assert ("matplotlib" in packages) == (stage in PLOTTING)
    assert ("pandas" in packages) == (stage in WITH_PANDAS)
    assert ("torch" in packages) == (stage in TRAINING_NETWORKS)


def test_no_parameter_reaches_a_shell():
    assert "${" not in (ROOT / "dvc.yaml").read_text()


def test_small_results_are_in_git_and_everything_else_in_the_cache():
    for name, stage in STAGES.items():
        outs = stage.get("outs", [])
        # DVC skips a stage without an output in the cache in a fresh clone: right for pictures
        assert bool(outs) == (name not in PLOTTING)
        assert all(isinstance(out, str) and out.startswith("data/") for out in outs)
        for entry in stage.get("metrics", []):
            assert entry == {"metrics/nll": {"cache": False}}
    assert {path for path, options in PLOTS.items() if options.get("cache", True)} == CACHED_PLOTS
    ignored = (ROOT / "plots/.gitignore").read_text().split()
    assert {f"plots{line}" for line in ignored} == CACHED_PLOTS


def test_losses_are_the_only_metrics():
    metrics = {stage: entry["metrics"] for stage, entry in STAGES.items() if "metrics" in entry}
    assert metrics == {"evaluate": [{"metrics/nll": {"cache": False}}]}


def test_every_table_and_curve_has_title_and_axes_that_are_columns_of_it():
    for path, options in PLOTS.items():
        if path.endswith(".csv"):
            assert {"title", "x", "y"} <= set(options), path
            if path not in CACHED_PLOTS:
                columns = (ROOT / path).read_text().partition("\n")[0].split(",")
                assert {options["x"], options["y"]} <= set(columns), path


def test_every_curve_has_axis_labels():
    for path, options in PLOTS.items():
        if Path(path).match("plots/*.csv") or options.get("template") == "models":
            assert "x_label" in options
        if Path(path).match("plots/*.csv"):
            assert "y_label" in options


def test_every_template_of_a_plot_is_dvcs_or_is_in_the_repository():
    for options in PLOTS.values():
        name = options.get("template", "linear")
        assert name in TEMPLATES or (ROOT / f".dvc/plots/{name}.json").exists()


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        ("plots/lengths.csv", ("length", "model", "share")),
        ("plots/positions.csv", POSITION_COLUMNS),
        *((path, None) for path in ("plots/mlp.csv", "metrics/evaluate.csv", "metrics/mlp.csv")),
    ],
)
def test_fields_of_a_template_are_columns_of_its_table(path: str, columns: tuple[str] | None):
    template = (ROOT / f".dvc/plots/{PLOTS[path]['template']}.json").read_text()
    assert json.loads(template)
    found = set(re.findall(r'"field": "(\w+)"|datum\.(\w+)', template))
    fields = {name for names in found for name in names if name}
    calculated = {"rev", *re.findall(r'"as": "(\w+)"', template)}
    fields -= calculated
    assert fields or PLOTS[path]["template"] == "facts"
    assert fields <= set(columns or (ROOT / path).read_text().partition("\n")[0].split(","))


@pytest.mark.parametrize("name", MODELS)
def test_registered_model_is_written_by_its_stage_and_is_an_artifact(name: str):
    path = model_path(name).as_posix()
    writing = [stage for stage, entry in STAGES.items() if path in entry.get("outs", [])]
    assert writing == [model_class(name).stage]
    assert model_class(name).name == name
    assert PIPELINE["artifacts"][name]["path"] == path


def test_every_stored_model_is_registered():
    models = {
        out
        for entry in STAGES.values()
        for out in entry.get("outs", [])
        if out.startswith("data/models/")
    }
    assert models == {model_path(name).as_posix() for name in MODELS}
    assert set(PIPELINE["artifacts"]) == set(MODELS)


def test_freezing_a_stage_and_unfreezing_it_leaves_no_diff(tmp_path: Path):
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    project = Project(tmp_path)
    project.run("dvc", "init", "--quiet", "--no-scm")
    project.run("dvc", "freeze", "--quiet", *STAGES)
    assert (tmp_path / "dvc.yaml").read_bytes() != (ROOT / "dvc.yaml").read_bytes()
    project.run("dvc", "unfreeze", "--quiet", *STAGES)
    assert (tmp_path / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()


def pinned(name: str) -> set[str]:
    """Return the packages that a file of constraints pins."""
    lines = (ROOT / name).read_text().split()
    return {line.partition("==")[0].lower().replace("_", "-") for line in lines}


def test_a_new_tool_reruns_no_stage():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {
        kind: {deps_of.partition(">=")[0].lower() for deps_of in requirements}
        for kind, requirements in {
            "results": extras["dependencies"] + extras["optional-dependencies"]["embedded"],
            "tools": extras["optional-dependencies"]["test"]
            + extras["optional-dependencies"]["dev"],
            "readers": extras["optional-dependencies"]["export"]
            + extras["optional-dependencies"]["kenlm"],
            "report": extras["optional-dependencies"]["report"],
            "cluster": extras["optional-dependencies"]["cluster"],
            "labs": extras["optional-dependencies"]["labs"],
        }.items()
    }
    assert required["results"] <= pinned("constraints.txt")
    assert required["tools"] <= pinned("constraints-dev.txt")
    assert required["readers"] <= pinned("constraints-dev.txt")
    assert required["report"] <= pinned("constraints.txt") | pinned("constraints-dev.txt")
    assert required["cluster"] <= pinned("constraints-cluster.txt")
    assert required["labs"] <= pinned("constraints-labs.txt")
    others = {f"constraints-{name}.txt" for name in ("dev", "cluster", "labs")}
    for other in others:
        assert not pinned("constraints.txt") & pinned(other)
    for stage in STAGES.values():
        assert not {*others, "pyproject.toml"} & set(stage["deps"])


def test_lowest_version_of_each_package_is_the_one_that_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    files = ("constraints.txt", *(f"constraints-{name}.txt" for name in ("dev", "cluster", "labs")))
    pins = dict(line.split("==") for name in files for line in (ROOT / name).read_text().split())
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for line in chain(project["dependencies"], *project["optional-dependencies"].values()):
        name, lowest = re.fullmatch(r"([\w.-]+)>=([\d.]+)(?:,<\d+)?", line).groups()
        tested = pins[canonicalize_name(name)]
        assert tested == lowest or tested.startswith(f"{lowest}."), line
