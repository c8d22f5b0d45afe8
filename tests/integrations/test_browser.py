"""The browser example in headless Chromium and in Node, and transformers.js: Encoder's ids, vectors and results.

Skipped, with the reason, where node, npm's packages or a Chromium are missing. SSE_SCREENSHOT names a file for the
picture of the page; SSE_NODE_MODULES a folder of installed packages to take instead of asking npm.
"""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from tests.conftest import ROOT
from tests.integrations.onnx_model import ALL, onnx_model  # noqa: F401

EXAMPLE = ROOT / "examples" / "browser"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUERIES = ["read a file line by line", "sort a list", "connection refused", "naïve café"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


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


@pytest.fixture(scope="module")
def site(onnx_model: Path, tmp_path_factory) -> Path:  # noqa: F811
    """A copy of the example, made ready as its README says."""
    site = tmp_path_factory.mktemp("browser") / "site"
    shutil.copytree(EXAMPLE, site, ignore=shutil.ignore_patterns("node_modules", "model", "passages.json"))
    install(site)
    (site / "model").symlink_to(onnx_model)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "passages.py"], cwd=site, check=True, timeout=300, env=environment)
    return site


@pytest.fixture(scope="module")
def passages(site: Path) -> list[str]:
    content = json.loads((site / "passages.json").read_text(encoding="utf-8"))
    assert len(content) >= 200
    return [f"{passage['title']} {passage['text']}" for passage in content]


@pytest.fixture(scope="module")
def encoder(onnx_model: Path) -> Encoder:  # noqa: F811
    return Encoder.from_pretrained(onnx_model)


def compare(found: dict, texts: list[str], encoder: Encoder) -> None:
    assert found["ids"] == encoder.tokenize(texts)
    np.testing.assert_allclose(np.array(found["vectors"]), encoder.encode(texts), atol=1e-4)


def test_node(site, passages, encoder, tmp_path):
    texts = [*ALL, *passages]
    (tmp_path / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    script = Path(__file__).with_name("vectors.mjs")
    command = ["node", script, site / "sse.js", site / "model", tmp_path / "texts.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    compare(json.loads(done.stdout), texts, encoder)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files, and nothing on standard error."""

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
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


@pytest.fixture
def page(browser, address):
    """The page when it is ready; at the end it has asked nobody else for anything and met no error."""
    page = browser.new_page(viewport={"width": 900, "height": 900})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(address)
    page.wait_for_function("!document.getElementById('query').disabled", timeout=240_000)
    yield page
    page.close()
    assert not errors
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_the_page_gives_the_vectors_of_the_encoder(page, encoder):
    script = """async (texts) => ({
        ids: texts.map((text) => embedder.tokenize(text)),
        vectors: (await embedder.encode(texts)).map((vector) => [...vector]),
        cut: (await embedder.encode(texts, { dim: 100 })).map((vector) => [...vector]),
    })"""
    found = page.evaluate(script, ALL)
    compare(found, ALL, encoder)
    np.testing.assert_allclose(np.array(found["cut"]), encoder.encode(ALL, truncate_dim=100), atol=1e-4)


def test_searching_as_one_types(page, passages, encoder, tmp_path):
    vectors = encoder.encode(passages)
    for query in QUERIES:
        page.fill("#query", "")
        page.wait_for_function("!document.querySelector('#results li')")
        page.type("#query", query)
        scores = vectors @ encoder.encode(query)
        best = np.argsort(-scores, kind="stable")[:5].tolist()
        page.wait_for_function(
            "(best) => [...document.querySelectorAll('#results li')].map((li) => +li.dataset.index).join() === best",
            arg=",".join(map(str, best)),
            timeout=30_000,
        )
        status = page.inner_text("#status")
        assert re.fullmatch(r"[\d.]+ ms: query to vector [\d.]+ ms, search of \d+ passages [\d.]+ ms", status)
        assert f"search of {len(passages)} passages" in status
    page.fill("#query", QUERIES[0])
    page.wait_for_selector("#results li")
    picture = Path(os.environ.get("SSE_SCREENSHOT") or tmp_path / "page.png")
    page.screenshot(path=str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_transformers_js_as_the_readme_shows_it(onnx_model, encoder, tmp_path):  # noqa: F811
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## ONNX")[2]
    code = re.search(r"```js\n(.*?)```", section, re.DOTALL)[1]
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    install(tmp_path, "@huggingface/transformers@>=3.5")
    (tmp_path / "my-model").symlink_to(onnx_model)
    print_all = "console.log(JSON.stringify(vectors.tolist()));"
    assert 'tokenizer(["first text", "second text"]' in code
    for dtype in ("q8", "fp32"):
        assert 'dtype: "q8"' in code
        script = code.replace('dtype: "q8"', f'dtype: "{dtype}"')
        script = script.replace('["first text", "second text"]', json.dumps(ALL))
        (tmp_path / "run.js").write_text(script + print_all, encoding="utf-8")
        done = subprocess.run(
            ["node", "run.js"], cwd=tmp_path, capture_output=True, text=True, timeout=300, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        found = np.array(json.loads(done.stdout.splitlines()[-1]))
        np.testing.assert_allclose(found, encoder.encode(ALL), atol=1e-4)
