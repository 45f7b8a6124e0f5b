"""`pdefm reproduce`: the paper's figures and questions beyond it, each a study that runs, is drawn and judged."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from pdebench_fm.cli.completion import study_words
from pdebench_fm.cli.console import aside, console, duration, progress_bar, say
from pdebench_fm.cli.evaluation_display import EvaluationDisplay
from pdebench_fm.errors import InterruptedRunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress, TaskID

    from pdebench_fm.studies.models import OnTraining
    from pdebench_fm.studies.reproduce import Places
    from pdebench_fm.studies.study import Study
    from pdebench_fm.studies.verdicts import Verdicts


def reproduce(
    study: Annotated[
        str,
        typer.Argument(
            help="fig2, fig3, fig4, fig5, mixed, anchor, a beyond-… study, beyond, all, or your own .yaml.",
            autocompletion=study_words,
        ),
    ],
    scale: Annotated[
        Literal["smoke", "cpu", "gpu", "paper"],
        typer.Option(help="smoke: does it run, in a minute or so; cpu: hours on two cores; gpu, paper: GPU-hours."),
    ] = "smoke",
    out: Annotated[Path, typer.Option(help="Folder of the studies' folders.")] = Path("reproduction"),
    pretrained: Annotated[
        Path | None,
        typer.Option(help="Folder of models that are there and of those trained here.", show_default="in the cache"),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of finished cells, else $PDEFM_CACHE or the usual.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of this machine to compute in.", show_default=False)
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Compute on a running Dask cluster: tcp://host:8786.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, auto, or cuda:0,cuda:1: a process each.")] = "auto",
    redraw: Annotated[bool, typer.Option("--redraw", help="Draw and judge anew what was computed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be computed, and its cost.")] = False,
) -> None:
    """Run studies: figure, data and a verdict on every claim, into a folder each; run again to go on."""
    if redraw and dry_run:
        raise UsageError("choose either --redraw or --dry-run")
    from pdebench_fm.folders import default_cache_folder
    from pdebench_fm.studies.study import load_study, study_paths

    studies = [load_study(path, scale) for path in study_paths(study)]
    kept = cache or default_cache_folder()
    place = pretrained or kept / "pretrained"
    if dry_run:
        _tell_costs(studies, place)
    elif redraw:
        _redraw(studies, out, several=len(studies) > 1)
    else:
        from pdebench_fm.evaluation.cache import CellCache
        from pdebench_fm.studies.reproduce import Places

        _run(studies, out, Places(CellCache(kept), place, device, workers, scheduler))


def _run(studies: "Sequence[Study]", out: Path, places: "Places") -> None:
    from pdebench_fm.memory import keep_freed_memory
    from pdebench_fm.studies.models import check_models
    from pdebench_fm.studies.reproduce import Watching, check_out, reproduce

    for study in studies:  # before the first of them takes hours
        check_out(study, out)
        check_models(study, places.pretrained)
    keep_freed_memory()
    for study in studies:
        with progress_bar() as progress, EvaluationDisplay() as display:
            watching = Watching(_shown_in(progress), display.show, display.note)
            try:
                verdicts = reproduce(study, out, places, watching)
            except KeyboardInterrupt as interrupt:
                told = "; ".join(["interrupted", *(str(word) for word in interrupt.args)])
                raise InterruptedRunError(f"{told}; what is finished is kept: run it again") from interrupt
        _tell(study, verdicts, out)


def _shown_in(progress: "Progress") -> "OnTraining":
    """Return what shows pretrainings in a display, a line each."""
    bars: dict[str, TaskID] = {}

    def show(what: str, step: int, steps: int) -> None:
        if what not in bars:
            bars[what] = progress.add_task(f"pretraining {what}", total=steps, note="")
        progress.update(bars[what], completed=step, total=steps)

    return show


def _redraw(studies: "Sequence[Study]", out: Path, *, several: bool) -> None:
    from pdebench_fm.studies.reproduce import STUDY_NAME, redraw

    there = [study for study in studies if not several or (out / study.name / STUDY_NAME).is_file()]
    if not there:
        raise UsageError(f"{out} holds none of these studies: run them first, without --redraw")
    for study in studies:
        if study in there:
            _tell(study, redraw(study, out), out)
        else:
            say(f"note: {study.name} was not run, so there is nothing to redraw", to=aside)


def _tell(study: "Study", verdicts: "Verdicts", out: Path) -> None:
    """Print a study's verdicts and where its files are."""
    if verdicts.verdicts:
        title = f"{study.name} ({study.scale}): {study.file.title}"
        table = Table(title=title, title_justify="left", show_lines=False)
        table.add_column("claim", overflow="fold")
        table.add_column("verdict", no_wrap=True)
        table.add_column("by what", overflow="fold")
        for verdict in verdicts.verdicts:
            table.add_row(verdict.claim, verdict.in_short, verdict.because)
        console.print(table)
    for line in verdicts.left_out:
        say(f"note: left out: {line}", to=aside)
    if study.is_tiny:
        say("smoke: tiny models, rows and trainings; the verdicts above have no scientific meaning", to=aside)
    say("figure, data and verdicts in ", (out / study.name, "bold"))


def _tell_costs(studies: "Sequence[Study]", pretrained: Path) -> None:
    from pdebench_fm.studies.estimate import SUSTAINED_FLOPS, costs_of, total

    table = Table(title="What a study takes as a whole: what is finished is not deducted", title_justify="left")
    table.add_column("study, part", overflow="fold", min_width=24)
    for column in ("cells", "passes", "FLOPs", "one core", "GPU ≥"):
        table.add_column(column, justify="right")
    for study in studies:
        costs = costs_of(study, pretrained)
        for cost in [*costs, total(costs)] if costs else []:
            time = "?" if cost.seconds is None else duration(cost.seconds)
            on_gpu = "?" if cost.gpu_hours is None else duration(3600.0 * cost.gpu_hours)
            flops = "?" if cost.flops is None else f"{cost.flops:.1e}"
            last = cost.what == "all"
            name = f"{study.name}, {cost.what}"
            table.add_row(name, str(cost.cells or ""), f"{cost.passes:.1e}", flops, time, on_gpu, end_section=last)
    console.print(table)
    say(
        "Passes of one row through a network, a backward one counting as two; the time on one core of this machine "
        "follows from one forward pass of each model; FLOPs are those of matrix products, of which a GPU is taken to "
        f"do {SUSTAINED_FLOPS:.0e} a second, as 16 processes with 1m and 16m models did on an H100; one takes longer",
        to=aside,
    )
