"""Search the lines or records of one file with a model: enough to try a model out, not a search engine.

For a collection that is searched often, keep the vectors in a vector store.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sse.errors import SseError, require


@dataclass(frozen=True)
class Hit:
    """One line or record that was found."""

    score: float
    """Cosine similarity with the query."""
    number: int
    """Line or record in the file, from 1."""
    text: str


def search(model: Any, texts: Sequence[str], query: str, k: int = 10, dim: int | None = None) -> list[Hit]:
    """Find the ``k`` texts nearest to ``query``, best first; blank texts are left out.

    Args:
        model: Anything with ``encode_query`` and ``encode_document`` as in sentence-transformers.
        texts: What is searched.
        query: What is looked for.
        k: How many at most.
        dim: Use only the first ``dim`` dimensions.

    Raises:
        SseError: A blank query, or a ``dim`` that the model does not have.
    """
    if not query.strip():
        raise SseError("the query is blank")
    numbers = [number for number, text in enumerate(texts) if text.strip()]
    if not numbers:
        return []
    options: dict[str, Any] = {"normalize_embeddings": True, "truncate_dim": dim, "show_progress_bar": False}
    wanted = np.asarray(model.encode_query([query], **options))[0]
    if dim is not None and len(wanted) != dim:
        raise SseError(f"the model has {len(wanted)} dimensions, not {dim}")
    vectors = np.asarray(
        model.encode_document([texts[number] for number in numbers], batch_size=1024, **options)
    )
    scores = vectors @ wanted
    best = np.argsort(-scores, kind="stable")[:k]
    return [Hit(float(scores[i]), numbers[i] + 1, texts[numbers[i]]) for i in best]


def read_texts(path: str | Path, field: str | None = None) -> list[str]:
    """Read the texts of a file, one a line or record, in order.

    Args:
        path: Text (one a line), JSON lines, CSV with a header, or Parquet, told by the extension.
        field: Which field of a record; without it ``text`` (after ``title`` where there is one), or else the
            first field that holds text.

    Raises:
        SseError: The file is missing or broken, or a record has no such field; the record is named.
    """
    path = Path(path)
    readers = {".jsonl": _jsonl, ".json": _jsonl, ".csv": _csv, ".parquet": _parquet}
    try:
        if path.suffix not in readers:
            return path.read_text(encoding="utf-8").splitlines()
        records = readers[path.suffix](path)
    except OSError as error:
        raise SseError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SseError(f"{path}: not UTF-8: {error.reason} at byte {error.start}") from None
    return [_text_of(record, field, f"{path}: record {number}") for number, record in enumerate(records, 1)]


def _jsonl(path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line) if line.strip() else {}
        except json.JSONDecodeError as error:
            raise SseError(f"{path}: line {number} is not JSON: {error.msg}") from None
        if not isinstance(record, dict):
            raise SseError(f"{path}: line {number} is not a JSON object")
        records.append(record)
    return records


def _csv(path: Path) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8", newline="") as file:
        try:
            return list(csv.DictReader(file, strict=True))
        except csv.Error as error:
            raise SseError(f"{path}: not a CSV file: {error}") from None


def _parquet(path: Path) -> list[dict[str, Any]]:
    require("pyarrow", "train")
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise SseError(f"{path}: not a Parquet file: {error}") from None
    return rows


def _text_of(record: dict[str, Any], field: str | None, where: str) -> str:
    if not record:
        return ""
    if field is None:
        if isinstance(record.get("text"), str):
            title = record.get("title")
            return f"{title} {record['text']}" if isinstance(title, str) and title else str(record["text"])
        field = next((name for name, value in record.items() if isinstance(value, str)), None)
        if field is None:
            raise SseError(f"{where} has no field that holds text")
    if not isinstance(value := record.get(field), str):
        raise SseError(f"{where} has no text field {field!r} (fields: {', '.join(map(str, record))})")
    return value
