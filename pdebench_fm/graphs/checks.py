"""What a graph is held to as data, before a runtime sees it: nothing but known arithmetic on what its file holds.

A graph maps `source` (B, n, n) and `coefficients` (B, 6) to `solution` (B, n, n), all float32, for any B and one n.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from pdebench_fm.graphs.interface import COEFFICIENTS, INPUTS, OUTPUT, GraphError
from pdebench_fm.limits import GRAPH_DEPTH, GRAPH_NODES, in_bytes
from pdebench_fm.text import in_one_line

LEAST_OPSET = 11
"""Of the default operators: the oldest that is read. The newest is the one that the installed `onnx` knows."""

_DEFAULT_DOMAIN = ("", "ai.onnx")
_SHOWN = 80

_HELD_IN = {
    TensorProto.FLOAT: ("float_data", 4),
    TensorProto.DOUBLE: ("double_data", 8),
    TensorProto.INT64: ("int64_data", 8),
    TensorProto.UINT64: ("uint64_data", 8),
    TensorProto.UINT32: ("uint64_data", 4),
    TensorProto.INT32: ("int32_data", 4),
    TensorProto.INT16: ("int32_data", 2),
    TensorProto.UINT16: ("int32_data", 2),
    TensorProto.FLOAT16: ("int32_data", 2),
    TensorProto.BFLOAT16: ("int32_data", 2),
    TensorProto.INT8: ("int32_data", 1),
    TensorProto.UINT8: ("int32_data", 1),
    TensorProto.BOOL: ("int32_data", 1),
}
"""By the type of a tensor's values: the field that has them, if they are not raw, and bytes of a raw one."""

_DRAWN = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_OF_TEXT = frozenset(
    {
        "StringNormalizer",
        "StringConcat",
        "StringSplit",
        "RegexFullMatch",
        "TfIdfVectorizer",
        "ImageDecoder",
        "LabelEncoder",
    }
)


@dataclass(frozen=True)
class CheckedGraph:
    """A graph in which nothing was found.

    Attributes:
        content: The model with its graph alone, serialised: no metadata, which a runtime might act on.
        resolution: n, the points a side of its fields; None if it says nothing of that.
    """

    content: bytes
    resolution: int | None


def check_graph(content: bytes) -> CheckedGraph:
    """Return what is run of a file's content.

    Raises:
        GraphError: If it is no ONNX model; has other operators than ONNX's own, functions, text, values that are
            drawn at random, external or incomplete data; is nested too deep; or has other inputs and outputs.
    """
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise GraphError(f"it is no ONNX model: {in_one_line(str(error))[:_SHOWN]}") from error
    if not model.HasField("graph"):
        raise GraphError("it is no ONNX model: it has no graph")
    opset = _opset(model)
    for what, held in (("functions", model.functions), ("a training part", model.training_info)):
        if held:
            raise GraphError(f"it has {what}: only operators of ONNX itself are run")
    nodes = 0
    for graph, depth in _graphs(model.graph):
        if depth > GRAPH_DEPTH:
            raise GraphError(f"it has graphs in graphs deeper than {GRAPH_DEPTH} levels")
        _check_constants(graph)
        nodes += 1 + len(graph.node)
        if nodes > GRAPH_NODES:
            raise GraphError(f"it has more than {GRAPH_NODES:,} operators")
        for node in graph.node:
            _check_node(node, opset)
    resolution = _check_interface(model.graph)
    plain = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    plain.graph.CopyFrom(model.graph)
    return CheckedGraph(plain.SerializeToString(), resolution)


def _opset(model: Any) -> int:
    """Return the version of the operators."""
    foreign = [each.domain for each in model.opset_import if each.domain not in _DEFAULT_DOMAIN]
    if foreign:
        raise GraphError(f"it has operators of {foreign[0]!a:.{_SHOWN}}: only those of ONNX itself are run")
    newest = onnx.defs.onnx_opset_version()
    versions = [each.version for each in model.opset_import]
    if len(versions) != 1 or not LEAST_OPSET <= versions[0] <= newest:
        found = " and ".join(map(str, versions[:3])) or "none"
        raise GraphError(f"its operators are of version {found}: one from {LEAST_OPSET} to {newest} is run")
    return int(versions[0])


def _graphs(graph: Any) -> Iterator[tuple[Any, int]]:
    """Yield a graph and those in its nodes, however deep, each with its depth."""
    waiting = [(graph, 0)]
    while waiting:
        found, depth = waiting.pop()
        yield found, depth
        for node in found.node:
            for attribute in node.attribute:
                held = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
                waiting += [(each, depth + 1) for each in held]


