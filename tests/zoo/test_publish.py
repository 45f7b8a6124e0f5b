"""Publishing models: one commit, one tag that never moves, and whatever happens on the way the same call ends it."""

import dataclasses
import json
import re
import shutil

import pytest
import torch
import yaml
from described import ALICE, make_pretrained, make_record, results_of
from hub_server import fetch, run_client
from huggingface_hub import HfApi, ModelCard, eval_result_entries_to_yaml, parse_eval_result_entries
from safetensors.torch import load_file, save_file

from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import sha256_of
from pdebench_fm.hub.repository import ATTEMPTS
from pdebench_fm.training.record import read_training_record, write_training_record
from pdebench_fm.zoo import card as cards
from pdebench_fm.zoo import publish as publishing
from pdebench_fm.zoo.card import describe, write_model_card
from pdebench_fm.zoo.hub_scores import score_files
from pdebench_fm.zoo.publish import publish_model

READER = "hf_reader"
NAME = "pde-lab/fno-mixed-tiny"
DATASETS = ("poisson", "poisson-ood", "advection-diffusion", "advection-diffusion-ood", "helmholtz", "helmholtz-ood")
SCORES = {f".eval_results/pdebench-fm--{name}--{shots}-shots.yaml" for name in DATASETS for shots in (0, 32)}
FILES = {"README.md", "config.json", "model.safetensors", "training.json", *SCORES}


@pytest.fixture
def folder(model_with_card):
    return model_with_card


@pytest.fixture
def send(hub):
    """Publish as Alice; `send.waits` lists the seconds that were waited."""

    def send(folder, version="1.0.0", namespace="pde-lab", token=ALICE, **options):
        options |= {"token": token, "endpoint": hub.url, "sleep": send.waits.append}
        return publish_model(folder, namespace, version, **options)

    send.waits = []
    return send


def state(api):
    """Commit, files with their identities, and tags of the repository."""
    info = api.model_info(NAME, files_metadata=True)
    files = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings}
    return info.sha, files, {tag.name: tag.target_commit for tag in api.list_repo_refs(NAME).tags}


def writes(hub):
    """Requests that may change something."""
    asking = ("/paths-info/", "/validate-yaml", "/preupload/")
    return [r for r in hub.requests if r.method not in ("GET", "HEAD") and not any(part in r.path for part in asking)]


def retrain(folder, seed=9):
    """Put other weights and their card into the folder."""
    make_pretrained(folder, seed=seed)
    write_model_card(folder, results_of(folder))


def test_all_files_go_in_one_commit_under_a_tag(send, folder, hub, api):
    done = send(folder)
    commit, files, tags = state(api)
    assert set(files) == {".gitattributes", *FILES}
    assert tags == {"v1.0.0": commit} == {done.tag: done.revision}
    assert len(api.list_repo_commits(NAME)) == 2  # the Hub's first, and ours
    assert len(hub.uploads) == 1
    for name in FILES - {"README.md", *SCORES}:
        assert fetch(f"{hub.url}/{NAME}/resolve/v1.0.0/{name}").body == (folder / name).read_bytes()
    assert (done.repository, done.url, set(done.sent)) == (NAME, f"{hub.url}/{NAME}", FILES)


def test_the_published_card_loads_what_is_published(send, folder, hub):
    send(folder, "1.2.0")
    text = fetch(f"{hub.url}/{NAME}/resolve/v1.2.0/README.md").body.decode()
    assert f'pf.load_model("{NAME}", revision="v1.2.0")' in text
    assert f"pdefm eval --model {NAME}@v1.2.0 --task" in text


def test_stock_clients_load_the_model_by_its_tag_and_see_its_scores(send, folder, hub, tmp_path):
    send(folder)
    script = """
import json, sys
from huggingface_hub import ModelCard
from pdebench_fm import load_model
model = load_model(sys.argv[1], revision="v1.0.0", device="auto")
entries = ModelCard.load(sys.argv[1]).data.eval_results
print(json.dumps({
    "source": [model.source.model_id, model.source.revision, model.source.weights_sha256],
    "scores": {f"{e.dataset_name} {e.metric_args['shots']}": e.metric_value for e in entries},
}))
"""
    found = run_client(script, hub, tmp_path / "home", NAME)
    tagged = HfApi(endpoint=hub.url).model_info(NAME, revision="v1.0.0").sha
    assert found["source"] == [NAME, tagged, sha256_of(folder / "model.safetensors")]
    expected = {
        f"{result.task} {run.shots}": run.summary.mean
        for result in (made.result for made in results_of(folder))
        for run in result.runs
    }
    assert found["scores"] == expected


