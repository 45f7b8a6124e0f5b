"""What the README states is so; `docs/test_snippets.py` runs what it shows."""

import csv
import json
import re
import subprocess
from pathlib import Path
from statistics import geometric_mean

import pytest
import torch

from pdebench_fm.cli.console import short
from pdebench_fm.data.catalogue import FAMILIES, TASKS
from pdebench_fm.data.training_manifest import read_manifest
from pdebench_fm.evaluation.held import HeldTask
from pdebench_fm.models import zoo_names
from pdebench_fm.models.loading import zoo_folder
from pdebench_fm.models.sources import read_config
from pdebench_fm.own_models import own_models
from pdebench_fm.physics import PAPER_SYSTEMS
from pdebench_fm.physics.operator import solve
from pdebench_fm.protocol.methods import OWN_METHODS
from pdebench_fm.protocol.recipes import adaptation_recipe
from pdebench_fm.protocol.task import load_task
from pdebench_fm.results.result import read_result
from pdebench_fm.studies.reproduce import read_verdicts
from pdebench_fm.studies.runs import read_runs
from pdebench_fm.studies.study import shipped_studies
from pdebench_fm.training.config import PretrainConfig
from pdebench_fm.training.loss import relative_l2
from pdebench_fm.training.record import read_training_record
from pdebench_fm.zoo.stated_scores import stated_scores

ROOT = Path(__file__).parent.parent
SYSTEMS = [system.name for system in PAPER_SYSTEMS]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_linked_files_exist():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def stated(name, task, shots=0):
    """A shipped model's error on a task, as its card states it."""
    (error,) = [s.error for s in stated_scores(zoo_folder(name)) if (s.task, s.shots) == (task, shots)]
    return error


def test_the_readmes_table_of_models_is_what_their_cards_state():
    rows = {
        (name, system): cells.split(" | ")
        for name, system, cells in re.findall(r"^\| `(fno-\S+)` \| (\S+) \| (.+) \|$", README, re.MULTILINE)
    }
    regimes = ("{}/pretrain", "{}/in-domain", "{}-ood/mild", "{}-ood/medium", "{}-ood/hard")
    assert rows == {
        (name, system): [short(stated(name, regime.format(system))) for regime in regimes]
        for name in zoo_names()
        for system in FAMILIES[read_config(zoo_folder(name)).family]
    }


def test_what_is_said_of_examples_is_what_the_card_states():
    found = re.search(r"After 32 examples the errors of `(\S+)` are (\S+) on `(\S+)` and (\S+)\s+on `(\S+)`", README)
    name, *errors = found.groups()
    for error, task in (errors[:2], errors[2:]):
        assert error == short(stated(name, task, 32))


