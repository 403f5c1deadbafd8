"""Networks as ONNX: a graph from contexts to log-probabilities, built from the stored arrays.

A network needs one function here and one line in ONNX_MODELS. Only writing the file needs `onnx`.
"""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from charlm.data.tensors import Arrays
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model
from charlm.models.bigram_neural import BigramNeural
from charlm.models.mlp import ACTIVATIONS, MLP

# ONNX Runtime reads them since 1.12 (2022)
IR_VERSION, OPSET = 8, 17
CONTEXTS, LOGITS, LOG_PROBABILITIES = "contexts", "logits", "log_probabilities"


class Node(NamedTuple):
    """One operation of a graph."""

    operator: str
    inputs: list[str]
    output: str
    attributes: Mapping[str, Any] = MappingProxyType({})


class Graph(NamedTuple):
    """What computes `logits` (rows, symbols) float32 from `contexts` (rows, block size) int64."""

    nodes: list[Node]
    constants: Arrays


def onnx_file(model: Model, vocabulary: Vocabulary) -> bytes:
    """Return a model as an ONNX file; the same model always gives the same bytes.

    Its input is `contexts` (rows, block size) int64, its output `log_probabilities`
    (rows, symbols) float32. What else a sampler needs is in its metadata, as JSON: `symbols`,
    `start` and `end`, the numbers of the boundary, and `block_size`.

    Raises:
        ImportError: onnx is not installed.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    graph = ONNX_MODELS[model.name](model)
    nodes = [*graph.nodes, Node("LogSoftmax", [LOGITS], LOG_PROBABILITIES, {"axis": -1})]
    metadata = {
        "model": model.name,
        "symbols": vocabulary.itos,
        "start": vocabulary.start,
        "end": vocabulary.end,
        "block_size": model.block_size,
    }
    tensor = helper.make_tensor_value_info
    proto = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(node.operator, node.inputs, [node.output], **node.attributes)
                for node in nodes
            ],
            model.name,
            [tensor(CONTEXTS, TensorProto.INT64, ["rows", model.block_size])],
            [tensor(LOG_PROBABILITIES, TensorProto.FLOAT, ["rows", len(vocabulary)])],
            [numpy_helper.from_array(array, key) for key, array in graph.constants.items()],
        ),
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=json.dumps(value, ensure_ascii=False))
    checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def bigram_neural(model: BigramNeural) -> Graph:
    """Return the graph that looks up a row of W."""
    nodes = [
        Node("Gather", ["W", CONTEXTS], "rows_of_W"),
        Node("Reshape", ["rows_of_W", "shape"], LOGITS),
    ]
    return Graph(nodes, {"W": model.arrays["W"], "shape": np.array([-1, model.symbols])})


def mlp(model: MLP) -> Graph:
    """Return the graph of the embedding and the layers."""
    constants = {key: array for key, array in model.arrays.items() if key != "activation"}
    constants["shape"] = np.array([-1, len(constants["W1"])])
    nodes = [
        Node("Gather", ["C", CONTEXTS], "embedded"),
        Node("Reshape", ["embedded", "shape"], "x0"),
    ]
    name = [*ACTIVATIONS][int(model.arrays.get("activation", 0))]
    for layer in range(1, model.layers + 1):
        weights = [f"W{layer}", f"b{layer}"]
        nodes.append(Node("Gemm", [f"x{layer - 1}", *weights], f"z{layer}"))
        nodes += activation(name, f"z{layer}", f"x{layer}")
    if name == "gelu":
        constants |= {key: np.array(value, np.float32) for key, value in GELU_CONSTANTS.items()}
    last = model.layers + 1
    nodes.append(Node("Gemm", [f"x{last - 1}", f"W{last}", f"b{last}"], LOGITS))
    return Graph(nodes, constants)


GELU_CONSTANTS = {"half": 0.5, "one": 1.0, "root_half": 0.5**0.5}


def activation(name: str, x: str, y: str) -> list[Node]:
    """Return the nodes that apply an activation of the MLP.

    Args:
        name: of ACTIVATIONS.
        x: name of the input.
        y: name of the output.
    """
    if name == "tanh":
        return [Node("Tanh", [x], y)]
    # x * (1 + erf(x / sqrt 2)) / 2: the operator Gelu is newer than the opset
    return [
        Node("Mul", [x, "root_half"], f"{y}_scaled"),
        Node("Erf", [f"{y}_scaled"], f"{y}_erf"),
        Node("Add", [f"{y}_erf", "one"], f"{y}_sum"),
        Node("Mul", [x, f"{y}_sum"], f"{y}_product"),
        Node("Mul", [f"{y}_product", "half"], y),
    ]


# what makes the graph of each model
ONNX_MODELS: dict[str, Callable[[Any], Graph]] = {
    BigramNeural.name: bigram_neural,
    MLP.name: mlp,
}
