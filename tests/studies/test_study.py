"""Studies as files: the shipped ones are right at every scale, and what is wrong with one is told with its line."""

import pytest

from pdebench_fm.errors import UsageError, UserCodeError
from pdebench_fm.studies.study import SCALES, load_study, runs_of, shipped_studies, study_paths

SHIPPED = shipped_studies()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_study_can_be_run_at_every_scale(name, scale, registry):  # noqa: ARG001
    study = load_study(SHIPPED[name], scale)
    assert study.name == name
    runs = set(runs_of(study.file, study.file.evaluations.values()))
    assert all(key in runs for question in study.questions for key in question.needs)
    assert study.questions or name == "fig2"


def test_the_papers_figures_come_first_and_words_mean_several():
    assert list(SHIPPED)[:6] == ["fig2", "fig3", "fig4", "fig5", "mixed", "anchor"]
    assert [path.stem for path in study_paths("all")] == list(SHIPPED)
    beyond = [path.stem for path in study_paths("beyond")]
    assert len(beyond) == 6
    assert all(name.startswith("beyond-") for name in beyond)
    with pytest.raises(UsageError, match="did you mean 'fig3'"):
        study_paths("fig33")


def test_shots_go_to_8192_where_the_figure_needs_them():
    runs = runs_of(
        load_study(SHIPPED["fig3"], "cpu").file, load_study(SHIPPED["fig3"], "cpu").file.evaluations.values()
    )
    assert {key.shots for key in runs} == {0, 8, 32, 128, 512, 2048, 8192}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("seeds: 2", "seedz: 2", 6, "unknown key 'seedz' in the file$"),
        ("title: A tiny", "titel: A tiny", 2, "unknown key 'titel' in the file: 'title' is missing$"),
        ("shots: [0, 4, 8]", "shotz: [0, 4, 8]", 13, "unknown key 'shotz' in evaluations.main: 'shots' is missing$"),
        ("    says: It helps.", "    sais: It helps.", 21, "unknown key 'sais' in claims.helps: 'says' is missing$"),
        ("  saves:\n    says", "  other:\n  saves:\n    says", 28, "claims.other: it should be a mapping of keys"),
        ("    scratch: true", "    scratched: true", 14, "unknown key 'scratched' in evaluations.main"),
        (
            "[poisson-ood/medium, helmholtz/in-domain]\n    shots",
            "[poisson-ood/medum]\n    shots",
            12,
            "did you mean 'poisson-ood/medium'",
        ),
        ("models: [tiny]", "models: [tinny]", 11, "did you mean 'tiny'"),
        ("{open: MODEL}", "{label: x}", 8, "what to open, or how to pretrain"),
        (
            "{open: MODEL}",
            "{pretrain: {family: poisson, size: 64k, stepz: 5}}",
            8,
            "unknown key 'stepz'|'steps' is missing",
        ),
        ("measure: gain", "measure: gains", 28, "claims.saves"),
        ("track: n16-rows8", "track: n17-rows8", 5, "points a side must be"),
        ("shots: [0, 4, 8]", "shots: [0, 4, -8]", 13, "greater than or equal to 0"),
        ("shots: [0, 4, 8]", "shots: [0, four]", 13, "integer"),
        ("kind: shots", "kind: shotz", 16, "shots"),
        (
            "task: poisson-ood/medium, shots: 4}",
            "task: poisson-ood/medium, shots: 16}",
            28,
            "refers to tiny on poisson-ood/medium .*16 shots, which the study does not run",
        ),
        (
            "task: poisson-ood/medium, start: scratch}",
            "task: poisson-ood/mild, start: scratch}",
            28,
            "poisson-ood/mild .*which the study does not run",
        ),
        ("    of: {model: tiny, task", "    of: {model: tiny, tasks", 31, "unknown key 'tasks'"),
        (
            "    of: {model: tiny, task: poisson-ood/medium, shots: 4}",
            "    of: {shots: 4}",
            28,
            "does not say which model",
        ),
        (
            "    of: {model: tiny, task: poisson-ood/medium, shots: 4}",
            "    of: {model: tiny, task: poisson-ood/medium}",
            28,
            "needs shots above 0",
        ),
        ("    above: 1\n", "    above: 1\n    below: 2\n", 28, "give either above or below"),
        ("    above: 1\n", "", 28, "needs a bound"),
        ("  cpu: {seeds: 1}", "  cpuu: {seeds: 1}", 36, "did you mean 'cpu'"),
        ("  cpu: {seeds: 1}", "  cpu: 5", 36, "should be a mapping"),
        ("scales:\n  cpu: {seeds: 1}", "scales: 5", 35, "should be a mapping of scales"),
        ("title: A tiny study\n", "", 1, "'title' is missing"),
        ("source: a test", "source: a test\nplugins: [nowhere.py]", 5, "no plug-in at"),
        ("    scratch: true", "    scratch: true\n    method: nothing", 15, "unknown adaptation 'nothing'"),
        ("study: tiny", "study: Tiny Study", 1, "study"),
        ("seeds: 2", "seeds: true", 6, "seeds: input should be a valid integer"),
        ("seeds: 2", "seeds: 1:30", 6, "YAML reads 1:30 as 90: write that, or a word in quotes"),
        ("seeds: 2", "seeds: 010", 6, "YAML reads 010 as 8"),
        ("seeds: 2", "seeds: 1_0", 6, "YAML reads 1_0 as 10"),
        ("question: Does it run?", "question: no", 3, "YAML reads no as False"),
        ("    above: 1\n", "    above: 1:30.5\n", 33, r"YAML reads 1:30\.5 as 90\.5"),
        ("    below: 1\n", "    below: -1\n", 20, "its measure is above 0, so below: -1 says nothing"),
        ("    below: 1\n", "    below: true\n", 27, "valid number"),
        ("    paper: 10\n", "    paper: 0\n", 28, "its measure is above 0, so paper: 0 says nothing"),
        ("models: [tiny]", "models: [tiny, tiny]", 11, "tiny is there twice: name it once"),
        (
            "{open: MODEL}\nevaluations:\n  main:\n    models: [tiny]",
            "{open: MODEL}\n  two: {open: MODEL, label: x}\nevaluations:\n  main:\n    models: [tiny, two]",
            12,
            "tiny and two are one model: name it once",
        ),
        ("shots: [0, 4, 8]", "shots: [0, 4, 8, 4]", 13, "4 is there twice"),
        ("[poisson-ood/medium, helmholtz", "[helmholtz/in-domain, helmholtz", 12, "helmholtz/in-domain is there twice"),
        ("kind: shots", "kind: shots\n  shots: [4, 16]", 17, "no run of the study has shots 16: they have 0, 4, 8"),
        ("kind: shots", "kind: shots\n  starts: [scratched]", 17, "starts"),
        ("kind: shots", "kind: shots\n  methods: [symmetric]", 17, "no run of the study has method symmetric: .* v1"),
        ("kind: shots", "kind: shots\n  shots: [0]\n  starts: [scratch]", 15, "no run of the study is left for it"),
        ("kind: shots", "kind: shots\n  of: {start: pretrained}", 15, "of and to are for ratios"),
        ("kind: shots", "kind: ratios", 15, "a picture of ratios needs of and to"),
        (
            "kind: shots",
            "kind: ratios\n  of: {start: scratch}\n  to: {method: symmetric}",
            15,
            "no two runs of the study make a ratio of of and to",
        ),
        (
            "picture:",
            "fields: [{task: poisson/pretrain, sparsities: [0.3]}]\npicture:",
            15,
            "fields are for a picture of fields",
        ),
        ("kind: shots", "kind: fields", 15, "a picture of fields needs fields"),
        ("title: A tiny study", 'title: "a\\e[31mred"', 2, "control characters or marks of format"),
        ("says: It helps.", 'says: "It \\u202ehelps."', 21, "control characters or marks of format"),
        ("study: tiny", "study: fig3", 1, "fig3 is a study that comes with the package"),
        ("study: tiny", "study: all", 1, "cannot be called all"),
        ("study: tiny", "study: aux", 1, "cannot be called aux"),
        ("study: tiny", "study: mine.json", 1, r"cannot be called mine\.json"),
        ("seeds: 2", "seeds: 1e1", 6, "not '1e1', which YAML takes for words: write 10$"),
        ("    below: 1\n", "    below: 1e-9\n", 27, "which YAML takes for words: write 1.0e-09$"),
        ("    below: 1\n", "    below: 1_0.5\n", 27, r"YAML reads 1_0\.5 as 10\.5"),
        ("shots: every", "shots: evry", 24, r"claims\.helps\.shots: it should be a list, or 'every'"),
        ("shots: every", "shots: [4, 4]", 24, "4 is there twice"),
        ("helmholtz/in-domain}]", "poisson-ood/medium}]", 23, "task poisson-ood/medium is there twice"),
        ("to: {start: scratch}", "to: {start: pretrained}", 20, "it compares tiny on .*, 4 shots with itself"),
        ("medium, start: scratch}", "medium}", 28, "it compares tiny on .*, 4 shots with itself"),
        (
            "of: {start: pretrained}\n    to: {start: scratch}",
            "of: {task: poisson-ood/medium}\n    to: {task: poisson-ood/medium, start: scratch}",
            20,
            "task helmholtz/in-domain of its each or shots is that of no run",
        ),
        ("    measure: gain\n", "", 28, "does not say its measure: ratio, gain, "),
        ("measure: gain", "measure: gian", 28, "did you mean 'gain'"),
        ("    paper: 10\n", "    paper: 0.5\n", 28, "what the paper finds, 0.5, is not above 1"),
        ("models:\n  tiny: {open: MODEL}", "models:\n  tiny: 5", 8, "tiny: it should be a mapping of keys to values"),
        ("shots: [0, 4, 8]", "shots: [0, 4, 8, 40000]", 13, "ask for at most 32768"),
        (
            "picture:",
            "  more:\n    models: [tiny]\n    tasks: [poisson-ood/medium]\n    shots: [4]\n    seeds: 1\npicture:",
            15,
            "4 shots is in another evaluation too, with 2 seeds",
        ),
        ("kind: shots", "kind: regimes", 18, "a histogram is drawn above the panels of single tasks"),
        ("  cpu: {seeds: 1}", "  cpu: {claims: {help: null}}", 36, "null takes a key away, .*did you mean 'helps'"),
        ("  cpu: {seeds: 1}", "  cpu: {scales: {}}", 36, "no scales of its own"),
        ("  cpu: {seeds: 1}", "  paper: {track: lighter}", 36, "unknown track"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tiny_file, old, new, line, words):
    with pytest.raises(UsageError, match=words) as refused:
        load_study(tiny_file((old, new)), "smoke")
    assert f"tiny.yaml, line {line}: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_mistake_in_a_scale_has_the_line_of_the_scale(tiny_file):
    path = tiny_file(("cpu: {seeds: 1}", "cpu: {seeds: 1, trakc: lite}"))
    for scale in SCALES:  # at whichever scale it is run first
        with pytest.raises(UsageError, match="line 36: unknown key 'trakc'"):
            load_study(path, scale)


