"""Faults at named events of one stage: python runs this first, where its folder is on PYTHONPATH.

The variable FAULT says which stage, at which event, what is to happen; the folder of the test, in
FAULT_FOLDER, serves to count, and to tell when.

Events: start; call:N, the Nth call of the project's functions; middle, half of these calls, as
counted by a run with `count`; write:N and rename:N, just before the Nth output is begun and before
it is renamed. What happens: SIGKILL to the stage, to dvc, or to both; or it waits; or it only
tells. After dvc was killed, or to wait, the stage stands still until it is told to go on.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType


def is_main(frame: FrameType, stage: str) -> bool:
    return frame.f_code.co_name == "main" and frame.f_code.co_filename.endswith(f"{stage}.py")


def kill_dvc() -> None:
    """Kill the `dvc` that started this stage, be there a shell in between or not."""
    process = os.getppid()
    while "dvc" not in Path(f"/proc/{process}/cmdline").read_text().split("\0")[1]:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(process, signal.SIGKILL)


class Fault:
    def __init__(self, stage: str, event: str, what: str, folder: Path) -> None:
        self.stage, self.event, self.what, self.folder = stage, event, what, folder
        self.calls = self.writes = self.renames = 0
        self.working = self.happened = False
        counted = folder / f"{stage}.json"
        self.middle = json.loads(counted.read_text())["calls"] // 2 if counted.exists() else 0

    def on_call(self, frame: FrameType, kind: str, _: object) -> None:
        folders = Path(frame.f_code.co_filename).parent.parts
        if kind != "call" or not {"charlm", "stages"} & set(folders):
            return
        if is_main(frame, self.stage):
            self.working = True
            self.at("start")
            if self.what != "count" and not self.event.startswith(("middle", "call:")):
                sys.setprofile(None)  # a stage is far slower under it
        elif self.working and not self.writes:
            self.calls += 1
            self.at(f"call:{self.calls}")
            if self.calls == self.middle:
                self.at("middle")

    def on_audit(self, event: str, arguments: tuple) -> None:
        if event == "fcntl.flock" and not self.working:  # imports are over, the lock is asked for
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
