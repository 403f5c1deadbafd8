"""Write the tables of docs/ that show the last results of the benchmarks.

python -m benchmarks.documents            writes them
python -m benchmarks.documents --check    writes nothing, and fails if one is outdated
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import commits, compare, record, scale, sweeps
from charlm.core.storage import read_json
from tools.documents import Make, rewrite_tables
from tools.program import run_tool


def benchmark(path: Path, table: Callable[[dict[str, Any], str], str]) -> str:
    """Return the table of the last benchmark."""
    found = read_json(path)
    return table(found.get("rows", found), "pipe")


TABLES: dict[str, Make] = {
    "times": lambda: benchmark(compare.RESULTS, compare.table),
    "commits": lambda: benchmark(commits.RESULTS, commits.table),
    "growth": lambda: benchmark(scale.RESULTS, scale.table),
    "sweep-times": lambda: benchmark(sweeps.RESULTS, sweeps.table),
    "sweep-overhead": lambda: benchmark(sweeps.RESULTS, sweeps.overhead_table),
    "alphabet": lambda: benchmark(scale.RESULTS, scale.alphabet_table),
    "counting": lambda: benchmark(scale.RESULTS, scale.counting_table),
    "record": lambda: benchmark(record.RESULTS, record.record_table),
    "long-lists": lambda: benchmark(scale.RESULTS, scale.long_table),
}


def main() -> None:
    rewrite_tables(__doc__, TABLES)


if __name__ == "__main__":
    run_tool(main)
