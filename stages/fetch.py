"""Fetch the list of names and verify by its hash that it is the right file.

    python -m stages.fetch    fetch.url → data/names.txt, metrics/fetch.json

The file is accepted only if its SHA-256 is `fetch.sha256`, wherever it comes from. Byte-order mark,
line ends, blank lines and outer spaces are then mended; a list without these is kept byte for byte.
"""

from typing import Any

from charlm import params
from charlm.download import file_name, read_url, verify_hash
from charlm.names import HEADERS, NameList, parse_list
from charlm.runtime import run_stage
from charlm.storage import DATA, METRICS, write_bytes, write_json, write_lines

MENDED = {  # what was done to a list, by the key in its metrics
    "byte_order_mark": "removed a byte-order mark",
    "line_ends": "converted the ends of {}",
    "composed": "composed the accents of {}",
    "stripped": "stripped {}",
    "blank": "dropped {} blank",
}


def describe(found: NameList, url: str, sha256: str) -> dict[str, Any]:
    """Return the metrics of a list: its file name and hash, its size, and what was mended."""
    lengths = [len(name) for name in found.names]
    metrics: dict[str, Any] = {
        "dataset": file_name(url),
        "sha256": sha256[:12],
        "lines": len(found.names),
        "distinct": len(set(found.names)),
        "shortest": min(lengths),
        "longest": max(lengths),
    }
    return metrics | ({"mended": found.mended} if found.mended else {})


def remarks(found: NameList) -> str:
    """Return what to print about the lines that were mended, and about a header.

    >>> remarks(NameList(["name", "ava"], {"stripped": 2, "blank": 1}))
    '; stripped 2 lines, dropped 1 blank line; is the first line, name, a header?'
    """
    done = [
        MENDED[key].format(f"{count:,}") + f" line{'s' * (count > 1)}" * (key != "byte_order_mark")
        for key, count in found.mended.items()
    ]
    first = found.names[0]
    header = f"; is the first line, {first}, a header?" if first.casefold() in HEADERS else ""
    return f"; {', '.join(done)}{header}" if done else header


def main() -> None:
    settings = params.load().fetch
    content = read_url(settings.url)
    sha256 = verify_hash(content, settings.sha256, settings.url)
    found = parse_list(content, settings.url)
    metrics = describe(found, settings.url, sha256)

    if found.mended:
        write_lines(DATA / "names.txt", found.names)
    else:
        write_bytes(DATA / "names.txt", content)
    write_json(METRICS / "fetch.json", metrics)
    print(
        f"fetch: {metrics['lines']:,} names, {metrics['distinct']:,} of them unique, "
        f"{metrics['shortest']} to {metrics['longest']} characters, from {metrics['dataset']}"
        f"{remarks(found)}"
    )


if __name__ == "__main__":
    run_stage(main)