def test_a_published_model_brings_its_manifest_and_is_labelled_by_it(send, folder, hub, tmp_path):
    send(folder)
    script = """
import json, sys
import pdebench_fm as pf
candidate = pf.open_candidate(sys.argv[1])
print(json.dumps([candidate.training.digest, candidate.training.model_dump()]))
"""
    digest, manifest = run_client(script, hub, tmp_path / "home", f"{NAME}@v1.0.0")
    assert digest == read_training_record(folder).manifest.digest
    assert {stream["system"] for stream in manifest["trained"]} == {"poisson", "advection-diffusion", "helmholtz"}
    card = fetch(f"{hub.url}/{NAME}/resolve/v1.0.0/README.md").body.decode()
    assert "rows 0–1,999 of poisson/pretrain, train, data 1.0.0, at 64×64" in card
    assert "* regime seen: poisson/in-domain, advection-diffusion/in-domain, helmholtz/in-domain\n" in card


def test_publishing_again_sends_nothing_and_says_so(send, folder, hub, api):
    first, before = send(folder), state(api)
    hub.forget_requests()
    assert send(folder) == dataclasses.replace(first, sent=(), already_published=True)
    assert writes(hub) == []
    assert state(api) == before


def test_a_tag_with_other_content_never_moves_and_the_difference_is_named(send, folder, hub, api):
    send(folder)
    before = state(api)
    retrain(folder)
    hub.forget_requests()
    with pytest.raises(PdefmError, match=r"v1\.0\.0 with another model\.safetensors, README\.md.* newer version"):
        send(folder)
    assert writes(hub) == []
    done = send(folder, "1.1.0")
    commit, _, tags = state(api)
    assert tags == {"v1.0.0": before[0], "v1.1.0": commit}
    assert set(done.sent) == {"model.safetensors", "README.md"}  # the same configuration and record are there
    with pytest.raises(PdefmError, match=r"already at version 1\.1\.0: 1\.0\.9 would be older"):
        send(folder, "1.0.9")


def test_another_card_alone_needs_a_newer_version_too(send, folder, hub, monkeypatch):
    send(folder)
    monkeypatch.setattr(cards, "PACKAGE", "pdebench-fm-renamed")
    hub.forget_requests()
    with pytest.raises(PdefmError, match=r"with another README\.md, .* publish its card as a newer version"):
        send(folder)
    assert writes(hub) == []
    assert send(folder, "1.0.1").sent == ("README.md",)


TROUBLE = [{"status": 503}, {"status": 429, "retry_after": 30}, {"drop": "before"}, {"drop": "after"}]


@pytest.mark.parametrize("trouble", TROUBLE, ids=str)
def test_trouble_at_any_call_is_overcome(send, folder, hub, api, trouble):
    for path in ("/revision/main", "/repos/create", "/refs", "/commit/", "/tag/"):
        hub.fail_next(path_contains=path, **trouble)
    done = send(folder)
    commit, files, tags = state(api)
    assert hub.faults.pending == 0
    assert set(files) == {".gitattributes", *FILES}
    assert tags == {"v1.0.0": commit} == {done.tag: done.revision}
    assert len(api.list_repo_commits(NAME)) == 2  # not committed twice
    if trouble.get("retry_after"):
        assert all(wait >= 30 for wait in send.waits)


@pytest.mark.parametrize("path", ["/repos/create", "/commit/", "/tag/"])
def test_an_interrupted_publication_goes_on_where_it_was(send, folder, hub, api, path):
    hub.fail_next(method="POST", path_contains=path, times=ATTEMPTS, status=503)
    with pytest.raises(PdefmError, match=r"503.*the same command goes on from there"):
        send(folder)
    uploads = len(hub.uploads)
    done = send(folder)
    commit, files, tags = state(api)
    assert tags == {"v1.0.0": commit}
    assert set(files) == {".gitattributes", *FILES}
    assert len(hub.uploads) <= 1
    assert (done.sent == ()) == (path == "/tag/")
    assert path == "/repos/create" or len(hub.uploads) == uploads  # large files are not sent twice


