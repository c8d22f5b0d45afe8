"""Encode a folder of Parquet files: for each a file of vectors of the same name, here or on a Ray cluster.

The output folder appears when it is whole; until then ``.NAME.part`` beside it holds the files that are done, and
the same call goes on from there. Not here: one file (:mod:`sse.encode`), a cluster (:mod:`sse.ray_engine`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sse import __version__
from sse.encode import EncodeResult, EncoderLike, Precision, encode_file, progress_bar, shape_of
from sse.errors import SseError, require
from sse.files import write_json
from sse.partfile import locked
from sse.texts import Position

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class FolderResult(EncodeResult):
    """A folder of vectors that was written; the rows are those of all files."""

    files: int


@dataclass(frozen=True)
class FileWork:
    """Encodes one file of the folder after another; can be pickled and used on another machine.

    Args:
        encoder: As for :func:`sse.encode.encode_file`.
        input: Folder of the texts.
        output: Folder that gets the vectors.
        options: Of :func:`sse.encode.encode_file`.
        attempts: Where each attempt has a place of its own until its file is whole; None: attempts never meet,
            and one that was stopped within a file goes on there.
    """

    encoder: EncoderLike
    input: Path
    output: Path
    options: Mapping[str, Any]
    attempts: Path | None = None

    def __call__(self, name: str) -> tuple[int, int]:
        """Encode the file ``name``; gives its rows, and those of them that an earlier run had written."""
        target = self.output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.attempts is None:
            done = encode_file(self.encoder, self.input / name, target, **self.options)
            return done.rows, done.resumed_rows
        # A worker that is taken for dead may live on and write: whoever ends last replaces equal bytes.
        with tempfile.TemporaryDirectory(dir=self.attempts, ignore_cleanup_errors=True) as place:
            done = encode_file(self.encoder, self.input / name, Path(place) / target.name, **self.options)
            os.replace(done.output, target)
        return done.rows, done.resumed_rows


def encode_folder(
    encoder: EncoderLike,
    input: str | Path,
    output: str | Path,
    *,
    dim: int | None = None,
    precision: Precision = "f32",
    field: str | None = None,
    kind: Literal["document", "query"] = "document",
    engine: Engine = "local",
    workers: int | None = None,
    show_progress: bool | None = None,
    say: Callable[[str], object] | None = None,
) -> FolderResult:
    """Encode every Parquet file in a folder and the folders in it; row i of a file belongs to its record i.

    Args:
        encoder: As for :func:`sse.encode.encode_file`; with ``engine="ray"`` a :class:`sse.Encoder`, whose
            directory and the two folders every machine of the cluster finds in the same place.
        input: The folder. Names that begin with a dot or an underscore are passed over.
        output: The folder of the vectors, which does not exist yet or is empty.
        dim: As for :func:`sse.encode.encode_file`, like ``precision``, ``field`` and ``kind``.
        precision: See ``dim``.
        field: See ``dim``.
        kind: See ``dim``.
        engine: ``local``, one file after another in this process, or ``ray``, a file to each worker of a Ray
            cluster: the one that is connected or can be found, or one that is started on this machine.
        workers: How many with ``ray``; by default one for each core, or as many as there are files.
        show_progress: A bar on standard error; by default where that is a terminal.
        say: Is told when files of an earlier run are used or dropped; by default standard error is.

    Raises:
        SseError: As for one file; or the folder holds no Parquet file, or the output exists.
    """
    began = time.perf_counter()
    input, output = Path(input).resolve(), Path(output).resolve()
    say = say or (lambda line: sys.stderr.write(f"{line}\n"))
    require("pyarrow", "parquet")
    files = {path.relative_to(input).as_posix(): _identity(path) for path in parquet_files(input)}
    check_folders(input, output)
    dims, columns = shape_of(encoder, dim, precision)
    options = {"dim": dim, "precision": precision, "field": field, "kind": kind}
    made_from = {**options, "dim": dims, "model": encoder.fingerprint, "version": __version__}
    part = output.with_name(f".{output.name}.part")
    with locked(output.with_name(f".{output.name}.part.lock"), output):
        _keep(part, made_from, files, say)
        shutil.rmtree(part / "attempts", ignore_errors=True)
        (part / "attempts").mkdir()
        found = {name: _rows(part / "files" / name) for name in files if (part / "files" / name).exists()}
        if found:
            say(f"{output}: going on after {len(found):,} files")
        rows = resumed = sum(found.values())
        missing = [name for name in files if name not in found]
        quiet = {**options, "show_progress": False, "say": _say_nothing}
        work = FileWork(encoder, input, part / "files", quiet)
        position = Position(sum(files[name][0] for name in found), sum(size for size, _ in files.values()))
        with progress_bar(show_progress) as show:
            for name, written, earlier in _run(work, missing, engine, part / "attempts", workers):
                rows, resumed = rows + written, resumed + earlier
                position.done += files[name][0]
                show(position)
        os.replace(part / "files", output)
        shutil.rmtree(part, ignore_errors=True)
    seconds = time.perf_counter() - began
    return FolderResult(output, rows, dims, columns, precision, resumed, seconds, len(files))


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files in a folder and the folders in it, in order of their names; no hidden ones.

    Raises:
        SseError: It is not a folder, or holds none.
    """
    if not folder.is_dir():
        raise SseError(f"{folder}: is not a folder of Parquet files")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() == ".parquet"
        and path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise SseError(f"{folder}: no Parquet file is in it")
    return found


def check_folders(input: Path, output: Path) -> None:
    """Refuse an output that cannot be used; makes the folder that it will lie in.

    Raises:
        SseError: The folder is named.
    """
    if output.resolve().is_relative_to(input.resolve()):
        raise SseError(f"{output}: lies in the input")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SseError(f"{output}: exists; name a folder that does not")
    output.parent.mkdir(parents=True, exist_ok=True)


def _run(
    work: FileWork, names: list[str], engine: Engine, attempts: Path, workers: int | None
) -> Iterator[tuple[str, int, int]]:
    if engine == "local" or not names:
        for name in names:
            yield (name, *work(name))
        return
    from sse.ray_engine import run_on_ray

    yield from run_on_ray(replace(work, attempts=attempts), names, workers)


def _say_nothing(line: str) -> None:
    """A function of the module, so that it can be pickled."""


def _keep(
    part: Path, made_from: dict[str, Any], files: dict[str, list[int]], say: Callable[[str], object]
) -> None:
    """Leave in ``part`` only files of vectors that this run would write too."""
    note = part / "note.json"
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("made_from") != made_from:
        if part.exists():
            say(f"{part}: made with another model or options; starting afresh")
        shutil.rmtree(part, ignore_errors=True)
        known = {}
    (part / "files").mkdir(parents=True, exist_ok=True)
    for name, identity in known.get("files", {}).items():
        if files.get(name) != identity:
            (part / "files" / name).unlink(missing_ok=True)
    write_json(note, {"made_from": made_from, "files": files})


def _identity(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
