"""A Hub on loopback: two real HTTP servers, one for the Hub and one for the storage of large files.

They speak what huggingface_hub's client asks for when it pushes and loads a model. As with the real Hub, large files
are fetched by a redirect to another host, to which the token must not go. Xet storage is not there: the client
needs HF_HUB_DISABLE_XET=1, because since 1.0 it does not ask whether the server has it.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.conftest import ROOT
from tests.hub.answers import Answer, answer_hub, answer_storage
from tests.hub.faults import HALF, LOST, SHORT, SILENT, Fault
from tests.hub.store import File, Refusal, Repo, Store


class Handler(BaseHTTPRequestHandler):
    """Reads a request, lets a fault have it or asks for the answer, and writes that."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def answer(self) -> None:
        """Any method."""
        hub = self.server.hub
        hub.requests.append((self.command, self.path))
        fault = next((one for one in hub.faults if one.hits(f"{self.command} {self.path}")), None)
        if fault and fault.what == HALF:
            self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
            return self.cut()
        body = self.body()
        if fault and fault.what == SILENT:
            hub.closing.wait()
            return self.cut()
        if fault and isinstance(fault.what, threading.Barrier):
            fault.what.wait(timeout=300)
        if fault and isinstance(fault.what, int):
            return self.send(Answer.refusal(Refusal(fault.what, fault.message)))
        try:
            with hub.store.lock:
                found = self.server.answers(hub, self, body)
        except Refusal as refusal:
            found = Answer.refusal(refusal)
        if fault and fault.what == LOST:
            return self.cut()
        self.send(found, short=bool(fault and fault.what == SHORT))

    do_GET = do_HEAD = do_POST = do_PUT = answer

    @property
    def parts(self) -> list[str]:
        """The path at its slashes, still quoted."""
        return urlsplit(self.path).path.strip("/").split("/")

    @property
    def query(self) -> dict[str, list[str]]:
        """What stands after the question mark."""
        return parse_qs(urlsplit(self.path).query)

    @property
    def token(self) -> str | None:
        """The bearer token."""
        given = self.headers.get("Authorization")
        return given.removeprefix("Bearer ") if given else None

    def body(self) -> bytes:
        """The whole body, chunked or not."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def send(self, answer: Answer, short: bool = False) -> None:
        """Write it, or the half of it."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.headers.get("Origin"):  # a page in a browser asks
            self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if short else answer.body)
        if short:
            self.cut()

    def cut(self) -> None:
        """End the connection with no answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: object) -> None:
        """Tests read ``requests``."""


class Server(ThreadingHTTPServer):
    """One of the two."""

    daemon_threads = True

    def __init__(self, hub: "LoopbackHub", answers, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.answers, self.name = hub, answers, name
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.name}:{self.server_port}"


class LoopbackHub:
    """The two servers, what they keep, what they were asked, and what shall go wrong."""

    def __init__(self) -> None:
        self.store = Store()
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.cards_refused = ""
        """Why the head of any card is refused."""
        self.closing = threading.Event()
        # Two names, because clients tell hosts apart by name, and before huggingface_hub 2 not by port.
        self.server = Server(self, answer_hub, "127.0.0.1")
        self.storage = Server(self, answer_storage, "localhost")

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return self.server.url

    def repo(self, name: str) -> Repo:
        """A repository."""
        return self.store.repos[name]

    def put(self, name: str, directory: Path, *, private: bool = False) -> str:
        """Make a repository of the files of a directory, without the client; gives the commit."""
        repo = self.store.repos.setdefault(name, Repo(name, private))
        files = {}
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            inside = path.relative_to(directory).as_posix()
            files[inside] = File(path.read_bytes(), large=inside.endswith((".safetensors", ".bin")))
        return repo.add("main", files, "put").oid

    def fail(
        self, pattern: str, what: str | int | threading.Barrier, message: str = "", times: int = 10**9
    ) -> Fault:
        """From now on requests that match fail."""
        self.faults.append(Fault(pattern, what, message, times))
        return self.faults[-1]

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """What a process needs to see this Hub and nothing of the person who runs the tests."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        return {
            **kept,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **more,
        }

    def python(self, home: Path, code: str, *args: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Python with this package in a fresh process that sees this Hub."""
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, args)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environment(home, PYTHONPATH=str(ROOT), **more),
            timeout=600,
        )

    def close(self) -> None:
        """End it."""
        self.closing.set()
        for server in (self.server, self.storage):
            server.shutdown()
            server.server_close()


def copy_of(directory: Path, target: Path) -> Path:
    """A directory to change."""
    return Path(shutil.copytree(directory, target))
