"""Chromium, driven by playwright: for the picture of a page, and for the tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from charlm.core.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def open_browser() -> Iterator["Browser"]:
    """Start the Chromium that is installed, without a window; end it afterwards.

    Raises:
        InputError: it is not installed, or playwright is not.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise InputError("playwright is not installed; run `pip install playwright`") from None
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise InputError(
            f"no browser: none of {', '.join(PROGRAMS)} is on PATH; install Chromium, on Debian "
            "with `apt-get install chromium`"
        )
    with sync_playwright() as playwright:
        # its sandbox refuses root, and it opens nothing but files made here
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
