"""Turn the texts of a file into a file of vectors, in memory that does not grow with it.

A run that was stopped, or killed, goes on where it was. Not here: reading texts (:mod:`sse.texts`), and the
file that grows (:mod:`sse.partfile`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy.typing as npt

from sse import __version__
from sse.errors import SseError, require
from sse.partfile import PartFile
from sse.read_ahead import read_ahead
from sse.texts import Position, iter_texts

BATCH_TEXTS = 8192
BATCH_CHARACTERS = 1_000_000
ROW_GROUP_BYTES = 4 << 20

Precision = Literal["f32", "int8", "binary"]
PRECISIONS: dict[Precision, tuple[str, str]] = {
    "f32": ("float32", "<f4"),
    "int8": ("int8", "|i1"),
    "binary": ("binary", "|i1"),
}
"""Name on the command line: name in ``encode``, dtype in the file."""


class EncoderLike(Protocol):
    """What is asked of an encoder: the keywords of :class:`sse.Encoder`."""

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""

    @property
    def fingerprint(self) -> str:
        """Changes when the model does."""

    @property
    def encode_document(self) -> Callable[..., npt.NDArray[Any]]:
        """Encodes texts that are searched."""

    @property
    def encode_query(self) -> Callable[..., npt.NDArray[Any]]:
        """Encodes texts that are looked for."""


@dataclass(frozen=True)
class EncodeResult:
    """A file of vectors that was written."""

    output: Path
    rows: int
    """Texts of the input, and rows of the output."""
    dim: int
    """Dimensions of a vector."""
    columns: int
    """Values in a row: ``dim``, or an eighth of it where the precision is binary."""
    precision: str
    resumed_rows: int
    """Of ``rows``, those that an earlier run had written."""
    seconds: float


def encode_file(
    encoder: EncoderLike,
    input: str | Path,
    output: str | Path,
    *,
    dim: int | None = None,
    precision: Precision = "f32",
    field: str | None = None,
    kind: Literal["document", "query"] = "document",
    show_progress: bool | None = None,
    say: Callable[[str], object] | None = None,
) -> EncodeResult:
    """Encode the texts of a file, one row a text, blank ones too: row i belongs to line or record i.

    ``output`` appears when it is whole. Until then the rows are in ``.NAME.part`` beside it; the same call
    after a stop goes on from there, and what it writes is byte for byte what one run writes.

    Args:
        encoder: A :class:`sse.Encoder`, or anything with its ``encode_document``, ``encode_query``, ``dim`` and
            ``fingerprint``.
        input: Text (one a line), JSON lines, CSV or Parquet; see :func:`sse.texts.iter_texts`.
        output: ``.npy``, an array of shape (rows, columns), or ``.parquet``, a column ``embedding`` of lists of
            a fixed size.
        dim: Use only the first ``dim`` dimensions.
        precision: ``f32``; ``int8``, each vector scaled by its own largest value; or ``binary``, one bit a
            dimension packed into int8 as sentence-transformers does.
        field: Which field of a record.
        kind: Whether the texts are searched or looked for.
        show_progress: A bar on standard error; by default where that is a terminal.
        say: Is told when rows of an earlier run are used or dropped; by default standard error is.

    Raises:
        SseError: Another kind of output, a ``dim`` that the model does not have, an input that is broken or
            changes meanwhile, a full disk, or another run that writes the same output.
    """
    began = time.perf_counter()
    input, output = Path(input), Path(output)
    say = say or (lambda line: sys.stderr.write(f"{line}\n"))
    dims, columns = shape_of(encoder, dim, precision)
    name, dtype = PRECISIONS[precision]
    check_places(input, output)
    options = {"truncate_dim": dims, "precision": name, "normalize_embeddings": True}
    encode = encoder.encode_query if kind == "query" else encoder.encode_document
    source = _identity(input)
    made_from = {
        "input": [input.name, *source],
        "model": encoder.fingerprint,
        "backend": getattr(encoder, "backend", None),  # they may differ in the last bit
        "dim": dims,
        "precision": precision,
        "field": field,
        "kind": kind,
        "version": __version__,
    }
    position = Position()
    texts = iter_texts(input, field, position)
    with PartFile(output, dtype, columns, made_from) as part:
        if part.dropped or (part.rows and not input.is_file()):
            say(f"{part.path}: made from another input, model or options; starting afresh")
        found = part.rows if input.is_file() else 0  # a pipe cannot be read from where it was
        rows = resumed = 0
        with progress_bar(show_progress) as show:
            # The batches of the earlier run are formed again and whole ones are skipped: every text meets the
            # same neighbours as in one run, so no backend can give it other bits.
            for batch in read_ahead(_batches(texts)):
                rows += len(batch)
                if rows <= found:
                    resumed = rows
                else:
                    if resumed and rows - len(batch) == resumed:
                        say(f"{output}: going on after {resumed:,} rows")
                    vectors = encode(batch, **options).reshape(len(batch), columns)
                    with _room(part):
                        part.write(rows - len(batch), vectors)
                show(position)
        if _identity(input) != source:
            part.cut(0)
            raise SseError(f"{input}: changed while it was read")
        with _room(part):
            if part.rows != rows:
                part.cut(rows)
            part.finish()
            if output.suffix.lower() == ".parquet":
                _write_parquet(part, output)
            else:
                part.publish()
    return EncodeResult(output, rows, dims, columns, precision, resumed, time.perf_counter() - began)


def shape_of(encoder: EncoderLike, dim: int | None, precision: Precision) -> tuple[int, int]:
    """Dimensions of a vector that is cut to ``dim``, and values in its row.

    Raises:
        SseError: The model has not so many dimensions.
    """
    dims = encoder.dim if dim is None else dim
    if not 0 < dims <= encoder.dim:
        raise SseError(f"the model has {encoder.dim} dimensions, not {dims}")
    return dims, (dims + 7) // 8 if precision == "binary" else dims


def check_places(input: Path, output: Path) -> None:
    """Refuse an input or output that cannot be used, before a model is loaded; makes the output's directory.

    Raises:
        SseError: The file is named.
    """
    if output.suffix.lower() not in (".npy", ".parquet"):
        raise SseError(f"{output}: vectors are written as .npy or .parquet")
    if output.is_dir():
        raise SseError(f"{output}: is a directory")
    if output.exists() and input.exists() and os.path.samefile(input, output):
        raise SseError(f"{output}: is the input")
    if output.suffix.lower() == ".parquet":
        require("pyarrow", "parquet")
    _identity(input)
    output.parent.mkdir(parents=True, exist_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError as error:
        raise SseError(f"{path}: {error.strerror}") from None
    return (state.st_size, state.st_mtime_ns) if path.is_file() else (0, 0)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == BATCH_TEXTS or size + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


@contextmanager
def _room(part: PartFile) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = f"{part.rows:,} rows are kept, and the same command goes on from there"
        raise SseError(f"{part.output}: {error.strerror or error}; {kept}") from None


def _write_parquet(part: PartFile, output: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.float32() if part.dtype.kind == "f" else pa.int8()
    schema = pa.schema([pa.field("embedding", pa.list_(pa.field("element", kind, False), part.width), False)])
    rows = max(1, ROW_GROUP_BYTES // (part.width * 4))  # fixed: the same rows give the same bytes
    staged = part.path.with_name(f"{part.path.name}.parquet")
    try:
        # A byte is four in Parquet; a dictionary of the 256 values brings that back to one.
        small = kind == pa.int8()
        options = {"use_dictionary": small, "compression": "snappy" if small else "none"}
        with pq.ParquetWriter(staged, schema, write_statistics=False, **options) as writer:
            for block in part.read(rows):
                flat = pa.array(block.reshape(-1))
                values = pa.FixedSizeListArray.from_arrays(flat, type=schema.field(0).type)
                writer.write_batch(pa.record_batch([values], schema=schema), row_group_size=rows)
        os.replace(staged, output)
    finally:
        staged.unlink(missing_ok=True)
    part.remove()


@contextmanager
def progress_bar(wanted: bool | None) -> Iterator[Callable[[Position], object]]:
    """Gives a function that shows a position; by default where standard error is a terminal."""
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda position: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("encoding"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("encoding", total=None)
        yield lambda position: progress.update(task, completed=position.done, total=position.total or None)
