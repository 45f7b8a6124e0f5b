"""Making samples at 128×128 in float64 on one core, against the per-sample method of the paper's code.

The reference, written here after the method's description, loops over the 144 Gaussians on the whole grid and solves
with full complex transforms, one sample at a time. Both make the same fields (checked).

    python scripts/bench/sampling.py
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import statistics
import time

import numpy as np

from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.physics import SYSTEMS, SampleKey, draw
from pdebench_fm.physics.sampling import build_fields

N = 128
ROWS = 256
REFERENCE_ROWS = 12
REPEATS = 15


def reference_sample(weights, coefficients, *, zero_mean):
    """One sample by the paper's method: (source, solution), each (128, 128) float64.

    First the scaled distance to each of the 144 centres on the whole grid, then the sum of their Gaussians, then full
    complex transforms with wave numbers laid out on the whole grid.
    """
    points = np.arange(N) / N
    x, y = np.meshgrid(points, points)
    centres = 0.5 - 11 / 32 + np.arange(12) / 16
    centre_x, centre_y = np.meshgrid(centres, centres)
    distances = []
    for cx, cy in zip(centre_x.ravel(), centre_y.ravel(), strict=True):
        squared = (x - cx) ** 2 + (y - cy) ** 2
        distances.append(squared / (2 * (1 / 32) ** 2))
    source = np.zeros((N, N))
    for weight, distance in zip(weights.ravel(), distances, strict=True):
        source += weight * np.exp(-distance)
    source /= source.max()
    if zero_mean:
        source -= source.mean()
    waves = np.fft.fftfreq(N, 1 / N)
    kx, ky = np.meshgrid(waves, waves)
    k11, k22, k12, v1, v2, omega = coefficients
    symbol = 4 * np.pi**2 * (k11 * kx**2 + k22 * ky**2 + 2 * k12 * kx * ky) + 2j * np.pi * (v1 * kx + v2 * ky) - omega
    if zero_mean:
        symbol[0, 0] = 1.0
    spectrum = np.fft.fft2(source) / symbol
    if zero_mean:
        spectrum[0, 0] = 0.0
    return source, np.fft.ifft2(spectrum).real


def main():
    keep_freed_memory()  # as builds and trainings do; it serves the reference as well
    print(f"{N}×{N}, float64, one core; medians of {REPEATS} alternating runs, ratios pair by pair; µs a sample")
    print(f"{'system':<22}{'reference':>11}{'fields':>9}{'ratio':>8}{'with draws':>12}{'ratio':>8}")
    for name, system in SYSTEMS.items():
        key = SampleKey(name, "pretrain", "train")
        draws = draw(key, range(ROWS))
        weights, coefficients = draws.weights.astype(float), draws.coefficients.astype(float)
        slow, fields, whole = [], [], []
        for _ in range(REPEATS):
            began = time.perf_counter()
            expected = [
                reference_sample(weights[i], coefficients[i], zero_mean=system.zero_mean) for i in range(REFERENCE_ROWS)
            ]
            slow.append((time.perf_counter() - began) / REFERENCE_ROWS)
            began = time.perf_counter()
            for start in range(0, ROWS, 8):
                made = build_fields(system, weights[start : start + 8], coefficients[start : start + 8], N)
            fields.append((time.perf_counter() - began) / ROWS)
            began = time.perf_counter()
            again = draw(key, range(ROWS))
            if system.solution_bound is None:  # where it bounds the solution, drawing has made the fields already
                for start in range(0, ROWS, 8):
                    build_fields(
                        system,
                        again.weights[start : start + 8].astype(float),
                        again.coefficients[start : start + 8].astype(float),
                        N,
                    )
            whole.append((time.perf_counter() - began) / ROWS)
        made = build_fields(system, weights[:REFERENCE_ROWS], coefficients[:REFERENCE_ROWS], N)
        for i, (source, solution) in enumerate(expected):
            assert np.abs(made[0][i] - source).max() < 1e-12
            assert np.abs(made[1][i] - solution).max() < 1e-7 * np.abs(solution).max()
        times = [statistics.median(values) * 1e6 for values in (slow, fields, whole)]
        ratios = [statistics.median(a / b for a, b in zip(slow, ours, strict=True)) for ours in (fields, whole)]
        print(f"{name:<22}{times[0]:>11.0f}{times[1]:>9.0f}{ratios[0]:>7.0f}×{times[2]:>12.0f}{ratios[1]:>7.0f}×")


if __name__ == "__main__":
    main()
