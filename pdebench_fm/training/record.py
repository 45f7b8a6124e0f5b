"""How a model was trained, kept beside its weights as `training.json`: what its card and its reader need."""

import platform
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pdebench_fm.contracts import first_problem
from pdebench_fm.data.catalogue import FAMILIES
from pdebench_fm.data.training_manifest import TrainingManifest
from pdebench_fm.errors import PdefmError
from pdebench_fm.files import write_atomically
from pdebench_fm.limits import RECORD_BYTES, read_limited
from pdebench_fm.models.sources import RECORD_NAME
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.seen import manifest_of
from pdebench_fm.version import __version__

Words = Annotated[str, StringConstraints(max_length=200)]


class TrainingRecord(BaseModel):
    """A finished pretraining run.

    Attributes:
        config: what determined it.
        samples: fresh samples seen, each once.
        hours: wall time of its steps, all pieces together.
        device: what each process ran on, as a person would say it; `threads` of the CPU.
        processes: how many shared every batch when it ended.
        torch_version, package_version: what it ran with.
        validation_errors: mean relative ℓ² error by system at the end, on the first validation samples.
        selection_errors: likewise on rows of the regime `selection`, which no task scores.
        manifest: which rows of which streams that were; None in a record from before there were manifests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: PretrainConfig
    samples: PositiveInt
    hours: NonNegativeFloat
    device: Words
    threads: PositiveInt
    processes: PositiveInt = 1
    torch_version: Words
    package_version: Words
    validation_errors: dict[str, float]
    selection_errors: dict[str, float] = {}
    manifest: TrainingManifest | None = None

    @model_validator(mode="after")
    def _manifest_is_of_this_run(self) -> Self:
        known = self.config.family in FAMILIES  # a plug-in's system may be missing here, or another one now
        if self.manifest is not None and known and self.manifest.trained != self.drawn_by_configuration().trained:
            raise ValueError("manifest: it states other rows than a run of this configuration trains on")
        return self

    def drawn_by_configuration(self) -> TrainingManifest:
        """Return the manifest that follows from the configuration, which determines all that a run draws."""
        return manifest_of(self.config, self.config.steps, selected=bool(self.selection_errors))


def training_record(
    config: PretrainConfig,
    manifest: TrainingManifest,
    seconds: float,
    device: torch.device,
    validation: dict[str, float],
    selection: dict[str, float],
    processes: int = 1,
) -> TrainingRecord:
    """Return the record of a run that ends now, on this machine."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"
    return TrainingRecord(
        config=config,
        samples=config.steps * config.batch_size,
        hours=seconds / 3600,
        device=name,
        threads=torch.get_num_threads(),
        processes=processes,
        torch_version=str(torch.__version__),
        package_version=__version__,
        validation_errors=validation,
        selection_errors=selection,
        manifest=manifest,
    )


def write_training_record(record: TrainingRecord, folder: Path) -> None:
    """Write `training.json` atomically."""
    write_atomically(folder / RECORD_NAME, record.model_dump_json(indent=2) + "\n")


def read_training_record(folder: Path) -> TrainingRecord:
    """Read a model folder's `training.json`; a missing or damaged one is a `PdefmError`."""
    path = folder / RECORD_NAME
    try:
        return TrainingRecord.model_validate_json(read_limited(path, RECORD_BYTES))
    except FileNotFoundError as error:
        raise PdefmError(f"{folder} has no {RECORD_NAME}: it does not say how the model was trained") from error
    except ValidationError as error:
        raise PdefmError(f"{path} is not a valid training record: {first_problem(error)}") from error
