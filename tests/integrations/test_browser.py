"""The browser example in headless Chromium and in Node, and transformers.js: Encoder's ids, vectors and results.

SSE_SCREENSHOT names a file for the picture of the page.
"""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from tests.integrations.onnx_model import ALL, snippet
from tests.integrations.web import compare, install, node, opened, vectors_in

QUERIES = ["read a file line by line", "sort a list", "connection refused", "naïve café"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def ready(site: Path, onnx_model: Path) -> Path:
    """The example with a model."""
    (site / "model").symlink_to(onnx_model)
    return site


@pytest.fixture(scope="module")
def passages(ready: Path) -> list[str]:
    content = json.loads((ready / "passages.json").read_text(encoding="utf-8"))
    assert len(content) >= 200
    return [f"{passage['title']} {passage['text']}" for passage in content]


@pytest.fixture(scope="module")
def encoder(onnx_model: Path) -> Encoder:
    return Encoder.from_pretrained(onnx_model)


@pytest.fixture
def page(ready, browser, address):
    with opened(browser, address, address) as page:
        yield page


def test_node(ready, passages, encoder, tmp_path):
    texts = [*ALL, *passages]
    (tmp_path / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    script = Path(__file__).with_name("vectors.mjs")
    found = node(script, ready / "sse.js", ready / "model", tmp_path / "texts.json", folder=tmp_path)
    compare(json.loads(found), texts, encoder)


def test_the_page_gives_the_vectors_of_the_encoder(page, encoder):
    compare(vectors_in(page, ALL), ALL, encoder)


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


@pytest.mark.parametrize("dtype", ["q8", "fp32"])
def test_transformers_js_as_the_page_on_onnx_shows_it(onnx_model, encoder, tmp_path, dtype):
    code = snippet("js")
    assert 'dtype: "q8"' in code
    assert 'tokenizer(["first text", "second text"]' in code
    code = code.replace('dtype: "q8"', f'dtype: "{dtype}"')
    code = code.replace('["first text", "second text"]', json.dumps(ALL))
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    install(tmp_path, "@huggingface/transformers@>=3.5")
    (tmp_path / "my-model").symlink_to(onnx_model)
    print_all = "console.log(JSON.stringify(vectors.tolist()));"
    (tmp_path / "run.js").write_text(code + print_all, encoding="utf-8")
    found = np.array(json.loads(node("run.js", folder=tmp_path).splitlines()[-1]))
    np.testing.assert_allclose(found, encoder.encode(ALL), atol=1e-4)
