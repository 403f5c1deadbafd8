"""dvc.lock against the files that it records: do the results belong to these inputs?

`dvc status` answers that for the folder; this answers it for the files of any commit too.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dvc.exceptions import DvcException
from dvc.utils.serialize import parse_yaml

from charlm.core.errors import InputError
from charlm.core.yaml_files import has_conflict

PIPELINE, LOCK, PARAMS = "dvc.yaml", "dvc.lock", "params.yaml"
MAX_CHANGES = 3  # named in a message; the rest are counted
Stages = dict[str, dict[str, Any]]  # of dvc.yaml or dvc.lock, by name
Read = Callable[[str], bytes]  # content of a file by its path; FileNotFoundError if there is none


def parse_mapping(content: bytes, path: str) -> dict[str, Any]:
    """Return the content of a YAML file, read as DVC reads it.

    Raises:
        InputError: it is not YAML, or not a mapping.
    """
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


def declared_paths(stage: Mapping[str, Any], *kinds: str) -> list[str]:
    """Return the paths that a stage of dvc.yaml declares under these keys.

    >>> declared_paths({"outs": ["a.txt"], "metrics": [{"b.json": {"cache": False}}]}, "metrics")
    ['b.json']
    """
    entries = [entry for kind in kinds for entry in stage.get(kind) or []]
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def recorded_md5s(stage: Mapping[str, Any], kind: str) -> dict[str, str]:
    """Return the hashes that a stage of dvc.lock records of its `deps` or `outs`, by path."""
    return {entry["path"]: entry["md5"] for entry in stage.get(kind) or []}


def producing_stages(pipeline: Stages) -> dict[str, str]:
    """Return the stage that writes each output, by the path of the output."""
    return {
        path: name
        for name, stage in pipeline.items()
        for path in declared_paths(stage, "outs", "metrics", "plots")
    }


def enclosing_output(path: str, outputs: Mapping[str, Any]) -> str | None:
    """Return the output that a path is, or is inside of.

    >>> enclosing_output("data/contexts/dev.npz", {"data/contexts": "build_contexts"})
    'data/contexts'
    """
    paths = [path, *map(str, PurePosixPath(path).parents)]
    return next((candidate for candidate in paths if candidate in outputs), None)


def upstream_stages(pipeline: Stages, targets: Sequence[str]) -> list[str]:
    """Return the stages that outputs depend on, inputs first.

    Raises:
        InputError: no stage writes one of them.
    """
    producers = producing_stages(pipeline)
    ordered: list[str] = []
    visited: set[str] = set()

    def visit(name: str) -> None:
        if name in visited:
            return
        visited.add(name)
        for dep in declared_paths(pipeline[name], "deps"):
            if output := enclosing_output(dep, producers):
                visit(producers[output])
        ordered.append(name)

    for target in targets:
        if target not in producers:
            raise InputError(f"{PIPELINE}: no stage writes {target}")
        visit(producers[target])
    return ordered


def lookup(settings: Any, key: str) -> Any:
    """Return the value of a dotted key, None if there is none.

    >>> lookup({"mlp": {"hidden": 200}}, "mlp.hidden")
    200
    """
    for name in key.split("."):
        settings = settings.get(name) if isinstance(settings, dict) else None
    return settings


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


def changed_params(stage: Mapping[str, Any], recorded: Mapping[str, Any], read: Read) -> list[str]:
    """Say which parameters changed since a stage ran.

    Args:
        stage: in dvc.yaml.
        recorded: the stage in dvc.lock.
        read: reads a file by its path.
    """
    declared: dict[str, list[str]] = {}
    for entry in stage.get("params") or []:
        for path, keys in entry.items() if isinstance(entry, dict) else [(PARAMS, [entry])]:
            declared.setdefault(path, []).extend(keys or [])
    before = recorded.get("params") or {}
    lines = []
    for path in {**declared, **before}:
        settings = parse_mapping(read(path), path)
        values = before.get(path) or {}
        for key in dict.fromkeys([*declared.get(path, []), *values]):
            lines += changed_values(key, values.get(key), lookup(settings, key))
    return lines


def changed_deps(
    stage: Mapping[str, Any],
    recorded: Mapping[str, Any],
    outputs: Mapping[str, str],
    read: Read,
    listed_md5: Callable[[str], str],
) -> list[str]:
    """Return the deps that changed since a stage ran.

    Args:
        stage: in dvc.yaml.
        recorded: the stage in dvc.lock.
        outputs: the hash of each output in dvc.lock.
        read: reads a file by its path.
        listed_md5: returns the hash of a file inside a directory that is an output.
    """
    before = recorded_md5s(recorded, "deps")
    declared = declared_paths(stage, "deps")
    lines = [f"{path} is no longer a dep" for path in before if path not in declared]
    for path in declared:
        output = enclosing_output(path, outputs)
        if path not in before:
            lines.append(f"{path} is a new dep")
        elif output is None:
            try:
                if md5(read(path)) != before[path]:
                    lines.append(path)
            except FileNotFoundError:
                lines.append(f"{path} is missing")
        elif (outputs[path] if output == path else listed_md5(path)) != before[path]:
            lines.append(path)
    return lines


def check_lock(targets: Sequence[str], read: Read, listed_md5: Callable[[str], str]) -> None:
    """Refuse outputs if a stage behind them ran with other inputs than there are now.

    The inputs are those that dvc.yaml declares and those that dvc.lock records: command,
    parameters, source files, and the outputs of other stages. The outputs themselves are compared
    with what dvc.lock records of them.

    Args:
        targets: paths of the outputs.
        read: reads a file by its path.
        listed_md5: returns the hash of a file inside a directory that is an output.

    Raises:
        InputError: an input changed, a target is another file, or dvc.yaml, dvc.lock or a file of
            parameters is damaged.
    """
    pipeline, lock = parse_stages(read(PIPELINE), PIPELINE), parse_stages(read(LOCK), LOCK)
    try:
        outputs = {
            path: value
            for stage in lock.values()
            for path, value in recorded_md5s(stage, "outs").items()
        }
        for name in upstream_stages(pipeline, targets):
            if name not in lock:
                raise InputError(f"stale: stage {name} never ran; run `dvc repro`")
            stage, recorded = pipeline[name], lock[name]
            changes = ["its command"] if stage.get("cmd") != recorded.get("cmd") else []
            changes += changed_params(stage, recorded, read)
            changes += changed_deps(stage, recorded, outputs, read, listed_md5)
            if changes:
                more = f" and {len(changes) - MAX_CHANGES} more" * (len(changes) > MAX_CHANGES)
                what = ", ".join(changes[:MAX_CHANGES])
                raise InputError(
                    f"stale: stage {name} changed since it ran: {what}{more}; run `dvc repro`"
                )
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{PIPELINE} or {LOCK}: not as DVC writes it: {error!r}") from None
    for target in targets:
        found, recorded_md5 = md5(read(target)), outputs.get(target)
        if found != recorded_md5:
            raise InputError(
                f"{target}: {LOCK} records MD5 {recorded_md5}, found {found}; run `dvc repro`"
            )
