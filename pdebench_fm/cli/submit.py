"""`pdefm submit`: results onto a leaderboard, in a folder or on the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdebench_fm.cli.console import aside, say, waiting
from pdebench_fm.errors import UsageError

if TYPE_CHECKING:
    from pdebench_fm.leaderboard.on_hub import Proposal
    from pdebench_fm.leaderboard.submission import Submission, Submitter


def submit(
    results: Annotated[list[Path], typer.Argument(help="Result files, or folders of them.")],
    to: Annotated[
        str, typer.Option(help="The leaderboard: a folder, or ORG/NAME on the Hub, which gets a pull request.")
    ] = "leaderboard",
    organisation: Annotated[
        str | None,
        typer.Option(help="Who sends models that are not named org/name; on the Hub you, unless you say otherwise."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model is to be called: name, or org/name.")] = None,
    code: Annotated[str | None, typer.Option(help="Where the model's code is, https://…")] = None,
    weights: Annotated[str | None, typer.Option(help="Where its weights are on the Hub: ORG/NAME@COMMIT.")] = None,
    replace: Annotated[bool, typer.Option(help="Replace other scores of the same cells, in a folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
) -> None:
    """Check result files and put them on a leaderboard, all of them or none; what cannot be ranked is left out.

    On the Hub this opens a pull request. The token is that of `hf auth login` or HF_TOKEN, and HF_ENDPOINT names
    another Hub.
    """
    from pdebench_fm.leaderboard.on_hub import is_on_hub
    from pdebench_fm.leaderboard.submission import Submitter

    if not to:
        raise UsageError("--to is empty: name the leaderboard's folder, or ORG/NAME on the Hub")
    submitter = Submitter(organisation, name, code, weights)
    if is_on_hub(to):
        if replace:
            raise UsageError("--replace is for a leaderboard in a folder: on the Hub nobody's scores are replaced")
        _to_hub(results, to, submitter, dry_run=dry_run)
    else:
        _to_folder(results, Path(to), submitter, replace=replace, dry_run=dry_run)


def _to_folder(results: list[Path], to: Path, submitter: "Submitter", *, replace: bool, dry_run: bool) -> None:
    from pdebench_fm.leaderboard import store

    found = store.submit(results, to, submitter, replace=replace, dry_run=dry_run)
    _say_notes(found)
    for row in found.rows:
        if row.state == "already there":
            say("already on the leaderboard: ", (to / row.place, "bold"))
        else:
            say("would be written: " if dry_run else "on the leaderboard: ", (to / row.place, "bold"))


def _to_hub(results: list[Path], to: str, submitter: "Submitter", *, dry_run: bool) -> None:
    from huggingface_hub.utils import disable_progress_bars

    from pdebench_fm.leaderboard.on_hub import submit_to_hub

    disable_progress_bars()  # of the client: they would break up this command's own line
    with waiting(f"submitting to {to}") as update:
        done = submit_to_hub(results, to, submitter, dry_run=dry_run, on_wait=update)
    _say_notes(done.submission)
    _say_proposal(done, to, dry_run=dry_run)


def _say_proposal(done: "Proposal", to: str, *, dry_run: bool) -> None:
    if not done.files:
        say("all of it is on the leaderboard ", (to, "bold"), " already: nothing to do")
        return
    request = done.pull_request
    if request is not None and request.already_open:
        say("a pull request with all of this is open already, nothing to do: ", (request.url, "bold"))
        return
    for path, size in done.files.items():
        say("would be sent: " if dry_run else "sent: ", (path, "bold"), f" ({size:,} bytes)")
    if request is not None:
        say("pull request: ", (request.url, "bold"))


def _say_notes(found: "Submission") -> None:
    for note in found.notes:
        say(f"note: {note}", to=aside)
