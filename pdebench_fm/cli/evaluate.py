"""`pdefm eval`: the standard zero/few-shot evaluation of models on tasks, as a table and result files."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdebench_fm.cli.completion import models, tasks
from pdebench_fm.cli.console import aside, console, say, stdout_kept_clear
from pdebench_fm.cli.evaluation_display import EvaluationDisplay, overall_errors, single_table, suite_table
from pdebench_fm.cli.smoke import smoke as run_smoke
from pdebench_fm.errors import PdefmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdebench_fm.evaluation.cache import CellCache
    from pdebench_fm.results.evaluation import Evaluation
    from pdebench_fm.results.result import Result

_NOBODYS = "local"  # folder of results of models whose organisation is not known


def evaluate(
    model: Annotated[
        str,
        typer.Option(
            help="A zoo name, a directory, a Hub id (org/name, org/name@revision), path/to/file.py:build, "
            "path/to/graph.onnx, a plug-in or a baseline; a,b.",
            autocompletion=models,
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(
            help="Such as helmholtz-ood/medium, helmholtz-ood (all its regimes), all; a,b.", autocompletion=tasks
        ),
    ] = None,
    shots: Annotated[str, typer.Option(help="Support-set sizes, such as 32 or 0,8,32; 0 is zero-shot.")] = "0",
    track: Annotated[
        str,
        typer.Option(help="full (128², whole test split), lite (64², 512 rows), or an unranked n256-rows512."),
    ] = "full",
    seeds: Annotated[int, typer.Option(help="Runs of each adaptation.")] = 3,
    recipe: Annotated[
        str | None,
        typer.Option(help="v1, the protocol's, or paper: chosen on validation, not ranked.", show_default="v1"),
    ] = None,
    adaptation: Annotated[
        str | None,
        typer.Option(
            help="Adapt by an open method instead: symmetric, l2-sp, path/to/file.py:adapt or a plug-in.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Read rows of this folder or Hub dataset instead.")] = None,
    scratch: Annotated[bool, typer.Option(help="Also train the architecture from scratch.")] = True,
    deterministic: Annotated[
        bool | None, typer.Option(help="Deterministic algorithms only; by default on a CPU.", show_default=False)
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="A training.json that states which rows the model was trained on.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="What results call a model of yours, such as my-fno or org/my-fno; else that of its file or folder.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result files.")] = Path("results"),
    graphs: Annotated[
        Path | None,
        typer.Option(help="Also write each model, adapted as it was scored, as an ONNX graph into this folder."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of finished cells, else $PDEFM_CACHE or the usual.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Compute on a running Dask cluster: tcp://host:8786.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of this machine to compute in.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, auto, or cuda:0,cuda:1: a process each.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON instead of a table.")] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Only try all tasks on a few samples: what would fail?")
    ] = False,
) -> None:
    """Evaluate models on tasks, beside the same architectures trained from scratch; run again to go on."""
    if smoke:
        _check_smoke(as_json, name)
        run_smoke(model, device, recipe, adaptation)
        return
    if task is None:
        raise UsageError("--task is missing: name what to evaluate on, such as --task helmholtz-ood/medium, or all")
    from pdebench_fm.data.training_manifest import required_manifest
    from pdebench_fm.evaluation.evaluate import evaluate_suite
    from pdebench_fm.memory import keep_freed_memory
    from pdebench_fm.protocol.names import shots_list, split_list

    named, wanted, numbers = split_list(model, "model"), split_list(task, "task"), shots_list(shots)
    keep_freed_memory()
    written: dict[Path, Path] = {}

    def keep(evaluation: "Evaluation") -> None:
        place = _place(evaluation.result)
        written[place] = evaluation.write(out / place)

    with stdout_kept_clear() if as_json else nullcontext(), EvaluationDisplay() as display:
        evaluations = evaluate_suite(
            named,
            wanted,
            numbers,
            track=track,
            seeds=seeds,
            scratch=scratch,
            recipe=recipe,
            adaptation=adaptation,
            deterministic=deterministic,
            graphs=graphs,
            data=data,
            device=device,
            name=name,
            training=None if manifest is None else required_manifest(manifest),
            cache=_cell_cache(cache),
            workers=workers,
            scheduler=scheduler,
            on_note=display.note,
            on_progress=display.show,
            on_evaluation=keep,
        )
    results = [evaluation.result for evaluation in evaluations]
    paths = [written[_place(result)] for result in results]
    if as_json:
        typer.echo(json.dumps(_as_json(results, paths), indent=2, ensure_ascii=False))
    elif len(results) == 1:
        console.print(single_table(results[0]))
        say("result: ", (paths[0], "bold"), _submit_hint(results, paths[0]))
    else:
        console.print(suite_table(results))
        say(f"{len(results)} results in ", (out, "bold"), _submit_hint(results, out))
    if graphs is not None:
        of_scores = [cell.graph for result in results for cell in result.cells]
        count = len(of_scores) - of_scores.count(None)
        say(
            f"graphs of {count} of {len(of_scores)} scores in ",
            (graphs, "bold"),
            ": for a verifier to run, once they are on the Hub" if count else ": the notes above say why",
        )
    failures = [(result, failure) for result in results for failure in result.failures]
    if failures:
        cells = sum(len(run.seeds) for result in results for run in result.runs) + len(failures)
        first, failure = failures[0]
        raise PdefmError(
            f"{len(failures)} of {cells} runs failed; the first: {first.model.model_id} on {first.task}, "
            f"{failure.start}, {failure.shots} shots, seed {failure.seed}: {failure.reason}"
        )


def _check_smoke(as_json: bool, name: str | None) -> None:
    """Raise a `UsageError` for what is about scores, which a smoke test has none of."""
    if as_json:
        raise UsageError("--json is for scores, and --smoke gives none: leave one of them out")
    if name is not None:
        raise UsageError("--name is for results, and --smoke gives none: leave one of them out")


def _place(result: "Result") -> Path:
    """Return where a result lies in the folder of results: as on a leaderboard, less its `results/`.

    A model that neither is the package's nor has an organisation in its name is under `local`: whose it is, is said
    when it is submitted.
    """
    from pdebench_fm.leaderboard.official import is_official
    from pdebench_fm.naming import HOME_ORGANISATION
    from pdebench_fm.results.paths import row_path

    return Path(*row_path(result, HOME_ORGANISATION if is_official(result.model) else _NOBODYS).parts[1:])


def _as_json(results: "Sequence[Result]", paths: "Sequence[Path]") -> dict[str, object]:
    """Return the scores for other programs; everything else is in the result files that are named."""
    return {
        "results": [
            {
                "task": result.task,
                "track": result.track,
                "model": result.model.model_id,
                "division": result.division,
                "method": result.method,
                "file": str(path),
                "runs": [run.model_dump(mode="json", exclude={"by_parameter"}) for run in result.runs],
                "failures": [failure.model_dump(mode="json", exclude={"environment"}) for failure in result.failures],
            }
            for result, path in zip(results, paths, strict=True)
        ],
        "overall": [
            {"model": name, "start": start, "shots": shots, "mean": error}
            for name, errors in overall_errors(results)
            for (start, shots), error in errors.items()
        ],
    }


def _cell_cache(folder: Path | None) -> "CellCache | None":
    """Return where finished cells are kept; where there is no place for them, say so and go on."""
    from pdebench_fm.evaluation.cache import CellCache
    from pdebench_fm.folders import default_cache_folder

    try:
        return CellCache(folder or default_cache_folder())
    except PdefmError as error:
        say(f"note: finished cells are not kept: {error}", to=aside)
        return None


def _submit_hint(results: "Iterable[Result]", path: Path) -> str:
    """Return what to do with result files at `path`, if a leaderboard can rank them all."""
    from pdebench_fm.leaderboard.official import is_official
    from pdebench_fm.leaderboard.submission import check_rankable

    nobodys = False
    try:
        for result in results:
            check_rankable(result)
            nobodys = nobodys or not (is_official(result.model) or "/" in result.model.model_id)
    except UsageError:
        return ""
    return f"\nfor a leaderboard: pdefm submit {path} --to board/{' --organisation YOURS' if nobodys else ''}"
