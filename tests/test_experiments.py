"""tools.experiments: what an experiment runs on, how long it takes, and which one counts."""

import json
import shutil
from pathlib import Path

import pytest

from charlm import params
from charlm.core.errors import InputError
from tests.conftest import ROOT, STAGES, Project, declared
from tools import deps, experiments


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mlp.hiden=300", "mlp.hiden=300: Could not override 'mlp.hiden'."),
        (
            "mlp.hidden=many",
            "mlp.hidden=many: mlp.hidden: Input should be a valid integer; found 'many'",
        ),
        ("gpt.layers=2", "gpt.layers=2: Could not override 'gpt.layers'."),
    ],
)
def test_override_that_does_not_fit_is_refused(override: str, message: str):
    with pytest.raises(InputError) as refused:
        experiments.overridden([override])
    assert str(refused.value) == message


def test_overridden_is_what_dvc_runs_on():
    found = experiments.overridden(
        ["mlp.batch_size=null", "mlp.lr=2e-1", "evaluate.splits=[train]"]
    )
    expected = params.load(ROOT / "params.yaml").model_dump()
    expected["mlp"] |= {"batch_size": None, "lr": 0.2}
    expected["evaluate"]["splits"] = ["train"]
    assert params.Params.model_validate(found).model_dump() == expected


def test_estimate_by_hand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(experiments, "EXPERIMENT_S", 10)
    monkeypatch.setattr(experiments, "STEP_S", 0.5)
    monkeypatch.setattr(experiments, "WEIGHTS_PER_S", 1000)
    settings = params.load(ROOT / "params.yaml").model_dump()
    # 3 x 2 inputs, 5 hidden, 5 more, 27 outputs: 5 x (6 + 5 + 27) = 190 weights
    shape = ["contexts.block_size=3", "mlp.embedding=2", "mlp.hidden=5", "mlp.layers=2"]
    few = [*shape, "mlp.steps=4", "mlp.batch_size=10", "split.seed=null"]
    assert experiments.estimate_s(settings, few) == pytest.approx(10 + 4 * (0.5 + 1.9))
    full = [*few, "mlp.batch_size=null"]
    assert experiments.estimate_s(settings, full) == pytest.approx(10 + 4 * (0.5 + 5500 * 0.19))


def test_code_behind_a_result_includes_the_library_and_every_dep_that_is_code():
    assert "charlm" in experiments.CODE
    code = {dep for stage in STAGES for dep in declared(stage, "deps") if deps.is_derived(dep)}
    assert {Path(path).parts[0] for path in code} | {"dvc.yaml"} == set(experiments.CODE)


def test_experiment_of_other_code_does_not_count(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.run("dvc", "exp", "run", "--temp", "--name", "same")
    monkeypatch.chdir(project.root)
    head = experiments.head_commit()
    for path in ("stages/sample.py", "charlm/models/mlp.py", "constraints.txt", "dvc.yaml"):
        assert experiments.find("same", []) is not None
        before = Path(path).read_text()
        Path(path).write_text(f"{before}# changed\n")
        assert experiments.find("same", []) is None
        assert experiments.find("same", [], head) is not None
        Path(path).write_text(before)
    project.set_param("mlp.lr", 0.7)
    assert experiments.find("same", []) is None
    assert experiments.find("same", [], head) is not None
    assert experiments.find("same", ["mlp.lr=0.7"], head) is None


def test_files_of_dvc_are_read_from_its_cache(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project.root)
    head = experiments.git("rev-parse", "HEAD").decode().strip()
    experiments.file_of.cache_clear()
    assert json.loads(experiments.file_of(head, "data/vocabulary.json"))[:2] == [".", "a"]
    experiments.file_of.cache_clear()
    shutil.rmtree(".dvc/cache/files")
    with pytest.raises(InputError) as refused:
        experiments.file_of(head, "data/vocabulary.json")
    assert str(refused.value) == (
        f"data/vocabulary.json: neither git nor DVC's cache has it for {head[:7]}; remove this "
        "experiment with `dvc exp remove` and run it again"
    )
