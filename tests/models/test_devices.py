"""The one word for a device means a device that is there."""

import pytest
import torch

from pdebench_fm.errors import UsageError
from pdebench_fm.models.devices import choose_device


@pytest.fixture
def gpus(monkeypatch):
    """A machine that claims two CUDA devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_gpu_that_is_not_there_is_an_error_that_names_auto(name):
    with pytest.raises(UsageError, match=rf"'{name}' was asked for.*device=\"auto\" picks"):
        choose_device(name)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_the_cpu_is_always_there(name):
    assert choose_device(name) == torch.device("cpu")


@pytest.mark.usefixtures("gpus")
def test_a_gpu_is_chosen_by_its_index():
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:0")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UsageError, match="'cuda:2' does not exist: this machine has CUDA devices 0 to 1"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:x"])
def test_another_word_is_refused(name):
    with pytest.raises(UsageError, match="unknown device"):
        choose_device(name)
