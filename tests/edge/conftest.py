"""Exported directories of one model with every kind of table."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sse.export import export
from sse.export.quantize import _int8
from sse.modeling import SSE, build_model

DIM = 96
KINDS = ("f32", "f16", "int8_column", "int8_row", "int4", "q4")
POOLED = {"half_f32": 0.5, "most_f32": 0.8, "most_int8": 0.8, "most_int4": 0.8}
"""The same tables with repeated tokens weighed less: count_exponent by name."""


@pytest.fixture(scope="session")
def models(bert_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    module = SSE(bert_tokenizer, DIM)
    with torch.no_grad():
        module.dyt.alpha.uniform_(0.2, 2.0)
        module.dyt.beta.uniform_(0.5, 1.5)
        module.dyt.bias.uniform_(-0.5, 0.5)
    model = build_model(module, query_prompt="query: ", document_prompt="")
    root, found = tmp_path_factory.mktemp("models"), {}
    for kind in KINDS:
        table = "f32" if kind == "q4" else kind.partition("_")[0]
        export(model, root / kind, table=table)
        found[kind] = root / kind
    for axis, kind in ((1, "int8_row"), (0, "int8_column")):
        file = root / kind / "model.safetensors"
        save_file(
            load_file(file) | {k: v.contiguous() for k, v in _int8(module.embedding.weight, axis).items()},
            file,
        )
    _to_q4(root / "q4")
    for name, exponent in POOLED.items():
        table = name.split("_")[1]
        other = SSE(bert_tokenizer, weights=module.embedding.weight, count_exponent=exponent)
        other.dyt.load_state_dict(module.dyt.state_dict())
        export(build_model(other), root / name, table=table)
        found[name] = root / name
    return found


def _to_q4(directory: Path) -> None:
    """The published 4-bit form: codes, then one float32 scale a row; the other tensors in a file beside."""
    state = load_file(directory / "model.safetensors")
    table = state.pop("embedding.weight")
    scales = table.abs().amax(1, keepdim=True)
    codes = ((table / scales + 1) * 7.5).round().clamp(0, 15).to(torch.uint8)
    packed = (codes[:, 0::2] << 4) | codes[:, 1::2]
    (directory / "embedding.q4_k_m.bin").write_bytes(
        packed.contiguous().numpy().tobytes() + scales.contiguous().numpy().tobytes()
    )
    save_file(state, directory / "model_rest.safetensors")
    (directory / "model.safetensors").unlink()
    (directory / "golden.json").unlink()
