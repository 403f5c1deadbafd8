"""Add a network to the pipeline: a GRU or a transformer, which read names from their beginning.

    python -m tools.add_network gru && dvc repro
    python -m tools.add_network gru transformer

It adds the stage to dvc.yaml, its section to params.yaml and a line to charlm/models/registry.py,
as CONTRIBUTING.md says for any model; `git diff` shows them, and `git checkout .` removes them.
"""

import subprocess
import sys
from pathlib import Path

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes, write_bytes
from charlm.core.yaml_files import parse_yaml
from charlm.models.registry import MODELS, NETWORKS
from tools.program import argument_parser, run_tool

BLOCKS = Path(__file__).parent
REGISTRY = Path("charlm/models/registry.py")


def insert(texts: dict[Path, str], path: Path, anchor: str, block: str, source: Path) -> None:
    """Insert a block above a line, in the texts of files.

    Args:
        texts: of files, by path; changed in place.
        path: of the file.
        anchor: the line.
        block: whole lines.
        source: the file that has the block, for the message.

    Raises:
        InputError: the file does not have this line once.
    """
    text = texts.setdefault(path, read_bytes(path).decode())
    count = text.splitlines().count(anchor)
    if count != 1:
        raise InputError(
            f"{path}: found the line {anchor!r} {count} times, not once; add the block of "
            f"{source.name} (tools/add_network) by hand, then run `make deps`"
        )
    texts[path] = f"\n{text}".replace(f"\n{anchor}", f"\n{block}{anchor}", 1).removeprefix("\n")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("networks", nargs="+", choices=NETWORKS, metavar="NETWORK")
    networks = dict.fromkeys(parser.parse_args().networks)
    texts: dict[Path, str] = {}
    added = [name for name in networks if name not in MODELS]
    for name in added:
        source = BLOCKS / f"{name}.yaml"
        blocks = parse_yaml(read_bytes(source))
        line = f'    "{name}": "{NETWORKS[name]}",\n'
        for path, anchor, block in (
            (Path("params.yaml"), "find_learning_rate:", f"{blocks['params.yaml']}\n"),
            (Path("dvc.yaml"), "  fit_mixture:", f"{blocks['dvc.yaml']}\n"),
            (Path("dvc.yaml"), "  mixture:", blocks["artifact"]),
            (REGISTRY, '    "mixture": "Mixture",', line),
        ):
            insert(texts, path, anchor, block, source)
    for path, text in texts.items():
        write_bytes(path, text.encode())
    if added:
        subprocess.run((sys.executable, "-m", "tools.deps"), check=True, capture_output=True)
    for name in networks:
        note = "added; `dvc repro` trains it" if name in added else "is in the pipeline already"
        print(f"add_network: {name}: {note}")


if __name__ == "__main__":
    run_tool(main)
