"""What DVC knows: files of any commit, whether results belong to their inputs, and its cache.

`dvc status` tells that for the folder; this tells it for the files of any commit too, without
checking anything out.
"""

import errno
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from charlm.core.errors import InputError
from charlm.core.yaml_files import has_conflict

WORKSPACE = "workspace"
PIPELINE, LOCK, PARAMS = "dvc.yaml", "dvc.lock", "params.yaml"
QUEUE = Path(".dvc/tmp/exps/celery")
Stages = dict[str, dict[str, Any]]  # of dvc.yaml or dvc.lock, by name
MAX_CHANGES = 3  # named in a message; the rest are counted
PARTIAL_S = 5  # age of a file that nobody writes any more
FETCH_TIMEOUT_S = 300  # for what a partial clone lacks of one commit


class Files:
    """The files of a revision, from git and DVC's cache, or of the workspace, from the folder."""

    def __init__(self, revision: str) -> None:
        """Find the revision.

        Raises:
            InputError: DVC does not know it, it is not a commit, or git cannot get its files.
        """
        self.commit = self.folder = ""
        if revision != WORKSPACE:
            self.commit, self.folder = resolve_commit(revision)
            fetch_missing(self.commit)

    @cached_property
    def tree(self) -> Any:
        """The files as DVC sees them, outputs included."""
        from dvc.api import DVCFileSystem  # slow, and rarely needed for the workspace

        # without subrepos DVC looks for a project only at the root of the git repository
        return DVCFileSystem(rev=self.commit or None, subrepos=True)

    def read(self, path: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: there is none, or it is not in DVC's cache.
        """
        if not self.commit:
            return Path(path).read_bytes()
        with missing_directory_is_missing_file(path):
            content: bytes = self.tree.read_bytes(self.folder + path)
        return content

    def listed_md5(self, path: str) -> str:
        """Return the hash that DVC's cache lists of a file inside an output directory.

        Raises:
            FileNotFoundError: the list is not in the cache, or does not contain the file.
        """
        with missing_directory_is_missing_file(path):
            md5: str = self.tree.info(self.folder + path)["dvc_info"]["md5"]
        return md5

    def check(self, targets: Sequence[str]) -> None:
        """Refuse outputs if a stage behind them ran with other inputs than there are now.

        Inputs are the command, parameters, source files, and the outputs of other stages, which
        are compared by the hashes that dvc.lock records.

        Args:
            targets: paths of the outputs.

        Raises:
            InputError: an input changed, a target is another file, or dvc.yaml, dvc.lock or a file
                of parameters is damaged.
            FileNotFoundError: there is no such output, or dvc.lock.
        """
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
        from networkx import dfs_postorder_nodes

        parse_stages(self.read(PIPELINE), PIPELINE)
        lock = parse_stages(self.read(LOCK), LOCK)
        try:
            with Repo() as repo, repo.switch(self.commit or WORKSPACE):
                outs = {out.def_path: out for stage in repo.index.stages for out in stage.outs}
                if unknown := [target for target in targets if target not in outs]:
                    raise InputError(f"{PIPELINE}: no stage writes {unknown[0]}")
                graph = repo.index.graph
                stages = {
                    stage.name: stage
                    for target in targets
                    for stage in dfs_postorder_nodes(graph, outs[target].stage)
                }
                stale = {
                    name: changes
                    for name, stage in stages.items()
                    if (changes := changed_inputs(stage, lock.get(name, {}), outs, self))
                }
        except DvcException as error:
            raise InputError(" ".join(str(error).split())) from None
        except (TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{PIPELINE} or {LOCK}: not as DVC writes it: {error!r}") from None
        if stale:
            (name, changes), *others = stale.items()
            more = f" and {len(changes) - MAX_CHANGES} more" * (len(changes) > MAX_CHANGES)
            too = f"; also stale: {', '.join(other for other, _ in others)}" * bool(others)
            raise InputError(
                f"stale: stage {name} {', '.join(changes[:MAX_CHANGES])}{more}{too}; "
                "run `dvc repro`"
            )
        for target in targets:
            actual, recorded = md5(self.read(target)), outs[target].hash_info.value
            if actual != recorded:
                raise InputError(
                    f"{target}: {LOCK} records MD5 {recorded}, found {actual}; run `dvc repro`"
                )


def warn_if_stale(program: str, targets: Sequence[Path]) -> None:
    """Print a line on stderr if outputs in the folder do not belong to its code and parameters.

    Args:
        program: the name of the program, for the line.
        targets: the outputs.
    """
    if stale := find_stale(targets):
        print(f"{program}: {stale}", file=sys.stderr)


def find_stale(targets: Sequence[Path]) -> str:
    """Say why outputs in the folder do not belong to its code and parameters; nothing if they do.

    DVC is asked, in half a second, only if one of these is newer than an output.
    """
    code = (path for folder in ("charlm", "stages") for path in Path(folder).rglob("*.py"))
    inputs = [path for path in (Path(PIPELINE), Path(PARAMS), *code) if path.exists()]
    newest = max((path.stat().st_mtime for path in inputs), default=0)
    if all(path.stat().st_mtime >= newest for path in targets):
        return ""
    with suppress(FileNotFoundError):  # no dvc.lock: not a clone, but a copy of models and code
        try:
            Files(WORKSPACE).check([path.as_posix() for path in targets])
        except InputError as error:
            return str(error)
    return ""


@contextmanager
def missing_directory_is_missing_file(path: str) -> Iterator[None]:
    """Raise FileNotFoundError about a path where DVC's cache lacks the list of its directory."""
    from dvc_data.index import DataIndexDirError

    try:
        yield
    except DataIndexDirError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None


def resolve_commit(revision: str) -> tuple[str, str]:
    """Return the hash of a revision's commit, and where in the git repository this project is.

    The latter is empty, or ends in a slash.

    Raises:
        InputError: DVC does not know it, or it is not a commit.
    """
    from dvc.repo import Repo
    from dvc.scm import RevError, resolve_rev

    try:
        with Repo() as repo:
            # an experiment's name needs DVC, and what it names may be a file or a folder
            named = resolve_rev(repo.scm, revision)
            commit: str = resolve_rev(repo.scm, f"{named}^{{commit}}")
            folder = Path(repo.root_dir).relative_to(repo.scm.root_dir)
    except (RevError, UnicodeError):
        raise InputError(
            "unknown Git revision, or not a commit; `git log --oneline` and `dvc exp list -A` list "
            f"what there is, and {WORKSPACE} is the folder as it is"
        ) from None
    return commit, "".join(f"{part}/" for part in folder.parts)


def fetch_missing(commit: str) -> None:
    """Let git fetch what a partial clone lacks of this folder in a commit.

    DVC reads git's objects itself, and waits without end for one that is not there.

    Raises:
        InputError: git does not get them within FETCH_TIMEOUT_S.
    """
    folder = (commit, "--", ".")
    list_objects = ("git", "rev-list", "--objects", "--no-walk", "--missing=print", *folder)
    listed = subprocess.run(list_objects, check=False, capture_output=True, text=True)
    is_missing = any(line.startswith("?") for line in listed.stdout.splitlines())
    if listed.returncode == 0 and not is_missing:  # it fails where the folder itself is missing
        return
    make_empty = ("git", "hash-object", "-t", "tree", os.devnull)
    empty = subprocess.run(make_empty, check=False, capture_output=True, text=True).stdout.strip()
    # compared with nothing, every file is read, and git first fetches all that it lacks at once
    read_all = ("git", "diff-tree", "-r", "--shortstat", empty, *folder)
    print("git fetches what this partial clone lacks", file=sys.stderr)
    with subprocess.Popen(
        read_all, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            why = process.communicate(timeout=FETCH_TIMEOUT_S)[1]
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
            why = f"no end after {FETCH_TIMEOUT_S} seconds"
    if process.returncode:
        raise InputError(
            "this clone lacks some of git's objects, and git cannot fetch them: "
            f"{' '.join(why.split())}; with a connection to the remote, run "
            "`git fetch --refetch --no-filter`"
        )


def kill_tree(pid: int) -> None:
    """Kill a process and what it has started."""
    import psutil

    process = psutil.Process(pid)
    for one in (*process.children(recursive=True), process):
        with suppress(psutil.Error):
            one.kill()


def changed_inputs(
    stage: Any, recorded: dict[str, Any], outs: dict[str, Any], files: Files
) -> list[str]:
    """Say what changed since a stage ran, in words that follow its name.

    Args:
        stage: of DVC.
        recorded: the stage in dvc.lock.
        outs: the outputs of all stages, by path.
        files: the revision that DVC is switched to.
    """
    from dvc.dependency import ParamsDependency

    if not recorded:
        return ["never ran"]
    changes = ["its command"] * stage.cmd_changed
    params = {dep.def_path: dep.params for dep in stage.deps if isinstance(dep, ParamsDependency)}
    before = recorded.get("params") or {}
    for path in {**params, **before}:
        settings, values = parse_mapping(files.read(path), path), before.get(path) or {}
        for key in dict.fromkeys([*params.get(path, ()), *values]):
            changes += changed_values(key, values.get(key), lookup(settings, key))
    deps = {dep.def_path: dep for dep in stage.deps if not isinstance(dep, ParamsDependency)}
    known = [entry["path"] for entry in recorded.get("deps") or []]
    changes += [f"{path} is no longer a dep" for path in known if path not in deps]
    for path, dep in deps.items():
        paths = (path, *map(str, PurePosixPath(path).parents))
        producer = next((outs[one] for one in paths if one in outs), None)
        if path not in known:
            changes.append(f"{path} is a new dep")
        elif producer is None:
            status = dep.status().values()  # of DVC, which also hashes folders
            changes += [f"{path} is missing" if "deleted" in status else path] * bool(status)
        else:
            is_inside = producer.def_path != path and producer.hash_info
            now = files.listed_md5(path) if is_inside else producer.hash_info.value
            changes += [path] * (now != dep.hash_info.value)
    return changes and [f"changed since it ran: {changes[0]}", *changes[1:]]


def changed_values(key: str, recorded: Any, current: Any) -> list[str]:
    """Say which values differ between a recorded parameter or section and the current one.

    >>> changed_values("mlp", {"hidden": 200, "seed": 1}, {"hidden": 300, "seed": 1})
    ['mlp.hidden was 200, is 300']
    """
    if isinstance(recorded, dict) and isinstance(current, dict):
        return [
            line
            for name in {**recorded, **current}
            for line in changed_values(f"{key}.{name}", recorded.get(name), current.get(name))
        ]
    return [] if recorded == current else [f"{key} was {recorded}, is {current}"]


def lookup(settings: Any, key: str) -> Any:
    """Return the value of a dotted key, None if there is none.

    >>> lookup({"mlp": {"hidden": 200}}, "mlp.hidden")
    200
    """
    for name in key.split("."):
        settings = settings.get(name) if isinstance(settings, dict) else None
    return settings


def parse_mapping(content: bytes, path: str) -> dict[str, Any]:
    """Return the content of a YAML file, read as DVC reads it.

    Raises:
        InputError: it is not YAML, or not a mapping.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import parse_yaml  # as DVC reads it

    try:
        value = parse_yaml(content.decode("utf-8"), path)
    except (DvcException, ValueError, RecursionError) as error:
        if has_conflict(content):
            raise InputError(conflict_message(path)) from None
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict) or not value:
        found = f"a {type(value).__name__}" if value else "nothing"
        raise InputError(f"{path}: must be a mapping; found {found}")
    return value


def conflict_message(path: str) -> str:
    """Say that a file has a merge conflict, and how to resolve it."""
    advice = "edit it and delete the marks"
    if path == LOCK:
        advice = (
            f"first resolve those of {PARAMS} and the code, then run `git checkout --ours {LOCK} "
            f"&& dvc repro` and `git add {LOCK} metrics plots`"
        )
    return f"{path}: has a merge conflict, which begins with <<<<<<<; {advice}"


def parse_sections(content: bytes, path: str) -> dict[str, dict[str, Any]]:
    """Return the content of a YAML file whose values are all mappings, or empty.

    Raises:
        InputError: it is something else.
    """
    sections = parse_mapping(content, path)
    for name, section in sections.items():
        if not isinstance(section, dict | None):
            found = type(section).__name__
            raise InputError(f"{path}: {name} must be a mapping; found a {found}")
    return {name: section or {} for name, section in sections.items()}


def parse_stages(content: bytes, path: str) -> Stages:
    """Return the stages of a dvc.yaml or dvc.lock.

    Raises:
        InputError: it has none.
    """
    stages = parse_mapping(content, path).get("stages")
    if not isinstance(stages, dict) or not all(isinstance(one, dict) for one in stages.values()):
        raise InputError(f"{path}: must have a mapping of stages")
    return stages


def md5(content: bytes) -> str:
    """Return the hash under which DVC records a file: of its bytes as they are."""
    return hashlib.md5(content).hexdigest()


def cache_folder() -> Path:
    """Return where DVC keeps the cache of this project, or would if this were one."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return Path(repo.cache.local_cache_dir)
    except DvcException:  # `dvc exp run` says what is wrong
        return Path(".dvc/cache")


def remove_partial_runs(cache: Path) -> bool:
    """Remove what a killed DVC left partly written in its run cache; tell if there was something.

    DVC reads such an entry like a whole one, and then fails at the same stage each time: "failed
    to reproduce 'train_mlp': 'outs'". It also fails at an empty folder. It writes an entry in
    milliseconds, so an older one is of a process that has ended.
    """
    newest = time.time() - PARTIAL_S
    removed = False
    for folder in (cache / "runs").glob("*/*"):
        with suppress(OSError):  # somebody else removes it, too
            is_old = folder.stat().st_mtime < newest
            for path in folder.glob(".*.tmp"):
                if path.stat().st_mtime < newest:
                    path.unlink()
                    removed = is_old = True
            if is_old and not any(folder.iterdir()):
                folder.rmdir()
                removed = True
    return removed


def remove_collected_tasks() -> list[str]:
    """Remove tasks from DVC's queue whose commits git has collected; return their names.

    `dvc queue status` fails as long as there is one, also about other tasks, and `dvc queue remove`
    leaves those that never ran.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from scmrepo.exceptions import SCMError

    removed: list[str] = []
    if not QUEUE.is_dir():  # DVC would create it
        return removed
    with suppress(DvcException), Repo() as repo:
        queue, scm = repo.experiments.celery_queue, repo.scm
        for tasks, remove in (
            (queue._iter_queued, queue.celery.reject),
            (queue._iter_processed, queue.celery.purge),
        ):
            for message, task in list(tasks()):
                try:
                    scm.resolve_commit(task.stash_rev)
                except SCMError:
                    remove(message.delivery_tag)
                    removed.append(task.name or task.stash_rev[:7])
    return removed
