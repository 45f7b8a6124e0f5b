"""Cells on a real Dask cluster have the scores that they have here."""

import pytest
import torch

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.evaluation.orders import CellOrder, compute_order
from pdebench_fm.models import load_model, open_candidate
from pdebench_fm.results.result import Result

TASKS = ["poisson-ood/hard", "poisson/in-domain"]


def comparable(result: Result):
    return result.model_dump(exclude={"cells": {"__all__": {"date", "seconds", "environment"}}})


def test_a_cluster_gives_the_same_scores_and_fills_the_cache(model_folder, tmp_path, cluster):
    options = {"track": "lite", "device": "cpu"}
    here = evaluate_suite([str(model_folder)], TASKS, **options)
    there = evaluate_suite(
        [str(model_folder)], TASKS, **options, scheduler=cluster, cache=CellCache(tmp_path / "cache")
    )
    assert [comparable(e.result) for e in there] == [comparable(e.result) for e in here]
    assert all(a.samples.equals(b.samples) for a, b in zip(there, here, strict=True))
    assert len(list((tmp_path / "cache").rglob("*.json"))) == 2
    with pytest.raises(UsageError, match="is an object of this process"):
        evaluate_suite([load_model(model_folder)], TASKS, **options, scheduler=cluster)


def order(reference, **changes):
    values = {
        "reference": reference,
        "device": "cpu",
        "fingerprint": "0" * 64,
        "task": TASKS[0],
        "data": None,
        "version": "1.0.0",
        "sampling_seed": 0,
        "method": "v1",
        "method_fingerprint": None,
        "track": "lite",
        "deterministic": None,
        "threads": 1,
        "graphs": None,
        "start": "pretrained",
        "shots": 0,
        "seed": 0,
        "digest": "0" * 64,
        "plugins": (),
    }
    return CellOrder(**(values | changes))


def test_a_worker_with_another_model_or_package_refuses(model_folder):
    with pytest.raises(PdefmError, match="is another model for a worker"):
        compute_order(order(str(model_folder)))
    fingerprint = open_candidate(str(model_folder)).fingerprint
    with pytest.raises(PdefmError, match="a worker would compute another thing than fno-tiny on"):
        compute_order(order(str(model_folder), fingerprint=fingerprint))
    with pytest.raises(PdefmError, match="symmetric is another adaptation for a worker"):
        compute_order(order(str(model_folder), fingerprint=fingerprint, method="symmetric", method_fingerprint="00"))
    assert torch.get_num_threads() == 1
