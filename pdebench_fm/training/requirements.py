"""What pretraining needs beside what the package is installed with."""

from importlib import import_module

from pdebench_fm.errors import UsageError

_LIBRARIES = ("accelerate", "tensorboard")


def require_training_libraries() -> None:
    """Raise a `UsageError` that says what to install, unless the libraries of the extra `train` are there."""
    for name in _LIBRARIES:
        try:
            import_module(name)
        except ImportError as error:
            raise UsageError(f"pretraining needs {name} ({error}): pip install 'pdebench-fm[train]'") from error
