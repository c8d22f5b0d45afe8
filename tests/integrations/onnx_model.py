"""A model with ONNX files for the tests of other people's programs, and texts for it."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from sse.export.golden import TEXTS as GOLDEN
from tests.conftest import ROOT, TEXTS

ALL = [
    *TEXTS,
    *GOLDEN,
    "\u0130stanbul \u1e9e \u00df \u4e2d\u6587 e\u0301\u200b\u00a0x",
    "red planet red planet red",
]
DIM = 384


def snippet(language: str, page: str = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")) -> str:
    """The one piece of code in a language that a page shows."""
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return code


@pytest.fixture(scope="session")
def onnx_model(bert_tokenizer: Tokenizer, minilm_path: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2's token rows behind a DyT, repeated tokens weighed less: ``--table int8 --onnx``."""
    from sse.export import export
    from sse.modeling import SSE, build_model

    rows = load_file(f"{minilm_path}/model.safetensors")["embeddings.word_embeddings.weight"]
    rows = 10 * (rows - rows.mean(dim=0))
    assert rows.shape[1] == DIM
    torch.manual_seed(0)
    module = SSE(bert_tokenizer, weights=rows, count_exponent=0.75)
    with torch.no_grad():
        module.dyt.alpha.uniform_(0.5, 1.5)
        module.dyt.bias.uniform_(-0.2, 0.2)
    directory = tmp_path_factory.mktemp("onnx") / "my-model"
    export(build_model(module), directory, table="int8", onnx=True)
    return directory
