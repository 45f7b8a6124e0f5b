"""The configurations of neuraloperators-TL-scaling: which network one of them describes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from pdebench_fm.errors import PdefmError, UsageError, unknown_name


@dataclass(frozen=True)
class PeerInputs:
    """What a network of theirs sees beside the source.

    Attributes:
        family: The system it was trained on.
        coefficients: Which of (k11, k22, k12, v1, v2, omega), in the order of its input channels.
    """

    family: str
    coefficients: tuple[int, ...]


INPUTS = {
    2: PeerInputs("helmholtz", (5,)),
    3: PeerInputs("helmholtz", (0, 5)),  # their generator stores the diffusion 0.01 before omega
    4: PeerInputs("poisson", (0, 1, 2)),
    6: PeerInputs("advection-diffusion", (0, 1, 2, 3, 4)),
}
"""By their option `in_dim`, the number of input channels, source included."""


def _plain(value: object) -> object:
    """Return a value that their code wrote as text (`hyperparams.yaml` holds text only) as the value it stands for."""
    return yaml.safe_load(value) if isinstance(value, str) else value


Widths = Annotated[tuple[PositiveInt, ...], BeforeValidator(_plain), Field(min_length=1)]


class PeerOptions(BaseModel):
    """The options of their configuration that the network depends on; under their names.

    A positive `mode_cut` replaces every entry of `modes1` and `modes2`, a positive `embed_cut` every entry of
    `layers`, and both cuts positive `fc_dim` by `embed_cut * fc_cut`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: Literal["fno"]
    in_dim: int
    out_dim: Annotated[Literal[1], BeforeValidator(_plain)]
    layers: Widths
    modes1: Widths
    modes2: Widths
    fc_dim: int
    mode_cut: int
    embed_cut: int
    fc_cut: int
    loss_func: Literal["mse"]
    scales_path: Annotated[str | None, BeforeValidator(lambda path: None if path == "None" else path)] = None


@dataclass(frozen=True)
class PeerNetwork:
    """The shape of a network of theirs that `FNO` can be.

    Attributes:
        inputs: What it sees.
        width: Channels d of the hidden fields.
        modes: m, the modes kept along each axis and sign.
        layers: Number of Fourier layers.
    """

    inputs: PeerInputs
    width: int
    modes: int
    layers: int

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of its weights by their names."""
        d, m = self.width, self.modes
        shapes: dict[str, tuple[int, ...]] = {"fc0.weight": (d, 1 + len(self.inputs.coefficients)), "fc0.bias": (d,)}
        for layer in range(self.layers):
            shapes |= {f"sp_convs.{layer}.weights{sign}": (d, d, m, m, 2) for sign in (1, 2)}
            shapes |= {f"ws.{layer}.weight": (d, d, 1), f"ws.{layer}.bias": (d,)}
        shapes |= {"fc1.weight": (2 * d, d), "fc1.bias": (2 * d,), "fc2.weight": (1, 2 * d), "fc2.bias": (1,)}
        return shapes


def read_options(path: Path, entry: str | None = None) -> PeerOptions:
    """Read their configuration: one of several in a file, or the only one.

    Raises:
        UsageError: If the file does not exist, or which of its configurations is meant is not said, or wrongly.
        PdefmError: If it is no such file, or an option is missing or not supported.
    """
    if not path.is_file():
        raise UsageError(f"no configuration file {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PdefmError(f"{path} is not a YAML file") from error
    if not isinstance(content, dict) or not content:
        raise PdefmError(f"{path} is not a configuration: it has no options")
    if all(isinstance(value, dict) for value in content.values()):
        content = _named_entry(content, entry, path)
    elif entry is not None:
        raise UsageError(f"{path} is one configuration, without a name: leave out --entry")
    try:
        return PeerOptions.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        option, given = first["loc"][0], first["input"]
        if first["type"] == "missing":
            raise PdefmError(f"{path} lacks the option {option!r}, which their network needs") from error
        raise PdefmError(f"{path}: option {option!r} cannot be {given!r}: {first['msg']}") from error
    except yaml.YAMLError as error:
        raise PdefmError(f"{path}: an option's value cannot be read") from error


def _named_entry(content: dict[str, Any], entry: str | None, path: Path) -> dict[str, Any]:
    """Return one of a file's configurations."""
    if entry is None and len(content) > 1:
        raise UsageError(f"{path} has several configurations, give one as --entry: {', '.join(map(str, content))}")
    if entry is not None and entry not in content:
        raise unknown_name("configuration", entry, map(str, content))
    chosen: dict[str, Any] = content[entry if entry is not None else next(iter(content))]
    return chosen


def network_of(options: PeerOptions, path: Path) -> PeerNetwork:
    """Return the network that options describe.

    Raises:
        PdefmError: If `FNO` cannot be that network; names the option.
    """
    layers, modes1, modes2, hidden = options.layers, options.modes1, options.modes2, options.fc_dim
    if options.mode_cut > 0:
        modes1, modes2 = (options.mode_cut,) * len(modes1), (options.mode_cut,) * len(modes2)
    if options.embed_cut > 0:
        layers = (options.embed_cut,) * len(layers)
        hidden = options.embed_cut * options.fc_cut if options.fc_cut > 0 else hidden
    count = len(layers) - 1
    if options.in_dim not in INPUTS:
        known = ", ".join(f"{channels} ({inputs.family})" for channels, inputs in INPUTS.items())
        raise PdefmError(f"{path}: in_dim {options.in_dim} is not the inputs of one of the systems: {known}")
    if count < 1 or len(modes1) != count or len(modes2) != count:
        raise PdefmError(
            f"{path}: layers has {len(layers)} widths, modes1 {len(modes1)} and modes2 {len(modes2)} numbers; "
            "there must be one width more than modes"
        )
    if len(set(layers)) > 1:
        raise PdefmError(f"{path}: layers {list(layers)} is not supported: all widths must be the same")
    if len({*modes1, *modes2}) > 1:
        raise PdefmError(f"{path}: modes1 {list(modes1)} and modes2 {list(modes2)} must be one number throughout")
    if hidden != 2 * layers[0]:
        raise PdefmError(
            f"{path}: {hidden} hidden channels of the projection (fc_dim, or embed_cut * fc_cut) are not supported: "
            f"there must be twice the width, {2 * layers[0]}"
        )
    return PeerNetwork(INPUTS[options.in_dim], layers[0], modes1[0], count)
