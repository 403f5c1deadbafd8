"""What people see who use DVC every day: tables that fit, small diffs, experiments that travel."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from charlm.core.storage import write_bytes
from tests.conftest import ROOT, Project, facts

MAX_SHOW_WIDTH = 100  # of `dvc metrics show`
MAX_DIFF_ROWS = 8  # of `dvc metrics diff` after one parameter of the MLP changed
MAX_EXPERIMENTS_WIDTH = (
    200  # of `dvc exp show`, without the hashes of models and the losses on train
)
MAX_ADDED_LINES = 110  # by an experiment with one changed parameter
WITHOUT_HASHES_AND_TRAIN = "data|plots|.*train"  # for --drop; as in docs/experiments.md


@pytest.fixture(scope="module")
def experiments(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone after two experiments with the MLP, the second one in its workspace."""
    project = finished.copy(tmp_path_factory.mktemp("experiments") / "clone")
    project.commit("the first run")
    changes = ("-S", "mlp.hidden=100", "-S", "mlp.lr=0.02")
    project.run("dvc", "exp", "run", "--temp", "--name", "narrow", *changes)
    project.run("dvc", "exp", "run", "--name", "wide", "-S", "mlp.hidden=300")
    return project


def widths(project: Project, *command: str) -> set[int]:
    """Return how wide the lines of a table are that DVC prints."""
    return {len(line) for line in project.run("dvc", *command).stdout.splitlines()}


def test_losses_fit_on_a_page(quick: Project):
    shown = quick.run("dvc", "metrics", "show").stdout
    header, *rows = (line.split() for line in shown.splitlines())
    assert sorted(header[1:]) == ["bigram_count", "bigram_neural", "mixture", "mlp", "ngram_count"]
    splits = [row[0] for row in rows]
    assert splits == [f"metrics/nll/{split}.json" for split in ("dev", "dev_unseen", "train")]
    assert max(map(len, shown.splitlines())) <= MAX_SHOW_WIDTH


@pytest.mark.faults
def test_one_changed_parameter_changes_few_rows_and_lines(experiments: Project):
    parameters = 27 * 10 + 30 * 300 + 300 + 300 * 27 + 27
    assert facts(experiments.root, "mlp") == {"parameters": str(parameters)}
    printed = experiments.run("dvc", "metrics", "diff").stdout
    _, *rows = (line.split() for line in printed.splitlines())
    assert {row[1] for row in rows} == {"mlp", "mixture"}
    assert len(rows) <= MAX_DIFF_ROWS
    changed = experiments.run("git", "diff", "--text", "--numstat").stdout.splitlines()
    assert sum(int(line.split("\t")[0]) for line in changed) < MAX_ADDED_LINES


@pytest.mark.faults
def test_experiments_show_parameters_and_losses_beside_each_other(experiments: Project):
    options = ("exp", "show", "--only-changed", "--drop", WITHOUT_HASHES_AND_TRAIN, "--md")
    header = experiments.run("dvc", *options).stdout.splitlines()[0]
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    losses = [
        f"metrics/nll/{split}.json:{model}"
        for split in ("dev", "dev_unseen")
        for model in ("mlp", "mixture")
    ]
    assert sorted(columns) == sorted(["Experiment", "Created", *losses, "mlp.lr", "mlp.hidden"])
    assert max(widths(experiments, *options)) <= MAX_EXPERIMENTS_WIDTH


def test_line_of_the_readme_discards_all_that_an_experiment_made(project: Project):
    pages = [(ROOT / page).read_text() for page in ("README.md", "docs/experiments.md")]
    command = re.search(r"To discard it, run\s`([^`]+)`", pages[0])[1]
    assert f"\n{command}\n" in pages[1]
    project.run("dvc", "exp", "run", "-S", "evaluate.splits=[train,dev,test]")
    assert (project.root / "metrics/nll/test.json").exists()
    (project.root / "metrics/mine.csv").touch()  # of the user
    project.run("sh", "-c", command)
    assert project.changed() == "?? metrics/mine.csv\n"
    assert "up to date" in project.run("dvc", "status").stdout


@pytest.mark.faults
def test_going_back_to_an_earlier_value_trains_nothing(experiments: Project, tmp_path: Path):
    project = experiments.copy(tmp_path / "clone")
    for hidden in (200, 300):
        project.set_param("mlp.hidden", hidden)
        assert project.repro() == set()


