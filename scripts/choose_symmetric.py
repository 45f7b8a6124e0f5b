"""The trials behind the settings of the method `symmetric`, and of a choice of how far it goes.

    python scripts/choose_symmetric.py trials.csv --shots 32 --steps 400,1200 --batch-sizes 8,16 --halves
    python scripts/choose_symmetric.py trials.csv --shots 32 --start scratch --rates 3e-3 --steps 4800

Models of the zoo are adapted to what they know (the regime `pretrain` of their own systems, in rows that they were
trained on once), to something near (the regime `selection`, new to them) and to something far (other systems), and
networks are trained from scratch: all on rows that no task scores. For each setting a model is trained on the support
set, and scored on 128 other rows, averaged over the symmetries.

How far a pretrained model goes is chosen as by the protocol's recipe. For that it is scored at each share of the way,
and with `--halves` trained on either half of the support set as well, by the settings that the method has for half as
many examples, and scored on the other: the share that does best there is the one that is chosen.

A line of the file is one training: its start and settings, what part of the support set was trained on ("whole", the
"first" or the "second" half), and the mean relative l2 errors at shares of the way, from none of it (0) to all (1).
Trainings that the file holds already are not done again. At the end the settings are listed by their mean factor over
the best setting of each case.
"""

import argparse
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import geometric_mean
from typing import NamedTuple

import torch
from choose_recipe import SCRATCH, append, lines_of, numbers, starting_module

from pdebench_fm.data.batches import Mixture
from pdebench_fm.data.catalogue import DATA_VERSION
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.physics import SampleKey, registered_system
from pdebench_fm.protocol.methods import OWN_METHODS
from pdebench_fm.training.adapt import AdaptationRecipe, DivergenceError, train
from pdebench_fm.training.interpolation import InterpolationRecipe, between
from pdebench_fm.training.methods.averaging import SymmetryAveraged
from pdebench_fm.training.methods.exact_examples import ExactExamples
from pdebench_fm.training.search import mean_error
from pdebench_fm.training.support import SupportSet

PRETRAINED = (
    ("fno-poisson-64k", "poisson/pretrain"),  # known
    ("fno-advection-diffusion-64k", "advection-diffusion/pretrain"),
    ("fno-mixed-64k", "helmholtz/pretrain"),
    ("fno-mixed-1m", "helmholtz/pretrain"),
    ("fno-poisson-64k", "poisson/selection"),  # near
    ("fno-poisson-1m", "poisson/selection"),
    ("fno-advection-diffusion-64k", "advection-diffusion/selection"),
    ("fno-mixed-64k", "advection-diffusion/selection"),
    ("fno-helmholtz-64k", "helmholtz/selection"),
    ("fno-helmholtz-1m", "helmholtz/selection"),
    ("fno-advection-diffusion-64k", "poisson/pretrain"),  # far
    ("fno-poisson-64k", "advection-diffusion/pretrain"),
)
SHARES = InterpolationRecipe.shares
SUPPORT_FROM, TEST_FROM, TEST_ROWS, RESOLUTION = 20_000, 10_000, 128, 64


class Training(NamedTuple):
    """What is adapted to what, by which settings, and which part of the support set it is trained on."""

    start: str
    regime: str
    shots: int
    learning_rate: float
    steps: int
    batch_size: int
    superposed: float
    part: str = "whole"

    def errors(self) -> list[float]:
        """Return the mean relative l2 errors on rows that are not trained on here; infinite if it diverges."""
        system, regime = self.regime.split("/")
        stream = Mixture((SampleKey(system, regime, "train", DATA_VERSION),), RESOLUTION)
        rows = stream.batch(SUPPORT_FROM, self.shots)
        test = stream.batch(TEST_FROM, TEST_ROWS)
        if self.part != "whole":
            halves = torch.arange(self.shots).tensor_split(2)
            trained, left = halves if self.part == "first" else halves[::-1]
            rows, test = rows[trained], rows[left]
        symmetries = registered_system(system).symmetry_group
        support = SupportSet(rows.source, rows.solution, rows.coefficients, system, symmetries)
        examples = ExactExamples(support, 0, self.superposed)
        module = starting_module(self.start)
        recipe = AdaptationRecipe(self.learning_rate, self.steps, self.batch_size)
        try:
            tuned = train(module, lambda: examples.draw(recipe.batch_size), recipe)
        except DivergenceError:
            return [math.inf] * len(SHARES)
        return [mean_error(SymmetryAveraged(between(module, tuned, s), symmetries).eval(), test) for s in SHARES]


