"""Metrics against slow NumPy versions, and what must not change them."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from pdebench_fm.data.batches import Batch, batch_of
from pdebench_fm.physics import SYSTEMS, SampleKey, sample
from pdebench_fm.protocol.metric_names import METRIC_NAMES
from pdebench_fm.protocol.metrics import sample_errors
from pdebench_fm.results.samples import summarise


@pytest.fixture(scope="module")
def rows():
    return batch_of(sample(SampleKey("advection-diffusion", "mild", "test"), range(10), 64))


@pytest.fixture(scope="module")
def prediction(rows):
    noise = torch.randn(rows.solution.shape, generator=torch.Generator().manual_seed(0))
    return rows.solution + 0.1 * rows.solution.std() * noise


SYMBOL = SYSTEMS["advection-diffusion"].symbol


def slow_errors(prediction, source, coefficients, solution):
    """Every metric of one sample from its formula, by full complex transforms and explicit sums."""
    n = solution.shape[0]
    error = prediction - solution
    waves = np.fft.fftfreq(n, 1 / n)
    e_hat, u_hat, p_hat = np.fft.fft2(error), np.fft.fft2(solution), np.fft.fft2(prediction)
    sums = dict.fromkeys(("h1_error", "h1", "low", "mid", "high", "all"), 0.0)
    applied = np.zeros((n, n), complex)
    k11, k22, k12, v1, v2, omega = coefficients
    for a, ky in enumerate(waves):
        for b, kx in enumerate(waves):
            squared = kx**2 + ky**2
            sums["h1_error"] += (1 + 4 * np.pi**2 * squared) * abs(e_hat[a, b]) ** 2
            sums["h1"] += (1 + 4 * np.pi**2 * squared) * abs(u_hat[a, b]) ** 2
            band = "low" if squared <= 16 else "mid" if squared <= 144 else "high"
            sums[band] += abs(e_hat[a, b]) ** 2
            sums["all"] += abs(u_hat[a, b]) ** 2
            odd_x, odd_y = (0 if abs(k) == n / 2 else k for k in (kx, ky))
            quadratic = k11 * kx**2 + k22 * ky**2 + 2 * k12 * odd_x * odd_y
            symbol = 4 * np.pi**2 * quadratic + 2j * np.pi * (v1 * odd_x + v2 * odd_y) - omega
            applied[a, b] = symbol * p_hat[a, b]
    return {
        "relative_l2": np.sqrt((error**2).sum() / (solution**2).sum()),
        "relative_h1": np.sqrt(sums["h1_error"] / sums["h1"]),
        "band_low": np.sqrt(sums["low"] / sums["all"]),
        "band_mid": np.sqrt(sums["mid"] / sums["all"]),
        "band_high": np.sqrt(sums["high"] / sums["all"]),
        "residual": np.linalg.norm(np.fft.ifft2(applied).real - source) / np.linalg.norm(source),
        "max_error": np.abs(error).max() / np.abs(solution).max(),
    }


def test_metrics_equal_their_formulas(rows, prediction):
    errors = sample_errors(prediction, rows, SYMBOL)
    for i in range(3):
        expected = slow_errors(
            *(tensor[i].double().numpy() for tensor in (prediction, rows.source, rows.coefficients, rows.solution))
        )
        assert errors.keys() == expected.keys() == set(METRIC_NAMES)
        for name, value in expected.items():
            assert float(errors[name][i]) == pytest.approx(value, rel=1e-10), name


def test_bands_add_up_to_the_score(rows, prediction):
    errors = sample_errors(prediction, rows, SYMBOL)
    total = sum(errors[f"band_{band}"] ** 2 for band in ("low", "mid", "high"))
    torch.testing.assert_close(total.sqrt(), errors["relative_l2"])


def errors_of(prediction, rows, symbol=SYMBOL, batch=32):
    """Every error of every sample, computed in batches of this size."""
    parts = [
        sample_errors(prediction[start : start + batch], rows[start : start + batch], symbol)
        for start in range(0, len(rows), batch)
    ]
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("system", list(SYSTEMS))
@pytest.mark.parametrize("resolution", [64, 128])
def test_batch_size_and_order_change_no_bit(batch, system, resolution):
    rows = batch_of(sample(SampleKey(system, "mild", "test"), range(10), resolution))
    noise = torch.randn(rows.solution.shape, generator=torch.Generator().manual_seed(0))
    prediction, symbol = rows.solution + 0.1 * rows.solution.std() * noise, SYSTEMS[system].symbol
    whole = errors_of(prediction, rows, symbol)
    order = torch.tensor([7, 2, 9, 0, 4, 1, 8, 3, 6, 5])
    shuffled = errors_of(prediction[order], rows[order], symbol, batch)
    for name, values in whole.items():
        np.testing.assert_array_equal(shuffled[name], values[order.numpy()], err_msg=name)
    assert summarise(shuffled) == summarise(whole)


def test_a_mean_is_the_exact_sum_rounded_once():
    values = np.random.default_rng(0).lognormal(0.0, 3.0, 4097)
    exact = sum(map(Fraction, values.tolist())) / len(values)
    mean = summarise(dict.fromkeys(METRIC_NAMES, values)).relative_h1_mean
    assert mean == pytest.approx(float(exact), rel=2e-16)
    assert summarise(dict.fromkeys(METRIC_NAMES, values[::-1])).relative_h1_mean == mean


def test_quantiles_are_those_of_the_sorted_errors():
    values = np.random.default_rng(1).permutation(np.arange(101.0))
    summary = summarise(dict.fromkeys(METRIC_NAMES, values))
    assert (summary.relative_l2_median, summary.relative_l2_p95) == (50.0, 95.0)


def test_the_exact_solution_scores_zero_and_a_zero_prediction_scores_one(rows):
    exact = summarise(errors_of(rows.solution, rows))
    assert exact.relative_l2_mean == 0.0
    assert exact.residual_mean < 1e-3  # of rounding the solution to float32
    nothing = summarise(errors_of(torch.zeros_like(rows.solution), rows))
    assert nothing.relative_l2_mean == pytest.approx(1.0, abs=1e-12)
    assert nothing.residual_mean == pytest.approx(1.0, abs=1e-12)


def test_the_score_is_averaged_over_samples_and_not_over_pooled_norms(rows):
    scaled = Batch(rows.source, rows.coefficients, rows.solution.clone())
    scaled.solution[0] *= 1000.0
    errors = errors_of(torch.zeros_like(scaled.solution), scaled)
    assert summarise(errors).relative_l2_mean == pytest.approx(1.0)
