"""What line pictures show is what the result files say, whether Matplotlib or Plotly draws it."""

import json
import re
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from factories import make_dataset, make_model, make_result, make_run

from pdebench_fm.data.catalogue import find_task
from pdebench_fm.models.sizes import rounded_count
from pdebench_fm.plots.chart import Axis, Chart, Panel, Point, Series, Style, logarithmic_ticks, rows_by_system
from pdebench_fm.plots.draw import draw
from pdebench_fm.plots.interactive import chart_page
from pdebench_fm.plots.palette import COLOURS, MARKERS
from pdebench_fm.plots.regimes import regimes_chart
from pdebench_fm.plots.scores import read_scores
from pdebench_fm.plots.selection import Selection
from pdebench_fm.plots.shots import shots_chart
from pdebench_fm.plots.sizes import sizes_chart
from pdebench_fm.plots.static import draw_chart
from pdebench_fm.results.result import write_result

SIZES = {"64k": 67_329, "1m": 1_060_000}
TASKS = ("poisson/in-domain", "poisson-ood/hard", "helmholtz-ood/medium")


def runs_of(level):
    """Zero-shot, and both starts at 8 and 128 shots, with seeds that differ."""
    spread = (0.9, 1.0, 1.15)
    return [
        make_run((2.0 * level,), "pretrained", 0),
        *(
            make_run([factor * level * share for share in spread], start, shots)
            for start, shots, factor in (
                ("pretrained", 8, 1.0),
                ("pretrained", 128, 0.5),
                ("scratch", 8, 4.0),
                ("scratch", 128, 1.5),
            )
        ),
    ]


def test_tasks_of_one_a_system_are_drawn_in_rows_that_are_still_read():
    task = find_task("poisson/in-domain")
    alone = [replace(task, dataset=replace(task.dataset, system_name=f"own-{i}")) for i in range(7)]
    assert rows_by_system(alone[:3]) == [alone[:3]]
    assert rows_by_system(alone) == [alone[:4], alone[4:]]
    named = [replace(each, dataset=replace(each.dataset, name=f"own-{i}")) for i, each in enumerate(alone)]
    models = {each.name: frozenset({f"model {i % 2}"}) for i, each in enumerate(named)}
    assert rows_by_system(named, models) == [named[::2], named[1::2]]
    assert rows_by_system(named[:4], models) == [named[:4]]
    assert rows_by_system([*alone, alone[1]]) == [[each, *(i == 1) * [each]] for i, each in enumerate(alone)]


def test_a_level_has_no_marks():
    axis = Axis("y", (0.1, 10.0), ((1.0, "1"),), logarithmic=True)
    points = tuple(Point(x, 1.0, 1.0, 1.0, 1, "level") for x in (0.5, 5.0))
    for mark in (0, None):
        series = Series("no difference", Style(6, mark, scratch=True), points)
        figure = draw_chart(Chart("t", "c", ((Panel("p", "", axis, axis, (series,)),),), bands=True, notes=()))
        lines = [line for axes in figure.axes for line in axes.lines if line.get_label() == "no difference"]
        assert [line.get_marker() for line in lines] == ["None" if mark is None else "o"]


@pytest.fixture
def folder(tmp_path):
    """Result files of two sizes of one family on three tasks."""
    for i, task in enumerate(TASKS):
        for j, (size, parameters) in enumerate(SIZES.items()):
            model = make_model(f"fno-mixed-{size}", parameters=parameters, family="mixed", size=size)
            result = make_result(task, model, runs_of(0.03 * (i + 1) / (j + 1)), dataset=make_dataset(task))
            write_result(result, tmp_path / "results" / f"{task.replace('/', '--')}-{size}.json")
    return tmp_path / "results"


def raw_runs(folder):
    """Every run by task, model, start and shots, from the JSON itself."""
    found = {}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        for run in content["runs"]:
            found[content["task"], content["model"]["model_id"], run["start"], run["shots"]] = run["summary"]
    return found


def static_panels(chart):
    """The axes of a Matplotlib figure by the task's or system's words above them."""
    return {tuple(text.get_text() for text in axes.texts): axes for axes in draw_chart(chart).axes}


def page_panels(chart):
    """The figures that a Plotly page draws, in order."""
    page = chart_page(chart)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(data[1])["figures"]


def lines_of(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines if not line.get_label().startswith("_")}


