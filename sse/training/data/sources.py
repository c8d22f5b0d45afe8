"""Data sets of a recipe, brought into one shape: text columns anchor, positive and perhaps negatives.

Hub data sets and local Parquet, JSON lines and CSV files all go through ``datasets``, which keeps them on
disk as Arrow and maps them into memory. A huge Hub data set is streamed: only the rows asked for are fetched.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict

from sse.errors import SseError
from sse.training.recipe import FILE_TYPES, Recipe
from sse.training.recipe_parts import Source

SHUFFLE_BUFFER = 10_000
LABELS = ("label", "score")
"""Columns that hold no text."""


@dataclass(frozen=True)
class LoadedSource:
    """One data set, ready for the trainer."""

    source: Source
    rows: Dataset
    dropped: int
    """Rows left out because a text was empty or missing."""


def load_sources(recipe: Recipe) -> list[LoadedSource]:
    """Load every source of a recipe whose weight is not 0.

    Returns:
        Data sets with the columns ``anchor``, ``positive``, then ``negative`` or ``negative_1``,
        ``negative_2``, ... and, where the source names them, ``label`` (int64; equal for equal ids) or ``score``.

    Raises:
        SseError: A data set is missing, a file is broken, or columns do not fit; the source is named.
    """
    return [load_source(source, recipe.train.seed) for source in recipe.sources if source.weight]


def as_dataset(loaded: list[LoadedSource]) -> DatasetDict:
    """One named data set a source, the form in which the trainer draws each batch from one source."""
    return DatasetDict({item.source.name: item.rows for item in loaded})


def load_source(source: Source, seed: int) -> LoadedSource:
    """Load one source; ``seed`` decides which rows a limit or a weight below 1 takes."""
    rows = _fetch(source, seed)
    names = _choose_columns(source, rows)
    before = len(rows)
    rows = _keep_full_rows(rows, names)
    dropped = before - len(rows)
    if not len(rows):
        raise SseError(f"source {source.name!r}: no row has both an anchor and a positive")
    rows = _rename(rows, names, source)
    if source.limit is not None and len(rows) > source.limit:
        rows = rows.shuffle(seed=seed).select(range(source.limit))
    return LoadedSource(source, _weigh(rows, source.weight, seed), dropped)


def texts_of(loaded: list[LoadedSource], rows: int) -> Iterator[str]:
    """Yield the texts of about ``rows`` rows, taken evenly from all sources, in a fixed order."""
    total = sum(len(item.rows) for item in loaded)
    step = max(1, total // rows)
    for item in loaded:
        columns = [name for name in item.rows.column_names if name not in LABELS]
        for start in range(0, len(item.rows), 1000 * step):
            batch = item.rows[start : start + 1000 * step : step]
            for column in columns:
                yield from batch[column]


def _fetch(source: Source, seed: int) -> Dataset:
    try:
        if source.path is not None:
            suffix = Path(source.path).suffix
            options = {"sep": "\t", "quoting": csv.QUOTE_NONE} if suffix == ".tsv" else {}
            return datasets.load_dataset(FILE_TYPES[suffix], data_files=source.path, split="train", **options)
        where: dict[str, Any] = {"name": source.config, "split": source.split, "revision": source.revision}
        if not source.streaming:
            return datasets.load_dataset(source.hub, **where)
        assert source.limit is not None
        stream = datasets.load_dataset(source.hub, **where, streaming=True)
        stream = stream.shuffle(seed=seed, buffer_size=SHUFFLE_BUFFER).take(source.limit)
        # A closure could not be fingerprinted for the cache, so the rows are named by what they are.
        return Dataset.from_generator(
            _rows_of, gen_kwargs={"stream": stream}, features=stream.features, split=source.split
        )
    except Exception as error:  # datasets raises a dozen classes, several of them bare
        reason = _broken_line(source.path) if source.path else None
        reason = reason or str(error.__cause__ or error).strip().splitlines()[0]
        raise SseError(f"source {source.name!r}: {source.hub or source.path}: {reason}") from error


def _rows_of(stream: Any) -> Iterator[dict[str, Any]]:
    yield from stream


def _choose_columns(source: Source, rows: Dataset) -> dict[str, str]:
    """Return new name -> old name, in the order anchor, positive, negatives, label."""
    there = list(rows.column_names)
    if source.columns is not None:
        negative = source.columns.negative
        chosen = [source.columns.anchor, source.columns.positive]
        chosen += [negative] if isinstance(negative, str) else negative
    elif {"anchor", "positive"} <= set(there):
        chosen = ["anchor", "positive", *(name for name in there if name.startswith("negative"))]
    else:
        chosen = [name for name in there if _is_text(rows, name)]
        if len(chosen) < 2:
            raise SseError(f"source {source.name!r}: fewer than two text columns among {', '.join(there)}")
    for name in chosen:
        if name not in there:
            raise SseError(
                f"source {source.name!r}: there is no column {name!r} (there are: {', '.join(there)})"
            )
        if not _is_text(rows, name):
            raise SseError(f"source {source.name!r}: column {name!r} holds {rows.features[name]}, not text")
    anchor, positive, *negatives = chosen
    if source.negatives is not None:
        negatives = negatives[: source.negatives]
    negatives = [name for name in negatives if _is_mostly_there(rows, name)]
    names = {"anchor": anchor, "positive": positive}
    if len(negatives) == 1:
        names["negative"] = negatives[0]
    else:
        names |= {f"negative_{number}": name for number, name in enumerate(negatives, 1)}
    if source.columns is not None and (key := source.columns.id):
        if key not in there:
            raise SseError(
                f"source {source.name!r}: there is no column {key!r} (there are: {', '.join(there)})"
            )
        names["label"] = key
    if source.columns is not None and (key := source.columns.score):
        if key not in there or _is_text(rows, key):
            raise SseError(f"source {source.name!r}: there is no column {key!r} of numbers")
        names["score"] = key
    return names


def _is_text(rows: Dataset, name: str) -> bool:
    feature = rows.features[name]
    return getattr(feature, "dtype", None) in ("string", "large_string", "null")


def _is_mostly_there(rows: Dataset, name: str) -> bool:
    """A negative that most rows lack is not worth losing those rows for."""
    column = rows.data.column(name)
    return 2 * int(column.null_count) <= len(column)


def _keep_full_rows(rows: Dataset, names: dict[str, str]) -> Dataset:
    texts = [old for new, old in names.items() if new not in LABELS]

    def full(batch: dict[str, list[Any]]) -> list[bool]:
        return [
            all(text and text.strip() for text in row)
            for row in zip(*(batch[name] for name in texts), strict=True)
        ]

    return rows.filter(full, batched=True, keep_in_memory=False)


def _rename(rows: Dataset, names: dict[str, str], source: Source) -> Dataset:
    rows = rows.select_columns(list(dict.fromkeys(names.values())))
    if "label" in names:
        ids = list(rows[names["label"]])
        codes = {value: code for code, value in enumerate(dict.fromkeys(ids))}
        rows = rows.add_column("__label", [codes[value] for value in ids])
    # In two steps: a new name may be the old name of another column.
    rows = rows.rename_columns({old: f"__{new}" for new, old in names.items() if new != "label"})
    rows = rows.select_columns([f"__{new}" for new in names])
    return rows.rename_columns({f"__{new}": new for new in names})


def _weigh(rows: Dataset, weight: float, seed: int) -> Dataset:
    whole, rest = divmod(round(weight * len(rows)), len(rows))
    parts = [rows] * whole
    if rest:
        parts.append(rows.shuffle(seed=seed).select(range(rest)))
    if not parts:
        parts.append(rows.select(range(1)))
    return parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)


def _broken_line(path: str) -> str | None:
    """Find what is wrong with a JSON lines or CSV file, which the reader's own error seldom says."""
    if Path(path).suffix in (".parquet", ".tsv"):
        return None
    try:
        with open(path, encoding="utf-8", newline="") as file:
            if Path(path).suffix == ".csv":
                width = None
                for number, row in enumerate(csv.reader(file, strict=True), 1):
                    width = width or len(row)
                    if len(row) != width:
                        return f"row {number} has {len(row)} fields, the first one {width}"
                return None
            for number, line in enumerate(file, 1):
                if line.strip() and not isinstance(json.loads(line), dict):
                    return f"line {number} is not a JSON object"
    except json.JSONDecodeError as error:
        return f"line {number} is not JSON: {error.msg}"
    except csv.Error as error:
        return f"not a CSV file: {error}"
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return None
