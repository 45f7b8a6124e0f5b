"""The fault battery: kills, full disks and damaged files, tried at random on every command that writes or reads.

Whatever is done to a command, running it again must give what an undisturbed run gives, or one clear line that names
the file; with no internal error, no hang, nothing half-written under its final name, and no process left behind.

    python scripts/faults/run.py --kills 200 --disks 50 --inputs 500 --distributed 3 --seed 1

prints the outcomes, counted, and ends with 1 if any is a breach. The same seed tries the same faults (a kill after some
milliseconds meets another moment each time; one at a file operation, the same).
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy and PyTorch start their pools: this process forks

import argparse
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from children import Ended, become_reaper, run
from damage import damage
from scenarios import SCENARIOS, SHARED, Scenario, leftovers, outcome, prepare, scores

_REPORT_EVERY = 50
_SMALLEST_DISK = 64  # bytes of a file; with fewer, Python cannot share a lock with a worker
_FAULTS = ("kill", "disk", "input")


@dataclass(frozen=True)
class Undisturbed:
    """What a scenario does undisturbed: its results, how long it takes, its file operations and its largest file."""

    folder: Path
    results: dict[str, object]
    seconds: float
    operations: int
    largest: int


class Breach(Exception):  # noqa: N818 (it is the word for it)
    """A fault that did what none may do."""


def main() -> int:
    options = _options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, shells have it ignored
    _import_everything()
    become_reaper()
    root = Path(tempfile.mkdtemp(prefix="faults-", dir=options.folder))
    began = time.monotonic()
    names = options.scenarios.split(",") if options.scenarios else list(SCENARIOS)
    shared = _shared(root / "shared", names)
    undisturbed = {name: _undisturbed(SCENARIOS[name], shared, root / "undisturbed" / name) for name in names}
    print(f"undisturbed runs of {len(names)} commands: {time.monotonic() - began:.0f} s", flush=True)
    counts: Counter[tuple[str, str, str]] = Counter()
    breaches: list[str] = []
    try:
        for case in _cases(options, names):
            found = _try(case, options.seed, undisturbed[case.name], shared, root / "case", breaches)
            counts[case.fault, case.name, found] += 1
            if sum(counts.values()) % _REPORT_EVERY == 0:
                print(f"{sum(counts.values())} faults so far, {time.monotonic() - began:.0f} s", flush=True)
            if options.case is None:
                shutil.rmtree(root / "case")
    except KeyboardInterrupt:
        print("interrupted; so far:")
    if options.distributed:
        from distributed_runs import try_all

        more, worse = try_all(root / "distributed", options.distributed, options.seed)
        counts.update({("distributed", *outcome.split(": ", 1)): count for outcome, count in more.items()})
        breaches += worse
    for (fault, name, found), count in sorted(counts.items()):
        print(f"{fault:11} {name:24} {count:5}  {found}")
    print(f"{sum(counts.values())} faults, {len(breaches)} breaches, {time.monotonic() - began:.0f} s")
    if options.case is None:
        shutil.rmtree(root)
    return int(bool(breaches))


@dataclass(frozen=True)
class Case:
    """One fault: which kind, its number, and the scenario it is tried on."""

    fault: str
    number: int
    name: str


def _cases(options: argparse.Namespace, names: list[str]) -> Iterator[Case]:
    """Yield the faults to try, each kind on one scenario after the other."""
    for fault, wanted in zip(_FAULTS, (options.kills, options.disks, options.inputs), strict=True):
        fitting = [name for name in names if _fits(SCENARIOS[name], fault)]
        for i in range(wanted if fitting else 0):
            if options.case in (None, (fault, i)):
                yield Case(fault, i, fitting[i % len(fitting)])


def _try(case: Case, seed: int, undisturbed: Undisturbed, shared: Path, folder: Path, breaches: list[str]) -> str:
    """Return the outcome of a case in words; a breach is added to the list, with how to try it again."""
    generator = np.random.default_rng([seed, _FAULTS.index(case.fault), case.number])
    try:
        return _TRIED[case.fault](SCENARIOS[case.name], undisturbed, shared, folder, generator)
    except Breach as breach:
        breaches.append(f"--seed {seed} --case {case.fault}:{case.number} ({case.name}): {breach}")
        print(breaches[-1], flush=True)
        return "BREACH"


def _options() -> argparse.Namespace:
    def case(text: str) -> tuple[str, int]:
        fault, _, number = text.partition(":")
        return fault, int(number)

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--disks", type=int, default=20)
    parser.add_argument("--inputs", type=int, default=60)
    parser.add_argument("--distributed", type=int, default=0, help="rounds of a cluster's and torchrun's faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenarios", help=f"some of: {', '.join(SCENARIOS)}; all by default")
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder by default")
    parser.add_argument("--case", type=case, help="one case alone, as a breach names it; its folder is kept")
    return parser.parse_args()


def _import_everything() -> None:
    """Import what the commands use, so that a fork starts at once; nothing is computed here, as threads don't fork."""
    import pdebench_fm.cli.app
    import pdebench_fm.data.card
    import pdebench_fm.evaluation.evaluate
    import pdebench_fm.leaderboard.site
    import pdebench_fm.models
    import pdebench_fm.training.run
    from pdebench_fm.data import build

    logging.disable(logging.WARNING)  # libraries that speak of what they find damaged
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    build._SHARD_VALUES = 4 * 64 * 64  # noqa: SLF001 (several shards of few rows)
    pdebench_fm.training.run.pretrain.__kwdefaults__["validate_every"] = 4


def _shared(folder: Path, names: list[str]) -> Path:
    """Make the inputs that the scenarios share."""
    folder.mkdir(parents=True)
    wanted = {need for name in names for need in SCENARIOS[name].needs}
    wanted |= {"sent"} if "board" in wanted else set()
    for name, commands in SHARED.items():
        if name in wanted:
            _check(run(commands, folder), "making the inputs")
    return folder


