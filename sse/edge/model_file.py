"""Read a model directory without numpy and without trust: every size, offset, dtype and name is checked before use.

A quantised table is found by its tensors, a published 4-bit file by its name. Nothing here reads the table itself:
it stays in the file, and the tiers map it. What is slow to import is left out: a process that embeds one text is done
in the time that ``dataclasses`` and ``hashlib`` take.
"""

from __future__ import annotations

import json
import struct
from array import array
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sse.errors import SseError

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT_VERSION = 1
WEIGHTS, Q4_TABLE, Q4_REST = "model.safetensors", "embedding.q4_k_m.bin", "model_rest.safetensors"
LARGEST_HEADER = 100_000_000
WIDTHS = {"F32": 4, "F16": 2, "I8": 1, "U8": 1, "BF16": 2, "F64": 8, "I16": 2, "I32": 4, "I64": 8, "BOOL": 1}
DYT = ("dyt.alpha", "dyt.beta", "dyt.bias")


class Tensor(NamedTuple):
    """Where a tensor lies in a file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte in the file."""

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return prod(self.shape) * WIDTHS[self.dtype]


class Table(NamedTuple):
    """The table as it is stored; offsets are bytes from the start of ``path``."""

    path: Path
    kind: str
    """``f32``, ``f16``, ``int8_column``, ``int8_row`` or ``int4``."""
    rows: int
    dim: int
    codes: int
    scales: int = 0
    scales_dtype: str = "F32"
    groups: int = 0
    """Scales in a row of an int4 table."""
    codebook: array[float] = array("f")
    column_scales: array[float] = array("f")

    @property
    def name(self) -> str:
        """``f32``, ``f16``, ``int8`` or ``int4``."""
        return self.kind.partition("_")[0]


class ModelFiles(NamedTuple):
    """A model directory whose files agree with each other, except for the tokenizer, which its reader checks."""

    directory: Path
    table: Table
    alpha: array[float]
    beta: array[float]
    bias: array[float]
    tokenizer: Path
    max_seq_length: int | None
    empty_zero: bool
    count_exponent: float
    """A token that a text has c times weighs c ** count_exponent in its mean."""
    matryoshka_dims: tuple[int, ...]
    prompts: dict[str, str]
    default_prompt_name: str | None
    similarity: str

    def fingerprint(self) -> str:
        """A digest of what decides the vectors; of the weights only size, head and tail are read."""
        from hashlib import sha256

        digest = sha256(
            repr((self.max_seq_length, self.empty_zero, self.prompts, self.count_exponent)).encode()
        )
        digest.update(self.tokenizer.read_bytes())
        digest.update(self.alpha.tobytes() + self.beta.tobytes() + self.bias.tobytes())
        with open(self.table.path, "rb") as file:
            size = file.seek(0, 2)
            digest.update(f"{self.table.kind} {size}".encode())
            for place in (0, max(0, size - (1 << 20))):
                file.seek(place)
                digest.update(file.read(1 << 20))
        return digest.hexdigest()


