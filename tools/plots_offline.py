"""Let `dvc plots show` and `dvc plots diff` draw without network, in this clone.

python -m tools.plots_offline

The page of .dvc/plots loads its drawing library, Vega, from the network. This puts the library into
a copy in .dvc/tmp, and that into .dvc/config.local as `plots.html_template`. Nothing is committed.
`dvc config --local --unset plots.html_template` takes it back.
"""

import subprocess
import sys
from pathlib import Path

from charlm.core.errors import InputError
from charlm.core.storage import read_bytes, write_bytes
from tools.program import argument_parser, run_tool
from tools.report.vega import vega

TEMPLATE = Path(".dvc/tmp/plots_offline.html")
PAGE = Path(".dvc/plots/page.html")
# each chart has a script that calls vegaEmbed; a script of type module would run after those
SCRIPT = "<script>(() => {{\n{bundle}\n}})();</script>"


def main() -> None:
    argument_parser(__doc__).parse_args()
    if not TEMPLATE.parent.parent.is_dir():
        raise InputError(
            f"{TEMPLATE.parent.parent}: not found; run from the root of the repository"
        )
    script = SCRIPT.format(bundle=vega())
    write_bytes(TEMPLATE, read_bytes(PAGE).decode().replace("{scripts}", script).encode())
    # a path in .dvc/config.local is relative to .dvc
    option = ("plots.html_template", TEMPLATE.relative_to(".dvc").as_posix())
    subprocess.run([sys.executable, "-m", "dvc", "config", "--local", *option], check=True)
    print("plots_offline: `dvc plots show` and `dvc plots diff` need no network now")


if __name__ == "__main__":
    run_tool(main)