def _undisturbed(scenario: Scenario, shared: Path, folder: Path) -> Undisturbed:
    prepare(scenario, shared, folder)
    ended = _check(run(scenario.commands, folder), "an undisturbed run")
    results = outcome(scenario, folder)
    files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    again = folder.with_name(f"{folder.name}-again")
    shutil.copytree(folder, again)
    _check(run(scenario.commands, again), "the same command again")
    if outcome(scenario, again) != results:
        raise Breach("the same command again changed its results")
    shutil.rmtree(again)
    return Undisturbed(folder, results, ended.seconds, ended.operations, max(files))


def _fits(scenario: Scenario, fault: str) -> bool:
    if fault == "input":
        return scenario.damaged is not None
    return scenario.results is not None and (scenario.goes_on or scenario.damaged is None)


def _kill(
    scenario: Scenario, undisturbed: Undisturbed, shared: Path, folder: Path, generator: np.random.Generator
) -> str:
    prepare(scenario, shared, folder)
    if generator.random() < 0.5:
        ended = run(scenario.commands, folder, kill_at=int(generator.integers(undisturbed.operations)))
    else:
        ended = run(scenario.commands, folder, kill_after=float(generator.random()) * undisturbed.seconds)
    if ended.orphans:
        raise Breach("processes were left behind")
    _nothing_half_written(scenario, undisturbed, folder)
    _as_undisturbed(run(scenario.commands, folder), scenario, undisturbed, folder)
    return "killed, then as undisturbed" if ended.code < 0 else "ended before the kill"


def _disk(
    scenario: Scenario, undisturbed: Undisturbed, shared: Path, folder: Path, generator: np.random.Generator
) -> str:
    prepare(scenario, shared, folder)
    limit = int(_SMALLEST_DISK * np.exp(generator.random() * np.log(undisturbed.largest / _SMALLEST_DISK)))
    ended = run(scenario.commands, folder, file_limit=limit)
    if ended.code:
        _clear_error(ended, folder)
    _nothing_half_written(scenario, undisturbed, folder)
    _as_undisturbed(run(scenario.commands, folder), scenario, undisturbed, folder)
    return "clear error, then as undisturbed" if ended.code else "as undisturbed"


def _input(
    scenario: Scenario, undisturbed: Undisturbed, _shared: Path, folder: Path, generator: np.random.Generator
) -> str:
    shutil.copytree(undisturbed.folder, folder)
    for name in scenario.fresh:
        shutil.rmtree(folder / name, ignore_errors=True)
    files = sorted(path for path in (folder / str(scenario.damaged)).rglob("*") if path.is_file())
    victim = files[generator.integers(len(files))]
    kind = damage(victim, generator)
    ended = run(scenario.commands, folder)
    where = f"{kind} in {victim.relative_to(folder)}"
    try:
        if ended.code:
            _clear_error(ended, folder)
            return "clear error"
        _check(ended, "the command")
        if any(victim.match(pattern) for pattern in scenario.notices):
            raise Breach("nothing found wrong")
        if scenario.goes_on:
            _as_undisturbed(ended, scenario, undisturbed, folder)
            return "as undisturbed"
        if scenario.unmoved and scores(scenario, folder) != scores(scenario, undisturbed.folder):
            raise Breach("nothing found wrong, and other scores")
    except Breach as breach:
        raise Breach(f"{where}: {breach}") from breach
    return "nothing found wrong"


def _check(ended: Ended, what: str) -> Ended:
    if ended.hung:
        raise Breach(f"{what} hung: {ended.output[-2000:]}")
    if ended.code:
        raise Breach(f"{what} ended with {ended.code}: {ended.output[-2000:]}")
    return ended


def _clear_error(ended: Ended, folder: Path) -> None:
    lines = [line for line in ended.output.splitlines() if line.startswith("pdefm: ")]
    if ended.hung:
        raise Breach("hung")
    if ended.code not in (1, 2) or len(lines) != 1 or "internal error" in lines[0] or "Traceback" in ended.output:
        raise Breach(f"exit code {ended.code}: {ended.output[-2000:]}")
    if str(folder) not in lines[0] and "/" not in lines[0]:
        raise Breach(f"the error names no file: {lines[0]}")


def _nothing_half_written(scenario: Scenario, undisturbed: Undisturbed, folder: Path) -> None:
    """Check that what lies under a final name is what an undisturbed run leaves there."""
    if scenario.all_or_none:
        from pdebench_fm.leaderboard.store import load

        rows = load(folder / str(scenario.results)) if (folder / str(scenario.results)).is_dir() else []
        if len(rows) not in (0, len(load(undisturbed.folder / str(scenario.results)))):
            raise Breach(f"{len(rows)} rows of a submission are there")
        return
    found = outcome(scenario, folder)
    for name, content in found.items():
        if name != "metrics.csv" and undisturbed.results.get(name, content) != content:
            raise Breach(f"{name} is there, and not what it should be")


def _as_undisturbed(ended: Ended, scenario: Scenario, undisturbed: Undisturbed, folder: Path) -> None:
    _check(ended, "the command, run again,")
    found = outcome(scenario, folder)
    names = found.keys() | undisturbed.results
    if differing := [name for name in names if found.get(name) != undisturbed.results.get(name)]:
        raise Breach(f"run again, it differs from an undisturbed run in {', '.join(sorted(differing))}")
    if scenario.alone and (left := leftovers(folder)):
        raise Breach(f"left behind: {', '.join(left)}")


_TRIED = {"kill": _kill, "disk": _disk, "input": _input}

if __name__ == "__main__":
    sys.exit(main())
