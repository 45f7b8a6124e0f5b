"""The example of a user's own PDE and the guide to it: solutions solve what they say."""

import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from pdebench_fm.cli import main
from pdebench_fm.data.catalogue import find_dataset
from pdebench_fm.data.manifest import read_manifest
from pdebench_fm.extensions.plugins import load_plugins
from pdebench_fm.physics import SampleKey, advection_diffusion_ratio, sample
from pdebench_fm.physics.sampling import build_fields
from pdebench_fm.protocol.task import load_task

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "screened_poisson.py"
GUIDE = (ROOT / "docs" / "how-to" / "extending-pdes.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.usefixtures("registry")


def run(commands, monkeypatch):
    """Run shell lines that set a variable or call `pdefm`, in this process."""
    for line in commands.strip().splitlines():
        match shlex.split(line):
            case ["export", assignment]:
                monkeypatch.setenv(*assignment.split("=", 1))
            case ["pdefm", *arguments]:
                assert main(arguments) == 0, line
            case _:
                pytest.fail(f"not a command that a test knows: {line}")


def digests(folder):
    return [
        (split.regime, split.split, split.content_digest) for split in read_manifest(folder / "manifest.json").splits
    ]


def difference_residuals(apply, name, regime, resolutions):
    """Return ‖L_h u − f‖/‖f‖ of a few rows on each grid, with L_h of finite differences of second order.

    The fields are those of the rows before they are rounded to float32, which differences would magnify.
    """
    residuals = []
    dataset = find_dataset(name)
    for n in resolutions:
        rows = sample(dataset.key(regime, "test"), range(4), n)
        weights, coefficients = rows.draws.weights.astype(float), rows.draws.coefficients.astype(float)
        source, solution = build_fields(dataset.system, weights, coefficients, n)
        np.testing.assert_allclose(rows.source, source, atol=1e-7)
        np.testing.assert_allclose(rows.solution, solution, atol=1e-7 * np.abs(solution).max())
        off = apply(solution, coefficients.T[:, :, None, None], 1 / n) - source
        residuals.append(np.linalg.norm(off, axis=(1, 2)) / np.linalg.norm(source, axis=(1, 2)))
    return np.array(residuals)


def second(u, axis, h):
    return (np.roll(u, -1, axis) - 2 * u + np.roll(u, 1, axis)) / h**2


def central(u, axis, h):
    return (np.roll(u, -1, axis) - np.roll(u, 1, axis)) / (2 * h)


def screened_poisson(u, coefficients, h):
    k11, k22, k12, _, _, omega = coefficients
    mixed = central(central(u, -1, h), -2, h)
    return -(k11 * second(u, -1, h) + k22 * second(u, -2, h) + 2 * k12 * mixed) - omega * u


def plate(u, coefficients, h):
    def laplacian(field):
        return second(field, -1, h) + second(field, -2, h)

    return coefficients[0] * laplacian(laplacian(u)) + coefficients[1] * u


def test_the_commands_of_the_example_run_and_two_workers_build_what_one_does(tmp_path, monkeypatch, capfd):
    (tmp_path / "examples").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    text = EXAMPLE.read_text(encoding="utf-8")
    commands = "\n".join(re.findall(r"^    ((?:export|pdefm) .+)$", text.split('"""')[1], re.MULTILINE))
    small = {"--train 256": "--train 12", "--validation 32": "--validation 4", "--test 64": "--test 8 --resolution 64"}
    for size, smaller in (small | {"--steps 100": "--steps 2", "--shots 0,8": "--shots 0"}).items():
        assert size in commands
        commands = commands.replace(size, smaller)
    run(commands, monkeypatch)
    shown = " ".join(capfd.readouterr().out.split())
    assert "−∇·(K ∇u) + c u = f" in shown
    assert "relative ℓ² error" in shown
    assert Path("row.png").stat().st_size > 10_000
    assert Path("runs/screened-poisson/fno-screened-poisson-64k/model.safetensors").is_file()
    (result,) = Path("results").rglob("screened-poisson--medium-lite-*.json")
    assert main(["submit", str(result), "--to", "leaderboard"]) == 2
    assert "screened-poisson/medium is unranked" in capfd.readouterr().err
    build = next(line for line in commands.splitlines() if "data build" in line)
    run(build.replace("--workers 2", "--workers 1 --regime hard").replace("--out data", "--out alone"), monkeypatch)
    alone = digests(Path("alone/screened-poisson"))
    assert alone == [split for split in digests(Path("data/screened-poisson")) if split[0] == "hard"]
    assert len(alone) == 3


@pytest.mark.parametrize("regime", ["pretrain", "hard"])
def test_screened_solutions_satisfy_the_equation_in_finite_differences(regime, monkeypatch):
    monkeypatch.setenv("PDEFM_PLUGINS", str(EXAMPLE))
    residuals = difference_residuals(screened_poisson, "screened-poisson", regime, (128, 256, 512))
    assert residuals[-1].max() < 0.01
    np.testing.assert_allclose(residuals[:-1] / residuals[1:], 4.0, rtol=0.05)  # second order


def test_screened_rows_have_the_screening_that_was_drawn_as_minus_omega(monkeypatch):
    monkeypatch.setenv("PDEFM_PLUGINS", str(EXAMPLE))
    dataset = find_dataset("screened-poisson")
    for regime, span in dataset.system.regimes.items():
        rows = sample(dataset.key(regime, "train"), range(32), 64)
        np.testing.assert_array_equal(rows.draws.coefficients[:, 5], -rows.draws.parameter)
        assert span.low <= rows.draws.parameter.min() < rows.draws.parameter.max() <= span.high
        # at k = 0 the equation says c·mean(u) = mean(f)
        means = rows.draws.parameter * rows.solution.mean(axis=(1, 2), dtype=float)
        np.testing.assert_allclose(means, rows.source.mean(axis=(1, 2), dtype=float), rtol=1e-5)


def test_the_solutions_of_the_guides_systems_solve_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, code in re.findall(r"^```python file=(\S+)\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE):
        Path(name).write_text(code, encoding="utf-8")
    monkeypatch.setenv("PDEFM_PLUGINS", os.pathsep.join(["plate.py", "far_helmholtz.py"]))
    load_plugins()
    residuals = difference_residuals(plate, "plate", "firm", (128, 256, 512))
    assert residuals[-1].max() < 0.01
    np.testing.assert_allclose(residuals[:-1] / residuals[1:], 4.0, rtol=0.05)
    far = sample(find_dataset("far-helmholtz").key("far", "test"), range(16), 64).draws
    np.testing.assert_array_equal(far.coefficients[:, 5], far.parameter)
    assert set(far.parameter) <= set(range(21, 31))


def test_the_authors_distribution_misses_its_ratio_by_sample_and_meets_it_on_average(registry, monkeypatch):  # noqa: ARG001
    monkeypatch.setenv("PDEFM_PLUGINS", str(ROOT / "examples" / "authors_advection_diffusion.py"))
    for regime in ("in-domain", "medium", "hard"):
        task = load_task(f"advection-diffusion-table/{regime}")
        rows = sample(task.test.key, range(96), 64)
        ratio = advection_diffusion_ratio(rows.solution.astype(float), rows.draws.coefficients.astype(float))
        missed = ratio / rows.draws.parameter
        assert abs(missed.mean() - 1) < 0.1
        assert 0.15 < missed.std() < 0.4
        ours = sample(SampleKey("advection-diffusion", regime, "test"), range(8), 64)
        exact = advection_diffusion_ratio(ours.solution.astype(float), ours.draws.coefficients.astype(float))
        assert abs(exact / ours.draws.parameter - 1).max() < 1e-3
