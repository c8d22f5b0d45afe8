"""A push that fails is one sentence, leaves the repository as it was, and can be repeated."""

import json
import os
import socket
import subprocess
import sys

import pytest

from sse.export import push_to_hub
from tests.conftest import ROOT
from tests.hub.faults import HALF, LOST, SILENT
from tests.hub.store import File, Repo
from tests.hub.test_push import content, published

API = r"/api/models/us/model"
FAULTS = {
    "the line is cut in a large file": (r"PUT /put/", HALF, "not published: the server ended the connection"),
    "the storage refuses a large file": (
        r"PUT /put/",
        403,
        "not published: the token gives no right to do this",
    ),
    "the storage fails": (r"PUT /put/", 503, "not published: the server failed with HTTP 503"),
    "the batch fails": (r"objects/batch", 500, "not published: the server failed with HTTP 500"),
    "the check of a large file fails": (
        r"objects/verify",
        500,
        "not published: the server failed with HTTP 500",
    ),
    "preupload fails": (rf"{API}/preupload", 500, "not published: the server failed with HTTP 500"),
    "the line is cut before the commit": (
        rf"{API}/commit",
        HALF,
        "not confirmed: the server ended the connection",
    ),
    "the commit fails": (rf"{API}/commit", 500, "not confirmed: the server failed with HTTP 500"),
    "the commit is refused": (
        rf"{API}/commit",
        403,
        "not published: the token gives no right to do this (no!)",
    ),
    "the first answer fails": (rf"GET {API}", 500, "not published: the server failed with HTTP 500"),
    "too many requests": (rf"{API}/preupload", 429, "not published: too many requests"),
    "the server is silent": (rf"{API}/commit", SILENT, "not confirmed: the server did not answer in time"),
    "the storage is silent": (r"PUT /put/", SILENT, "not published: the server did not answer in time"),
    "the first answer never comes": (
        rf"GET {API}",
        SILENT,
        "not published: the server did not answer in time",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_push_that_fails_leaves_the_repository_and_can_be_repeated(client, exported, sse_command, kind):
    pattern, what, message = FAULTS[kind]
    repo = client.store.repos["us/model"] = Repo("us/model")
    repo.add("main", {"config.json": File(b"old"), "mine.txt": File(b"mine")}, "before")
    refs = dict(repo.refs)
    fault = client.fail(pattern, what, "no!")
    code, out, error = sse_command("push", exported, "us/model", "--timeout", "0.3")
    assert code == 2
    assert fault.met >= 1
    assert out == ""
    assert message in error.splitlines()[-1]
    assert error.splitlines()[-1].startswith("sse: us/model: ")
    assert "Traceback" not in error
    assert repo.refs == refs
    client.faults.clear()
    push_to_hub(exported, "us/model")
    assert published(client) == {**content(exported), "mine.txt": b"mine"}
    assert len(repo.commits) == 3


@pytest.mark.parametrize(("pattern", "what"), [(r"PUT /put/", HALF), (r"PUT /put/", 500)])
def test_one_failure_is_retried(client, exported, pattern, what):
    fault = client.fail(pattern, what, times=2)
    push_to_hub(exported, "us/model")
    assert fault.met == 2
    assert published(client) == content(exported)


def test_a_commit_whose_answer_was_lost_is_found_by_the_next_push(client, exported, sse_command):
    client.fail(rf"{API}/commit", LOST, times=1)
    code, _, error = sse_command("push", exported, "us/model")
    assert code == 2
    assert "the commit was not confirmed" in error
    made = client.repo("us/model").refs["main"]
    again = push_to_hub(exported, "us/model")
    assert (again.commit, again.changed) == (made, False)


def test_a_commit_of_somebody_else_in_between_is_not_overwritten(client, exported, sse_command):
    push_to_hub(exported, "us/model")
    repo = client.repo("us/model")
    repo.add("main", {**repo.at("main").files, "config.json": File(b"theirs")}, "theirs")
    asked = client.store.commit

    def later(*args, **kwargs):
        repo.add("main", {**repo.at("main").files, "more.txt": File(b"more")}, "in between")
        return asked(*args, **kwargs)

    client.store.commit = later
    code, _, error = sse_command("push", exported, "us/model")
    assert code == 2
    assert "not published: it was changed by somebody else at the same time" in error
    assert published(client)["config.json"] == b"theirs"


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        ("wrong", "us/model", "us/model: not published: the token is not valid"),
        ("wrong\nline", "us/model", "us/model: not published: the token is not valid"),
        ("reading", "us/new", "us/new: not published: the token gives no right to do this"),
        ("reading", "us/model", "us/model: not published: the token gives no right to do this"),
        ("theirs", "us/model", "us/model: not published: the token gives no right to do this"),
        ("theirs", "us/new", "us/new: not published: the token gives no right to do this"),
        ("theirs", "us/private", "us/private: not published: the token gives no right to do this"),
    ],
)
def test_tokens(client, exported, sse_command, token, repo, message):
    client.store.repos |= {"us/model": Repo("us/model"), "us/private": Repo("us/private", private=True)}
    code, _, error = sse_command("push", exported, repo, "--token", token)
    assert code == 2
    assert message in error
    assert token not in error.replace("us/model", "").replace("reading", "", 0) or token in (
        "reading",
        "theirs",
    )
    assert [len(one.commits) for one in client.store.repos.values()] == [1, 1]
    assert "us/new" not in client.store.repos


