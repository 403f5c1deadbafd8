"""Fetch the list of names and prove that it is the right file.

    python -m stages.fetch    fetch.url → data/names.txt, metrics/fetch.json

The file counts only if its SHA-256 is `fetch.sha256`, wherever it came from. The variable
NAMES_MIRROR, an absolute folder or an address, takes the place of the network: the file is
looked up there by its last name. It cannot change a result, so nothing of it is recorded.
"""

import sys

from charlm import params
from charlm import storage as files
from charlm.download import NO_NETWORK, NoNetwork, file_name, read, verify
from charlm.runtime import run


def describe(names: list[str], url: str, sha256: str) -> dict[str, str | int]:
    """Return the metrics of a list: what it is called, its hash, its size."""
    lengths = [len(name) for name in names]
    return {
        "dataset": file_name(url),
        "sha256": sha256[:12],
        "lines": len(names),
        "distinct": len(set(names)),
        "shortest": min(lengths),
        "longest": max(lengths),
    }


def main() -> None:
    settings = params.load().fetch
    try:
        content = read(settings.url)
    except NoNetwork as failure:
        print(failure, file=sys.stderr)
        sys.exit(NO_NETWORK)
    verify(content, settings.sha256, settings.url)
    metrics = describe(files.parse_names(content, settings.url), settings.url, settings.sha256)

    files.write_bytes(files.DATA / "names.txt", content)
    files.write_json(files.METRICS / "fetch.json", metrics)
    print(
        f"fetch: {metrics['lines']} names, {metrics['distinct']} distinct, "
        f"{metrics['shortest']} to {metrics['longest']} characters, from {metrics['dataset']}"
    )


if __name__ == "__main__":
    run(main)
