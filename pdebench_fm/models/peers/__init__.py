"""Models trained with other codes, converted to models of this package with the same outputs."""

from pathlib import Path

from pdebench_fm.data.training_manifest import TrainingManifest, write_manifest
from pdebench_fm.errors import UsageError, unknown_name
from pdebench_fm.files import atomic_folder
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.peers import tl_scaling
from pdebench_fm.models.sources import RECORD_NAME

PEER = "tl-scaling"
"""The only one so far, the paper's code."""


def import_model(
    peer: str,
    checkpoint: Path,
    config: Path,
    out: Path,
    *,
    entry: str | None = None,
    scales: Path | None = None,
    training: TrainingManifest | None = None,
) -> NeuralOperator:
    """Convert a peer's checkpoint and save it as a model folder, whole or not at all.

    Args:
        peer: Whose code trained it: `"tl-scaling"`, see `pdebench_fm.models.peers.tl_scaling`.
        checkpoint: The file of weights.
        config: The file of options that it was trained with.
        out: The folder to make.
        entry: Which of the configurations in `config`; None where it has one.
        scales: The file of scales for its inputs, if it was trained with one.
        training: Which rows it was trained on, kept beside the weights.

    Returns:
        The model, in evaluation mode.

    Raises:
        UsageError: If there is no such peer or file, or `out` exists already.
        PdefmError: If a file is not what it should be, or `out` cannot be written.
    """
    if peer != PEER:
        raise unknown_name("peer", peer, [PEER])
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists already: name a new folder")
    model = tl_scaling.convert(checkpoint, config, entry, scales)
    with atomic_folder(out) as folder:
        model.save_pretrained(folder)
        if training is not None:
            write_manifest(training, folder / RECORD_NAME)
    return model
