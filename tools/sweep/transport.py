"""What the head of a cluster sends to nodes, and what it takes back from them."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from charlm.core.errors import InputError
from charlm.core.versions import CONSTRAINTS, read_pins
from tools.dvc_state import LOCK, parse_stages
from tools.experiments import experiment_ref, git, head_commit
from tools.sweep.node import Package, cache_path, installed, place, recorded_hashes

HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")


def environment() -> dict[str, str]:
    """Return what results depend on here: system, Python, and the pinned packages."""
    return installed(tuple(read_pins(CONSTRAINTS)))


def has_results(commit: str, cache: Path) -> bool:
    """Tell whether a cache has all that an experiment wrote and git does not keep."""
    return not missing(git("show", f"{commit}:./{LOCK}"), cache)


def missing(lock: bytes, cache: Path) -> list[str]:
    """Return the hashes of the cached outputs of a dvc.lock that a cache does not have."""
    outs = [out for stage in parse_stages(lock, LOCK).values() for out in stage.get("outs", [])]
    return [
        out["md5"]
        for out in outs
        if out["path"].startswith("data/") and not cache_path(cache, out["md5"]).exists()
    ]


def pack(cache: Path, head: str) -> Package:
    """Return the commit and the files of DVC's cache that every experiment starts from.

    Args:
        cache: of DVC.
        head: the commit, HEAD: git bundles nothing that no ref points to.

    Raises:
        InputError: HEAD has moved, or the cache lacks some of them.
    """
    bundle = git("bundle", "create", "-q", "-", "HEAD")
    if head_commit() != head:
        raise InputError("sweep: HEAD has moved since the sweep began; run the same command again")
    lock = git("show", f"{head}:./{LOCK}")
    if missing(lock, cache):
        raise InputError(
            f"sweep: DVC's cache lacks results that {LOCK} records, and nodes start from them; "
            "run `dvc repro`"
        )
    paths = {md5: cache_path(cache, md5) for md5 in recorded_hashes(lock, cache)}
    files = {md5: path.read_bytes() for md5, path in paths.items() if path.exists()}
    return Package(bundle, files, environment())


def job(name: str, overrides: list[str], head: str, files: str = "") -> dict[str, Any]:
    """Return what a node must know of an experiment besides what all of them start from.

    Args:
        name: of the experiment.
        overrides: of its parameters.
        head: the commit that it starts from.
        files: a commit with the files that it starts from, if these are others.
    """
    below = git("rev-parse", "--show-prefix").decode().strip()
    return {
        "name": name,
        "overrides": overrides,
        "ref": experiment_ref(name, head),
        "head": head,
        "files": files or head,
        "below": below,
        "author": author(),
    }


def author() -> tuple[str, str]:
    """Return the name and address that git commits with, or others if it has none."""
    try:
        identity = git("var", "GIT_COMMITTER_IDENT").decode()
    except InputError:  # DVC commits experiments without them, too
        identity = ""
    found = re.fullmatch(r"(.*) <(.*)> \d+ [-+]\d+\s*", identity)
    return (found[1], found[2]) if found else ("sweep", "sweep@localhost")


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
        fetch(bundle, ref)


def fetch(source: Path, ref: str) -> None:
    """Put an experiment from a clone or a bundle into git."""
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    git("fetch", *options, str(source), f"+{ref}:{ref}")
