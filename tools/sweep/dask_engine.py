"""The engine of a cluster: Dask's scheduler hands experiments to nodes, and retries them elsewhere.

This is the only file that imports `distributed`, from the extra `cluster`.
"""

import importlib.util
import ipaddress
import os
import sys
import tempfile
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Security
from distributed.scheduler import KilledWorker

from charlm.core.errors import InputError
from tools.dvc_state import cache_folder, md5
from tools.experiments import experiment_ref
from tools.sweep import node
from tools.sweep.runner import Outcome
from tools.sweep.transport import job, pack, receive

CONNECT_S = 30
NODES_S = 60  # to wait for the first node


class DaskEngine:
    """Runs experiments on the nodes of a Dask cluster; results come back to this git and cache."""

    def __init__(self, address: str, key: Path, head: str) -> None:
        """Connect, send the nodes what every experiment starts from, and check them.

        Args:
            address: of the scheduler.
            key: of the cluster.
            head: the commit that experiments start from, HEAD.

        Raises:
            InputError: the address is not safe or nobody answers there, or no node has the
                environment of this one, or HEAD is another commit.
        """
        check_address(address)
        self.address = address
        self.cache = cache_folder()
        self.head = head
        self.client = connect(address, key)
        try:
            package = pack(self.cache, head)
            self.module = self.send_code()
            self.environment = package.environment
            # not `scatter`: its data would be lost with the nodes that have it
            self.package = self.client.submit(
                self.module.identity, self.module.Package(*package), pure=False
            )
            self.executor = self.client.get_executor(pure=False)
            self.check_nodes()
        except BaseException:
            self.client.close()
            raise

    def send_code(self) -> ModuleType:
        """Send node.py to all nodes, also those that join later; return it as they import it.

        Its name has its hash, so that several heads can use one cluster.
        """
        content = Path(node.__file__).read_bytes()
        name = f"names_sweep_node_{md5(content)[:8]}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.py")
            path.write_bytes(content)
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # where pickle looks for its functions
            spec.loader.exec_module(module)
            self.client.upload_file(str(path))
        return module

    def check_nodes(self) -> None:
        """Send away nodes whose environment differs from the one here, and say why.

        Raises:
            InputError: none is left.
        """
        try:
            self.client.wait_for_workers(1, timeout=NODES_S)
        except TimeoutError:
            raise InputError(
                f"sweep: no node has joined {self.address}; start some with `dask worker "
                f"{self.address}` in an installed checkout"
            ) from None
        found = self.client.run(self.module.differences, self.environment)
        refused = {address: differing for address, differing in found.items() if differing}
        for address, differing in refused.items():
            print(f"sweep: node {address} is refused: {differing}", file=sys.stderr)
        if refused:
            self.client.retire_workers(list(refused))
        if len(refused) == len(found):
            raise InputError(
                "sweep: no node has the environment of this one; install the same packages there: "
                "pip install -c constraints.txt -c constraints-cluster.txt '.[cluster]'"
            )

    def slots(self) -> int:
        return sum(self.client.nthreads().values())

    def submit(self, name: str, overrides: list[str]) -> "Future[Any]":
        task: Future[Any] = self.executor.submit(
            self.module.run, job(name, overrides, self.head), self.package
        )
        return task

    def collect(self, name: str, ended: "Future[Any]") -> Outcome | None:
        try:
            found = ended.result()
        except KilledWorker:
            return Outcome(name, 0, "each node that ran it died; is there enough memory?")
        except CancelledError:
            raise InputError(
                f"sweep: lost the scheduler at {self.address}; what has ended is kept, and the "
                "same command goes on from there"
            ) from None
        if "refused" in found:  # a node that joined later
            self.check_nodes()
            return None
        if "error" not in found:
            receive(found, experiment_ref(name, self.head), self.cache)
        return Outcome(
            *(name, found["seconds"], found.get("error", ""), found["node"]),
            detail=found.get("detail", ""),
        )

    def running(self) -> dict[str, tuple[str, float]]:
        found: dict[str, tuple[str, float]] = {}
        for at_work in self.client.run(self.module.at_work, on_error="ignore").values():
            found |= at_work
        return found

    def close(self) -> None:
        with suppress(Exception):
            self.executor.shutdown(wait=False)
        self.client.close()


def check_address(address: str) -> None:
    """Refuse an address without encryption, unless it can only be reached from this machine.

    Dask runs what it is sent, so whoever reaches such a port can run anything.

    Raises:
        InputError: see above.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("tls", "tcp") or not parts.hostname:
        raise InputError(f"sweep: --address {address}: must be tls://HOST:PORT")
    if parts.scheme == "tcp" and not is_loopback(parts.hostname):
        raise InputError(
            f"sweep: --address {address}: whoever reaches this port could run anything on the "
            "nodes; use tls:// (`python -m tools.sweep --new-key` says how)"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, under an address that no other machine can reach.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("10.0.0.1")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connect(address: str, key: Path) -> Client:
    """Connect to a scheduler.

    Raises:
        InputError: nobody answers, or not with this key.
    """
    security = None
    if address.startswith("tls"):
        if not key.exists():
            raise InputError(
                f"sweep: {key}: not found; copy the key of the cluster there, or make one with "
                "`python -m tools.sweep --new-key`"
            )
        security = Security(
            tls_ca_file=str(key),
            tls_client_cert=str(key),
            tls_client_key=str(key),
            require_encryption=True,
        )
    try:
        return Client(address, security=security, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        why = " ".join(str(error.__cause__ or error).split())
        raise InputError(f"sweep: no scheduler answers at {address}: {why}") from None


def write_key(path: Path) -> str:
    """Write a certificate and its key for a new cluster; return how to use them.

    Raises:
        InputError: the file exists.
    """
    pair = Security.temporary()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"sweep: {path}: exists already; remove it first") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(pair.tls_ca_file + pair.tls_client_key)
    options = f"--tls-ca-file {path} --tls-cert {path} --tls-key {path}"
    return (
        f"{path}: the key of a cluster for a year: whoever has it can run anything on its nodes. "
        "Copy it to\neach machine's checkout, for your eyes only, and start there\n\n"
        f"  dask scheduler --protocol tls {options}\n"
        f"  dask worker tls://HEAD:8786 {options}\n"
    )
