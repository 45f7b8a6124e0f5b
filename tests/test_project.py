"""The project's own files: workflows that can be trusted, a true picture of the house, a wheel that has it all."""

import ast
import re
import runpy
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement

from pdebench_fm.errors import PdefmError
from pdebench_fm.shipped import shipped

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = {
    path.name: yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # noqa: S506 (plain text: `on` stays `on`)
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
}
JOBS = [
    pytest.param(workflow, job, id=f"{name}:{label}")
    for name, workflow in WORKFLOWS.items()
    for label, job in workflow["jobs"].items()
]
PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+(\.\d+){0,2}|[0-9a-f]{40})")


def test_the_workflows_are_there():
    assert set(WORKFLOWS) >= {"ci.yml", "release.yml", "leaderboard-review.yml"}


@pytest.mark.parametrize("workflow", [pytest.param(found, id=name) for name, found in WORKFLOWS.items()])
def test_a_workflow_may_do_no_more_than_it_must(workflow):
    assert workflow["permissions"] in ({}, {"contents": "read"})
    assert not {"pull_request_target", "workflow_run"} & set(workflow["on"])


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_is_bounded_and_its_actions_are_pinned(workflow, job):
    assert 0 < int(job["timeout-minutes"]) <= 360
    permissions = job.get("permissions", workflow["permissions"])
    assert set(permissions.items()) <= {("contents", "read"), ("id-token", "write")}
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step), step
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"
        assert "${{" not in step.get("run", ""), "what comes from outside reaches a shell as a variable only"
        for script in re.findall(r"\b(?:scripts|\.ci)/[\w.]+", step.get("run", "")):
            assert (ROOT / script).is_file(), script


def test_only_the_job_that_uploads_can_prove_who_it_is_and_it_runs_nothing_of_this_repository():
    holders = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values() if "id-token" in str(job)]
    assert holders == [WORKFLOWS["release.yml"]["jobs"]["publish"]]
    (job,) = holders
    assert job["permissions"] == {"id-token": "write"}
    assert job["environment"] == "pypi"
    assert [step["uses"].split("@")[0] for step in job["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


def test_the_matrix_has_every_python_that_the_package_claims():
    claimed = re.findall(r"Python :: (3\.\d+)'", str(PROJECT["project"]["classifiers"]))
    matrix = WORKFLOWS["ci.yml"]["jobs"]["quick"]["strategy"]["matrix"]
    assert matrix["python"] == claimed
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert PROJECT["project"]["requires-python"] == f">={claimed[0]}"


def test_the_lowest_versions_are_those_that_the_package_claims():
    text = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8")
    lowest = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    extras = PROJECT["project"]["optional-dependencies"]
    declared = [
        *PROJECT["project"]["dependencies"],
        *(line for name in ("onnx", "plots", "train") for line in extras[name]),
    ]
    for requirement in map(Requirement, declared):
        name = requirement.name.lower().replace("_", "-")
        if name == "torch":
            assert name not in lowest  # its lowest version is declared, not tried
            continue
        (bound,) = [spec.version for spec in requirement.specifier if spec.operator == ">="]
        assert lowest[name].split(".")[: bound.count(".") + 1] == bound.split("."), name


def test_the_picture_of_the_house_is_that_of_the_imports():
    script = runpy.run_path(str(ROOT / "scripts" / "draw_house.py"))
    assert script["HOME"].read_text(encoding="utf-8") == script["drawing"](), "run scripts/draw_house.py"


def test_the_picture_of_the_house_knows_every_way_to_import(tmp_path):
    script = runpy.run_path(str(ROOT / "scripts" / "draw_house.py"))
    (tmp_path / "module.py").write_text(
        "import os, pdebench_fm.data.rows\nfrom pdebench_fm import models\n"
        "def f():\n    from pdebench_fm.zoo.card import x\n"
    )
    assert script["imported_rooms"](tmp_path / "module.py") == {"data", "models", "zoo"}


def test_what_the_wheel_brings_is_what_the_package_asks_for():
    brought = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert brought == {name: f"pdebench_fm/share/{name}" for name in brought}
    sources = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "pdebench_fm").rglob("*.py")]
    asked = {
        node.args[0].value
        for tree in sources
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "shipped" and isinstance(node.args[0], ast.Constant)
    }
    assert asked | {"examples", "leaderboard"} == set(brought)
    assert all(shipped(name).exists() for name in brought)


def test_a_missing_part_of_the_installation_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("pdebench_fm.shipped._PLACES", (tmp_path,))
    with pytest.raises(PdefmError, match="cards is missing from this installation of pdebench-fm"):
        shipped("cards")


def test_every_quick_file_is_there():
    names = (ROOT / "tests" / "quick.txt").read_text(encoding="utf-8").split()
    assert names == sorted(set(names))
    assert [name for name in names if not (ROOT / "tests" / name).is_file()] == []


@pytest.mark.parametrize(
    ("source", "words", "expected"),
    [
        ("TESTPATHS", {}, "not slow"),
        ("TESTPATHS", {"whole": True}, ""),
        ("TESTPATHS", {"keyword": "name"}, ""),
        ("TESTPATHS", {"markexpr": "browser"}, "browser"),
        ("ARGS", {}, ""),
    ],
)
def test_slow_tests_are_left_out_only_where_nothing_was_said(pytestconfig, source, words, expected):
    suite = pytestconfig.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    sources = pytestconfig.ArgsSource
    option = SimpleNamespace(**({"whole": False, "keyword": "", "markexpr": ""} | words))
    suite.pytest_configure(SimpleNamespace(args_source=sources[source], ArgsSource=sources, option=option))
    assert option.markexpr == expected


def test_the_tests_of_a_file_are_slow_unless_it_is_a_quick_one(request):
    assert "test_project.py" in (ROOT / "tests" / "quick.txt").read_text(encoding="utf-8").split()
    assert request.node.get_closest_marker("slow") is None
    suite = request.config.pluginmanager.get_plugin(str(ROOT / "tests" / "conftest.py"))
    marks = []
    suite.pytest_collection_modifyitems(
        [SimpleNamespace(path=ROOT / "tests" / "data" / "test_verify.py", add_marker=marks.append)]
    )
    assert marks == ["slow"]


@pytest.mark.parametrize("name", ["bug.yml", "idea.yml", "config.yml"])
def test_the_templates_of_issues_are_forms(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8"))
    if name == "config.yml":
        assert form == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= form.keys()
    assert len({part["id"] for part in form["body"]}) == len(form["body"])


def test_the_hooks_before_a_commit_are_the_checks_of_ci():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"].replace(" --force-exclude", "") for hook in hooks] == [
        "ruff check",
        "ruff format --check",
        "mypy",
    ]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(hook["entry"].replace(" --force-exclude", "") in ci for hook in hooks)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_links_and_paths_of_the_projects_pages_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (ROOT / target).exists(), target
    for path in re.findall(r"`((?:pdebench_fm|tests|scripts|docs|\.ci)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
