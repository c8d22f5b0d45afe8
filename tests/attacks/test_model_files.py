"""Model directories that lie: each is refused with one sentence that names the file, in every tier."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from sse import Encoder
from sse.errors import SseError
from tests.edge.conftest import DIM, models  # noqa: F401

BACKENDS = ("native", "numpy", "tokenizers")


@pytest.fixture
def copy(models, tmp_path):  # noqa: F811
    def make(kind: str = "f32") -> Path:
        target = tmp_path / "model"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(models[kind], target)
        return target

    return make


def header(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write(path: Path, head: dict, body: bytes) -> None:
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def refused(directory: Path, *words: str) -> None:
    for backend in BACKENDS:
        with pytest.raises(SseError) as caught:
            Encoder.from_pretrained(directory, backend=backend)
        message = str(caught.value)
        assert "\n" not in message
        for word in words:
            assert word in message


@pytest.mark.parametrize("size", [0, 4, 8, 100, 5000, -1])
def test_truncated_weights(copy, size):
    directory = copy()
    file = directory / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:size])
    refused(directory, "model.safetensors")


def test_more_bytes_than_the_header_says(copy):
    directory = copy()
    with open(directory / "model.safetensors", "ab") as file:
        file.write(b"more")
    refused(directory, "model.safetensors", "not what its header says")


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [0, 1 << 62]},
        {"data_offsets": [1 << 62, (1 << 62) + 4]},
        {"data_offsets": [-8, 0]},
        {"data_offsets": [8, 0]},
        {"data_offsets": [0.0, 4]},
        {"data_offsets": "all"},
        {"data_offsets": [0]},
        {"dtype": "F128"},
        {"dtype": ["F32"]},
        {"dtype": "I64"},
        {"shape": [1 << 40, 1 << 40]},
        {"shape": [-1, DIM]},
        {"shape": [True, DIM]},
        {"shape": []},
        {"shape": None},
        {"shape": [30522 * DIM]},
        {"shape": [DIM, 30522]},
    ],
)
@pytest.mark.parametrize("name", ["embedding.weight", "dyt.alpha"])
def test_entries_that_lie(copy, name, change):
    if name == "dyt.alpha" and change.get("shape") in ([DIM, 30522], [30522 * DIM]):
        pytest.skip("covered by the table")
    directory = copy()
    file = directory / "model.safetensors"
    head, body = header(file)
    head[name] = {**head[name], **change}
    write(file, head, body)
    refused(directory, "model.safetensors")


def test_overlapping_tensors(copy):
    directory = copy()
    file = directory / "model.safetensors"
    head, body = header(file)
    head["dyt.beta"]["data_offsets"] = head["dyt.alpha"]["data_offsets"]
    write(file, head, body)
    refused(directory, "overlap")


@pytest.mark.parametrize(
    "head",
    [b"[]", b"null", b"{", b"\xff\xfe", b'{"a": {}, "a": {}}', b"[" * 100_000, b'{"__metadata__": {}}'],
)
def test_headers_that_are_none(copy, head):
    directory = copy()
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    refused(directory, "model.safetensors")


def test_a_header_longer_than_the_file(copy):
    directory = copy()
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", (1 << 64) - 1) + b"{}")
    refused(directory, "truncated")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("f32", "dyt.alpha"),
        ("f32", "dyt.bias"),
        ("int8_row", "embedding.scales"),
        ("int8_column", "embedding.scales"),
        ("int4", "embedding.codebook"),
        ("int4", "embedding.scales"),
    ],
)
def test_values_that_are_not_finite(copy, kind, name, value):
    directory = copy(kind)
    file = directory / "model.safetensors"
    head, body = header(file)
    dtype = np.float16 if head[name]["dtype"] == "F16" else np.float32
    start, end = head[name]["data_offsets"]
    values = np.frombuffer(body[start:end], dtype).copy()
    values[len(values) // 2] = value
    write(file, head, body[:start] + values.tobytes() + body[end:])
    refused(directory, name, "not finite")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("kind", "dtype"), [("f32", np.float32), ("f16", np.float16)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_row_that_is_not_finite_is_named_when_it_is_used(copy, kind, dtype, backend, value):
    directory = copy(kind)
    token = Encoder.from_pretrained(directory).tokenize("planet")[0][0]
    file = directory / "model.safetensors"
    head, body = header(file)
    start, end = head["embedding.weight"]["data_offsets"]
    table = np.frombuffer(body[start:end], dtype).reshape(-1, DIM).copy()
    table[token, 3] = value
    write(file, head, body[:start] + table.tobytes() + body[end:])
    encoder = Encoder.from_pretrained(directory, backend=backend)
    assert np.isfinite(encoder.encode(["the moon"])).all()
    for texts in ("red planet", ["the moon", "red planet"], ["the moon " * 3000] * 20 + ["planet"]):
        with pytest.raises(SseError, match=rf"model.safetensors: row {token} of the table is not finite"):
            encoder.encode(texts)


@pytest.mark.parametrize("path", ["..", "../model", "/etc", "a/../..", "C:\\x", "\\\\server\\x", 7])
def test_names_that_climb_out(copy, path):
    directory = copy()
    modules = json.loads((directory / "modules.json").read_text())
    modules[0]["path"] = path
    (directory / "modules.json").write_text(json.dumps(modules))
    refused(directory, "modules.json", "out of the directory")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 2}, "version 2"),
        ({"dim": 5}, "dim is 5"),
        ({"vocab_size": 7}, "vocab_size is 7"),
        ({"max_seq_length": -1}, "max_seq_length"),
        ({"empty_text": "maybe"}, "empty_text"),
    ],
)
def test_configurations_that_contradict(copy, change, words):
    directory = copy()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | change))
    refused(directory, "config.json", words)


@pytest.mark.parametrize(
    "name", ["config.json", "modules.json", "tokenizer.json", "config_sentence_transformers.json"]
)
@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"3", b'"text"', b"{" * 50_000])
def test_files_that_are_not_what_they_should_be(copy, name, content):
    directory = copy()
    (directory / name).write_bytes(content)
    refused(directory, name)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors"])
def test_missing_files(copy, name):
    directory = copy()
    (directory / name).unlink()
    refused(directory, name)


def test_a_missing_directory(tmp_path):
    refused(tmp_path / "nowhere", "nowhere", "no such directory")


@pytest.mark.parametrize("number", [30522, 1 << 40, -1, "7", True, None])
def test_ids_past_the_table(copy, number):
    directory = copy()
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["planet"] = number
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused(directory, "tokenizer.json")


def test_an_added_token_past_the_table(copy):
    directory = copy()
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["added_tokens"][0]["id"] = 99_999
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused(directory, "tokenizer.json", "99999")


@pytest.mark.parametrize("size", [0, 7, -1])
def test_a_published_4_bit_file_of_the_wrong_size(copy, size):
    directory = copy("q4")
    file = directory / "embedding.q4_k_m.bin"
    data = file.read_bytes()
    file.write_bytes(data[:size])
    refused(directory, "embedding.q4_k_m.bin")


def test_a_file_that_shrinks_is_refused_when_it_is_opened_again(copy):
    directory = copy("int8_column")
    encoder = Encoder.from_pretrained(directory, backend="numpy")
    assert encoder.encode("a").shape == (DIM,)
    (directory / "model.safetensors").unlink()  # the mapping keeps what it has
    assert encoder.encode("b").shape == (DIM,)
    refused(directory, "model.safetensors")
