"""Publishing the site as a Space: in one commit, again is a success, and nobody else's files are touched."""

import shutil

import pytest
from described import ALICE
from factories import make_result, put_on
from hub_server import fetch
from huggingface_hub import HfApi

from pdebench_fm.cli import main
from pdebench_fm.errors import PdefmError, UsageError
from pdebench_fm.files import folder_lock
from pdebench_fm.hub.repository import ATTEMPTS, Repository
from pdebench_fm.leaderboard.site import build_site
from pdebench_fm.leaderboard.site.build import site_files
from pdebench_fm.leaderboard.space import publish_site

SPACE = "pde-lab/leaderboard"
CHANGING = {"POST", "PUT", "DELETE"}


@pytest.fixture
def site(small_site, tmp_path):
    """A small site of one's own."""
    return shutil.copytree(small_site / "site", tmp_path / "site")


@pytest.fixture
def send(hub, site):
    """Publish as Alice; `send.waits` lists the seconds that were waited."""

    def send(to=SPACE, token=ALICE, **options):
        return publish_site(site, to, token=token, endpoint=hub.url, sleep=send.waits.append, **options)

    send.waits = []
    return send


def files_of(api, space=SPACE):
    return {file.rfilename for file in api.space_info(space).siblings}


def commits_of(api):
    return [commit.title for commit in api.list_repo_commits(SPACE, repo_type="space")]


def changes(hub):
    """Requests that may change something."""
    return [
        request
        for request in hub.requests
        if request.method in CHANGING
        and not any(part in request.path for part in ("/preupload/", "/validate-yaml", "/paths-info/"))
    ]


def test_the_space_is_static_and_holds_the_site_and_nothing_else(send, site, hub, api):
    done = send()
    assert api.space_info(SPACE).sdk == "static"
    built = {str(path) for path in site_files(site)}
    assert files_of(api) == built | {"README.md", ".gitattributes"}
    assert {"index.html", ".nojekyll", "submit.html", "tasks/poisson--in-domain.html"} < built
    for path in sorted(built):
        assert fetch(f"{hub.url}/spaces/{SPACE}/resolve/main/{path}").body == (site / path).read_bytes()
    card = fetch(f"{hub.url}/spaces/{SPACE}/resolve/main/README.md").body.decode()
    assert "\nsdk: static\n" in card
    assert "\napp_file: index.html\n" in card
    assert commits_of(api) == ["Publish the leaderboard", "initial commit"]
    assert done.url == f"{hub.url}/spaces/{SPACE}"
    assert set(done.sent) == built | {"README.md"}
    assert done.removed == ("style.css",)  # of the Hub's template


def test_publishing_again_sends_nothing_and_says_so(send, hub, api):
    first = send()
    hub.forget_requests()
    again = send()
    assert again.unchanged
    assert (again.commit, first.unchanged) == (first.commit, False)
    assert changes(hub) == []
    assert len(commits_of(api)) == 2


def test_what_has_changed_is_sent_and_what_is_gone_is_removed(send, site, write, hub, api, tmp_path):
    send()
    put_on([write(make_result(model="lab/new"))], tmp_path / "board")
    build_site(tmp_path / "board", site)
    hub.forget_requests()
    done = send()
    assert "models/acme/solver.html" in done.removed
    assert all(path == "models/acme/solver.html" or path.startswith("data/") for path in done.removed)
    assert "models/lab/new.html" in done.sent
    assert "submit.html" not in done.sent  # which is as it was
    assert files_of(api) == {str(path) for path in site_files(site)} | {"README.md", ".gitattributes"}
    assert len(changes(hub)) == 1


def test_a_dry_run_says_what_it_would_do_and_does_nothing(send, hub, api):
    planned = send(dry_run=True)
    assert changes(hub) == []
    assert planned.commit is None
    assert not api.repo_exists(SPACE, repo_type="space")
    done = send()
    assert set(planned.sent) == set(done.sent)


def test_what_else_lies_in_the_folder_is_not_sent(send, site, api):
    (site / "secrets.txt").write_text("token")
    (site / "models" / ".hidden").write_text("token")
    done = send()
    assert not {"secrets.txt", "models/.hidden"} & {*done.sent, *files_of(api)}


@pytest.mark.parametrize("extra", ["app.py", "index.html"])
def test_a_space_of_something_else_is_left_alone(send, hub, api, extra):
    api.create_repo(SPACE, repo_type="space", space_sdk="static")
    api.upload_file(path_or_fileobj=b"mine", path_in_repo=extra, repo_id=SPACE, repo_type="space")
    hub.forget_requests()
    with pytest.raises(PdefmError, match=rf"holds something else than a leaderboard's site \(.*{extra}.*nothing was"):
        send()
    assert changes(hub) == []


