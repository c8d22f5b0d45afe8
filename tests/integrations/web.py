"""Node, npm's packages and a headless Chromium for the tests; what is missing skips them, with the reason.

SSE_NODE_MODULES names a folder of installed packages to take instead of asking npm.
"""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "browser"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def install(folder: Path, *packages: str) -> Path:
    """Packages of npm in ``folder/node_modules``; the test is skipped where they cannot be had."""
    given = os.environ.get("SSE_NODE_MODULES")
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if given:
        (folder / "node_modules").symlink_to(Path(given).resolve())
        return folder
    if (npm := shutil.which("npm")) is None:
        pytest.skip("npm is not installed")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"npm cannot install the packages: {done.stderr.strip().splitlines()[-1]}")
    return folder


def node(script: str | Path, *args: object, folder: Path, **environment: str) -> str:
    """Run a script in a folder; gives what it printed."""
    done = subprocess.run(
        ["node", str(script), *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        encoding="utf-8",
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the browser example, made ready as its README says, but for the model."""
    site = tmp_path_factory.mktemp("browser") / "site"
    shutil.copytree(EXAMPLE, site, ignore=shutil.ignore_patterns("node_modules", "model", "passages.json"))
    install(site)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "passages.py"], cwd=site, check=True, timeout=300, env=environment)
    return site


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files, and nothing on standard error."""

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")  # its event loop is in the way of asynchronous tests
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@contextmanager
def opened(browser, url: str, *places: str):
    """The page when it is ready; at the end it has asked only ``places`` for anything, and met no error."""
    page = browser.new_page(viewport={"width": 900, "height": 900})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(url)
    page.wait_for_function("!document.getElementById('query').disabled", timeout=240_000)
    yield page
    page.close()
    assert not errors
    assert all(any(one.startswith(place) for one in asked) for place in places)
    assert [one for one in asked if not one.startswith((*places, "data:", "blob:"))] == []


def vectors_in(page, texts: list[str]) -> dict:
    """Token ids and vectors by the page's own embedder, and vectors that it cut."""
    script = """async (texts) => ({
        ids: texts.map((text) => embedder.tokenize(text)),
        vectors: (await embedder.encode(texts)).map((vector) => [...vector]),
        cut: (await embedder.encode(texts, { dim: 100 })).map((vector) => [...vector]),
    })"""
    return page.evaluate(script, texts)


def compare(found: dict, texts: list[str], encoder: Encoder) -> None:
    """What JavaScript found is what ``Encoder`` finds."""
    assert found["ids"] == encoder.tokenize(texts)
    np.testing.assert_allclose(np.array(found["vectors"]), encoder.encode(texts), atol=1e-4)
    if "cut" in found:
        cut = encoder.encode(texts, truncate_dim=100)
        np.testing.assert_allclose(np.array(found["cut"]), cut, atol=1e-4)
