"""Put a pretrained model into the package: its weights, its scores on every task, its card.

    python scripts/ship_model.py runs/mixed-64k/fno-mixed-64k --shots 0,32

Scores every ranked task with these shots, and the family's pretraining distributions zero-shot, on the lite track. The
results of ranked tasks are kept under results/, ready for `pdefm submit`; those already there are not made again.
"""

import argparse
import shutil
from pathlib import Path

from pdebench_fm.data.catalogue import FAMILIES, TASKS
from pdebench_fm.errors import PdefmError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.files import sha256_of
from pdebench_fm.leaderboard.store import row_path
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.models import load_model
from pdebench_fm.models.loading import zoo_directory
from pdebench_fm.protocol.task import load_task
from pdebench_fm.results.result import Result, read_result, write_result
from pdebench_fm.training.record import RECORD_NAME, read_training_record
from pdebench_fm.zoo.card import write_card


def existing_result(out: Path, task: str, name: str, digest: str, shots: list[int]) -> Result | None:
    """Return the result of these weights on this task with these shots, if it was made before."""
    for path in out.rglob(f"{name}/{task.replace('/', '--')}-lite-*.json"):
        try:
            result = read_result(path)
        except PdefmError:
            continue
        done = {run.shots for run in result.runs if run.start == "pretrained"}
        if result.model.weights_sha256 == digest and result.model.revision == "package" and done == set(shots):
            return result
    return None


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--shots", default="0,32")
    arguments.add_argument("--no-scratch", action="store_true", help="leave out training from scratch")
    arguments.add_argument("--results", type=Path, default=Path("results"))
    options = arguments.parse_args()
    shots = [int(part) for part in options.shots.split(",")]
    training = read_training_record(options.folder)
    name = training.config.model_name
    home = zoo_directory() / name
    home.mkdir(parents=True, exist_ok=True)
    for file in ("model.safetensors", RECORD_NAME, "config.json"):
        shutil.copyfile(options.folder / file, home / file)
    keep_freed_memory()
    model = load_model(name)
    digest = sha256_of(home / "model.safetensors")
    systems = FAMILIES[training.config.family]
    results = [evaluate(model, load_task(f"{system}/pretrain"), 0, track="lite") for system in systems]
    for task in TASKS:
        result = existing_result(options.results, task, name, digest, shots)
        if result is None:
            result = evaluate(model, load_task(task), shots, track="lite", scratch=not options.no_scratch)
            write_result(result, options.results.joinpath(*row_path(result).parts[1:]))
        scores = ", ".join(f"{run.start} {run.shots}: {run.summary.mean:.4g}" for run in result.runs)
        print(f"{task}: {scores} ({result.wall_seconds:.0f} s)", flush=True)
        results.append(result)
    write_card(home, results)
    print(f"shipped {home}")


if __name__ == "__main__":
    main()