PRETRAINED = "family: poisson, size: 64k, steps: 5"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("family: poisson", "family: poison", "unknown family 'poison'"),
        ("size: 64k", "size: 65k", "did you mean '64k'"),
        ("steps: 5", "steps: '5'", "steps: .*integer, not '5', which YAML takes for words: write 5$"),
        ("steps: 5", "steps: true", "steps: .*integer"),
        ("steps: 5", "steps: 5.0", "steps: .*integer"),
        ("steps: 5", "steps: 99999999999999999999", "steps: .*less than"),
        ("steps: 5", "steps: 5, learning_rate: .inf", "learning_rate: .*finite"),
        ("steps: 5", "steps: 5, resolution: 7", "no fields of 7 points a side"),
        ("steps: 5", "steps: 5, resolution: 512, coarse_share: 0.5, coarse_resolution: 24", "no fields of 24 points"),
        ("size: 64k", "size: 256m, resolution: 32", "cannot carry the 32 modes of size 256m"),
        ("steps: 5", "steps: 5, shares: [1, 2]", "2 shares for 1 systems"),
        ("steps: 5", "steps: 5, seed: -1", "seed: .*greater than or equal to 0"),
        ("steps: 5", "steps: 5, data_version: 9.9.9", "data of version 1.0.0, not 9.9.9"),
    ],
)
def test_a_pretraining_that_cannot_be_is_told_with_its_line(tiny_file, old, new, words):
    assert old in PRETRAINED
    path = tiny_file(("open: MODEL", f"pretrain: {{{PRETRAINED.replace(old, new)}}}"))
    with pytest.raises(UsageError, match=words) as refused:
        load_study(path, "smoke")
    assert "tiny.yaml, line 8: " in str(refused.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [("import nowhere_to_be_found\n", "No module named"), ("raise SystemExit('no')\n", "SystemExit: no")],
)
def test_a_plug_in_that_fails_is_told_with_the_line_that_names_it(tiny_file, tmp_path, code, words):
    (tmp_path / "failing.py").write_text(code)
    path = tiny_file(("source: a test", "source: a test\nplugins: [failing.py]"))
    with pytest.raises(UserCodeError, match=words) as refused:
        load_study(path, "smoke")
    assert "tiny.yaml, line 5: " in str(refused.value)


