"""What a person does who follows the README: publish sse-en-small, then load it by its name, in Python and JavaScript.

The Hub is the one on loopback. The commands are the README's, the code is the card's that was sent along.
"""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from tests.conftest import ROOT
from tests.hub.server import LoopbackHub
from tests.hub.store import User
from tests.integrations.onnx_model import ALL, snippet
from tests.integrations.web import compare, install, node, opened, vectors_in

NAME = "owner/my-model"
NOTES = [
    "The boiler hums all night.",
    "Hold the round button to reset the device.",
    "Bread needs an hour to rise.",
]
pytestmark = pytest.mark.slow


@dataclass
class Published:
    """The Hub after the README's commands, the folder they ran in, and what each printed."""

    hub: LoopbackHub
    folder: Path
    printed: dict[str, str]

    @property
    def commit(self) -> str:
        return self.hub.repo(NAME).refs["main"]

    @property
    def card(self) -> str:
        return self.hub.repo(NAME).at("main").files["README.md"].data.decode()

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        return self.hub.environment(home, PYTHONPATH=str(ROOT), **more)


def commands() -> list[str]:
    """The commands that the README has for publishing, without their comments."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Publish\n")[2]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)[1]
    install, *lines = block.splitlines()
    assert install.startswith("pip install ")
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory):
    folder, home = tmp_path_factory.mktemp("publish"), tmp_path_factory.mktemp("home")
    (folder / "notes.txt").write_text("\n".join(NOTES), encoding="utf-8")
    hub = LoopbackHub()
    hub.store.tokens["owners"] = User("owner")
    made = Published(hub, folder, {})
    for number, line in enumerate(commands()):
        revision = made.commit if "COMMIT" in line else ""
        assert bool(hub.store.repos) == (number > 2)  # a dry run contacts nobody
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(line.replace("COMMIT", revision))],
            cwd=folder,
            env=made.environment(home, HF_TOKEN="owners"),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        made.printed[line] = done.stdout
    yield made
    hub.close()


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.from_pretrained()


def run(code: str, published: Published, tmp_path: Path) -> str:
    """Run Python in a fresh process that knows this Hub and no token; gives what it printed."""
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "work",
        env=published.environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_publish_what_was_exported(published):
    export, look, push, search = published.printed
    assert [line.split()[1] for line in (export, look, push, search)] == ["export", "push", "push", "search"]
    local = published.folder / "my-model"
    exported = {
        path.relative_to(local).as_posix(): path.read_bytes() for path in local.rglob("*") if path.is_file()
    }
    sent = published.hub.repo(NAME).at("main").files
    assert {path: file.data for path, file in sent.items() if path != ".gitattributes"} == exported
    assert {"model.safetensors", "onnx/model_quantized.onnx", "modeling_sse.py", "README.md"} <= set(exported)
    assert all(name in published.printed[look] for name in exported)
    assert published.commit in published.printed[push]
    assert NOTES[1] in published.printed[search].splitlines()[0]


def python_of(card: str, imported: str) -> str:
    (code,) = [one for one in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if imported in one]
    assert NAME in code
    return code


@pytest.mark.parametrize("library", ["from sentence_transformers import", "from sse import"])
def test_python_by_the_card(published, encoder, tmp_path, library):
    code = python_of(published.card, library)
    said = run(f"{code}\nprint(queries.tolist(), documents.tolist(), sep='\\n')", published, tmp_path)
    queries, documents = [np.array(json.loads(line)) for line in said.splitlines()[-2:]]
    texts = re.findall(r"encode_\w+\((\[.*\])\)", code)
    for found, given in zip((queries, documents), texts, strict=True):
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        np.testing.assert_allclose(found, encoder.encode(json.loads(given)), atol=1e-4)


def test_fastembed_by_the_card(published, encoder, tmp_path):
    pytest.importorskip("fastembed")
    code = python_of(published.card, "from fastembed import")
    text = json.loads(re.search(r"\.embed\((\[.*\])\)", code)[1])
    said = run(f"{code}\nprint([one.tolist() for one in vectors])", published, tmp_path)
    np.testing.assert_allclose(json.loads(said.splitlines()[-1]), encoder.encode(text), atol=1e-4)


@pytest.mark.browser
def test_transformers_js_by_the_card(published, encoder, tmp_path):
    code = snippet("js", published.card)
    assert f'from_pretrained("{NAME}"' in code
    text = json.loads(re.search(r"tokenizer\((\[.*\]),", code)[1])
    here = """
        import { env } from "@huggingface/transformers";
        [env.remoteHost, env.cacheDir] = [process.env.HF_ENDPOINT + "/", process.env.HF_HOME];
    """
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    install(tmp_path, "@huggingface/transformers@>=3.5")
    (tmp_path / "run.js").write_text(
        f"{here}{code}\nconsole.log(JSON.stringify(vectors.tolist()));", encoding="utf-8"
    )
    said = node("run.js", folder=tmp_path, HF_ENDPOINT=published.hub.url, HF_HOME=str(tmp_path / "home"))
    np.testing.assert_allclose(json.loads(said.splitlines()[-1]), encoder.encode(text), atol=1e-4)


@pytest.fixture
def place(published) -> str:
    return f"{published.hub.url}/{NAME}/resolve/{published.commit}"


@pytest.mark.browser
def test_node_by_the_module_of_the_example(site, place, encoder, tmp_path):
    (tmp_path / "texts.json").write_text(json.dumps(ALL), encoding="utf-8")
    script = Path(__file__).with_name("vectors.mjs")
    found = node(script, site / "sse.js", place, tmp_path / "texts.json", folder=tmp_path)
    compare(json.loads(found), ALL, encoder)


@pytest.mark.browser
def test_the_page_reads_it_from_the_hub(published, browser, address, place, encoder):
    hub = published.hub
    with opened(browser, f"{address}?model={place}", address, hub.url, hub.storage.url) as page:
        compare(vectors_in(page, ALL), ALL, encoder)
