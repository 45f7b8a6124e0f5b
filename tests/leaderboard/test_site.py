"""The page's text, and where it may be written."""

import json
import os
import re
from pathlib import Path

import pytest
from factories import make_environment, make_model, make_result, make_run

from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import folder_lock
from pdebench_fm.leaderboard.site import build_site
from pdebench_fm.leaderboard.site.front import front_page
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.words import number
from pdebench_fm.leaderboard.store import Entry, Skipped, row_path
from pdebench_fm.models.sizes import rounded_count
from pdebench_fm.physics import SampleKey


def page_of(*results):
    return render([Entry(row_path(result), row_path(result).parts[1], result) for result in results])


def details_of(page):
    return json.loads(re.search(r'<script type="application/json" id="details">(.*?)</script>', page, re.S)[1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.08, "0.0800"),
        (0.0012345, "0.00123"),
        (0.00012345, "0.000123"),
        (0.000083, "8.30e-5"),
        (4.2051, "4.21"),
        (0.99999, "1.00"),
        (12.97, "13.0"),
        (123.4, "123"),
        (12345.6, "12346"),
        (1.5e7, "1.50e7"),
        (0.0, "0"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert number(value) == text


def test_the_page_is_one_file_that_needs_nothing_else(root, tmp_path):
    page = build_site(root, tmp_path / "site")
    assert page == tmp_path / "site" / "index.html"
    assert list(page.parent.iterdir()) == [page]
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:,)|url\(|@import|https?://""", text)


def test_the_page_shows_scores_of_every_row(root, tmp_path):
    text = build_site(root, tmp_path / "site").read_text(encoding="utf-8")
    scores = ("0.200", "0.110", "0.0600", "0.900", "1.50", "0.0300")
    intervals = ("0.190–0.211", "0.0889–0.136")
    for shown in (*scores, *intervals, "fno-poisson-64k", rounded_count(70_000), "acme"):
        assert shown in text
    assert text.count("<tbody data-row=") == 9
    assert "Protocol v1" in text
    assert "3 models" in text


def test_the_page_compares_pretrained_with_scratch(root, tmp_path):
    text = build_site(root, tmp_path / "site").read_text(encoding="utf-8")
    gains = re.findall(r'class="gain">(.*?)</span>', text)
    assert "×3.8" in gains  # 0.11 at 8 shots; from scratch 0.9 at 8 and 0.1 at 32: log-log, about 30 shots
    assert "&gt; ×1.0" in gains


def test_every_row_leads_to_its_provenance():
    result = make_result(environment=make_environment(device="NVIDIA X"), runs=[make_run((0.1, 0.3))])
    details = details_of(page_of(result))
    facts = dict(details["entries"][0])
    assert facts["Recipe digest"] == result.dataset.recipe_digest
    assert facts["Computed with"] == "NVIDIA X, 2 threads, package 0.1.0, Python 3.11.9, numpy 2.1.0, torch 2.5.1"
    assert facts["Dataset version"] == "1.0.0"
    assert facts["File"] == row_path(result).as_posix()
    row = details["rows"]["lite-1-0"]
    assert dict(row["model"])["Weights SHA-256"] == result.model.weights_sha256
    assert dict(row["model"])["Revision"] == "v1.0.0"
    assert row["scores"][0]["mean"] == "0.20000"
    summary = result.runs[0].summary
    shown = [float(end) for end in row["scores"][0]["interval"].split(" – ")]
    assert shown == pytest.approx([summary.interval_low, summary.interval_high], rel=1e-3)
    assert summary.interval_low < 0.1  # two seeds that are so far apart say little
    assert summary.interval_high > 0.3


def test_what_a_model_was_trained_on_is_a_column_and_the_shares_are_in_its_row():
    keys = (SampleKey("poisson", "pretrain", "train"), SampleKey("poisson", "mild", "test"))
    pretrained = TrainingManifest(trained=(stream_of(keys[0], range(100), 64),))
    chosen = TrainingManifest(trained=pretrained.trained, looked_at=(stream_of(keys[1], range(30), 64),))
    results = [
        make_result("poisson-ood/mild", make_model(name, training=training), [make_run((0.1,), shots=0)])
        for name, training in (("stated", pretrained), ("chosen", chosen), ("silent", None))
    ]
    page = page_of(*results)
    assert re.findall(
        r'<td class="knowledge after" data-value="(\w+)">\s*<small class="\w+">(1 \w+)</small>', page
    ) == [
        ("overlapping", "1 overlapping"),
        ("unknown", "1 unknown"),
        ("overlapping", "1 overlapping"),
    ]
    assert re.findall(r'data-contamination="(\w+)"', page) == ["overlapping", "unknown", "overlapping"]
    range_words = "50% of the test rows in the range trained on"
    chosen_words = "100% of the test rows in a range that settings were chosen by"
    assert [dict(facts)["Pretraining"] for facts in details_of(page)["entries"]] == [
        f"{range_words}; no test row seen",
        f"{range_words}; {chosen_words}; 30 of its 512 test rows were seen in training",
        "training not stated",
    ]
    assert page.count('<abbr title="30 of its 512 test rows were seen in training">†</abbr>') == 1


def test_an_interval_from_one_seed_is_marked():
    marked = '<abbr title="one seed: the interval is for new test samples alone">*</abbr>'
    assert marked in page_of(make_result(runs=[make_run((0.1,), shots=8)]))
    assert marked not in page_of(make_result(runs=[make_run((0.1,), shots=0), make_run((0.1, 0.2))]))


def test_what_a_submitter_wrote_stays_text():
    attack = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
    page = page_of(
        make_result(
            model=make_model("acme/solver", revision=attack, family=attack),
            method=attack,
            environment=make_environment(device=attack, libraries={attack: attack}),
        )
    )
    assert "<script>alert" not in page
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert dict(details_of(page)["entries"][0])["Computed with"].startswith(attack)


def test_an_empty_leaderboard_says_so(tmp_path):
    text = build_site(tmp_path, tmp_path / "site").read_text(encoding="utf-8")
    assert "No results yet" in text
    assert "0 models" in text
    assert "<script" not in text


def test_the_same_rows_make_the_same_page(root, tmp_path):
    first = build_site(root, tmp_path / "one").read_bytes()
    assert build_site(root, tmp_path / "two").read_bytes() == first
    assert build_site(root, tmp_path / "one").read_bytes() == first


def test_an_earlier_page_is_replaced_and_its_neighbours_stay(root, tmp_path):
    page = build_site(tmp_path, tmp_path / "site")
    (tmp_path / "site" / "CNAME").write_text("example.org")
    build_site(root, tmp_path / "site")
    assert "No results yet" not in page.read_text(encoding="utf-8")
    assert (tmp_path / "site" / "CNAME").read_text() == "example.org"


@pytest.mark.parametrize("name", ["index.html", "thesis.tex"])
def test_a_folder_that_holds_something_else_is_refused(root, tmp_path, name):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / name).write_text("precious")
    with pytest.raises(UsageError, match="holds something else"):
        build_site(root, tmp_path / "site")
    assert [path.read_text() for path in (tmp_path / "site").iterdir()] == ["precious"]


def test_a_build_goes_on_where_a_killed_one_left_a_part_of_the_page(root, tmp_path):
    expected = build_site(root, tmp_path / "undisturbed").read_bytes()
    site = tmp_path / "site"
    site.mkdir()
    (site / ".pdefm-0123456789abcdef.part").write_text("<!doctype html><html>")
    (site / ".pdefm.lock").write_text("")
    assert build_site(root, site).read_bytes() == expected
    assert [file.name for file in site.iterdir()] == ["index.html"]


def test_a_page_has_one_writer(root, tmp_path):
    build_site(root, tmp_path / "site")
    with folder_lock(tmp_path / "site"), pytest.raises(PdefmError, match="another pdefm is writing to"):
        build_site(root, tmp_path / "site")


def test_a_file_instead_of_a_folder_is_refused(root, tmp_path):
    (tmp_path / "site").write_text("precious")
    with pytest.raises(UsageError, match="is a file"):
        build_site(root, tmp_path / "site")


def test_a_bad_file_is_named_and_the_page_is_otherwise_as_without_it(root, tmp_path):
    whole = build_site(root, tmp_path / "site").read_text(encoding="utf-8")
    (root / "results" / "pdebench-fm" / "bad<b>\x1b[31m\u202e.json").write_text('{"\\u001b<i>": 1}')
    notes = []
    page = build_site(root, tmp_path / "site", notes.append).read_text(encoding="utf-8")
    (note,) = notes
    assert "bad<b>" in note
    section = re.search(r'<section class="notes" id="skipped">.*?</section>', page, re.S)[0]
    assert r"results/pdebench-fm/bad&lt;b&gt;\x1b[31m\u202e.json: " in section
    assert page.replace(section + "\n", "") == whole
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", page)


def test_of_thousands_of_bad_files_a_hundred_are_named():
    skipped = [Skipped(Path(f"results/{i}.json"), "no") for i in range(5000)]
    page = render([], skipped)
    assert "results/99.json: no" in page
    assert "results/100.json" not in page
    assert "and 4900 more" in page


def test_of_the_many_failures_of_one_result_a_dozen_are_named():
    failures = [{"start": "scratch", "shots": 32, "seed": seed, "reason": "no"} for seed in range(900)]
    page = page_of(make_result(failures=failures))
    assert "seed 11: no" in page
    assert "seed 12: no" not in page
    assert "on poisson/in-domain (lite): 888 more" in page


def test_a_folder_of_rows_that_is_a_link_is_an_error(root, tmp_path):
    (root / "results" / "acme").rename(tmp_path / "acme")
    (root / "results" / "acme").symlink_to(tmp_path / "acme")
    with pytest.raises(PdefmError, match=r"results/acme is a link to a folder"):
        build_site(root, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_folder_of_rows_that_cannot_be_read_is_an_error(root, tmp_path, monkeypatch):
    scandir = os.scandir

    def forbidden(path):
        if Path(path).name == "acme":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)  # root, who runs tests, may read everything
    with pytest.raises(PdefmError, match=r"cannot read the folder .*results/acme: Permission denied"):
        build_site(root, tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(path.with_name("gone"))])
def test_what_stands_where_the_folder_of_rows_should_be_is_an_error(tmp_path, make):
    make(tmp_path / "results")
    with pytest.raises(PdefmError, match="results is no folder"):
        build_site(tmp_path, tmp_path / "site")


def test_failed_runs_are_named_with_their_reason():
    failures = [{"start": "scratch", "shots": 32, "seed": 2, "reason": "not enough memory <8 GB>"}]
    page = page_of(make_result(failures=failures))
    assert "scratch, 32 shots, seed 2: not enough memory &lt;8 GB&gt;" in page
    assert "left-out" not in page_of(make_result())
