"""The fixtures of the other tests."""

from tests.conftest import (  # noqa: F401
    finished,
    names,
    names_or_none,
    project,
    quick,
    with_recipes,
)
