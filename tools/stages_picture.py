"""The picture of the stages in README.md: the eight of the lectures in dark boxes, others light.

Columns are in the order of the dependencies. An arrow that follows from others is left out.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from charlm.core.storage import read_bytes

PATH = Path("docs/stages.svg")
LECTURES = (
    *("fetch", "split", "build_contexts"),
    *("train_bigram_count", "train_bigram_neural", "train_mlp"),
    *("evaluate", "sample"),
)
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 174, 34, 30, 16, 12  # pixels of a box and around it
STYLE = """
  text { font: 14px system-ui, sans-serif; text-anchor: middle; }
  .main rect { fill: #2c5cc5; } .main text { fill: #fff; font-weight: 600; }
  .other rect { fill: #f2f0eb; stroke: #d0cabd; } .other text { fill: #5c574f; }
  path { fill: none; stroke: #c9c3b7; stroke-width: 1.3; }
  path.main { stroke: #2c5cc5; stroke-width: 2; }
"""


def dependencies(stages: dict[str, Any]) -> dict[str, set[str]]:
    """Return the stages whose outputs each stage reads.

    >>> dependencies({"a": {"outs": ["x"]}, "b": {"deps": ["x/y"]}})
    {'a': set(), 'b': {'a'}}
    """
    made = {}
    for name, stage in stages.items():
        for kind in ("outs", "metrics", "plots"):
            for out in stage.get(kind, []):
                made[Path(out if isinstance(out, str) else next(iter(out)))] = name
    return {
        name: {
            made[place]
            for path in stage.get("deps", [])
            for place in (Path(path), *Path(path).parents)
            if place in made
        }
        for name, stage in stages.items()
    }


def direct(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return a graph without the edges that others imply.

    >>> direct({"a": set(), "b": {"a"}, "c": {"a", "b"}})
    {'a': set(), 'b': {'a'}, 'c': {'b'}}
    """

    @cache
    def ancestors(name: str) -> frozenset[str]:
        return frozenset(graph[name]).union(*map(ancestors, graph[name]))

    return {
        name: {one for one in before if not any(one in ancestors(other) for other in before)}
        for name, before in graph.items()
    }


def edges(graph: dict[str, set[str]]) -> dict[tuple[str, str], bool]:
    """Return the arrows of the picture, and whether both ends are stages of the lectures.

    Among these an arrow is left out only if they themselves imply it.
    """
    lectures = {name: before & {*LECTURES} for name, before in graph.items() if name in LECTURES}
    drawn = {(one, name): False for name, before in direct(graph).items() for one in sorted(before)}
    main = {
        (one, name): True for name, before in direct(lectures).items() for one in sorted(before)
    }
    return drawn | main


def columns(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the stages by the longest way to them."""

    @cache
    def depth(name: str) -> int:
        return max((1 + depth(one) for one in graph[name]), default=0)

    found: list[list[str]] = [[] for _ in range(1 + max(map(depth, graph)))]
    for name in graph:
        found[depth(name)].append(name)
    return found


def draw() -> str:
    """Return the picture of the stages of dvc.yaml, as SVG."""
    graph = dependencies(yaml.safe_load(read_bytes(Path("dvc.yaml")))["stages"])
    shown = columns(graph)
    step_x, step_y = WIDTH + GAP_X, HEIGHT + GAP_Y
    width = len(shown) * step_x - GAP_X + 2 * MARGIN
    main_rows = max(len([name for name in column if name in LECTURES]) for column in shown)
    place = {}  # the left end and the middle of each box
    for number, column in enumerate(shown):
        main = [name for name in column if name in LECTURES]
        others = [name for name in column if name not in LECTURES]
        first = (main_rows - len(main)) / 2  # the others are below all of them
        rows = [first + row for row in range(len(main))]
        rows += [main_rows + row for row in range(len(others))]
        for name, row in zip([*main, *others], rows, strict=True):
            place[name] = (MARGIN + number * step_x, MARGIN + row * step_y + HEIGHT / 2)
    height = max(y for _, y in place.values()) + HEIGHT / 2 + MARGIN
    lines = []
    for (one, name), is_main in sorted(edges(graph).items(), key=lambda edge: edge[1]):
        (x1, y1), (x2, y2) = place[one], place[name]
        x1 += WIDTH
        bend = (x2 - x1) / 2
        kind = ' class="main"' if is_main else ""
        lines.append(
            f'<path{kind} d="M{x1},{y1:g}C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2},{y2:g}"/>'
        )
    for name, (x, y) in place.items():
        kind = "main" if name in LECTURES else "other"
        lines.append(
            f'<g class="{kind}"><rect x="{x}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="6"/>'
            f'<text x="{x + WIDTH / 2:g}" y="{y + 5:g}">{name}</text></g>'
        )
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" '
        f'width="{width}" height="{height:g}">\n<style>{STYLE}</style>\n'
        f'<rect width="{width}" height="{height:g}" fill="#fff"/>\n{body}\n</svg>\n'
    )
