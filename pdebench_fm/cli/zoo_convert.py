"""`pdefm zoo import` and `pdefm zoo export`: models from other codes, and models for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from pdebench_fm.cli.console import say


def import_model(
    checkpoint: Annotated[Path, typer.Argument(help="The peer's file of weights, such as ckpt.tar.")],
    peer: Annotated[str, typer.Option("--from", help="Whose code trained it: tl-scaling.")],
    config: Annotated[Path, typer.Option(help="The YAML file of options that it was trained with.")],
    out: Annotated[Path, typer.Option(help="Folder of the model, a new one.")],
    entry: Annotated[str | None, typer.Option(help="Which of the file's configurations, if it has several.")] = None,
    scales: Annotated[Path | None, typer.Option(help="The scales.npy that the configuration names.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="A training.json that states which rows the weights were trained on.")
    ] = None,
) -> None:
    """Convert weights trained with a peer's code to a model folder with the same outputs."""
    from pdebench_fm.data.training_manifest import required_manifest
    from pdebench_fm.models import peers

    training = None if manifest is None else required_manifest(manifest)
    model = peers.import_model(peer, checkpoint, config, out, entry=entry, scales=scales, training=training)
    found = model.config
    say(
        "saved ",
        (out, "bold"),
        f": {found.family}, width {found.width}, {found.modes} modes, {found.layers} layers; "
        f"evaluate it with pdefm eval --model {out} --task {found.family}/pretrain",
    )


def export_model(
    model: Annotated[
        str, typer.Argument(help="Any model: a zoo name, a directory, a Hub id, path/to/file.py:build, a baseline.")
    ],
    to: Annotated[str, typer.Option(help="torch-export or onnx.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    resolution: Annotated[int, typer.Option(help="Points a side of the fields that the program takes.")] = 128,
) -> None:
    """Write a model as one program that runs without this package, and check that it computes the same."""
    from pdebench_fm.models.export import export_model as run_export
    from pdebench_fm.models.references import open_candidate

    candidate = open_candidate(model)
    with candidate.its_modules():
        difference = run_export(candidate.operator, to, out, resolution, name=candidate.name)
    say(
        "saved ",
        (out, "bold"),
        f": source (B, {resolution}, {resolution}), coefficients (B, 6) -> solution "
        f"(B, {resolution}, {resolution}); differs from the model by {difference:.1e}",
    )