def _check_constants(graph: Any) -> None:
    """Hold a graph's initialisers to what the file has of them."""
    if graph.sparse_initializer:
        raise GraphError("it has a sparse initialiser, which stands for more than its file holds")
    for tensor in graph.initializer:
        _check_tensor(tensor)


def _check_node(node: Any, opset: int) -> None:
    """Hold a node to ONNX's operators, and its constants to what the file has of them."""
    kind = node.op_type
    if node.domain not in _DEFAULT_DOMAIN or not onnx.defs.has(kind, max_inclusive_version=opset, domain=""):
        whose = f"{node.domain}.{kind}" if node.domain else kind
        raise GraphError(f"it has the operator {whose!a:.{_SHOWN}}, which is none of ONNX's of version {opset}")
    if kind in _DRAWN:
        raise GraphError(f"it draws random numbers ({kind}): its solutions would be others each time")
    if kind in _OF_TEXT:
        raise GraphError(f"it works on text ({kind}): a model is of numbers alone")
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            raise GraphError(f"its operator {kind} has an attribute of a function, and is in none")
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise GraphError(f"its operator {kind} has a sparse constant, which stands for more than its file holds")
        if kind == "Constant" and attribute.name in ("value_string", "value_strings"):
            raise GraphError("it has a constant of text: a model is of numbers alone")
        if kind == "Cast" and attribute.name == "to" and attribute.i not in _HELD_IN:
            raise GraphError("it converts numbers to a type that is not run")
        for tensor in [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]:
            _check_tensor(tensor)


def _check_tensor(tensor: Any) -> None:
    """Hold a constant to what the file has of it."""
    name = f"its constant {tensor.name!a:.{_SHOWN}}"
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise GraphError(f"{name} is in another file: all of a graph has to be in one (external data)")
    if tensor.data_type not in _HELD_IN:
        raise GraphError(f"{name} is of a type that is not run ({_type_name(tensor.data_type)})")
    if tensor.HasField("segment") or any(size < 0 for size in tensor.dims):
        raise GraphError(f"{name} has no size")
    count = math.prod(tensor.dims)
    field, one = _HELD_IN[tensor.data_type]
    held = len(tensor.raw_data) if tensor.HasField("raw_data") else one * len(getattr(tensor, field))
    if held != count * one:
        raise GraphError(f"{name} says that it has {in_bytes(count * one)}, and the file has {in_bytes(held)} of it")


def _type_name(number: int) -> str:
    return TensorProto.DataType.Name(number) if number in TensorProto.DataType.values() else f"number {number}"


def _check_interface(graph: Any) -> int | None:
    """Hold inputs and outputs to those of a model; return n."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {each.name: each for each in graph.input if each.name not in constants}
    outputs = {each.name: each for each in graph.output}
    wanted = "a graph takes source (B, n, n) and coefficients (B, 6) and gives solution (B, n, n), all float32"
    if set(inputs) != set(INPUTS) or set(outputs) != {OUTPUT} or len(graph.output) != 1:
        found = ", ".join(f"{name!a:.{_SHOWN}}" for name in [*list(inputs)[:3], *list(outputs)[:3]])
        raise GraphError(f"its inputs and outputs are {found or 'none'}: {wanted}")
    sizes: set[int] = set()
    for name, rank in ((INPUTS[0], 3), (INPUTS[1], 2), (OUTPUT, 3)):
        value = (inputs | outputs)[name]
        kind = value.type.tensor_type
        if value.type.WhichOneof("value") != "tensor_type" or kind.elem_type != TensorProto.FLOAT:
            raise GraphError(f"its {name} is no float32 tensor: {wanted}")
        axes = list(kind.shape.dim)
        if len(axes) != rank and (name != OUTPUT or kind.HasField("shape")):
            raise GraphError(f"its {name} has {len(axes)} axes and not {rank}: {wanted}")
        fixed = [axis.dim_value if axis.HasField("dim_value") else None for axis in axes]
        if fixed and fixed[0] is not None:
            raise GraphError(f"its {name} is for batches of {fixed[0]} alone: {wanted}, for any B")
        if name == INPUTS[1]:
            if fixed[1] not in (None, COEFFICIENTS):
                raise GraphError(f"its {name} have {fixed[1]} columns: {wanted}")
            continue
        sizes.update(size for size in fixed[1:] if size is not None)
    if len(sizes) > 1:
        raise GraphError(f"its fields are not square, or not all of one size: {wanted}")
    return next(iter(sizes), None)
