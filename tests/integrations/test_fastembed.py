"""fastembed reads an exported directory, from the disk, and gives Encoder's vectors."""

from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from tests.integrations.onnx_model import ALL, DIM, snippet

fastembed = pytest.importorskip("fastembed")


@pytest.mark.parametrize("file", ["onnx/model.onnx", "onnx/model_quantized.onnx"])
def test_vectors_are_those_of_the_encoder(onnx_model: Path, file: str, monkeypatch):
    from fastembed.common.model_description import ModelSource, PoolingType

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fastembed.TextEmbedding.add_custom_model(
        model=f"me/{file}",
        pooling=PoolingType.DISABLED,
        normalization=True,
        sources=ModelSource(hf="me/my-model"),
        dim=DIM,
        model_file=file,
    )
    model = fastembed.TextEmbedding(f"me/{file}", specific_model_path=str(onnx_model))
    wanted = Encoder.from_pretrained(onnx_model).encode(ALL)
    for batch in (256, 3):
        np.testing.assert_allclose(np.array(list(model.embed(ALL, batch_size=batch))), wanted, atol=1e-4)
    np.testing.assert_allclose(next(iter(model.query_embed(ALL[0]))), wanted[0], atol=1e-4)


def test_what_the_page_on_onnx_shows_runs(onnx_model: Path, monkeypatch):
    monkeypatch.chdir(onnx_model.parent)
    names: dict = {}
    exec(snippet("python").replace("dim=512", f"dim={DIM}"), names)
    wanted = Encoder.from_pretrained(onnx_model).encode(["first text", "second text"])
    np.testing.assert_allclose(np.array(names["vectors"]), wanted, atol=1e-4)
