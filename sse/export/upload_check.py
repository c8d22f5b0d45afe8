"""What is checked of an exported directory before anything of it is published; nobody is contacted.

The model gives its golden vectors, modeling_sse.py is the file of this package, JSON is JSON, and huggingface_hub takes
the head of the card. No code of the directory is run. Not here: which files are published (upload_list.py).
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sse
from sse.edge import Encoder
from sse.errors import SseError, require
from sse.export.upload_list import CARD, UploadList

GOLDEN = "golden.json"
CODE = "modeling_sse.py"
OWN_CODE = Path(sse.__file__).parent / "modeling" / CODE


def check_upload(directory: Path, listed: UploadList) -> None:
    """Refuse a model that is damaged, or that would not be what its files say.

    Args:
        directory: The export.
        listed: Its files.

    Raises:
        SseError: What is wrong; the file is named.
    """
    _check_modules(directory, {file.source for file in listed.files})
    for file in listed.files:
        if file.source.suffix == ".json":
            _read_json(file.source)
        if file.source.name == CODE:
            _check_code(file.source)
        if file.path == CARD:
            _check_card(file.source)
    golden = Golden.read(directory / GOLDEN)
    if is_plain(directory):
        golden.compare(None, _plain_vectors(directory, golden.texts))
    else:
        encoder = Encoder.from_pretrained(directory)
        vectors = encoder.encode(golden.texts, normalize_embeddings=False).tolist()
        golden.compare(encoder.tokenize(golden.texts), vectors)


def _check_modules(directory: Path, published: set[Path]) -> None:
    """Every module has its weights and its code among the files that are published."""
    for module in _read_json(directory / "modules.json"):
        kind, folder = str(module.get("type", "")), directory / str(module.get("path", ""))
        if kind != f"{Path(CODE).stem}.SSE" and not kind.startswith("sentence_transformers."):
            raise SseError(
                f"{directory / 'modules.json'}: {kind!r} loads nowhere else; export the model again"
            )
        needed = [folder / "model.safetensors"]
        if kind.startswith(Path(CODE).stem):
            needed.append(directory / CODE)
        for file in needed:
            if file not in published:
                raise SseError(f"{file}: there is no such file, and the model needs it")


def is_plain(directory: Path) -> bool:
    """Whether every module is one of sentence-transformers' own."""
    modules = _read_json(directory / "modules.json")
    return all(str(module.get("type", "")).startswith("sentence_transformers.") for module in modules)


@dataclass(frozen=True)
class Golden:
    """Texts with their ids and vectors, and how far a vector may be off."""

    file: Path
    tolerance: float
    items: list[dict[str, Any]]

    @classmethod
    def read(cls, file: Path) -> Golden:
        """Read golden.json.

        Raises:
            SseError: It is something else.
        """
        content = _read_json(file)
        try:
            items, tolerance = list(content["items"]), float(content["tolerance"])
            whole = bool(items) and 0 < tolerance <= 1e-3
            for item in items:
                whole = whole and isinstance(item["text"], str) and all(map(math.isfinite, item["vector"]))
                whole = whole and all(isinstance(token, int) for token in item["ids"])
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            raise SseError(f"{file}: is not a list of texts with ids and vectors")
        return cls(file, tolerance, items)

    @property
    def texts(self) -> list[str]:
        """What was encoded."""
        return [item["text"] for item in self.items]

    def compare(self, ids: list[list[int]] | None, vectors: list[list[float]]) -> None:
        """Refuse other ids, if there are any to compare, and other vectors.

        Raises:
            SseError: The number of the first text that differs is named.
        """
        for number, (item, vector) in enumerate(zip(self.items, vectors, strict=True)):
            if ids is not None and ids[number] != item["ids"]:
                raise SseError(
                    f"{self.file}: the tokenizer gives other ids for text {number}; export the model again"
                )
            wanted = item["vector"]
            near = (abs(a - b) <= self.tolerance for a, b in zip(vector, wanted, strict=False))
            if len(vector) != len(wanted) or not all(near):
                raise SseError(
                    f"{self.file}: the model gives another vector for text {number}; export the model again"
                )


def _plain_vectors(directory: Path, texts: list[str]) -> list[list[float]]:
    """Vectors of the plain twin, by sentence-transformers."""
    require("torch", "train")
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(str(directory), device="cpu", local_files_only=True)
        found: list[list[float]] = model.encode(texts, normalize_embeddings=False).tolist()
        return found
    except Exception as error:  # damaged files raise whatever the reader of that file raises
        lines = str(error).strip().splitlines()
        raise SseError(f"{directory}: cannot be loaded: {lines[0] if lines else error!r}") from error


def _check_code(file: Path) -> None:
    """People run this file when they load the model."""
    if file.read_bytes() != OWN_CODE.read_bytes():
        raise SseError(
            f"{file}: is not the file that this version of the package writes; export the model again"
        )


def _check_card(file: Path) -> None:
    """The head of the card, by the Hub client's own reader of it."""
    from huggingface_hub import ModelCard

    quiet = logging.getLogger("huggingface_hub.repocard")
    try:
        text = file.read_text(encoding="utf-8")
        before, quiet.disabled = quiet.disabled, True  # what it would say is said below
        try:
            head = dict(ModelCard(text).data.to_dict())  # type: ignore[no-untyped-call, unused-ignore]
        finally:
            quiet.disabled = before
    except Exception as error:  # YAML, missing keys, wrong types: the reader raises many kinds
        what = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise SseError(f"{file}: its head is not one of a model card: {what}") from error
    if not head:
        raise SseError(f"{file}: has no head of a model card (YAML between two lines of ---)")
    for key in ("tags", "datasets", "language", "base_model"):
        value = head.get(key)
        listed = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(one, str) for one in listed):
            raise SseError(f"{file}: {key} in its head must be a list of words, not {value!r}")
    for key in ("license", "library_name", "pipeline_tag"):
        if not isinstance(head.get(key, ""), str):
            raise SseError(f"{file}: {key} in its head must be a word, not {head[key]!r}")


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SseError(f"{file}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SseError(f"{file}: not valid JSON: {str(error).splitlines()[0]}") from None
