"""A release of everything: whole, looked at first, stopped anywhere and gone on with, and taken back."""

import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from described import ALICE
from hub_server import client_environment, run_client
from huggingface_hub import HfApi

from pdebench_fm.cli import main
from pdebench_fm.cli.release import say_plan
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.leaderboard.store import load
from pdebench_fm.models.loading import zoo_names
from pdebench_fm.release import Release, carry_out, release_steps
from pdebench_fm.shipped import shipped

LAB = "pde-lab"
BOB = "hf_bob"
MODELS = ("fno-mixed-64k", "fno-poisson-64k")


@pytest.fixture(scope="module")
def few_rows(tmp_path_factory):
    """A leaderboard with the rows of one model of those that the package brings."""
    board = tmp_path_factory.mktemp("board")
    for part in ("schema", "results/pdebench-fm/zero", "verified/pdebench-fm/zero"):
        shutil.copytree(shipped("leaderboard") / part, board / part)
    return board


@pytest.fixture
def settings(hub, tmp_path, few_rows):
    """A small release of some datasets and models."""

    def make(**changes):
        wanted = {
            "size": "small",
            "datasets": ("poisson", "helmholtz-ood"),
            "models": MODELS,
            "board": few_rows,
            "pictures": False,
            "token": ALICE,
            "endpoint": hub.url,
            "sleep": lambda _seconds: None,
        }
        return Release(**({"namespace": LAB, "out": tmp_path / "out"} | wanted | changes))

    return make


def carried(release):
    """Carry a release out, and return what was found of each step."""
    return {done.step.name: done.state.progress for done in carry_out(release_steps(release))}


def state_of(api):
    """All that is on the Hub: the commits and tags of every repository."""
    kinds = {"dataset": api.list_datasets, "model": api.list_models}
    names = [(kind, found.id) for kind, find in kinds.items() for found in find(author=LAB)]
    if api.repo_exists(f"{LAB}/leaderboard", repo_type="space"):
        names.append(("space", f"{LAB}/leaderboard"))
    return {
        (kind, name): (
            len(api.list_repo_commits(name, repo_type=kind)),
            sorted(tag.name for tag in api.list_repo_refs(name, repo_type=kind).tags),
            sorted(api.list_repo_files(name, repo_type=kind)),
        )
        for kind, name in names
    }


STOCK = """
import json, sys
from datasets import load_dataset
from huggingface_hub import HfApi
import pdebench_fm as pf
from pdebench_fm.cli import main
lab = sys.argv[1]
rows = [
    len(load_dataset(f"{lab}/{system}{kind}", revision="v1.0.0", split="test"))
    for system in ("poisson", "advection-diffusion", "helmholtz") for kind in ("", "-ood")
]
names = [model.id for model in HfApi().list_models(author=lab)]
models = {name: pf.load_model(name, revision="v1.0.0").config.parameters for name in names}
model = f"{lab}/fno-mixed-64k@v1.0.0"
codes = [
    main(["eval", "--model", model, "--task", "poisson/in-domain", "--track", "lite", "--out", "theirs"]),
    main(["submit", "theirs", "--to", f"{lab}/leaderboard", "--name", "bob/copy"]),
]
print(json.dumps({"rows": rows, "models": models, "codes": codes}))
"""


