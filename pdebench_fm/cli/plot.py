"""`pdefm plot`: pictures of results, for print or to explore."""

from pathlib import Path
from typing import Annotated

import typer

from pdebench_fm.cli.completion import pictures, starts
from pdebench_fm.cli.console import aside, say


def plot(
    results: Annotated[list[Path], typer.Argument(help="Result files, or folders of them.")],
    kind: Annotated[
        str,
        typer.Option(
            help="shots, sizes or regimes: errors against these; fields: predictions.", autocompletion=pictures
        ),
    ],
    out: Annotated[Path, typer.Option(help="The picture: a .png, .svg, .pdf or .html file.")],
    task: Annotated[str | None, typer.Option(help="Only these: helmholtz-ood/medium, helmholtz-ood; a,b.")] = None,
    model: Annotated[str | None, typer.Option(help="Only these models, as the results name them; a,b.")] = None,
    method: Annotated[
        str | None, typer.Option(help="Only by these ways of adapting, as the results name them: v1, symmetric; a,b.")
    ] = None,
    track: Annotated[str | None, typer.Option(help="full or lite; needed where there are results of both.")] = None,
    shots: Annotated[str | None, typer.Option(help="Only these, such as 0,32.")] = None,
    start: Annotated[str | None, typer.Option(help="Only pretrained or scratch.", autocompletion=starts)] = None,
    reference: Annotated[
        str | None, typer.Option(help="For fields: what to open the model from, as --model of `pdefm eval`.")
    ] = None,
) -> None:
    """Draw errors against shots, model size or regime, or the fields of the best, median and worst test sample."""
    from pdebench_fm.plots.draw import draw
    from pdebench_fm.plots.selection import Selection
    from pdebench_fm.protocol.names import shots_list, split_list

    selection = Selection(
        tasks=tuple(split_list(task, "task")) if task is not None else (),
        models=tuple(split_list(model, "model")) if model is not None else (),
        methods=tuple(split_list(method, "method")) if method is not None else (),
        track=track,
        shots=tuple(shots_list(shots)) if shots is not None else (),
        start=start,
    )
    drawing = draw(results, kind, out, selection, reference=reference)
    for note in drawing.notes:
        say(f"note: {note}", to=aside)
    say("drew ", (drawing.path, "bold"))