def test_the_page_of_models_lists_them_with_what_they_were_pretrained_on():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(fno-\S+)` \| ([\d,]+) \| (.+) \|$", text.partition("\n## Targets")[0], re.MULTILINE)
    assert sorted(name for name, *_ in rows) == sorted(zoo_names())
    for name, parameters, samples in rows:
        streams = read_manifest(zoo_folder(name) / "training.json").trained
        assert parameters == f"{read_config(zoo_folder(name)).parameters:,}"
        counts = {system: sum(s.stop - s.start for s in streams if s.system == system) for system in SYSTEMS}
        assert samples == ", ".join(f"{count:,} {system}" for system, count in counts.items() if count)
        grids = {n: sum(s.stop - s.start for s in streams if s.resolution == n) for n in (32, 64)}
        seen = read_training_record(zoo_folder(name)).samples
        assert (grids[32], grids[64]) == (0.9 * seen, 0.1 * seen)
        places = [(s.system, row) for s in streams for row in (s.start, s.stop - 1)]
        assert len(set(places)) == len(places)


def test_the_targets_page_states_what_the_cards_do():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    zero_shot, _, adapted = text.partition("\nAfter 32 shots")
    regimes = ("{}/in-domain", "{}-ood/mild", "{}-ood/medium", "{}-ood/hard")
    rows = re.findall(r"^\| `(fno-\S+)` \| (\S+) \| [^|]+ \| ([^|]+) \|", zero_shot, re.MULTILINE)
    assert len(rows) == 6
    for name, system, reached in rows:
        assert reached.split(" / ") == [short(stated(name, regime.format(system))) for regime in regimes]
    rows = re.findall(r"^\| `(fno-\S+)`, `(\S+)` \| (\S+) \| (.+) \| (\S+) \| (.+) \|$", adapted, re.MULTILINE)
    assert len(rows) == 6
    for name, task, *cells in rows:
        for method, target, reached in (("v1", *cells[:2]), ("symmetric", *cells[2:])):
            found = runs_of_model(name, task, method)["pretrained", 32]
            low, high = found.interval_low, found.interval_high
            verdict = "met" if found.mean <= float(target) else "missed"
            verdict += " by the mean" if low <= float(target) <= high else ""
            assert reached == f"{short(found.mean)} ({short(low)}–{short(high)}), {verdict}"
    files = (ROOT / "leaderboard" / "results").rglob("fno-helmholtz-1m/helmholtz-ood--hard-lite-symmetric-*.json")
    cells = [
        cell for path in files for cell in read_result(path).cells if (cell.start, cell.shots) == ("pretrained", 32)
    ]
    first, second, third = (f"{cell.metrics.relative_l2_mean:.2f}" for cell in cells)
    assert f"on hard are {first}, {second} and {third} for the three seeds" in adapted


def test_the_targets_page_sets_symmetric_from_scratch_beside_pretrained():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").partition("trained from scratch by `symmetric`")[2]
    rows = re.findall(r"^\| ([a-z-]+) \| ([\d./ ]+) \| ([\d./ ]+) \|$", text, re.MULTILINE)
    assert [row[0] for row in rows] == list(SYSTEMS)

    def stated_of(system, method, start):
        tasks = [f"{system}-ood/{regime}" for regime in ("medium", "hard")]
        runs = [runs_of_model(f"fno-{system}-1m", task, method) for task in tasks]
        return " / ".join(short(each[start, 32].mean) for each in runs)

    for system, *cells in rows:
        assert cells == [stated_of(system, "symmetric", start) for start in ("scratch", "pretrained")]
    closed = [stated_of("helmholtz", "v1", start) for start in ("pretrained", "scratch")]
    assert f"By the closed recipe the pretrained one is better there, {closed[0]} for {closed[1]}," in text
    settings = OWN_METHODS["symmetric"].row(32)
    assert (settings.scratch.steps, settings.recipe.steps) == (4 * 1200, 1200)
    trials = (ROOT / "docs" / "design" / "symmetric-trials.csv").read_text(encoding="utf-8").splitlines()
    case = "fno-helmholtz-1m,helmholtz/selection,32,0.002,{},8,0.25,whole,"
    longer, usual = (
        short(float(line.rpartition(",")[2]))
        for steps in (4800, 1200)
        for line in trials
        if line.startswith(case.format(steps))
    )
    assert f"the error is {longer} instead of {usual}" in text


def runs_of_model(name, task, method):
    """What a model has on the leaderboard's lite track by a method, by start and shots; of a CPU where it can be."""
    paths = (ROOT / "leaderboard" / "results").rglob(f"{name}/{task.replace('/', '--')}-lite-*.json")
    found = [result for result in map(read_result, paths) if result.method == method]
    found.sort(key=lambda result: result.deterministic)
    return {(run.start, run.shots): run.summary for result in found for run in result.runs}


def test_the_targets_page_says_what_an_exact_solver_has_that_knows_no_larger_frequency():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    found = dict(re.findall(r"[Gg]iven ω = (\d+),[^:/]+ has\s+([\d.]+ / [\d.]+ / [\d.]+\d)", text))
    assert found.keys() == {"9", "10"}
    reached = {largest: [] for largest in found}
    for regime in ("mild", "medium", "hard"):
        rows = HeldTask(load_task(f"helmholtz-ood/{regime}"), "lite", torch.device("cpu")).test()[:]
        for largest, errors in reached.items():
            confined = rows.coefficients.double()
            confined[:, 5].clamp_(max=float(largest))
            _, solution = solve(rows.source.double().numpy(), confined.numpy())
            error = relative_l2(torch.from_numpy(solution), rows.solution.double())
            errors.append(f"{float(error.mean()):.2f}")
    assert {largest: errors.split(" / ") for largest, errors in found.items()} == reached


def test_the_studies_that_were_run_are_counted_right():
    folders = [path.parent for path in (ROOT / "reproduction").glob("*/verdicts.json")]
    beyond = {folder.name for folder in folders if folder.name.startswith("beyond-")}
    assert beyond == {name for name in shipped_studies() if name.startswith("beyond-")}
    assert len(beyond) == 6
    assert "as have six questions beyond them" in README
    tables = [folder / "data.csv" for folder in folders if (folder / "data.csv").exists()]
    assert sum(any("NVIDIA" in row.device for row in read_runs(table)) for table in tables) == 9
    assert "nine [studies](" in (ROOT / "docs" / "how-to" / "gpu.md").read_text(encoding="utf-8")


def test_the_table_of_longer_trainings_is_what_the_trials_have():
    folder = ROOT / "docs" / "design"
    cases: dict[tuple[str, bool], dict[tuple[str, str], dict[int, float]]] = {}
    with (folder / "recipe-trials.csv").open(newline="") as file:
        for start, regime, shots, rate, steps, _, method, *_, error in list(csv.reader(file))[1:]:
            if method == "v1" and rate != "0.001":
                fresh = start.startswith("scratch")
                case = cases.setdefault((shots, fresh), {}).setdefault((start, regime), {})
                case[int(steps)] = float(error)
    assert {len(each) for (_, fresh), each in cases.items() if not fresh} == {7}
    assert {len(each) for (_, fresh), each in cases.items() if fresh} == {5}
    text = (folder / "recipes.md").read_text(encoding="utf-8").partition("### Where more steps would help")[2]
    rows = re.findall(r"^\| (\d+) \| (pretrained|from scratch) \| \S+ \|(.+)\|$", text, re.MULTILINE)
    assert {(shots, start == "from scratch") for shots, start, _ in rows} == cases.keys()
    for shots, start, cells in rows:
        each = cases[shots, start == "from scratch"].values()
        chosen = adaptation_recipe("scratch" if start == "from scratch" else "pretrained", int(shots))
        usual = getattr(chosen, "whole", chosen).steps
        for steps, cell in zip((usual // 2, usual, 2 * usual), cells.split("|"), strict=True):
            factors = [errors[steps] / min(errors.values()) for errors in each if steps in errors]
            said = f"{geometric_mean(factors):.2f} ({max(factors):.2f})" if factors else ""
            assert cell.strip() == said
        assert all(min(errors, key=errors.get) == 2 * usual for errors in each if int(shots) > 512)


def test_where_the_method_symmetric_costs_is_what_its_study_has():
    folder = ROOT / "reproduction" / "beyond-symmetries"
    verdicts = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]
    found = {each["claim"]: each for each in verdicts if each["claim"].startswith("same-examples (")}
    learnt, built_in = (
        [each for claim, each in found.items() if ("advection" in claim) is where] for where in (False, True)
    )
    text = (ROOT / "docs" / "concepts" / "divisions.md").read_text(encoding="utf-8")
    assert f"is smaller\nin all {len(learnt)} cases" in text
    assert all(each["value"] < 1.0 for each in learnt)
    costs = [each for each in built_in if each["value"] > 1.005]
    larger = [100 * (each["value"] - 1.0) for each in costs]
    low, high = f"{min(larger):.0f}", f"{max(larger):.0f}"
    assert f"it is larger by {low} to {high} % in {len(larger)} of {len(built_in)}, none of which can be told" in text
    assert {each["decision"] for each in costs} == {"can't be told"}


def test_the_table_on_the_method_l2_sp_is_what_its_trials_have():
    errors: dict[tuple[str, str], dict[tuple[str, str, str], float]] = {}
    with (ROOT / "docs" / "design" / "recipe-trials.csv").open(newline="") as file:
        for start, regime, shots, rate, steps, _, method, anchor, error in list(csv.reader(file))[1:]:
            if method == "l2-sp":
                assert rate == "0.002"
                errors.setdefault((start, regime), {})[shots, steps, anchor] = float(error)
    anchors, settings = ("0.0", "0.001", "0.01"), (("8", "100"), ("32", "200"))
    for shots, steps in settings:
        recipe = OWN_METHODS["l2-sp"].recipe(int(shots), fresh=False)
        assert (recipe.learning_rate, str(recipe.steps)) == (0.002, steps)
        assert OWN_METHODS["l2-sp"].row(int(shots)).anchor == 0.001
    text = (ROOT / "docs" / "concepts" / "divisions.md").read_text(encoding="utf-8").partition("## `l2-sp`")[2]
    rows = re.findall(r"^\| `(\S+)` on `(\S+)` \(\w+\) \| (\S+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert {row[:2] for row in rows} == errors.keys()
    assert len(rows) == 7
    for start, regime, zero_shot, *cells in rows:
        found = errors[start, regime]
        assert zero_shot == short(found["8", "0", "0.0"])
        for (shots, steps), cell in zip(settings, cells, strict=True):
            none, own, strong = (short(found[shots, steps, anchor]) for anchor in anchors)
            assert cell == f"{none}, **{own}**, {strong}"
    gains = [
        f"{geometric_mean(each[shots, steps, '0.001'] / each[shots, steps, '0.0'] for each in errors.values()):.2f}"
        for shots, steps in settings
    ]
    assert f"{gains[0]} times that of the same steps without a penalty at 8 shots, and {gains[1]} times at 32" in text


def test_the_tables_on_the_method_symmetric_are_what_its_trials_have():
    method = OWN_METHODS["symmetric"]
    folder = ROOT / "docs" / "design"
    wholes: dict[tuple[str, bool], dict[tuple[str, str], dict[tuple[float, ...], list[float]]]] = {}
    halves: dict[tuple[str, str, str, str], list[float]] = {}
    batches: dict[tuple[str, str], dict[tuple[float, ...], float]] = {}
    with (folder / "symmetric-trials.csv").open(newline="") as file:
        for start, regime, shots, *numbers, part, e0, e1, e2, e3, e4, e5 in list(csv.reader(file))[1:]:
            setting = tuple(map(float, numbers))
            errors = [float(error) for error in (e0, e1, e2, e3, e4, e5)]
            if part == "whole":
                cases = wholes.setdefault((shots, start.startswith("scratch")), {})
                cases.setdefault((start, regime), {})[setting] = errors
                continue
            if setting == settings_of(method, (int(shots) + 1) // 2):
                halves[start, regime, shots, part] = errors
            if shots == "128" and regime.startswith("helmholtz"):
                batches.setdefault((start, part), {})[setting] = errors[-1]
    text = (folder / "recipes.md").read_text(encoding="utf-8").partition("\n## symmetric\n")[2]
    search, _, choice = text.partition("### A choice of how far to go")
    rows = re.findall(r"^\| (\d+) \| (pretrained|from scratch) \| (.+) \|$", search, re.MULTILINE)
    assert {(shots, start == "from scratch") for shots, start, _ in rows} == wholes.keys()
    for shots, start, cells in rows:
        cases = wholes[shots, start == "from scratch"]
        assert len(cases) == {("32", "pretrained"): 12, ("32", "from scratch"): 5}.get((shots, start), 9)
        found = {}
        for cell in cells.split("; "):
            rate, steps, batch, mean, worst = re.fullmatch(
                r"(?:\*\*)?(\S+) × (\d+) × (\d+): (\S+) \((\S+?)\)(?:\*\*)?", cell
            ).groups()
            found[float(rate), float(steps), float(batch)] = (mean, worst)
            own = settings_of(method, int(shots), fresh=start == "from scratch")[:3]
            assert cell.startswith("**") == ((float(rate), float(steps), float(batch)) == own)
        tried = set.intersection(*(set(each) for each in cases.values()))
        best = [min(each[setting][-1] for setting in tried) for each in cases.values()]
        due = {}
        for setting in tried:
            factors = [each[setting][-1] / least for each, least in zip(cases.values(), best, strict=True)]
            due[setting[:3]] = (f"{geometric_mean(factors):.2f}", f"{max(factors):.2f}")
        assert found == due
    used = settings_of(method, 64)
    larger = (*used[:2], 2 * used[2], used[3])
    most = max(tried[used] / tried[larger] for tried in batches.values())
    assert f"with 64 examples (the halves of 128, in the file) 16 would be better, by up to {most:.1f} times" in search
    own = settings_of(method, 32, fresh=True)
    half = (own[0], own[1] / 2, *own[2:])
    costs = [e[half][-1] / e[own][-1] - 1 for (start, _), e in wholes["32", True].items() if start[-1] in "km"]
    assert len(costs) == 3
    assert f"this package's own three networks {100 * min(costs):.0f} to {100 * max(costs):.0f} % (" in search
    stated_rows = re.findall(r"^\| (\d+) \| (\S+) \| (\S+), (\S+) \| (\d+), (\d+), (\d+) \|$", choice, re.MULTILINE)
    assert [row[0] for row in stated_rows] == ["8", "32", "128"]
    over_zero_shot = []
    for shots, *said in stated_rows:
        factors = []
        for (start, regime), each in wholes[shots, False].items():
            errors = each[settings_of(method, int(shots))]
            left = [halves[start, regime, shots, part] for part in ("first", "second")]
            totals = [first + second for first, second in zip(*left, strict=True)]
            chosen = errors[totals.index(min(totals))]
            factors.append(chosen / errors[-1])
            over_zero_shot.append((chosen / errors[0], errors[-1] / errors[0]))
        counts = (sum(f < 1 for f in factors), sum(f == 1 for f in factors), sum(f > 1 for f in factors))
        summary = (geometric_mean(factors), min(factors), max(factors))
        assert said == [*(f"{value:.2f}" for value in summary), *map(str, counts)]
    chosen, whole = zip(*over_zero_shot, strict=True)
    assert (len(chosen), max(chosen) < 1.01) == (30, True)
    worse = [factor for factor in whole if factor > 1.01]
    assert (
        f"none of the 30 is more than 1 % worse; all the way {len(worse)} are, by up to {max(worse):.1f} times"
        in choice
    )
    recipes = [method.recipe(shots, fresh=False) for shots in range(2, 65537)]
    prices = [recipe.steps / recipe.whole.steps for recipe in recipes]
    assert f"The choice takes\n{min(prices):.1f} to {max(prices):.0f} times the steps." in choice


def settings_of(method, shots, *, fresh=False):
    row = method.row(shots)
    recipe = row.scratch if fresh else row.recipe
    return recipe.learning_rate, recipe.steps, recipe.batch_size, row.superposed


def test_the_targets_page_says_on_which_tasks_the_larger_model_is_better():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    ratio = {task: stated("fno-mixed-16m", task) / stated("fno-mixed-1m", task) for task in TASKS}
    better = {task for task in TASKS if ratio[task] < 1.0}
    assert f"Zero-shot it has the smaller error on {len(better)} of the {len(TASKS)}: on all of" in text
    assert better == {task for task in TASKS if not task.startswith("poisson-ood/")}
    low, high = re.search(r"on `poisson-ood` its errors are (\S+) to (\S+) times as large", text).groups()
    worse = sorted(round(ratio[task], 1) for task in TASKS if task not in better)
    assert (float(low), float(high)) == (worse[0], worse[-1])
    ratio = {task: stated("fno-mixed-16m", task, 32) / stated("fno-mixed-1m", task, 32) for task in TASKS}
    better = {task for task in TASKS if ratio[task] < 1.0}
    assert f"After 32 shots, by the closed recipe, on {len(better)} of the {len(TASKS)}: in domain on all" in text
    mild = {"advection-diffusion-ood/mild", "helmholtz-ood/mild"}
    assert better == {f"{system}/in-domain" for system in FAMILIES["mixed"]} | mild
    low, high = re.search(r"on the others its errors are\s+(\S+) to (\S+) times as large", text).groups()
    worse = sorted(round(ratio[task], 2) for task in TASKS if task not in better)
    assert (float(low), float(high)) == (worse[0], worse[-1])


def test_models_without_weights_are_those_of_the_rows_and_the_records_that_were_kept():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    targets = text.partition("\n## Targets")[2]
    stated_rows = dict(re.findall(r"^\| `(fno-\S+)` \| ([^|]+ \| [^|]+) \|$", targets, re.MULTILINE))
    kept = {weights: own for weights, own in own_models().items() if own.scores is None}
    assert {own.name for own in kept.values()} == stated_rows.keys()
    for weights, own in kept.items():
        record = read_training_record(ROOT / "pdebench_fm" / "zoo" / "records" / own.name)
        assert (record.config.model_name, record.samples) == (own.name, 300_000)
        (command,) = re.findall(rf"^pdefm pretrain (--family {record.config.family} .+?)--device", text, re.M | re.S)
        words = iter(command.replace("\\\n", " ").split())
        flags = {flag.removeprefix("--").replace("-", "_"): value for flag, value in zip(words, words, strict=True)}
        assert PretrainConfig.model_validate({**flags, "coarse_share": 0.9}, strict=False) == record.config
        results = [read_result(p) for p in (ROOT / "leaderboard" / "results").rglob(f"{own.name}/*.json")]
        assert {(r.model.weights_sha256, r.model.fingerprint) for r in results} == {(weights, own.fingerprint)}
        errors = {(r.task, run.shots): run.summary.mean for r in results for run in r.runs}
        system = record.config.family
        regimes = [f"{system}/in-domain", *(f"{system}-ood/{level}" for level in ("mild", "medium", "hard"))]
        shown = [" / ".join(short(errors[task, shots]) for task in regimes) for shots in (0, 32)]
        assert stated_rows[own.name] == " | ".join(shown)


def test_the_targets_page_states_the_full_tracks_row():
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    found = re.search(
        r"has (\S+) zero-shot and\s+(\S+) \(95 % interval (\S+)–(\S+), three seeds\) after 32 shots", text
    )
    (path,) = (ROOT / "leaderboard" / "results").rglob("fno-poisson-1m/poisson-ood--medium-full-*.json")
    scores = {run.shots: (run.summary, len(run.seeds)) for run in read_result(path).runs}
    (zero_shot, _), (adapted, seeds) = scores[0], scores[32]
    assert seeds == 3
    shown = zero_shot.mean, adapted.mean, adapted.interval_low, adapted.interval_high
    for said, value in zip(found.groups(), shown, strict=True):
        assert float(said) == pytest.approx(value, abs=0.5 * 10 ** -len(said.partition(".")[2]))
    assert adapted.interval_high < 0.01
    runs = {(row.method, row.start, row.shots): row for row in read_runs(ROOT / "reproduction" / "anchor" / "data.csv")}
    verdicts = {each.claim: each for each in read_verdicts(ROOT / "reproduction" / "anchor").verdicts}
    crossed = (
        f"at {shots} {'the two have ' if shots == 2048 else ''}"
        f"{runs['v1', 'pretrained', shots].error:.4f} and {runs['v1', 'scratch', shots].error:.4f}"
        for shots in (2048, 8192)
    )
    assert f"With more examples pretraining is of no use here: {', '.join(crossed)}, pretrained and" in text
    assert f"and {runs['symmetric', 'pretrained', 32].error:.4f} by `symmetric` (one seed)" in text
    assert runs["symmetric", "pretrained", 32].seeds == 1
    found = verdicts["scratch (v1)"]
    assert (
        f"needs about {found.value:.0f} examples (at most {found.high:.0f}; 128 are the fewest that were run), by"
        in text
    )
    assert found.low == 0.0
    assert min(shots for _, start, shots in runs if start == "scratch") == 128
    few, many = (runs["v1", "scratch", shots].error for shots in (128, 512))
    assert re.search(rf"it has {few:.4f} after 128 of them\s+and {many:.4f} after 512", text)


def test_the_table_of_trainings_is_what_cards_and_records_state():
    text = (
        (ROOT / "docs" / "reproduction" / "zoo-training.md").read_text(encoding="utf-8").partition("\n## Results\n")[2]
    )
    rows = re.findall(r"^\| `(fno-\S+)` \| (.+) \| (\S+) \| (\S+) \|$", text.partition("\n## ")[0], re.MULTILINE)
    assert sorted(name for name, *_ in rows) == zoo_names()
    for name, cells, samples, hours in rows:
        record = read_training_record(zoo_folder(name))
        assert (samples, hours) == (f"{record.samples:,}", f"{record.hours:.2f}")
        errors = dict(zip(FAMILIES["mixed"], (cell.split(" ")[0] for cell in cells.split(" | ")), strict=True))
        assert {system: error for system, error in errors.items() if error != "—"} == {
            system: f"{stated(name, f'{system}/pretrain'):.4f}" for system in FAMILIES[record.config.family]
        }


@pytest.mark.parametrize("script", ["quickstart.sh", "test.sh", "environment.sh"])
def test_scripts_are_valid_bash(script):
    subprocess.run(["bash", "-n", str(ROOT / "scripts" / script)], check=True)