def test_one_command_releases_everything_and_strangers_use_all_of_it(hub, tmp_path, monkeypatch):
    for name, value in client_environment(hub, tmp_path / "alice", ALICE).items():
        monkeypatch.setenv(name, value)
    command = ["pdefm", "release", "--namespace", LAB, "--out", "out", "--size", "small", "--no-pictures"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    steps = [line.split(": ")[0] for line in done.stdout.splitlines()]
    assert steps == [
        *(f"{verb} {name}" for verb in ("build", "verify", "publish") for name in DATASETS),
        *(f"publish {name}" for name in zoo_names()),
        "publish the leaderboard",
        "publish the Space",
    ]
    hub.add_user("bob", token=BOB)
    (tmp_path / "bob").mkdir()
    monkeypatch.chdir(tmp_path / "bob")
    used = run_client(STOCK, hub, tmp_path / "bob", LAB, token=BOB)
    assert used["rows"] == [8] * 6
    assert sorted(used["models"]) == [f"{LAB}/{name}" for name in zoo_names()]
    assert used["codes"] == [0, 0]
    api = HfApi(endpoint=hub.url, token=ALICE)
    board = f"{LAB}/leaderboard"
    assert any(name.startswith(".eval_results/") for name in api.list_repo_files(f"{LAB}/fno-mixed-64k"))
    api.merge_pull_request(board, 1, repo_type="dataset")
    files = api.list_repo_files(board, repo_type="dataset")
    assert len([name for name in files if name.startswith("results/bob/copy/")]) == 2
    assert len([name for name in files if name.endswith(".samples.parquet")]) == len(load(shipped("leaderboard"))) + 1
    before = state_of(api)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    changed = [line.split(": ")[0] for line in again.stdout.splitlines() if ": already done" not in line]
    assert changed == ["publish the Space"]
    after = state_of(api)
    assert {name for name in after if after[name] != before[name]} == {("space", board)}
    assert any("bob" in name for name in after["space", board][2])


def test_a_dry_run_lists_every_step_with_what_undoes_it_and_changes_nothing(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", ALICE)
    out = tmp_path / "out"
    assert main(["release", "--namespace", LAB, "--out", str(out), "--dry-run"]) == 0
    told = capsys.readouterr().out
    lines = told.splitlines()
    assert [line.split(": ")[1] for line in lines[::2]] == ["to do"] * (3 * len(DATASETS) + len(zoo_names()) + 2)
    assert all(line.startswith("    undo: ") for line in lines[1::2])
    assert f"build poisson: to do: builds 81,920 rows at 128×128 into {out / 'poisson'}" in told
    assert f"undo: hf repos delete {LAB}/poisson --type dataset --yes" in told
    assert not out.exists()
    assert not [request for request in hub.requests if request.method != "GET"]


def killed_after(number, release):
    """Carry a release out in a fork that is killed when it has changed the Hub so often; return whether it was."""

    def run():
        left = number

        def counted(action):
            def call(*arguments, **options):
                nonlocal left
                done = action(*arguments, **options)
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return done

            return call

        for name in ("create_repo", "create_commit", "create_tag", "preupload_lfs_files"):
            setattr(HfApi, name, counted(getattr(HfApi, name)))
        carried(release)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_killed_after_any_change_it_goes_on_and_ends_as_if_it_had_not_been(api, settings):
    release = settings(datasets=("poisson",), models=MODELS[:1])
    carried(release)
    calm = state_of(api)
    for kind, name in calm:
        api.delete_repo(name, repo_type=kind)
    assert state_of(api) == {}
    kills = 0
    while killed_after(2 * kills, release):  # later each time: an upload that was not committed is one again
        kills += 1
    assert kills > 3
    assert state_of(api) == calm
    assert set(carried(release).values()) == {"done", "to do"}  # the site is looked at each time


def test_on_another_machine_what_is_published_is_not_built_again(settings, tmp_path):
    carried(settings())
    found = carried(settings(out=tmp_path / "elsewhere"))
    assert {name: progress for name, progress in found.items() if progress != "done"} == {"publish the Space": "to do"}
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["site"]


def test_what_undoes_each_step_undoes_it(hub, api, settings, tmp_path):
    release = settings(datasets=("poisson",), models=MODELS[:1])
    steps = release_steps(release)
    list(carry_out(steps))
    run_undo(steps, hub, tmp_path)
    assert state_of(api) == {}
    assert list(release.out.iterdir()) == []
    assert {step.state().progress for step in steps} == {"to do"}


def run_undo(steps, hub, tmp_path):
    for step in reversed(steps):
        command = step.undo()
        if not command.startswith("nothing"):
            environment = client_environment(hub, tmp_path / "home", ALICE)
            subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, check=True, capture_output=True)


def test_a_newer_version_is_taken_back_to_the_one_before(hub, api, settings, tmp_path):
    name = f"{LAB}/{MODELS[0]}"
    first = settings(datasets=(), models=MODELS[:1], models_version="1.0.0")
    carried(first)
    before = Path(api.hf_hub_download(name, "README.md", local_dir=tmp_path / "before")).read_text()
    newer = release_steps(settings(datasets=(), models=MODELS[:1], models_version="1.1.0"))[:1]
    list(carry_out(newer))
    run_undo(newer, hub, tmp_path)
    assert [tag.name for tag in api.list_repo_refs(name).tags] == ["v1.0.0"]
    after = Path(api.hf_hub_download(name, "README.md", local_dir=tmp_path / "after")).read_text()
    assert after == before
    assert carried(first)[f"publish {MODELS[0]}"] == "done"


def test_rows_of_others_stay_when_the_leaderboard_is_taken_back(hub, api, settings, tmp_path):
    release = settings(datasets=(), models=())
    board = release_steps(release)[:1]
    list(carry_out(board))
    assert shlex.split(board[0].undo())[:3] == ["hf", "repos", "delete"]
    name = f"{LAB}/leaderboard"
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="results/acme/net/row.json", repo_id=name, repo_type="dataset")
    run_undo(board, hub, tmp_path)
    files = api.list_repo_files(name, repo_type="dataset")
    assert [path for path in files if path.startswith("results/")] == ["results/acme/net/row.json"]


