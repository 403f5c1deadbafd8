"""What the head of a cluster sends to nodes, and what it takes back from them."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes
from charlm.core.versions import CONSTRAINTS, read_pins
from tools.dvc_state import LOCK
from tools.experiments import experiment_ref, git
from tools.sweep.node import Package, cache_path, installed, place, recorded_hashes

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")


def cache_folder() -> Path:
    """Return where DVC keeps the cache of this project, or would if this were one."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo  # slow

    try:
        with Repo() as repo:
            return Path(repo.cache.local_cache_dir)
    except DvcException:  # `dvc exp run` says what is wrong
        return Path(".dvc/cache")


def environment() -> dict[str, str]:
    """Return what results depend on here: system, Python, and the pinned packages."""
    return installed(tuple(read_pins(CONSTRAINTS)))


def has_results(commit: str, cache: Path) -> bool:
    """Tell whether a cache has all that an experiment wrote and git does not keep."""
    return not missing(git("show", f"{commit}:./{LOCK}"), cache)


def missing(lock: bytes, cache: Path) -> list[str]:
    """Return the hashes of the cached outputs of a dvc.lock that a cache does not have."""
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load(lock)["stages"].values()
    outs = [out for stage in stages for out in stage.get("outs", [])]
    return [
        out["md5"]
        for out in outs
        if out["path"].startswith("data/") and not cache_path(cache, out["md5"]).exists()
    ]


def pack(cache: Path) -> Package:
    """Return the commit and the files of DVC's cache that every experiment starts from.

    Raises:
        InputError: the cache lacks some of them.
    """
    lock = read_bytes(Path(LOCK))
    if missing(lock, cache):
        raise InputError(
            f"sweep: DVC's cache lacks results that {LOCK} records, and nodes start from them; "
            "run `dvc repro`"
        )
    paths = {md5: cache_path(cache, md5) for md5 in recorded_hashes(lock, cache)}
    files = {md5: path.read_bytes() for md5, path in paths.items() if path.exists()}
    return Package(git("bundle", "create", "-q", "-", "HEAD"), files, environment())


def job(name: str, overrides: list[str], head: str) -> dict[str, Any]:
    """Return what a node must know of an experiment besides what all of them start from.

    Args:
        name: of the experiment.
        overrides: of its parameters.
        head: the commit that it starts from.
    """
    below = git("rev-parse", "--show-prefix").decode().strip()
    author = git("var", "GIT_COMMITTER_IDENT").decode()
    found = re.fullmatch(r"(.*) <(.*)> \d+ [-+]\d+\s*", author)
    return {
        "name": name,
        "overrides": overrides,
        "ref": experiment_ref(name, head),
        "below": below,
        "author": (found[1], found[2]) if found else ("sweep", "sweep@localhost"),
    }


def receive(ended: dict[str, Any], ref: str, cache: Path) -> None:
    """Put what a node sends back into git and DVC's cache: files first, so that none is missing.

    Raises:
        InputError: it is damaged, or something else.
    """
    try:
        for md5, content in ended["files"].items():
            if not HASH.fullmatch(md5):
                raise ValueError(f"{md5!r} is no hash")
            place(cache, md5, content)
    except ValueError as error:
        raise InputError(f"sweep: {ended['name']} from {ended['node']}: {error}") from None
    with TemporaryDirectory() as folder:
        bundle = Path(folder, "bundle")
        bundle.write_bytes(ended["bundle"])
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        git("fetch", *options, str(bundle), f"+{ref}:{ref}")
