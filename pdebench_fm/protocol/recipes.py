"""How a model is adapted to K shots, as data: the protocol's own recipe by K, and the paper's."""

from dataclasses import dataclass
from functools import partial

from pdebench_fm.errors import unknown_name
from pdebench_fm.protocol.divisions import PAPER_METHOD
from pdebench_fm.protocol.tracks import PROTOCOL_VERSION, Start
from pdebench_fm.training.adapt import AdaptationRecipe
from pdebench_fm.training.interpolation import InterpolationRecipe, with_choice
from pdebench_fm.training.methods.table import MethodRow
from pdebench_fm.training.search import SearchRecipe

PROTOCOL_RECIPE = f"v{PROTOCOL_VERSION}"
PAPER_RECIPE = PAPER_METHOD
RECIPES = (PROTOCOL_RECIPE, PAPER_RECIPE)
"""By name, as results carry them. The leaderboard ranks the protocol's alone: the paper's looks at validation rows."""


@dataclass(frozen=True)
class Training:
    """What a start is trained with: the peak learning rate and the optimizer steps."""

    learning_rate: float
    steps: int


@dataclass(frozen=True)
class RecipeRow:
    """The recipe from a number of shots on, up to the next row.

    Attributes:
        shots: the fewest shots that it is for.
        batch_size: rows of a step; the whole support set where it is smaller.
        pretrained, scratch: for a pretrained and for a fresh start, each chosen to be at its best.
    """

    shots: int
    batch_size: int
    pretrained: Training
    scratch: Training


PROTOCOL_TABLE: tuple[RecipeRow, ...] = (
    RecipeRow(1, 8, Training(2e-3, 100), Training(3e-3, 200)),
    RecipeRow(32, 8, Training(2e-3, 200), Training(3e-3, 800)),
    RecipeRow(128, 16, Training(2e-3, 400), Training(3e-3, 1600)),
    RecipeRow(512, 16, Training(2e-3, 800), Training(3e-3, 3200)),
    RecipeRow(2048, 32, Training(2e-3, 1600), Training(3e-3, 6400)),
    RecipeRow(8192, 32, Training(2e-3, 3200), Training(3e-3, 12800)),
    RecipeRow(32768, 32, Training(2e-3, 6400), Training(3e-3, 25600)),
)
# How these were chosen: by `scripts/choose_recipe.py`, on `pretrain` regimes, which no task scores, at 8, 32 and 128
# shots. Pretrained models were adapted to what they know, to something near and to something far, and the same
# architectures and a U-Net trained from scratch; a start's setting is the one with the smallest mean factor over the
# best setting of each case, the cheapest of equals. From scratch, more steps are no better at 8 shots; at 32 and 128
# half the steps cost the FNOs 2 to 6 % and the U-Net 36 and 91 %; twice the steps at 32 help none of them. Beyond 128
# shots the rows go on alike, twice the steps for four times the shots, untried.
# docs/design/recipes.md has the figures. Another table is another protocol version.


L2_SP_TABLE: tuple[MethodRow, ...] = tuple(
    MethodRow(
        row.shots, AdaptationRecipe(row.pretrained.learning_rate, row.pretrained.steps, row.batch_size), anchor=1e-3
    )
    for row in PROTOCOL_TABLE
)
"""Settings of the method `l2-sp`: the protocol's for a pretrained start, so that the penalty is all that differs."""

SYMMETRIC_TABLE: tuple[MethodRow, ...] = tuple(
    MethodRow(
        shots,
        AdaptationRecipe(2e-3, steps, batch_size),
        scratch=AdaptationRecipe(3e-3, 4 * steps, batch_size),
        superposed=superposed,
    )
    for shots, steps, batch_size, superposed in (
        (1, 400, 8, 0.5),
        (32, 1200, 8, 0.25),
        (128, 1600, 16, 0.0),
        (512, 3200, 16, 0.0),
        (2048, 3200, 32, 0.0),
        (8192, 6400, 32, 0.0),
        (32768, 12800, 32, 0.0),
    )
)
"""Settings of the method `symmetric`, for any system; from scratch as much more as by the protocol from 32 shots on."""
# docs/design/recipes.md has the trials. Sums of examples help where there are few, and cost where there are enough of
# each value of the coefficients; an anchor costs a far transfer too much.


def find_recipe(name: str) -> str:
    """Return the name of a recipe if there is such, or raise a `UsageError`."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return name


def adaptation_recipe(
    start: Start, shots: int, name: str = PROTOCOL_RECIPE
) -> AdaptationRecipe | InterpolationRecipe | SearchRecipe:
    """Return the recipe for a support set of `shots` ≥ 1 rows, for a pretrained or a fresh ("scratch") start."""
    if name == PAPER_RECIPE:
        return SearchRecipe()
    if start == "scratch":  # random weights are no place to stay near
        return _trained(start, shots)
    return with_choice(partial(_trained, start), shots)


def _trained(start: Start, shots: int) -> AdaptationRecipe:
    row = max((row for row in PROTOCOL_TABLE if row.shots <= shots), key=lambda row: row.shots)
    training = row.pretrained if start == "pretrained" else row.scratch
    return AdaptationRecipe(training.learning_rate, training.steps, row.batch_size)
