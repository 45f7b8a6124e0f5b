"""Files: whole or absent, never shared by two writers, with the user's permissions; folders have one writer."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import save_file

from pdebench_fm import files
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import (
    LOCK_NAME,
    atomic_folder,
    atomic_path,
    folder_lock,
    is_unused,
    remove_parts,
    write_atomically,
)

HOLDER = """
import sys, time
from pathlib import Path
from pdebench_fm.files import atomic_path, folder_lock
with folder_lock(Path(sys.argv[1])), atomic_path(Path(sys.argv[1], "sub", "x")) as part:
    part.write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(600)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path / "folder"` and is in the middle of writing a file."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "folder"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_threads_that_write_one_file_all_succeed_and_one_is_seen_whole(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda content: [write_atomically(tmp_path / "x", content) for _ in range(5)], contents))
    assert (tmp_path / "x").read_bytes() in contents
    assert names(tmp_path) == ["x"]


def test_processes_with_one_number_do_not_share_a_temporary_name(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in two containers
    with atomic_path(tmp_path / "x") as first, atomic_path(tmp_path / "x") as second:
        assert first != second


def test_a_temporary_name_that_is_taken_is_never_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: "0" * 16)
    (tmp_path / f".pdefm-{'0' * 16}.part").symlink_to(tmp_path / "precious")
    with pytest.raises(PdefmError, match=r"cannot write .*x: File exists"):
        write_atomically(tmp_path / "x", "new")
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_a_file_has_the_permissions_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "text", "x")
        with atomic_path(tmp_path / "tensors") as part:
            save_file({"a": torch.zeros(3)}, part)  # which makes files that only their owner can read
    finally:
        os.umask(before)
    for name in ("text", "tensors"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~umask


def test_tensors_that_do_not_fit_on_the_disk_are_one_clear_error(tmp_path):
    script = (
        "import resource, sys, pathlib, torch\n"
        "from safetensors.torch import save_file\n"
        "from pdebench_fm.errors import PdefmError\n"
        "from pdebench_fm.files import atomic_path\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with atomic_path(pathlib.Path(sys.argv[1])) as part:\n"
        "        save_file({'a': torch.zeros(1000)}, part)\n"
        "except PdefmError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "x"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {tmp_path / 'x'}: ")
    assert names(tmp_path) == []


def test_parts_that_nobody_writes_any_more_are_removed_by_the_next_writer(tmp_path):
    old, new = (tmp_path / f".pdefm-{digit * 16}.part" for digit in "01")
    for part in (old, new, tmp_path / ".mine.part"):
        part.write_text("half")
    os.utime(old, (time.time() - 7200,) * 2)
    write_atomically(tmp_path / "x", "whole")
    assert names(tmp_path) == [".mine.part", new.name, "x"]
    remove_parts(tmp_path)
    assert names(tmp_path) == [".mine.part", "x"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    out = tmp_path / "deep" / "model"
    with pytest.raises(ZeroDivisionError), atomic_folder(out) as part:  # noqa: PT012 (it is the block that fails)
        (part / "config.json").write_text("half")
        assert names(out.parent) == [part.name]
        1 / 0  # noqa: B018
    assert names(out.parent) == []
    out.mkdir()  # an empty one may be there
    before = os.umask(0o027)
    try:
        with atomic_folder(out) as part:
            (part / "config.json").write_text("whole")
    finally:
        os.umask(before)
    assert names(out.parent) == ["model"]
    assert (out / "config.json").read_text() == "whole"
    assert stat.S_IMODE(out.stat().st_mode) == 0o750
    with pytest.raises(PdefmError, match=r"cannot write .*model: Directory not empty"), atomic_folder(out) as part:
        (part / "other.json").write_text("x")
    assert names(out) == ["config.json"]
    assert names(out.parent) == ["model"]


def test_folders_that_killed_writers_left_are_recognised_and_removed(tmp_path):
    old, new = (tmp_path / "folder" / f".pdefm-{digit * 16}.part" for digit in "01")
    for part in (old, new):
        (part / "deep").mkdir(parents=True)
        (part / "deep" / "model.safetensors").write_text("half")
    assert is_unused(tmp_path / "folder")
    for path in (old, old / "deep", old / "deep" / "model.safetensors", new, new / "deep"):
        os.utime(path, (time.time() - 7200,) * 2)
    write_atomically(tmp_path / "folder" / "x", "whole")
    assert names(tmp_path / "folder") == [new.name, "x"]  # to the newer of which somebody has just written
    remove_parts(tmp_path)
    assert names(tmp_path / "folder") == ["x"]


def test_whoever_comes_second_is_told_so(tmp_path, holder):
    with (
        pytest.raises(PdefmError, match=rf"another pdefm is writing to {tmp_path / 'folder'}: "),
        folder_lock(tmp_path / "folder"),
    ):
        pass
    assert len(list((tmp_path / "folder" / "sub").iterdir())) == 1  # its part is still there
    assert holder.poll() is None


def test_a_lock_ends_with_its_process_and_what_it_left_is_removed(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    folder = tmp_path / "folder"
    assert (folder / LOCK_NAME).exists()
    assert is_unused(folder)
    with folder_lock(folder):
        assert names(folder / "sub") == []
    assert names(folder) == ["sub"]


def test_threads_hold_a_lock_one_at_a_time(tmp_path):
    inside, most = [], []

    def work(_):
        for _ in range(10):
            with folder_lock(tmp_path / "folder", wait_seconds=30):
                inside.append(threading.get_ident())
                most.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert most == [1] * 40
    assert names(tmp_path / "folder") == ["kept"]


def test_a_folder_is_unused_unless_it_holds_a_file(tmp_path):
    folder = tmp_path / "folder"
    assert is_unused(folder)
    with folder_lock(folder):
        assert is_unused(folder)
        (folder / "empty" / "deeper").mkdir(parents=True)
        assert is_unused(folder)
        (folder / "empty" / "thesis.tex").touch()
        assert not is_unused(folder)
    (tmp_path / "file").touch()
    assert not is_unused(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert not is_unused(tmp_path / "link")


def test_a_folder_that_stayed_empty_is_removed_with_its_lock(tmp_path):
    with folder_lock(tmp_path / "folder"):
        pass
    assert names(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(PdefmError, match="cannot write to"), folder_lock(tmp_path / "file"):
        pass
