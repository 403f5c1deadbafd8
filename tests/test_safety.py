"""No pickle, and nothing from parameters or data reaches a shell."""

import ast
import os
import sys
from itertools import chain
from pathlib import Path

import pytest
import yaml

from tests.conftest import IN_ONE_PROCESS, ROOT, STAGES, Project, declared, write_inputs

# what a person who can set a parameter or give a list of names might try
HOSTILE = [
    "$(touch ran)",
    "`touch ran`",
    "; touch ran",
    "| touch ran",
    "&& touch ran #",
    "-c touch",
]
UNPICKLING = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "cloudpickle"}
CALLS = {"read_pickle", "to_pickle", "torch.load", "torch.save", "np.load", "os.system", "os.popen"}
FOLDERS = ("charlm", "stages", "tools", "benchmarks")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
# python runs this first, where its folder is on PYTHONPATH
WATCH = """
import sys

def watch(event, arguments):
    starts = event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
    if starts or event == "pickle.find_class":
        print("WATCH", event, arguments, file=sys.stderr)

sys.addaudithook(watch)
"""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_source_has_no_pickle_and_gives_nothing_to_a_shell(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not UNPICKLING & {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module.split(".")[0] not in UNPICKLING
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert not any(called == name or called.endswith(f".{name}") for name in CALLS)
            assert "shell" not in {keyword.arg for keyword in node.keywords}
            assert "allow_pickle" not in {keyword.arg for keyword in node.keywords}


def test_commands_of_the_pipeline_hold_nothing_to_fill_in():
    for name, stage in STAGES.items():
        assert stage["cmd"] == f"python -m stages.{name}"
    assert "${" not in (ROOT / "dvc.yaml").read_text()


def test_no_file_of_the_pipeline_is_a_pickle(finished: Project):
    kept = [
        path
        for folder in ("data", "metrics", "plots")
        for path in Path(finished.root, folder).rglob("*")
    ]
    files = [path for path in kept if path.is_file()]
    assert {path.suffix for path in files if path.name[0] != "."} == {
        ".txt",
        ".json",
        ".safetensors",
        ".csv",
        ".svg",
    }
    for path in files:
        beginning = path.read_bytes()[:2]
        assert beginning[:1] != b"\x80"  # of a pickle
        assert beginning != b"PK"  # of a zip, as torch and numpy write pickles


def watched(folder: Path, code: str, *arguments: str) -> str:
    """Run code in a fresh process that tells of programs and pickles; return all it printed."""
    (folder / "sitecustomize.py").write_text(WATCH)
    path = os.pathsep.join([str(folder), str(ROOT)])
    ran = Project(folder).run(sys.executable, "-c", code, *arguments, PYTHONPATH=path)
    return ran.stdout + ran.stderr


def test_stages_start_no_program_and_unpickle_nothing(tmp_path: Path):
    few_steps = {"bigram_neural.steps": 2, "mlp.steps": 3, "find_learning_rate.steps": 2}
    names = "\n".join([*HOSTILE, "emma", "ava", "mia", "zoe"]).encode()
    write_inputs(tmp_path, names, {"split.dev": 0.1, "sample.measured": 20} | few_steps)
    assert "WATCH" not in watched(tmp_path, IN_ONE_PROCESS, *STAGES)
    assert (tmp_path / "data/splits/train.txt").read_text().count("touch") >= 4
    for path in chain.from_iterable(
        declared(stage, "outs", "metrics", "plots") for stage in STAGES
    ):
        assert (tmp_path / path).exists(), path
    assert not list(tmp_path.rglob("ran"))


def test_watch_sees_a_program_and_a_pickle(tmp_path: Path):
    code = "import os, pickle\nos.system('true')\npickle.loads(pickle.dumps(os.getcwd))\n"
    found = watched(tmp_path, code)
    assert "WATCH os.system" in found
    assert "WATCH pickle.find_class" in found


@pytest.mark.parametrize(
    "value", [HOSTILE[0], *(pytest.param(value, marks=pytest.mark.faults) for value in HOSTILE[1:])]
)
def test_parameter_that_looks_like_a_command_is_only_text(project: Project, value: str):
    for key in ("fetch.url", "mlp.init"):
        values = yaml.safe_load((project.root / "params.yaml").read_text())
        section, name = key.split(".")
        project.set_param(key, value)
        failed = project.run("dvc", "repro", check=False)
        assert failed.returncode != 0
        assert value in failed.stderr
        project.set_param(key, values[section][name])
    assert not list(project.root.rglob("ran"))
