"""Reads a BEIR folder: corpus.jsonl, queries.jsonl and qrels/*.tsv. What cannot be right is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sse.errors import SseError
from sse.eval.suites import Suite


def is_beir_folder(folder: Path) -> bool:
    """Whether ``folder`` means to be one; a missing file is reported when it is read."""
    return (folder / "corpus.jsonl").is_file() or (folder / "queries.jsonl").is_file()


def load(folder: str | Path) -> Suite:
    """Read one set; its name is the folder's.

    A document's text is its title, a space and its text, or the text alone where there is no title. An empty
    document stays. The judgements are qrels/test.tsv, or the only .tsv file in qrels.

    Raises:
        SseError: A file is missing or broken (not UTF-8, not JSON, a key missing, an id twice, a score that
            is not a number, a judgement of an unknown query or document). File and line are named.
    """
    folder = Path(folder).resolve()
    corpus = dict(_records(folder / "corpus.jsonl", titled=True))
    queries = dict(_records(folder / "queries.jsonl", titled=False))
    return Suite(folder.name, queries, corpus, _judgements(_qrels_file(folder), queries, corpus))


def _qrels_file(folder: Path) -> Path:
    test = folder / "qrels" / "test.tsv"
    if test.is_file():
        return test
    others = sorted((folder / "qrels").glob("*.tsv"))
    if len(others) != 1:
        found = ", ".join(file.name for file in others) or "no .tsv file"
        raise SseError(f"{test}: there is no such file, and {folder / 'qrels'} has {found}")
    return others[0]


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """Give (where, line) for every line that is not blank; ``where`` names file and line."""
    try:
        with file.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                where = f"{file}, line {number}"
                try:
                    line = raw.decode("utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise SseError(f"{where}: not UTF-8") from error
                if line.strip():
                    yield where, line
    except OSError as error:
        raise SseError(f"{file}: cannot be read: {error.strerror}") from error


def _records(file: Path, *, titled: bool) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for where, line in _lines(file):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SseError(f"{where}: not valid JSON") from error
        if not isinstance(record, dict):
            raise SseError(f"{where}: not a JSON object")
        key = _field(record, "_id", where)
        text = _field(record, "text", where)
        title = _field(record, "title", where) if titled and record.get("title") is not None else ""
        if key in seen:
            raise SseError(f"{where}: the _id {key!r} occurs twice")
        seen.add(key)
        yield key, f"{title} {text}".strip() if title else text


def _field(record: dict[str, Any], name: str, where: str) -> str:
    if name not in record:
        raise SseError(f"{where}: there is no {name}")
    value = record[name]
    if name == "_id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise SseError(f"{where}: {name} is not a string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SseError(f"{where}: {name} holds a lone surrogate and is not valid Unicode") from error
    return value


def _judgements(file: Path, queries: dict[str, str], corpus: dict[str, str]) -> dict[str, dict[str, float]]:
    qrels: dict[str, dict[str, float]] = {}
    first = True
    for where, line in _lines(file):
        fields = line.split("\t")
        if len(fields) != 3:
            raise SseError(f"{where}: {len(fields)} tab-separated fields, not query-id, corpus-id and score")
        query, document, score = fields
        header, first = first and query not in queries, False
        try:
            grade = float(score)
        except ValueError as error:
            if header:
                continue
            raise SseError(f"{where}: the score {score!r} is not a number") from error
        if not math.isfinite(grade):
            raise SseError(f"{where}: the score {score!r} is not a finite number")
        if query not in queries:
            raise SseError(f"{where}: the query {query!r} is not in queries.jsonl")
        if document not in corpus:
            raise SseError(f"{where}: the document {document!r} is not in corpus.jsonl")
        if qrels.setdefault(query, {}).setdefault(document, grade) != grade:
            raise SseError(f"{where}: {query!r} and {document!r} were judged before, with another score")
    if not any(grade > 0 for grades in qrels.values() for grade in grades.values()):
        raise SseError(f"{file}: no query has a relevant document")
    return qrels