def test_a_commit_without_an_answer_is_not_sent_again_by_the_next_call(send, folder, hub, api):
    hub.fail_next(method="POST", path_contains="/commit/", drop="after")
    hub.fail_next(path_contains="/revision/main", skip=2, times=ATTEMPTS, status=500)  # nor can it be looked for
    with pytest.raises(PdefmError, match="goes on from there"):
        send(folder)
    assert send(folder).sent == ()
    assert len(api.list_repo_commits(NAME)) == 2


def test_somebody_elses_commit_in_between_is_not_written_over(send, folder, hub, api):
    send(folder)
    retrain(folder)
    hub.fail_next(method="POST", path_contains="/commit/", status=503)

    def meddle(_):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=NAME)

    with pytest.raises(PdefmError, match=r"changed|412|409"):
        publish_model(folder, "pde-lab", "1.1.0", token=ALICE, endpoint=hub.url, sleep=meddle)
    assert set(state(api)[2]) == {"v1.0.0"}


def weights_of_another_shape(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"width": 5}))


def weights_that_are_not_finite(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["network.lift.bias"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    write_model_card(folder, results_of(folder))


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def no_card(folder):
    (folder / "README.md").unlink()


def no_record(folder):
    (folder / "training.json").unlink()


def a_card_with_better_scores(folder):
    card = ModelCard.load(folder / "README.md")
    first = card.data.eval_results[0]
    first.metric_value, first.metric_args["interval"][0] = 0.001, 0.0
    card.save(folder / "README.md")


def a_card_with_a_score_outside_its_interval(folder):
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(re.sub(r"value: 0\.\d+", "value: 0.001", text, count=1))


def a_card_without_results(folder):
    shutil.rmtree(folder / "results")


def a_card_without_scores(folder):
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")


def a_record_of_another_family(folder):
    write_training_record(make_record("poisson"), folder)


def a_card_of_other_weights(folder):
    make_pretrained(folder, seed=8)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (weights_of_another_shape, "does not fit its config.json: tensor"),
        (weights_that_are_not_finite, "'network.lift.bias' that are not finite"),
        (no_weights, "it has no model.safetensors"),
        (no_card, "has no README.md: it does not say what the model scores"),
        (no_record, "has no training.json: it does not say how the model was trained"),
        (a_card_without_scores, "states no scores: `pdefm zoo card"),
        (a_record_of_another_family, r"config.json says \('mixed', 'tiny'\), training.json \('poisson', 'tiny'\)"),
        (a_card_with_better_scores, r"states 0\.001 for \S+ with \d+ shots, its results give 0\.\d+: `pdefm zoo card"),
        (a_card_with_a_score_outside_its_interval, "metadata that this package cannot read"),
        (a_card_without_results, "nothing vouches for the scores"),
        (a_card_of_other_weights, "is of other weights than those of the card"),
    ],
)
def test_what_is_not_a_whole_model_is_refused_without_a_request(send, folder, hub, damage, message):
    damage(folder)
    with pytest.raises(PdefmError, match=message) as caught:
        send(folder)
    assert "\n" not in str(caught.value)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("fno-mixed-256m", "a recipe only"),
        ("fno-mixd-64k", "did you mean 'fno-mixed-64k'"),
        ("org/model", "no folder org/model here"),
        ("./none", "no directory"),
    ],
)
def test_what_is_not_here_cannot_be_published(send, hub, reference, message):
    with pytest.raises(UsageError, match=message):
        send(reference)
    assert hub.requests == []


@pytest.mark.parametrize(("namespace", "version"), [("a b", "1.0.0"), ("pde-lab", "v1.0.0"), ("pde-lab", "1.0")])
def test_names_that_cannot_be_are_refused_without_a_request(send, folder, hub, namespace, version):
    with pytest.raises(UsageError, match=r"cannot be a namespace|not a version"):
        send(folder, version, namespace)
    assert hub.requests == []


def config_of(folder, **changes):
    return json.dumps(json.loads((folder / "config.json").read_text()) | changes).encode()


@pytest.mark.parametrize("content", ["foreign file", "foreign config", "other model"])
def test_a_repository_of_something_else_is_left_alone(send, folder, hub, api, content):
    path, text = {
        "foreign file": ("pytorch_model.bin", b"x"),
        "foreign config": ("config.json", b'{"model_type": "bert"}'),
        "other model": ("config.json", config_of(folder, family="poisson")),
    }[content]
    api.create_repo(NAME)
    api.upload_file(path_or_fileobj=text, path_in_repo=path, repo_id=NAME)
    hub.forget_requests()
    with pytest.raises(PdefmError, match=rf"holds something else than fno-mixed-tiny \(.*{re.escape(path)}.*nothing"):
        send(folder)
    assert writes(hub) == []


