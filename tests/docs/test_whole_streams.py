"""What a notebook's cell prints reaches the page whole, whatever the pieces that the kernel sent it in."""

import runpy

import pytest
from nbformat.v4 import new_output
from snippets import ROOT

TABLE = (
    "\u250f\u2501\u2501\u2533\u2501\u2501\u2513\n\u2503 a \u2503 b \u2503\n\u2514\u2500\u2500\u2534\u2500\u2500\u2518\n"
)


@pytest.fixture(scope="module")
def whole_streams():
    return runpy.run_path(str(ROOT / "docs" / "_extensions" / "whole_streams.py"))["whole_streams"]


@pytest.mark.parametrize("length", [1, 5, 7, 100])
def test_pieces_of_a_stream_are_joined_as_they_were(length, whole_streams):
    pieces = [TABLE[start : start + length] for start in range(0, len(TABLE), length)]
    outputs = [new_output("stream", name="stdout", text=piece) for piece in pieces]
    (shown,) = whole_streams(outputs)
    assert shown["text"] == TABLE


def test_other_outputs_and_streams_stay_apart_in_their_order(whole_streams):
    outputs = [
        new_output("stream", name="stdout", text="one, "),
        new_output("stream", name="stderr", text="a no"),
        new_output("display_data", data={"text/plain": "picture"}),
        new_output("stream", name="stderr", text="te\n"),
        new_output("stream", name="stdout", text="two\n"),
    ]
    shown = whole_streams(outputs)
    assert [each.get("text") for each in shown if each["output_type"] == "stream"] == ["one, two\n", "a note\n"]
    assert [each["output_type"] for each in shown].count("display_data") == 1
    assert outputs[0]["text"] == "one, "