def test_lines_against_shots_are_the_means_and_bands_the_intervals(folder):
    panels, raw = static_panels(shots_chart(read_scores([folder], Selection()))), raw_runs(folder)
    assert len(panels) == 3
    for task, title in zip(TASKS, ("Poisson, in-domain", "Poisson, hard", "Helmholtz, medium"), strict=True):
        axes = next(axes for texts, axes in panels.items() if texts[0] == title and texts[1].startswith(task))
        assert axes.get_xscale() == axes.get_yscale() == "log"
        lines = lines_of(axes)
        assert len(lines) == 4
        bands = {
            band.get_label(): band.get_paths()[0].vertices.tolist()
            for band in axes.collections[:]
            if "fno" in band.get_label()
        }
        for size in SIZES:
            for start, words in (("pretrained", "pretrained"), ("scratch", "from scratch")):
                label = f"fno-mixed-{size}, {words}"
                scores = {k: raw[task, f"fno-mixed-{size}", start, k] for k in (8, 128)}
                assert lines[label] == [[k, score["mean"]] for k, score in scores.items()]
                for k, score in scores.items():
                    assert [k, score["interval_low"]] in bands[label]
                    assert [k, score["interval_high"]] in bands[label]


def test_zero_shot_stands_apart_at_the_left_with_its_level_across(folder):
    axes = next(iter(static_panels(shots_chart(read_scores([folder], Selection()))).values()))
    raw = raw_runs(folder)
    errors = {raw[TASKS[0], f"fno-mixed-{size}", "pretrained", 0]["mean"] for size in SIZES}
    apart = [mark.get_offsets().tolist()[0] for mark in axes.collections if len(mark.get_offsets()) == 1]
    apart = [place for place in apart if place[1] in errors]
    assert {error for _, error in apart} == errors
    tick, label = axes.get_xticks()[0], axes.xaxis.get_majorticklabels()[0].get_text()
    assert {x for x, _ in apart} == {tick}
    assert (label, tick < 8) == ("0", True)
    drawn = [line for line in axes.lines if line.get_label().startswith("_")]
    levels = {tuple(line.get_ydata()) for line in drawn if len(set(line.get_ydata())) == 1}
    assert levels == {(error, error) for error in errors}
    firsts = {raw[TASKS[0], f"fno-mixed-{size}", "pretrained", 8]["mean"] for size in SIZES}
    joints = [line.get_xydata().tolist() for line in drawn if len(set(line.get_ydata())) > 1]
    assert {tuple(map(tuple, joint)) for joint in joints} == {
        ((tick, error), (8.0, first)) for error, first in zip(sorted(errors), sorted(firsts), strict=True)
    }
    figure = page_panels(shots_chart(read_scores([folder], Selection())))[0]
    plotted = [list(zip(trace["x"], trace["y"], strict=True)) for trace in figure["data"] if trace["mode"] == "lines"]
    assert all([tuple(place) for place in joint] in plotted for joint in joints)


def test_starts_are_told_apart_by_dashes_and_models_by_colour_and_marker(folder):
    axes = next(iter(static_panels(shots_chart(read_scores([folder], Selection()))).values()))
    lines = {line.get_label(): line for line in axes.lines}
    small, scratch, large = (
        lines[f"fno-mixed-{name}"] for name in ("64k, pretrained", "64k, from scratch", "1m, pretrained")
    )
    assert small.get_linestyle() == "-"
    assert scratch.get_linestyle() == "--"
    assert scratch.get_markerfacecolor() == "white"
    assert small.get_color() == scratch.get_color() == COLOURS[0]
    assert large.get_color() == COLOURS[1]
    assert (small.get_marker(), large.get_marker()) == (MARKERS[0].matplotlib, MARKERS[1].matplotlib)


@pytest.mark.parametrize("make", [shots_chart, sizes_chart, regimes_chart])
def test_plotly_draws_the_same_numbers_as_matplotlib(folder, make):
    chart = make(read_scores([folder], Selection()))
    labels = [series.label for series in chart.legend]
    figures = page_panels(chart)
    assert len(figures) == len(static_panels(chart))
    for axes, figure in zip(draw_chart(chart).axes, figures, strict=True):
        drawn = {}
        for trace in figure["data"]:
            if trace["mode"] == "lines+markers":
                assert trace["name"] == labels[trace["meta"]]
                drawn[trace["name"]] = [list(place) for place in zip(trace["x"], trace["y"], strict=True)]
        assert drawn == lines_of(axes)
        np.testing.assert_allclose(10 ** np.array(figure["layout"]["yaxis"]["range"]), axes.get_ylim(), rtol=1e-12)
        assert figure["layout"]["yaxis"]["title"]["text"] == "relative ℓ² error"


