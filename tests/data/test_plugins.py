"""Plug-ins: how they are found, in worker processes too, and how their mistakes are told."""

import os
import shutil
import sys

import numpy as np
import pytest
from clusters import local_cluster
from drums import DRUM
from torch.utils.data import DataLoader

from pdebench_fm.cli import main
from pdebench_fm.data import stream
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import find_dataset, find_family, find_ranked_task, find_task
from pdebench_fm.data.executors import open_executor
from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.data.verification.verify import verify
from pdebench_fm.errors import PdefmError, UsageError, UserCodeError
from pdebench_fm.extensions.plugins import load_plugins
from pdebench_fm.physics import sample

pytestmark = pytest.mark.usefixtures("registry")

ROWS = {"train": 6, "validation": 0, "test": 3}
SIZES = ["--train", "6", "--validation", "0", "--test", "3", "--resolution", "64"]


def digests(folder):
    splits = read_manifest(folder / "manifest.json").splits
    return [(split.regime, split.split, split.recipe_digest, split.content_digest) for split in splits]


def test_a_file_is_loaded_when_a_name_is_asked_for_that_is_not_built_in(plugin, registry):
    plugin()
    find_dataset("poisson-ood")
    find_task("helmholtz/pretrain")
    assert "drum" not in registry
    dataset = find_dataset("drum")
    assert (dataset.regimes, dataset.default_regime) == (("far-2", "near"), "far-2")
    assert find_task("drum/near").regime.role == "downstream"
    with pytest.raises(UsageError, match="did you mean 'drum/near'"):
        find_task("drum/neer")
    with pytest.raises(UsageError, match="drum cannot be pretrained on: it declares no regime 'pretrain'"):
        find_family("drum")


def test_several_files_and_modules_are_named_as_in_a_path(plugin, tmp_path, monkeypatch):
    (tmp_path / "drums_of_a_package.py").write_text(DRUM.replace('"drum"', '"other-drum"'))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PDEFM_PLUGINS", os.pathsep.join([str(plugin()), "", "drums_of_a_package"]))
    assert find_dataset("drum").origin == str(tmp_path / "drum.py")
    assert find_dataset("other-drum").origin == str(tmp_path / "drums_of_a_package.py")


def test_an_installed_package_is_found_by_its_entry_point(tmp_path, monkeypatch):
    (tmp_path / "installed_drum.py").write_text(DRUM)
    metadata = tmp_path / "installed_drum-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: installed-drum\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pdebench_fm.systems]\ndrum = installed_drum\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_dataset("drum").origin == str(tmp_path / "installed_drum.py")
    load_plugins()
    (tmp_path / "installed_drum.py").write_text("1 / 0")
    del sys.modules["installed_drum"]
    shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
    with pytest.raises(UserCodeError, match=r"plug-in 'drum' \(installed_drum\) raised ZeroDivisionError"):
        load_plugins()


def test_a_file_that_is_imported_already_is_not_run_again(plugin, tmp_path, monkeypatch):
    plugin()
    monkeypatch.syspath_prepend(tmp_path)
    __import__("drum")
    load_plugins()
    assert find_dataset("drum").name == "drum"


def test_a_file_that_runs_again_as_another_module_registers_its_systems_anew(plugin, registry):
    path = plugin()
    before = find_dataset("drum").system
    code = compile(path.read_text().replace('"Drum"', '"New drum"'), str(path), "exec")
    exec(code, {"__name__": "again"})  # noqa: S102
    assert registry["drum"] is not before
    assert find_dataset("drum").system.title == "New drum"


def test_a_plugin_can_import_what_lies_beside_it(plugin, tmp_path):
    (tmp_path / "drum_parts.py").write_text("NEAR = 0.25, 3.0\n")
    plugin("from drum_parts import NEAR\n" + DRUM.replace("Range(0.5, 3)", "Range(*NEAR)"))
    assert find_dataset("drum").system.regimes["near"].low == 0.25
    del sys.modules["drum_parts"]


