"""The page: everything about one revision or two, put into `page.html`."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tools.compare.runs import Settings
from tools.report import charts, maps, text
from tools.report.playground import build_playground
from tools.report.results import Results
from tools.report.similarity import CONTEXTS
from tools.report.vega import vega

FOLDER = Path(__file__).parent
SCRIPTS = ("models.js", "state.js", "show.js", "compare.js", "page.js", "sections.js")


def digest(source: str) -> str:
    """Return the hash by which the page allows a script to run."""
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def build_page(sides: dict[str, Results], committed: Settings | None) -> str:
    """Return the page as HTML.

    Args:
        sides: what the revisions left, by what to call each: one, or A and B.
        committed: the parameters of the last commit, None if they are not known.

    Raises:
        InputError: vl-convert-python is not installed.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    settings = [side.settings for side in sides.values()]
    if len(settings) == 1:
        settings = [settings[0] if committed is None else committed, *settings]
    models = list(dict.fromkeys(model for side in sides.values() for model in side.losses))
    colors = {model: number % charts.MODEL_COLORS for number, model in enumerate(models)}
    playground = build_playground(sides)
    groups = {
        "training": [
            *charts.training_charts(sides),
            *charts.position_charts(sides, models),
            *charts.length_charts(sides, models),
        ],
        "maps": maps.similarity_charts(sides),
    }
    lines = text.result_lines(sides, models)
    pairs = text.pair_groups(sides)
    sources = [vega(), *((FOLDER / name).read_text("utf-8") for name in SCRIPTS)]
    return environment.get_template("page.html").render(
        sides=sides,
        is_comparison=len(sides) > 1,
        models=models,
        colors=colors,
        style=(FOLDER / "style.css").read_text("utf-8"),
        scripts=[{"source": one, "sha256": digest(one)} for one in sources],
        facts=text.facts_by_side(sides),
        parameters=text.changed_parameters(*settings),
        is_committed=committed is not None,
        columns=text.loss_columns(sides),
        lines=lines,
        has_fitted=any(cell.is_fitted for line in lines for cell in line.cells),
        headline=text.headline(sides) if len(sides) > 1 else "",
        verdicts=text.verdicts(sides),
        undrawn=charts.undrawn(sides),
        notes=text.notes(sides),
        missing=text.missing(sides),
        playground=playground,
        groups=groups,
        pairs=pairs,
        contexts=CONTEXTS,
        neighbours=text.neighbours(sides),
        samples={name: text.samples(side) for name, side in sides.items()},
        data={
            **playground.data,
            "colors": colors,
            "charts": [one["spec"] for group in groups.values() for one in group],
            "pairs": text.pair_data(sides, pairs),
        },
    )
