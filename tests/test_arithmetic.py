"""The same floating-point results with and without the instructions of newer processors."""

import os
import subprocess
import sys

import pytest

from charlm import ARITHMETIC
from tests.conftest import HAS_AVX512, NEW_PROCESSOR_AND_TURKISH_LOCALE, ROOT, same_bytes

# one line per function and type: the hash of its results
RESULTS = """
import hashlib, sys
if sys.argv[1:] == ["settled"]:
    import charlm
import numpy as np
from scipy.special import erf

numbers = np.random.default_rng(1).normal(size=(400, 300))
functions = {
    "exp": np.exp, "log": lambda x: np.log(abs(x)), "tanh": np.tanh, "erf": erf,
    "product": lambda x: x @ x.T,
}
for name, function in functions.items():
    for dtype in ("float32", "float64"):
        result = function(numbers.astype(dtype))
        print(name, dtype, hashlib.md5(result.tobytes()).hexdigest())
"""


def results(*arguments: str, **environment: str) -> set[str]:
    finished = subprocess.run(
        [sys.executable, "-c", RESULTS, *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key not in ARITHMETIC}
        | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(finished.stdout.splitlines())


@same_bytes
@pytest.mark.skipif(not HAS_AVX512, reason="needs a processor with AVX-512")
def test_results_do_not_depend_on_avx512():
    settled = results("settled")
    assert len(settled) == 10
    assert results("settled", **NEW_PROCESSOR_AND_TURKISH_LOCALE) == settled
    # what the settings have an effect on
    differing = {" ".join(line.split()[:2]) for line in results() - settled}
    print(differing)
    assert differing >= {"exp float64", "log float64", "product float32", "product float64"}
