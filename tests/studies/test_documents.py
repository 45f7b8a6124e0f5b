"""Files of studies: every value knows its line, changes of a scale are laid over, and what unfolds is refused."""

import pytest

from pdebench_fm.errors import UsageError
from pdebench_fm.studies.documents import read_document

TEXT = """\
a: 1
b:
  c: [1, 2]
  d: {e: 3, f: 4}
more:
  b:
    c: [5]
    d:
      e: null
      g: 6
"""


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(TEXT)
    return read_document(path)


@pytest.mark.parametrize(
    ("place", "line"),
    [(("a",), 1), (("b",), 2), (("b", "c", 1), 3), (("b", "d", "f"), 4), (("b", "unknown"), 2), ((), 1)],
)
def test_places_have_lines(document, place, line):
    assert document.line(place) == line


def test_changes_are_laid_into_mappings_and_replace_all_else(document):
    changed = document.changed_by(("more",))
    assert changed.values["b"] == {"c": [5], "d": {"f": 4, "g": 6}}
    assert changed.values["a"] == 1
    assert document.values["b"] == {"c": [1, 2], "d": {"e": 3, "f": 4}}


def test_what_was_changed_has_the_line_of_the_change(document):
    changed = document.changed_by(("more",))
    assert changed.line(("b", "c", 0)) == 7
    assert changed.line(("b", "d", "g")) == 10
    assert changed.line(("b", "d", "f")) == 4
    assert changed.line(("a",)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2\n", r"line 2: 'a' is there twice"),
        ("a: &x [1]\nb: *x\n", r"line 2: aliases"),
        ("a: [1\nb: 2\n", r"line 2: not YAML"),
        ("1: a\n", r"line 1: a key should be a word, not 1"),
        ("a: 1\nb: !!python/object:os.system {}\n", r"line 2: tags"),
        ("a: !mine [1]\n", r"line 1: tags"),
        ("a: !!binary YWJj\n", r"line 1: tags"),
        ("a: 1\n<<: {b: 2}\n", r"line 2: a value that is neither word nor number"),
        ("a: 1\nb: \x07\n", r"line 2: not YAML: a control character, U\+0007"),
        ("a: 1\n\tb: 2\n", r"line 2: not YAML: found character '\\t'"),
        ("a: 1\n---\nb: 2\n", r"line 2: not YAML"),
        ("- a\n", "line 1: this is no study"),
        ("", "line 1: this is no study"),
        ("# nothing\n", "line 1: this is no study"),
        ("a: " + "[" * 40 + "]" * 40, "nested more than 32"),
    ],
)
def test_what_is_no_study_is_refused_in_one_line(tmp_path, text, words):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as refused:
        read_document(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_one_that_is_not_text_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no study at"):
        read_document(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes("a: 1\nb: Gauß\n".encode("latin-1"))
    with pytest.raises(UsageError, match="line 2: not UTF-8"):
        read_document(tmp_path / "x.yaml")
