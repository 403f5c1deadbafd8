"""DVC experiments by name: what they run on, whether they are there, their files."""

import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from dvc.exceptions import DvcException
from dvc.utils.hydra import apply_overrides

from charlm import params
from charlm.core.errors import InputError
from charlm.core.yaml_files import parse_yaml
from tools.dvc_state import Files

PARAMS = Path("params.yaml")
CODE = ("charlm", "constraints.txt", "dvc.yaml", "stages")  # all but params.yaml behind a result
# for rough estimates, fitted to a few recipes on one core
EXPERIMENT_S = 12  # of DVC, of starting the stages, and of all but the MLP's training
STEP_S = 3e-4  # of one step of the MLP, besides its multiplications
WEIGHTS_PER_S = 7e9  # times rows of a batch, forward and backward
FULL_BATCH_ROWS = 5_500  # unique contexts of three characters in names.txt
SYMBOLS = 27  # of names.txt


def overridden(overrides: list[str], where: str = "", head: str = "") -> dict[str, Any]:
    """Return what params.yaml holds after `dvc exp run -S` with these overrides.

    Args:
        overrides: as `dvc exp run -S` takes them.
        where: what to name in an error; otherwise all overrides.
        head: the commit that has the file; otherwise the one of this folder.

    Raises:
        InputError: an override does not fit params.yaml, or that file is wrong itself.
    """
    if not head:
        params.load(PARAMS)
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder, PARAMS)
        changed.write_bytes(file_of(head, PARAMS) if head else PARAMS.read_bytes())
        try:
            apply_overrides(changed, overrides)
            params.load(changed)
        except DvcException as error:
            why = str(error.__cause__).partition("\n")[0]
        except InputError as error:
            why = str(error).removeprefix(f"{changed}: ")
        else:
            settings: dict[str, Any] = parse_yaml(changed.read_bytes())
            return settings
    raise InputError(f"{where or ' '.join(overrides)}: {why}")


def estimate_s(settings: dict[str, Any], overrides: list[str]) -> float:
    """Return about how many seconds an experiment takes if DVC's cache has none of its results.

    The recipes differ in the steps and the size of the MLP; nothing else takes them long.

    Args:
        settings: the content of params.yaml.
        overrides: of the experiment.
    """
    values = {
        f"{section}.{key}": value
        for section in ("contexts", "mlp")
        for key, value in settings[section].items()
    }
    for key, _, text in (override.partition("=") for override in overrides):
        if key in values:
            values[key] = yaml.safe_load(text)
    hidden = values["mlp.hidden"]
    inputs = values["contexts.block_size"] * values["mlp.embedding"]
    weights = hidden * (inputs + (values["mlp.layers"] - 1) * hidden + SYMBOLS)
    rows = values["mlp.batch_size"] or FULL_BATCH_ROWS
    step_s = STEP_S + rows * weights / WEIGHTS_PER_S
    return float(EXPERIMENT_S + values["mlp.steps"] * step_s)


def git(*arguments: str) -> bytes:
    """Return what git prints.

    Raises:
        InputError: git fails, as it does outside a repository.
    """
    finished = subprocess.run(("git", *arguments), check=False, capture_output=True)
    if finished.returncode:
        why = " ".join(finished.stderr.decode(errors="replace").split())
        why = why or f"status {finished.returncode}; does another git command, or a hook, run?"
        raise InputError(f"git {arguments[0]}: {why}")
    return finished.stdout


@cache
def file_of(commit: str, path: str | Path) -> bytes:
    """Return the content of a file of this folder in a commit, from git or DVC's cache.

    Raises:
        InputError: neither has it.
    """
    path = Path(path).as_posix()
    try:
        return git("show", f"{commit}:./{path}")  # without ./ it would start at git's root
    except InputError:
        try:
            return Files(commit).read(path)
        except (FileNotFoundError, DvcException):
            raise InputError(
                f"{path}: neither git nor DVC's cache has it for {commit[:7]}; remove this "
                "experiment with `dvc exp remove` and run it again"
            ) from None


def git_name(text: str) -> str:
    """Return a text as git and DVC take it in the name of an experiment.

    >>> git_name("lr-2e-1-init-'a b'-c..d.lock")
    'lr-2e-1-init-a-b-c.d'
    """
    plain = re.sub("[^A-Za-z0-9_.=+-]+", "-", re.sub("['\"]", "", text))
    return re.sub(r"\.{2,}", ".", plain).strip(".-").removesuffix(".lock")


def head_commit() -> str:
    """Return the hash of HEAD's commit."""
    return git("rev-parse", "HEAD").decode().strip()


def experiment_ref(name: str, head: str = "") -> str:
    """Return where git keeps the experiment of this name that started from HEAD, or `head`."""
    head = head or head_commit()
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"


def commit_of(ref: str) -> str:
    """Return the commit that a ref points to; empty if there is no such ref."""
    return git("for-each-ref", "--format=%(objectname)", ref).decode().strip()


def find(name: str, overrides: list[str], head: str = "") -> str | None:
    """Return the commit of the experiment, if it has the current code and parameters.

    Only one that started from HEAD counts: one of another commit, applied, would bring back that
    commit's files. To run it again from here costs seconds, for DVC has its results in its cache.

    Args:
        name: of the experiment.
        overrides: of its parameters.
        head: a commit, for its code and parameters instead of the current ones.
    """
    commit = commit_of(experiment_ref(name, head))
    if (
        commit
        and not git("diff", "--name-only", *filter(None, (head, commit)), "--", *CODE)
        and parse_yaml(file_of(commit, PARAMS)) == overridden(overrides, head=head)
    ):
        return commit
    return None


def found(name: str, overrides: list[str]) -> str:
    """Return the commit of an experiment that has been run.

    Raises:
        InputError: code or parameters have changed since.
    """
    commit = find(name, overrides)
    if commit is None:
        raise InputError(f"{name}: code or params.yaml changed while it ran; run it again")
    return commit
