"""The smoke test: every task on a handful of samples, to tell in seconds what a real evaluation would stumble over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from pdebench_fm.data.batches import Batch, concatenate
from pdebench_fm.data.catalogue import TASKS
from pdebench_fm.errors import PdefmError, words_of
from pdebench_fm.evaluation.settings import RunSettings
from pdebench_fm.extensions.calling import user_code
from pdebench_fm.models.candidate import Candidate
from pdebench_fm.models.fresh import copied
from pdebench_fm.models.prediction import asked, checked, predict
from pdebench_fm.physics import registered_system
from pdebench_fm.protocol.methods import PROTOCOL_METHOD, Method
from pdebench_fm.protocol.task import load_task
from pdebench_fm.surroundings import is_deterministic, process_kept, seeded, standard, torch_threads
from pdebench_fm.training.adapt import AdaptationRecipe, adapt
from pdebench_fm.training.loss import relative_l2
from pdebench_fm.training.support import SupportSet

SAMPLES = 8
"""Test rows, and rows of the support set, of each task."""

RECIPE = AdaptationRecipe(learning_rate=2e-5, steps=2, batch_size=SAMPLES, warmup_steps=0)
"""Steps so small that they lower the loss of any model whose gradients are right."""

TOLERANCE = 1e-4
"""Relative difference of predictions that should be the same: far above rounding, far below any score."""

_SEED = 0x5EED  # one that no model is likely to have drawn its weights with: drawn anew, they have to differ

Outcome = Literal["ok", "would fail", "note"]


@dataclass(frozen=True)
class SmokeCheck:
    """One thing that was tried.

    Attributes:
        name: What was tried.
        outcome: `"would fail"`: an evaluation would stop there, or give scores that cannot be trusted or repeated;
            `"note"`: worth knowing, nothing fails.
        found: What was seen.
        advice: What it means for an evaluation, and how to mend it.
        details: The traceback, if the model's code raised.
    """

    name: str
    outcome: Outcome
    found: str = ""
    advice: str = ""
    details: str = ""


@dataclass(frozen=True)
class SmokeReport:
    """What a smoke test found of a model."""

    model: str
    checks: tuple[SmokeCheck, ...]

    @property
    def would_fail(self) -> bool:
        """Whether a real evaluation would fail somewhere."""
        return any(check.outcome == "would fail" for check in self.checks)


def smoke_test(
    candidate: Candidate,
    on_check: Callable[[SmokeCheck], None] = lambda _: None,
    method: Method = PROTOCOL_METHOD,
) -> SmokeReport:
    """Try everything that an evaluation asks of a model, on a few samples of all tasks.

    Args:
        candidate: The model, on the device to evaluate on; it is not changed.
        on_check: Called after each check.
        method: One of the open division is tried too, on one task of each system: a user's own as it is, one of the
            package's with two steps.

    Returns:
        The report; a model that fails is in it, and raises nothing.
    """
    checks = []
    with torch_threads(RunSettings().threads):  # as an evaluation computes
        for check in _checks(candidate, method):
            checks.append(check)
            on_check(check)
    return SmokeReport(candidate.name, tuple(checks))


def _checks(candidate: Candidate, method: Method) -> Iterator[SmokeCheck]:
    tasks = {name: load_task(name) for name in TASKS}
    with standard():
        rows = {name: task.test.batch(range(SAMPLES)).to(candidate.device) for name, task in tasks.items()}
        supports = {
            name: _coarser(task.train.batch(range(SAMPLES)).to(candidate.device)) for name, task in tasks.items()
        }
        # One sample of each task: what goes wrong for a mixed batch alone is found as well.
        fine = concatenate([batch[:1] for batch in rows.values()])
        probe = _coarser(fine)
    coarse_output = _attempt("output at 64×64", _output, candidate, probe)
    yield coarse_output
    yield _attempt("output at 128×128", _output, candidate, fine)
    if coarse_output.outcome != "ok":
        yield SmokeCheck("everything else", "note", "not tried", "the other checks need a valid output at 64×64 first")
        return
    yield _attempt("one sample at a time", _grouping, candidate, probe)
    yield _attempt("repeated", _repeating, candidate, probe)
    yield _attempt("inputs untouched", _inputs, candidate, probe)
    if candidate.module is None:
        yield SmokeCheck(
            "fine-tuning", "note", "it only predicts", "scored zero-shot alone: only a torch.nn.Module is trained"
        )
    else:
        yield _attempt("copy", _copying, candidate, probe)
        yield _attempt("gradients", _gradients, candidate, probe)
    if candidate.module is not None or candidate.fresh is not None:
        yield _attempt("fresh start", _fresh_start, candidate, probe)
    for name in tasks:
        yield _attempt(name, _task, candidate, rows[name], supports[name])
    if method.function is not None:
        firsts = {task.task.dataset.system_name: name for name, task in reversed(tasks.items())}
        for system, name in reversed(firsts.items()):
            for shots in (0, SAMPLES) if method.zero_shot else (SAMPLES,):
                check = partial(_adapting, method.shortened(2), system, shots)
                title = f"{method.name} on {name}, {shots} shots"
                yield _attempt(
                    title, check, candidate, rows[name], supports[name], stops=f"every evaluation by it on {system}"
                )


def _attempt(
    name: str,
    check: Callable[..., SmokeCheck],
    candidate: Candidate,
    *rows: Batch,
    stops: str = "every evaluation of this model",
) -> SmokeCheck:
    """Run one check in the surroundings of an evaluation; whatever is raised becomes its finding, and what it stops."""
    device = candidate.device
    deterministic = is_deterministic(None, device)
    try:
        with (
            standard(deterministic=deterministic),
            process_kept(),
            seeded(_SEED, device),
            candidate.its_modules(),
        ):
            return replace(check(candidate, *rows), name=name)
    except PdefmError as error:
        return SmokeCheck(name, "would fail", str(error), f"{stops} ends here", error.details)
    except Exception as error:  # noqa: BLE001 (the whole point is to report what would stop an evaluation)
        found = f"{type(error).__name__}: {words_of(error)}"
        return SmokeCheck(name, "would fail", found, f"{stops} ends here")


def _output(candidate: Candidate, batch: Batch) -> SmokeCheck:
    prediction = predict(candidate, batch)
    return SmokeCheck("", "ok", f"{tuple(prediction.shape)}, {prediction.dtype}, finite".replace("torch.", ""))


def _grouping(candidate: Candidate, batch: Batch) -> SmokeCheck:
    together = predict(candidate, batch)
    alone = torch.cat([predict(candidate, batch[row : row + 1]) for row in range(len(batch))])
    difference = _difference(alone, together)
    if difference <= TOLERANCE:
        return SmokeCheck("", "ok", f"the same as in one batch, to {difference:.0e}")
    return SmokeCheck(
        "",
        "would fail",
        f"differs from its prediction in a batch by {difference:.2g}",
        "scores would depend on how test rows are grouped: a solution may depend on nothing but its own source and "
        "coefficients, so normalise over channels or space, never over the batch",
    )


def _repeating(candidate: Candidate, batch: Batch) -> SmokeCheck:
    first, second = predict(candidate, batch), predict(candidate, batch)
    if torch.equal(first, second):
        return SmokeCheck("", "ok", "the same bits")
    difference = _difference(first, second)
    if difference <= TOLERANCE:
        return SmokeCheck("", "note", f"differs by {difference:.0e}", "scores will not repeat to their last digits")
    return SmokeCheck(
        "",
        "would fail",
        f"differs by {difference:.2g} for the same input",
        "scores would not repeat: switch off dropout and other randomness in evaluation mode (self.training is False)",
    )


def _inputs(candidate: Candidate, batch: Batch) -> SmokeCheck:
    source, coefficients = batch.source.clone(), batch.coefficients.clone()
    asked(candidate.operator, source, coefficients, candidate.name)
    changed = [
        name
        for name, given, kept in (
            ("source", source, batch.source),
            ("coefficients", coefficients, batch.coefficients),
        )
        if not torch.equal(given, kept)
    ]
    if not changed:
        return SmokeCheck("", "ok")
    return SmokeCheck(
        "",
        "note",
        f"writes into {' and '.join(changed)}",
        "an evaluation gives it copies, so nothing fails; elsewhere it spoils its caller's data",
    )


def _copying(candidate: Candidate, batch: Batch) -> SmokeCheck:
    with user_code("copy.deepcopy of the model"):
        twin = copied(_module(candidate))
    difference = _difference(predict(replace(candidate, operator=twin), batch), predict(candidate, batch))
    if difference <= TOLERANCE:
        return SmokeCheck("", "ok", "copy.deepcopy predicts the same")
    return SmokeCheck(
        "",
        "would fail",
        f"its copy.deepcopy predicts something else, by {difference:.2g}",
        "every fine-tuning starts from a copy: keep all state in parameters, buffers or plain attributes",
    )


def _gradients(candidate: Candidate, batch: Batch) -> SmokeCheck:
    with torch.enable_grad(), user_code(candidate.name):
        module = copied(_module(candidate)).train()
        trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        output = checked(module(batch.source.clone(), batch.coefficients.clone()), batch.source, candidate.name)
        if not output.requires_grad:
            return SmokeCheck(
                "",
                "would fail",
                "the output does not depend on any parameter",
                "fine-tuning cannot train it: look for detach(), no_grad(), .data or NumPy on the way",
            )
        relative_l2(output, batch.solution).mean().backward()
    without = [name for name, parameter in trained.items() if parameter.grad is None]
    if without:
        return SmokeCheck(
            "",
            "note",
            f"none for {len(without)} of {len(trained)} parameters, such as {without[0]}",
            "fine-tuning leaves these as they are: remove them, or requires_grad_(False) if that is meant",
        )
    gradients = {name: parameter.grad for name, parameter in trained.items() if parameter.grad is not None}
    broken = [name for name, gradient in gradients.items() if not bool(gradient.isfinite().all())]
    if broken:
        return SmokeCheck(
            "",
            "would fail",
            f"NaN or infinite for {len(broken)} of {len(trained)} parameters, such as {broken[0]}",
            "fine-tuning would end in NaN: look for sqrt or norm at 0, and divisions by 0",
        )
    return SmokeCheck("", "ok", f"finite for all {len(trained)} parameter tensors")


def _fresh_start(candidate: Candidate, batch: Batch) -> SmokeCheck:
    if candidate.fresh is None:
        return SmokeCheck(
            "",
            "note",
            "no way to draw random weights",
            "'from scratch' and the data-efficiency gain will be left out: give `build` a parameter `pretrained`, or "
            "every part that has parameters a reset_parameters()",
        )
    with user_code(f"making {candidate.name} with fresh weights"):
        one, again, other = (candidate.fresh(seed) for seed in (0, 0, 1))
    predictions = [predict(replace(candidate, operator=module), batch) for module in (one, again, other)]
    if _difference(predictions[0], predictions[1]) > TOLERANCE:
        return SmokeCheck(
            "",
            "would fail",
            "seed 0 gives other weights each time",
            "scores from scratch would not repeat: draw weights from PyTorch's global generator only",
        )
    if torch.equal(predictions[0], predictions[2]):
        return SmokeCheck(
            "",
            "would fail",
            "seeds 0 and 1 give the same predictions",
            "runs from scratch would not be independent: `build(pretrained=False)` must draw weights, not load them",
        )
    return SmokeCheck("", "ok", "fixed by the seed")


def _task(candidate: Candidate, test: Batch, support: Batch) -> SmokeCheck:
    test = _coarser(test)
    found = f"error {_error(candidate, test):.3g}"
    start = _start(candidate)
    if start is None:
        return SmokeCheck("", "ok", found)
    losses: list[float] = []
    adapted = adapt(start, support, RECIPE, 0, lambda _, loss: losses.append(loss))
    predict(replace(candidate, operator=adapted), test)
    if losses[1] < losses[0]:
        return SmokeCheck("", "ok", f"{found}; training lowers the loss")
    return SmokeCheck(
        "",
        "note",
        f"{found}; a small training step raises the loss",
        f"on its own rows, from {losses[0]:.4g} to {losses[1]:.4g}: are its gradients right?",
    )


def _adapting(method: Method, system: str, shots: int, candidate: Candidate, test: Batch, support: Batch) -> SmokeCheck:
    model = _start(candidate) if shots else candidate.operator
    if model is None or not (shots or candidate.pretrained):
        return SmokeCheck("", "note", "not tried", "nothing is adapted here: see above")
    examples = support[:shots]
    symmetries = registered_system(system).symmetry_group
    fields = examples.source, examples.solution, examples.coefficients
    given = SupportSet(*fields, system, symmetries, fresh=not candidate.pretrained)
    operator = method.adapted(model, given, 0)
    adapted = replace(candidate, operator=operator, name=f"{candidate.name} adapted by {method.name}")
    return SmokeCheck("", "ok", f"error {_error(adapted, _coarser(test)):.3g}")


def _start(candidate: Candidate) -> nn.Module | None:
    """Return what an evaluation would train: the model itself, or a fresh one if its weights are random."""
    if candidate.pretrained or candidate.fresh is None:
        return candidate.module
    with user_code(f"making {candidate.name} with fresh weights"):
        return candidate.fresh(0)


def _module(candidate: Candidate) -> nn.Module:
    module = candidate.module
    if module is None:
        raise PdefmError(f"{candidate.name} has no parameters to train")
    return module


def _error(candidate: Candidate, batch: Batch) -> float:
    """Return the mean relative ℓ² error."""
    return relative_l2(predict(candidate, batch), batch.solution).mean().item()


def _difference(one: Tensor, other: Tensor) -> float:
    """Return the largest relative ℓ² difference of two predictions' samples; 0 where both are zero."""
    size = torch.linalg.vector_norm(other, dim=(-2, -1)).clamp_min(torch.finfo(other.dtype).tiny)
    return float((torch.linalg.vector_norm(one - other, dim=(-2, -1)) / size).max())


def _coarser(batch: Batch) -> Batch:
    """Return 64×64 fields of 128×128 ones, as on the lite track."""
    return Batch(batch.source[:, ::2, ::2].contiguous(), batch.coefficients, batch.solution[:, ::2, ::2].contiguous())
