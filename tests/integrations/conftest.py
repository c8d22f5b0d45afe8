"""A small real model as people get it, and a way to run an example as people run it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from tests.integrations.onnx_model import onnx_model  # noqa: F401
from tests.integrations.web import address, browser, site  # noqa: F401

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIM = 64


@pytest.fixture(scope="session")
def small_model(bert_tokenizer: Tokenizer, minilm_path: str):
    """MiniLM's token vectors in 64 dims behind a DyT."""
    from sse.modeling import SSE, build_model

    rows = load_file(f"{minilm_path}/model.safetensors")["embeddings.word_embeddings.weight"]
    rows = rows - rows.mean(dim=0)
    basis = torch.linalg.eigh(rows.T @ rows).eigenvectors[:, -DIM:]
    module = SSE(bert_tokenizer, weights=rows @ basis, matryoshka_dims=[DIM, 32])
    with torch.no_grad():
        module.dyt.alpha.fill_(2.0)
    return build_model(module)


@pytest.fixture(scope="session")
def exported(small_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that loads with ``trust_remote_code=True`` and with ``Encoder``."""
    from sse.export import export

    return export(small_model, tmp_path_factory.mktemp("exported") / "my-model", table="int8").directory


@pytest.fixture(scope="session")
def plain(small_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that loads with no flag."""
    from sse.export import export

    return export(small_model, tmp_path_factory.mktemp("plain") / "my-model", plain=True).directory


@pytest.fixture
def run_example(tmp_path: Path) -> Callable[..., str]:
    """Run an example in a process of its own; gives its standard output."""

    def run(name: str, *args: object) -> str:
        settings = {
            "HF_HUB_OFFLINE": "1",
            "HF_MODULES_CACHE": str(tmp_path / "hf_modules"),
            "HAYSTACK_TELEMETRY_ENABLED": "False",
            "MTEB_CACHE": str(tmp_path / "mteb"),
        }
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / name), *map(str, args)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **settings},
            timeout=850,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
