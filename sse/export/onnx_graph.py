"""The forward pass of an SSE as an ONNX graph: ids and a mask in, one vector a text out.

The graph is written by hand, a node a line of the formula. Not here: files, and whether the graph is right (onnx.py).

Opset 16 (February 2022, onnxruntime 1.11) is the first whose ScatterElements adds, which is what counts repeated
tokens: a row of zeros as long as the vocabulary takes one for every token of a text, and each token reads its count
back. That needs no sorting and 8 bytes times the vocabulary for a text (0.25 MB at 30 thousand rows), where comparing
the ids in pairs would need the square of the length. A model with a count exponent of 1 has no such nodes.

Memory of a run: the rows of all positions, padding too, as float32, and as int8 before that: 2.5 kB a position at
512 dims.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from sse.modeling import SSE

OPSET = 16
IR_VERSION = 8
"""The oldest file version that knows the opset."""
INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"


class _Graph:
    """Nodes and constants in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: int | list[int] | str) -> str:
        """Add a node with one output; returns the output's name, which is the node's too."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant; returns its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def build(module: SSE, tensors: Mapping[str, Tensor], *, normalize: bool = False) -> onnx.ModelProto:
    """Write the graph of ``module`` over a table as it is stored.

    Args:
        module: Gives the DyT, ``count_exponent`` and ``empty_text``.
        tensors: ``embedding.weight``, float32 (vocabulary, dim); or ``embedding.codes``, int8 of that shape, with
            ``embedding.scales``, float32 (vocabulary, 1) or (1, dim). Codes stay codes: only the rows of a text's
            tokens become floats.
        normalize: Give vectors of length 1 (a zero vector stays one).

    Returns:
        A model with the inputs ``input_ids`` and ``attention_mask``, int64 (batch, sequence), and the output
        ``sentence_embedding``, float32 (batch, dim). Where the mask is 0 the id may be any number.
    """
    graph = _Graph()
    rows, dim = module.embedding.weight.shape
    exists = graph.add("Cast", ["attention_mask"], "exists", to=TensorProto.BOOL)
    graph.constant("no_token", np.array(0, np.int64))
    tokens = graph.add("Where", [exists, "input_ids", "no_token"], "tokens")
    weights = graph.add("Cast", [exists], "mask", to=TensorProto.FLOAT)
    if module.count_exponent != 1:
        weights = _by_count(graph, tokens, weights, rows, module.count_exponent)
    graph.constant("axis_1", np.array([1], np.int64))
    total = graph.add("ReduceSum", [weights, "axis_1"], "total", keepdims=1)
    pooled = graph.add(
        "Div", [_weighted_sum(graph, tensors, tokens, weights), _floor(graph, total)], "pooled"
    )
    if "embedding.scales" in tensors and tensors["embedding.scales"].shape == (1, dim):
        scales = graph.constant("column_scales", tensors["embedding.scales"].numpy()[0])
        pooled = graph.add("Mul", [pooled, scales], "scaled")
    vector = _dyt(graph, module, pooled)
    if module.empty_text == "zero":
        vector = graph.add("Mul", [vector, graph.add("Sign", [total], "has_tokens")], "zero_if_empty")
    if normalize:
        length = graph.add("ReduceL2", [vector], "length", axes=[1], keepdims=1)
        graph.constant("smallest_length", np.array(1e-12, np.float32))
        vector = graph.add("Div", [vector, graph.add("Max", [length, "smallest_length"], "divisor")], "unit")
    graph.add("Identity", [vector], OUTPUT)
    return _model(graph, dim)


def _by_count(graph: _Graph, tokens: str, mask: str, rows: int, exponent: float) -> str:
    """Weight of every position, (batch, sequence): a token at c places gets c ** (exponent - 1) at each of them."""
    texts = graph.add("Shape", ["input_ids"], "texts", start=0, end=1)
    graph.constant("vocabulary", np.array([rows], np.int64))
    shape = graph.add("Concat", [texts, "vocabulary"], "counts_shape", axis=0)
    zeros = graph.add("ConstantOfShape", [shape], "zeros")
    counts = graph.add("ScatterElements", [zeros, tokens, mask], "counts", axis=1, reduction="add")
    count = graph.add("GatherElements", [counts, tokens], "count", axis=1)
    graph.constant("less", np.array(exponent - 1, np.float32))
    share = graph.add("Pow", [_floor(graph, count), "less"], "share")  # padding has the count 0, and no share
    return graph.add("Mul", [share, mask], "weights")


def _floor(graph: _Graph, name: str) -> str:
    """At least 1. The weights of a text with a token sum to 1 or more, those of one without to 0."""
    if not any(constant.name == "one" for constant in graph.constants):
        graph.constant("one", np.array(1, np.float32))
    return graph.add("Max", [name, "one"], f"{name}_or_1")


def _weighted_sum(graph: _Graph, tensors: Mapping[str, Tensor], tokens: str, weights: str) -> str:
    """Sum of the weighted rows, (batch, dim); column scales wait until after it."""
    if "embedding.weight" in tensors:
        table = graph.constant("embedding.weight", tensors["embedding.weight"].detach().numpy())
        taken = graph.add("Gather", [table, tokens], "rows")
    else:
        table = graph.constant("embedding.codes", tensors["embedding.codes"].numpy())
        codes = graph.add("Gather", [table, tokens], "codes")
        taken = graph.add("Cast", [codes], "rows", to=TensorProto.FLOAT)
        scales = tensors["embedding.scales"].numpy()
        if scales.shape[1] == 1:
            row_scales = graph.constant("row_scales", scales[:, 0])
            scale = graph.add("Gather", [row_scales, tokens], "scale")
            weights = graph.add("Mul", [weights, scale], "scaled_weights")
    as_row = graph.add("Unsqueeze", [weights, "axis_1"], "weights_as_row")
    return graph.add("Squeeze", [graph.add("MatMul", [as_row, taken], "sums"), "axis_1"], "sum")


def _dyt(graph: _Graph, module: SSE, pooled: str) -> str:
    for name, parameter in module.dyt.named_parameters():
        graph.constant(f"dyt.{name}", parameter.detach().numpy())
    scaled = graph.add("Mul", [pooled, "dyt.alpha"], "alpha_x")
    inner = graph.add("Add", [scaled, "dyt.bias"], "alpha_x_plus_bias")
    return graph.add("Mul", [graph.add("Tanh", [inner], "tanh"), "dyt.beta"], "dyt")


def _model(graph: _Graph, dim: int) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in INPUTS
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", dim])
    made = helper.make_graph(graph.nodes, "sse", inputs, [output], graph.constants)
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="stable-static-embedding",
    )
