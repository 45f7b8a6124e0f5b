"""The pretrained operator as users see it: physical source and coefficients in, physical solution out."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from pdebench_fm.errors import UsageError
from pdebench_fm.files import sha256_of, write_atomically
from pdebench_fm.models.config import ModelConfig
from pdebench_fm.models.devices import choose_device
from pdebench_fm.models.fno import COEFFICIENTS, FNO
from pdebench_fm.models.frames import solve_in_frame
from pdebench_fm.models.normalisers import normalise
from pdebench_fm.models.sizes import rounded_count
from pdebench_fm.models.sources import CONFIG_NAME, RECORD_NAME, ModelSource, read_config, source_in, source_on_hub
from pdebench_fm.models.weights import WEIGHTS_NAME, read_weights, specs_of, write_weights
from pdebench_fm.surroundings import standard
from pdebench_fm.text import html_table


class ShapeError(UsageError, ValueError):
    """An array given to a model has the wrong shape or dtype."""


class NeuralOperator(nn.Module):
    """Solves -div(K grad u) + v . grad u - omega u = f approximately: `model(source, coefficients) -> solution`.

    With the normalisers of models trained here, it is exactly homogeneous: a positive factor on the source is the same
    factor on the solution, whatever the weights. `diffusion-normalised` builds in as well that a factor on all
    coefficients divides the solution. With the normalisers of converted models (see `pdebench_fm.models.config`)
    neither holds.

    Attributes:
        config: What the model is.
        network: The Fourier neural operator on normalised inputs.
        source: Which files the weights came from; None for fresh weights.
    """

    source: ModelSource | None = None

    def __init__(self, config: ModelConfig, *, gain: float = 0.5) -> None:
        """Build the network with random weights from PyTorch's global generator.

        Args:
            config: What the model is.
            gain: Scale of the fresh spectral weights, see `SpectralConvolution`; no part of a saved model.
        """
        super().__init__()
        self.config = config
        self.network = FNO(config.width, config.modes, config.layers, gain=gain)

    def __repr__(self) -> str:
        """Return the model in a line; `model.network` has its modules."""
        return f"NeuralOperator({'; '.join(f'{what}: {value}' for what, value in self._facts())})"

    def _repr_html_(self) -> str:
        """Return the model as a table, as notebooks show it."""
        return html_table("NeuralOperator", (), self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """Return what is to be known of the model, by what it is called."""
        config, source = self.config, self.source
        weights = "random" if source is None else f"loaded from {source.model_id}"
        if source is not None and source.revision not in (None, "package"):
            weights += f"@{source.revision}"
        return [
            ("family", config.family or "none"),
            ("size", f"{rounded_count(config.parameters)} parameters"),
            ("network", f"FNO of {config.layers} layers, width {config.width}, {config.modes} modes"),
            ("normaliser", f"{config.normaliser.kind}, frame {config.frame}"),
            ("weights", weights),
        ]

    def forward(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Solve a batch.

        Args:
            source: (B, n, n) float32, f on the grid x_j = j / n, indexed `[y, x]`; n at least 2 * config.modes.
            coefficients: (B, 6) float32, (k11, k22, k12, v1, v2, omega) of each sample, in physical units.

        Returns:
            (B, n, n), the solution u.

        Raises:
            ShapeError: If a shape or dtype is another.
            UsageError: If the grid is too coarse for the model's modes.
        """
        self._check(source, coefficients)
        return solve_in_frame(self.config.frame, self._solve, source, coefficients)

    def _solve(self, source: Tensor, coefficients: Tensor) -> Tensor:
        """Solve a batch in its own coordinates."""
        inputs = normalise(self.config.normaliser, source, coefficients)
        output: Tensor = self.network(inputs.source, inputs.coefficients)
        return inputs.amplitude * output

    def _check(self, source: Tensor, coefficients: Tensor) -> None:
        if source.ndim != 3 or source.shape[1] != source.shape[2]:
            raise ShapeError(f"source must have the shape (B, n, n), not {tuple(source.shape)}")
        if tuple(coefficients.shape) != (source.shape[0], COEFFICIENTS):
            raise ShapeError(
                f"coefficients must have the shape ({source.shape[0]}, {COEFFICIENTS}), one row "
                f"(k11, k22, k12, v1, v2, omega) per source, not {tuple(coefficients.shape)}"
            )
        dtype = self.network.lift.weight.dtype
        if source.dtype != dtype or coefficients.dtype != dtype:
            raise ShapeError(
                f"source and coefficients must be {dtype}, as the model is, not {source.dtype} and {coefficients.dtype}"
            )

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> None:
        """Write `config.json` and `model.safetensors`, each whole or not at all.

        An older `config.json` is removed first, and the new one written last: a folder whose saving was interrupted
        has none and is never mistaken for a model. Where other weights were in the folder, their `training.json` is
        removed too: it does not say how these were trained.

        Args:
            folder: Where.
            half: Store the weights rounded to half precision (float16), which takes half the room. A model that is
                loaded from them computes in float32, as any other.

        Raises:
            PdefmError: If they cannot be written.
        """
        config, weights = Path(folder) / CONFIG_NAME, Path(folder) / WEIGHTS_NAME
        config.unlink(missing_ok=True)
        before = sha256_of(weights) if weights.is_file() else None
        write_weights(weights, self.state_dict(), half=half)
        if before not in (None, sha256_of(weights)):
            (Path(folder) / RECORD_NAME).unlink(missing_ok=True)
        write_atomically(config, self.config.model_dump_json(indent=2) + "\n")

    @classmethod
    def from_source(cls, source: ModelSource, device: str = "cpu") -> Self:
        """Load the model whose files a ModelSource names.

        Args:
            source: As from `resolve`.
            device: See `choose_device`.

        Returns:
            The model in evaluation mode, its `source` set.

        Raises:
            PdefmError: If the configuration is invalid or the weights do not fit it.
        """
        place = choose_device(device)
        # Built without memory or random numbers; the weights read then take the empty parameters' place.
        with standard(), torch.device("meta"):
            model = cls(read_config(source.directory))  # `source_in` has held the weights' header to it
        expected = specs_of(model.state_dict())
        with standard():
            model.load_state_dict(read_weights(source.directory / WEIGHTS_NAME, expected, place), assign=True)
        model.source = source
        return model.eval()

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        device: str = "cpu",
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> Self:
        """Load a model from a directory or from the Hub; safetensors only.

        Args:
            pretrained_model_name_or_path: A directory written by `save_pretrained`, or a Hub id.
            revision: Branch, tag or commit on the Hub.
            token: The Hub's access token; None for the one of `hf auth login`.
            device: See `choose_device`.
            cache_dir: Where the Hub's client keeps its downloads, if not in the usual place.
            force_download: Download even what is cached.
            local_files_only: Do not use the network.

        Returns:
            The model in evaluation mode.

        Raises:
            PdefmError: If there is no such model, or its files are not what they should be.
        """
        directory = Path(pretrained_model_name_or_path)
        if directory.is_dir():
            return cls.from_source(source_in(directory, str(directory)), device)
        source = source_on_hub(
            str(pretrained_model_name_or_path),
            revision,
            token=token,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
        )
        return cls.from_source(source, device)


def parameter_count(config: ModelConfig) -> int:
    """Return how many real numbers a model has to learn, without making it; a complex weight is two."""
    return config.parameters
