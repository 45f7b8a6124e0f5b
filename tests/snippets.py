"""The snippets of the documentation: found in its pages, and run as a reader would, in order and in an empty folder.

Every block of shell or Python is run unless a comment right above it, which readers do not see, says why it is not:

    <!-- not run: it needs a GPU -->

`<!-- in a clone -->` there means that the reader is in a clone of the repository: its folders are at hand. A block with
`file=NAME` behind its language is the content of that file.
"""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from command_server import SHIM

ROOT = Path(__file__).parent.parent
LANGUAGES = ("bash", "python")
_BLOCK = re.compile(
    r"^(?: *<!-- (?P<mark>[^\n]+?) -->\n)?(?P<indent> *)```(?P<language>\w+)(?P<words>[^\n]*)\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
_CLONE = ("examples", "leaderboard", "scripts", "docs")


@dataclass(frozen=True)
class Snippet:
    """One block.

    Attributes:
        place: page and line.
        language: "bash" or "python", or any of a file that is written.
        code: as written.
        file: the name of the file that it is the content of, if it is one.
        mark: what the comment above it says.
    """

    place: str
    language: str
    code: str
    file: str | None
    mark: str

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith("not run: ")


def pages() -> list[Path]:
    """Return every page that has a snippet."""
    written = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in written if "catalogue" not in page.parts and snippets_of(page)]


def snippets_of(page: Path) -> list[Snippet]:
    """Return the snippets of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        file = re.search(r"file=(\S+)", block["words"])
        if block["language"] not in LANGUAGES and not file:
            continue
        line = text.count("\n", 0, block.start("language")) + 1
        code = re.sub(rf"^ {{{len(block['indent'])}}}", "", block["code"], flags=re.MULTILINE)
        place = f"{page.relative_to(ROOT)}, line {line}"
        found.append(Snippet(place, block["language"], code, file and file[1], (block["mark"] or "").strip()))
    return found


class Reader:
    """Somebody who works through a page: a shell and a Python that go on from block to block, in one folder."""

    def __init__(self, folder: Path, server: Path, environment: dict[str, str]):
        self.folder, self.server = folder, server
        self.environment = environment
        self.python = None
        self.state = folder.with_suffix(".state")

    def follow(self, snippet: Snippet) -> None:
        """Do what a snippet says, or raise an `AssertionError` with all that was printed."""
        if snippet.mark == "in a clone":
            for name in _CLONE:
                if not (self.folder / name).exists():
                    (self.folder / name).symlink_to(ROOT / name)
        if snippet.file:
            (self.folder / snippet.file).write_text(snippet.code, encoding="utf-8")
        elif snippet.is_run:
            {"bash": self._shell, "python": self._python}[snippet.language](snippet)

    def _shell(self, snippet: Snippet) -> None:
        state = shlex.quote(str(self.state))
        keep = f"trap 'export -p > {state}; echo \"cd $(pwd)\" >> {state}' EXIT"
        script = f"set -e -o pipefail\n[ ! -f {state} ] || . {state}\n{keep}\n{snippet.code}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{snippet.place} ends with {done.returncode}\n{snippet.code}\n{done.stdout}"

    def _python(self, snippet: Snippet) -> None:
        if self.python is None:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(self.server))
            with Path(os.devnull).open("r+b") as nothing:
                socket.send_fds(connection, [b"p"], [nothing.fileno()] * 3)
            connection.settimeout(300)
            self.python = connection.makefile("rw")
            self._say([[], str(self.folder), self.environment])
        self._say([snippet.place, snippet.code])
        problem = json.loads(self.python.readline() or '"it ended"')
        assert not problem, f"{snippet.place}\n{snippet.code}\n{problem}"

    def _say(self, words: list) -> None:
        print(json.dumps(words), file=self.python, flush=True)

    def leave(self) -> None:
        """Close what is open."""
        if self.python is not None:
            self.python.close()


@contextmanager
def commands(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Run a server of commands; yields the address of its socket, beside which `bin/pdefm` lies."""
    address = folder / "socket"
    shim = folder / "bin" / "pdefm"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(python=sys.executable, path=str(address)))
    shim.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "command_server.py"), str(address)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout.readline() == "ready\n"
        yield address
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
