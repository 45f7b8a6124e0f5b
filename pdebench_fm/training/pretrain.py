"""Pretraining on an endless stream of fresh samples, with checkpoints and exact resume."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Self

import torch
from accelerate import Accelerator
from pydantic import ValidationError
from torch import Tensor

from pdebench_fm.data.batches import Mixture
from pdebench_fm.data.training_manifest import TrainingManifest
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.models.config import DiffusionNormaliser, HomogeneousNormaliser, ModelConfig, Normaliser
from pdebench_fm.models.frames import coefficients_in, frame_of
from pdebench_fm.models.normalisers import operator_size, relative_terms
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sizes import SIZES
from pdebench_fm.models.weights import TensorSpec, specs_of
from pdebench_fm.training.checkpoint import Checkpoint, LogEntry, RunState
from pdebench_fm.training.config import PretrainConfig, check_config
from pdebench_fm.training.loss import relative_l2
from pdebench_fm.training.replayed import replayed
from pdebench_fm.training.seen import SCALE_SAMPLES, SELECTION_SAMPLES, VALIDATION_SAMPLES, manifest_of

_CALIBRATION_STEPS = 20  # steps timed to turn minutes into a number of steps
_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
_ALL_COARSE = 0.99  # share of coarse steps in a run that is timed on them


@dataclass(frozen=True)
class PretrainProgress:
    """What a display needs after each step.

    Attributes:
        step, steps: done and planned.
        loss: mean relative ℓ² error of the step's batch.
        validation: mean relative ℓ² error by system, as last measured; empty before the first time.
        seconds: spent so far, all pieces of the run together.
    """

    step: int
    steps: int
    loss: float
    validation: dict[str, float]
    seconds: float


def measured_normaliser(config: PretrainConfig) -> Normaliser:
    """Return the normaliser of a run, with scales measured on the stream's first samples.

    Raises:
        UsageError: if the normaliser or the frame needs a diffusion tensor and the family has none.
        PdefmError: if the coefficients have no usable scale.
    """
    coefficients = config.mixture("train").batch(0, SCALE_SAMPLES).coefficients.double()
    k11, k22, k12 = coefficients.T[:3]
    if not bool(((k11 > 0) & (k11 * k22 > k12 * k12)).all()):
        for name, value in (("normaliser", config.normaliser), ("frame", config.frame)):
            if value in ("diffusion-normalised", "square", "lattice"):
                raise UsageError(
                    f"the {name} {value!r} needs a diffusion tensor as the first three coefficients, which "
                    f"{config.family} does not have"
                )
    coefficients = coefficients_in(frame_of(config.frame, coefficients), coefficients)
    try:
        if config.normaliser == "homogeneous-rms":
            return HomogeneousNormaliser(coefficient_scales=coefficient_scales(coefficients))
        size = operator_size(coefficients, config.diffusivity, config.velocity_share, config.omega_share)
        return DiffusionNormaliser(
            coefficient_scales=coefficient_scales(relative_terms(coefficients, size)),
            diffusivity=config.diffusivity,
            velocity_share=config.velocity_share,
            omega_share=config.omega_share,
        )
    except ValidationError as error:
        raise PdefmError(f"the stream's coefficients have no usable scale: {error.errors()[0]['msg']}") from error


def coefficient_scales(coefficients: Tensor) -> tuple[float, ...]:
    """Return the root mean square of each of (B, 6) coefficients where it is not zero; 1 for one that always is."""
    scales = []
    for column in coefficients.T:
        present = column[column != 0]
        scales.append(float(present.square().mean().sqrt()) if len(present) else 1.0)
    return tuple(scales)


def initial_model(config: PretrainConfig) -> NeuralOperator:
    """Return the untrained model of a run: seeded weights, scales measured on the stream's first samples."""
    check_config(config)
    size = SIZES[config.size]
    model_config = ModelConfig(
        width=size.width,
        modes=size.modes,
        normaliser=measured_normaliser(config),
        frame=config.frame,
        family=config.family,
        size=config.size,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return NeuralOperator(model_config, gain=config.gain)


class Pretraining:
    """A run that can be advanced, saved and resumed.

    In a distributed run each process makes and sees its share of every batch, and gradients are averaged over them: the
    weights are those of one process, but for the order of sums.

    Attributes:
        config: what determines the run.
        model: the weights being trained; `averaged` holds their exponential moving average.
        step: optimizer steps done; `seconds` spent on them, in all pieces of the run.
        losses: of the steps since the last entry of the `log`; both are kept by whoever drives the run.
        stopping: whether a process asked to end the run after the last step.
    """

    def __init__(self, config: PretrainConfig, device: str = "cpu", processes: Accelerator | None = None) -> None:
        """Set up the start of a run.

        Args:
            config: what determines the run.
            device: where this process trains; in a distributed run on GPUs, the processes' own devices instead.
            processes: the distributed run this process belongs to, if any; its size divides the batch.
        """
        self.config = config
        self.device = torch.device(device) if processes is None else processes.device
        self.processes = processes
        world = 1 if processes is None else processes.num_processes
        self._share = config.batch_size // world
        self._rank = 0 if processes is None else processes.process_index
        self.model = initial_model(config).to(self.device)
        if processes is not None:
            self._trained = processes.prepare_model(self.model)
        else:  # under autocast, weights are cast anew in each pass
            self._trained = replayed(self.model) if config.precision == "float32" else self.model
        self.averaged = [parameter.detach().clone() for parameter in self.model.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.step = 0
        self.seconds = 0.0
        self.losses: list[float] = []
        self.log: list[LogEntry] = []
        self.stopping = False
        self._stream = config.mixture("train")
        self._coarse_stream = config.mixture("train", config.coarse_resolution)

    @property
    def samples(self) -> int:
        """Samples seen so far, by all processes."""
        return self.step * self.config.batch_size

    @property
    def manifest(self) -> TrainingManifest:
        """Which rows the run has seen so far, in all its pieces and by all processes."""
        return manifest_of(self.config, self.step)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and reports."""
        return self._rank == 0

    def advance(self, *, stop: bool = False) -> float:
        """Do one optimizer step on the next samples of the stream; return their mean relative ℓ² error.

        Args:
            stop: whether this process wants to end the run after the step; `stopping` says so in all of them then.

        Raises:
            FloatingPointError: if the loss is not finite; the step is not taken.
        """
        began = time.perf_counter()
        config = self.config
        position = self.step * config.batch_size + self._rank * self._share
        stream = self._coarse_stream if config.is_coarse(self.step) else self._stream
        batch = stream.batch(position, self._share).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            prediction = self._trained(batch.source, batch.coefficients)
        loss = relative_l2(prediction, batch.solution).mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        shared = torch.stack([loss.detach(), loss.new_tensor(float(stop))])
        if self.processes is not None:
            shared = self.processes.reduce(shared, "mean")
        numbers: list[float] = shared.tolist()
        value, wishes = numbers
        self.stopping = wishes > 0
        if not isfinite(value):
            raise FloatingPointError(f"the loss became {value} at step {self.step + 1} (try a smaller learning rate)")
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        self.optimizer.step()
        self._average()
        self.step += 1
        self.seconds += time.perf_counter() - began
        return value

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights; early on the average is over the steps done, not the decay's horizon."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.averaged, list(self.model.parameters()), 1.0 - decay)

    def averaged_model(self) -> NeuralOperator:
        """Return a model with the averaged weights."""
        model = NeuralOperator(self.model.config).to(self.device)
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), self.averaged, strict=True):
                parameter.copy_(value)
        return model

    def checkpoint(self) -> Checkpoint:
        """Return the run's whole state."""
        state = RunState(
            config=self.config, step=self.step, seconds=self.seconds, losses=tuple(self.losses), log=tuple(self.log)
        )
        tensors: dict[str, Tensor] = {}
        for (name, parameter), average in zip(self.model.named_parameters(), self.averaged, strict=True):
            tensors[f"model.{name}"] = parameter.detach()
            tensors[f"average.{name}"] = average
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = value
        return Checkpoint(state, tensors)

    @classmethod
    def resume(cls, checkpoint: Checkpoint, device: str = "cpu", processes: Accelerator | None = None) -> Self:
        """Return the run at the moment of its checkpoint, to go on exactly as if it had never stopped.

        Raises:
            PdefmError: if the checkpoint's tensors are not those of its configuration.
        """
        state = checkpoint.state
        run = cls(state.config, device, processes)
        if state.step > state.config.steps:
            raise PdefmError(f"it is at step {state.step} of {state.config.steps}")
        _check(checkpoint.tensors, run._expected(started=state.step > 0))
        run._restore(checkpoint.tensors, started=state.step > 0)
        run.step, run.seconds = state.step, state.seconds
        run.losses, run.log = list(state.losses), list(state.log)
        return run

    def _expected(self, *, started: bool) -> dict[str, TensorSpec]:
        """Return what each tensor of a checkpoint must be."""
        expected: dict[str, TensorSpec] = {}
        for name, parameter in self.model.named_parameters():
            like_parameter: TensorSpec = (tuple(parameter.shape), parameter.dtype)
            expected |= {f"model.{name}": like_parameter, f"average.{name}": like_parameter}
            if started:
                expected[f"optimizer.step.{name}"] = ((), torch.float32)
                expected |= {f"optimizer.{key}.{name}": like_parameter for key in _ADAM_STATE[1:]}
        return expected

    @torch.no_grad()
    def _restore(self, tensors: Mapping[str, Tensor], *, started: bool) -> None:
        """Take over checked tensors; the optimizer's state by its own rule, which knows on what device each belongs."""
        state: dict[int, dict[str, Tensor]] = {}
        for i, (name, parameter) in enumerate(self.model.named_parameters()):
            parameter.copy_(tensors[f"model.{name}"])
            self.averaged[i].copy_(tensors[f"average.{name}"])
            if started:
                state[i] = {key: tensors[f"optimizer.{key}.{name}"].clone() for key in _ADAM_STATE}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _check(tensors: Mapping[str, Tensor], expected: Mapping[str, TensorSpec]) -> None:
    """Raise a `PdefmError` that names the first tensor that is missing, unexpected, or of another shape or dtype."""
    found = specs_of(tensors)
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            described = [
                "none" if spec is None else f"{tuple(spec[0])} {str(spec[1]).removeprefix('torch.')}"
                for spec in (found.get(name), expected.get(name))
            ]
            raise PdefmError(f"its tensor {name!r} is {described[0]}, the configuration's is {described[1]}")


def validation_errors(model: NeuralOperator, config: PretrainConfig) -> dict[str, float]:
    """Return the mean relative ℓ² error on the first validation samples of each system of the family."""
    return _mean_errors(model, config.mixture("validation"), VALIDATION_SAMPLES)


def selection_errors(model: NeuralOperator, config: PretrainConfig) -> dict[str, float]:
    """Return the mean relative ℓ² error on rows of the regime `selection` by system; empty where there is none."""
    mixture = config.selection()
    return {} if mixture is None else _mean_errors(model, mixture, SELECTION_SAMPLES)


@torch.no_grad()
def _mean_errors(model: NeuralOperator, mixture: Mixture, count: int) -> dict[str, float]:
    """Return the mean relative ℓ² error on the first `count` samples of each stream of a mixture, by system."""
    device = next(model.parameters()).device
    errors = {}
    for key in mixture.keys:
        batch = Mixture((key,), mixture.resolution).batch(0, count).to(device)
        errors[key.system] = float(relative_l2(model(batch.source, batch.coefficients), batch.solution).mean())
    return errors


def steps_for_minutes(
    config: PretrainConfig, minutes: float, device: str = "cpu", processes: int = 1
) -> PretrainConfig:
    """Return the configuration with as many steps as fit into `minutes` here, by timing a process's share of a few."""
    share = config.coarse_share
    seconds = sum(
        part * _seconds_per_step(config.model_copy(update={"coarse_share": coarse}), device, processes)
        for part, coarse in ((share, _ALL_COARSE), (1.0 - share, 0.0))
        if part
    )
    return config.model_copy(update={"steps": max(1, round(60.0 * minutes / seconds))})


def _seconds_per_step(config: PretrainConfig, device: str, processes: int) -> float:
    """Return how long a process's share of a step takes at the start of a run."""
    update = {"batch_size": max(1, config.batch_size // processes), "steps": 10 * _CALIBRATION_STEPS}
    trial = Pretraining(config.model_copy(update=update), device)
    trial.advance()
    began = time.perf_counter()
    for _ in range(_CALIBRATION_STEPS):
        trial.advance()
    return (time.perf_counter() - began) / _CALIBRATION_STEPS
