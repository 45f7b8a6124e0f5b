"""The command line as users type it: what it prints, its exit codes, and that errors are one line."""

import dataclasses
import json

import pytest
import torch
from described import make_pretrained, results_of

from pdebench_fm.cli import main
from pdebench_fm.models import HomogeneousNormaliser, ModelConfig, NeuralOperator, load_model
from pdebench_fm.results.evaluation import read_evaluation


@pytest.fixture
def model_folder(tmp_path):
    folder = tmp_path / "fno-tiny"
    scales = HomogeneousNormaliser(coefficient_scales=(1.0,) * 6)
    torch.manual_seed(0)
    NeuralOperator(ModelConfig(width=4, modes=4, normaliser=scales)).save_pretrained(folder)
    return folder


EVAL = ["eval", "--track", "lite"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["data", "build", "helmholz-ood", "--out", "{tmp}/x"], 2, "did you mean 'helmholtz-ood'"),
        (["data", "build", "helmholtz-ood", "--regime", "medum", "--out", "{tmp}/x"], 2, "did you mean 'medium'"),
        (["data", "build", "helmholtz-ood", "--train", "-1", "--out", "{tmp}/x"], 2, "-1 rows"),
        (["data", "build", "helmholtz-ood", "--resolution", "100", "--out", "{tmp}/x"], 2, "64, 128, 256, 512"),
        (["eval", "--model", "{model}", "--task", "poisson-ood/medum"], 2, "did you mean 'poisson-ood/medium'"),
        (["eval", "--model", "{model}", "--task", "poisson-ood/hard", "--track", "lit"], 2, "did you mean 'lite'"),
        (["eval", "--model", "{model}", "--task", "poisson-ood/hard", "--shots", "-3"], 2, "cannot be negative"),
        (["eval", "--model", "{model}", "--task", "poisson-ood/hard", "--shots", "99999"], 2, "at most 32768"),
        (["eval", "--model", "{model}", "--task", "poisson-ood/hard", "--shots", "few"], 2, "such as 0,8,32"),
        (["eval", "--model", "fno-mixd-64k", "--task", "poisson-ood/hard"], 2, "unknown model 'fno-mixd-64k'"),
        (["eval", "--model", "{tmp}", "--task", "poisson-ood/hard"], 1, "has no config.json"),
        (["eval", "--model", "{model}"], 2, "--task"),
        (["eval", "--model", "{model},{model}", "--task", "poisson"], 2, "twice: name it once"),
        (["eval", "--model", "{model}", "--task", "poisson,all"], 2, "names poisson/in-domain twice"),
        (["eval", "--model", "{model}", "--task", "poisson-odd"], 2, "did you mean 'poisson-ood'"),
        (["eval", "--model", "{model}", "--task", "poisson", "--recipe", "papper"], 2, "did you mean 'paper'"),
        (["eval", "--model", "{model}", "--task", "poisson", "--scheduler", "x://y"], 1, "no Dask scheduler"),
        (["compare", "{tmp}/a.json", "{tmp}/b.json"], 2, "no result file"),
        (
            ["compare", "a.json", "b.json", "c.json"],
            2,
            "two results are compared, and here are 3: name two of a.json, b.json, c.json",
        ),
        (["compare", "a.json"], 2, "two results are compared, and here is one: a.json"),
        (["eval", "--modle", "x", "--task", "poisson-ood/hard"], 2, "--modle"),
        (["pretrain", "--family", "mixt", "--size", "64k", "--steps", "1", "--out", "{tmp}/x"], 2, "'mixed'"),
        (["pretrain", "--family", "mixed", "--size", "64K", "--steps", "1", "--out", "{tmp}/x"], 2, "'64k'"),
        (["pretrain", "--family", "mixed", "--size", "64k", "--out", "{tmp}/x"], 2, "--minutes or --steps"),
        (["submit", "{tmp}/none.json", "--to", "{tmp}/x"], 2, "no result file"),
        (["submit", "{tmp}/none.json", "--to", ""], 2, "--to is empty"),
        (["leaderboard", "build", "--from", "", "--out", "{tmp}/x"], 2, "--from is empty"),
        (["leaderboard", "build", "--from", "{tmp}/none", "--out", "{tmp}/x"], 2, "no leaderboard"),
        (["zoo", "show", "org/none"], 2, "pdefm zoo pull org/none"),
        (["zoo", "publish", "{model}", "--namespace", "org", "--version", "1.0"], 2, "not a version"),
        (["zoo", "publish", "{model}", "--namespace", "org", "--version", "1.0.0"], 1, "has no training.json"),
        (["zoo", "publish", "fno-mixed-256m", "--namespace", "org", "--version", "1.0.0"], 2, "recipe only"),
        (["zoo", "card", "{model}"], 1, "has no training.json"),
        (["zoo", "card", "{tmp}"], 1, "has no config.json"),
        (["zoo", "pull", "a/b/c"], 2, "neither a Hub id"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_a_users_mistake_is_one_line_on_stderr_and_leaves_nothing(
    arguments, code, words, tmp_path, model_folder, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    places = {"tmp": str(tmp_path), "model": str(model_folder)}
    assert main([argument.format(**places) for argument in arguments]) == code
    stderr = capsys.readouterr().err
    assert words in stderr
    assert stderr.startswith("pdefm: ")
    assert stderr.count("\n") == 1
    assert "Traceback" not in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fno-tiny"]


def test_a_pickled_weight_file_is_refused_with_the_way_out(tmp_path, capsys):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert main([*EVAL, "--model", str(tmp_path), "--task", "poisson-ood/hard"]) in (1, 2)
    stderr = capsys.readouterr().err
    assert "safetensors" in stderr
    assert stderr.count("\n") == 1


def test_a_config_that_does_not_fit_its_weights_is_refused(model_folder, capsys):
    config = json.loads((model_folder / "config.json").read_text())
    (model_folder / "config.json").write_text(json.dumps({**config, "width": 5}))
    assert main([*EVAL, "--model", str(model_folder), "--task", "poisson-ood/hard"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupted_evaluation_exits_with_130_and_writes_nothing(model_folder, tmp_path, monkeypatch, capsys):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("pdebench_fm.evaluation.orders.compute", interrupt)
    out = tmp_path / "results"
    code = main([*EVAL, "--model", str(model_folder), "--task", "poisson-ood/hard", "--out", str(out)])
    assert code == 130
    assert capsys.readouterr().err == "pdefm: interrupted\n"
    assert not out.exists()


def test_several_tasks_make_one_table_and_a_file_each(model_folder, tmp_path, capsys):
    arguments = [
        *EVAL,
        "--model",
        str(model_folder),
        "--task",
        "poisson-ood/hard,poisson",
        "--out",
        str(tmp_path / "r"),
    ]
    tables = []
    for _ in range(2):
        assert main(arguments) == 0
        tables.append(capsys.readouterr().out.partition("relative")[2])
    assert "poisson/in-domain" in tables[0]
    assert "2 results in" in tables[0]
    assert tables[0] == tables[1]
    assert len(list((tmp_path / "r").rglob("*.json"))) == 2


@pytest.mark.parametrize(("task", "ranked"), [("poisson/in-domain", True), ("poisson/pretrain", False)])
def test_only_a_result_that_can_be_ranked_is_offered_to_a_leaderboard(task, ranked, model_folder, tmp_path, capsys):
    arguments = ["--model", str(model_folder), "--task", task, "--shots", "0", "--out", str(tmp_path / "results")]
    assert main([*EVAL, *arguments]) == 0
    assert ("pdefm submit" in capsys.readouterr().out) == ranked


@pytest.mark.parametrize("own", [False, True])
def test_the_way_to_a_leaderboard_asks_for_an_organisation_for_models_of_ones_own(model_folder, tmp_path, capsys, own):
    models = f"zero,{model_folder}" if own else "zero"
    main([*EVAL, "--model", models, "--task", "poisson-ood/hard", "--out", str(tmp_path / "results")])
    said = capsys.readouterr().out
    assert "--to board/" in said
    assert ("--organisation YOURS" in said) == own
    lie = sorted(path.relative_to(tmp_path / "results").parts[:2] for path in (tmp_path / "results").rglob("*.json"))
    assert lie == [*([("local", model_folder.name)] if own else []), ("pdebench-fm", "zero")]


@pytest.mark.parametrize("name", ["my-fno", "org/my-fno"])
def test_a_model_of_ones_own_has_the_name_that_it_is_given(name, model_folder, tmp_path, capsys):
    arguments = [*EVAL, "--model", str(model_folder), "--task", "poisson-ood/hard", "--out", str(tmp_path / "results")]
    assert main([*arguments, "--name", name]) == 0
    assert f"{name} on poisson-ood/hard" in capsys.readouterr().out
    assert main([*arguments, "--name", name, "--json"]) == 0
    (scores,) = json.loads(capsys.readouterr().out)["results"]
    assert scores["model"] == name
    (path,) = (tmp_path / "results").rglob("*.json")
    assert str(path) == scores["file"]
    assert path.parent == tmp_path / "results" / (name if "/" in name else f"local/{name}")
    named = read_evaluation(path)
    assert main(arguments) == 0  # the same model under its own name: another file, with the same scores
    (other,) = set((tmp_path / "results").rglob("*.json")) - {path}
    unnamed = read_evaluation(other)
    assert unnamed.result.model.model_id == model_folder.name
    assert unnamed.result.model.model_copy(update={"model_id": name}) == named.result.model
    assert unnamed.samples.equals(named.samples)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "fno-mixed-64k", "--name", "mine"], "fno-mixed-64k comes with the package and keeps its name"),
        (["--model", "zero", "--name", "mine"], "zero comes with the package and keeps its name"),
        (["--model", "org/name@v1.0.0", "--name", "mine"], "org/name@v1.0.0 is on the Hub and keeps its name there"),
        (["--model", "a.py,b.py", "--name", "mine"], "a name is that of one model, and here are 2"),
        (["--model", "a.py", "--name", "fno-mixed-1m"], "fno-mixed-1m is the name of a model of the package"),
        (["--model", "a.py", "--name", "me/fno-mixed-16m"], "me/fno-mixed-16m is the name of a model of the package"),
        (["--model", "a.py", "--name", "FNO-mixed_64k"], "FNO-mixed_64k looks like fno-mixed-64k, the name of a model"),
        (["--model", "a.py", "--name", "me/fno-m1xed-64k"], "me/fno-m1xed-64k looks like fno-mixed-64k"),
        (["--model", "a.py", "--name", "0racle"], "0racle looks like oracle, the name of a model of the package"),
        (["--model", "a.py", "--name", "pdebench-fm/mine"], "is, or looks like, the organisation of this package's"),
        (["--model", "a.py", "--name", "PDEbench_fm/mine"], "is, or looks like, the organisation of this package's"),
        (["--model", "a.py", "--name", "con"], "a model cannot be called 'con': programs take it for something else"),
        (["--model", "a.py", "--name", "me/mine.json"], "programs take it for something else"),
        (["--model", "a.py", "--name", "../mine"], "a model cannot be called '../mine'"),
        (["--model", "a.py", "--name", "mine", "--smoke"], "--name is for results, and --smoke gives none"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_computed(words, said, tmp_path, capsys):
    assert main([*EVAL, *words, "--task", "poisson-ood/hard", "--out", str(tmp_path / "results")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_failed_runs_end_with_exit_code_1_after_everything_else_is_written(model_folder, tmp_path, capsys):
    model = load_model(model_folder)
    with torch.no_grad():
        next(model.parameters()).fill_(torch.inf)
    model.save_pretrained(tmp_path / "broken")
    models = f"{tmp_path / 'broken'},{model_folder}"
    code = main([*EVAL, "--model", models, "--task", "poisson-ood/hard", "--out", str(tmp_path / "results")])
    printed = capsys.readouterr()
    assert code == 1
    assert "failed" in printed.out
    last = printed.err.splitlines()[-1]
    assert last.startswith(
        "pdefm: 1 of 2 runs failed; the first: broken on poisson-ood/hard, pretrained, 0 shots, seed 0"
    )
    assert "not finite" in last
    assert len(list((tmp_path / "results").rglob("*.json"))) == 2
    assert main(["submit", str(tmp_path / "results"), "--to", str(tmp_path / "board"), "--organisation", "acme"]) == 0
    assert "it has no score: each of its 1 runs failed" in capsys.readouterr().err
    assert [path.parent.name for path in (tmp_path / "board").rglob("*.json")] == [model_folder.name]


def test_debug_shows_the_error_itself():
    from pdebench_fm.errors import UsageError

    with pytest.raises(UsageError):
        main(["--debug", "data", "build", "nope", "--out", "x"])


def test_data_list_shows_every_dataset_and_range(capsys):
    assert main(["data", "list"]) == 0
    text = capsys.readouterr().out
    for words in ("helmholtz-ood", "advection-diffusion", "16–20", "U(2.5, 7.5)", "about half"):
        assert words in text


@pytest.mark.parametrize("command", [["data", "list"], ["tasks"]])
def test_lists_say_what_their_symbols_mean(capsys, command):
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "e: anisotropy; Ψ: advection-to-diffusion ratio; ω: wavenumber parameter." in out
    assert "the part of the range that" in out


def test_from_build_to_leaderboard_page(model_folder, tmp_path, capsys):
    sizes = ["--train", "8", "--validation", "4", "--test", "16"]
    assert main(["data", "build", "poisson-ood", "--regime", "hard", *sizes, "--out", str(tmp_path / "data")]) == 0
    for data in ([], ["--data", str(tmp_path / "data")]):
        arguments = [*EVAL, "--model", str(model_folder), "--task", "poisson-ood/hard", *data]
        assert main([*arguments, "--out", str(tmp_path / ("results" + str(len(data))))]) == 0
    (path,) = (tmp_path / "results0").rglob("*.json")
    assert path.with_suffix(".samples.parquet").is_file()
    assert main(["submit", str(path), "--to", str(tmp_path / "leaderboard"), "--organisation", "acme"]) == 0
    words = ["--from", str(tmp_path / "leaderboard"), "--out", str(tmp_path / "site")]
    assert main(["leaderboard", "build", "--no-pictures", *words]) == 0
    assert "fno-tiny" in (tmp_path / "site" / "models" / "acme" / "fno-tiny.html").read_text()
    assert "relative ℓ² error" in capsys.readouterr().out


def test_pretraining_goes_on_and_its_model_can_be_evaluated(tmp_path, capsys):
    run = ["pretrain", "--family", "poisson", "--size", "64k", "--batch-size", "2", "--out", str(tmp_path / "run")]
    assert main([*run, "--steps", "3"]) == 0
    assert main([*run, "--steps", "4"]) == 2
    assert "another steps" in capsys.readouterr().err
    folder = str(tmp_path / "run" / "fno-poisson-64k")
    assert main([*EVAL, "--model", folder, "--task", "poisson/in-domain", "--out", str(tmp_path / "results")]) == 0


def test_the_zoo_lists_its_models_and_shows_their_cards(capsys):
    assert main(["zoo", "list"]) == 0
    assert "fno-mixed-64k" in capsys.readouterr().out
    assert main(["zoo", "show", "fno-mixed-64k"]) == 0
    assert "320,000 fresh samples" in capsys.readouterr().out
    assert main(["zoo", "show", "fno-mixed-65k"]) == 2
    assert "did you mean 'fno-mixed-64k'" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [80, 120])
def test_the_zoo_is_listed_without_breaking_a_name(columns, capsys, monkeypatch):
    from pdebench_fm.cli import zoo
    from pdebench_fm.models.loading import zoo_directory
    from pdebench_fm.zoo import entries as zoo_entries

    shipped = zoo_entries.find_entry("fno-mixed-64k")
    longest = "fno-advection-diffusion-99k"  # as long as the longest in the package
    config = shipped.config.model_copy(update={"family": "advection-diffusion"})
    cached = {"home": "hub cache", "commit": "0" * 40, "refs": ("v1.0.0",), "folder": zoo_directory()}
    made = [
        dataclasses.replace(shipped, name=longest, config=config),
        dataclasses.replace(shipped, name=f"pdebench-fm/{longest}", config=config, **cached),
    ]
    monkeypatch.setattr(zoo_entries, "cached_models", lambda _: made)
    monkeypatch.setattr(zoo.console, "width", columns)
    assert main(["zoo", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(longest in line for line in lines) == 2
    assert any("advection-diffusion, 67.3 k" in line for line in lines)
    assert any(line.startswith("fno-mixed-256m") and "256m" in line and "not shipped" in line for line in lines)
    assert any("0.0153" in line and "0.0285" in line and "0.435" in line for line in lines)


def test_a_recipe_is_shown_with_its_script(capsys):
    assert main(["zoo", "show", "fno-mixed-256m"]) == 0
    text = capsys.readouterr().out
    assert "No weights are shipped" in text
    assert "--size 256m" in text
    assert "zoo/recipes" in text.replace("\n", "")


def test_a_card_is_made_from_result_files(tmp_path, capsys):
    folder = make_pretrained(tmp_path / "fno-poisson-tiny", "poisson")
    for number, evaluation in enumerate(results_of(folder, "poisson")):
        evaluation.write(tmp_path / "results" / f"{number}.json")
    assert main(["zoo", "card", str(folder), str(tmp_path / "results" / "0.json")]) == 2
    assert "scores are missing" in capsys.readouterr().err
    assert main(["zoo", "card", str(folder), str(tmp_path / "results")]) == 0
    assert "never saw advection-diffusion" in (folder / "README.md").read_text(encoding="utf-8")


PRINTING = """
import os
import torch


class Printing(torch.nn.Module):
    def forward(self, source, coefficients):
        print("from Python")
        os.write(1, b"from below")
        return source


def build():
    print("while building")
    return Printing()
"""


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_json_is_alone_on_stdout_whatever_a_model_prints(tmp_path, capfd, monkeypatch, workers):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PRINTING)
    words = ["eval", "--model", "mine.py", "--task", "poisson", "--track", "n16-rows4", "--no-scratch", *workers]
    assert main([*words, "--json"]) == 0
    told = capfd.readouterr()
    (scores,) = json.loads(told.out)["results"]
    assert scores["model"] == "mine"
    assert "while building" in told.err
    print("afterwards")
    assert capfd.readouterr().out == "afterwards\n"
