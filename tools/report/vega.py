"""Vega, the drawing library of DVC's charts, without network."""

from types import ModuleType

from charlm.core.errors import InputError


def import_vl_convert() -> ModuleType:
    """Return the package that has Vega.

    Raises:
        InputError: it is not installed.
    """
    try:
        import vl_convert
    except ModuleNotFoundError:
        raise InputError(
            "vl-convert-python, which has the drawing library Vega, is not installed; run "
            "`make report`, or `pip install vl-convert-python`"
        ) from None
    module: ModuleType = vl_convert
    return module


def vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which sets `vegaEmbed`.

    Raises:
        InputError: vl-convert-python is not installed.
    """
    bundle: str = import_vl_convert().javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle
