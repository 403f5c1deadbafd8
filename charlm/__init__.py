"""What stages, tools and benchmarks import; it comes before torch."""

import atexit
import gc
import os
import signal
import sys

import psutil

# One result on every x86-64 processor: no instructions beyond AVX2, no maker's own kernels.
# torch reads them once, when it is imported, and every package of scripts imports this first.
os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
os.environ["MKL_CBWR"] = "COMPATIBLE"
os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"

# No last search for garbage in all that torch's import has made: python starts and ends with it
# 1.3 times sooner.
atexit.register(gc.freeze)

# Ctrl-C ends a stage at once, imports included, as a kill would: files appear whole or not at all.
# argv[0] is "-m" while `python -m stages.NAME` looks for its module; nothing else is changed.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _started_by() -> psutil.Process | None:
    """Return the `dvc` that started this stage, be there a shell in between or not, if one did."""
    if "DVC_STAGE" not in os.environ:
        return None
    try:
        ancestors = psutil.Process().parents()
        return next((p for p in ancestors if "stages." not in " ".join(p.cmdline())), None)
    except psutil.Error:  # it is gone already, or nobody's business
        return None


STARTED_BY = _started_by()  # looked up at once: it may be gone soon


class InputError(SystemExit):
    """Wrong input: its one line is all that a stage prints before it ends with status 1."""