def test_a_publication_that_was_cut_off_after_the_space_was_made_goes_on(send, hub, api):
    hub.fail_next(method="POST", path_contains="/commit/", status=403)
    with pytest.raises(PdefmError, match="the same command goes on from there"):
        send()
    assert files_of(api) == {".gitattributes", "README.md", "index.html", "style.css"}
    send()
    assert commits_of(api) == ["Publish the leaderboard", "initial commit"]


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_lost_answer_leads_to_one_commit(send, hub, api, drop):
    hub.fail_next(method="POST", path_contains="/commit/", drop=drop)
    assert not send().unchanged
    assert commits_of(api) == ["Publish the leaderboard", "initial commit"]


def in_between(monkeypatch, happens):
    """Let something happen right before the next commit."""
    commit, happened = Repository.commit, []

    def late(*arguments):
        if not happened:
            happened.append(arguments)
            happens()
        return commit(*arguments)

    monkeypatch.setattr(Repository, "commit", late)


@pytest.mark.parametrize("exists", [True, False], ids=["a Space that is there", "a new one"])
def test_of_two_publications_at_once_one_is_published_whole_and_the_other_says_so(
    exists, send, site, write, hub, api, tmp_path, monkeypatch
):
    if exists:
        send()
    put_on([write(make_result(model="lab/new"))], tmp_path / "board")
    build_site(tmp_path / "board", site)
    put_on([write(make_result(model="lab/newer"), folder="more")], tmp_path / "board")
    newer = build_site(tmp_path / "board", tmp_path / "newer").parent
    in_between(monkeypatch, lambda: publish_site(newer, SPACE, token=ALICE, endpoint=hub.url))
    with pytest.raises(PdefmError, match="changed by somebody else in the meantime; the same command goes on from"):
        send()
    assert files_of(api) == {str(path) for path in site_files(newer)} | {"README.md", ".gitattributes"}
    assert commits_of(api).count("Publish the leaderboard") == 1 + exists
    send()
    assert files_of(api) == {str(path) for path in site_files(site)} | {"README.md", ".gitattributes"}


def test_two_publications_of_one_site_at_once_are_one_commit(send, site, hub, api, tmp_path, monkeypatch):
    copy = shutil.copytree(site, tmp_path / "copy")
    in_between(monkeypatch, lambda: publish_site(copy, SPACE, token=ALICE, endpoint=hub.url))
    send()
    assert commits_of(api) == ["Publish the leaderboard", "initial commit"]


def test_a_site_that_is_being_built_is_not_published(send, site, hub):
    with folder_lock(site), pytest.raises(PdefmError, match="another pdefm is writing to"):
        send()
    assert changes(hub) == []


def test_a_busy_hub_is_asked_again_and_not_forever(send, hub, api):
    hub.fail_next(path_contains="/commit/", status=503, times=2)
    send()
    assert len(send.waits) >= 2
    assert len(commits_of(api)) == 2
    send.waits.clear()
    hub.fail_next(path_contains="/api/spaces/", status=500, times=1000)
    with pytest.raises(PdefmError, match="the same command goes on from there"):
        send()
    assert len(send.waits) == ATTEMPTS - 1


def test_a_new_space_may_be_private(send, api):
    send(private=True)
    assert api.space_info(SPACE).private


@pytest.mark.parametrize("name", ["leaderboard", "a/b/c", "pde-lab/", "/x", "pde-lab/..", "../x", "pde lab/x", "a/-b"])
def test_a_name_that_cannot_be_is_refused(send, hub, name):
    with pytest.raises(UsageError):
        send(name)
    assert hub.requests == []


def test_a_folder_that_is_no_site_is_refused(tmp_path, hub):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="is no leaderboard's site: `pdefm leaderboard build"):
        publish_site(tmp_path / "other", SPACE, token=ALICE, endpoint=hub.url)
    assert hub.requests == []


def test_a_site_that_lacks_a_file_or_leads_elsewhere_is_refused(send, site, hub):
    (site / "submit.html").unlink()
    with pytest.raises(UsageError, match=r"submit\.html is not what was built there"):
        send()
    (site / "submit.html").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match=r"submit\.html is not what was built there"):
        send()
    assert hub.requests == []


def test_the_command_says_what_it_did(site, hub, monkeypatch, capsys):
    client = HfApi(endpoint=hub.url, token=ALICE)
    monkeypatch.setattr("pdebench_fm.leaderboard.space.hub_client", lambda *_: client)
    words = ["leaderboard", "publish", str(site), "--space", SPACE]
    assert main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "would be sent: .nojekyll\n" in said
    assert "published" not in said
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "removed: style.css\n" in said
    assert f"published {SPACE}: {hub.url}/spaces/{SPACE}\n" in said
    assert main(words) == 0
    assert "has all of it already: nothing to do" in capsys.readouterr().out
