"""What a submission comes to: under whose name, what is left out, and what is said of a model's code and weights."""

import hashlib

import pytest
import torch
from factories import make_model, make_result, make_run, put_on, write_made
from torch import nn

from pdebench_fm.cli import main
from pdebench_fm.errors import UsageError
from pdebench_fm.evaluation.evaluate import evaluate
from pdebench_fm.leaderboard import submission
from pdebench_fm.leaderboard.official import is_official
from pdebench_fm.leaderboard.store import load, submit
from pdebench_fm.leaderboard.submission import MOST_ROWS, Submitter
from pdebench_fm.models.references import open_candidate
from pdebench_fm.models.tensors import tensors_digest
from pdebench_fm.results.evaluation import read_evaluation
from pdebench_fm.results.result import read_result

CODE = "https://github.com/acme/solver"
WEIGHTS = "acme/solver@" + "0123456789" * 4
SHIPPED = "fno-mixed-64k"


class Pointwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([0.5, 2.0]))

    def forward(self, source, coefficients):  # noqa: ARG002 (every model is called so)
        return self.factor.sum() * source


def shipped(**changes):
    """What a result says of the package's own model, with some of it changed."""
    found = open_candidate(SHIPPED)
    known = {"revision": "package", "weights_sha256": found.weights_sha256, "fingerprint": found.fingerprint}
    return make_model(SHIPPED, **(known | changes))


def row_of(tmp_path, result, **said):
    for name in ("in.json", "in.samples.parquet"):
        (tmp_path / name).unlink(missing_ok=True)
    write_made(result, tmp_path / "in.json")
    (row,) = submit([tmp_path / "in.json"], tmp_path / "board", Submitter(**said)).rows
    return row


def test_any_module_becomes_a_row_known_by_its_tensors(tmp_path, small_task):
    evaluation = evaluate(Pointwise(), small_task(), track="lite", device="cpu")
    evaluation.write(tmp_path / "in.json")
    assert evaluation.result.model.weights_sha256 is None
    (row,) = submit([tmp_path / "in.json"], tmp_path / "board", Submitter("acme", code_url=CODE)).rows
    held = read_result(tmp_path / "board" / row.place).model
    assert (held.model_id, held.code_url, held.weights_at) == ("acme/Pointwise", CODE, None)
    assert held.tensors_sha256 == tensors_digest(Pointwise())


def test_the_digest_of_tensors_is_that_of_names_kinds_shapes_and_values():
    values = torch.tensor([0.5, 2.0]).numpy().astype("<f4").tobytes()
    assert tensors_digest(Pointwise()) == hashlib.sha256(b"factor\0float32\0" + b"2\0" + values).hexdigest()
    other = Pointwise()
    with torch.no_grad():
        other.factor[1] = 2.0000002
    assert tensors_digest(other) != tensors_digest(Pointwise())
    assert tensors_digest(nn.GELU()) is None


def test_a_users_file_and_an_architecture_of_the_package_can_be_submitted(tmp_path, monkeypatch, quick_recipes):  # noqa: ARG001
    (tmp_path / "mine.py").write_text(
        "import torch\n\nclass Mine(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.w = torch.nn.Linear(1, 1)\n    def forward(self, source, coefficients):\n"
        "        return self.w(source[..., None])[..., 0]\n\ndef build():\n    return Mine()\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["--task", "poisson-ood/hard", "--track", "lite", "--device", "cpu", "--out", "results"]
    assert main(["eval", "--model", "mine.py:build", *words]) == 0
    assert main(["submit", "results", "--to", "board"]) == 2  # whose is it?
    assert main(["submit", "results", "--to", "board", "--organisation", "acme", "--name", "my-fno"]) == 0
    (entry,) = load(tmp_path / "board")
    assert (entry.organisation, entry.result.model.model_id) == ("acme", "acme/my-fno")
    assert entry.result.model.tensors_sha256 is not None
    unet = make_result(model=make_model("unet", revision=None, weights_sha256=None), runs=[make_run(start="scratch")])
    assert row_of(tmp_path, unet, organisation="acme").place.parts[1:3] == ("acme", "unet")


def test_what_the_package_ships_is_official_by_its_digest_alone(tmp_path):
    assert row_of(tmp_path, make_result(model=shipped())).place.parts[1:3] == ("pdebench-fm", SHIPPED)
    zero = make_model("zero", revision="package", weights_sha256=None, fingerprint=open_candidate("zero").fingerprint)
    assert row_of(tmp_path, make_result(model=zero)).place.parts[1:3] == ("pdebench-fm", "zero")
    for changes in ({"weights_sha256": "ab" * 32}, {"fingerprint": "ab" * 32}, {"weights_sha256": None}):
        assert not is_official(shipped(**changes))
        result = make_result(model=shipped(**changes))
        with pytest.raises(UsageError, match="is not a model of this package: say whose it is"):
            row_of(tmp_path, result)
        with pytest.raises(UsageError, match="is none of them by its digest: give your own"):
            row_of(tmp_path, result, organisation="pdebench-fm")
        with pytest.raises(UsageError, match="is none of them by its digest: give your own"):
            row_of(tmp_path, result, name=f"PDEbench-fm/{SHIPPED}")
        assert row_of(tmp_path, result, organisation="acme").place.parts[1:3] == ("acme", SHIPPED)


def test_a_model_of_the_projects_own_namespace_on_the_hub_is_named_after_it(tmp_path):
    commit = "0123456789" * 4
    row = row_of(tmp_path, make_result(model=make_model("pdebench-fm/fno-mixed-1m", revision=commit)))
    assert row.place.parts[1:3] == ("pdebench-fm", "fno-mixed-1m")
    assert row.evaluation.result.model.weights_at == f"pdebench-fm/fno-mixed-1m@{commit}"


def test_a_name_can_be_given_and_keeps_where_the_weights_are(tmp_path):
    result = make_result(model=make_model("acme/solver", revision="0123456789" * 4))
    model = row_of(tmp_path, result, name="bob/solver-again").evaluation.result.model
    assert (model.model_id, model.weights_at) == ("bob/solver-again", WEIGHTS)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"code_url": "http://example.org"}, "code_url: should be an address such as https://"),
        ({"code_url": "javascript:alert(1)"}, "code_url: should be an address"),
        ({"code_url": 'https://example.org/"><script>'}, "code_url: should be an address"),
        ({"code_url": "https://user:word@example.org/"}, "code_url: should be an address"),
        ({"weights_at": "acme/solver"}, "weights_at: should be organisation/name@commit"),
        ({"weights_at": "acme/solver@v1.0.0"}, "as tags and branches can be moved"),
        ({"weights_at": "../solver@" + "a" * 40}, "weights_at: should be"),
        ({"name": "a/b/c"}, "cannot be a folder"),
        ({"name": "../up"}, "cannot be a folder"),
        ({"name": "söl"}, "cannot be a folder"),
        ({"name": "acme/ѕolver"}, "cannot be a folder"),
        ({"organisation": "acme\u202e"}, "cannot be a folder"),
    ],
)
def test_what_is_said_of_a_model_is_held_to_its_form(tmp_path, said, words):
    result = make_result(model="solver")
    with pytest.raises(UsageError, match=words):
        row_of(tmp_path, result, **({"organisation": "acme"} | said))
    assert not (tmp_path / "board").exists()


