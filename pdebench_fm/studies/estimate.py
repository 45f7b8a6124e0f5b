"""What a study costs before it is run: cells, floating-point operations, and the time that follows from these."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.settings import settings_of
from pdebench_fm.evaluation.suite import Suite
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.fno import FNO
from pdebench_fm.models.loading import recipe_directory, zoo_folder
from pdebench_fm.models.sizes import SIZES
from pdebench_fm.models.sources import CONFIG_NAME, read_config
from pdebench_fm.protocol.recipes import RECIPES
from pdebench_fm.protocol.task import load_task
from pdebench_fm.protocol.tracks import find_track
from pdebench_fm.studies.models import found
from pdebench_fm.studies.study import EvaluationBlock, ModelSource, Study
from pdebench_fm.surroundings import standard

SUSTAINED_FLOPS: Final = 6e12
"""Floating-point operations a second that a GPU is taken to sustain on these networks.

Sixteen processes that shared an NVIDIA H100 reached 6.6e12 together where they fine-tuned `fno-poisson-1m` with 32 rows
at 128×128, 5.4e12 with `fno-mixed-16m` and eight rows at 64×64, and 0.9e12 with `fno-poisson-64k` and as many. One
process does a fraction of that. Other sizes, and GPUs, were not measured.
"""

_BATCH = 4  # samples of the forward pass that is timed

Shape = tuple[int, int]
"""Width and modes of a network."""


@dataclass(frozen=True)
class Cost:
    """What a part of a study costs.

    Attributes:
        what: in words.
        cells: of an evaluation; 0 for a pretraining.
        passes: forward passes of one sample; a backward pass counts as two.
        flops: of matrix products in them, as PyTorch's counter has it; None for a model whose shape isn't known.
        seconds: here, on one core, at the pace of one forward pass; None likewise, or where nothing was timed.
    """

    what: str
    cells: int
    passes: float
    flops: float | None
    seconds: float | None

    @property
    def gpu_hours(self) -> float | None:
        """How long a GPU takes at `SUSTAINED_FLOPS`."""
        return None if self.flops is None else self.flops / SUSTAINED_FLOPS / 3600.0


def costs_of(study: Study, pretrained: Path, *, timed: bool = True) -> list[Cost]:
    """Return what a study costs from the beginning, whatever is in the cache.

    Args:
        study: to be run.
        pretrained: where models lie that need not be trained.
        timed: whether a forward pass of each model is timed here.
    """
    parts = []
    for name in dict.fromkeys(model for block in study.file.evaluations.values() for model in block.models):
        source = study.file.models[name]
        if source.pretrain is not None and found(source, pretrained) is None:
            config = source.pretrain
            coarse, steps = config.coarse_steps, config.steps
            grids = [(config.coarse_resolution, coarse), (config.resolution, steps - coarse)]
            passes = [(n, 3.0 * number * config.batch_size) for n, number in grids if number]
            parts.append(_cost(f"pretrain {name}", 0, [(_shape(source, pretrained), *each) for each in passes], timed))
    for name, block in study.file.evaluations.items():
        parts.append(_evaluation(study, name, block, pretrained, timed))
    return parts


def total(costs: list[Cost]) -> Cost:
    """Return the sum of costs; what isn't known of one isn't known of all."""

    def summed(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return Cost(
        "all",
        sum(cost.cells for cost in costs),
        sum(cost.passes for cost in costs),
        summed([cost.flops for cost in costs]),
        summed([cost.seconds for cost in costs]),
    )


def _evaluation(study: Study, name: str, block: EvaluationBlock, pretrained: Path, timed: bool) -> Cost:
    """Return the cost of an evaluation, whose cells are planned with models that stand for those to come."""
    is_recipe = block.method in RECIPES
    settings = settings_of(
        block.shots,
        track=study.track_of(block),
        seeds=study.seeds_of(block),
        scratch=block.scratch,
        recipe=block.method if is_recipe else None,
        adaptation=None if is_recipe else block.method,
    )
    tasks = [load_task(task) for task in block.tasks]
    resolution = find_track(settings.track).resolution
    cells, passes = 0, []
    for model in block.models:
        stand_in = Candidate(nn.Linear(1, 1), model, torch.device("cpu"), fresh=lambda _: nn.Linear(1, 1))
        suite = Suite((stand_in,), tuple(tasks), settings)
        own = [cell for task in tasks for cell in suite.cells(stand_in, task)]
        cells += len(own)
        shape = _shape(study.file.models[model], pretrained)
        passes.append((shape, resolution, float(sum(cell.work for cell in own))))
    return _cost(f"evaluate {name}", cells, passes, timed)


def _cost(what: str, cells: int, passes: list[tuple[Shape | None, int, float]], timed: bool) -> Cost:
    def summed(rate: Callable[[Shape, int], float]) -> float | None:
        known = [(shape, n, number) for shape, n, number in passes if shape is not None]
        return sum(rate(shape, n) * number for shape, n, number in known) if len(known) == len(passes) else None

    seconds = summed(_seconds) if timed else None
    return Cost(what, cells, sum(number for *_, number in passes), summed(flops_of), seconds)


def _shape(source: ModelSource, pretrained: Path) -> Shape | None:
    """Return the shape of a model that need not be there; None for one that is no Fourier neural operator of ours."""
    if source.open is not None:
        for folder in (pretrained / source.open, zoo_folder(source.open), recipe_directory() / source.open):
            if (folder / CONFIG_NAME).is_file():
                return _shape_of(folder)
    if source.pretrain is not None and source.pretrain.size in SIZES:
        size = SIZES[source.pretrain.size]
        return size.width, size.modes
    return None


def _shape_of(folder: Path) -> Shape | None:
    try:
        config: ModelConfig = read_config(folder)
    except PdefmError:
        return None
    return config.width, config.modes


@lru_cache(maxsize=64)
def flops_of(shape: Shape, resolution: int) -> float:
    """Return the floating-point operations of one sample's forward pass, as PyTorch counts them.

    That is of matrix products, which the truncated Fourier transforms of smaller models are as well; the fast ones of
    the largest (`models.transform.fastest`), and pointwise functions, are not counted.
    """
    with standard(), torch.no_grad(), FlopCounterMode(display=False) as counter:
        _network(shape)(torch.ones(1, resolution, resolution), torch.ones(1, 6))
    return float(counter.get_total_flops())


@lru_cache(maxsize=64)
def _seconds(shape: Shape, resolution: int) -> float:
    """Return how long one sample's forward pass takes here, on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with standard(), torch.no_grad():
            network = _network(shape)
            for parameter in network.parameters():
                parameter.fill_(0.01)
            batch = torch.ones(_BATCH, resolution, resolution), torch.ones(_BATCH, 6)
            network(*batch)
            began = time.perf_counter()
            network(*batch)
            return (time.perf_counter() - began) / _BATCH
    finally:
        torch.set_num_threads(threads)


def _network(shape: Shape) -> FNO:
    """Return a network whose weights are whatever lies in memory: what it computes is of no interest."""
    with torch.device("meta"):
        network = FNO(*shape)
    return network.to_empty(device="cpu")
