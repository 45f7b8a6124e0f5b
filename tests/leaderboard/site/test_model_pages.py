"""A model's page: all of its scores, what is known of them, and nothing of a submission as anything but text."""

from datetime import timedelta

import pytest
from factories import DATE, DIGEST, make_environment, make_model, make_result, make_run

from pdebench_fm.data.training_manifest import TrainingManifest, stream_of
from pdebench_fm.leaderboard.records import PrivateScore, Rerun, VerificationRecord, identity_digest
from pdebench_fm.leaderboard.site import model_pages as pages_module
from pdebench_fm.leaderboard.site.markdown import as_html
from pdebench_fm.leaderboard.site.material import Material
from pdebench_fm.leaderboard.site.model_pages import model_pages
from pdebench_fm.models.loading import zoo_folder
from pdebench_fm.models.sources import source_in
from pdebench_fm.physics import SampleKey

from .pages import HOSTILE, Document, entry_of


def documents(*entries):
    return {str(page.path): Document(page.content) for page in model_pages(Material(entries))}


def only_page(*entries):
    (document,) = documents(*entries).values()
    return document


def record_of(result, *, reruns=(), private=()):
    return VerificationRecord(row="row", identity_sha256=identity_digest(result), reruns=reruns, private=private)


def rerun(cell, difference=1e-6, **changes):
    values = {"start": cell.start, "shots": cell.shots, "seed": cell.seed, "samples_sha256": cell.samples_sha256}
    values |= {"mean": 0.2, "difference": difference, "package_version": "0.1.0", "date": DATE}
    return Rerun(**(values | changes))


def test_there_is_a_page_for_each_model_and_no_more():
    names = ("acme/one", "acme/two", "lab/one")
    entries = [
        entry_of(make_result(task, name), name.partition("/")[0])
        for name in names
        for task in ("poisson/in-domain", "poisson-ood/hard")
    ]
    assert list(documents(*entries)) == ["models/acme/one.html", "models/acme/two.html", "models/lab/one.html"]


def test_every_score_is_there_with_interval_digits_and_badge():
    result = make_result(
        model="acme/solver",
        runs=[
            make_run((0.2,), shots=0),
            make_run((0.1, 0.11, 0.12), shots=8),
            make_run((0.8, 0.9, 1.0), start="scratch", shots=8),
            make_run((1.25, 1.25), start="scratch", shots=32),
        ],
    )
    document = only_page(entry_of(result), entry_of(make_result(model="acme/solver", track="full")))
    for run in result.runs:
        summary = run.summary
        cell = next(words for words in document.cells if words.strip().startswith(f"{summary.mean:#.3g}"))
        assert f"{summary.digits:.2f} digits".replace("-", "−") in cell
        low, high = (float(end) for end in cell.split()[1].split("–"))
        assert (low, high) == pytest.approx((summary.interval_low, summary.interval_high), rel=5e-3)
        assert "self-reported" in cell
    for title in ("Lite track, pretrained", "Lite track, from scratch", "Full track, pretrained"):
        assert title in document.words


def test_the_results_of_a_task_share_a_row_where_they_can():
    first = make_result("poisson/in-domain", "acme/solver", runs=[make_run((0.2,), shots=0)])
    second = make_result("poisson/in-domain", "acme/solver", runs=[make_run((0.1, 0.12), shots=8)])
    again = make_result("poisson/in-domain", "acme/solver", runs=[make_run((0.3, 0.34), shots=8)])
    scratch = [make_run((0.8, 0.9), start="scratch", shots=8)]
    other = make_result("poisson-ood/mild", "acme/solver", runs=scratch)
    words = only_page(*map(entry_of, (first, second, again, other))).words
    pretrained, _, from_scratch = words.partition("Lite track, from scratch")
    assert pretrained.count("poisson/in-domain") == 2
    first_row, second_row = pretrained.split("poisson/in-domain")[1:]
    assert "0.200" in first_row
    assert "not scored" not in first_row
    assert "not scored" in second_row
    assert ("0.110" in first_row, "0.110" in second_row) in ((True, False), (False, True))
    assert "poisson-ood/mild" not in pretrained
    assert "poisson/in-domain" not in from_scratch.partition("Training")[0]


