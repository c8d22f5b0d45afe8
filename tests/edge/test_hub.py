"""``Encoder.from_pretrained`` with a repository id, against a server on loopback that speaks the Hub's protocol."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from tests.conftest import ROOT

COMMIT, OTHER = "a" * 40, "b" * 40
LOAD = """
import json, os, sys
from sse import Encoder
try:
    e = Encoder.from_pretrained(sys.argv[1], **json.loads(sys.argv[2]))
    print(json.dumps([e.encode("red planet").tolist(), e.table]))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


class Hub(BaseHTTPRequestHandler):
    """``/owner/name/resolve/revision/file``; a request for ``private`` needs the right token."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        server = self.server
        server.requests.append((self.command, self.path))
        parts = self.path.lstrip("/").split("?")[0].split("/")
        repo, revision, name = "/".join(parts[:2]), parts[3] if len(parts) > 3 else "", "/".join(parts[4:])
        if repo not in server.repos:
            return self.refuse(404, "RepoNotFound")
        if repo == "us/private" and self.headers.get("authorization") != "Bearer right":
            return self.refuse(401, "RepoNotFound")
        if revision in ("main", "v1"):
            revision = COMMIT
        if revision != COMMIT:
            return self.refuse(404, "RevisionNotFound")
        file = server.repos[repo] / name
        if not file.is_file():
            return self.refuse(404, "EntryNotFound")
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def refuse(self, code: int, reason: str) -> None:
        self.send_response(code)
        self.send_header("X-Error-Code", reason)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(models, tmp_path):
    nested = tmp_path / "nested"
    shutil.copytree(models["f32"], nested / "0_SSE")
    (nested / "0_SSE" / "modules.json").rename(nested / "modules.json")
    modules = json.loads((nested / "modules.json").read_text())
    modules[0]["path"] = "0_SSE"
    (nested / "modules.json").write_text(json.dumps(modules))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requests = []
    server.repos = {
        "us/model": models["int8_column"],
        "us/private": models["f32"],
        "us/q4": models["q4"],
        "us/nested": nested,
        "us/nothing": tmp_path,
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = dict(
        os.environ,
        HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}",
        HF_HOME=str(tmp_path / "home"),
        HF_HUB_DISABLE_XET="1",
        HF_HUB_DISABLE_TELEMETRY="1",
    )
    environment.pop("HF_HUB_OFFLINE", None)

    def load(repo: str, **options):
        done = subprocess.run(
            [sys.executable, "-c", LOAD, repo, json.dumps(options)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    yield server, load
    server.shutdown()


@pytest.mark.parametrize(
    ("repo", "kind"), [("us/model", "int8_column"), ("us/q4", "q4"), ("us/nested", "f32")]
)
def test_a_repository_gives_the_local_vectors(hub, models, repo, kind):
    server, load = hub
    vector, table = load(repo)
    local = Encoder.from_pretrained(models[kind])
    assert table == local.table
    np.testing.assert_array_equal(np.float32(vector), local.encode("red planet"))
    fetched = {Path(path).name for command, path in server.requests if command == "GET"}
    assert "modeling_sse.py" not in fetched
    assert "README.md" not in fetched
    asked = [path.split("/")[4] for _, path in server.requests[1:] if len(path.split("/")) > 4]
    assert set(asked) <= {"main", COMMIT}
    before = len(server.requests)
    assert load(repo, local_files_only=True) == [vector, table]  # from the cache
    assert len(server.requests) == before


def test_revision_and_token(hub):
    _, load = hub
    assert load("us/model", revision="v1")[1] == "int8"
    assert load("us/private", token="right")[1] == "f32"


@pytest.mark.parametrize(
    ("repo", "options", "words"),
    [
        ("us/private", {"token": "wrong"}, "us/private"),
        ("us/nobody", {}, "us/nobody"),
        ("us/model", {"revision": "v9"}, "us/model"),
        ("us/nothing", {}, "us/nothing"),
        ("us/model", {"local_files_only": True}, "us/model"),
        ("model", {}, "there is no such directory"),
        ("../model", {}, "there is no such directory"),
    ],
)
def test_what_cannot_be_fetched_is_one_sentence(hub, repo, options, words):
    _, load = hub
    kind, message = load(repo, **options)
    assert kind == "SseError", message
    assert words in message
    assert "\n" not in message


def test_a_commit_that_is_pushed_in_between_is_not_mixed_in(hub):
    server, load = hub
    load("us/model")
    after_first = [path for _, path in server.requests if not path.endswith("modules.json")]
    assert after_first
    assert all(f"/resolve/{COMMIT}/" in path for path in after_first)
