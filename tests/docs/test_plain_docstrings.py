"""Pages of the API are readable: types without validators, constants without screens of values, colons as written."""

import runpy
from types import SimpleNamespace

import pytest
from docutils import nodes
from snippets import ROOT
from sphinx import addnodes
from sphinx.ext.napoleon import Config, _process_docstring


@pytest.fixture(scope="module")
def extension():
    return runpy.run_path(str(ROOT / "docs" / "_extensions" / "plain_docstrings.py"))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("(n: Annotated[int, Ge(ge=0), Le(le=9)] = 1)", "(n: int = 1)"),
        ("(a: tuple[~typing.Annotated[float, A(x=(1, 2))], ...])", "(a: tuple[float, ...])"),
        ("(a: Annotated[dict[str, Annotated[int, Ge(ge=0)]], Size(max=3)])", "(a: dict[str, int])"),
        ("(s: ~typing.Annotated[str, C(pattern='^[a-z]]$, <b>')] = 'a, [<c>')", "(s: str = 'a, [<c>')"),
        ("(d: ~pydantic.types.Annotated[~pydantic.types.AwareDatetime, Zone()])", "(d: ~pydantic.types.AwareDatetime)"),
        ("(f: int = <factory>, g: int = <function law at 0x7f>)", "(f: int = ..., g: int = ...)"),
    ],
)
def test_a_signature_says_types_and_not_their_validators(extension, written, read):
    assert extension["readable"](written) == read


@pytest.mark.parametrize("kind", ["data", "attribute", "property", "class"])
def test_words_before_a_colon_are_no_type(extension, kind):
    written = ["Every baseline by name: `zero` and others."]
    lines = written.copy()
    extension["_hide_colons"](None, kind, "name", None, None, lines)
    _process_docstring(SimpleNamespace(config=Config()), kind, "name", None, None, lines)
    extension["_show_colons"](None, kind, "name", None, None, lines)
    assert "\n".join(lines).split("\n\n")[0] == written[0]
    assert not any(":type" in line for line in lines)


@pytest.mark.parametrize(("value", "shown"), [("'1.0.0'", True), ("{" + "'task': Task(), " * 40 + "}", False)])
def test_a_long_value_is_left_out(extension, value, shown):
    content = addnodes.desc_content()
    note = addnodes.desc_annotation("", nodes.Text(f" = {value}"))
    described = addnodes.desc("", addnodes.desc_signature("", "", nodes.Text("NAME"), note), content)
    extension["_without_long_value"](SimpleNamespace(), "py", "data", content)
    assert described.astext() == ("NAME = " + value if shown else "NAME") + "\n\n"
