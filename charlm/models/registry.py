"""The registry of models: one line each makes a model known to every stage, tool and test.

Tables and pictures have the models in this order.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from charlm.core.errors import InputError

if TYPE_CHECKING:
    from charlm.models.base import Model

# the class of charlm/models/NAME.py, by name; imported only when it is needed
MODELS = {
    "bigram_count": "BigramCount",
    "bigram_neural": "BigramNeural",
    "ngram_count": "NgramCount",
    "mlp": "MLP",
    "mixture": "Mixture",
}
# those that `python -m tools.add_network NAME` adds to the pipeline
NETWORKS = {"gru": "GRU", "transformer": "Transformer"}
FITTED_ON_DEV = ("mixture",)  # their loss on dev is too low


def model_class(name: str) -> "type[Model]":
    """Return the class of a model.

    Raises:
        InputError: no model has this name.
    """
    if name not in MODELS:
        raise InputError(
            f"{name}: unknown model; known are {', '.join(MODELS)} (charlm/models/registry.py)"
        )
    model: type[Model] = getattr(import_module(f"charlm.models.{name}"), MODELS[name])
    return model


def check_component(name: str) -> None:
    """Check that a model can be a component of a mixture.

    Raises:
        ValueError: it cannot.
    """
    allowed = [model for model in MODELS if model not in FITTED_ON_DEV]
    if name not in allowed:
        raise ValueError(f"{name} is not among the models that can be mixed: {', '.join(allowed)}")


def load_models(symbols: int, names: tuple[str, ...] = tuple(MODELS)) -> "dict[str, Model]":
    """Read trained models, each file once: a mixture shares the models that it is composed of.

    Args:
        symbols: size of the vocabulary.
        names: of the models.

    Raises:
        InputError: a file is missing or damaged, or belongs to another vocabulary.
    """
    loaded: dict[str, Model] = {}

    def load(name: str) -> "Model":
        if name not in loaded:
            loaded[name] = model_class(name).load(symbols, load_component)
        return loaded[name]

    def load_component(name: str) -> "Model":
        check_component(name)
        return load(name)

    return {name: load(name) for name in names}
