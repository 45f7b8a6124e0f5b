"""The trials behind the tables of settings by shots (`protocol/recipes.py`): the protocol's, and that of `l2-sp`.

    python scripts/choose_recipe.py trials.csv --shots 32
    python scripts/choose_recipe.py trials.csv --shots 128 --batch-size 16 --scratch-steps 800,1600
    python scripts/choose_recipe.py trials.csv --start pretrained --shots 32 --adaptation l2-sp --anchors 0,1e-3,1e-2 \
      --pretrained-rates 2e-3 --pretrained-steps 0,200
    python scripts/choose_recipe.py on-gpu.csv --shots 512 --batch-size 16 --device cuda --workers 4 \
      --pretrained-rates 1e-3,2e-3 --pretrained-steps 400,800,1600 --scratch-rates 3e-3 --scratch-steps 1600,3200,6400

Every trial is on a `pretrain` regime, which no task scores. Pretrained models are adapted to three kinds of it: one
that they know, where nothing must be lost; a near one (Poisson is advection-diffusion without a velocity); and a far
one, of another equation. The same architectures, a U-Net and neuraloperator's FNO are trained there from scratch.

What it was computed on is not in the file: take one for each device. A line of the file is one trial, whose error is
the mean relative l2 error on test rows; 0 steps leave a model as it is. Trials that the file holds already are not made
again. At the end the settings are listed by their mean factor over the best setting of each case, so that no case
weighs more for being harder.
"""

import argparse
import csv
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import geometric_mean
from typing import NamedTuple

import torch
from torch import nn

from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.models import NeuralOperator, load_model
from pdebench_fm.models.neuraloperator import neuraloperator_fno
from pdebench_fm.models.unet import unet
from pdebench_fm.protocol.methods import AdaptationError, Method
from pdebench_fm.protocol.recipes import PROTOCOL_RECIPE
from pdebench_fm.protocol.task import load_task
from pdebench_fm.training.adapt import AdaptationRecipe, DivergenceError, adapt
from pdebench_fm.training.loss import relative_l2
from pdebench_fm.training.methods.l2_sp import L2SP
from pdebench_fm.training.methods.table import MethodRow

PRETRAINED = (
    ("fno-mixed-64k", "advection-diffusion/pretrain"),  # known
    ("fno-mixed-64k", "helmholtz/pretrain"),
    ("fno-poisson-1m", "poisson/pretrain"),
    ("fno-advection-diffusion-64k", "poisson/pretrain"),  # near
    ("fno-advection-diffusion-1m", "poisson/pretrain"),
    ("fno-poisson-64k", "advection-diffusion/pretrain"),  # far
    ("fno-helmholtz-1m", "poisson/pretrain"),
)
SCRATCH = (
    ("scratch 64k", "advection-diffusion/pretrain"),
    ("scratch 64k", "poisson/pretrain"),
    ("scratch 1m", "advection-diffusion/pretrain"),
    ("scratch unet", "poisson/pretrain"),
    ("scratch neuraloperator", "poisson/pretrain"),
)
TEST_ROWS = 128


def starting_module(start: str) -> nn.Module:
    """Return a model of the zoo, or after the word "scratch" an architecture with random weights."""
    torch.manual_seed(0)
    if start == "scratch unet":
        return unet()
    if start == "scratch neuraloperator":
        return neuraloperator_fno()
    if start.startswith("scratch"):
        return NeuralOperator(load_model(start.replace("scratch ", "fno-advection-diffusion-")).config)
    return load_model(start)


class Trial(NamedTuple):
    """A start, what it is adapted to, and how."""

    start: str
    regime: str
    shots: int
    learning_rate: float
    steps: int
    batch_size: int
    method: str = PROTOCOL_RECIPE
    anchor: float = 0.0

    @property
    def fresh(self) -> bool:
        """Whether it starts from random weights."""
        return self.start.startswith("scratch")

    def error(self, device: str) -> float:
        """Return the mean relative l2 error after the adaptation; infinite if it diverges."""
        keep_freed_memory()
        rows = HeldTask(load_task(self.regime), "lite", torch.device(device))
        recipe = AdaptationRecipe(self.learning_rate, self.steps, self.batch_size)
        module = starting_module(self.start).to(device)
        try:
            if not self.steps:
                adapted = module.eval()
            elif self.method == PROTOCOL_RECIPE:
                adapted = adapt(module, rows.support(self.shots, seed=0), recipe, seed=0)
            else:
                function = L2SP((MethodRow(1, recipe, anchor=self.anchor),))
                support = rows.support_set(self.shots, seed=0, fresh=self.fresh)
                adapted = Method(self.method, function).adapted(module, support, 0)
        except (DivergenceError, AdaptationError):
            return float("inf")
        test = rows.test()[slice(0, TEST_ROWS)]
        with torch.inference_mode():
            return float(relative_l2(adapted(test.source, test.coefficients), test.solution).mean())


