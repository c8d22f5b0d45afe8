"""The ONNX files of an export, and what fastembed and transformers.js read beside them.

``onnx/model.onnx`` has the table as float32, ``onnx/model_quantized.onnx`` as int8; these are the names that
transformers.js asks for by ``dtype: "fp32"`` and ``dtype: "q8"``. Neither is left in the directory unless onnxruntime
gets the vectors of the torch module out of it. The graph is built by onnx_graph.py.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sse.errors import SseError, require
from sse.export.golden import golden
from sse.modeling import SSE
from sse.modeling.modeling_sse import read_table

FOLDER = "onnx"
MODEL, QUANTIZED = f"{FOLDER}/model.onnx", f"{FOLDER}/model_quantized.onnx"
LARGEST_FILE = 2**31 - 1  # protobuf's limit
LONGEST_TEXT = 8192
"""Tokens after which other libraries cut a text when the model has no limit: they pad all texts of a batch to the
longest, and want a number."""


def require_onnx() -> None:
    """Check that the libraries are there.

    Raises:
        MissingExtraError: One of them is not.
    """
    require("onnx", "onnx")
    require("onnxruntime", "onnx")


def write_onnx(
    directory: Path, module: SSE, int8: Mapping[str, Tensor], *, normalize: bool = False
) -> dict[str, int]:
    """Write both files into a model directory, check them, and write the files that their readers need beside.

    Args:
        directory: The directory of ``module``, with its tokenizer.json, which loses its post-processor: other
            libraries would add ``[CLS]`` and ``[SEP]`` by it, which this model was not trained with.
        module: The model with the table of the directory as float32.
        int8: That table as ``embedding.codes`` and ``embedding.scales``.
        normalize: Give vectors of length 1.

    Returns:
        The name of each file and its size in bytes.

    Raises:
        SseError: A file that is too large, or that does not give the vectors of the torch module.
    """
    from sse.export.onnx_graph import build

    (directory / FOLDER).mkdir()
    quantized = copy.deepcopy(module)
    quantized.embedding.weight.data = read_table(dict(int8), QUANTIZED)
    float32 = {"embedding.weight": module.embedding.weight}
    for name, source, tensors in ((MODEL, module, float32), (QUANTIZED, quantized, int8)):
        model = build(module, tensors, normalize=normalize)
        if model.ByteSize() > LARGEST_FILE:
            raise SseError(
                f"{name}: a table of {model.ByteSize() / 1e9:.1f} GB does not fit into an ONNX file"
            )
        (directory / name).write_bytes(model.SerializeToString())
        check(directory / name, golden(source), normalize=normalize)
    _write_tokenizer_files(directory, module)
    return {name: (directory / name).stat().st_size for name in (MODEL, QUANTIZED)}


def check(file: Path, expected: Mapping[str, Any], *, normalize: bool = False) -> None:
    """Run golden texts through an ONNX file with onnxruntime, all in one padded batch and each alone.

    Args:
        file: The model.
        expected: What ``golden`` gave, or the content of golden.json.
        normalize: The file gives vectors of length 1.

    Raises:
        SseError: A vector is further off than the tolerance.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    items = expected["items"]
    bags = [item["ids"] for item in items]
    wanted = np.array([item["vector"] for item in items], np.float32)
    if normalize:
        wanted /= np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-12)
    alone = np.concatenate([run(session, [bag]) for bag in bags])
    for found in (run(session, bags), alone):
        worst = np.abs(found - wanted).max(axis=1)
        number = int(np.where(np.isnan(worst), np.inf, worst).argmax())
        if not worst[number] <= expected["tolerance"]:
            raise SseError(
                f"{file.name}: the text {items[number]['text'][:40]!r} of golden.json has another vector in "
                f"onnxruntime {onnxruntime.__version__}, by {worst[number]:.1e}"
            )


def run(session: Any, bags: list[list[int]], padding: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors, float32 (texts, dim), of lists of token ids, padded to the longest."""
    length = max(map(len, bags), default=0)
    ids = np.full((len(bags), length), padding, np.int64)
    mask = np.zeros_like(ids)
    for number, bag in enumerate(bags):
        ids[number, : len(bag)], mask[number, : len(bag)] = bag, 1
    vectors: np.ndarray[Any, np.dtype[np.float32]]
    (vectors,) = session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
    return vectors


def _write_tokenizer_files(directory: Path, module: SSE) -> None:
    """tokenizer_config.json and special_tokens_map.json, which name a token for padding; the mask hides it.

    What they name becomes special, found anywhere in a text, so only a token that is special already may stand there.
    A tokenizer that has none gets none: its texts are embedded one by one, or padded by hand.
    """
    file = directory / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    tokenizer["post_processor"] = None
    _write(file, tokenizer)
    known = [token["content"] for token in tokenizer["added_tokens"] if token["special"]]
    padding = next((token for token in ("[PAD]", "<pad>", *known) if token in known), None)
    unknown = tokenizer["model"].get("unk_token")
    special = {"pad_token": padding} if padding else {}
    if unknown in known:
        special["unk_token"] = unknown
    _write(directory / "special_tokens_map.json", special)
    _write(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": module.max_seq_length or LONGEST_TEXT,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            **special,
        },
    )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
