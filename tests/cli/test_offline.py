"""Without a network, or with `HF_HUB_OFFLINE`, each command that wants the Hub says so in one line, and soon."""

import json

import pytest
from hub_server import run_client

COMMANDS = {
    "pull": ["zoo", "pull", "org/name"],
    "pull a revision": ["zoo", "pull", "org/name", "--revision", "v1"],
    "eval a model": ["eval", "--model", "org/name@v1", "--task", "poisson/in-domain", "--track", "lite"],
    "eval on data": [
        *("eval", "--model", "zero", "--task", "poisson/in-domain", "--track", "lite", "--data", "org/data"),
    ],
    "verify": ["data", "verify", "org/data"],
}
SCRIPT = """
import contextlib, io, json, os, sys, time
if sys.argv[1] == "no network":
    os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # the discard port, where nobody listens
from pdebench_fm.cli import main
found = []
main(["zoo", "list"])  # imports what all of them need
for words in json.loads(sys.argv[2]):
    began, said = time.monotonic(), io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(words)
    found.append([code, said.getvalue(), time.monotonic() - began])
print(json.dumps(found))
"""


@pytest.mark.parametrize("how", ["offline", "no network"])
def test_each_command_says_in_a_line_and_soon_that_the_hub_is_not_to_be_had(how, hub, tmp_path):
    hub.forget_requests()
    words = json.dumps(list(COMMANDS.values()))
    found = run_client(SCRIPT, hub, tmp_path / "home", how, words, offline=how == "offline")
    reason = "HF_HUB_OFFLINE is set" if how == "offline" else "the Hub cannot be reached"
    for command, (code, said, seconds) in zip(COMMANDS, found, strict=True):
        *waits, line = said.splitlines()
        assert code == 1, command
        assert line.startswith("pdefm: "), command
        assert reason in line, command
        if how == "offline" or "pull" not in command:
            assert ("org/data" if "org/data" in COMMANDS[command] else "org/name") in line, command
        assert all(each.startswith("waiting ") for each in waits), command
        assert not waits or how == "no network", command
        assert seconds < 30, command
    assert hub.requests == []
