"""The page on what was reproduced: figures and verdicts of the studies that were run, and what was not."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdebench_fm.studies.estimate import SUSTAINED_FLOPS, costs_of, total
from pdebench_fm.studies.reproduce import FIGURE_NAMES, RUNS_NAME, STUDY_NAME, check_folder, check_tables, read_verdicts
from pdebench_fm.studies.runs import TOGETHER, RunRow, read_runs
from pdebench_fm.studies.study import SCALES, Scale, Study, load_study, shipped_studies
from pdebench_fm.studies.verdicts import Verdicts, counted, verdicts_in_brief, verdicts_table
from pdebench_fm.templates import as_text

_NOT_RUN: Final[tuple[Scale, ...]] = ("gpu", "paper")

_INTRODUCTION = """\
# The paper, reproduced

Subramanian et al. 2023 ([arXiv:2306.00258](https://arxiv.org/abs/2306.00258)) ask four questions; each is a study
here, as are questions that the paper leaves open. A study is a file that names models, tasks, examples, a picture and
the claims that its numbers decide: `pdebench_fm/studies/files/`. One command runs it, draws its figure and judges its
claims:

<!-- not run: minutes to hours; the tests of studies run the scale `smoke` -->
```bash
pdefm reproduce fig3 --scale smoke --out reproduction/    # does it run? a minute or two, no scientific meaning
pdefm reproduce fig3 --scale cpu --out results-cpu/ --workers 2
pdefm reproduce beyond --scale cpu --dry-run              # what would be computed, and about how long it takes
pdefm reproduce fig3 --scale cpu --out results-cpu/ --redraw
pdefm reproduce my-study.yaml --scale cpu --out mine/
```

Studies are `fig2`, `fig3` (Q1), `fig4` (Q2), `fig5` (Q3), `mixed` (Q4), `anchor` (64 examples against 8,000), and
`beyond-…`; `beyond` is all of the latter and `all` is everything. Stopped anywhere, the same command goes on:
finished cells and pretrained models are kept. What has to be pretrained first is (that needs the extra `train`), into
the cache or into `--pretrained DIR`, from which models are taken that are there already, such as
`DIR/fno-poisson-16m`.

A study's folder, in that of `--out`, gets all of its files at once and holds nothing else:

| file | holds |
|---|---|
| `study.yaml` | the study at the scale it was run at; its words, picture and claims are those of the last drawing |
| `data.csv` | each run: model, task, start, shots, method, track, error with its 95 % interval, on which device |
| `rows.csv` | each run's error on each test row, mean over seeds, to six digits |
| `fields.csv`, `histogram.csv` | what else the figure shows, if it does |
| `figure.svg`, `figure.png` | the figure, made of these tables alone |
| `verdicts.json`, `verdicts.md` | each claim with its verdict, computed from `data.csv` and `rows.csv` |

**Verdicts.** A claim has a measure and a bound. It *holds* if the whole 95 % interval of the measure is beyond the
bound, *doesn't hold at this scale* if none of it is, and *can't be told* otherwise, or where runs are missing, or the
sizes or steps that an exponent is fitted against, or where a gain that it is fitted to is beyond the runs. Where the
paper finds a larger effect than was measured, it *holds with* the number that was. A claim without a bound is
*measured*. Runs on the same test rows are paired by them, so that a row which is hard for both is no difference between
them; the seeds of two runs count as independent. With a single seed an interval is for new test samples alone. Seeds
are those of adaptations: each pretrained model is one training, and no interval is for what another one would have
given. *From scratch* is the network of the model that stands beside it, of the same size, normaliser and frame, with
random weights: it has what was chosen for that model's equation, and another one may do better.

**Effort.** For each number of examples the protocol fixes how many steps are made, from scratch two to four times as
many as from pretrained weights. With 128 to 2048 examples,
[twice as many would help](../design/recipes.md#where-more-steps-would-help) either, by how much differs from case to
case: what is read off there, gains and harm, is that of this effort.

## A study of your own

```yaml
study: mine
title: Does my model need fewer examples?
question: My model and the zoo's, adapted to a task that neither has seen.
source: my own question
track: lite
seeds: 3
models:
  mine: {open: path/to/my-model}      # anything that `pdefm eval --model` takes
  zoo: {open: fno-poisson-64k}
  short: {pretrain: {family: poisson, size: 64k, steps: 2000, coarse_share: 0.9}}
evaluations:
  all:
    models: [mine, zoo, short]
    tasks: [poisson-ood/medium]
    shots: [0, 8, 32, 128]
    scratch: true
picture: {kind: shots, title: Error against examples}
claims:
  fewer-examples:
    says: My model needs fewer examples than the zoo's.
    measure: gain
    each: [{task: poisson-ood/medium}]
    shots: [8, 32]
    of: {model: mine}
    curve: {model: zoo}
    above: 1
scales:
  smoke: {track: n16-rows16, seeds: 1}
```

Networks are trained from scratch beside the models only where an evaluation says `scratch: true`.
A scale lays its changes over the rest, key by key; null takes a key away. `plugins: [my_systems.py]` registers
systems of yours. A mistake in the file (an unknown key, task or model, a claim about runs that there are none of) is
told with its line before anything is computed. Pictures are of kind `shots`, `sizes`, `regimes`, `resolutions`,
`steps`, `ratios` (with `of` and `to`) or `fields`. What a claim says of its runs (model, task, start, shots, method,
track) is completed by `each` and `shots`, for each of which it is decided apart. Measures:

| measure | is | of |
|---|---|---|
| `ratio` | the error of a run over that of another | `of`, `to` |
| `gain` | how many times more examples a curve of runs needs for the error of a run | `of`, `curve` |
| `examples` | how many examples a curve of runs needs for an error | `curve`, `error` |
| `slope` | the exponent by which the error follows parameters, or pretraining steps | `of`, `models`, `against` |
| `gain-slope` | the exponent by which the gain follows parameters | `of`, `curve`, `models` |
| `smallest-step` | the smallest ratio of the errors of two tasks that follow each other | `of`, `tasks` |
| `largest-ratio` | the largest of several ratios, with an interval that allows for their number | `of`, `to`, `over` |
| `optimum` | the pretraining steps with the smallest error | `of`, `models` |
"""

_LARGER = """\
## Not run: the scales `gpu` and `paper`

`gpu` is the benchmark's own recipe on the full track with larger models, `paper` the paper's recipe, which tries five
learning rates for 500 epochs each. Nobody has run them here. What they take follows from PyTorch's count of the
floating-point operations in matrix products of one forward pass, a backward pass as two of them, and {sustained:.0e}
operations a second on one GPU, which is what sixteen processes with `1m` and `16m` models sustained together on an
NVIDIA H100. It is the least to expect: with `64k` models it was a seventh of that, and a single process, such as a
pretraining, leaves most of a GPU idle. `256m` was not measured.

| study | cells, `gpu` | GPU-hours, `gpu` | cells, `paper` | GPU-hours, `paper` |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Reproduced:
    """A study that was run.

    Attributes:
        study: at the scale that it was run at.
        folder: where its files are.
        verdicts: of its claims.
        rows: its runs.
    """

    study: Study
    folder: Path
    verdicts: Verdicts
    rows: tuple[RunRow, ...]


def reproduced(path: Path, folder: Path) -> Reproduced | None:
    """Return what lies in a study's folder; None if there is nothing.

    Raises:
        PdefmError: if the verdicts are not those of the tables beside them, or these are damaged.
    """
    if not (folder / STUDY_NAME).is_file():
        return None
    verdicts = read_verdicts(folder)
    study = load_study(path, verdicts.scale)
    check_folder(study, folder)
    check_tables(verdicts, folder)
    return Reproduced(study, folder, verdicts, tuple(read_runs(folder / RUNS_NAME)))


def page(reproduction: Path, home: Path, studies: Mapping[str, Path] | None = None) -> str:
    """Return the page as Markdown.

    Args:
        reproduction: the folder of the studies' folders.
        home: the folder that the page is for, from which its links lead.
        studies: files by name; those of the package by default.

    Raises:
        PdefmError: if a study's folder is damaged.
    """
    known = shipped_studies() if studies is None else studies
    found = {name: reproduced(path, reproduction / name) for name, path in known.items()}
    parts = [_INTRODUCTION, "## What has been run\n", _overview(known, found)]
    parts += [_section(each, home) for each in found.values() if each is not None]
    parts.append(_LARGER.format(sustained=SUSTAINED_FLOPS) + "".join(_larger(known)))
    return "\n".join(parts)


def _overview(known: Mapping[str, Path], found: Mapping[str, Reproduced | None]) -> str:
    lines = [
        "A scale is a size of study, and no machine: `cpu` is what two cores compute in hours, with smaller models",
        "and fewer rows than `gpu`, and may be computed on a GPU as well.\n",
        "| study | asks | from | scale | claims |",
        "|---|---|---|---|---|",
    ]
    for name, path in known.items():
        each = found[name]
        file = load_study(path, "cpu").file if each is None else each.study.file
        scale = "**not run**" if each is None else f"`{each.study.scale}`"
        claims = "—" if each is None else counted(each.verdicts.verdicts) or "none: it shows data"
        lines.append(f"| `{name}` | {as_text(file.title)} | {as_text(file.source)} | {scale} | {claims} |")
    if any(each is not None and each.study.scale == "smoke" for each in found.values()):
        lines += ["", "At the scale `smoke` a study only shows that it runs: its verdicts have no scientific meaning."]
    return "\n".join(lines) + "\n"


def _section(each: Reproduced, home: Path) -> str:
    """Return a study's figure and verdicts."""
    file, where = each.study.file, Path(os.path.relpath(each.folder, home)).as_posix()
    verdicts = each.verdicts.verdicts
    brief = table = ""
    if verdicts:
        brief = f"In brief:\n\n{verdicts_in_brief(verdicts)}\n"
        cases = f"All {len(verdicts)} verdicts" if len(verdicts) > 1 else "The verdict"
        table = f"<details>\n<summary>{cases}</summary>\n\n{verdicts_table(verdicts)}\n</details>\n\n"
    left_out = "".join(f"* left out: {as_text(line)}\n" for line in each.verdicts.left_out)
    return (
        f"## `{each.study.name}`: {as_text(file.title)}\n\n{as_text(file.question)}\n\n"
        f"{brief}"
        f"![{as_text(file.picture.title)}]({where}/{FIGURE_NAMES[0]})\n\n{table}{left_out}\n"
        f"Scale `{each.study.scale}`{_circumstances(each.rows)}; [data]({where}/{RUNS_NAME}), "
        f"[study]({where}/{STUDY_NAME}).\n"
    )


def _circumstances(rows: Sequence[RunRow]) -> str:
    """Return of which models, on what and by what the runs of a study are; "" if there are none."""
    if not rows:
        return ""
    sizes = sorted({(row.parameters or 0, row.size) for row in rows if row.size is not None})
    models = ", ".join(dict.fromkeys(f"`{as_text(size)}`" for _, size in sizes)) or "other sizes"
    tracks = dict.fromkeys(f"{row.test_rows} test rows at {row.resolution}×{row.resolution}" for row in rows)
    devices = sorted({device for row in rows for device in row.device.split(TOGETHER)})
    names = ["a CPU" if device == "cpu" else f"a GPU ({as_text(device)})" for device in devices]
    return f": models of {models}, {' or '.join(tracks)} a task, computed on {' and '.join(names)}"


def _larger(known: Mapping[str, Path]) -> Iterable[str]:
    """Yield what studies cost at the scales that nobody has run, a line each."""
    assert set(_NOT_RUN) < set(SCALES)  # noqa: S101 (a name that is mistyped)
    for name, path in known.items():
        cells = []
        for scale in _NOT_RUN:
            study = load_study(path, scale)
            costs = costs_of(study, Path(os.devnull), timed=False)
            if not costs:
                cells += ["—", "—"]
                continue
            cost = total(costs)
            cells += [str(cost.cells), "unknown" if cost.gpu_hours is None else _hours(cost.gpu_hours)]
        yield f"| `{name}` | {' | '.join(cells)} |\n"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
