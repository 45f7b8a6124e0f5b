"""Cells in several processes: the scores, the cache and the progress of one process, and processes that die."""

import os
import signal
import subprocess
import sys
from collections import Counter
from textwrap import dedent

import pytest
from watching import is_running, wait_until

from pdebench_fm.cli import main
from pdebench_fm.data.build import BuildPlan, build
from pdebench_fm.data.catalogue import DATASETS
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.evaluation.cache import CellCache
from pdebench_fm.evaluation.evaluate import evaluate_suite
from pdebench_fm.evaluation.schedule import Schedule
from pdebench_fm.models import load_model

TASKS = ["poisson-ood/hard", "poisson-ood/mild"]


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Few rows, from a build: workers open them by its path."""
    plan = BuildPlan(DATASETS["poisson-ood"], ("mild", "hard"), {"train": 16, "test": 16}, 64)
    folder = build(plan, tmp_path_factory.mktemp("data"))
    return {"track": "lite", "device": "cpu", "seeds": 2, "scratch": False, "data": str(folder)}


FRAGILE = """
import os, signal
from pathlib import Path

marker = Path(__file__).with_name("died")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def once(source, coefficients):
    if not marker.exists():
        marker.touch()
        die()
    return source

def always(source, coefficients):
    die()

def well(source, coefficients):
    return source

def build_once(): return once
def build_always(): return always
def build_well(): return well
"""


def scores(evaluations):
    return [each.samples.to_pydict() for each in evaluations]


def test_two_workers_give_the_scores_and_the_cells_of_one_and_tell_of_steps(model_folder, tmp_path, options):
    kept, found, seen = {}, {}, []
    for workers in (1, 2):
        cache = CellCache(tmp_path / str(workers))
        found[workers] = evaluate_suite(
            [str(model_folder)], TASKS, [0, 8], **options, workers=workers, cache=cache, on_progress=seen.append
        )
        kept[workers] = sorted(path.name for path in cache.folder.rglob("*.json"))
    assert scores(found[1]) == scores(found[2])
    assert kept[1] == kept[2]
    assert len(kept[1]) == 6
    assert (seen[-1].done, seen[-1].cells, seen[-1].seconds_left) == (6, 6, 0.0)
    assert any(state.step and state.loss is not None for state in seen[len(seen) // 2 :])


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_what_is_kept_by_any_number_of_workers_serves_any_other(first, second, tmp_path, monkeypatch, options):
    cache = CellCache(tmp_path)
    expected = evaluate_suite(["zero"], TASKS, 0, **options, workers=first, cache=cache)

    def refuse(*_):
        raise AssertionError("a cell is computed again")

    monkeypatch.setattr("pdebench_fm.evaluation.orders.compute", refuse)
    monkeypatch.setattr("pdebench_fm.evaluation.workers.get_context", refuse)
    assert scores(evaluate_suite(["zero"], TASKS, 0, **options, workers=second, cache=cache)) == scores(expected)


def test_a_cell_whose_process_dies_is_computed_once_more(tmp_path, options):
    (tmp_path / "fragile.py").write_text(FRAGILE)
    models = [f"{tmp_path}/fragile.py:{name}" for name in ("build_once", "build_always", "build_well")]
    once, always, well = evaluate_suite(models, TASKS[:1], 0, **options, workers=2)
    assert once.result.failures == ()
    assert scores([once]) == scores([well])
    (failure,) = always.result.failures
    assert failure.reason == "the process that computed it died twice (SIGKILL: was there enough memory?)"


def test_a_method_that_ends_its_process_is_named(tmp_path, options):
    (tmp_path / "leaving.py").write_text("import os\n\ndef adapt(module, support, seed):\n    os._exit(0)\n")
    options |= {"adaptation": f"{tmp_path}/leaving.py", "scratch": False}
    (found,) = evaluate_suite(["fno-poisson-64k"], TASKS[:1], 4, **options, workers=2)
    reason = "the process that computed it died twice (exit code 0), adapting the model by leaving:adapt"
    assert {failure.reason for failure in found.failures} == {reason}


def test_an_objects_model_is_refused_before_any_process_starts(model_folder, monkeypatch, options):
    monkeypatch.setattr("pdebench_fm.evaluation.workers.get_context", None)
    with pytest.raises(UsageError, match="fno-tiny is an object of this process: workers open a model by its name"):
        evaluate_suite([load_model(model_folder)], TASKS, **options, workers=2)


def test_an_error_of_the_rows_is_raised_here_as_it_would_be_in_one_process(small_task, options):
    with pytest.raises(PdefmError, match="a worker would compute another thing than zero"):
        evaluate_suite(["zero"], [small_task(), small_task("poisson-ood/hard")], **options, workers=2)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"workers": 0}, "workers must be at least 1"),
        ({"workers": True}, "workers must be a whole number"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, "either workers"),
        ({"device": "cpu,cpu"}, "several devices must be different GPUs"),
        ({"device": ["cpu", "cpu"]}, "several devices must be different GPUs"),
    ],
)
def test_places_that_do_not_go_together_are_refused(asked, message):
    with pytest.raises(UsageError, match=message):
        evaluate_suite(["zero"], TASKS, **({"track": "lite", "device": "cpu"} | asked))


def test_workers_beside_a_scheduler_are_wrong_usage_on_the_command_line(capsys):
    line = "eval --model zero --task poisson --track lite --workers 2 --scheduler tcp://x:1"
    assert main(line.split()) == 2
    assert "either workers" in capsys.readouterr().err


def run_script(folder, text, **options):
    path = folder / "script.py"
    path.write_text(dedent(text))
    environment = os.environ | {"PDEFM_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, str(path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=180,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    "call",
    [
        "evaluate_suite(['zero'], ['poisson-ood/hard', 'poisson'], track='lite', device='cpu', workers=2)",
        "sys.exit(main('eval --model zero --task poisson,poisson-ood/hard --track lite --workers 2'.split()))",
        "sys.exit(main('data build poisson --regime in-domain --train 8 --workers 2 --out x'.split()))",
    ],
)
def test_an_unguarded_script_is_told_so_in_one_line(call, tmp_path):
    text = f"""
        import sys
        from pdebench_fm import evaluate_suite
        from pdebench_fm.cli import main

        if len(sys.argv) > 5:
            print("no guard")
        {call}
    """
    done = run_script(tmp_path, text, cwd=tmp_path)
    assert done.returncode != 0
    told = done.stderr.splitlines()
    assert "script.py, line 8, starts worker processes" in told[-1]
    assert 'under `if __name__ == "__main__":`' in told[-1]
    assert "bootstrapping" not in done.stderr
    assert "An attempt has been made" not in done.stderr


def test_a_guarded_script_with_a_system_of_its_own_uses_workers(tmp_path):
    from drums import DRUM

    text = DRUM + dedent(
        """
        if __name__ == "__main__":
            import pdebench_fm as pf

            tasks = ["drum/near", "drum/far-2"]
            found = [
                pf.evaluate_suite(["zero"], tasks, track="lite", device="cpu", workers=workers) for workers in (1, 2)
            ]
            assert all(one.samples.equals(other.samples) for one, other in zip(*found))
            print("alike")
        """
    )
    done = run_script(tmp_path, text)
    assert done.stdout == "alike\n", done.stderr


ENDLESS = """
import os, time
from pathlib import Path

