"""The shape of the package: imports flow one way, and the physics knows neither PyTorch nor files nor the Hub."""

import ast
from pathlib import Path

import pytest

import pdebench_fm

ROOT = Path(pdebench_fm.__file__).parent
ROOMS = [
    "physics",
    "data",
    "models",
    "training",
    "protocol",
    "results",
    "evaluation",
    "zoo",
    "plots",
    "leaderboard",
    "studies",
    "release",
    "cli",
]
MODULES = sorted(path for path in ROOT.rglob("*.py"))


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_flow_one_way(path):
    room = path.relative_to(ROOT).parts[0]
    if room not in ROOMS:
        return  # shared ground below all rooms; checked by the next test
    for module in imported_modules(path):
        parts = module.split(".")
        if parts[0] == "pdebench_fm" and len(parts) > 1 and parts[1] in ROOMS:
            assert ROOMS.index(parts[1]) <= ROOMS.index(room), f"{room} imports {module}"


SHARED_NAMES = (
    "contracts",
    "errors",
    "files",
    "folders",
    "front_matter",
    "limits",
    "memory",
    "processes",
    "rounding",
    "shipped",
    "surroundings",
    "switches",
    "templates",
    "text",
    "version",
)
SHARED = [f"{name}.py" for name in SHARED_NAMES]
SHARED += [f"{room}/{path.name}" for room in ("hub", "extensions", "graphs") for path in ROOT.glob(f"{room}/*.py")]


@pytest.mark.parametrize("name", SHARED)
def test_shared_ground_imports_no_room(name):
    for module in imported_modules(ROOT / name):
        parts = module.split(".")
        assert parts[0] != "pdebench_fm" or parts[1:2] == [] or parts[1] not in ROOMS


def test_physics_knows_arrays_only():
    roots = {module.split(".")[0] for path in (ROOT / "physics").glob("*.py") for module in imported_modules(path)}
    assert not roots & {"torch", "huggingface_hub", "datasets", "pyarrow", "pathlib", "os"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    assert not {"pickle", "joblib", "dill"} & set(imported_modules(path))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            assert "weights_only=True" in ast.unparse(node), f"{path} unpickles"
