"""Pairs from documentation that every Python has: name and summary line of a docstring, and the rest of it.

Source files are parsed, never imported.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED_FOLDERS = {
    "test",
    "tests",
    "testing",
    "idlelib",
    "lib2to3",
    "site-packages",
    "__pycache__",
    "_vendor",
    "vendor",
}
MIN_SUMMARY, MIN_REST, MAX_REST = 15, 60, 1000
LARGEST_FILE = 400_000


@dataclass(frozen=True)
class DocPair:
    """One docstring, cut in two."""

    anchor: str
    """Name of the object and first line of its docstring."""
    positive: str
    """The rest of the docstring."""


def docstring_pairs(limit: int) -> list[DocPair]:
    """Collect pairs from the standard library, then from installed packages, until there are ``limit``.

    The files of the installed packages are taken in an order that depends on their names alone, so that
    no package fills the list. Pairs whose anchor or positive was there before are left out.
    """
    found: dict[str, DocPair] = {}
    anchors: set[str] = set()
    for file, module in _source_files():
        for pair in _pairs_of(file, module):
            if pair.positive not in found and pair.anchor not in anchors:
                found[pair.positive] = pair
                anchors.add(pair.anchor)
        if len(found) >= limit:
            break
    return list(found.values())[:limit]


def _source_files() -> Iterator[tuple[Path, str]]:
    """Yield (file, dotted module name): the standard library by name, then packages in a mixed order."""
    paths = sysconfig.get_paths()
    for folder, mixed in ((paths["stdlib"], False), (paths["purelib"], True)):
        root = Path(folder)
        files = [
            file
            for file in root.rglob("*.py")
            if not SKIPPED_FOLDERS & set(file.relative_to(root).parts[:-1])
            and file.stat().st_size < LARGEST_FILE
        ]
        names = {file: file.relative_to(root).with_suffix("").as_posix() for file in files}
        files.sort(key=lambda file: hashlib.sha1(names[file].encode()).hexdigest() if mixed else names[file])
        for file in files:
            yield file, names[file].replace("/", ".").removesuffix(".__init__")


def _pairs_of(file: Path, module: str) -> Iterator[DocPair]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError, RecursionError):  # test data, other encodings
        return
    stack: list[tuple[ast.AST, str]] = [(tree, module)]
    while stack:
        node, name = stack.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            pair = _cut(ast.get_docstring(node), name)
            if pair is not None:
                yield pair
        children = [child for child in ast.iter_child_nodes(node) if hasattr(child, "body")]
        for child in reversed(children):
            inner = getattr(child, "name", None)
            if inner is None or not inner.startswith("_"):
                stack.append((child, f"{name}.{inner}" if inner else name))


def _cut(docstring: str | None, name: str) -> DocPair | None:
    if not docstring:
        return None
    summary, _, rest = inspect.cleandoc(docstring).partition("\n")
    rest = " ".join(rest.split())[:MAX_REST]
    if len(summary) < MIN_SUMMARY or len(rest) < MIN_REST:
        return None
    return DocPair(f"{name}: {summary.strip()}", rest)
