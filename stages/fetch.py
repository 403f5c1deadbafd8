"""Fetch the list of names and verify by its hash that it is the right file.

    python -m stages.fetch    fetch.url → data/names.txt, metrics/fetch.csv

The file is accepted only if its SHA-256 is `fetch.sha256`, wherever it comes from. Byte-order mark,
line ends, blank lines, outer spaces and invisible characters are then mended; a list without these
is kept byte for byte.
"""

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, METRICS, write_bytes, write_lines
from charlm.download import file_name, read_url, verify_hash
from charlm.list_formats import is_header
from charlm.names import NameList, parse_list
from charlm.tables import write_facts

MENDED = {  # what was done to a list, by the key in its facts
    "byte_order_mark": "removed a byte-order mark",
    "line_ends": "converted the ends of {}",
    "composed": "composed the accents of {}",
    "stripped": "removed spaces around {}",
    "invisible": "removed invisible characters around {}",
    "blank": "dropped {} blank",
}


def describe(found: NameList, url: str, sha256: str) -> dict[str, str | int]:
    """Return facts of a list: its file name and hash, its size, and the lines that were mended."""
    return {
        "dataset": file_name(url),
        "sha256": sha256[:12],
        "lines": len(found.names),
        "distinct": len(set(found.names)),
        "shortest": min(map(len, found.names)),
        "longest": max(map(len, found.names)),
        **{f"mended {kind}": count for kind, count in found.mended.items()},
    }


def remarks(found: NameList) -> str:
    """Return what to print about the lines that were mended, and about a header.

    >>> remarks(NameList(["name", "ava"], {"stripped": 2, "blank": 1}))
    "; removed spaces around 2 lines, dropped 1 blank line; is the first line, 'name', a header?"
    """
    done = [
        MENDED[key].format(f"{count:,}") + f" line{'s' * (count > 1)}" * (key != "byte_order_mark")
        for key, count in found.mended.items()
    ]
    header = f"; is the first line, {found.names[0]!r}, a header?" if is_header(found.names) else ""
    return f"; {', '.join(done)}{header}" if done else header


def main() -> None:
    settings = params.load().fetch
    content = read_url(settings.url)
    sha256 = verify_hash(content, settings.sha256, settings.url)
    found = parse_list(content, settings.url, any_lines=settings.lines == "any")
    if found.mended:
        write_lines(DATA / "names.txt", found.names)
    else:
        write_bytes(DATA / "names.txt", content)
    del content  # makes room for the set of unique names
    facts = describe(found, settings.url, sha256)
    write_facts(METRICS / "fetch.csv", facts)
    print(
        f"fetch: {facts['lines']:,} names, {facts['distinct']:,} of them unique, "
        f"{facts['shortest']} to {facts['longest']} characters, fetched anew from "
        f"{facts['dataset']}{remarks(found)}"
    )


if __name__ == "__main__":
    run_stage(main)
