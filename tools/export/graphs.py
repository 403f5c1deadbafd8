"""Networks as ONNX: a graph from contexts to log-probabilities, built from the stored arrays.

A network needs one function here and one line in ONNX_MODELS. The function adds nodes to a graph,
in which the arrays of the model are constants of the same names, and returns the name of the logits
(rows, symbols) float32. Only writing the file needs `onnx`.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from charlm.data.tensors import Arrays
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import Model
from charlm.models.bigram_neural import BigramNeural
from charlm.models.gru import GRU
from charlm.models.mlp import ACTIVATIONS, MLP
from charlm.models.transformer import EPSILON, Transformer

# ONNX Runtime reads them since 1.12 (2022)
IR_VERSION, OPSET = 8, 17
FLOAT = 1  # float32 in ONNX
CONTEXTS, LOG_PROBABILITIES = "contexts", "log_probabilities"
UNREAD = 2**31  # position of what is in front of a name: higher than any in it


class Node(NamedTuple):
    """One operation of a graph."""

    operator: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]


class Graph:
    """Nodes in the order in which they are computed, and the constants that they read."""

    def __init__(self, arrays: Arrays) -> None:
        """Start without nodes.

        Args:
            arrays: of a model; those that no node reads are left out.
        """
        self.nodes: list[Node] = []
        self.constants: Arrays = {}
        self.arrays = arrays

    def add(
        self,
        operator: str,
        *inputs: str | int | list[int] | np.ndarray | np.generic,
        output: str = "",
        **attributes: Any,
    ) -> str:
        """Append a node and return the name of its output.

        Args:
            operator: of ONNX.
            inputs: each the name of an array of the model or of an output, or the values of a
                constant; integers are int64.
            output: its name; by default the operator and a number.
            attributes: of the operator.
        """
        output = output or f"{operator}_{len(self.nodes)}"
        names = []
        for number, value in enumerate(inputs):
            name = value if isinstance(value, str) else f"{output}_input_{number}"
            if not isinstance(value, str):
                self.constants[name] = np.asarray(value)
            elif value in self.arrays:
                self.constants[name] = self.arrays[value]
            names.append(name)
        self.nodes.append(Node(operator, names, output, attributes))
        return output


def onnx_file(model: Model, vocabulary: Vocabulary) -> bytes:
    """Return a model as an ONNX file; the same model always gives the same bytes.

    Its input is `contexts` (rows, block size) int64, its output `log_probabilities`
    (rows, symbols) float32. If the model reads whole names, contexts can have any length, and each
    needs a start: what is in front of the last one is not read. What else a sampler needs is in its
    metadata, as JSON: `symbols`, `start` and `end`, the numbers of the boundary, `block_size` and
    `reads_whole_names`.

    Raises:
        ImportError: onnx is not installed.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    graph = Graph(model.arrays)
    logits = ONNX_MODELS[model.name](model, graph)
    graph.add("LogSoftmax", logits, output=LOG_PROBABILITIES, axis=-1)
    metadata = {
        "model": model.name,
        "symbols": vocabulary.itos,
        "start": vocabulary.start,
        "end": vocabulary.end,
        "block_size": model.block_size,
        "reads_whole_names": model.reads_whole_names,
    }
    length = "length" if model.reads_whole_names else model.block_size
    tensor = helper.make_tensor_value_info
    proto = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(node.operator, node.inputs, [node.output], **node.attributes)
                for node in graph.nodes
            ],
            model.name,
            [tensor(CONTEXTS, TensorProto.INT64, ["rows", length])],
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


def bigram_neural(model: BigramNeural, graph: Graph) -> str:
    """Look up a row of W."""
    return graph.add("Reshape", graph.add("Gather", "W", CONTEXTS), [-1, model.symbols])


def mlp(model: MLP, graph: Graph) -> str:
    """Add the embedding, the layers and the direct connections."""
    x = graph.add("Gather", "C", CONTEXTS)
    x = embedded = graph.add("Reshape", x, [-1, len(model.arrays["W1"])])
    name = [*ACTIVATIONS][int(model.arrays.get("activation", 0))]
    for layer in range(1, model.layers + 1):
        x = graph.add("Gemm", x, f"W{layer}", f"b{layer}")
        x = gelu(graph, x) if name == "gelu" else graph.add("Tanh", x)
    last = model.layers + 1
    logits = graph.add("Gemm", x, f"W{last}", f"b{last}")
    return graph.add("Gemm", embedded, "direct", logits) if "direct" in model.arrays else logits


def gelu(graph: Graph, x: str) -> str:
    """Add x * (1 + erf(x / sqrt 2)) / 2: the operator Gelu is newer than the opset."""
    erf = graph.add("Erf", graph.add("Mul", x, np.float32(0.5**0.5)))
    product = graph.add("Mul", x, graph.add("Add", erf, np.float32(1)))
    return graph.add("Mul", product, np.float32(0.5))


