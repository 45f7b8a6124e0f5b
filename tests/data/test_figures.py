"""Figures: they show the rows that they say, in scales that can be read, in every format."""

import numpy as np
import pytest
from PIL import Image

from pdebench_fm.cli import main
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.data.figures import (
    MAXIMUM_ROWS,
    figure_format,
    parameters_figure,
    regimes_figure,
    save_figure,
    show_rows,
)
from pdebench_fm.data.statistics import read_statistics
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.physics import SampleKey, sample

HELMHOLTZ = DATASETS["helmholtz-ood"]


def panels(figure):
    """The axes that show fields, in the order in which they were drawn."""
    return [axis for axis in figure.axes if axis.get_title()]


def test_every_row_is_shown_with_its_own_fields_colour_bars_and_coefficients():
    dataset, indices = DATASETS["advection-diffusion"], [3, 0, 7]
    figure = show_rows(dataset, "pretrain", "test", indices, 64)
    rows = sample(SampleKey("advection-diffusion", "pretrain", "test"), indices, 64)
    shown = panels(figure)
    assert len(shown) == 6
    assert len(figure.axes) == 12  # each with a colour bar
    for i, index in enumerate(indices):
        np.testing.assert_array_equal(shown[2 * i].images[0].get_array(), rows.source[i])
        np.testing.assert_array_equal(shown[2 * i + 1].images[0].get_array(), rows.solution[i])
        title = next(text.get_text() for text in figure.texts if text.get_text().startswith(f"row {index}:"))
        assert f"Ψ = {rows.draws.parameter[i]:.3g}" in title
        assert f"{rows.draws.coefficients[i, 0]:.3g}" in title
        assert "v = (" in title
        assert "ω" not in title


def test_solutions_are_centred_on_zero_and_y_points_upwards():
    source, solution = panels(show_rows(HELMHOLTZ, "hard", "train", [0], 64))
    low, high = solution.images[0].get_clim()
    assert low == -high < 0
    assert source.images[0].get_clim() == (source.images[0].get_array().min(), source.images[0].get_array().max())
    for axis in (source, solution):
        assert axis.images[0].origin == "lower"
        assert axis.get_aspect() == 1.0


@pytest.mark.parametrize(
    ("regime", "split", "indices", "words"),
    [
        ("hrad", "train", [0], "did you mean 'hard'"),
        ("hard", "trian", [0], "did you mean 'train'"),
        ("hard", "train", [], "1 to 32 rows, not 0"),
        ("hard", "train", range(MAXIMUM_ROWS + 1), "not 33"),
        ("hard", "train", [2, -1], "row -1 does not exist"),
    ],
)
def test_rows_that_do_not_exist_are_refused(regime, split, indices, words):
    with pytest.raises(UsageError, match=words):
        show_rows(HELMHOLTZ, regime, split, list(indices), 64)


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")]
)
def test_the_suffix_decides_the_format_and_nothing_else_is_left(tmp_path, suffix, start):
    save_figure(show_rows(HELMHOLTZ, "hard", "train", [0], 64), tmp_path / "sub" / f"row.{suffix}")
    assert (tmp_path / "sub" / f"row.{suffix}").read_bytes().startswith(start)
    assert [path.name for path in (tmp_path / "sub").iterdir()] == [f"row.{suffix}"]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_figure_has_the_same_bytes(tmp_path, suffix):
    for name in ("one", "two"):
        save_figure(show_rows(HELMHOLTZ, "hard", "train", [1], 64), tmp_path / f"{name}.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["row.jpg", "row", ".png"])
def test_a_format_that_cannot_be_written_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf"):
        figure_format(tmp_path / name)


def test_a_place_that_cannot_be_written_is_one_error(tmp_path):
    (tmp_path / "row.png").mkdir()
    with pytest.raises(PdefmError, match="cannot write"):
        save_figure(show_rows(HELMHOLTZ, "hard", "train", [0], 64), tmp_path / "row.png")
    assert [path.name for path in tmp_path.iterdir()] == ["row.png"]


def test_the_card_shows_three_rows_of_each_regime_in_a_small_file(tmp_path):
    figure = regimes_figure(HELMHOLTZ, HELMHOLTZ.regimes)
    shown = panels(figure)
    assert len(shown) == 18
    for line, regime in enumerate(HELMHOLTZ.regimes):
        rows = sample(SampleKey("helmholtz", regime, "train"), range(3))
        assert shown[6 * line].get_ylabel() == regime
        for i in range(3):
            np.testing.assert_array_equal(shown[6 * line + 2 * i].images[0].get_array(), rows.source[i])
            np.testing.assert_array_equal(shown[6 * line + 2 * i + 1].images[0].get_array(), rows.solution[i])
    save_figure(figure, tmp_path / "regimes.png")
    assert (tmp_path / "regimes.png").stat().st_size < 300_000
    assert Image.open(tmp_path / "regimes.png").width > 900


def test_histograms_show_the_share_of_rows_of_each_value(make_build):
    statistics = read_statistics(make_build())
    axes = parameters_figure(HELMHOLTZ, statistics).axes
    assert [axis.get_ylabel() for axis in axes] == ["mild", "medium"]
    for axis, regime in zip(axes, statistics.regimes, strict=True):
        heights = [bar.get_height() for bar in axis.patches]
        np.testing.assert_allclose(heights, np.array(regime.parameter.counts) / 8)
        assert sum(heights) == pytest.approx(1.0)


def test_the_command_draws_rows_and_refuses_mistakes(tmp_path, capsys):
    out = tmp_path / "row.png"
    rows = ["--index", "3", "--index", "4"]
    assert main(["data", "show", "helmholtz-ood/hard", *rows, "--resolution", "64", "--out", str(out)]) == 0
    assert Image.open(out).format == "PNG"
    mistakes = {
        ("helmholtz-ood/hard", "row.jpg"): ".png, .svg, .pdf",
        ("helmholtz-ood", "a.png"): "choose one of helmholtz-ood/mild",
        ("helmholtz-odd/hard", "a.png"): "did you mean 'helmholtz-ood'",
        ("helmholtz-ood/herd", "a.png"): "did you mean 'hard'",
    }
    for (name, file), words in mistakes.items():
        capsys.readouterr()
        assert main(["data", "show", name, "--out", str(tmp_path / file)]) == 2
        assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [out]
