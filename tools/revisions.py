"""Files of any commit, from git and DVC's cache, without checking anything out."""

import errno
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from charlm.core.errors import InputError

WORKSPACE = "workspace"


class Files:
    """The files of a revision, from git and DVC's cache, or of the workspace, from the folder."""

    def __init__(self, revision: str) -> None:
        """Find the revision.

        Raises:
            InputError: DVC does not know it, or it is not a commit.
        """
        self.commit = self.folder = ""
        if revision != WORKSPACE:
            self.commit, self.folder = resolve_commit(revision)

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
        from dvc_data.index import DataIndexDirError

        try:
            content: bytes = self.tree.read_bytes(self.folder + path)
        except DataIndexDirError:  # the cache lacks the list of a directory
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        return content

    def listed_md5(self, path: str) -> str:
        """Return the hash that DVC's cache lists of a file inside an output directory.

        Raises:
            FileNotFoundError: the list is not in the cache, or does not contain the file.
        """
        from dvc_data.index import DataIndexDirError

        try:
            info = self.tree.info(self.folder + path)
        except DataIndexDirError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        md5: str = info["dvc_info"]["md5"]
        return md5


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
            found = resolve_rev(repo.scm, revision)
            commit: str = resolve_rev(repo.scm, f"{found}^{{commit}}")
            folder = Path(repo.root_dir).relative_to(repo.scm.root_dir)
    except (RevError, UnicodeError):
        raise InputError(
            "unknown Git revision, or not a commit; `git log --oneline` and `dvc exp list -A` list "
            f"what there is, and {WORKSPACE} is the folder as it is"
        ) from None
    return commit, "".join(f"{part}/" for part in folder.parts)