def test_an_error_that_is_as_bad_as_zero_is_marked():
    page = next(model_pages(Material([entry_of(make_result(runs=[make_run((1.0,), shots=0)]))])))
    assert '<td class="number useless">1.00' in page.content
    page = next(model_pages(Material([entry_of(make_result(runs=[make_run((0.999,), shots=0)]))])))
    assert '<td class="number useless">' not in page.content


def test_revisions_are_apart_and_the_newest_is_first():
    old = make_result(model=make_model("acme/solver", revision="v1"), date=DATE)
    new = make_result(model=make_model("acme/solver", revision="v2"), date=DATE + timedelta(days=3))
    words = only_page(entry_of(old), entry_of(new)).words
    assert words.index("Revision v2") < words.index("Revision v1")


def test_a_run_with_failed_seeds_has_no_score_and_its_reason_is_told():
    failure = {"start": "pretrained", "shots": 8, "seed": 3, "reason": "diverged & burnt"}
    document = only_page(entry_of(make_result(failures=(failure,))))
    assert "1 of 4 seeds failed" in document.words
    assert "seed 3: diverged & burnt" in document.words
    assert not any(cell.strip().startswith("0.110") for cell in document.cells)


def test_what_verifiers_saw_is_told_run_by_run():
    result = make_result(model="acme/solver")
    zero_shot, *adapted = result.cells
    private = PrivateScore(
        start="pretrained",
        shots=0,
        samples_sha256=(zero_shot.samples_sha256,),
        rows=512,
        recipe_digest=DIGEST,
        public_mean=0.2,
        private_mean=0.31,
        gap=0.44,
        standard_error=0.05,
        package_version="0.3.0",
        date=DATE + timedelta(days=1),
    )
    reruns = (rerun(zero_shot), *(rerun(cell, 0.2 if cell.seed == 1 else 0.01) for cell in adapted))
    document = only_page(entry_of(result, record=record_of(result, reruns=reruns, private=(private,))))
    assert "1 of 1 seed reproduced; largest difference 1.0e-6, allowed 0.0001" in document.words
    assert "contamination: 0.310 on 512 fresh rows, public 0.200; gap +8.8 standard errors" in document.words
    assert "pdebench_fm 0.3.0, 2026-02-01" in document.words
    assert "2 of 3 seeds reproduced; largest difference 0.20, allowed 0.05" in document.words
    assert "1 run is self-reported" in document.words  # the one with a seed that was not reproduced


def test_a_record_of_other_scores_shows_nothing():
    result = make_result(model="acme/solver")
    stale = rerun(result.cells[0], samples_sha256="9" * 64)
    document = only_page(entry_of(result, record=record_of(result, reruns=(stale,))))
    assert "2 runs are self-reported" in document.words
    assert "reproduced; largest" not in document.words


def test_the_manifest_and_what_it_means_for_each_task_are_told():
    key = SampleKey("poisson", "mild", "test")
    training = TrainingManifest(trained=(stream_of(key, range(30), 64),))
    model = make_model("acme/solver", training=training)
    document = only_page(*(entry_of(make_result(f"poisson-ood/{name}", model)) for name in ("mild", "hard")))
    assert "rows 0–29 of poisson/mild, test, data 1.0.0, at 64×64" in document.words
    assert "30 of its 512 test rows were trained on or looked at" in document.words
    assert "regime seen in training" in document.words
    assert "regime not seen in training" in document.words
    assert document.words.count("lite track") == 2


def test_what_was_known_of_a_task_is_told_once_for_the_tracks_on_which_it_is_so():
    key = SampleKey("poisson", "mild", "test")
    model = make_model("acme/solver", training=TrainingManifest(trained=(stream_of(key, range(600), 64),)))
    tasks = ("poisson-ood/mild", "poisson-ood/hard")
    results = [make_result(task, model, track=track) for track in ("full", "lite") for task in tasks]
    words = (
        only_page(*map(entry_of, results)).words.partition("What it knew of each task")[2].partition("Verification")[0]
    )
    places = [words.index(text) for text in ("mildlite track", "mildfull track", "hardlite and full tracks")]
    assert places == sorted(places)
    assert words.count("poisson-ood/") == 3


