"""The site shown on this machine: what the build wrote, and nothing else of the folder or above it."""

import http.client
import shutil
import threading
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from pdebench_fm.cli import main
from pdebench_fm.leaderboard.serving import serving
from pdebench_fm.leaderboard.site import build_site


@pytest.fixture
def site(small_site, tmp_path):
    shutil.copytree(small_site / "site", tmp_path / "site")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "site" / "mine.txt").write_text("secret")
    return tmp_path / "site"


@contextmanager
def asked(site):
    """Ask the server for paths as they stand, without a client that tidies them."""
    with serving(site, 0) as (server, address):
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def ask(path):
            connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, content

        try:
            yield ask
        finally:
            server.shutdown()
            thread.join()


def test_files_of_the_site_are_given_out(site):
    with asked(site) as ask:
        assert ask("/") == (200, (site / "index.html").read_bytes())
        assert ask("/tasks/") == (200, (site / "tasks" / "index.html").read_bytes())
        for path in ("submit.html", "shared/style.css", "models/acme/solver.html"):
            assert ask(f"/{path}?x=1") == (200, (site / path).read_bytes())


@pytest.mark.parametrize(
    "path",
    ["/mine.txt", "/../secret.txt", "/%2e%2e/secret.txt", "/models/", "/models/../mine.txt", "//etc/hostname", "/.git"],
)
def test_nothing_else_is(site, path):
    with asked(site) as ask:
        status, content = ask(path)
    assert status == 404
    assert b"secret" not in content


def test_a_site_that_was_built_again_is_served_as_it_is_now(site, tmp_path):
    with asked(site) as ask:
        (tmp_path / "empty").mkdir()
        build_site(tmp_path / "empty", site)
        assert ask("/models/acme/solver.html")[0] == 404
        assert ask("/")[0] == 200


def test_a_port_that_is_taken_is_an_error_in_a_line(site, capsys):
    with serving(site, 0) as (_, address):
        port = address.rstrip("/").rpartition(":")[2]
        assert main(["leaderboard", "serve", str(site), "--port", port]) == 1
    assert capsys.readouterr().err.startswith(f"pdefm: cannot serve on port {port}: ")


def test_a_folder_that_is_no_site_is_a_mistake_in_usage(tmp_path, capsys):
    assert main(["leaderboard", "serve", str(tmp_path)]) == 2
    assert "is no leaderboard's site" in capsys.readouterr().err
