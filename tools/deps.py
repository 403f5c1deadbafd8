"""Write what follows from the code into dvc.yaml: modules, pinned packages and registered models.

    python -m tools.deps    or `make deps`

DVC does not see imports. Every stage depends on the files of this project that its script imports,
directly or not, or on the folder of `charlm/` that they are in where it imports all of them; on
constraints.txt if it uses a package that can change its bytes; and, if it loads the models of the
registry, on each of them. `sample` writes one list of names per model.
"""

import ast
from collections.abc import Iterable
from pathlib import Path

from dvc.utils.serialize import modify_yaml

from charlm.core.storage import model_path
from charlm.core.versions import CONSTRAINTS, PINNED
from charlm.models.registry import MODELS, NETWORKS
from tools.program import argument_parser, run_tool

PIPELINE = Path("dvc.yaml")
PACKAGES = ("charlm", "stages")  # of this project
ENVIRONMENT = "environment"  # the section that says which versions are allowed
REGISTRY = "charlm/models/registry.py"
SAMPLING_STAGE = "sample"
# modules of networks that are not in the default pipeline
APART = {f"charlm/{folder}/{name}.py" for folder in ("models", "networks") for name in NETWORKS}


def imports(source: str) -> set[str]:
    """Return every module that a source imports when it runs, as dotted names.

    >>> sorted(imports("import json\\nfrom charlm import params"))
    ['charlm', 'charlm.params', 'json']
    """
    tree = ast.parse(source)
    for_type_checking = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found: set[str] = set()
    for node in set(ast.walk(tree)) - for_type_checking:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def closure(module: str, root: Path = Path()) -> tuple[set[str], set[str]]:
    """Return the project's files behind a module, and the other packages that they import.

    The registry imports the files of its models by name, so they are added to it.

    >>> files, packages = closure("stages.split")
    >>> "charlm/core/storage.py" in files, "pydantic" in packages
    (True, True)
    """
    files: set[str] = set()
    packages: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = Path(*name.split("."))
        path = path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py")
        if path.as_posix() in files or not (root / path).exists():
            continue
        files.add(path.as_posix())
        imported = imports((root / path).read_text(encoding="utf-8"))
        if path.as_posix() == REGISTRY:
            imported |= {f"charlm.models.{model}" for model in MODELS}
        # importing a module runs the __init__.py of each package around it
        waiting += [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        waiting += [other for other in imported if other.split(".")[0] in PACKAGES]
        packages |= {other.split(".")[0] for other in imported} - set(PACKAGES)
    return files, packages


def with_folders(files: set[str], root: Path = Path()) -> list[str]:
    """Return files, or the folder of `charlm/` that they are in where all its modules are given.

    Modules of networks that are not in the default pipeline do not count, so that adding one
    trains no other again.

    >>> with_folders({"charlm/params.py", "charlm/core/errors.py"})
    ['charlm/core/errors.py', 'charlm/params.py']
    """
    whole = {
        folder.parent.relative_to(root).as_posix()
        for folder in (root / "charlm").glob("*/__init__.py")
        if {path.relative_to(root).as_posix() for path in folder.parent.glob("*.py")} - APART
        <= files
    }
    return sorted(
        {folder if (folder := path.rpartition("/")[0]) in whole else path for path in files}
    )


def derived_outs() -> list[str]:
    """Return the outs of the sampling stage: one list of names per model."""
    return sorted(f"data/samples/{name}.txt" for name in MODELS)


def is_derived(dep: str) -> bool:
    """Tell whether a dep is one of those that follow from the code."""
    return dep.split("/")[0] in PACKAGES or dep == CONSTRAINTS.as_posix()


def complete_deps(
    stage: str, deps: Iterable[str], outs: Iterable[str] = (), root: Path = Path()
) -> list[str]:
    """Return the deps of a stage, sorted: those declared by hand, and those of the code.

    Args:
        stage: the name of its script.
        deps: those declared.
        outs: of the stage; a model among them is no dep.
        root: of the project.
    """
    files, packages = closure(f"stages.{stage}", root)
    found = {*with_folders(files, root), *(dep for dep in deps if not is_derived(dep))}
    if REGISTRY in files:
        found |= {model_path(name).as_posix() for name in MODELS} - {*map(str, outs)}
    if packages & set(PINNED):
        found.add(CONSTRAINTS.as_posix())
    return sorted(found)


def complete_params(params: Iterable[str], deps: Iterable[str]) -> list[str]:
    """Return the sections of params.yaml that a stage depends on.

    Args:
        params: those that its script reads.
        deps: the deps of the stage.
    """
    checked = {ENVIRONMENT} if CONSTRAINTS.as_posix() in deps else set()
    return sorted({*params} - {ENVIRONMENT} | checked)


def main() -> None:
    argument_parser(__doc__).parse_args()
    changed = []
    with modify_yaml(str(PIPELINE)) as pipeline:
        for name, stage in pipeline["stages"].items():
            deps = complete_deps(name, stage.get("deps", []), stage.get("outs", []))
            lists = {"deps": deps}
            if params := complete_params(stage.get("params", []), deps):
                lists["params"] = params
            if name == SAMPLING_STAGE:
                lists["outs"] = derived_outs()
            for key, paths in lists.items():
                if stage.get(key) != paths:
                    changed.append(name)
                    if key not in stage:
                        stage.insert(list(stage).index("deps") + 1, key, [])
                    stage[key][:] = paths  # in place, which keeps the comments
    print(f"deps: {PIPELINE}: {', '.join(dict.fromkeys(changed)) or 'nothing'} changed")


if __name__ == "__main__":
    run_tool(main)