def test_plotly_has_the_intervals_as_bands_or_whiskers(folder):
    raw, scores = raw_runs(folder), read_scores([folder], Selection())
    run = raw[TASKS[0], "fno-mixed-64k", "scratch", 8]
    bands = [trace for trace in page_panels(shots_chart(scores))[0]["data"] if trace.get("fill") == "toself"]
    corners = [place for band in bands for place in zip(band["x"], band["y"], strict=True)]
    assert {(8.0, run["interval_low"]), (8.0, run["interval_high"])} <= set(corners)
    whiskered = [
        trace
        for trace in page_panels(regimes_chart(scores))[0]["data"]
        if trace["name"] == "fno-mixed-64k, from scratch, 8 shots"
    ]
    whiskers = whiskered[0]["error_y"]
    assert whiskers["array"][0] == pytest.approx(run["interval_high"] - run["mean"])
    assert whiskers["arrayminus"][0] == pytest.approx(run["mean"] - run["interval_low"])


def test_size_has_a_line_for_each_family_start_and_number_of_shots(folder):
    extra = make_model("mine", parameters=300_000, family=None, size=None)
    write_result(make_result(TASKS[0], extra, runs_of(0.5)), folder / "mine.json")
    raw = raw_runs(folder)
    lines = lines_of(next(iter(static_panels(sizes_chart(read_scores([folder], Selection()))).values())))
    assert len(lines) == 10
    for label, start, shots in (
        ("mixed, zero-shot", "pretrained", 0),
        ("mixed, pretrained, 8 shots", "pretrained", 8),
        ("mixed, from scratch, 128 shots", "scratch", 128),
    ):
        expected = [[n, raw[TASKS[0], f"fno-mixed-{size}", start, shots]["mean"]] for size, n in SIZES.items()]
        assert lines[label] == expected
    assert lines["mine, zero-shot"] == [[300_000, 1.0]]


@pytest.mark.parametrize("make", [shots_chart, sizes_chart, regimes_chart])
def test_no_line_joins_two_methods(folder, make):
    before = {series.label for series in make(read_scores([folder], Selection())).legend}
    for digit in "12":
        for size, parameters in SIZES.items():
            record = make_model(f"fno-mixed-{size}", parameters=parameters, family="mixed", size=size)
            method = {"method": "mine:adapt", "method_fingerprint": digit * 64}
            write_result(make_result(TASKS[0], record, runs_of(0.01), **method), folder / f"{digit}-{size}.json")
    after = {series.label for series in make(read_scores([folder], Selection())).legend}
    assert before < after
    for digit in "12":
        own = [label for label in after - before if f", method mine:adapt ({digit * 8})" in label]
        assert len(own) == len(before)
    assert len(after) == 3 * len(before)


