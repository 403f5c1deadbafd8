"""The library of the pipeline: what stages, tools and benchmarks import.

Importing it, before anything that imports numpy or torch, settles what makes a result the same
everywhere.
"""

import gc
import os
import platform
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

# The same result on every x86-64 processor: no instructions beyond AVX2, no vendor-specific kernels
# and one thread, because sums are split among threads. One is as fast as two at small batches, and
# leaves the other cores to experiments that run side by side. numpy, OpenBLAS and torch read these
# variables once, when they are imported.
ARITHMETIC = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    **dict.fromkeys(("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
}
if platform.machine() in ("x86_64", "AMD64"):
    ARITHMETIC |= {
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # names of the pinned numpy
        "OPENBLAS_CORETYPE": "Haswell",
    }
    os.environ.pop("NPY_ENABLE_CPU_FEATURES", None)  # numpy refuses to start with both
os.environ.update(ARITHMETIC)
CPUINFO = Path("/proc/cpuinfo")  # of Linux
FIRST_PROCESSOR = 8192  # characters that describe it


def has_avx2(cpuinfo: str) -> bool:
    """Tell from the beginning of /proc/cpuinfo whether an x86 processor has AVX2.

    >>> has_avx2("flags : sse2 avx avx2 fma"), has_avx2("flags : sse2 avx"), has_avx2("no flags")
    (True, False, True)
    """
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "avx2")
    return "avx2" in flags.split()


# argv[0] is "-m" only while `python -m` looks for its module: a program of this project starts.
if sys.argv[0] == "-m":
    if not all(map(find_spec, ("dvc", "filelock", "torch"))):
        sys.exit(
            f"{sys.executable} lacks the packages of this project; activate the environment that "
            "`make repro` created: source .venv/bin/activate"
        )
    with suppress(OSError), CPUINFO.open(encoding="ascii", errors="replace") as file:
        if not has_avx2(file.read(FIRST_PROCESSOR)):
            sys.exit(
                "this processor has no AVX2, or a virtual machine hides it, and torch would end "
                "with an illegal instruction; use a machine with AVX2, or let the virtual machine "
                "show the processor as it is (qemu: -cpu host)"
            )
    gc.disable()  # what imports create stays, and looking through it is a sixth of torch's import
    # This runs before the slow imports, so it also decides what Ctrl-C does during them: end the
    # program without a stack trace.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
