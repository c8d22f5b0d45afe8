"""``sse push`` and ``push_to_hub`` against the loopback Hub: what arrives, and what does not."""

import hashlib
import json

import pytest
from huggingface_hub import ModelCard

from sse.errors import SseError
from sse.export import export, push_to_hub
from sse.shipped import DEFAULT
from tests.hub.store import File, Repo

LISTED = {
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "golden.json",
    "model.safetensors",
    "modeling_sse.py",
    "modules.json",
    "results.json",
    "tokenizer.json",
}


def content(directory):
    """Every file of a directory."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def published(hub, name="us/model", revision="main"):
    """Every file of a repository but the one it was made with."""
    return {
        path: file.data
        for path, file in hub.repo(name).at(revision).files.items()
        if path != ".gitattributes"
    }


def test_one_commit_holds_the_whole_export(client, exported):
    done = push_to_hub(exported, "us/model", message="First")
    repo = client.repo("us/model")
    assert published(client) == content(exported)
    assert set(published(client)) == LISTED
    assert (done.commit, done.revision, done.created, done.changed) == (repo.refs["main"], "main", True, True)
    assert done.url == f"{client.url}/us/model/commit/{done.commit}"
    commit = repo.commits[done.commit]
    assert commit.message == "First"
    assert len(repo.commits) == 2  # the one that made the repository, and this
    assert not repo.private
    assert commit.files["model.safetensors"].large
    assert {file.path: file.sha256 for file in done.files} == {
        path: hashlib.sha256(data).hexdigest() for path, data in content(exported).items()
    }
    assert done.notes == done.left_out == done.deleted == ()
    head = ModelCard(published(client)["README.md"].decode()).data
    assert (head.license, head.datasets, head.library_name) == (
        "cc-by-sa-4.0",
        ["owner/two"],
        "sentence-transformers",
    )
    assert head.eval_results


def test_the_token_goes_to_the_hub_and_not_to_the_storage(client, exported):
    """The storage refuses a request with a token, as the real one does; that the push succeeds says enough."""
    push_to_hub(exported, "us/model")
    assert [path.split("/")[1] for method, path in client.requests if method == "PUT"] == ["put"]


def test_the_same_again_is_no_commit(client, exported):
    first = push_to_hub(exported, "us/model")
    sent = len([one for one in client.requests if one[0] == "PUT"])
    again = push_to_hub(exported, "us/model")
    assert (again.commit, again.changed, again.created) == (first.commit, False, False)
    assert len([one for one in client.requests if one[0] == "PUT"]) == sent
    assert len(client.repo("us/model").commits) == 2


def test_a_private_repository(client, exported):
    push_to_hub(exported, "us/model", private=True)
    assert client.repo("us/model").private
    push_to_hub(exported, "us/model", private=True)


def test_what_shall_be_private_never_goes_to_a_public_repository(client, exported):
    client.store.repos["us/model"] = Repo("us/model")
    with pytest.raises(SseError, match="us/model: is there and public"):
        push_to_hub(exported, "us/model", private=True)
    assert len(client.repo("us/model").commits) == 1


def test_a_pull_request(client, exported, monkeypatch):
    client.store.repos["us/model"] = Repo("us/model")
    monkeypatch.setenv("HF_TOKEN", "theirs")
    done = push_to_hub(exported, "us/model", pull_request=True)
    assert published(client) == {}
    assert (done.revision, done.pull_request) == ("refs/pr/1", f"{client.url}/us/model/discussions/1")
    assert published(client, revision="refs/pr/1") == content(exported)
    assert client.repo("us/model").refs["refs/pr/1"] == done.commit
    with pytest.raises(SseError, match="us/nothing: not published: there is no such repository"):
        push_to_hub(exported, "us/nothing", pull_request=True)
    assert "us/nothing" not in client.store.repos


def test_a_branch(client, exported):
    done = push_to_hub(exported, "us/model", revision="next/one")
    assert published(client) == {}
    assert published(client, revision="next/one") == content(exported)
    assert done.revision == "next/one"


def test_a_stray_file_is_named_and_left_out(client, mine, sse_command):
    (mine / "training").mkdir()
    for name in ("training/optimizer.bin", "secret.env", ".token", "results.json.bak", "onnx.txt", "2.png"):
        (mine / name).write_text("x")
    code, out, error = sse_command("push", mine, "us/model")
    assert code == 0, error
    assert set(published(client)) == LISTED
    named = [line.rsplit(": ", 1)[1] for line in error.splitlines() if line.startswith("left out")]
    assert named == sorted(
        ["training/optimizer.bin", "secret.env", ".token", "results.json.bak", "onnx.txt", "2.png"]
    )
    assert client.repo("us/model").refs["main"] in out


def test_pictures_of_the_card_and_onnx_are_published(client, mine):
    for name in ("onnx/model.onnx", "onnx/model_int8.onnx", "plots/dims[1].png", "other.png"):
        (mine / name).parent.mkdir(exist_ok=True)
        (mine / name).write_bytes(name.encode())
    with (mine / "README.md").open("a") as card:
        card.write("![dims](plots/dims[1].png)\n![elsewhere](https://example.org/a.png) ![out](../out.png)\n")
    assert push_to_hub(mine, "us/model").left_out == ("other.png",)
    assert set(published(client)) == LISTED | {"onnx/model.onnx", "onnx/model_int8.onnx", "plots/dims[1].png"}


def test_what_an_earlier_export_left_is_taken_out_and_nothing_else(client, mine):
    (mine / "onnx").mkdir()
    (mine / "onnx" / "model.onnx").write_bytes(b"old")
    push_to_hub(mine, "us/model")
    repo = client.repo("us/model")
    theirs = {name: File(b"x") for name in ("LICENSE", "notes.md", "1_Dense/x.txt", "images/a.png")}
    old = {name: File(b"x") for name in ("int8/modules.json", "1_Dense/config.json")}
    repo.add("main", {**repo.at("main").files, **theirs, **old}, "by hand")
    (mine / "onnx" / "model.onnx").unlink()
    done = push_to_hub(mine, "us/model")
    assert done.deleted == ("1_Dense/config.json", "int8/modules.json", "onnx/model.onnx")
    assert set(published(client)) == LISTED | set(theirs)


def test_further_tables_lie_in_folders(client, exported):
    done = push_to_hub(exported, "us/model", tables=["int8", "int4"])
    files = published(client)
    for table in ("int8", "int4"):
        names = {path.partition("/")[2] for path in files if path.startswith(f"{table}/")}
        assert names == LISTED - {"README.md"}
        assert json.loads(files[f"{table}/config.json"])["table"] == table
    assert len(files[f"{'int8'}/model.safetensors"]) < len(files["model.safetensors"]) / 3
    assert len(client.repo("us/model").commits) == 2
    assert {file.path for file in done.files} == set(files)
    with pytest.raises(SseError, match=r"table f32: is how .* stores its table already"):
        push_to_hub(exported, "us/model", tables=["f32"])


def test_the_plain_twin(client, model, tmp_path):
    directory = export(model, tmp_path / "plain", plain=True, name="us/plain").directory
    push_to_hub(directory, "us/plain")
    assert published(client, "us/plain") == content(directory)


def test_the_model_in_this_package(client, shipped):
    push_to_hub(DEFAULT, f"us/{DEFAULT}")
    files = published(client, f"us/{DEFAULT}")
    assert {"README.md", "modeling_sse.py"} <= set(files)
    assert f'Encoder.from_pretrained("us/{DEFAULT}")' in files["README.md"].decode()
    assert files["tokenizer.json"] == (shipped / "tokenizer.json").read_bytes()
    assert json.loads(files["config.json"])["table"] == "int8"


def test_a_dry_run_lists_and_contacts_nobody(client, mine, sse_command, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    (mine / "stray.txt").write_text("x")
    code, out, error = sse_command("push", mine, "us/model", "--dry-run")
    assert code == 0, error
    assert client.requests == []
    rows = [line.split() for line in out.splitlines()[:-1]]
    assert {path for _, _, path in rows} == LISTED
    for size, digest, path in rows:
        data = (mine / path).read_bytes()
        assert (int(size.replace(",", "")), digest) == (len(data), hashlib.sha256(data).hexdigest())
    assert "stray.txt" in error
    code, out, _ = sse_command("push", mine, "us/model", "--dry-run", "--json")
    found = json.loads(out)
    assert (found["commit"], found["left_out"], len(found["files"])) == (None, ["stray.txt"], len(LISTED))


def test_json_gives_the_commit(client, exported, sse_command):
    code, out, _ = sse_command("push", exported, "us/model", "--json", "--message", "One")
    assert code == 0
    assert json.loads(out)["commit"] == client.repo("us/model").refs["main"]
    code, out, _ = sse_command("push", exported, "us/model")
    assert "has these files already" in out


def test_a_card_that_does_not_name_the_repository_is_told(client, exported, sse_command):
    code, _, error = sse_command("push", exported, "us/other")
    assert code == 0
    assert "its snippets do not load us/other" in error


@pytest.mark.parametrize("name", ["model", "a/b/c", "us/mo del", "us/x--y", "", "us/.x", "../x", "us/x.git"])
def test_what_is_no_repository_id_is_told(client, exported, sse_command, name):
    code, _, error = sse_command("push", exported, name)
    assert code == 2
    assert "is not a repository id" in error
    assert client.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"revision": "a" * 40}, "give the name of a branch"),
        ({"revision": ""}, "give the name of a branch"),
        ({"pull_request": True, "private": True}, "without --private"),
        ({"tables": ["int2"]}, "table int2: must be one of"),
        ({"tables": ["int8", "int8"]}, "at most once"),
    ],
)
def test_options_that_do_not_fit(client, exported, options, message):
    with pytest.raises(SseError, match=message):
        push_to_hub(exported, "us/model", **options)
    assert client.requests == []
