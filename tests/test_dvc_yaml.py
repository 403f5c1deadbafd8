"""dvc.yaml against the code: what a stage declares is what its script imports and reads."""

import ast
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
TEMPLATES = {"linear", "bar_horizontal"}  # of DVC's own
SLOW_TO_IMPORT = {  # what it computes with, tables and figures
    "fetch": set(),
    "split": set(),
    "build_contexts": set(),
    "train_bigram_count": {"matplotlib"},
    "train_bigram_neural": {"torch", "pandas", "matplotlib"},
    "train_ngram_count": set(),
    "train_mlp": {"torch", "pandas", "matplotlib"},
    "fit_mixture": {"torch"},
    "find_learning_rate": {"torch", "pandas", "matplotlib"},
    "evaluate": {"torch", "pandas"},
    "sample": {"torch", "pandas"},
}
PINNED = {"torch", "matplotlib", "pandas"}


def imports(path: Path) -> set[str]:
    """All modules that a file imports when it runs, wherever in it, as dotted names."""
    found = set()
    tree = ast.parse(path.read_text())
    for_types = [
        block
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
    ]
    skipped = {node for block in for_types for node in ast.walk(block)}
    for node in set(ast.walk(tree)) - skipped:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def closure(stage: str) -> tuple[set[str], set[str]]:
    """The project's files behind a stage's script, and the packages that these import."""
    files, packages, waiting = set(), set(), [f"stages.{stage}", "stages", "charlm"]
    while waiting:
        module = ROOT / waiting.pop().replace(".", "/")
        path = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if path in files or not path.exists():
            continue
        files.add(path)
        waiting += [name for name in imports(path) if name.split(".")[0] in ("charlm", "stages")]
        packages |= {name.split(".")[0] for name in imports(path)}
    return {path.relative_to(ROOT).as_posix() for path in files}, packages


def test_there_are_eleven_stages_each_with_script_and_description():
    assert list(STAGES) == [
        "fetch",
        "split",
        "build_contexts",
        "train_bigram_count",
        "train_bigram_neural",
        "train_ngram_count",
        "train_mlp",
        "fit_mixture",
        "find_learning_rate",
        "evaluate",
        "sample",
    ]
    for name, stage in STAGES.items():
        assert stage["cmd"] == f"python -m stages.{name}"
        assert stage["desc"]


@pytest.mark.parametrize("stage", STAGES)
def test_deps_hold_exactly_the_modules_that_the_script_imports(stage: str):
    modules, _ = closure(stage)
    assert {dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")} == modules


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_another(stage: str):
    modules, _ = closure(stage)
    assert not modules & {f"stages/{other}.py" for other in STAGES if other != stage}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_computes_with_floats_or_draws_hangs_on_the_pinned_versions(stage: str):
    _, packages = closure(stage)
    assert ("constraints.txt" in STAGES[stage]["deps"]) == bool(packages & PINNED)


@pytest.mark.parametrize("stage", STAGES)
def test_script_reads_only_the_sections_it_declares(stage: str):
    tree = ast.parse((ROOT / f"stages/{stage}.py").read_text())
    loads = [node for node in ast.walk(tree) if ast.unparse(node) == "params.load()"]
    # settings = params.load().section, or settings = params.load() and settings.section
    whole = any(
        isinstance(node, ast.Assign) and ast.unparse(node) == "settings = params.load()"
        for node in ast.walk(tree)
    )
    source = "settings" if whole else "params.load()"
    sections = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == source
    }
    assert sections == set(STAGES[stage].get("params", []))
    assert len(loads) == bool(sections)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_only_the_slow_packages_it_needs(stage: str):
    _, packages = closure(stage)
    assert packages & PINNED == SLOW_TO_IMPORT[stage]


def test_no_parameter_reaches_a_shell():
    assert "${" not in (ROOT / "dvc.yaml").read_text()


def test_small_results_are_in_git_and_all_else_in_the_cache():
    for stage in STAGES.values():
        # without an output in the cache, DVC would never run the stage in a fresh clone
        assert stage["outs"]
        assert all(isinstance(out, str) and out.startswith("data/") for out in stage["outs"])
        for entry in stage.get("metrics", []) + stage.get("plots", []):
            ((_, options),) = entry.items()
            assert options["cache"] is False


def test_every_curve_and_bar_chart_has_title_and_axis_labels():
    for stage in STAGES.values():
        for entry in stage.get("plots", []):
            ((path, options),) = entry.items()
            if path.endswith(".csv"):
                assert {"title", "x", "y", "x_label", "y_label"} <= set(options)


def test_every_template_of_a_plot_is_dvcs_or_stands_in_the_repository():
    for stage in STAGES.values():
        for entry in stage.get("plots", []):
            ((_, options),) = entry.items()
            name = options.get("template", "linear")
            assert name in TEMPLATES or (ROOT / f".dvc/plots/{name}.json").exists()


def test_every_model_is_an_artifact():
    models = {
        out for stage in STAGES.values() for out in stage["outs"] if out.startswith("data/models/")
    }
    assert {artifact["path"] for artifact in PIPELINE["artifacts"].values()} == models


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_uses_torch_fixes_its_threads(stage: str):
    modules, packages = closure(stage)
    assert ("charlm/models/mlp.py" in modules) == ("torch" in packages)