def test_nothing_is_published_before_all_is_verified(api, settings):
    release = settings()
    list(carry_out([step for step in release_steps(release) if step.name.startswith("build")]))
    readme = release.out / "helmholtz-ood" / "README.md"
    readme.write_text("other words")
    with pytest.raises(PdefmError, match=r"the release stopped at 'verify helmholtz-ood': .* remove it"):
        carried(release)
    assert state_of(api) == {}


def test_a_damaged_shard_is_built_again(settings):
    release = settings(datasets=("poisson",), models=())
    (build,) = release_steps(release)[:1]
    assert build.state().progress == "to do"
    list(carry_out([build]))
    assert build.state().progress == "done"
    shard = next(release.out.rglob("*.parquet"))
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"?")
    assert build.state().progress == "to do"
    list(carry_out([build]))
    assert shard.read_bytes() == content


def test_another_size_under_the_same_tag_is_refused(settings, tmp_path):
    carried(settings(datasets=("poisson",), models=()))
    (step, *_) = release_steps(settings(size="full", datasets=("poisson",), out=tmp_path / "other"))
    assert step.state().progress == "refused"
    assert "has v1.0.0 with other rows than a full release has" in step.state().detail
    with pytest.raises(PdefmError, match="stopped at 'build poisson'"):
        list(carry_out([step]))


@pytest.mark.parametrize(
    ("namespace", "out", "message"),
    [
        ("nobodys-lab", "out", "the token is alice's, who publishes under alice, pde-lab, "),
        (LAB, "file", "file is a file: choose another folder for --out"),
        (LAB, "file/below", "file is a file: choose another folder for --out"),
    ],
)
def test_what_would_stop_a_release_after_hours_is_told_first(
    hub, tmp_path, monkeypatch, capsys, namespace, out, message
):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", ALICE)
    (tmp_path / "file").touch()
    words = ["release", "--namespace", namespace, "--out", str(tmp_path / out), "--size", "small"]
    for command in (words, [*words, "--dry-run"]):
        assert main(command) == 2
        told = capsys.readouterr()
        assert message in told.err
        assert not told.out
    assert not (tmp_path / "out").exists()


def test_a_dry_run_without_a_hub_says_that_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setenv("HF_TOKEN", ALICE)
    assert main(["release", "--namespace", LAB, "--out", str(tmp_path / "out"), "--dry-run"]) == 1
    told = capsys.readouterr()
    assert "the Hub cannot be reached" in told.err
    assert not told.out


def test_a_dry_run_that_finds_what_cannot_be_fails_after_its_list(settings, tmp_path, capsys):
    carried(settings(datasets=("poisson",), models=()))
    other = settings(size="full", datasets=("poisson",), models=(), out=tmp_path / "other")
    with pytest.raises(PdefmError, match="the release would stop at 'build poisson'"):
        say_plan(release_steps(other))
    told = capsys.readouterr().out
    assert "build poisson: refused: " in told
    assert "publish the Space: to do" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"namespace": "pdebench-fm"}, "rehearse in a namespace of your own"),
        ({"namespace": "a--b"}, "cannot be a namespace"),
        ({"data_version": "2.0.0"}, "makes data of version 1.0.0"),
        ({"models_version": "one"}, "is not a version"),
    ],
)
def test_what_cannot_be_released_is_refused_before_anything_is_done(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        Release(**({"namespace": LAB, "out": tmp_path, "size": "small"} | changes))
