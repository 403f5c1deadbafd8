"""Vega, the drawing library of DVC's charts, without network."""

from charlm.core.errors import InputError


def vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which sets `vegaEmbed`.

    Raises:
        InputError: vl-convert-python is not installed.
    """
    try:
        from vl_convert import javascript_bundle
    except ModuleNotFoundError:
        raise InputError(
            "vl-convert-python, which has the drawing library Vega, is not installed; run "
            "`make report`, or `pip install vl-convert-python`"
        ) from None
    bundle: str = javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle
