"""Programs to run by hand; the repository that they work in is that of the current folder."""

import os
import subprocess
from contextlib import suppress

import charlm  # noqa: F401 - before anything imports torch


def drop_git_variables() -> None:
    """Remove the variables that tie git to one repository from this process's environment.

    Git hands them to its hooks. A program that a hook starts would pass them on to git and DVC in
    other repositories, such as temporary clones, and these would write to the one of the hook.
    """
    if any(name.startswith("GIT_") for name in os.environ):
        with suppress(FileNotFoundError):
            listed = subprocess.run(
                ("git", "rev-parse", "--local-env-vars"),
                check=False,
                capture_output=True,
                text=True,
            )
            for name in listed.stdout.split():
                os.environ.pop(name, None)


drop_git_variables()
