"""Graphs are looked at as data: what is no plain arithmetic on what the file holds is refused with its reason."""

import numpy as np
import pytest
from graphs_made import made
from onnx import TensorProto, helper, numpy_helper

from pdebench_fm.graphs.checks import check_graph
from pdebench_fm.graphs.interface import GraphError
from pdebench_fm.limits import GRAPH_DEPTH


def external(model):
    tensor = model.graph.initializer[3]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def external_in_a_node(model):
    value = numpy_helper.from_array(np.ones(3, np.float32), "hidden")
    value.ClearField("raw_data")
    entry = value.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    model.graph.node.insert(0, helper.make_node("Constant", [], ["hidden"], value=value))


def huge_initialiser(model):
    model.graph.initializer[3].dims[:] = [2_500_000_000]


def huge_by_overflow(model):
    model.graph.initializer[3].dims[:] = [2**40, 2**40]


def negative_size(model):
    model.graph.initializer[3].dims[:] = [-1, -1]


def sparse(model):
    values = numpy_helper.from_array(np.ones(1, np.float32), "thin")
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64), "at"), [10**10])
    )


def sparse_in_a_node(model):
    sparse(model)
    thin = model.graph.sparse_initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], ["thin"], sparse_value=thin))


def with_function(model):
    model.functions.append(helper.make_function("own", "Twice", ["x"], ["y"], [], [helper.make_opsetid("", 18)]))


def operator(kind, domain="", **attributes):
    def change(model):
        model.graph.node.insert(0, helper.make_node(kind, ["source"], ["unused"], domain=domain, **attributes))

    return change


def nested(depth):
    """`If` in `If` in …"""

    def change(model):
        inner = helper.make_graph([helper.make_node("Identity", ["source"], ["out"])], "inner", [], [])
        for _ in range(depth):
            node = helper.make_node("If", ["truth"], ["out"], then_branch=inner, else_branch=inner)
            node.attribute.pop()  # one branch is enough, and does not double it
            inner = helper.make_graph([node], "inner", [], [])
        model.graph.node.insert(0, inner.node[0])

    return change


def renamed(which, name):
    def change(model):
        getattr(model.graph, which)[0].name = name

    return change


def typed(which, place, kind, shape):
    def change(model):
        value = getattr(model.graph, which)[place]
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shape))

    return change


def text_constant(model):
    model.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [1], [b"a"]))


def more_opsets(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def opset(version):
    def change(model):
        model.opset_import[0].version = version

    return change


def hidden_graph(model):
    """A graph in an attribute that says that it is a number."""
    nested(GRAPH_DEPTH + 2)(model)
    model.graph.node[0].attribute[0].type = 2


HOSTILE = {
    "external data": (external, "is in another file"),
    "external data in a node": (external_in_a_node, "is in another file"),
    "a 10 GB initialiser": (huge_initialiser, r"says that it has 10\.0 GB, and the file has 4 bytes"),
    "a size above all numbers": (huge_by_overflow, "says that it has"),
    "a negative size": (negative_size, "has no size"),
    "a sparse initialiser": (sparse, "sparse initialiser"),
    "a sparse constant": (sparse_in_a_node, "sparse constant"),
    "functions": (with_function, "functions"),
    "a training part": (lambda model: model.training_info.add(), "training part"),
    "a custom operator": (operator("Evil", "com.acme"), r"'com\.acme\.Evil'"),
    "an unknown operator": (operator("Evil"), "'Evil', which is none of ONNX's of version 18"),
    "a newer operator than its version": (operator("RMSNormalization"), "'RMSNormalization', which is none"),
    "other operators imported": (more_opsets, r"'com\.microsoft'"),
    "an old version": (opset(7), "of version 7: one from 11"),
    "a version of the future": (opset(10**6), "of version 1000000: one from 11"),
    "random numbers": (operator("RandomNormalLike"), "draws random numbers"),
    "text": (operator("StringNormalizer"), "works on text"),
    "a constant of text": (text_constant, "of a type that is not run .STRING."),
    "a conversion to text": (operator("Cast", to=TensorProto.STRING), "converts numbers to a type that is not run"),
    "graphs in graphs": (nested(GRAPH_DEPTH + 2), "deeper than 8 levels"),
    "a graph that is hidden": (hidden_graph, "deeper than 8 levels"),
    "another input": (renamed("input", "image"), "its inputs and outputs are 'image'"),
    "another output": (renamed("output", "logits"), "its inputs and outputs are"),
    "one batch size": (typed("input", 0, TensorProto.FLOAT, [2, 8, 8]), "for batches of 2 alone"),
    "another rank": (typed("input", 0, TensorProto.FLOAT, ["b", 1, 8, 8]), "has 4 axes and not 3"),
    "another kind": (typed("input", 0, TensorProto.DOUBLE, ["b", 8, 8]), "no float32 tensor"),
    "other coefficients": (typed("input", 1, TensorProto.FLOAT, ["b", 5]), "have 5 columns"),
    "fields that are not square": (typed("input", 0, TensorProto.FLOAT, ["b", 8, 16]), "not square"),
    "solutions of another size": (typed("output", 0, TensorProto.FLOAT, ["b", 16, 16]), "not all of one size"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_graph_is_refused_in_a_line(kind):
    change, words = HOSTILE[kind]
    model = made()
    change(model)
    with pytest.raises(GraphError, match=words) as refused:
        check_graph(model.SerializeToString())
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\x80\x04}q\x00.", b"{}", bytes(range(256))])
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(GraphError, match="it is no ONNX model"):
        check_graph(content)


def test_a_file_that_nests_without_end_is_refused():
    content = b"\x0a\x00"
    for _ in range(20_000):  # a graph in an attribute of a node of a graph …
        for tag in (0x32, 0x2A, 0x0A):
            content = bytes([tag]) + _length(content) + content
        if len(content) > 200_000:
            break
    with pytest.raises(GraphError, match="no ONNX model"):
        check_graph(b"\x3a" + _length(content) + content)


def _length(content):
    size, coded = len(content), b""
    while size > 127:
        coded += bytes([size & 127 | 128])
        size >>= 7
    return coded + bytes([size])


def test_a_true_graph_is_taken_and_its_metadata_is_not():
    model = made()
    entry = model.metadata_props.add()
    entry.key, entry.value = "ort_config", '{"session_options": {"inter_op_num_threads": 64}}'
    checked = check_graph(model.SerializeToString())
    assert checked.resolution == 8
    assert b"ort_config" not in checked.content
    nested(GRAPH_DEPTH - 1)(model)
    check_graph(model.SerializeToString())
