"""``Encoder.from_pretrained`` with a repository id, against the Hub on loopback."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from sse.errors import SseError
from tests.conftest import ROOT

LOAD = """
import json, os, sys
from sse import Encoder
try:
    e = Encoder.from_pretrained(sys.argv[1], **json.loads(sys.argv[2]))
    print(json.dumps([e.encode("red planet").tolist(), e.table]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.fixture
def loaded(hub, models, tmp_path):
    """The Hub with models, and a function that loads from it in a fresh process."""
    nested = tmp_path / "nested"
    shutil.copytree(models["f32"], nested / "0_SSE")
    (nested / "0_SSE" / "modules.json").rename(nested / "modules.json")
    modules = json.loads((nested / "modules.json").read_text())
    modules[0]["path"] = "0_SSE"
    (nested / "modules.json").write_text(json.dumps(modules))
    both = tmp_path / "both"
    shutil.copytree(models["f32"], both)
    shutil.copytree(models["int8_column"], both / "int8")
    (tmp_path / "nothing").mkdir()
    hub.put("us/model", models["int8_column"])
    hub.put("us/private", models["f32"], private=True)
    hub.put("us/q4", models["q4"])
    hub.put("us/nested", nested)
    hub.put("us/both", both)
    hub.put("us/nothing", tmp_path / "nothing")
    hub.repo("us/model").refs["v1"] = hub.repo("us/model").refs["main"]

    def load(repo: str, **options):
        done = subprocess.run(
            [sys.executable, "-c", LOAD, repo, json.dumps(options)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=hub.environment(tmp_path / "home"),
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return hub, load


@pytest.mark.parametrize(
    ("repo", "kind"), [("us/model", "int8_column"), ("us/q4", "q4"), ("us/nested", "f32")]
)
def test_a_repository_gives_the_local_vectors(loaded, models, repo, kind):
    server, load = loaded
    vector, table = load(repo)
    local = Encoder.from_pretrained(models[kind])
    assert table == local.table
    np.testing.assert_array_equal(np.float32(vector), local.encode("red planet"))
    fetched = {Path(path).name for command, path in server.requests if command == "GET"}
    assert "modeling_sse.py" not in fetched
    assert "README.md" not in fetched
    asked = [path.split("/")[4] for _, path in server.requests[1:] if "/resolve/" in path]
    assert set(asked) <= {"main", server.repo(repo).refs["main"]}
    before = len(server.requests)
    assert load(repo, local_files_only=True) == [vector, table]  # from the cache
    assert len(server.requests) == before


def test_revision_and_token(loaded):
    _, load = loaded
    assert load("us/model", revision="v1")[1] == "int8"
    assert load("us/private", token="ours")[1] == "f32"


def test_a_folder_of_a_repository(loaded, models):
    _, load = loaded
    vector, table = load("us/both", subfolder="int8")
    assert table == "int8"
    np.testing.assert_array_equal(
        np.float32(vector), Encoder.from_pretrained(models["int8_column"]).encode("red planet")
    )
    assert load("us/both")[1] == "f32"
    assert "leads out" in load("us/both", subfolder="../both")[1]


@pytest.mark.parametrize(
    ("repo", "options", "words"),
    [
        (
            "us/private",
            {"token": "wrong"},
            "us/private: cannot be fetched from the Hub: the token is not valid",
        ),
        (
            "us/private",
            {"token": "theirs"},
            "us/private: cannot be fetched from the Hub: there is no such repo",
        ),
        ("us/private", {}, "us/private: cannot be fetched from the Hub: there is no such repository"),
        ("us/nobody", {}, "us/nobody: cannot be fetched from the Hub: there is no such repository"),
        (
            "us/model",
            {"revision": "v9"},
            "us/model: cannot be fetched from the Hub: there is no such revision",
        ),
        ("us/both", {"subfolder": "int4"}, "us/both"),
        ("us/nothing", {}, "us/nothing"),
        ("us/model", {"local_files_only": True}, "us/model"),
        ("model", {}, "there is no such directory"),
        ("../model", {}, "there is no such directory"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(loaded, repo, options, words):
    _, load = loaded
    kind, message = load(repo, **options)
    assert kind == "SseError", message
    assert words in message
    assert "\n" not in message


def test_a_commit_that_is_pushed_in_between_is_not_mixed_in(loaded):
    server, load = loaded
    load("us/model")
    commit = server.repo("us/model").refs["main"]
    after_first = [
        path for _, path in server.requests if "/resolve/" in path and not path.endswith("modules.json")
    ]
    assert after_first
    assert all(f"/resolve/{commit}/" in path for path in after_first)


def test_a_directory_has_no_revision(models):
    with pytest.raises(SseError, match="is a directory, of which there is no revision v1"):
        Encoder.from_pretrained(models["f32"], revision="v1")
