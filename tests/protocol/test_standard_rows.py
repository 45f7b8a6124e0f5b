"""The standard rows are pinned: what stands in the code is what the sampling function gives."""

from dataclasses import replace

import numpy as np
import pytest

from pdebench_fm.data.acceptance import stated_law
from pdebench_fm.data.catalogue import DATA_VERSION, SPLIT_SIZES, TASKS
from pdebench_fm.data.digest import combine, recipe_hashes
from pdebench_fm.physics import draw
from pdebench_fm.protocol.pinned_digests import PINNED_DIGESTS
from pdebench_fm.protocol.standard_rows import is_standard, is_standard_train
from pdebench_fm.protocol.task import load_task

MAJOR = int(DATA_VERSION.partition(".")[0])


def hashes_of(task, split):
    """The hash of every row of a published split."""
    key = TASKS[task].dataset.key(TASKS[task].regime.name, split)
    starts = range(0, SPLIT_SIZES[split], 512)
    return [row for start in starts for row in recipe_hashes(draw(key, range(start, start + 512)))]


def test_every_task_of_this_data_version_is_pinned():
    assert list(PINNED_DIGESTS[MAJOR]) == list(TASKS)
    digests = [digest for places in PINNED_DIGESTS[MAJOR].values() for digest in places.values()]
    assert len(set(digests)) == 3 * len(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_the_test_rows_of_both_tracks_are_the_pinned_ones(task):
    hashes = hashes_of(task, "test")
    assert PINNED_DIGESTS[MAJOR][task]["full"] == combine(hashes)
    assert PINNED_DIGESTS[MAJOR][task]["lite"] == combine(hashes[:512])


@pytest.mark.parametrize("task", TASKS)
def test_the_train_split_is_the_pinned_one(task, registry):
    """Draws alone enter the digest: what costs time is left out, coefficients, and the bound where it is always met."""
    dataset, regime = TASKS[task].dataset, TASKS[task].regime.name
    law = stated_law(dataset.system, regime)
    if law is None or law.redrawn == 0:
        registry[dataset.system_name] = replace(
            dataset.system, coefficients=lambda drawn: np.zeros((len(drawn.parameter), 6)), solution_bound=None
        )
    assert PINNED_DIGESTS[MAJOR][task]["train"] == combine(hashes_of(task, "train"))


def test_made_rows_are_standard_and_private_fewer_or_other_ones_are_not():
    public, private = load_task("poisson-ood/hard"), load_task("poisson-ood/hard", seed=1)
    lite = public.recipe_digest("lite")
    assert is_standard("poisson-ood/hard", "lite", "1.0.0", 512, lite)
    assert is_standard("poisson-ood/hard", "lite", "1.7.2", 512, lite)
    assert is_standard("poisson-ood/hard", "full", "1.0.0", 4096, public.recipe_digest("full"))
    assert not is_standard("poisson-ood/hard", "full", "1.0.0", 512, lite)
    assert not is_standard("poisson-ood/hard", "full", "1.0.0", 4096, lite)
    assert not is_standard("poisson-ood/hard", "lite", "1.0.0", 24, lite)
    assert not is_standard("poisson-ood/hard", "lite", "2.0.0", 512, lite)
    assert not is_standard("poisson-ood/mild", "lite", "1.0.0", 512, lite)
    assert not is_standard("poisson/pretrain", "lite", "1.0.0", 512, lite)
    assert not is_standard("poisson-ood/hard", "lite", "1.0.0", 512, private.recipe_digest("lite"))


def test_a_train_split_is_standard_only_whole():
    digest = PINNED_DIGESTS[1]["poisson/in-domain"]["train"]
    assert is_standard_train("poisson/in-domain", "1.0.0", 32768, digest)
    assert not is_standard_train("poisson/in-domain", "1.0.0", 1024, digest)
    assert not is_standard_train("poisson/in-domain", "1.0.0", 32768, digest[::-1])
