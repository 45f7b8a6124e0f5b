"""Runs of a study for tests, each detail of which a test may change."""

from pdebench_fm.studies.runs import RunKey, RunRow


def key(shots=0, start="pretrained", model="m", task="poisson-ood/medium", **changes):
    return RunKey(
        **({"model": model, "task": task, "start": start, "shots": shots, "method": "v1", "track": "lite"} | changes)
    )


def row(of, error, spread=1.05, **changes):
    """A run whose 95 % interval is the error times and over `spread`."""
    values = {
        **of._asdict(),
        "model_id": of.model,
        "family": "poisson",
        "size": "64k",
        "parameters": 1000,
        "pretraining_steps": 100,
        "system": "poisson",
        "regime": "medium",
        "resolution": 64,
        "test_rows": 512,
        "seeds": 3,
        "error": error,
        "low": error / spread,
        "high": error * spread,
        "covers": "seeds and samples",
        "standard_deviation": None,
        "device": "cpu",
        "seconds": 1.0,
    }
    return RunRow(**(values | changes))