def test_an_empty_repository_with_a_readme_is_filled(send, folder, api):
    api.create_repo(NAME)
    api.upload_file(path_or_fileobj=b"# soon\n", path_in_repo="README.md", repo_id=NAME)
    assert set(send(folder).sent) == FILES


def test_private_means_private(send, folder, api):
    send(folder, private=True)
    assert api.model_info(NAME).private
    api.update_repo_settings(NAME, private=False)
    assert send(folder, private=True).already_published
    with pytest.raises(PdefmError, match="exists and is public"):
        send(folder, "1.0.1", private=True)


def test_a_token_that_may_not_write_is_named_as_the_reason(send, folder, hub):
    hub.add_user("alice", token=READER, role="read", organizations=("pde-lab",))
    for token, namespace in ((READER, "pde-lab"), (ALICE, "elsewhere")):
        with pytest.raises(PdefmError, match=rf"HF_TOKEN, with write access to {namespace}"):
            send(folder, token=token, namespace=namespace)
    assert hub.uploads == []


def test_the_hubs_client_reads_the_scores_as_digits_with_error_shots_and_track(send, folder, api):
    send(folder)
    found = api.model_info(NAME, expand=["evalResults"]).eval_results
    due = {
        (result.task, run.shots): run.summary.mean
        for made in results_of(folder)
        for result, run in runs_of(made.result)
    }
    read = {}
    for entry in found:
        note = re.fullmatch(
            r"value in digits, −log10 of the relative ℓ² error (?P<error>[0-9.e-]+) "
            r"\(95 % interval (?P<low>[0-9.e-]+)–(?P<high>[0-9.e-]+)\); "
            r"(?P<shots>[0-9]+) shots(?P<seeds>, 3 seeds)?, lite track, protocol v1, data 1\.0\.0",
            entry.notes,
        )
        assert note, entry.notes
        namespace, dataset = entry.dataset_id.split("/")
        assert namespace == "pdebench-fm"
        shots = int(note["shots"])
        assert bool(note["seeds"]) == (shots > 0)
        assert float(note["low"]) <= float(note["error"]) <= float(note["high"])
        read[f"{dataset}/{entry.task_id}", shots] = entry.value
        assert 10.0**-entry.value == pytest.approx(float(note["error"]), rel=0.05)
    assert len(found) == len(due) == 27
    assert {key: 10.0**-value for key, value in read.items()} == pytest.approx(due, rel=1e-12)
    assert all(file.startswith(".eval_results/") for file in SCORES)


def runs_of(result):
    """A result with each of its runs."""
    return [(result, run) for run in result.runs]


def test_written_scores_are_what_the_hubs_own_functions_write_and_parse(folder):
    scores = describe(folder).scores
    files = score_files(scores)
    assert set(files) == SCORES
    for content in files.values():
        data = yaml.safe_load(content)
        assert eval_result_entries_to_yaml(parse_eval_result_entries(data)) == data
    perfect = scores[0].model_copy(update={"error": 0.0})  # which has no digits
    assert score_files([perfect]) == {}
    worse = scores[0].model_copy(update={"error": 10.0})
    (content,) = score_files([worse]).values()
    assert parse_eval_result_entries(yaml.safe_load(content))[0].value == -1.0


def test_scores_that_a_new_version_has_no_more_go_and_other_peoples_stay(send, folder, api, monkeypatch):
    send(folder)
    foreign = {".eval_results/somebody.yaml", ".eval_results/pdebench-fm-fan--poisson.yaml"}
    for path in foreign:
        content = b"- dataset: {id: a/b, task_id: c}\n  value: 1.5\n"
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=NAME)
    real = publishing.score_files
    monkeypatch.setattr(publishing, "score_files", lambda scores: real([s for s in scores if s.shots == 0]))
    assert send(folder, "1.0.1").sent == ("README.md",)
    _, files, _ = state(api)
    assert set(files) == {".gitattributes", *FILES, *foreign} - {name for name in SCORES if "32" in name}


def test_a_tag_with_other_scores_is_another_content(send, folder, monkeypatch):
    send(folder)
    monkeypatch.setattr(publishing, "score_files", lambda _: {})
    with pytest.raises(PdefmError, match=r"v1\.0\.0 with another 12 files of scores, .* publish its card as a newer"):
        send(folder)
