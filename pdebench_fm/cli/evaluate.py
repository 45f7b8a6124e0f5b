"""`pdefm eval`: the standard zero/few-shot evaluation, as a table and a result file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from pdebench_fm.cli.console import console, progress_bar, short
from pdebench_fm.cli.smoke import smoke as run_smoke
from pdebench_fm.errors import UsageError

if TYPE_CHECKING:
    from pdebench_fm.evaluation.result import Result, Run


def evaluate(
    model: Annotated[str, typer.Option(help="A zoo name, a directory, or a Hub id (org/name, org/name@revision).")],
    task: Annotated[str | None, typer.Option(help="<dataset>/<regime>, such as helmholtz-ood/medium.")] = None,
    shots: Annotated[str, typer.Option(help="Support-set sizes, such as 32 or 0,8,32; 0 is zero-shot.")] = "0",
    track: Annotated[str, typer.Option(help="full (128², whole test split) or lite (64², 512 rows).")] = "full",
    seeds: Annotated[int, typer.Option(help="Runs of each adaptation.")] = 3,
    data: Annotated[str | None, typer.Option(help="Read rows of this folder or Hub dataset instead.")] = None,
    scratch: Annotated[bool, typer.Option(help="Also train the architecture from scratch.")] = True,
    out: Annotated[Path, typer.Option(help="Folder of the result files.")] = Path("results"),
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps or auto.")] = "auto",
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Only try all tasks on a few samples: what would fail?")
    ] = False,
) -> None:
    """Evaluate a model on a task, beside the same architecture trained from scratch."""
    if smoke:
        run_smoke(model, device)
        return
    if task is None:
        raise UsageError("--task is missing: name what to evaluate on, such as --task helmholtz-ood/medium")
    from pdebench_fm.evaluation.evaluate import EvaluationProgress
    from pdebench_fm.evaluation.evaluate import evaluate as run_evaluation
    from pdebench_fm.evaluation.protocol import check_shots, find_track
    from pdebench_fm.evaluation.result import write_result
    from pdebench_fm.evaluation.task import load_task
    from pdebench_fm.leaderboard.store import row_path
    from pdebench_fm.memory import keep_freed_memory
    from pdebench_fm.models import load_model

    wanted = _parse_shots(shots)
    find_track(track)
    loaded_task = load_task(task, data)
    for number in wanted:
        check_shots(number, loaded_task.train.size)
    loaded_model = load_model(model, device)
    keep_freed_memory()
    with progress_bar() as progress:
        bar = progress.add_task(f"evaluating {model} on {task}", total=None, note="")

        def show(state: EvaluationProgress) -> None:
            fraction = state.step / state.steps if state.steps else 0.0
            note = f"runs; {state.start}, {state.shots} shots, seed {state.seed}: {fraction:4.0%}"
            progress.update(bar, completed=state.done, total=state.runs, note=note)

        result = run_evaluation(
            loaded_model, loaded_task, wanted, track=track, seeds=seeds, scratch=scratch, on_progress=show
        )
        progress.update(bar, completed=sum(len(run.seeds) for run in result.runs), note="runs")
    path = out.joinpath(*row_path(result).parts[1:])  # as on a leaderboard, less its "results/"
    write_result(result, path)
    console.print(_table(result))
    console.print(f"result: [bold]{path}[/]; for a leaderboard: pdefm submit {path} --to leaderboard/", soft_wrap=True)


def _parse_shots(text: str) -> list[int]:
    """Return the numbers of a comma-separated list."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--shots takes whole numbers separated by commas, such as 0,8,32, not {text!r}") from None


def _table(result: "Result") -> Table:
    """Return the result as a table: pretrained beside scratch, one row a number of shots."""
    runs = {(run.start, run.shots): run for run in result.runs}
    title = f"{result.model.model_id} on {result.task} ({result.track}): relative ℓ² error"
    table = Table(title=title, title_justify="left")
    table.add_column("shots", justify="right")
    table.add_column("pretrained", justify="right")
    table.add_column("from scratch", justify="right")
    table.add_column("error against scratch", justify="right")
    for shots in sorted({run.shots for run in result.runs}):
        pretrained, scratch = runs.get(("pretrained", shots)), runs.get(("scratch", shots))
        ratio = ""
        if pretrained and scratch:
            ratio = f"{short(pretrained.summary.mean / scratch.summary.mean)}×"
        table.add_row(str(shots), _cell(pretrained), _cell(scratch), ratio)
    return table


def _cell(run: "Run | None") -> str:
    """Return a score with its standard deviation over seeds."""
    if run is None:
        return "—"
    mean, deviation = run.summary.mean, run.summary.standard_deviation
    return short(mean) if len(run.seeds) == 1 else f"{short(mean)} ± {short(deviation)}"
