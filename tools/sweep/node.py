"""What a node of a cluster does: run one DVC experiment in a separate clone.

The head sends this file to the nodes, whose checkouts may be of another commit, so it imports
nothing from this project. Run as a script, it supervises a command:

    python node.py COMMAND    ends the command, and all that it started, when its stdin closes
"""

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

GRACE_S = 5  # between asking a command to end and killing it
CACHED_FILES = Path("files/md5")  # in a DVC cache
DIRECTORY = ".dir"  # ends the hash of a list of files, which stands for a directory
UNWANTED = ("MALLOC_TRIM_THRESHOLD_",)  # Dask's nanny sets it, and it slows stages down
IN_USE = ".in-use"  # locked while the folder that it is in belongs to a task
STARTS: dict[str, float] = {}  # of the experiments that this process is running
Job = dict[str, Any]
Ended = tuple[int, str, str]  # status, stdout and stderr of a command


class Package(NamedTuple):
    """What every experiment of a sweep starts from."""

    bundle: bytes  # of git, with the commit
    files: dict[str, bytes]  # of DVC's cache, by hash
    environment: dict[str, str]  # of the head


# --- supervising a command --------------------------------------------------------------------


def kill_group(group: int, number: int) -> None:
    """Send a signal to the processes of a group, if there are any."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_children() -> None:
    """Kill what this process has started, and what that has started: for Windows."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()


