"""Trained models in data/models: written, and read back only if they are what they should be."""

from itertools import pairwise
from pathlib import Path

import torch

from charlm import storage as files
from charlm.models import mlp as models
from charlm.models.mlp import ACTIVATIONS, MIXED, MODELS, Parameters, block_size

Form = tuple[torch.dtype, tuple[int, ...]]


def forms(name: str, parameters: Parameters, symbols: int) -> dict[str, Form]:
    """Return the type and shape of each tensor of a model that has its sizes.

    Args:
        name: the model's name.
        parameters: its tensors, which may be wrong ones.
        symbols: size of the vocabulary.

    Raises:
        KeyError, IndexError, ZeroDivisionError: they tell no sizes.
    """
    if name == "mixture":
        return {"weight": (torch.float64, ())}
    if name == "bigram_count":
        return {"P": (torch.float64, (symbols, symbols))}
    if name == "bigram_neural":
        return {"W": (torch.float32, (symbols, symbols))}
    found: dict[str, Form] = {}
    if name == "ngram_count":
        found["P0"] = (torch.float64, (1, symbols))
        for length in range(1, block_size(parameters) + 1):
            rows = max(1, parameters[f"keys{length}"].shape[0])
            found[f"keys{length}"] = (torch.int64, (rows,))
            found[f"P{length}"] = (torch.float64, (rows, symbols))
        return found
    embedding, hidden = parameters["C"].shape[1], parameters["W1"].shape[1]
    layers = sum(key.startswith("W") for key in parameters) - 1
    found["C"] = (torch.float32, (symbols, embedding))
    widths = [block_size(parameters) * embedding, *[hidden] * layers, symbols]
    for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        found[f"W{layer}"] = (torch.float32, (fan_in, fan_out))
        found[f"b{layer}"] = (torch.float32, (fan_out,))
    if "activation" in parameters:
        found["activation"] = (torch.int64, ())
    return found


def check(name: str, parameters: Parameters, symbols: int) -> None:
    """Compare the tensors in a model's file with what such a model has.

    Raises:
        InputError: they are other ones, or for another vocabulary.
    """
    found = {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in parameters.items()}
    try:
        expected = forms(name, parameters, symbols)
    except (KeyError, IndexError, ZeroDivisionError):
        expected = {}
    if found == expected and int(parameters.get("activation", 0)) in range(len(ACTIVATIONS)):
        return
    problem = f"not the tensors of {name}: {', '.join(found)}"
    if found == expected:
        problem = "activation is none that there is"
    elif found.keys() == expected.keys():
        key = next(key for key in expected if found[key] != expected[key])
        (is_type, is_shape), (its_type, its_shape) = found[key], expected[key]
        problem = (
            f"{key} is {is_type} {is_shape}, not {its_type} {its_shape} as for the {symbols} "
            "symbols of data/vocabulary.json"
        )
    raise files.damaged(path(name), problem.replace("torch.", ""), maker(name))


def maker(name: str) -> str:
    """Return the stage that makes a model."""
    return "fit_mixture" if name == "mixture" else f"train_{name}"


def write(name: str, parameters: Parameters) -> None:
    """Store a trained model in data/models."""
    files.write_tensors(path(name), {key: tensor.numpy() for key, tensor in parameters.items()})


def read(name: str, symbols: int) -> Parameters:
    """Read a trained model from data/models; a mixture with the models that it is made of."""
    parts = MIXED if name == "mixture" else ()
    return models.mix(stored(name, symbols), {part: stored(part, symbols) for part in parts})


def read_all(symbols: int) -> dict[str, Parameters]:
    """Read every trained model, each file once: a mixture shares the tensors of its parts."""
    trained = {name: stored(name, symbols) for name in MODELS}
    trained["mixture"] = models.mix(trained["mixture"], {part: trained[part] for part in MIXED})
    return trained


def stored(name: str, symbols: int) -> Parameters:
    """Read the tensors in a model's file.

    Args:
        name: the model's name.
        symbols: size of the vocabulary.

    Raises:
        InputError: the file is missing or damaged, or for another vocabulary.
    """
    tensors = files.read_tensors(path(name), maker(name))
    parameters = {key: torch.from_numpy(tensor) for key, tensor in tensors.items()}
    check(name, parameters, symbols)
    return parameters


def path(name: str) -> Path:
    """Return where the trained model of this name is stored."""
    return files.DATA / "models" / f"{name}.safetensors"
