"""Small ONNX graphs for tests: a true one, u = (f · w) times k11, and whatever a test makes of it."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

N = 8


def made(n=N, factor=0.5):
    """A graph for fields of n points a side: solution = factor · source · k11."""
    fields = ["batch", n, n]
    nodes = [
        helper.make_node("Slice", ["coefficients", "zero", "one", "one"], ["k11"]),
        helper.make_node("Reshape", ["k11", "shape"], ["spread"]),
        helper.make_node("Mul", ["source", "spread"], ["product"]),
        helper.make_node("Mul", ["product", "factor"], ["solution"]),
    ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "shape": np.array([-1, 1, 1]),
        "factor": np.array([factor], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "made",
        [
            helper.make_tensor_value_info("source", TensorProto.FLOAT, fields),
            helper.make_tensor_value_info("coefficients", TensorProto.FLOAT, ["batch", 6]),
        ],
        [helper.make_tensor_value_info("solution", TensorProto.FLOAT, fields)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    # the slice is along the second axis
    graph.node[0].input[3:] = ["one"]
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def before_solution(model, *nodes, constants=()):
    """The graph with nodes put before its end: the last of them gives "more", by which the product is raised."""
    end = model.graph.node.pop()
    model.graph.node.extend([*nodes, helper.make_node("Add", ["product", "more"], ["raised"])])
    end.input[0] = "raised"
    model.graph.node.append(end)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in dict(constants).items())
    return model
