"""A small leaderboard on disk: two tracks, several starts and shots, and one model of another organisation."""

import pytest
from factories import make_model, make_result, make_run, put_on, write_made
from huggingface_hub import constants
from proposals import BOARD, BOB

from pdebench_fm.leaderboard.site import build_site


@pytest.fixture
def write(tmp_path):
    """Write results with their samples as files of one folder, and return the folder."""

    def write_results(*results, folder="submitted"):
        for i, result in enumerate(results):
            write_made(result, tmp_path / folder / f"{i:02}.json")
        return tmp_path / folder

    return write_results


@pytest.fixture
def root(tmp_path, write, bare_names_are_shipped):  # noqa: ARG001 (which holds while it is made)
    """The leaderboard's folder."""
    small = make_model("fno-poisson-64k", parameters=70_000, size="64k")
    runs = [
        make_run((0.2,), shots=0),
        make_run((0.1, 0.11, 0.12), shots=8),
        make_run((0.05, 0.06, 0.07), shots=32),
        make_run((0.8, 0.9, 1.0), start="scratch", shots=8),
        make_run((0.09, 0.1, 0.11), start="scratch", shots=32),
    ]
    folder = write(
        make_result("poisson/in-domain", runs=runs),
        make_result("poisson-ood/hard", runs=[make_run((1.5,), shots=0)]),
        make_result("poisson/in-domain", small, runs=[make_run((0.4,), shots=0), make_run((0.3,), shots=8)]),
        make_result("poisson/in-domain", make_model("acme/solver", parameters=None), [make_run((0.03,), shots=0)]),
        make_result("poisson/in-domain", runs=[make_run((0.25,), shots=0)], track="full"),
    )
    put_on([folder], tmp_path / "board")
    return tmp_path / "board"


@pytest.fixture
def here(hub, tmp_path, monkeypatch):
    """Let this process talk to the tests' Hub where no address is given, with an empty cache."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def board(hub, api):
    """An empty leaderboard of a laboratory, and Bob, who has no rights there."""
    hub.add_user("bob", token=BOB)
    api.create_repo(BOARD, repo_type="dataset")
    return api


@pytest.fixture(scope="session")
def small_site(tmp_path_factory):
    """A folder with a leaderboard of one submitted model, `board`, and the site of that, `site`; for reading alone."""
    folder = tmp_path_factory.mktemp("small")
    write_made(make_result(model="acme/solver"), folder / "submitted.json")
    put_on([folder / "submitted.json"], folder / "board")
    build_site(folder / "board", folder / "site")
    return folder