@pytest.mark.parametrize("change", [lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
def test_files_of_other_systems_say_the_same(tiny_file, change):
    path = tiny_file()
    wanted = load_study(path, "smoke").file
    path.write_bytes(change(path.read_text()).encode())
    assert load_study(path, "smoke").file == wanted
    path.write_bytes(path.read_bytes().replace(b"seeds: 2", b"seedz: 2"))
    with pytest.raises(UsageError, match="line 6: unknown key 'seedz'"):
        load_study(path, "smoke")


def test_a_scale_changes_what_it_names_alone(tiny_file):
    path = tiny_file()
    smoke, cpu = load_study(path, "smoke"), load_study(path, "cpu")
    assert (smoke.file.seeds, cpu.file.seeds) == (2, 1)
    assert smoke.file.evaluations == cpu.file.evaluations
    assert cpu.as_run()["scale"] == "cpu"
    assert "scales" not in cpu.as_run()
    with pytest.raises(UsageError, match="did you mean 'cpu'"):
        load_study(path, "cpuu")


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("{task: poisson/pretrain}", "line 6: it should say which sparsities or parameters are shown"),
        ("{task: poisson/pretrain, sparsities: [1.5]}", "line 6: .*less than or equal to 1"),
        ("{task: poisson/pretrain, sparsities: [true]}", "line 6: .*valid number"),
        ("{task: poisson/pretrain, parameters: [.nan]}", "line 6: .*finite"),
        ("{task: poisson/nowhere, parameters: [2]}", "line 6: "),
    ],
)
def test_fields_that_cannot_be_shown_are_refused_with_their_line(tmp_path, shown, words):
    path = tmp_path / "mine.yaml"
    head = "study: mine\ntitle: Mine\nquestion: What?\nsource: a test\n"
    path.write_text(f"{head}fields:\n  - {shown}\npicture: {{kind: fields, title: Mine}}\n")
    with pytest.raises(UsageError, match=words):
        load_study(path, "smoke")


def test_only_what_a_file_says_for_smoke_is_tiny(tiny_file):
    assert not load_study(tiny_file(), "smoke").is_tiny
    assert not load_study(tiny_file(), "cpu").is_tiny
    assert load_study(tiny_file(("scales:", "scales:\n  smoke: {seeds: 1}")), "smoke").is_tiny