def read_model(directory: Path) -> ModelFiles:
    """Read and check a model directory: ours, a published SSE checkpoint, or its 4-bit form.

    Raises:
        SseError: A missing, damaged or contradictory file; one sentence that names it.
    """
    if not directory.is_dir():
        raise SseError(f"{directory}: there is no such directory")
    settings = _object(directory / "config_sentence_transformers.json", required=False)
    folder = module_folder(directory)
    config = _object(folder / "config.json", required=False)
    version = config.get("format_version", FORMAT_VERSION)
    if config.get("format") == "stable-static-embedding" and version != FORMAT_VERSION:
        raise SseError(
            f"{folder / 'config.json'}: format version {version} is not {FORMAT_VERSION}; a newer package is needed"
        )
    table, vectors = _weights(folder)
    for name, value in (("dim", table.dim), ("vocab_size", table.rows)):
        if config.get("format") and config.get(name, value) != value:
            raise SseError(f"{folder / 'config.json'}: {name} is {config[name]!r}, the table has {value}")
    limit = config.get("max_seq_length")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SseError(
            f"{folder / 'config.json'}: max_seq_length must be a positive whole number, not {limit!r}"
        )
    empty = config.get("empty_text", "constant")
    if empty not in ("constant", "zero"):
        raise SseError(f"{folder / 'config.json'}: empty_text must be 'constant' or 'zero', not {empty!r}")
    exponent = config.get("count_exponent", 1)
    if isinstance(exponent, bool) or not isinstance(exponent, (int, float)) or not 0 < exponent <= 1:
        raise SseError(
            f"{folder / 'config.json'}: count_exponent must be above 0 and at most 1, not {exponent!r}"
        )
    prompts = settings.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise SseError(f"{directory / 'config_sentence_transformers.json'}: prompts must be strings")
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise SseError(f"{tokenizer}: there is no such file")
    dims = config.get("matryoshka_dims") or ()
    return ModelFiles(
        directory=directory,
        table=table,
        alpha=vectors[0],
        beta=vectors[1],
        bias=vectors[2],
        tokenizer=tokenizer,
        max_seq_length=limit,
        empty_zero=empty == "zero",
        count_exponent=float(exponent),
        matryoshka_dims=tuple(dim for dim in dims if isinstance(dim, int)),
        prompts=prompts,
        default_prompt_name=settings.get("default_prompt_name"),
        similarity=settings.get("similarity_fn_name") or "cosine",
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the header of a safetensors file and check that it tells the truth about the file.

    Raises:
        SseError: Truncated, overlapping or holed data, an unknown dtype, or sizes that do not fit.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
            if length > min(size - 8, LARGEST_HEADER):
                raise SseError(f"{path}: truncated, or not a safetensors file")
            header = _parse(file.read(length), path)
    except OSError as error:
        raise SseError(f"{path}: {error.strerror or error}") from None
    tensors: dict[str, Tensor] = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            numbers = (*shape, start, end)
            if dtype not in WIDTHS or not all(type(n) is int and 0 <= n < 1 << 48 for n in numbers):
                raise ValueError
            tensor = Tensor(dtype, shape, 8 + length + start)
        except (TypeError, KeyError, ValueError):
            raise SseError(f"{path}: the entry of {name!r} is not valid") from None
        if end - start != tensor.bytes or tensor.start + tensor.bytes > size:
            raise SseError(f"{path}: {name!r} says it has {tensor.bytes} bytes, the file has not")
        tensors[name] = tensor
        spans.append((start, end))
    spans.sort()
    if [start for start, _ in spans] != [0, *(end for _, end in spans)][: len(spans)]:
        raise SseError(f"{path}: its tensors overlap or have holes between")
    if spans and 8 + length + spans[-1][1] != size:
        raise SseError(f"{path}: {size} bytes are not what its header says")
    return tensors


def module_folder(directory: Path) -> Path:
    """Where the module's files lie, by modules.json; only a folder inside the directory is accepted."""
    file = directory / "modules.json"
    if not file.is_file():
        return directory
    modules = _load(file)
    if not isinstance(modules, list) or len(modules) != 1 or not isinstance(modules[0], dict):
        raise SseError(f"{file}: expected a list of one module; this is not an SSE model")
    kind, path = modules[0].get("type"), modules[0].get("path", "")
    if not isinstance(kind, str) or not kind.rsplit(".", 1)[-1].startswith("SSE"):
        raise SseError(f"{file}: the module is {kind!r}, not an SSE")
    parts = path.replace("\\", "/").split("/") if isinstance(path, str) else [".."]
    if ".." in parts or (path and (parts[0] == "" or ":" in path)):
        raise SseError(f"{file}: the path {path!r} leads out of the directory")
    return directory / path if path else directory


def _weights(folder: Path) -> tuple[Table, list[array[float]]]:
    path, q4 = folder / WEIGHTS, folder / Q4_TABLE
    if path.is_file():
        tensors = read_safetensors(path)
        return _table(path, tensors), _vectors(path, tensors)
    if not q4.is_file():
        raise SseError(f"{folder}: there is no {WEIGHTS} and no {Q4_TABLE}")
    vectors = _vectors(folder / Q4_REST, read_safetensors(folder / Q4_REST))
    dim, size = len(vectors[0]), q4.stat().st_size
    rows, rest = divmod(size, dim // 2 + 4)
    if dim % 2 or rest or not rows:
        raise SseError(f"{q4}: {size} bytes are not a whole number of 4-bit rows of {dim} columns")
    levels = array("f", [code / 7.5 - 1 for code in range(16)])
    scales = rows * dim // 2
    _finite_scales(q4, Tensor("F32", (rows,), scales))
    return Table(q4, "int4", rows, dim, 0, scales, groups=1, codebook=levels), vectors


def _table(path: Path, tensors: dict[str, Tensor]) -> Table:
    weight = tensors.get("embedding.weight")
    if weight is not None:
        if len(weight.shape) != 2 or weight.dtype not in ("F32", "F16") or not weight.bytes:
            raise SseError(
                f"{path}: embedding.weight is {weight.dtype} {list(weight.shape)}, not a float table"
            )
        return Table(path, weight.dtype.lower(), *weight.shape, codes=weight.start)
    codes, scales = tensors.get("embedding.codes"), tensors.get("embedding.scales")
    if codes is None or scales is None:
        raise SseError(f"{path}: there is neither embedding.weight nor embedding.codes with embedding.scales")
    book = tensors.get("embedding.codebook")
    if len(codes.shape) == 2 and codes.bytes and len(scales.shape) == 2:
        rows, dim = codes.shape
        _finite_scales(path, scales)
        if codes.dtype == "I8" and scales.dtype == "F32" and scales.shape == (rows, 1):
            return Table(path, "int8_row", rows, dim, codes.start, scales.start, groups=1)
        if codes.dtype == "I8" and scales.dtype == "F32" and scales.shape == (1, dim):
            return Table(path, "int8_column", rows, dim, codes.start, column_scales=_floats(path, scales))
        groups = scales.shape[1]
        if (
            codes.dtype == "U8"
            and book is not None
            and (book.dtype, book.shape) == ("F32", (16,))
            and scales.dtype in ("F16", "F32")
            and scales.shape[0] == rows
            and groups
            and 2 * dim % groups == 0
            and (2 * dim // groups) % 2 == 0
        ):
            levels = _floats(path, book)
            _finite(levels, path, "embedding.codebook")
            return Table(
                path, "int4", rows, 2 * dim, codes.start, scales.start, scales.dtype, groups, codebook=levels
            )
    raise SseError(
        f"{path}: unknown kind of table: codes {codes.dtype} {list(codes.shape)}, "
        f"scales {scales.dtype} {list(scales.shape)}"
    )


def _vectors(path: Path, tensors: dict[str, Tensor]) -> list[array[float]]:
    table = tensors.get("embedding.weight") or tensors.get("embedding.codes")
    found = []
    for name in DYT:
        tensor = tensors.get(name)
        if tensor is None or tensor.dtype not in ("F32", "F16") or len(tensor.shape) != 1:
            raise SseError(f"{path}: there is no {name} of one float for each column")
        columns = tensors[DYT[0]].shape[0]
        if table is not None and len(table.shape) == 2:
            columns = table.shape[1] * (2 if table.dtype == "U8" else 1)
        if tensor.shape != (columns,) or not columns:
            raise SseError(f"{path}: {name} has {tensor.shape[0]} values, the table {columns} columns")
        values = _floats(path, tensor)
        _finite(values, path, name)
        found.append(values)
    return found


def _floats(path: Path, tensor: Tensor) -> array[float]:
    with open(path, "rb") as file:
        file.seek(tensor.start)
        data = file.read(tensor.bytes)
    if tensor.dtype == "F32":
        return array("f", data)
    if tensor.dtype != "F16":
        raise SseError(f"{path}: expected floats, found {tensor.dtype}")
    return array("f", struct.unpack(f"<{len(data) // 2}e", data))


def _finite(values: array[float], path: Path, name: str) -> None:
    if not isfinite(sum(values)) and not all(map(isfinite, values)):
        raise SseError(f"{path}: {name} holds a value that is not finite")


def _finite_scales(path: Path, tensor: Tensor) -> None:
    """Half a million numbers at every start: only their exponents are looked at, and mostly as bytes."""
    if tensor.dtype not in ("F32", "F16"):
        raise SseError(f"{path}: the scales are {tensor.dtype}, not floats")
    width = WIDTHS[tensor.dtype]
    with open(path, "rb") as file:
        file.seek(tensor.start)
        high = file.read(tensor.bytes)[width - 1 :: width]
    mask = 0x7C if width == 2 else 0x7F  # of an infinity or NaN, and, in float32, of values over 1e38
    if len(high.translate(None, bytes(b for b in range(256) if b & mask == mask))) != len(high):
        _finite(_floats(path, tensor), path, "embedding.scales")


def _object(path: Path, *, required: bool) -> dict[str, Any]:
    if not required and not path.is_file():
        return {}
    content = _load(path)
    if not isinstance(content, dict):
        raise SseError(f"{path}: expected a JSON object")
    return content


def _load(path: Path) -> Any:
    try:
        return _parse(path.read_bytes(), path, kind=object)
    except OSError as error:
        raise SseError(f"{path}: {error.strerror or error}") from None


def _parse(data: bytes, path: Path, kind: type = dict) -> Any:
    """JSON in which no key comes twice: two readers could take different ones."""
    try:
        content = json.loads(data.decode("utf-8"), object_pairs_hook=_unique(path))
    except (ValueError, RecursionError) as error:
        raise SseError(f"{path}: not valid JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(content, kind):
        raise SseError(f"{path}: expected a JSON object")
    return content


def _unique(path: Path) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            raise SseError(f"{path}: a key comes twice")
        return content

    return build
