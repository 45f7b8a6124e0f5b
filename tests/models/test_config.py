"""A model's configuration accepts exactly what it means."""

import pytest
from pydantic import ValidationError

from pdebench_fm.models.config import (
    DiffusionNormaliser,
    HomogeneousNormaliser,
    IdentityNormaliser,
    ModelConfig,
    TLScalingNormaliser,
)

VALID = {
    "width": 16,
    "modes": 4,
    "normaliser": {"kind": "homogeneous-rms", "coefficient_scales": [0.03, 0.03, 0.01, 1, 1, 6.5]},
}


def test_json_round_trip():
    config = ModelConfig.model_validate(VALID)
    assert config.layers == 4
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 4},
        {"width": 0},
        {"modes": -1},
        {"architecture": "unet"},
        {"format_version": 2},
        {"normaliser": {"kind": "other", "coefficient_scales": [1] * 6}},
        {"normaliser": {"coefficient_scales": [1] * 6}},
        {"normaliser": {"kind": "homogeneous-rms", "coefficient_scales": [1] * 5}},
        {"normaliser": {"kind": "homogeneous-rms", "coefficient_scales": [1, 1, 0, 1, 1, 1]}},
        {"normaliser": {"kind": "homogeneous-rms", "coefficient_scales": [1, 1, float("inf"), 1, 1, 1]}},
        {"normaliser": {"kind": "homogeneous-rms", "coefficient_scales": [1] * 6, "mean": 0}},
        {"normaliser": {"kind": "tl-scaling", "coefficient_scales": [1] * 6}},
        {"normaliser": {"kind": "tl-scaling", "coefficient_scales": [1] * 6, "source_scale": 0}},
        {"normaliser": {"kind": "diffusion-normalised", "coefficient_scales": [1] * 6, "diffusivity": "largest"}},
        {"normaliser": {"kind": "diffusion-normalised", "coefficient_scales": [1] * 6, "velocity_share": -1}},
        {"normaliser": {"kind": "diffusion-normalised", "coefficient_scales": [1] * 6, "omega_share": -1}},
        {"normaliser": {"kind": "diffusion-normalised"}},
        {"normaliser": {"kind": "identity", "coefficient_scales": [1] * 6}},
    ],
    ids=str,
)
def test_anything_else_is_refused(change):
    with pytest.raises(ValidationError):
        ModelConfig.model_validate(VALID | change)


@pytest.mark.parametrize(
    "normaliser",
    [
        HomogeneousNormaliser(coefficient_scales=(0.03, 0.03, 0.01, 1, 1, 6.5)),
        TLScalingNormaliser(source_scale=0.002, coefficient_scales=(0.03, 0.03, 0.01, 1, 1, 6.5), length_x=2),
        DiffusionNormaliser(
            coefficient_scales=(1.5, 1.5, 1, 1, 1, 9), diffusivity="mean", velocity_share=0.5, omega_share=2.0
        ),
        IdentityNormaliser(),
    ],
    ids=lambda normaliser: normaliser.kind,
)
def test_every_kind_of_normaliser_is_found_again_by_its_word(normaliser):
    config = ModelConfig(width=16, modes=4, normaliser=normaliser)
    assert ModelConfig.model_validate_json(config.model_dump_json()).normaliser == normaliser


def test_it_cannot_be_changed():
    config = ModelConfig(width=16, modes=4, normaliser=HomogeneousNormaliser(coefficient_scales=(1,) * 6))
    with pytest.raises(ValidationError):
        config.width = 32