def test_without_a_manifest_nothing_is_claimed():
    words = only_page(entry_of(make_result(model="acme/solver"))).words
    assert "states no training manifest" in words
    assert "training not stated" in words


@pytest.mark.parametrize("attack", HOSTILE)
def test_what_a_submitter_wrote_is_shown_as_text(attack):
    plain = Document(next(model_pages(Material([entry_of(make_result(model="acme/solver"))]))).content)
    result = make_result(
        model=make_model(f"acme/{attack.replace('/', '')}", revision=attack, family=attack, size=attack),
        method=attack,
        environment=make_environment(device=attack),
        failures=({"start": "scratch", "shots": 32, "seed": 0, "reason": attack},),
    )
    document = only_page(entry_of(result, organisation=attack))
    assert document.words.count(attack) >= 5  # organisation, revision, family, size, method, reason
    assert set(document.tags) - set(plain.tags) <= {"ul", "li"}  # the list of failures
    assert document.handlers == []
    assert all(not link.startswith(("javascript:", "data:", "http")) for link in document.links)
    assert "script-src 'self' file:" in document.policy


def test_text_that_turns_its_direction_stays_in_its_place():
    page = next(model_pages(Material([entry_of(make_result(model=make_model("acme/solver", revision="שלום")))])))
    assert "<bdi>Revision שלום</bdi>" in page.content
    assert "<dd><bdi>שלום</bdi></dd>" in page.content


def test_an_address_of_code_is_a_link_that_says_where_it_leads():
    code = "https://code.example/acme/solver"
    where = "acme/solver@" + "0123456789" * 4
    result = make_result(model=make_model("acme/solver", code_url=code, weights_at=where))
    page = next(model_pages(Material([entry_of(result)])))
    assert f'<a href="{code}" rel="nofollow noopener noreferrer">{code}</a>' in page.content
    assert where in Document(page.content).words


@pytest.fixture
def shipped(monkeypatch):
    """A row of a model that the package ships, known by its weights."""
    name = "fno-poisson-64k"
    digest = source_in(zoo_folder(name), name).weights_sha256
    monkeypatch.setattr(pages_module, "is_official", lambda model: model.weights_sha256 == digest)
    return entry_of(make_result(model=make_model(name, weights_sha256=digest)), "pdebench-fm")


def test_a_model_of_the_package_has_its_card(shipped):
    document = only_page(shipped)
    assert "one of this project's own" in document.words
    assert 'model = pf.load_model("fno-poisson-64k")' in document.words
    assert "model-index" not in document.words  # the card's metadata
    assert document.words.count("Limits") == 1


def test_a_name_of_the_package_with_other_weights_has_no_card(shipped):
    impostor = entry_of(make_result(model=shipped.result.model.model_copy(update={"weights_sha256": DIGEST})))
    document = only_page(impostor)
    assert "No card: a submission brings none" in document.words
    assert "one of this project's own" not in document.words


def test_a_card_has_no_html_and_no_links_but_to_https():
    html = as_html(
        "# Title\n## Part\n<script>x</script>\n\n[a](javascript:alert(1)) [b](https://ok.example/) ![c](https://ok.example/d)"
        "\n\n| a | b |\n|---|---|\n| <b>1</b> | [e](http://plain.example) |\n"
    )
    document = Document(html)
    assert "Title" not in document.words
    assert document.links == ["https://ok.example/", "https://ok.example/d"]
    assert {"script", "img", "b"}.isdisjoint(document.tags)
    assert "h3" in document.tags
    assert '<div class="frame" tabindex="0" role="region" aria-label="Table 1 of the card">' in html


def test_ids_on_a_page_are_unique():
    entries = [
        entry_of(make_result(task, make_model("acme/solver", revision=revision)))
        for revision in ("v1", "v2")
        for task in ("poisson/in-domain", "poisson-ood/hard")
    ]
    ids = only_page(*entries).ids
    assert len(ids) == len(set(ids))