def test_two_plugins_of_one_name_are_an_error_that_names_both(plugin, capsys, monkeypatch):
    first = plugin()
    second = plugin(name="second.py")
    monkeypatch.setenv("PDEFM_PLUGINS", f"{first}{os.pathsep}{second}")
    assert main(["data", "list"]) == 2
    stderr = capsys.readouterr().err
    assert f"by {first} and by {second}" in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (DRUM.replace('"drum"', '"poisson"'), "has the name of a built-in system"),
        (DRUM.replace("Range(2, 6)", "Range(2, float('nan'))"), "the range of regime 'far-2' is not finite"),
        (DRUM.replace("k.kx**2 + k.ky**2", "k.kx + k.ky"), "not Hermitian"),
    ],
)
def test_a_declaration_that_cannot_work_is_one_line_that_names_the_file(text, words, plugin, capsys):
    path = plugin(text)
    assert main(["data", "build", "drum", "--out", "nowhere"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith(f"pdefm: {path}: system ")
    assert words in stderr
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("named", ["missing.py", "no_such_module", "folder/missing.py"])
def test_a_plugin_that_does_not_exist_is_named(named, monkeypatch, capsys):
    monkeypatch.setenv("PDEFM_PLUGINS", named)
    assert main(["data", "list"]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("def helper():\n    return {}['nothing']\nhelper()\n", "KeyError", "return {}['nothing']"),
        ("x = (1,\n", "SyntaxError", "x = (1,"),
        ("import surely_not_installed\n", "ModuleNotFoundError", "import surely_not_installed"),
        ("raise SystemExit(3)\n", "SystemExit", "raise SystemExit(3)"),
        # in a function that the declaration's trial calls
        (DRUM.replace("tension = ", "tension = undefined * "), "NameError", "tension = undefined *"),
    ],
)
def test_a_file_that_raises_is_shown_with_its_own_traceback_and_none_of_ours(text, kind, line, plugin, capsys):
    path = plugin(text)
    assert main(["data", "list"]) == 1
    *shown, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"pdefm: {path} raised {kind}: ")
    assert any(line in part for part in shown)
    assert str(path) in "".join(shown)
    assert not [part for part in shown if "pdebench_fm/" in part or "importlib" in part]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_code_that_raises_in_a_build_is_shown_as_its_own_from_a_worker_too(workers, plugin, tmp_path, capfd):
    picky = "def coefficients(drawn):\n    if len(drawn.parameter) > 3:\n        raise ValueError('too many')"
    path = plugin(DRUM.replace("def coefficients(drawn):", picky))
    out = str(tmp_path / "data")
    assert main(["data", "build", "drum", "--regime", "near", *SIZES, "--out", out, "--workers", workers]) == 1
    *shown, last = capfd.readouterr().err.splitlines()
    assert last == f"pdefm: {path} raised ValueError: too many"
    assert any("raise ValueError('too many')" in part for part in shown)
    assert not [part for part in shown if "pdebench_fm/data" in part or "pdebench_fm/physics" in part]


def test_a_dask_worker_that_was_started_without_the_plugin_is_told_of_it(plugin, tmp_path, monkeypatch):
    with local_cluster(tmp_path, workers=1) as cluster:
        monkeypatch.chdir(plugin().parent)
        monkeypatch.setenv("PDEFM_PLUGINS", "drum.py")  # relative to this process's folder
        plan = BuildPlan(find_dataset("drum"), ("near",), ROWS, 64)
        with open_executor(scheduler=cluster.scheduler_address) as executor:
            folder = build(plan, tmp_path / "dask", executor=executor)
    assert digests(folder) == digests(build(plan, tmp_path / "alone"))


def test_a_worker_that_cannot_know_a_system_says_what_it_knows(plugin, tmp_path, monkeypatch):
    plugin()
    plan = BuildPlan(find_dataset("drum"), ("near",), ROWS, 64)
    monkeypatch.delenv("PDEFM_PLUGINS")
    with open_executor(workers=2) as executor, pytest.raises(UsageError, match="only what PDEFM_PLUGINS names"):
        build(plan, tmp_path, executor=executor)


