"""Read the texts of a file one after another, in memory that does not grow with the file.

Text (one a line), JSON lines, CSV with a header and Parquet, told by the extension. Every error names the file
and the line or record at fault. Not here: what becomes of the texts.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sse.errors import SseError, require

Record = dict[str, Any]

LONGEST_CSV_FIELD = 1 << 26
"""Characters. The csv module's own limit of 131,072 is less than a long document; with none at all, one quote
that is never closed would bring a whole file into memory."""

PARQUET_BATCH = 256
"""Records that are held at once: 256 documents of 100 kB are 25 MB."""


@dataclass
class Position:
    """How far a reader has come, for a progress bar; brought up to date every 256 lines or records."""

    done: int = 0
    """Bytes of the file that were read; records of a Parquet file."""
    total: int = 0
    """Bytes or records of the whole file."""


def read_texts(path: str | Path, field: str | None = None) -> list[str]:
    """Read all the texts of a file; arguments and errors are those of :func:`iter_texts`."""
    return list(iter_texts(path, field))


def iter_texts(path: str | Path, field: str | None = None, position: Position | None = None) -> Iterator[str]:
    r"""Read the texts of a file one after another, one a line or record, in order; blank ones too.

    Args:
        path: Text (one a line, which ends with ``\n``, ``\r\n`` or ``\r``), JSON lines, CSV with a header, or
            Parquet, told by the extension; UTF-8, with or without a byte order mark.
        field: Which field of a record; without it ``text`` (after ``title`` where there is one), or else the
            first field that holds text. A blank JSON line or an empty object is a blank text.
        position: Is kept up to date while the file is read.

    Raises:
        SseError: The file is missing or broken, a line is not UTF-8, or a record has no such field; the line
            or record is named.
    """
    path = Path(path)
    position = position or Position()
    reader = _READERS.get(path.suffix.lower())
    try:
        if reader is None:
            for line in _lines(path, None, position):
                yield line.removesuffix("\n")
            return
        for number, record in enumerate(reader(path, field, position), 1):
            text = _text_of(record, field)
            if text is None:
                _refuse(f"{path}: record {number}", record, field)
            if not text.isascii():
                _refuse_surrogates(text, f"{path}: record {number}")
            yield text
    except OSError as error:
        raise SseError(f"{path}: {error.strerror or error}") from None


def _lines(path: Path, newline: str | None, position: Position) -> Iterator[str]:
    # surrogateescape: a byte that is not UTF-8 comes through as a lone surrogate, so that its line is known.
    with open(path, "rb") as raw:
        position.total = os.fstat(raw.fileno()).st_size
        file = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline=newline)
        for number, line in enumerate(file, 1):
            if not line.isascii():
                try:
                    line.encode()
                except UnicodeEncodeError as error:
                    byte = ord(line[error.start]) - 0xDC00
                    raise SseError(f"{path}: not UTF-8: line {number} holds the byte {byte:#x}") from None
            if not number & 255:
                position.done = raw.tell()
            yield line
        position.done = position.total


def _refuse_surrogates(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SseError(f"{where} holds half of a surrogate pair, which is not text") from None


def _jsonl(path: Path, field: str | None, position: Position) -> Iterator[Record]:
    for number, line in enumerate(_lines(path, "\n", position), 1):
        try:
            record = json.loads(line) if line.strip() else {}
        except json.JSONDecodeError as error:
            raise SseError(f"{path}: line {number} is not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits; 100,000 brackets
            raise SseError(f"{path}: line {number} cannot be read as JSON: {error}") from None
        if not isinstance(record, dict):
            raise SseError(f"{path}: line {number} is not a JSON object")
        yield record


def _csv(path: Path, field: str | None, position: Position) -> Iterator[Record]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CSV_FIELD))
    reader = csv.DictReader(_lines(path, "", position), strict=True)
    try:
        yield from reader
    except csv.Error as error:
        begins = reader.line_num + 1  # the record at fault, which may be the rest of the file
        raise SseError(f"{path}: not a CSV file: line {begins}: {error}") from None


def _parquet(path: Path, field: str | None, position: Position) -> Iterator[Record]:
    require("pyarrow", "parquet")
    import pyarrow.parquet

    path.stat()  # the system's own sentence for a file that is not there
    try:
        # Otherwise the column of a whole row group is brought into memory at once, and threads read ahead.
        with pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            position.total = file.metadata.num_rows
            if not position.total:
                return
            names = _columns(file, field, path)
            for batch in file.iter_batches(PARQUET_BATCH, columns=names, use_threads=False):
                columns = [_strings(column, path, position.done) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    yield dict(zip(batch.schema.names, values, strict=True))
                position.done += batch.num_rows
    except pyarrow.ArrowException as error:
        raise SseError(f"{path}: not a Parquet file: {error}") from None


def _columns(file: Any, field: str | None, path: Path) -> list[str]:
    # The columns that can matter: of a file with documents and their pages, only the documents are read.
    schema = file.schema_arrow
    texts = [column.name for column in schema if _holds_text(column.type)]
    if field is not None:
        if field not in texts:
            _no_such_field(f"{path}: record 1", field, schema.names)
        return [field]
    if not texts:
        raise SseError(f"{path}: record 1 has no field that holds text")
    if "text" in texts and _never_null(file.metadata, "text"):
        return [name for name in ("text", "title") if name in texts]
    return texts


def _holds_text(kind: Any) -> bool:
    import pyarrow

    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    return str(kind) in ("string", "large_string", "string_view")


def _never_null(metadata: Any, name: str) -> bool:
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(metadata.num_columns)):
            known = column.statistics
            if column.path_in_schema == name and (known is None or known.null_count != 0):
                return False
    return True


def _strings(column: Any, path: Path, before: int) -> list[str | None]:
    try:
        values: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        for number, value in enumerate(column, before + 1):
            try:
                value.as_py()
            except UnicodeDecodeError:
                raise SseError(f"{path}: not UTF-8: record {number}") from None
        raise
    return values


def _text_of(record: Record, field: str | None) -> str | None:
    """The text of a record, or None if it has none; called a million times, so it writes no sentences."""
    if not record:
        return ""
    if field is None:
        text, title = record.get("text"), record.get("title")
        if not isinstance(text, str):
            return next((value for value in record.values() if isinstance(value, str)), None)
        return f"{title} {text}" if title and isinstance(title, str) else text
    text = record.get(field)
    return text if isinstance(text, str) else None


def _refuse(where: str, record: Record, field: str | None) -> NoReturn:
    if field is None:
        raise SseError(f"{where} has no field that holds text")
    _no_such_field(where, field, list(record))


def _no_such_field(where: str, field: str, names: list[Any]) -> NoReturn:
    raise SseError(f"{where} has no text field {field!r} (fields: {', '.join(map(str, names))})")


_READERS: dict[str, Callable[[Path, str | None, Position], Iterator[Record]]] = {
    ".jsonl": _jsonl,
    ".json": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
