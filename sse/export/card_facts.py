"""What a model card tells of a model, read from its directory alone: no network, and the table is not loaded.

Not here: the figures (card_figures.py) and how the card looks (card.md.jinja).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sse.edge.model_file import Table, module_folder, read_model
from sse.errors import SseError
from sse.export.beside import BESIDE, read_beside
from sse.files import sha256_of
from sse.hub_name import split_revision
from sse.shipped import is_shipped, resolve

RESULTS = "results.json"
# Told in the card by words of their own; everything else that a training stores stands in the table of settings.
TOLD = (
    "sources",
    "language",
    "license",
    "trained_on",
    "command",
    "rows",
    "seconds",
    "recipe",
    "description",
    "seed",
    "vocabulary",
)


@dataclass(frozen=True)
class StoredFile:
    """A file of the model."""

    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> StoredFile:
        """Measure a file."""
        return cls(path.name, path.stat().st_size, sha256_of(path))


@dataclass(frozen=True)
class CardFacts:
    """Everything that stands in a card."""

    name: str
    """Hub id, directory or name, as it stands in the snippets."""
    dim: int
    vocabulary: int
    """Rows of the table."""
    table: str
    """Its stored form, in words."""
    dims: tuple[int, ...] = ()
    """What it was trained to be cut to, the full width first."""
    max_seq_length: int | None = None
    empty_text: str = "constant"
    count_exponent: float = 1.0
    similarity: str = "cosine"
    training: Mapping[str, Any] = field(default_factory=dict)
    """Facts of the training as config.json has them; any of them may be absent."""
    results: Mapping[str, Any] | None = None
    """Content of results.json."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Content of beside.json: other models on the same sets."""
    files: tuple[StoredFile, ...] = ()
    plain: bool = False
    """It is the plain twin, which needs no flag and which ``Encoder`` does not read."""
    shipped: bool = False
    """It is the model in this package."""
    onnx: bool = False
    """There are ONNX files in it."""

    @classmethod
    def of(cls, model: str | Path, name: str | None = None) -> CardFacts:
        """Read the facts of a model directory.

        Args:
            model: The directory, or the name of the model in this package.
            name: Name in the card; the directory's name by default.

        Raises:
            SseError: There is no such directory, or a file in it is damaged.
        """
        directory = Path(resolve(model))
        files = read_model(directory)
        config, results = module_folder(directory) / "config.json", directory / RESULTS
        return cls(
            name=name or directory.resolve().name,
            dim=files.table.dim,
            vocabulary=files.table.rows,
            table=table_in_words(files.table),
            dims=files.matryoshka_dims or (files.table.dim,),
            max_seq_length=files.max_seq_length,
            empty_text="zero" if files.empty_zero else "constant",
            count_exponent=files.count_exponent,
            similarity=files.similarity,
            training=read_object(config).get("training") or {} if config.is_file() else {},
            results=read_results(results) if results.is_file() else None,
            beside=read_beside(directory / BESIDE),
            files=(StoredFile.of(files.table.path), StoredFile.of(files.tokenizer)),
            shipped=is_shipped(directory) and name in (None, directory.name),
            onnx=(directory / "onnx" / "model_quantized.onnx").is_file(),
        )

    @property
    def parameters(self) -> int:
        """Numbers in the model: the table and three a column."""
        return (self.vocabulary + 3) * self.dim

    @property
    def commands(self) -> list[str]:
        """The commands that made the model, if the training facts have them: one string, or a list."""
        command = self.training.get("command") or ()
        return [command] if isinstance(command, str) else [str(line) for line in command]

    @property
    def english(self) -> bool:
        """Whether English is its only language."""
        return self.training.get("language") in ("en", ["en"])

    @property
    def vocabulary_source(self) -> str | None:
        """Where the vocabulary is from: "wordpiece", made from the training texts; a Hub id; or the name of a file."""
        model = self.training.get("model") or {}
        return self.training.get("vocabulary") or model.get("tokenizer")

    @property
    def base_model(self) -> str | None:
        """Hub id of the model that the rows started from, if there is one."""
        model, _ = split_revision(str((self.training.get("start") or {}).get("model")))
        return model if model.count("/") == 1 else None

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Settings of the training: dotted key and value, in the order in which they are stored."""
        return list(_flat({key: value for key, value in self.training.items() if key not in TOLD}))


def table_in_words(table: Table) -> str:
    """The number type of a table and what a scale of it stands for.

    Example:
        >>> table_in_words(Table(Path("m"), "int4", rows=9, dim=64, codes=0, groups=2))
        'int4, one scale for 32 columns of a row'
    """
    if table.kind == "int4":
        return f"int4, one scale for {table.dim // table.groups} columns of a row"
    return {
        "f32": "float32",
        "f16": "float16",
        "int8_row": "int8, one scale a row",
        "int8_column": "int8, one scale a column",
    }[table.kind]


def read_results(path: Path) -> dict[str, Any]:
    """Read a results.json as far as a card needs it: the scores of queries may be left out.

    Raises:
        SseError: It cannot be read or has another schema.
    """
    content = read_object(path, what="a results file")
    if content.get("schema") != 1 or not content.get("sets"):
        raise SseError(f"{path}: not a results file of schema 1")
    return content


def read_object(path: Path, what: str = "a JSON object") -> dict[str, Any]:
    """Read a JSON object; an absent file is an error, as everything that is not one.

    Raises:
        SseError: One sentence that names the file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SseError(f"{path}: not {what}: {error}") from None
    if not isinstance(content, dict):
        raise SseError(f"{path}: not {what}")
    return content


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None and value != "" and value != []:
            yield prefix + key, _word(value)


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_word, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
