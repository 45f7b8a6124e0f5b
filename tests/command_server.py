"""Runs `pdefm` and Python for readers of the documentation, in forks of one process that has imported all it takes.

    python tests/command_server.py SOCKET

A page of the documentation has dozens of commands, and each would spend seconds on imports. So the `pdefm` that a
reader's shell finds (`SHIM`) sends its arguments, folder, environment and open files here, where a fork runs the
command line as an installed `pdefm` would. A reader's Python is a fork as well, which is given one piece of code after
the other.

Trainings are cut to a few steps and the lite track to its first rows: commands run as they are written, and what
numbers they print does not matter here.
"""

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

SHIM = """#!{python} -SE
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    words = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    socket.send_fds(server, [b"c"], [0, 1, 2])
    server.sendall(json.dumps(words).encode() + b"\\n")
    sys.exit(int(server.makefile().readline() or 70))
"""
_STEPS = 3
_ROWS = 64


def main(path: str) -> None:
    """Import everything, then answer until the listening socket's folder is gone."""
    from pdebench_fm import cli

    _import_all()
    _cut_short()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who connects is told the status by its fork
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork():
                connection.close()
                continue
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            kind, files, _, _ = socket.recv_fds(connection, 1, 3)
            if kind == b"c":
                _command(cli.main, connection, files)
            elif kind == b"p":
                _session(connection, files)
            os._exit(0)


def _import_all() -> None:
    import datasets  # noqa: F401
    import torch

    import pdebench_fm.evaluation.evaluate
    import pdebench_fm.leaderboard.site
    import pdebench_fm.leaderboard.verification
    import pdebench_fm.plots.draw
    import pdebench_fm.zoo.publish  # noqa: F401

    torch.set_num_threads(1)


def _cut_short() -> None:
    _cut_trainings_short()
    _cut_the_lite_track_short()


def _cut_trainings_short() -> None:
    from dataclasses import replace

    from pdebench_fm.protocol import methods, recipes
    from pdebench_fm.training.search import SearchRecipe

    def short(row):
        return replace(row, pretrained=cut(row.pretrained), scratch=cut(row.scratch))

    def cut(training):
        return replace(training, steps=_STEPS)

    recipes.PROTOCOL_TABLE = tuple(short(row) for row in recipes.PROTOCOL_TABLE)
    recipes.SearchRecipe = lambda: SearchRecipe(epochs=1)
    for name, method in methods.OWN_METHODS.items():
        methods.OWN_METHODS[name] = method.shortened(_STEPS)


def _cut_the_lite_track_short() -> None:
    """Score the first rows only, and take these for the standard ones, so that a board takes them."""
    from dataclasses import replace

    from pdebench_fm.protocol import standard_rows, tracks
    from pdebench_fm.protocol.task import load_task

    tracks.TRACKS["lite"] = replace(tracks.TRACKS["lite"], test_rows=_ROWS)
    standard_rows.STANDARD_TEST_ROWS["lite"] = _ROWS
    for name, digests in standard_rows.PINNED_DIGESTS[1].items():
        digests["lite"] = load_task(name).recipe_digest("lite")


def _enter(connection: socket.socket, files: list[int]) -> tuple[list[str], object]:
    """Take over a client's open files, folder and environment; return its words."""
    for target, file in enumerate(files):
        os.dup2(file, target)
    sys.stdin, sys.stdout, sys.stderr = (open(file, mode, closefd=False) for file, mode in enumerate("rww"))  # noqa: SIM115
    stream = connection.makefile("rw")
    words, folder, environment = json.loads(stream.readline())
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, "")
    return words, stream


def _command(main, connection: socket.socket, files: list[int]) -> None:
    words, stream = _enter(connection, files)
    sys.argv = ["pdefm", *words]
    try:
        code = main(words)
    except SystemExit as error:
        code = error.code
    except BaseException:  # noqa: BLE001 (an error of a command's is no error of the server's)
        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    if log := os.environ.get("COMMAND_LOG"):  # what each command costs
        used = os.times()
        with Path(log).open("a", encoding="utf-8") as file:
            print(f"{sum(used[:4]):7.2f} s  pdefm {' '.join(words)}", file=file)
    print(code, file=stream, flush=True)


def _session(connection: socket.socket, files: list[int]) -> None:
    """Run one piece of code after the other with the same names; answer each with its traceback, or nothing."""
    _, stream = _enter(connection, files)
    names = {"__name__": "__main__"}
    for line in stream:
        title, code = json.loads(line)
        try:
            exec(compile(code, title, "exec"), names)  # noqa: S102 (our own documentation)
            answer = ""
        except BaseException:  # noqa: BLE001 (which the reader is told)
            answer = traceback.format_exc()
        sys.stdout.flush()
        print(json.dumps(answer), file=stream, flush=True)


if __name__ == "__mp_main__":  # a worker process of a command's, which has to score the same rows
    _cut_short()

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(sys.argv[1])