def test_without_a_token_nobody_is_asked(client, exported, sse_command, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    code, _, error = sse_command("push", exported, "us/model")
    assert code == 2
    assert "there is no token: give one, set HF_TOKEN, or log in" in error
    assert client.requests == []
    assert push_to_hub(exported, "us/model", token="ours").commit


def test_a_card_that_the_hub_refuses_is_told(client, exported, sse_command):
    client.cards_refused = "no such licence"
    code, _, error = sse_command("push", exported, "us/model")
    assert code == 2
    assert "us/model: not published: Invalid metadata in README.md. - no such licence" in error
    assert not [one for one in client.requests if "/commit/" in one[1]]


def fresh(hub, tmp_path, *args, **environment):
    """``sse push`` in a process of its own, as people run it."""
    return subprocess.run(
        [sys.executable, "-m", "sse", "push", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**hub.environment(tmp_path / "home"), "PYTHONPATH": str(ROOT), **environment},
        timeout=300,
    )


def test_in_a_fresh_process(hub, exported, tmp_path):
    done = fresh(hub, tmp_path, exported, "us/model", "--json", HF_TOKEN="ours")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["commit"] == hub.repo("us/model").refs["main"]
    assert published(hub) == content(exported)
    done = fresh(hub, tmp_path, exported, "us/model", HF_TOKEN="wrong")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "sse: us/model: not published: the token is not valid"
    done = fresh(hub, tmp_path, exported, "us/model")
    assert done.returncode == 2
    assert "there is no token" in done.stderr


def test_offline_or_without_a_network(hub, exported, tmp_path):
    done = fresh(hub, tmp_path, exported, "us/model", HF_TOKEN="ours", HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "sse: us/model: not published: HF_HUB_OFFLINE is set"
    with socket.socket() as free:  # a port at which nobody listens
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = fresh(hub, tmp_path, exported, "us/model", HF_TOKEN="ours", HF_ENDPOINT=nobody)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "sse: us/model: not published: the server cannot be reached"


def test_a_server_without_the_newer_storage(hub, exported, tmp_path):
    """With hf-xet installed the client insists on Xet storage; a server without it is one sentence, no commit."""
    pytest.importorskip("hf_xet")
    done = fresh(hub, tmp_path, exported, "us/model", HF_TOKEN="ours", HF_HUB_DISABLE_XET="0")
    if done.returncode == 0:  # before 1.0 the client asks the server which storage it has
        assert published(hub) == content(exported)
    else:
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("sse: us/model: not published: ")
        assert "404" in done.stderr.splitlines()[-1]
        assert published(hub) == {}


def test_it_needs_neither_torch_nor_jinja(hub, exported, tmp_path):
    """The extra ``hub`` is enough for a directory that is there."""
    code = (
        "import sys\n"
        "for name in ('torch', 'sentence_transformers', 'transformers', 'jinja2'): sys.modules[name] = None\n"
        "from sse.export import push_to_hub\n"
        "print(push_to_hub(sys.argv[1], 'us/model').commit)\n"
    )
    done = hub.python(tmp_path / "home", code, exported, HF_TOKEN="ours")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == hub.repo("us/model").refs["main"]


def test_the_missing_extra_is_named(exported, tmp_path):
    code = "import sys; sys.modules['huggingface_hub'] = None; from sse.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "push", str(exported), "us/model"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert done.returncode == 2
    assert "pip install 'stable-static-embedding[hub]'" in done.stderr