def test_what_is_true_of_one_model_is_not_said_of_two(tmp_path):
    write_made(make_result(model="acme/solver"), tmp_path / "in" / "a.json")
    write_made(make_result(model=make_model("acme/other", weights_sha256="ab" * 32)), tmp_path / "in" / "b.json")
    for said in ({"name": "acme/x"}, {"code_url": CODE}):
        with pytest.raises(UsageError, match=r"is of one model, and the results are of 2: submit them one by one"):
            submit([tmp_path / "in"], tmp_path / "board", Submitter(**said))


def test_another_recipe_than_the_protocols_is_refused_before_it_is_on_a_leaderboard(tmp_path):
    with pytest.raises(UsageError, match="the recipe 'v7' is not known here: this package has 'v1'"):
        row_of(tmp_path, make_result(model="acme/solver", method="v7"))
    assert row_of(tmp_path, make_result(model="acme/solver", method="v7", protocol_version=7)).state == "new"


def test_what_cannot_be_ranked_is_left_out_with_a_note(tmp_path, bare_names_are_shipped):  # noqa: ARG001
    write_made(make_result(), tmp_path / "in" / "a.json")
    write_made(make_result(method="paper"), tmp_path / "in" / "b.json")
    write_made(make_result("poisson/pretrain"), tmp_path / "in" / "c.json")
    write_made(make_result(track="n128-rows512", resolution=128, test_rows=512), tmp_path / "in" / "d.json")
    found = submit([tmp_path / "in"], tmp_path / "board")
    assert len(found.rows) == len(load(tmp_path / "board")) == 1
    starts = [f"left out: {tmp_path / 'in' / name}: " for name in ("b.json", "c.json", "d.json")]
    assert [note.startswith(start) for note, start in zip(found.notes, starts, strict=True)] == [True] * 3
    for name in ("a.json", "a.samples.parquet"):
        (tmp_path / "in" / name).unlink()
    with pytest.raises(UsageError, match=r"nothing that can be ranked: .*b\.json.*\(so are the other 2 files\)"):
        submit([tmp_path / "in"], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_dry_run_and_a_second_submission_write_nothing_and_say_so(tmp_path, monkeypatch, capsys):
    write_made(make_result(model="acme/solver"), tmp_path / "in" / "a.json")
    monkeypatch.chdir(tmp_path)
    assert main(["submit", "in", "--dry-run", "--to", "board"]) == 0
    assert "would be written: board/results/acme/solver/" in capsys.readouterr().out
    assert not (tmp_path / "board").exists()
    assert main(["submit", "in", "--to", "board"]) == 0
    printed = capsys.readouterr()
    assert "on the leaderboard: board/results/acme/solver/" in printed.out
    assert "acme/solver does not say where to find its code (--code URL) and its weights" in printed.err
    assert main(["submit", "in", "--to", "board"]) == 0
    assert "already on the leaderboard: board/results/acme" in capsys.readouterr().out


def test_links_can_be_added_and_are_not_replaced_unasked(tmp_path):
    result = make_result(model="acme/solver")
    assert row_of(tmp_path, result).state == "new"
    row = row_of(tmp_path, result, code_url=CODE)
    assert (row.state, read_evaluation(tmp_path / "board" / row.place).result.model.code_url) == ("extended", CODE)
    assert row_of(tmp_path, result).state == "already there"
    with pytest.raises(UsageError, match=r"already with code_url https://github\.com/acme/solver, not https"):
        row_of(tmp_path, result, code_url=CODE + "2")
    (kept,) = put_on([tmp_path / "in.json"], tmp_path / "board", replace=True)
    assert read_result(kept).model.code_url == CODE


def test_ten_thousand_results_at_once_are_refused_before_any_is_read(tmp_path, monkeypatch):
    for i in range(MOST_ROWS + 1):
        (tmp_path / f"{i}.json").touch()
    monkeypatch.setattr(submission, "read_evaluation", None)
    with pytest.raises(UsageError, match=r"1,001 results are too many for one submission: send at most 1,000"):
        submit([tmp_path], tmp_path / "board")
