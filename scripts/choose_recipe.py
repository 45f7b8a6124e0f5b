"""The trials behind the protocol's table of adaptation recipes (`evaluation/recipes.py`).

    python scripts/choose_recipe.py trials.csv --shots 8,32,128

Models are adapted to `pretrain` regimes, which no task scores: where they come from another system, a far transfer, and
where they know the system already, so that nothing must be lost. The same architectures are trained there from scratch.
A line of the file is one adaptation: start, regime, shots, learning rate, steps, and the mean relative l2 error on test
rows. Trials that the file holds already are not made again; at the end the best are listed.
"""

import argparse
import csv
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import geometric_mean

import torch

from pdebench_fm.data.batches import every_nth_point
from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.task import load_task
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.models import NeuralOperator, load_model
from pdebench_fm.training.adapt import AdaptationRecipe, adapt
from pdebench_fm.training.loss import relative_l2

Trial = tuple[str, str, int, float, int]

PRETRAINED = (
    ("fno-poisson-64k", "advection-diffusion/pretrain"),
    ("fno-helmholtz-1m", "poisson/pretrain"),
    ("fno-mixed-64k", "advection-diffusion/pretrain"),
    ("fno-mixed-1m", "advection-diffusion/pretrain"),
)
SCRATCH = (
    ("scratch 64k", "advection-diffusion/pretrain"),
    ("scratch 64k", "poisson/pretrain"),
    ("scratch 1m", "advection-diffusion/pretrain"),
)
RATES = {True: (3e-4, 1e-3, 3e-3), False: (2e-3, 5e-3, 1e-2, 2e-2)}
"""Of a pretrained and of a fresh start."""
BATCH = {8: 8, 32: 8, 128: 16, 512: 16, 2048: 32}
STEPS = {8: (50, 100, 200), 32: (100, 200, 400), 128: (200, 400, 800), 512: (400, 800), 2048: (800, 1600)}
"""Of a pretrained start; a fresh one is given twice, four and, up to 32 shots, eight times the first."""
TEST_ROWS = 128


def trials(shots: int) -> Iterator[Trial]:
    for (model, regime), rate, steps in itertools.product(PRETRAINED, RATES[True], STEPS[shots]):
        yield model, regime, shots, rate, steps
    factors = (2, 4, 8) if shots <= 32 else (2, 4)
    for (model, regime), rate, factor in itertools.product(SCRATCH, RATES[False], factors):
        yield model, regime, shots, rate, factor * STEPS[shots][0]


def error_after(trial: Trial) -> float:
    model, regime, shots, rate, steps = trial
    task = load_task(regime)
    test = every_nth_point(task.test.batch(range(TEST_ROWS)), 2)
    if model.startswith("scratch"):
        torch.manual_seed(0)
        start = NeuralOperator(load_model(model.replace("scratch ", "fno-mixed-")).config)
    else:
        start = load_model(model)
    try:
        adapted = adapt(start, task.support(shots, 0, "lite"), AdaptationRecipe(rate, steps, BATCH[shots]), seed=0)
    except PdefmError:  # it diverged
        return float("inf")
    with torch.inference_mode():
        return float(relative_l2(adapted(test.source, test.coefficients), test.solution).mean())


def best(found: dict[Trial, float]) -> Iterator[str]:
    """Yield the settings for each number of shots and start, by their mean factor above each case's own best."""
    cases: dict[tuple[int, bool], dict[tuple[str, str], dict[tuple[float, int], float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for (model, regime, shots, rate, steps), error in found.items():
        cases[shots, model.startswith("scratch")][model, regime][rate, steps] = error
    for (shots, scratch), by_case in sorted(cases.items()):
        settings = set.intersection(*(set(errors) for errors in by_case.values()))
        factors = {
            setting: geometric_mean(errors[setting] / min(errors.values()) for errors in by_case.values())
            for setting in settings
        }
        ranking = sorted(factors.items(), key=lambda item: item[1])[:4]
        listed = ", ".join(f"{rate:g} × {steps} steps: {factor:.3f}" for (rate, steps), factor in ranking)
        yield f"{shots} shots, {'scratch' if scratch else 'pretrained'}: {listed}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--shots", default="8,32,128")
    options = arguments.parse_args()
    keep_freed_memory()
    found: dict[Trial, float] = {}
    if options.file.exists():
        with options.file.open(newline="") as handle:
            for model, regime, shots, rate, steps, error in csv.reader(handle):
                found[model, regime, int(shots), float(rate), int(steps)] = float(error)
    for trial in itertools.chain.from_iterable(trials(int(part)) for part in options.shots.split(",")):
        if trial not in found:
            found[trial] = error_after(trial)
            with options.file.open("a", newline="") as handle:
                csv.writer(handle).writerow([*trial, found[trial]])
    print("\n".join(best(found)))


if __name__ == "__main__":
    main()
