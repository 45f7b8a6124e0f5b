"""Where a study's models come from: what is there is taken, and what isn't is pretrained first, as its own step."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from pdebench_fm.errors import PdefmError, UsageError, unknown_name
from pdebench_fm.extensions.functions import split_file_reference
from pdebench_fm.folders import expanded
from pdebench_fm.models.baselines import BASELINES
from pdebench_fm.models.builders import DEFAULT_FUNCTION, plugins
from pdebench_fm.models.graph import is_graph
from pdebench_fm.models.loading import (
    not_shipped,
    recipe_names,
    resolve,
    split_reference,
    zoo_folder,
    zoo_names,
)
from pdebench_fm.models.sources import CONFIG_NAME
from pdebench_fm.studies.study import ModelSource, Study
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.record import read_training_record

OnTraining = Callable[[str, int, int], None]
"""`on_training(what is trained, steps done, steps planned)`."""

_DIGITS = 10


def run_folder(config: PretrainConfig, pretrained: Path) -> Path:
    """Return the folder of a pretraining run: its name follows from all that determines the run."""
    digest = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:_DIGITS]
    return pretrained / f"{config.model_name}-{digest}"


def found(source: ModelSource, pretrained: Path) -> str | None:
    """Return what opens a model that is there: a word for `open_candidate`; None if it has to be trained."""
    if source.open is not None:
        name = source.open
        if (pretrained / name / CONFIG_NAME).is_file():
            return str(pretrained / name)
        if source.pretrain is None or _is_there(name):
            return name
    return str(folder) if source.pretrain is not None and (folder := _finished(source.pretrain, pretrained)) else None


def check_models(study: Study, pretrained: Path) -> None:
    """Check that every model is there or can be trained.

    Raises:
        UsageError: for a model of a recipe without weights that nobody has put into `pretrained`, with the line that
            names it.
    """
    if pretrained.exists() and not pretrained.is_dir():
        raise UsageError(f"{pretrained} is a file: --pretrained takes the folder of models")
    for name, source in study.file.models.items():
        word = found(source, pretrained)
        if word is not None and word in recipe_names() and word not in zoo_names():
            raise study.document.error(
                ("models", name, "open"),
                f"{word} comes without weights, and there is none in {pretrained}: train it as `pdefm zoo show {word}` "
                "says and name its folder's parent by --pretrained, or let the study say how to pretrain it",
            )
        if word is not None:
            with study.document.telling(("models", name, "open")):
                _check_there(word, pretrained)
        if name in _measured_by_steps(study) and pretraining_steps(source, word or "") is None:
            raise study.document.error(
                ("models", name),
                f"how many steps {name} was pretrained for is not known, and the study's picture or a claim needs it",
            )


def _measured_by_steps(study: Study) -> set[str]:
    """Return the models whose errors a study holds against the steps of their pretraining."""
    needs = [key.model for question in study.questions if question.claim.is_about_steps for key in question.needs]
    if study.file.picture.kind == "steps":
        needs += [model for block in study.file.evaluations.values() for model in block.models]
    return set(needs)


def _check_there(word: str, pretrained: Path) -> None:
    """Raise an error for a word that opens nothing here, and is no id on the Hub."""
    known = [*zoo_names(), *BASELINES, *plugins()]
    file = split_file_reference(word, DEFAULT_FUNCTION)
    if word in known:
        return
    if file is not None or is_graph(Path(word)):
        path = expanded(word) if file is None else file[0]
        if not path.is_file():
            raise UsageError(f"no file {path}")
    elif Path(word).exists() or (("/" in word or "\\" in word) and split_reference(word) is None):
        resolve(word)
    elif "/" not in word:
        wrong = not_shipped(word) or unknown_name("model", word, known)
        raise UsageError(f"{wrong} (nor is there one in {pretrained})")


def trained(config: PretrainConfig, pretrained: Path, device: str, on_training: OnTraining) -> Path:
    """Return the folder of a pretrained model, training it to the end where it is not finished.

    Interrupted at any moment, the same call goes on from its last checkpoint.

    Raises:
        UsageError: if the libraries of the extra `train` are missing.
        PdefmError: if the training fails.
        KeyboardInterrupt: after Ctrl-C, when the step is saved.
    """
    if (folder := _finished(config, pretrained)) is not None:
        return folder
    from pdebench_fm.training.requirements import require_training_libraries

    require_training_libraries()
    from pdebench_fm.training.run import pretrain

    return pretrain(
        config,
        run_folder(config, pretrained),
        device=device,
        on_start=lambda step, steps: on_training(config.model_name, step, steps),
        on_progress=lambda state: on_training(config.model_name, state.step, state.steps),
    )


def pretraining_steps(source: ModelSource, word: str) -> int | None:
    """Return the steps of a model's pretraining, if its folder says so, or the study does; `word` is "" before that."""
    if source.pretrain is not None and (source.open is None or not word):
        return source.pretrain.steps
    for folder in (Path(word), zoo_folder(word)):
        try:
            return read_training_record(folder).config.steps
        except (PdefmError, OSError):
            continue
    return None


def _is_there(word: str) -> bool:
    return word in zoo_names() or word in BASELINES or Path(word).exists()


def _finished(config: PretrainConfig, pretrained: Path) -> Path | None:
    """Return the model's folder of a run that is finished."""
    folder = run_folder(config, pretrained) / config.model_name
    try:
        record = read_training_record(folder)
    except (PdefmError, OSError):
        return None
    if record.config != config:
        raise UsageError(f"{folder} is of another configuration than its name says: remove it")
    return folder if (folder / CONFIG_NAME).is_file() else None
