"""Put a pretrained model into the package, a large one beside it: its weights, its scores on every task, its card.

    python scripts/ship_model.py runs/mixed-64k/fno-mixed-64k --shots 0,32 --results results/
    pdefm submit results/ --to leaderboard/

Scores every ranked task with these shots, and the family's pretraining distributions zero-shot, on the lite track. The
results, with their per-sample scores, are kept under `--results`; finished cells are in the cache, so that the same
command goes on where it was stopped. Without a folder to ship from, `--name fno-mixed-64k` does so for weights that are
in the package already, and `--baseline oracle` for one of the baselines, which has no card.
"""

import argparse
import shutil
from pathlib import Path

from pdebench_fm.data.catalogue import FAMILIES, TASKS
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.files import write_atomically
from pdebench_fm.folders import default_cache_folder
from pdebench_fm.memory import keep_freed_memory
from pdebench_fm.models.loading import IN_PACKAGE, LARGE, zoo_directory, zoo_folder
from pdebench_fm.models.operator import NeuralOperator
from pdebench_fm.models.sources import CARD_NAME
from pdebench_fm.results.evaluation import Evaluation, read_evaluation
from pdebench_fm.results.paths import row_path
from pdebench_fm.training.record import read_training_record, write_training_record
from pdebench_fm.zoo.card import describe, model_card
from pdebench_fm.zoo.evidence import pin_shipped

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument("folder", type=Path, nargs="?", help="of a finished pretraining")
    source.add_argument("--name", help="of a model that is in the package")
    source.add_argument("--baseline", help="of a baseline")
    arguments.add_argument("--shots", default="0,32")
    arguments.add_argument("--no-scratch", action="store_true", help="leave out training from scratch")
    arguments.add_argument("--results", type=Path, default=Path("results"))
    options = arguments.parse_args()
    shots = [int(part) for part in options.shots.split(",")]
    keep_freed_memory()
    name = options.baseline or options.name or take_in(options.folder)
    home = zoo_folder(name)
    evaluations: list[Evaluation] = []

    def keep(evaluation: Evaluation) -> None:
        result = evaluation.result
        if result.task in TASKS:  # the others are for the card alone
            path = evaluation.write(options.results.joinpath(*row_path(result).parts[1:]))
            evaluation = read_evaluation(path)  # with the cells that were there
        evaluations.append(evaluation)
        scores = ", ".join(f"{run.start} {run.shots}: {run.summary.mean:.4g}" for run in evaluation.runs)
        print(f"{evaluation.result.task}: {scores} ({evaluation.result.seconds:.0f} s)", flush=True)

    def score(tasks: list[str], shots: list[int]) -> None:
        cache = CellCache(default_cache_folder())
        evaluate_suite(
            [name], tasks, shots, track="lite", scratch=not options.no_scratch, cache=cache, on_evaluation=keep
        )

    if not options.baseline:
        family = read_training_record(home).config.family
        score([f"{system}/pretrain" for system in FAMILIES[family]], [0])
    score(list(TASKS), shots)
    if not options.baseline:
        description = describe(home, evaluations, shots)
        write_atomically(home / CARD_NAME, model_card(description))
        pin_shipped(home, description.weights_sha256)
        print(f"shipped {home}")


def take_in(folder: Path) -> str:
    """Copy a finished pretraining's files into the package, or beside it, and return the model's name."""
    record = read_training_record(folder)
    name = record.config.model_name
    large = record.config.size not in IN_PACKAGE
    home = (ROOT / LARGE if large else zoo_directory()) / name
    home.mkdir(parents=True, exist_ok=True)
    if large:
        NeuralOperator.from_pretrained(folder).save_pretrained(home, half=True)
    else:
        for file in ("model.safetensors", "config.json"):
            shutil.copyfile(folder / file, home / file)
    if record.manifest is None:  # trained before there were manifests; what it drew follows from its configuration
        record = record.model_copy(update={"manifest": record.drawn_by_configuration()})
    write_training_record(record, home)
    return name


if __name__ == "__main__":
    main()
