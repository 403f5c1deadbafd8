"""Fetch the list of names and verify by its hash that it is the right file.

    python -m stages.fetch    fetch.url → data/names.txt, metrics/fetch.json

The file is accepted only if its SHA-256 is `fetch.sha256`, wherever it comes from.
"""

from charlm import params
from charlm.download import file_name, read_url, verify_hash
from charlm.names import parse_names
from charlm.runtime import run_stage
from charlm.storage import DATA, METRICS, write_bytes, write_json


def describe(names: list[str], url: str, sha256: str) -> dict[str, str | int]:
    """Return the metrics of a list: its file name, hash and size."""
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
    content = read_url(settings.url)
    sha256 = verify_hash(content, settings.sha256, settings.url)
    metrics = describe(parse_names(content, settings.url), settings.url, sha256)

    write_bytes(DATA / "names.txt", content)
    write_json(METRICS / "fetch.json", metrics)
    print(
        f"fetch: {metrics['lines']:,} names, {metrics['distinct']:,} of them unique, "
        f"{metrics['shortest']} to {metrics['longest']} characters, from {metrics['dataset']}"
    )


if __name__ == "__main__":
    run_stage(main)