def sleep(source, coefficients):
    Path(__file__).with_name(f"{os.getpid()}.pid").touch()
    time.sleep(600)

def build(): return sleep
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_whatever_ends_it(number, tmp_path):
    (tmp_path / "endless.py").write_text(ENDLESS)
    words = ["--model", f"{tmp_path}/endless.py", "--task", "poisson,poisson-ood/hard", "--track", "lite"]
    command = [sys.executable, "-m", "pdebench_fm", "eval", *words, "--workers", "2", "--device", "cpu"]
    environment = os.environ | {"PDEFM_CACHE": str(tmp_path / "cache")}
    parent = subprocess.Popen(
        command,
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: len(list(tmp_path.glob("*.pid"))) == 2, 120)
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)  # as a terminal does
    else:
        parent.send_signal(number)
    _, told = parent.communicate(timeout=60)
    wait_until(lambda: not any(is_running(pid) for pid in workers), 30)
    if number == signal.SIGINT:
        assert parent.returncode == 130
        assert told.splitlines()[-1] == "pdefm: interrupted"
        assert "Traceback" not in told


class FakeCell:
    def __init__(self, task, work):
        self.task, self.work = type("Task", (), {"name": task}), work


def finished_at(cells, workers):
    """Simulate a schedule; return when its last worker is done, and how often rows of a task had to be made."""
    schedule, clock, held, switches = Schedule(cells), [0.0] * workers, [None] * workers, 0
    while schedule:
        now = clock.index(min(clock))
        cell = schedule.next(held[now], [task for i, task in enumerate(held) if i != now and task is not None])
        switches += held[now] != cell.task.name
        held[now], clock[now] = cell.task.name, clock[now] + cell.work
    return max(clock), switches


def test_every_cell_is_given_once_and_the_longest_of_a_task_first():
    cells = [FakeCell(task, work) for task in "ab" for work in (1, 5, 3)]
    schedule = Schedule(cells)
    order = [schedule.next("a", []) for _ in cells]
    assert [(cell.task.name, cell.work) for cell in order] == [(t, w) for t in "ab" for w in (5, 3, 1)]
    assert not schedule
    with pytest.raises(IndexError):
        schedule.next(None, [])


@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_the_work_is_even_and_workers_stay_with_their_tasks(workers):
    cells = [FakeCell(f"t{i}", work) for i in range(12) for work in (1, 6, 6, 6, 12, 12, 12)]
    total = sum(cell.work for cell in cells)
    end, switches = finished_at(cells, workers)
    assert end <= total / workers + max(cell.work for cell in cells)
    assert switches <= 12 + workers * 3
    assert Counter(cell.task.name for cell in cells) == Counter({f"t{i}": 7 for i in range(12)})