def supervise(command: list[str]) -> int:
    """Run a command and return its status; end it when stdin closes.

    The process that holds the other end of stdin may die in any way. The command is then
    interrupted, as by Ctrl-C, and killed if it has not ended soon.
    """
    # not SIG_IGN, which the command would inherit
    signal.signal(signal.SIGINT, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def watch() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock would be held at exit
        if not hasattr(os, "killpg"):
            kill_children()
            return
        kill_group(os.getpgid(0), signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_S)
        kill_group(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


class Supervised:
    """A command that ends when this process ends, or when `stop` is called."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        # not pipes: whoever reads these would close stdin, too
        self.out, self.err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__, *command],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=self.out,
            stderr=self.err,
            start_new_session=True,  # a separate process group, for the supervisor to kill
        )

    def stop(self) -> None:
        """End the command; do not wait for it."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def wait(self) -> Ended:
        """Wait for its end; return its status and what it printed on stdout and stderr."""
        status = self.process.wait()
        if hasattr(os, "killpg"):  # should the supervisor itself have been killed
            kill_group(self.process.pid, signal.SIGKILL)
        self.stop()
        printed = []
        for file in (self.out, self.err):
            file.seek(0)
            printed.append(file.read().decode(errors="replace"))
            file.close()
        return status, printed[0], printed[1]


Start = Callable[[list[str], Path, dict[str, str]], Supervised]  # of a command, in a folder


@functools.cache
def git_variables() -> tuple[str, ...]:
    """Return the names of the variables that tie git to one repository, as in a git hook."""
    command = ("git", "rev-parse", "--local-env-vars")
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ()
    return tuple(listed.stdout.split())


def stage_environment(**variables: str) -> dict[str, str]:
    """Return the environment of a command in any repository, with this Python as its `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    unwanted = {*UNWANTED, *git_variables()}
    kept = {key: value for key, value in os.environ.items() if key not in unwanted}
    return kept | {"PATH": path} | variables


def dvc_command(name: str, overrides: list[str]) -> list[str]:
    """Return the command that runs an experiment."""
    dvc = [sys.executable, "-m", "dvc", "exp", "run", "--name", name]
    return [*dvc, *(f"--set-param={override}" for override in overrides)]


def one_line(stderr: str, status: int) -> str:
    """Return the line of a failed `dvc exp run` that says what is wrong: that of the stage.

    >>> one_line("train_mlp: the loss is nan\\nERROR: failed to reproduce 'train_mlp': ...", 255)
    'train_mlp: the loss is nan'
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if line.startswith("ERROR:")]
    for line in reversed(lines[: errors[0]] if errors else lines):
        stage, separator, _ = line.partition(": ")
        if separator and stage.isidentifier() and not stage.isupper():
            return line
    return lines[errors[0]] if errors else f"dvc ended with status {status}"


# --- the environment --------------------------------------------------------------------------


@functools.cache  # it takes a tenth of a second
def installed(packages: tuple[str, ...]) -> dict[str, str]:
    """Return what results depend on here: system, processor, Python, version of each package."""
    found = {
        "system": platform.system(),
        "machine": platform.machine(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
    }
    for package in packages:
        try:
            # a local part such as +cpu names the build, not the version
            found[package] = metadata.version(package).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def differences(head: dict[str, str]) -> str:
    """Say what differs between the head's environment and the one here; nothing if they agree."""
    here = installed(tuple(key for key in head if key not in ("system", "machine", "Python")))
    return ", ".join(
        f"{key} {here[key]} (the head has {version})"
        for key, version in head.items()
        if here[key] != version
    )


# --- files of DVC's cache ---------------------------------------------------------------------


def cache_path(cache: Path, md5: str) -> Path:
    """Return where a cache keeps the file of this hash."""
    return cache / CACHED_FILES / md5[:2] / md5[2:]


def place(cache: Path, md5: str, content: bytes) -> None:
    """Put a file into a cache, whole or not at all.

    Raises:
        ValueError: the content does not have this hash.
    """
    path = cache_path(cache, md5)
    if path.exists():
        return
    if hashlib.md5(content).hexdigest() != md5.removesuffix(DIRECTORY):
        raise ValueError(f"a file of {len(content):,} bytes does not have its hash {md5}")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o444)  # noqa: PTH101 - as DVC protects what it caches
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def recorded_hashes(lock: bytes, cache: Path) -> list[str]:
    """Return the hashes of the files that a dvc.lock records as cached outputs.

    Those of a file that is in git, too, are among them; no cache has these. Files inside a
    directory follow the directory, if the cache has its list.
    """
    from ruamel.yaml import YAML  # slow, and the supervisor does not need it

    stages = YAML(typ="safe").load(lock)["stages"]
    hashes = [out["md5"] for stage in stages.values() for out in stage.get("outs", [])]
    inside: list[str] = []
    for md5 in hashes:
        path = cache_path(cache, md5)
        if md5.endswith(DIRECTORY) and path.exists():
            inside += [entry["md5"] for entry in json.loads(path.read_bytes())]
    return list(dict.fromkeys(hashes + inside))


def run_dvc(start: Callable[[], Supervised], project: Path, env: dict[str, str]) -> Ended:
    """Run an experiment, once more if what a killed DVC left in its run cache may have failed it.

    Args:
        start: starts `dvc exp run`.
        project: the clone that it runs in.
        env: its environment.
    """
    ended = start().wait()
    removal = (sys.executable, "-m", "tools.rescue", "--run-cache")
    if (
        ended[0]
        and not subprocess.run(
            removal, cwd=project, env=env, capture_output=True, check=False
        ).returncode
    ):
        ended = start().wait()
    return ended


# --- one experiment ---------------------------------------------------------------------------


def node_folder() -> Path:
    """Return the folder of this node, in TMPDIR: its cache, and its experiments while they run.

    Raises:
        PermissionError: somebody else owns it.
    """
    is_posix = hasattr(os, "getuid")
    user = os.getuid() if is_posix else "user"
    folder = Path(tempfile.gettempdir(), f"names-sweep-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if is_posix and folder.stat().st_uid != user:
        raise PermissionError(f"{folder}: belongs to somebody else; set TMPDIR to another folder")
    return folder


@contextlib.contextmanager
def own_folder(node: Path) -> Iterator[Path]:
    """Give a folder for one task; first remove those of tasks that have died."""
    from filelock import FileLock, Timeout

    with FileLock(node / "lock"):  # so that no folder is removed before it is in use
        for old in node.glob("task-*"):
            lock = FileLock(old / IN_USE)
            with contextlib.suppress(Timeout, OSError):
                lock.acquire(blocking=False)
                shutil.rmtree(old, ignore_errors=True)
            lock.release()
        folder = Path(tempfile.mkdtemp(prefix="task-", dir=node))
        lock = FileLock(folder / IN_USE)
        lock.acquire()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def call(*command: str, folder: Path, env: dict[str, str]) -> bytes:
    """Return what a command prints.

    Raises:
        RuntimeError: it fails.
    """
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
    if ran.returncode:
        why = " ".join(ran.stderr.decode(errors="replace").split())
        raise RuntimeError(f"{' '.join(command[:3])}: {why}")
    return ran.stdout


def at_work() -> dict[str, tuple[str, float]]:
    """Return the host, and for how many seconds it has run, of each experiment of this process."""
    host, now = socket.gethostname(), time.monotonic()
    return {name: (host, now - start) for name, start in list(STARTS.items())}


def stages_run(printed: str) -> str:
    """Say which stages of a run trained a model; the other models came from DVC's cache.

    >>> stages_run("Running stage 'split':\\nRunning stage 'train_mlp':\\n")
    ', ran train_mlp'
    """
    stages = re.findall(r"^Running stage '((?:train|find)_\w+)'", printed, re.MULTILINE)
    return f", ran {', '.join(stages)}" if stages else ""


def identity(package: Package) -> Package:
    """Return the package: the task that all experiments depend on, which brings it to a node."""
    return package


def run(job: Job, package: Package) -> Job:
    """Run one experiment in a clone with a cache that all experiments of this node share.

    Args:
        job: `name` and `overrides` of the experiment; `ref`, where git keeps it; `head`, the commit
            that it starts from; `files`, a commit with the files that it starts from; `below`, the
            project's folder in the repository; `author`, name and address for its commit.
        package: see there.

    Returns:
        `name`, `node`, `seconds` and either `error`, `refused` with what differs between this
        environment and the head's, or `bundle`, `files` and `detail`.
    """
    ended: Job = {"name": job["name"], "node": socket.gethostname()}
    if differing := differences(package.environment):
        return ended | {"refused": differing}
    start = STARTS[job["name"]] = time.monotonic()
    try:
        node = node_folder()
        with own_folder(node) as folder:
            ended |= run_in(folder, node / "cache", job, package)
    except (OSError, RuntimeError, ValueError) as error:
        ended["error"] = " ".join(str(error).split())
    finally:
        del STARTS[job["name"]]
    return ended | {"seconds": time.monotonic() - start}


def run_in(folder: Path, cache: Path, job: Job, package: Package) -> Job:
    """Run one experiment in a folder; see `run`."""
    for md5, content in package.files.items():
        place(cache, md5, content)
    bundle, clone, back = (folder / name for name in ("bundle", "clone", "back"))
    bundle.write_bytes(package.bundle)
    status, printed, errors = run_in_clone(folder, bundle, job, cache)
    if status:
        return {"error": one_line(errors, status)}
    hashes = recorded_hashes((clone / job["below"] / "dvc.lock").read_bytes(), cache)
    new = [md5 for md5 in hashes if md5 not in package.files and cache_path(cache, md5).exists()]
    command = ("git", "bundle", "create", "-q", str(back), job["ref"], f"^{job['head']}")
    call(*command, folder=clone, env=stage_environment())
    return {
        "bundle": back.read_bytes(),
        "files": {md5: cache_path(cache, md5).read_bytes() for md5 in new},
        "detail": stages_run(printed),
    }


def run_in_clone(
    folder: Path, source: Path, job: Job, cache: Path, start: Start = Supervised
) -> Ended:
    """Run one experiment in a new clone, `folder/clone`.

    Not by `dvc exp run --temp`, which changes the checkout while it sets up; and of two such runs
    one can run both experiments, while the other reports success without a result.

    Args:
        folder: an empty one.
        source: a repository, or a bundle of git.
        job: see `run`.
        cache: of DVC, which the clone uses.
        start: starts a command with an environment.

    Raises:
        RuntimeError: git fails.
        OSError: the disk is full, or git has no file of .dvc.
    """
    clone = folder / "clone"
    name, address = job["author"]
    env = stage_environment(
        DVC_SITE_CACHE_DIR=str(folder / "site"),
        DVC_NO_ANALYTICS="1",
        DVC_EXP_AUTO_PUSH="false",  # it would push to `source`
        GIT_AUTHOR_NAME=name,
        GIT_AUTHOR_EMAIL=address,
        GIT_COMMITTER_NAME=name,
        GIT_COMMITTER_EMAIL=address,
    )
    options = ("--quiet", "--shared", "--no-checkout")
    call("git", "clone", *options, str(source), str(clone), folder=folder, env=env)
    call("git", "checkout", "--quiet", "--detach", job["files"], folder=clone, env=env)
    call("git", "reset", "--quiet", "--soft", job["head"], folder=clone, env=env)
    project = clone / job["below"]
    settings = f'[cache]\n    dir = "{cache}"\n'
    (project / ".dvc/config.local").write_text(settings, encoding="utf-8")
    command = dvc_command(job["name"], job["overrides"])
    return run_dvc(lambda: start(command, project, env), project, env)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
