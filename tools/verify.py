"""Check that the committed results are those of the committed code: recompute and compare.

    python -m tools.verify    or `make verify`

It clones HEAD into a temporary folder with an empty cache, runs the pipeline there, and compares
dvc.lock, metrics and plots. It also compares every file of DVC's cache with the hash in its name,
which DVC itself does not check again.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy

from charlm import params
from charlm.core.errors import InputError
from charlm.core.storage import DATA, read_bytes, write_bytes
from charlm.download import file_name
from tools.dvc_state import LOCK, PARAMS, PIPELINE, Stages, parse_stages
from tools.dvc_state import md5 as md5_of
from tools.program import argument_parser, run_tool

CACHE = Path(".dvc/cache")  # of a new clone
FILES = Path("files/md5")  # in a cache
DVC = (sys.executable, "-m", "dvc")
Hashes = dict[str, str]  # MD5 by path


def cached(cache: Path, md5: str) -> Path:
    """Return where a cache keeps the file of this hash."""
    return cache / FILES / md5[:2] / md5[2:]


def content(caches: list[Path], md5: str) -> bytes | None:
    """Return the file of this hash from the first cache that has it undamaged."""
    paths = (cached(cache, md5) for cache in caches)
    found = (path.read_bytes() for path in paths if path.exists())
    return next((one for one in found if md5_of(one) == md5.removesuffix(".dir")), None)


def damaged(cache: Path) -> list[Path]:
    """Return the files of a cache whose content does not match the hash in their names."""
    return [
        path
        for path in sorted((cache / FILES).glob("??/*"))
        if re.fullmatch("[0-9a-f]{30}(.dir)?", path.name)
        and md5_of(path.read_bytes()) != path.parent.name + path.name.removesuffix(".dir")
    ]


def expand(caches: list[Path], entries: list[dict[str, str]]) -> Hashes:
    """Return the hash of each file of dvc.lock's entries, those inside directories too.

    Args:
        caches: where the listings of directories may be.
        entries: of deps or outs.
    """
    found: Hashes = {}
    for entry in entries:
        path, md5 = entry["path"], entry["md5"]
        listing = content(caches, md5) if md5.endswith(".dir") else None
        files = json.loads(listing) if listing is not None else []
        found |= {f"{path}/{one['relpath']}": one["md5"] for one in files} or {path: md5}
    return found


def compare_tensors(one: bytes, other: bytes) -> list[str]:
    """Say how much the tensors of two safetensors files differ.

    >>> a, b = ({"W": np.float32([1, 2])}, {"W": np.float32([1, 2.5])})
    >>> compare_tensors(safetensors.numpy.save(a), safetensors.numpy.save(b))
    ['W by up to 0.5']
    """
    first, second = safetensors.numpy.load(one), safetensors.numpy.load(other)
    lines = []
    for name in sorted({**first, **second}):
        a, b = first.get(name), second.get(name)
        if a is None or b is None or (a.shape, a.dtype) != (b.shape, b.dtype):
            lines.append(f"{name} in shape or type")
        elif not np.array_equal(a, b):
            lines.append(f"{name} by up to {np.abs(a.astype(float) - b.astype(float)).max():.3g}")
    return lines


def describe(path: str, committed: str | None, made: str | None, caches: list[Path]) -> str:
    """Say how the committed file of a path differs from the one just made, given their hashes."""
    if committed is None or made is None:
        return f"{path}: present in only one of the two runs"
    before, after = content(caches, committed), content(caches, made)
    if before is not None and after is not None and path.endswith(".safetensors"):
        differences = ", ".join(compare_tensors(before, after))
        return f"{path}: {differences or 'same numbers, other bytes'}"
    return f"{path}: {committed} is committed, {made} was made"


def compare_locks(
    committed: Stages, made: Stages, stages: list[str], caches: list[Path]
) -> list[str]:
    """Say which is the first stage that differs between two dvc.lock, and how; nothing if none.

    Args:
        committed, made: the stages of two dvc.lock.
        stages: in the order in which they run.
        caches: where the files are.
    """
    for stage in stages:
        one, other = committed.get(stage, {}), made.get(stage, {})
        for kind in ("deps", "outs"):
            before, after = (expand(caches, side.get(kind, [])) for side in (one, other))
            lines = [
                describe(path, before.get(path), after.get(path), caches)
                for path in {**before, **after}
                if before.get(path) != after.get(path)
            ]
            if lines:
                what = "was committed after other inputs" if kind == "deps" else "differs"
                return [f"stage {stage} {what}:", *lines]
        if one != other:
            return [f"stage {stage} was committed with other parameters or another command"]
    return []


def mirror_of_names(folder: Path, settings: params.Fetch) -> str:
    """Return a NAMES_MIRROR with the list that is here already, if it is the one asked for."""
    here = DATA / "names.txt"
    if here.exists() and hashlib.sha256(here.read_bytes()).hexdigest() == settings.sha256:
        write_bytes(folder / file_name(settings.url), here.read_bytes())
        return str(folder)
    return ""


def run(*command: str, folder: Path, **variables: str) -> str:
    """Run a command and return what it prints.

    Raises:
        InputError: it fails.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    finished = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path} | variables,
        check=False,
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        raise InputError(f"verify: {' '.join(command)} failed: {' '.join(finished.stderr.split())}")
    return finished.stdout


def main() -> None:
    argument_parser(__doc__).parse_args()
    here = Path.cwd()
    cache = Path(run(*DVC, "cache", "dir", folder=here).strip())
    problems = [
        f"{path}: its content is not what its name says; delete it and run `dvc repro`"
        for path in damaged(cache)
    ]
    with tempfile.TemporaryDirectory() as folder:
        # the project may be in a subfolder of the git repository
        root, below = (
            run("git", "rev-parse", f"--show-{what}", folder=here).removesuffix("\n")
            for what in ("toplevel", "prefix")
        )
        run("git", "clone", "--quiet", root, str(Path(folder, "clone")), folder=here)
        clone = Path(folder, "clone", below)
        committed = parse_stages(read_bytes(clone / LOCK), LOCK)
        settings = params.load(clone / PARAMS).fetch
        mirror = os.environ.get("NAMES_MIRROR") or mirror_of_names(Path(folder, "names"), settings)
        variables = {"NAMES_MIRROR": mirror, "DVC_SITE_CACHE_DIR": str(Path(folder, "site"))}
        # a separate, empty cache, also where a setting of the user names a shared one
        run(*DVC, "cache", "dir", "--local", str(clone / CACHE), folder=clone)
        run(*DVC, "repro", "--force", folder=clone, **variables)
        made = parse_stages(read_bytes(clone / LOCK), LOCK)
        stages = parse_stages(read_bytes(clone / PIPELINE), PIPELINE)
        problems += compare_locks(committed, made, list(stages), [clone / CACHE, cache])
        changed = run("git", "status", "--porcelain", folder=clone).splitlines()
        problems += [f"{line[3:]}: not as committed" for line in changed]
    if problems:
        raise InputError("\n".join(f"verify: {problem}" for problem in problems))
    print("verify: every stage, run anew, gives the bytes that are committed")


if __name__ == "__main__":
    run_tool(main)