HEADS = (*Training._fields, *(f"error_at_{share:g}" for share in SHARES))


def halves_of(training: Training) -> list[Training]:
    """Return the two trainings by which a choice of the share would be made."""
    row = OWN_METHODS["symmetric"].row((training.shots + 1) // 2)
    settings = row.recipe.learning_rate, row.recipe.steps, row.recipe.batch_size, row.superposed
    return [Training(*training[:3], *settings, part) for part in ("first", "second")]


def best(found: dict[Training, list[float]]) -> Iterator[str]:
    """Yield how the settings compare, for each number of shots and kind of start."""
    groups: dict[tuple[int, bool], dict[tuple[str, str], dict[tuple[float, ...], float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for each, errors in found.items():
        if each.part == "whole":
            fresh = each.start.startswith("scratch")
            groups[each.shots, fresh][each.start, each.regime][each[3:7]] = errors[-1]
    for (shots, fresh), cases in sorted(groups.items()):
        yield f"{shots} shots, {'scratch' if fresh else 'pretrained'}; mean factor, and the worst:"
        tried = set.intersection(*(set(errors) for errors in cases.values()))
        for setting in sorted(tried):
            factors = [errors[setting] / min(errors[other] for other in tried) for errors in cases.values()]
            rate, steps, batch, superposed = setting
            said = f"{rate:g}, {steps} steps of {batch}, {superposed:g} superposed"
            yield f"  {said}: {geometric_mean(factors):.3f}, {max(factors):.3f}"


def choices(found: dict[Training, list[float]]) -> Iterator[str]:
    """Yield which share is chosen, and what that changes, for each training with both halves."""
    for each, errors in found.items():
        halves = [found[half] for half in halves_of(each) if half in found]
        if each.part == "whole" and len(halves) == 2:
            totals = [first + second for first, second in zip(*halves, strict=True)]
            share = totals.index(min(totals))
            yield f"  {', '.join(map(str, each[:7]))}: {SHARES[share]:g} of the way, {errors[share] / errors[-1]:.3f}"


def read(file: Path) -> dict[Training, list[float]]:
    """Return the trainings of a file with their errors; none if there is no such file."""
    return {
        Training(start, regime, int(shots), float(rate), int(steps), int(batch), float(superposed), part): [
            float(error) for error in errors
        ]
        for start, regime, shots, rate, steps, batch, superposed, part, *errors in lines_of(file)
    }


def main() -> None:
    """Do the trainings that the file lacks and list the best settings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--start", choices=("pretrained", "scratch"), default="pretrained")
    parser.add_argument("--shots", type=numbers, default=[32])
    parser.add_argument("--rates", type=numbers, default=[2e-3])
    parser.add_argument("--steps", type=numbers, default=[1200])
    parser.add_argument("--batch-sizes", type=numbers, default=[8])
    parser.add_argument("--superposed", type=numbers, default=[0.25])
    parser.add_argument("--halves", action="store_true", help="train on the halves of the support set as well")
    options = parser.parse_args()
    if options.halves and options.start == "scratch":
        parser.error("networks of random weights go all the way: leave out --halves")
    torch.set_num_threads(1)
    keep_freed_memory()
    found = read(options.file)
    for case, shots, rate, steps, batch, superposed in itertools.product(
        PRETRAINED if options.start == "pretrained" else SCRATCH,
        options.shots,
        options.rates,
        options.steps,
        options.batch_sizes,
        options.superposed,
    ):
        whole = Training(*case, int(shots), rate, int(steps), int(batch), superposed)
        for training in [*(halves_of(whole) if options.halves else ()), whole]:
            if training not in found:
                found[training] = training.errors()
                append(options.file, HEADS, (*training, *found[training]))
    print("\n".join(best(found)))
    if options.halves:
        print("what the halves choose, and the error there over that of the whole way:")
        print("\n".join(choices(found)))


if __name__ == "__main__":
    main()
