"""What is measured: a name, how to load it in this process, and the source that does the same in a fresh one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sse.edge import Encoder
from sse.edge.tiers import Backend
from sse.errors import SseError

FEWER_DIMS = 256


@dataclass(frozen=True)
class Loaded:
    """A model in this process, ready to run."""

    many: Callable[[list[str]], object]
    one: Callable[[str], object]


@dataclass(frozen=True)
class Method:
    """One row of the results."""

    name: str
    load: Callable[[int], Loaded]
    """Takes the number of threads; peers run with what the environment gives them."""
    source: str
    """Python that defines ``encode``, a function of a list of texts, on one thread."""
    is_peer: bool = False
    without_numpy: bool = False
    """The native path alone, whose result is bytes: numpy must not be imported by it."""
    has_threads: bool = False


@dataclass(frozen=True)
class Model:
    """A model directory whose table is stored in one form."""

    directory: Path
    table: str
    dim: int

    @classmethod
    def open(cls, directory: Path) -> Model:
        """Look at a model directory.

        Raises:
            SseError: It is not a model directory that the encoder can read.
        """
        if not directory.is_dir():
            raise SseError(f"{directory}: there is no such directory")
        encoder = Encoder.from_pretrained(str(directory))
        return cls(directory, encoder.table, encoder.dim)

    def encoder(self) -> Encoder:
        """Load it with the best backend there is."""
        return Encoder.from_pretrained(str(self.directory), threads=1)

    @property
    def tokenizer_file(self) -> Path:
        """The tokenizer of the Hugging Face library, which the peers use."""
        return self.directory / "tokenizer.json"

    @property
    def file_megabytes(self) -> float:
        """Size of the weights, millions of bytes; a published 4-bit model has them in two files."""
        whole = self.directory / "model.safetensors"
        parts = [self.directory / name for name in ("embedding.q4_k_m.bin", "model_rest.safetensors")]
        files = [whole] if whole.exists() else [part for part in parts if part.exists()]
        return sum(file.stat().st_size for file in files) / 1e6

    def describe(self) -> dict[str, Any]:
        """Give what config.json says about the shape."""
        config = json.loads((self.directory / "config.json").read_text(encoding="utf-8"))
        return {"dim": self.dim, "vocab_size": config.get("vocab_size")}


def own_methods(model: Model) -> tuple[list[Method], dict[str, str]]:
    """Make the rows of one model: native and numpy tier, fewer columns, and the native path without numpy.

    Returns:
        The methods, and the backends that are left out, each with its reason.
    """
    backends: list[Backend] = []
    left_out: dict[str, str] = {}
    tiers: tuple[Backend, ...] = ("native", "numpy")
    for backend in tiers:
        try:
            Encoder.from_pretrained(str(model.directory), backend=backend)
        except SseError as error:
            left_out[backend] = str(error).replace(str(model.directory), model.directory.name)
        else:
            backends.append(backend)
    if not backends:  # another kind of tokenizer: what the encoder chooses itself
        backends.append(cast(Backend, Encoder.from_pretrained(str(model.directory)).backend))
    methods = [_encoder(model, backend) for backend in backends]
    if model.dim > FEWER_DIMS:
        methods.insert(1, _encoder(model, backends[0], dim=FEWER_DIMS))
    if backends[0] == "native":
        methods.append(_raw(model))
    return methods, left_out


def _open(model: Model, backend: Backend, dim: int | None, threads: int) -> Encoder:
    return Encoder.from_pretrained(str(model.directory), dim=dim, backend=backend, threads=threads)


def _source(model: Model, backend: Backend, dim: int | None, function: str) -> str:
    return (
        "from sse.edge import Encoder\n"
        f"encode = Encoder.from_pretrained({str(model.directory)!r}, dim={dim!r}, backend={backend!r}, "
        f"threads=1).{function}\n"
    )


def _encoder(model: Model, backend: Backend, dim: int | None = None) -> Method:
    def load(threads: int) -> Loaded:
        encoder = _open(model, backend, dim, threads)
        return Loaded(encoder.encode, encoder.encode)

    name = f"{model.table} {backend}" + (f" {dim} columns" if dim else "")
    return Method(name, load, _source(model, backend, dim, "encode"), has_threads=backend == "native")


def _raw(model: Model) -> Method:
    def load(threads: int) -> Loaded:
        encoder = _open(model, "native", None, threads)
        return Loaded(encoder.encode_raw, lambda text: encoder.encode_raw([text]))

    name = f"{model.table} native, bytes"
    return Method(name, load, _source(model, "native", None, "encode_raw"), without_numpy=True)
