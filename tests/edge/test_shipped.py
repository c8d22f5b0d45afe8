"""The model inside the package: found by everything that takes a model, and whole where there is one."""

import json
import pickle
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from sse.errors import SseError
from sse.shipped import DEFAULT, FILES, has_shipped, resolve, shipped_model
from tests.conftest import ROOT, TEXTS

real = pytest.mark.skipif(not has_shipped(), reason=f"this checkout has no sse/models/{DEFAULT}")
LIMIT_MB = 16


@pytest.mark.parametrize("arguments", [(), (DEFAULT,)])
def test_it_is_loaded_by_no_name_and_by_its_name(shipped, arguments):
    encoder = Encoder.from_pretrained(*arguments)
    assert encoder.table == "int8"
    np.testing.assert_array_equal(encoder.encode(TEXTS), Encoder.from_pretrained(shipped).encode(TEXTS))
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


@pytest.mark.parametrize("arguments", [(), (DEFAULT,)])
def test_a_package_without_it_says_so_in_one_sentence(not_shipped, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SseError, match="built without the model") as caught:
        Encoder.from_pretrained(*arguments)
    assert "\n" not in str(caught.value)


def test_other_names_are_not_in_the_package(shipped):
    with pytest.raises(SseError, match="no model of this name"):
        shipped_model("../sse-en-small")
    with pytest.raises(SseError, match="there is no such directory"):
        Encoder.from_pretrained("sse-en-smal")
    assert resolve("owner/name") == "owner/name"
    assert resolve("./nothing") == "./nothing"


def test_a_directory_of_that_name_goes_before_the_name_but_not_before_no_name(
    shipped, models, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(models["f16"], tmp_path / DEFAULT)
    assert Encoder.from_pretrained(DEFAULT).table == "f16"
    assert Encoder.from_pretrained().table == "int8"


def test_torch_loads_it_by_its_name(shipped):
    from sse.modeling import load_model

    vectors = load_model(DEFAULT).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(Encoder.from_pretrained().encode(TEXTS), vectors, atol=1e-5)


def test_finding_it_loads_nothing():
    code = (
        "import sys; before = set(sys.modules); import sse.shipped; "
        "heavy = {'numpy', 'torch', 'json', 'hashlib', 'dataclasses', 'importlib.resources', 'tempfile'}; "
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_wheel_takes_every_file_of_it():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = settings["package-data"]["sse"]
    for name in FILES:
        assert any(fnmatch(f"models/{DEFAULT}/{name}", pattern) for pattern in patterns), name


# The model that is really there


@real
def test_it_has_its_files_and_no_others_and_is_small():
    files = {path.name: path.stat().st_size for path in shipped_model().iterdir()}
    assert set(FILES) - {"beside.json"} <= set(files) <= set(FILES)
    assert files["model.safetensors"] <= LIMIT_MB * 1e6


@real
@pytest.mark.parametrize("backend", ["native", "numpy", "tokenizers"])
def test_it_gives_its_golden_vectors(backend):
    encoder = Encoder.from_pretrained(backend=backend)
    golden = json.loads((shipped_model() / "golden.json").read_text())
    for item in golden["items"]:
        assert encoder.tokenize(item["text"]) == [item["ids"]]
        vector = encoder.encode(item["text"], normalize_embeddings=False)
        np.testing.assert_allclose(vector, item["vector"], atol=golden["tolerance"])


@real
def test_its_files_name_no_place_on_a_machine():
    for file in shipped_model().glob("*.json"):
        if file.name not in ("tokenizer.json", "golden.json"):
            for word in ("/home/", "/Users/", "/tmp/", f"/{ROOT.parts[1]}/", str(Path.home())):
                assert word not in file.read_text(), f"{file.name} has {word}"


@real
def test_the_card_of_the_repository_is_its_card():
    from sse.export import render_card

    again = f"sse card {DEFAULT} -o model_card.md"
    assert (ROOT / "model_card.md").read_text(encoding="utf-8") == render_card(DEFAULT), f"write it: {again}"
