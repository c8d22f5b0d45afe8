"""Which files of an exported directory are published: a list of names and patterns. Whatever else lies there is not.

Not here: whether the files are sound (upload_check.py), and sending them (hub.py).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from sse.errors import SseError
from sse.files import sha256_of

CARD = "README.md"
NEEDED = ("README.md", "config_sentence_transformers.json", "golden.json", "modules.json")
"""Without these it is not an export."""
ROOT = (
    *NEEDED,
    "beside.json",
    "config.json",
    "model.safetensors",
    "modeling_sse.py",
    "results.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
BY_HAND = ("LICENSE",)
"""No export writes it: published if it is there, and never taken out of a repository."""
ONNX = ("onnx/model*.onnx",)
MODULE = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
"""In a folder that modules.json names: the plain twin has three."""
TABLES = ("f32", "f16", "int8", "int4")
"""Folders of further tables, each with an export of its own."""
PICTURES = (".png", ".svg", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class UploadFile:
    """A file that goes into the repository."""

    path: str
    """In the repository, with forward slashes."""
    source: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class UploadList:
    """What is published of a directory."""

    files: tuple[UploadFile, ...]
    left_out: tuple[str, ...] = ()
    """Files that are not on the list and stay at home."""


def list_upload(directory: Path, prefix: str = "") -> UploadList:
    """Sort the files of an export into those that are published and those that are not.

    Args:
        directory: The export.
        prefix: Folder in the repository, for a further table; its card is left out.

    Raises:
        SseError: A file that every export has is not there, or one on the list is a link.
    """
    for name in NEEDED:
        if not (directory / name).is_file():
            raise SseError(
                f"{directory}: is not an exported model, there is no {name}; write one with: sse export MODEL DIR"
            )
    wanted = published_names(directory)
    files, left_out = [], []
    for path in sorted(directory.rglob("*")):
        inside = path.relative_to(directory).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        folder = path.is_dir() and any(name.startswith(f"{inside}/") for name in wanted)
        if not folder and not any(fnmatchcase(inside, name) for name in wanted):
            left_out.append(inside)
        elif path.is_symlink():
            raise SseError(f"{path}: is a link; only plain files are published")
        elif not (prefix and inside == CARD):
            place = f"{prefix}/{inside}" if prefix else inside
            files.append(UploadFile(place, path, path.stat().st_size, sha256_of(path)))
    return UploadList(tuple(files), tuple(left_out))


def published_names(directory: Path) -> list[str]:
    """Names and patterns, relative to the directory, of what is published of it."""
    return [*ROOT, *BY_HAND, *ONNX, *_of_modules(directory / "modules.json"), *_pictures(directory / CARD)]


def is_published(path: str) -> bool:
    """Whether a file of a repository is one that an earlier push can have brought there."""
    first, _, rest = path.partition("/")
    if first in TABLES and rest:
        return is_published(rest)
    patterns = (*ROOT, *ONNX, *(f"[0-9]_*/{name}" for name in MODULE))
    return path.count("/") <= 1 and any(fnmatchcase(path, name) for name in patterns)


def _of_modules(file: Path) -> list[str]:
    """Files in the folders that modules.json names."""
    try:
        folders = [PurePosixPath(module["path"]) for module in json.loads(file.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SseError(f"{file}: is not a list of modules") from None
    if any(folder.is_absolute() or ".." in folder.parts for folder in folders):
        raise SseError(f"{file}: a path leads out of the directory")
    return [_literal(f"{folder}/{name}") for folder in folders if folder.parts for name in MODULE]


def _pictures(card: Path) -> list[str]:
    """Pictures in the directory that the card shows."""
    text = card.read_text(encoding="utf-8", errors="replace")
    shown = re.findall(r"!\[[^\]]*\]\(\s*<?([^)\s>]+)", text) + re.findall(r"<img[^>]+src=\"([^\"]+)\"", text)
    return [_literal(str(PurePosixPath(name))) for name in shown if name.lower().endswith(PICTURES)]


def _literal(name: str) -> str:
    """A pattern that only this name matches."""
    return re.sub(r"([*?[])", r"[\1]", name)
