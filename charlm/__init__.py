"""The library of the pipeline: what stages, tools and benchmarks import.

Importing it, before anything that imports torch, settles what makes a result the same everywhere.
"""

import os
import signal
import sys
from importlib.util import find_spec

# The same result on every x86-64 processor: no instructions beyond AVX2 and no vendor-specific
# kernels. torch reads these variables once, when it is imported.
ARITHMETIC = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
os.environ.update(ARITHMETIC)

# argv[0] is "-m" only while `python -m` looks for its module: a program of this project starts.
if sys.argv[0] == "-m":
    if not all(map(find_spec, ("dvc", "filelock", "torch"))):
        sys.exit(
            f"{sys.executable} lacks the packages of this project; activate the environment that "
            "`make repro` created: source .venv/bin/activate"
        )
    # This runs before the slow imports, so it also decides what Ctrl-C does during them: end the
    # program without a stack trace.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
