"""A release: everything that the project has on the Hub, in steps that are looked up before they are done."""

from pdebench_fm.release.plan import SIZES, Release, Size
from pdebench_fm.release.steps import State, Step, carry_out, check_start, release_steps

__all__ = ["SIZES", "Release", "Size", "State", "Step", "carry_out", "check_start", "release_steps"]