def gru(model: GRU, graph: Graph) -> str:
    """Add the networks, of which the logits are the log of the sum of their probabilities.

    What is in front of a name is a row of zeros, which leaves the state at 0: the biases are in the
    weights of the symbols.
    """
    symbols = graph.add("Where", in_name(graph), CONTEXTS, model.symbols)
    steps = graph.add("Transpose", symbols, perm=[1, 0])
    one_hot = graph.add("OneHot", steps, model.symbols, np.array([0, 1], np.float32))
    # one row more, so that an empty batch gives an empty result
    x = graph.add("Pad", one_hot, [0, 0, 0, 0, 1, 0])
    last = []
    for X, U, b in zip(*(model.arrays[key] for key in "XUb"), strict=True):
        weights = (gru_weights(X + b), gru_weights(U))
        states = graph.add("GRU", x, *weights, hidden_size=len(U), linear_before_reset=1)
        last.append(graph.add("Gather", states, -1, axis=0))
    state = graph.add("Slice", graph.add("Concat", *last, axis=0), [0], [-1], [1])
    logits = graph.add("Add", graph.add("MatMul", state, "W"), model.arrays["c"][:, None])
    logs = graph.add("LogSoftmax", logits, axis=-1)  # (networks, rows, symbols)
    return graph.add("ReduceLogSumExp", logs, axes=[0], keepdims=0)


def gru_weights(weights: np.ndarray) -> np.ndarray:
    """Return weights as the operator GRU reads them: transposed, the update gate first.

    Args:
        weights: (inputs, 3 * hidden): of the reset gate, the update gate and the new state.

    Returns:
        (1, 3 * hidden, inputs).
    """
    reset, update, new = np.split(weights.T, 3)
    return np.concatenate([update, reset, new])[None]


def transformer(model: Transformer, graph: Graph) -> str:
    """Add the blocks; the logits are those of the last position."""
    is_in_name = in_name(graph)
    count = graph.add("CumSum", graph.add("Where", is_in_name, 1, 0), 1)
    position = graph.add("Where", is_in_name, graph.add("Sub", count, 1), UNREAD)
    is_read = graph.add(
        "LessOrEqual",
        graph.add("Unsqueeze", position, [1, 2]),
        graph.add("Unsqueeze", position, [1, 3]),
    )
    mask = graph.add("Where", is_read, np.float32(0), np.float32(-np.inf))
    embedding = model.arrays["C"].shape[1]
    x = graph.add("Add", graph.add("Gather", "C", CONTEXTS), sines(graph, position, embedding))
    for n in range(1, model.blocks + 1):
        heads = model.arrays["heads"].item()
        read = attend(graph, normalise(graph, x, f"g{n}"), model.arrays[f"A{n}"], heads, mask)
        x = graph.add("Add", x, graph.add("MatMul", read, f"P{n}"))
        hidden = graph.add("MatMul", normalise(graph, x, f"h{n}"), f"W{n}")
        hidden = gelu(graph, graph.add("Add", hidden, f"b{n}"))
        added = graph.add("Add", graph.add("MatMul", hidden, f"V{n}"), f"c{n}")
        x = graph.add("Add", x, added)
    last = graph.add("Gather", x, -1, axis=1)
    return graph.add("Gemm", normalise(graph, last, "g"), "W", "c")


def sines(graph: Graph, position: str, embedding: int) -> str:
    """Add the sines and cosines of positions.

    Args:
        graph: gets the nodes.
        position: (rows, length) int64.
        embedding: the number of dimensions.
    """
    rates = np.tile(1e4 ** (-np.arange(0, embedding, 2) / embedding), 2)
    phases = np.repeat([0, np.pi / 2], embedding // 2)  # a cosine is a sine, shifted
    number = graph.add("Cast", graph.add("Unsqueeze", position, [2]), to=FLOAT)
    angles = graph.add("Mul", number, rates.astype(np.float32))
    return graph.add("Sin", graph.add("Add", angles, phases.astype(np.float32)))


def attend(graph: Graph, x: str, A: np.ndarray, heads: int, mask: str) -> str:
    """Add what each position reads.

    Args:
        graph: gets the nodes.
        x: (rows, length, embedding) float32.
        A: (embedding, 3 * embedding) float32, of queries, keys and values.
        heads: their number.
        mask: (rows, 1, length, length) float32, minus infinity where a position does not read
            another.
    """
    size = len(A) // heads
    parts = []
    for matrix, perm in zip(
        np.split(A, 3, axis=1), ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True
    ):
        part = graph.add("Reshape", graph.add("MatMul", x, matrix), [0, 0, heads, size])
        parts.append(graph.add("Transpose", part, perm=perm))
    queries, keys, values = parts
    scores = graph.add("Div", graph.add("MatMul", queries, keys), np.float32(size**0.5))
    weights = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    read = graph.add("Transpose", graph.add("MatMul", weights, values), perm=[0, 2, 1, 3])
    return graph.add("Reshape", read, [0, 0, len(A)])


def normalise(graph: Graph, x: str, gain: str) -> str:
    """Add the division by the root of the mean square over the last dimension, and the gain."""
    mean_square = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[-1], keepdims=1)
    root = graph.add("Sqrt", graph.add("Add", mean_square, np.float32(EPSILON)))
    return graph.add("Mul", graph.add("Div", x, root), gain)


def in_name(graph: Graph) -> str:
    """Add whether each symbol of `contexts` is the last start of its row, or after it: bool."""
    starts = graph.add("Where", graph.add("Equal", CONTEXTS, "start"), 1, 0)
    starts_after = graph.add("CumSum", starts, 1, reverse=1, exclusive=1)
    return graph.add("Equal", starts_after, 0)


# what adds the nodes of each model
ONNX_MODELS: dict[str, Callable[[Any, Graph], str]] = {
    BigramNeural.name: bigram_neural,
    MLP.name: mlp,
    GRU.name: gru,
    Transformer.name: transformer,
}
