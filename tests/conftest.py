"""Settings of the whole suite: one thread a process, as several processes share the cores."""

import os
import shutil
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before NumPy and PyTorch start their pools
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import pytest  # noqa: E402
import torch  # noqa: E402
from few_rows import FewRows  # noqa: E402

from pdebench_fm.data.catalogue import find_task  # noqa: E402
from pdebench_fm.evaluation import cell  # noqa: E402
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator, load_model  # noqa: E402
from pdebench_fm.protocol.task import EvaluationTask  # noqa: E402
from pdebench_fm.training.adapt import AdaptationRecipe  # noqa: E402
from pdebench_fm.training.search import SearchRecipe  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

QUICK = (Path(__file__).parent / "quick.txt").read_text(encoding="utf-8").split()
_QUICK_ONLY = "not slow"
TAKE_MINUTES = {"test_site.py", "test_zoo_scores.py"}


def pytest_addoption(parser):
    parser.addoption("--whole", action="store_true", help="run slow tests too, which a plain `pytest` leaves out")


def pytest_configure(config):
    """Leave out slow tests where nothing was said of which to run: no file, no -k, no -m and no --whole."""
    asked = config.args_source is config.ArgsSource.ARGS or config.option.keyword or config.option.markexpr
    if not asked and not config.option.whole:
        config.option.markexpr = _QUICK_ONLY


def pytest_ignore_collect(collection_path, config):
    """Do not even import files whose tests are all left out."""
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return True if config.option.markexpr == _QUICK_ONLY and is_test and not _is_quick(collection_path) else None


def _is_quick(path):
    return path.relative_to(Path(__file__).parent).as_posix() in QUICK


def pytest_collection_modifyitems(items):
    """Mark the tests of all files as slow but for those of `quick.txt`, and begin with the files that take minutes.

    A file is one worker's: at the end, the others would wait for it.
    """
    items.sort(key=lambda item: item.path.name not in TAKE_MINUTES)
    for item in items:
        if not _is_quick(item.path):
            item.add_marker("slow")


torch.set_num_threads(1)
os.environ.pop("PDEFM_PLUGINS", None)  # a developer's own systems are nothing to the tests


@pytest.fixture(autouse=True, scope="session")
def _cells_of_this_run_only(tmp_path_factory):
    """Keep finished cells of evaluations out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PDEFM_CACHE", str(tmp_path_factory.mktemp("cells")))
        yield


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """The systems by name, which a test may add to, knowingly or not: they are put back as they were."""
    from pdebench_fm.physics import ORIGINS, SYSTEMS

    monkeypatch.setattr(sys, "path", list(sys.path))  # to which a plug-in's folder is added
    held = dict(SYSTEMS), dict(ORIGINS)
    own_modules = set(sys.modules)
    yield SYSTEMS
    for dictionary, before in zip((SYSTEMS, ORIGINS), held, strict=True):
        dictionary.clear()
        dictionary.update(before)
    for name in [name for name in sys.modules if name.startswith("pdefm_user_") and name not in own_modules]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path):
    """Write a file of a user's; returns its path."""

    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


@pytest.fixture
def plugin(tmp_path, monkeypatch, registry):  # noqa: ARG001 (which is put back)
    """Write a plug-in and name it in the environment; returns its path."""
    from drums import DRUM

    def write(text=DRUM, name="drum.py"):
        path = tmp_path / name
        path.write_text(text)
        monkeypatch.setenv("PDEFM_PLUGINS", str(path))
        return path

    return write


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub where Alice may write to her own namespace, to `pde-lab` and to `pdebench-fm`."""
    from described import ALICE
    from hub_server import HubServer
    from huggingface_hub import constants

    # the server does not speak the client's newer upload protocol
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with HubServer(tmp_path / "hub") as server:
        server.add_user("alice", token=ALICE, organizations=("pde-lab", "pdebench-fm"))
        yield server


@pytest.fixture
def api(hub):
    """The Hub's own client, as Alice."""
    from described import ALICE
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.url, token=ALICE)


@pytest.fixture
def model_with_card(tmp_path):
    """The folder of a finished pretraining with a card."""
    from described import make_pretrained, results_of

    from pdebench_fm.zoo.card import write_model_card

    folder = make_pretrained(tmp_path / "fno-mixed-tiny")
    write_model_card(folder, results_of(folder))
    return folder


@pytest.fixture
def bare_names_are_shipped(monkeypatch):
    """Take every model that is not named `organisation/name` for one of this package's own."""
    from pdebench_fm.leaderboard import submission

    monkeypatch.setattr(submission, "is_official", lambda model: "/" not in model.model_id)


@pytest.fixture(scope="module")
def browser():
    """A real headless browser, with nothing that reaches for the network."""
    if CHROMIUM is None:
        pytest.skip("no Chromium found (chromium, chromium-browser or google-chrome on PATH)")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


# A small untrained model, few rows and quick recipes, so that whole evaluations take a moment.


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "fno-tiny"
    scales = HomogeneousNormaliser(coefficient_scales=(0.02, 0.02, 0.01, 0.1, 0.1, 6.0))
    torch.manual_seed(5)
    NeuralOperator(ModelConfig(width=8, modes=4, normaliser=scales, size="tiny")).save_pretrained(folder)
    return folder


@pytest.fixture
def model(model_folder):
    return load_model(model_folder)


@pytest.fixture(scope="session")
def small_task():
    """Return a task with 16 rows in its train and test splits."""

    def make(name="poisson-ood/medium", seed=0):
        task = find_task(name)
        train, test = (FewRows(task.dataset.key(task.regime.name, split, seed=seed)) for split in ("train", "test"))
        return EvaluationTask(task, train, test)

    return make


@pytest.fixture
def cluster(tmp_path):
    """The address of a Dask cluster of two processes on this machine."""
    from clusters import local_cluster

    with local_cluster(tmp_path / "dask", threads=2) as running:
        yield running.scheduler_address


@pytest.fixture
def quick_recipes(monkeypatch):
    def quick(start, shots, name="v1"):
        if name == "paper":
            return SearchRecipe((1e-4, 5e-3), epochs=2, batch_size=3)
        return AdaptationRecipe(5e-3 if start == "scratch" else 2e-3, steps=6, batch_size=min(shots, 4))

    monkeypatch.setattr(cell, "adaptation_recipe", quick)