def test_a_loaders_worker_finds_the_system_as_well(plugin):
    plugin()
    rows = stream("drum/near", "test", resolution=64, batch_size=4, rows=8)
    loader = DataLoader(rows, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    seen = np.concatenate([batch.solution.numpy() for batch in loader])
    np.testing.assert_array_equal(seen, sample(find_dataset("drum").key("near", "test"), range(8), 64).solution)


def test_a_build_does_not_go_on_with_rows_of_another_definition(plugin, tmp_path, registry):
    path = plugin()
    arguments = ["data", "build", "drum", "--regime", "near", *SIZES, "--out", str(tmp_path / "data")]
    assert main(arguments) == 0
    before = digests(tmp_path / "data" / "drum")
    for changed in (DRUM.replace("Range(0.5, 3)", "Range(0.5, 4)"), DRUM.replace("tension *", "1.001 * tension *")):
        registry.pop("drum")
        for name in [name for name in sys.modules if name.startswith("pdefm_user_")]:
            del sys.modules[name]  # as in a new process
        path.write_text(changed)
        with pytest.raises(UsageError, match="was built by another definition of drum"):
            main([*arguments, "--debug"])
    assert digests(tmp_path / "data" / "drum") == before


def test_a_build_is_verified_shown_described_and_published(plugin, tmp_path, send, registry, capsys):
    path = plugin()
    assert main(["data", "build", "drum", *SIZES, "--out", str(tmp_path)]) == 0
    folder = tmp_path / "drum"
    assert verify(str(folder)).passed
    readme = (folder / "README.md").read_text()
    for words in ("−T Δu / 4π² = f", "û(k) = f̂(k) / s(k)", "| T; the other places hold 0 |", "no leaderboard ranks"):
        assert words in readme
    for words in ("Subramanian et al. 2023", "SYS-", "k11", "ω", "None"):
        assert words not in readme.split("## Citation")[0]
    assert (folder / "figures" / "regimes.png").exists()
    assert main(["data", "show", "drum/far-2", "--out", str(tmp_path / "row.svg"), "--resolution", "64"]) == 0
    published = send(folder)
    assert published.sent == 4
    assert send(folder).already_published
    assert main(["data", "list"]) == 0
    assert "drum" in (listed := capsys.readouterr().out)
    assert "drum.py" in listed.replace("\n", "").replace("│", "").replace(" ", "")
    registry.pop("drum")
    path.write_text("")
    with pytest.raises(PdefmError, match="unknown dataset 'drum'"):
        verify(str(folder))
    with pytest.raises(PdefmError, match="does not know"):
        send(folder)


def test_the_python_in_a_plugins_card_runs(plugin, tmp_path, monkeypatch):
    plugin()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = build(BuildPlan(find_dataset("drum"), ("far-2",), {**ROWS, "test": 8}, 64), tmp_path)
    names = {}
    for block in (folder / "README.md").read_text().split("```python\n")[1:]:
        code = block.split("```")[0].replace('"pdebench-fm/drum"', repr(str(folder))).replace(', revision="v1.0.0"', "")
        exec(code, names)  # noqa: S102
    np.testing.assert_array_equal(names["rows"].solution[0], names["row"]["solution"])


def test_a_verification_finds_what_is_wrong_with_a_plugins_rows(plugin, tmp_path, registry):
    plugin()
    folder = build(BuildPlan(find_dataset("drum"), ("near",), ROWS, 64), tmp_path)
    registry.pop("drum")
    plugin(DRUM.replace("tension *", "1.01 * tension *"), name="other.py")
    failed = {check.name for check in verify(str(folder)).failures}
    assert {"outlying fields", "fields remade", "residual"} <= failed


def test_the_leaderboard_ranks_no_task_of_a_plugin(plugin):
    path = plugin()
    with pytest.raises(UsageError, match="drum/near is unranked") as refused:
        find_ranked_task("drum/near")
    assert str(path) in str(refused.value)


def test_how_much_of_a_regime_is_inside_pretraining_follows_from_the_ranges(plugin):
    plugin(DRUM.replace('"near"', '"pretrain"').replace('"far-2": Range(2, 6)', '"a": Range(2, 6), "b": Range(1, 2)'))
    dataset = find_dataset("drum")
    assert {name: dataset.regime(name).overlap for name in dataset.regimes} == {
        "a": "25 %",
        "b": "full",
        "pretrain": "—",
    }
    assert find_family("drum") == ("drum",)
