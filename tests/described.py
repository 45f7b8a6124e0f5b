"""A small model as a finished pretraining leaves it, with results of its own: what cards and publishing start from."""

import statistics

import torch
from factories import make_evaluation, make_model, make_run

from pdebench_fm.data.catalogue import FAMILIES, TASKS
from pdebench_fm.files import sha256_of
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.record import TrainingRecord, write_training_record

ALICE = "hf_alice"
"""Her token on the tests' Hub."""


def make_record(family="mixed", **changes):
    values = {
        "config": PretrainConfig(family=family, size="tiny", steps=1500, batch_size=4),
        "samples": 6000,
        "hours": 1.5,
        "device": "cpu (x86_64)",
        "threads": 2,
        "torch_version": "2.13.0",
        "package_version": "0.1.0",
        "validation_errors": {"poisson": 0.02},
    }
    record = TrainingRecord(**(values | changes))
    return record.model_copy(update={"manifest": record.drawn_by_configuration(), **changes})


def make_pretrained(folder, family="mixed", seed=4, **changes):
    """Write an untrained model with a training record; return its folder."""
    scales = HomogeneousNormaliser(coefficient_scales=(0.02, 0.02, 0.01, 0.1, 0.1, 6.0))
    torch.manual_seed(seed)
    NeuralOperator(ModelConfig(width=4, modes=2, normaliser=scales, family=family, size="tiny")).save_pretrained(folder)
    write_training_record(make_record(family, **changes), folder)
    return folder


def errors_on(task, shots):
    """Made-up errors, one a seed, which differ by task and shots."""
    base = 0.01234567890123 * (1 + sum(map(ord, task)) % 97) / (1 + shots)
    return (base,) if shots == 0 else (base, 1.25 * base, 1.5 * base)


def results_of(folder, family="mixed", tasks=None, shots=(0, 32)):
    """Evaluations of the model in a folder: zero-shot on its pretraining distributions, with `shots` on the tasks."""
    digest = sha256_of(folder / "model.safetensors")
    model = make_model(f"fno-{family}-tiny", revision=None, weights_sha256=digest, family=family, size="tiny")
    wanted = [(f"{system}/pretrain", (0,)) for system in FAMILIES[family]]
    wanted += [(task, shots) for task in (TASKS if tasks is None else tasks)]
    return [
        make_evaluation(task, model, [make_run(errors_on(task, number), shots=number) for number in numbers])
        for task, numbers in wanted
    ]


def mean_on(task, shots):
    return statistics.fmean(errors_on(task, shots))


def intervals_of(evaluations):
    """The 95 % intervals of the results, by task and shots."""
    return {
        (each.result.task, run.shots): (run.summary.interval_low, run.summary.interval_high)
        for each in evaluations
        for run in each.runs
    }