@pytest.fixture
def shared(quick: Project, tmp_path: Path) -> Project:
    """A clone with a git remote, which has its commits, and a folder as DVC's remote."""
    project = quick.copy(tmp_path / "first" / "clone")
    origin = tmp_path / "origin.git"
    project.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    project.run("git", "remote", "add", "origin", str(origin))
    project.run("git", "push", "--quiet", "origin", "main")
    project.run(
        "dvc", "remote", "add", "--local", "--default", "storage", str(tmp_path / "storage")
    )
    return project


def second_clone(tmp_path: Path) -> Project:
    """Return a clone of the git remote that knows the DVC remote."""
    project = Project(tmp_path / "second" / "clone")
    project.root.parent.mkdir()
    origin, storage = str(tmp_path / "origin.git"), str(tmp_path / "storage")
    Project(tmp_path).run("git", "clone", "--quiet", origin, str(project.root))
    project.run("dvc", "remote", "add", "--local", "--default", "storage", storage)
    return project


@pytest.mark.faults
def test_experiment_travels_to_another_clone_with_all_that_it_made(shared: Project, tmp_path: Path):
    shared.run("dvc", "exp", "run", "--name", "wide", "-S", "mlp.hidden=300")
    shared.run("dvc", "exp", "push", "origin", "wide")
    other = second_clone(tmp_path)
    other.run("dvc", "exp", "pull", "origin", "wide")
    other.run("dvc", "exp", "apply", "wide")
    assert "up to date" in other.run("dvc", "status").stdout
    folders = ("data/", "metrics/", "plots/", "dvc.lock", "params.yaml")
    made, arrived = (
        {path: content for path, content in project.files().items() if path.startswith(folders)}
        for project in (shared, other)
    )
    assert arrived == made


@pytest.mark.faults
def test_check_of_the_page_on_sharing_fails_until_the_data_is_pushed(tmp_path: Path):
    project, origin = Project(tmp_path / "project"), tmp_path / "origin"
    storage = str(tmp_path / "storage")
    stage = {"cmd": "cp params.yaml out.txt", "params": ["mlp"], "outs": ["out.txt"]}
    write_bytes(project.root / "dvc.yaml", yaml.safe_dump({"stages": {"one": stage}}).encode())
    write_bytes(project.root / "params.yaml", b"mlp: {hidden: 200}\n")
    write_bytes(project.root / ".gitignore", b"/out.txt\n")
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("dvc", "init", "--quiet")
    project.repro()
    project.commit("first")
    project.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    project.run("git", "remote", "add", "origin", str(origin))
    project.run("git", "push", "--quiet", "origin", "main")
    project.run("dvc", "exp", "run", "--name", "wide", "-S", "mlp.hidden=300")
    page = (ROOT / "docs/sharing.md").read_text()
    check = re.search(r"```sh\n(git clone .*?)```", page, re.DOTALL)[1]
    command = ("sh", "-ec", check.replace("/somewhere/shared", storage))

    pushed = project.run("dvc", "exp", "push", "origin", "wide")
    assert "Pushed experiment" in pushed.stdout
    lacking = project.run(*command, check=False)
    assert lacking.returncode != 0
    assert "\nout.txt\n" in lacking.stderr
    shutil.rmtree(tmp_path / "check")
    project.run("dvc", "remote", "add", "--local", "--default", "storage", storage)
    project.run("dvc", "exp", "push", "origin", "wide")
    project.run(*command)


@pytest.mark.faults
def test_registered_model_is_downloaded_by_its_version(shared: Project, tmp_path: Path):
    shared.run("gto", "register", "mlp", "--version", "v1.0.0")
    trained = (shared.root / "data/models/mlp.safetensors").read_bytes()
    shared.run("dvc", "exp", "run", "-S", "mlp.hidden=7")
    shared.commit("a later model")
    got = tmp_path / "got.safetensors"
    shared.run("dvc", "artifacts", "get", ".", "mlp", "--rev", "v1.0.0", "-o", str(got))
    assert got.read_bytes() == trained


def test_page_of_plots_is_laid_out_by_the_template_of_the_project(quick: Project, tmp_path: Path):
    written = tmp_path / "plots"
    quick.run("dvc", "plots", "show", "-o", str(written))
    page = (written / "index.html").read_text()
    assert "<main>\n" in page
    assert "align-items: flex-start" in page
    assert page.count("vegaEmbed('#") >= 10
    assert not re.search(r"\{(scripts|plot_divs|refresh_tag)\}", page)
    assert '<script src="https://cdn.jsdelivr.net/npm/vega@' in page.replace("'", '"')