HEADS = (*Trial._fields, "error")


def best(found: dict[Trial, float]) -> Iterator[str]:
    """Yield the best settings for each method, number of shots and kind of start."""
    cases: dict[tuple[str, int, bool], dict[tuple[str, str], dict[tuple[float, int, int, float], float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for trial, error in found.items():
        setting = (trial.learning_rate, trial.steps, trial.batch_size, trial.anchor)
        cases[trial.method, trial.shots, trial.fresh][trial.start, trial.regime][setting] = error
    for (method, shots, fresh), by_case in sorted(cases.items()):
        settings = set.intersection(*(set(errors) for errors in by_case.values()))
        factors = {
            setting: [errors[setting] / min(errors.values()) for errors in by_case.values()] for setting in settings
        }
        yield f"{method}, {shots} shots, {'scratch' if fresh else 'pretrained'}; mean factor, and the worst:"
        for setting, by_setting in sorted(factors.items(), key=lambda item: geometric_mean(item[1]))[:6]:
            rate, steps, batch, anchor = setting
            worst = max(by_setting)
            more = f", anchor {anchor:g}" if anchor else ""
            yield f"  {rate:g}, {steps} steps of {batch}{more}: {geometric_mean(by_setting):.3f}, {worst:.3f}"


def read(file: Path) -> dict[Trial, float]:
    """Return the trials of a file with their errors; none if there is no such file."""
    return {
        Trial(start, regime, int(shots), float(rate), int(steps), int(batch), method, float(anchor)): float(error)
        for start, regime, shots, rate, steps, batch, method, anchor, error in lines_of(file)
    }


def lines_of(file: Path) -> list[list[str]]:
    """Return the lines of a file of trials below its heads; none if there is no such file."""
    if not file.exists():
        return []
    with file.open(newline="") as handle:
        return list(csv.reader(handle))[1:]


def append(file: Path, heads: Sequence[str], line: Sequence[object]) -> None:
    """Write a line below the others of a file of trials, and the heads first where there is no such file."""
    is_new = not file.exists()
    with file.open("a", newline="") as handle:
        csv.writer(handle).writerows([heads, line] if is_new else [line])


def numbers(text: str) -> list[float]:
    """Return the numbers of a list with commas."""
    return [float(part) for part in text.split(",")]


def main() -> None:
    """Make the trials that the file lacks and list the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--start", choices=("pretrained", "scratch"), help="one kind of start alone")
    parser.add_argument("--shots", type=numbers, default=[32])
    parser.add_argument("--batch-size", type=numbers, default=[8])
    parser.add_argument("--pretrained-rates", type=numbers, default=[1e-4, 3e-4, 1e-3, 2e-3])
    parser.add_argument("--pretrained-steps", type=numbers, default=[100, 200, 400])
    parser.add_argument("--scratch-rates", type=numbers, default=[2e-3, 5e-3, 1e-2])
    parser.add_argument("--scratch-steps", type=numbers, default=[200, 400, 800])
    parser.add_argument("--anchors", type=numbers, default=[0.0])
    parser.add_argument("--adaptation", choices=[PROTOCOL_RECIPE, "l2-sp"], default=PROTOCOL_RECIPE)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    found = read(options.file)
    wanted: set[Trial] = set()
    for start, cases, rates, steps in (
        ("pretrained", PRETRAINED, options.pretrained_rates, options.pretrained_steps),
        ("scratch", SCRATCH, options.scratch_rates, options.scratch_steps),
    ):
        if options.start not in (None, start):
            continue
        for shots, batch, anchor, rate, count, case in itertools.product(
            options.shots, options.batch_size, options.anchors, rates, steps, cases
        ):
            wanted.add(Trial(*case, int(shots), rate, int(count), int(batch), options.adaptation, anchor))
    longest_first = sorted(wanted - set(found), key=lambda trial: (-trial.steps * trial.batch_size, trial))
    processes = ProcessPoolExecutor(options.workers, get_context("spawn"), torch.set_num_threads, (1,))
    try:
        running = {processes.submit(trial.error, options.device): trial for trial in longest_first}
        for done in as_completed(running):
            trial = running[done]
            found[trial] = done.result()
            append(options.file, HEADS, (*trial, found[trial]))
    finally:
        processes.shutdown(cancel_futures=True)  # after a trial that raised, no more are begun
    print("\n".join(best(found)))


if __name__ == "__main__":
    main()
