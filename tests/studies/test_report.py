"""The page: what was run with its figures and verdicts, what was not as not run, and nothing that is not so."""

import re
from collections import Counter
from pathlib import Path

import pytest

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.protocol.recipes import PROTOCOL_TABLE, SYMMETRIC_TABLE
from pdebench_fm.studies.claims import MEASURES
from pdebench_fm.studies.report import page
from pdebench_fm.studies.reproduce import read_verdicts, reproduce
from pdebench_fm.studies.runs import read_runs
from pdebench_fm.studies.study import load_study

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_that_of_the_committed_data():
    committed = (ROOT / "docs" / "reproduction" / "paper.md").read_text(encoding="utf-8")
    assert committed == page(ROOT / "reproduction", ROOT / "docs" / "reproduction"), (
        "python scripts/reproduction_page.py"
    )


def test_what_is_said_of_the_effort_follows_from_the_tables():
    text = (ROOT / "docs" / "reproduction" / "paper.md").read_text(encoding="utf-8")
    assert {row.scratch.steps / row.pretrained.steps for row in PROTOCOL_TABLE} == {2.0, 4.0}
    assert "from scratch two to four times as\nmany as from pretrained weights" in text
    closed = {row.shots: row.pretrained.steps * row.batch_size for row in PROTOCOL_TABLE}
    shots = {8: 1, 32: 32, 128: 128}  # from which row of either table each of the study's is
    symmetric = {row.shots: row.recipe.steps * row.recipe.batch_size for row in SYMMETRIC_TABLE}
    assert sorted(symmetric[row] / closed[row] for row in shots.values()) == [4.0, 4.0, 6.0]
    assert "trained on 4 to 6 times as many rows, made of the same examples, as the recipe" in text


def test_what_studies_say_of_their_errors_is_what_their_tables_have():
    rows = {
        name: read_runs(ROOT / "reproduction" / f"beyond-{name}" / "data.csv") for name in ("negative", "operators")
    }
    for table in rows.values():
        out = [row for row in table if row.task.startswith("helmholtz-ood/") and row.shots]
        assert min(row.error for row in out if row.start == "scratch") > 1.2
    adapted = [row.error for row in out if row.start == "pretrained"]
    assert 0.9 < min(adapted) < max(adapted) < 1.1
    symmetries = read_runs(ROOT / "reproduction" / "beyond-symmetries" / "data.csv")
    own = {(r.task, r.method): r.error for r in symmetries if r.model == "advection-diffusion" and not r.shots}
    for task in {task for task, _ in own}:
        assert own[task, "symmetric"] == pytest.approx(own[task, "v1"], rel=1e-4)


def test_the_pages_example_of_a_study_is_one(tmp_path):
    text = (ROOT / "docs" / "reproduction" / "paper.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example)
    study = load_study(tmp_path / "mine.yaml", "smoke")
    assert [question.name for question in study.questions] == [
        f"fewer-examples (poisson-ood/medium, {shots} shots)" for shots in (8, 32)
    ]
    assert set(re.findall(r"^\| `([a-z-]+)` \| .* \| `(?:of|curve)`", text, re.MULTILINE)) == set(MEASURES)


@pytest.mark.usefixtures("quick_recipes")
def test_a_study_that_was_run_is_shown_with_its_verdicts_and_links_that_lead_there(tiny, tiny_file, places, tmp_path):
    reproduce(tiny, tmp_path / "reproduction", places)
    home = tmp_path / "docs"
    home.mkdir()
    text = page(
        tmp_path / "reproduction",
        home,
        {"tiny": tiny_file(), "other": tiny_file(("study: tiny", "study: other"), name="other.yaml")},
    )
    assert "| `tiny` | A tiny study | a test | `smoke` |" in text
    assert "| `other` | A tiny study | a test | **not run** | — |" in text
    assert "no scientific meaning" in text
    folder = tmp_path / "reproduction" / "tiny"
    for verdict in read_verdicts(folder).verdicts:
        assert verdict.in_short.replace("'", "&#39;") in text or verdict.in_short in text
    brief, _, table = text.partition("## `tiny`")[2].partition("<details>\n<summary>All ")
    assert table.startswith(f"{len(read_verdicts(folder).verdicts)} verdicts</summary>\n\n| claim |")
    assert table.partition("</details>")[0].count("\n| ") > len(read_verdicts(folder).verdicts)
    statements = Counter(verdict.says for verdict in read_verdicts(folder).verdicts)
    counts = {}
    for says, outcome in re.findall(r"^\* (.+) \*\*(.+)\*\*", brief, re.MULTILINE):
        counts[says] = sum(map(int, re.findall(r"(\d+) × ", outcome))) or 1
    assert counts == statements
    for name in ("figure.svg", "data.csv", "study.yaml"):
        link = f"(../reproduction/tiny/{name})"
        assert link in text
        assert (home / link.strip("()")).is_file()


@pytest.mark.usefixtures("quick_recipes")
def test_data_that_were_edited_are_not_shown(tiny, tiny_file, places, tmp_path):
    reproduce(tiny, tmp_path / "reproduction", places)
    table = tmp_path / "reproduction" / "tiny" / "data.csv"
    table.write_text(table.read_text() + "\n")
    with pytest.raises(PdefmError, match=r"data\.csv is not the table that verdicts\.json was made from"):
        page(tmp_path / "reproduction", tmp_path, {"tiny": tiny_file()})
    table.with_name("study.yaml").write_text("study: other\nscale: smoke\n")
    with pytest.raises(UsageError, match="holds the study 'other'"):
        page(tmp_path / "reproduction", tmp_path, {"tiny": tiny_file()})
