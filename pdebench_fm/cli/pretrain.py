"""`pdefm pretrain`: train a model of the zoo's architecture on fresh samples."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from pdebench_fm.cli.console import progress_bar, say, short, speak_in_the_first_process_only
from pdebench_fm.errors import InterruptedRunError, UsageError


def pretrain(
    family: Annotated[str, typer.Option(help="poisson, advection-diffusion, helmholtz, mixed, or a plug-in's system.")],
    size: Annotated[str, typer.Option(help="64k, 1m, 16m or 256m.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; one with a checkpoint of the same run goes on.")],
    minutes: Annotated[float | None, typer.Option(help="Train for about this long.")] = None,
    steps: Annotated[int | None, typer.Option(help="Train for exactly this many optimizer steps.")] = None,
    shares: Annotated[
        str | None, typer.Option(help="Samples of each system in turn, in the family's order: 1,3,1; equal by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Fresh samples of each step.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="Adam's peak learning rate.")] = 1e-2,
    resolution: Annotated[int, typer.Option(help="Points a side of the training fields.")] = 64,
    coarse_share: Annotated[
        float, typer.Option(help="Share of the steps, the first ones, on the coarse grid, where they cost less.")
    ] = 0.9,
    coarse_resolution: Annotated[int, typer.Option(help="Points a side of the coarse grid.")] = 32,
    warmup_steps: Annotated[int, typer.Option(help="Steps until the learning rate's peak.")] = 200,
    normaliser: Annotated[
        Literal["homogeneous-rms", "diffusion-normalised"], typer.Option(help="How inputs become the network's.")
    ] = "homogeneous-rms",
    frame: Annotated[
        Literal["given", "square", "lattice"],
        typer.Option(help="Coordinates of the network: those given, or by symmetry always the same ones."),
    ] = "given",
    diffusivity: Annotated[
        Literal["geometric", "mean"],
        typer.Option(help="Of diffusion-normalised: which mean of the diffusion tensor's eigenvalues divides it."),
    ] = "geometric",
    velocity_share: Annotated[
        float, typer.Option(help="Of diffusion-normalised: how much the velocity counts beside the diffusion.")
    ] = 0.0,
    omega_share: Annotated[
        float, typer.Option(help="Of diffusion-normalised: how much ω counts beside the diffusion.")
    ] = 0.0,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW; 0 is Adam.")] = 0.0,
    ema_decay: Annotated[
        float, typer.Option(help="Of the averaged weights, which are the ones that are saved.")
    ] = 0.998,
    decay_share: Annotated[
        float, typer.Option(help="Share of the steps, the last ones, in which the learning rate falls.")
    ] = 1.0,
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="Of the pointwise maps; what is spectral stays float32.")
    ] = "float32",
    seed: Annotated[int, typer.Option(help="Of the initial weights.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps or auto.")] = "auto",
) -> None:
    """Pretrain on an endless stream of fresh samples; run again to go on after an interruption (Ctrl-C saves)."""
    if (minutes is None) == (steps is None):
        raise UsageError("say how long to train: either --minutes or --steps")
    if minutes is not None and minutes <= 0:
        raise UsageError(f"--minutes must be positive, not {minutes:g}")
    from pdebench_fm.training.requirements import require_training_libraries

    require_training_libraries()
    from pydantic import ValidationError

    from pdebench_fm.data.catalogue import find_family
    from pdebench_fm.memory import keep_freed_memory
    from pdebench_fm.models import choose_device
    from pdebench_fm.processes import end_with_parent
    from pdebench_fm.training.config import PretrainConfig
    from pdebench_fm.training.pretrain import PretrainProgress
    from pdebench_fm.training.run import pretrain as run_pretraining

    try:
        config = PretrainConfig(
            family=family,
            shares=() if shares is None else _shares(shares),
            size=size,
            steps=1 if steps is None else steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            resolution=resolution,
            coarse_share=coarse_share,
            coarse_resolution=coarse_resolution,
            warmup_steps=warmup_steps,
            normaliser=normaliser,
            frame=frame,
            diffusivity=diffusivity,
            velocity_share=velocity_share,
            omega_share=omega_share,
            weight_decay=weight_decay,
            ema_decay=ema_decay,
            decay_share=decay_share,
            precision=precision,
            seed=seed,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option}: {first['msg'].lower()}, not {first['input']}") from error
    speak_in_the_first_process_only()
    if "WORLD_SIZE" in os.environ:
        end_with_parent()  # a launcher that is killed cannot end its processes
    keep_freed_memory()
    with progress_bar() as progress:
        bar = progress.add_task(f"pretraining {config.model_name}", total=None, note="")

        def show(state: PretrainProgress) -> None:
            errors = ", ".join(f"{system} {short(error)}" for system, error in state.validation.items())
            note = f"loss {short(state.loss)}" + (f" · validation: {errors}" if errors else "")
            progress.update(bar, completed=state.step, total=state.steps, note=note)

        def tell_start(step: int, steps: int) -> None:
            if step == steps:
                say(f"all {steps} steps were done before: nothing is left to train")
            elif step:
                say(f"going on at step {step} of {steps}")

        try:
            folder = run_pretraining(
                config, out, minutes=minutes, device=str(choose_device(device)), on_start=tell_start, on_progress=show
            )
        except KeyboardInterrupt as interrupt:
            raise InterruptedRunError(": ".join(["interrupted", *interrupt.args])) from interrupt
    say(
        "saved ",
        (folder, "bold"),
        f"; evaluate it with pdefm eval --model {folder} --task {find_family(config.family)[0]}",
    )


def _shares(text: str) -> tuple[int, ...]:
    """Return whole numbers from a list with commas."""
    parts = [part.strip() for part in text.split(",")]
    if wrong := [part for part in parts if not (part.isascii() and part.isdecimal())]:
        raise UsageError(f"--shares: {wrong[0]!r} is no whole number: give such as 1,3,1")
    return tuple(map(int, parts))
