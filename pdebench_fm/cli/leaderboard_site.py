"""`pdefm leaderboard build`, `serve` and `publish`: rows in, pages out, shown here or on the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdebench_fm.cli.console import aside, say, waiting
from pdebench_fm.errors import UsageError

if TYPE_CHECKING:
    from pdebench_fm.leaderboard.space import PublishedSite

_SHOWN = 20  # files that a publication lists


def build(
    out: Annotated[Path, typer.Option(help="Folder of the site.")],
    source: Annotated[
        str | None,
        typer.Option("--from", help="A folder, or ORG/NAME on the Hub; else leaderboard/, or the package's rows."),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Draw rows of each task and predictions of the package's own models, once.")
    ] = True,
) -> None:
    """Build the leaderboard's site, which opens from disk; files that are no rows are left out, and named."""
    from pdebench_fm.leaderboard.fetching import leaderboard_at
    from pdebench_fm.leaderboard.site import build_site

    if source == "":
        raise UsageError("--from is empty: name the leaderboard's folder, or ORG/NAME on the Hub")
    with waiting(f"fetching {source or 'rows'}") as update, leaderboard_at(source, on_wait=update) as folder:
        update(f"building {out}")
        page = build_site(
            folder,
            out,
            lambda note: say(f"note: {note}", to=aside),
            pictures=pictures,
            on_draw=lambda what: update(f"drawing {what}"),
        )
    say("built ", (page, "bold"))


def serve(
    site: Annotated[Path, typer.Argument(help="Folder of the site, as `build` wrote it.")] = Path("site"),
    port: Annotated[int, typer.Option(help="Of this machine; 0 takes a free one.", min=0, max=65535)] = 8000,
) -> None:
    """Show a built site to browsers of this machine, until Ctrl-C."""
    from pdebench_fm.leaderboard.serving import serving

    with serving(site, port) as (server, address):
        say("serving ", (site, "bold"), " at ", (address, "bold"), "; Ctrl-C ends it")
        server.serve_forever()


def publish(
    space: Annotated[str, typer.Option(help="The Space, ORG/NAME; made if missing.")],
    site: Annotated[Path, typer.Argument(help="Folder of the site, as `build` wrote it.")] = Path("site"),
    private: Annotated[bool, typer.Option("--private", help="Make a new Space private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
) -> None:
    """Publish a built site as a static Space of the Hugging Face Hub; what is gone from the site is removed there.

    The token is that of `hf auth login` or HF_TOKEN, and HF_ENDPOINT names another Hub.
    """
    from huggingface_hub.utils import disable_progress_bars

    from pdebench_fm.leaderboard.space import publish_site

    disable_progress_bars()  # of the client: they would break up this command's own line
    with waiting(f"publishing {site} to {space}") as update:
        done = publish_site(site, space, private=private, dry_run=dry_run, on_wait=update)
    _say_published(done, dry_run=dry_run)


def _say_published(done: "PublishedSite", *, dry_run: bool) -> None:
    if done.unchanged:
        say((done.space, "bold"), f" has all of it already: nothing to do; {done.url}")
        return
    would = "would be " if dry_run else ""
    for what, paths in (("sent", done.sent), ("removed", done.removed)):
        for path in paths[:_SHOWN]:
            say(f"{would}{what}: ", (path, "bold"))
        if more := len(paths[_SHOWN:]):
            say(f"{would}{what}: {more:,} more")
    if not dry_run:
        say("published ", (done.space, "bold"), f": {done.url}")