def test_regimes_stand_from_easy_to_hard_with_a_panel_for_each_system(folder):
    chart = regimes_chart(read_scores([folder], Selection(shots=(8,))))
    panels, raw = static_panels(chart), raw_runs(folder)
    poisson, helmholtz = panels.values()
    assert [texts[0] for texts in panels] == ["Poisson", "Helmholtz"]
    assert [tick.get_text() for tick in poisson.get_xticklabels()] == ["in-domain\ne 1–2.5", "hard\ne 10–20"]
    assert [tick.get_text() for tick in helmholtz.get_xticklabels()] == ["medium\nω 11–15"]
    assert helmholtz.get_xlabel() == "ω: wavenumber parameter, given |u| ≤ 2"
    lines = lines_of(poisson)
    assert len(lines) == 4
    places = []
    for size in SIZES:
        points = lines[f"fno-mixed-{size}, pretrained, 8 shots"]
        assert [error for _, error in points] == [
            raw[task, f"fno-mixed-{size}", "pretrained", 8]["mean"] for task in TASKS[:2]
        ]
        assert [round(x) for x, _ in points] == [0, 1]
        places.append(points[0][0])
    assert places[0] != places[1]  # beside each other


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.015, 0.09, ["0.02", "0.04", "0.06", "0.08"]),
        (0.018, 0.033, ["0.02", "0.025", "0.03"]),
        (0.0288, 0.0838, ["0.03", "0.04", "0.05", "0.06", "0.07", "0.08"]),
        (0.0951, 0.113, ["0.1", "0.105", "0.11"]),
        (16.0, 40.0, ["20", "30", "40"]),
        (0.01, 1.0, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        (0.004, 4.0, ["0.01", "0.03", "0.1", "0.3", "1", "3"]),
        (1e-7, 2.0, ["1e-07", "1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]),
    ],
)
def test_logarithmic_ticks_are_round_and_few(low, high, labels):
    ticks = logarithmic_ticks(low, high)
    assert [label for _, label in ticks] == labels
    assert [float(label) for label in labels] == pytest.approx([value for value, _ in ticks])


def test_numbers_of_parameters_are_short():
    assert [rounded_count(n) for n in (640, 67_329, 1_060_000, 268_435_456)] == ["640", "67.3 k", "1.06 M", "268 M"]


@pytest.mark.parametrize(("kind", "suffix"), [("shots", "png"), ("sizes", "html"), ("regimes", "svg")])
def test_the_same_results_give_the_same_bytes_whatever_the_users_settings(folder, tmp_path, kind, suffix):
    draw([str(folder)], kind, str(tmp_path / f"one.{suffix}"))
    with mpl.rc_context({"lines.linewidth": 9.0, "text.usetex": True, "savefig.bbox": "tight", "svg.fonttype": "none"}):
        draw([folder], kind, tmp_path / f"two.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_the_page_needs_no_network_and_shows_names_as_they_are(folder, tmp_path):
    name = "</script><b>$\\frac{x$"
    write_result(make_result(TASKS[0], make_model(name), runs_of(0.2)), folder / "named.json")
    for suffix in ("html", "svg"):
        draw([folder], "shots", tmp_path / f"a.{suffix}", Selection(tasks=(TASKS[0],)))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not re.search(
        r"<(script|link|img)[^>]+(src|href)=",
        page.replace(page[page.index("<script>") : page.index('<script type="application/json"')], ""),
    )
    assert "&lt;/script&gt;&lt;b&gt;$\\frac{x$, pretrained" in page
    assert "</script><b>" not in page


@pytest.mark.parametrize("make", [shots_chart, sizes_chart, regimes_chart])
@pytest.mark.parametrize(("level", "reaches"), [(0.6, True), (0.02, False)])
def test_a_panel_that_reaches_an_error_of_1_has_a_line_there_that_says_what_it_is(tmp_path, make, level, reaches):
    write_result(make_result(model="m", runs=runs_of(level)), tmp_path / "m.json")
    chart = make(read_scores([tmp_path], Selection()))
    (axes,), (figure,) = draw_chart(chart).axes, page_panels(chart)
    at_one = [line for line in axes.lines if list(line.get_ydata()) == [1.0, 1.0]]
    assert bool(at_one) == reaches
    assert ("predicting zero" in [text.get_text() for text in axes.texts]) == reaches
    shapes = [shape for shape in figure["layout"].get("shapes", []) if shape["y0"] == shape["y1"] == 1.0]
    words = [each["text"] for each in figure["layout"].get("annotations", [])]
    assert (bool(shapes), words) == (reaches, ["predicting zero"] if reaches else [])


@pytest.mark.parametrize("make", [shots_chart, sizes_chart, regimes_chart])
def test_no_marker_is_clipped_at_the_edge_of_a_panel(folder, make):
    chart = make(read_scores([folder], Selection()))
    for axes in draw_chart(chart).axes:
        assert not any(line.get_clip_on() for line in axes.lines if not line.get_label().startswith("_"))
    marked = [trace for figure in page_panels(chart) for trace in figure["data"] if "markers" in trace["mode"]]
    assert marked
    assert all(trace["cliponaxis"] is False for trace in marked)


def test_a_model_that_only_predicts_is_not_called_pretrained(tmp_path):
    zero = make_model("zero", parameters=None, weights_sha256=None, family=None, size=None)
    write_result(make_result(model=zero, runs=[make_run((1.0,), shots=0)]), tmp_path / "zero.json")
    write_result(make_result(model="m", runs=[make_run((0.5,), shots=0)]), tmp_path / "m.json")
    labels = [series.label for series in shots_chart(read_scores([tmp_path], Selection())).legend]
    assert labels == ["zero, as it is", "m, pretrained"]


def test_a_pdf_has_the_same_bytes_for_the_same_results(folder, tmp_path):
    for name in ("a.pdf", "b.pdf"):
        draw([folder], "shots", tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()
