"""Faults at named events of one stage; python imports this first if its folder is on PYTHONPATH.

The variable FAULT names a stage, an event and what happens then. In the folder FAULT_FOLDER, which
belongs to the test, are the counts of a stage's events, and the files `happened` and `go`.

Events: start; call:N, the Nth call of the project's functions; middle, half of these calls, as
counted by a run with `count`; write:N and rename:N, just before the Nth output is begun and before
it is renamed. What happens: SIGKILL to the stage, to dvc, or to both; `wait`; or `tell`, which only
creates `happened`. After dvc was killed, and with `wait`, the stage stops until `go` exists.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

PACKAGES = [f"{os.sep}{name}{os.sep}" for name in ("charlm", "stages")]
# so that half of the calls are done in the middle of the work, also where a curve is written then
WRITERS = ("storage.py", "tables.py")


def is_main(frame: FrameType, stage: str) -> bool:
    return frame.f_code.co_name == "main" and frame.f_code.co_filename.endswith(f"{stage}.py")


def kill_dvc() -> None:
    """Kill the `dvc` that started this stage, directly or through a shell."""
    import psutil

    for process in psutil.Process().parents():
        if any(Path(word).name == "dvc" for word in process.cmdline()[:2]):
            process.kill()
            return
    raise LookupError("no dvc started this stage")


class Fault:
    def __init__(self, stage: str, event: str, what: str, folder: Path) -> None:
        self.stage, self.event, self.what, self.folder = stage, event, what, folder
        self.calls = self.writes = self.renames = 0
        self.working = self.happened = False
        counted = folder / f"{stage}.json"
        self.middle = json.loads(counted.read_text())["calls"] // 2 if counted.exists() else 0

    def on_call(self, frame: FrameType, kind: str, _: object) -> None:
        if kind != "call" or not any(package in frame.f_code.co_filename for package in PACKAGES):
            return
        if is_main(frame, self.stage):
            self.working = True
            self.at("start")
            if self.what != "count" and not self.event.startswith(("middle", "call:")):
                sys.setprofile(None)  # it slows a stage down
        elif self.working and not frame.f_code.co_filename.endswith(WRITERS):
            self.calls += 1
            self.at(f"call:{self.calls}")
            if self.calls == self.middle:
                self.at("middle")

    def on_audit(self, event: str, arguments: tuple) -> None:
        if (
            event == "fcntl.flock" and not self.working
        ):  # imports are over: the stage asks for its lock
            sys.setprofile(self.on_call)
        path = str(arguments[0]) if arguments else ""
        if not path.endswith(".tmp") or self.happened:
            return
        if event == "open":
            self.writes += 1
            self.at(f"write:{self.writes}")
        elif event == "os.rename":
            self.renames += 1
            self.at(f"rename:{self.renames}")

    def at(self, event: str) -> None:
        if self.what == "count":
            counts = {"calls": self.calls, "writes": self.writes}
            (self.folder / f"{self.stage}.json").write_text(json.dumps(counts))
        if event != self.event or self.happened:
            return
        self.happened = True
        if self.what in ("dvc", "both"):
            kill_dvc()
        (self.folder / "happened").touch()
        if self.what in ("stage", "both"):
            os.kill(os.getpid(), signal.SIGKILL)
        while self.what != "tell" and not (self.folder / "go").exists():
            time.sleep(0.01)


if "FAULT" in os.environ:
    stage, event, what = os.environ["FAULT"].split()
    if sys.orig_argv[-2:] == ["-m", f"stages.{stage}"]:
        fault = Fault(stage, event, what, Path(os.environ["FAULT_FOLDER"]))
        sys.addaudithook(fault.on_audit)
