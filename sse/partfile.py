"""Rows that are appended to a file beside their final place, so that a stopped run can go on.

``.OUT.npy.part`` is an .npy file from its first byte, with a header of 128 bytes that gets its true shape at
the end: finishing copies nothing. ``.OUT.npy.part.json`` says what the rows were made from. Not here: who makes
the rows.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from sse.errors import SseError
from sse.files import write_json

HEADER_BYTES = 128


class PartFile:
    """The rows of one output that are written so far; one process at a time holds it.

    Args:
        output: The file that is to be; the part lies beside it.
        dtype: Of the rows, for example ``"<f4"``.
        width: Values in a row.
        made_from: Whatever the rows depend on, as JSON. A part that was made from something else is dropped.

    Attributes:
        path: The part file.
        rows: Whole rows in it.
        dropped: A part of an earlier run was found and was made from something else.

    Raises:
        SseError: Another process is writing the same output.
    """

    def __init__(self, output: Path, dtype: str, width: int, made_from: Mapping[str, Any]) -> None:
        self.output = output
        self.path = output.with_name(f".{output.name}.part")
        self.dtype = np.dtype(dtype)
        self.width = width
        self.rows = 0
        self.dropped = False
        self._made_from = dict(made_from)
        self._note = output.with_name(f".{output.name}.part.json")
        self._lock = locked(output.with_name(f".{output.name}.part.lock"), output)
        self._file: FileIO

    def __enter__(self) -> PartFile:
        self._lock.__enter__()
        try:
            self._open()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
            if error is not None and not self.rows:
                self.remove()
        finally:
            self._lock.__exit__(kind, error, trace)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * self.width

    def write(self, at: int, vectors: npt.NDArray[Any]) -> None:
        """Put rows of shape (n, ``width``) at row ``at``, not after the last; rows from there on are replaced."""
        if at != self.rows:
            self.cut(at)
        self._put(np.ascontiguousarray(vectors, self.dtype).data.cast("B"))
        self.rows += len(vectors)

    def cut(self, rows: int) -> None:
        """Keep the first ``rows`` rows."""
        self._file.truncate(HEADER_BYTES + rows * self.row_bytes)
        self._file.seek(0, os.SEEK_END)
        self.rows = rows

    def finish(self) -> None:
        """Make the part a whole .npy file; it keeps its name."""
        self.cut(self.rows)
        self._file.seek(0)
        self._put(memoryview(self._header(self.rows)))
        os.fsync(self._file.fileno())
        self._file.close()

    def publish(self) -> None:
        """Give the finished part its final place."""
        os.replace(self.path, self.output)
        self.remove()

    def remove(self) -> None:
        """Remove the part and what is beside it."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def read(self, rows: int) -> Iterator[npt.NDArray[Any]]:
        """Read the finished part, ``rows`` rows at a time."""
        with open(self.path, "rb") as file:
            file.seek(HEADER_BYTES)
            while (values := np.fromfile(file, self.dtype, rows * self.width)).size:
                yield values.reshape(-1, self.width)

    def _open(self) -> None:
        try:
            known = json.loads(self._note.read_text(encoding="utf-8")) == self._made_from
        except (OSError, ValueError):
            known = False
        size = self.path.stat().st_size if self.path.exists() else 0
        if known and size >= HEADER_BYTES:
            self._file = open(self.path, "r+b", buffering=0)  # noqa: SIM115
            self.cut((size - HEADER_BYTES) // self.row_bytes)  # without the row that was torn
            return
        self.dropped = size > HEADER_BYTES
        self.path.unlink(missing_ok=True)  # before the note: a note never stands beside rows of another run
        write_json(self._note, self._made_from)
        self._file = open(self.path, "w+b", buffering=0)  # noqa: SIM115
        self._put(memoryview(self._header(0)))

    def _put(self, data: memoryview) -> None:
        while data:  # an unbuffered file may take less than it is given, as a disk fills up
            data = data[self._file.write(data) :]

    def _header(self, rows: int) -> bytes:
        # Format 1.0: magic, version, length of the rest, a Python literal, spaces, a newline. The literal with
        # 20-digit numbers is 102 bytes long and 118 are free.
        shape = f"{{'descr': '{self.dtype.str}', 'fortran_order': False, 'shape': ({rows}, {self.width}), }}"
        text = shape.ljust(HEADER_BYTES - 11) + "\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")


@contextmanager
def locked(path: Path, output: Path) -> Iterator[None]:
    """Hold the lock file ``path`` of the run that writes ``output``.

    Raises:
        SseError: Another process holds it.
    """
    # The system lets go of the lock when a process ends, however it ends; a lock file that stays behind does
    # no harm.
    file = open(path, "a+b")  # noqa: SIM115
    held = False
    try:
        held = _try_lock(file) and _is_at(file, path)
        if not held:
            raise SseError(f"{output}: another run is writing it")
        yield
    finally:
        if held and sys.platform != "win32":
            path.unlink(missing_ok=True)
        file.close()
        if held and sys.platform == "win32":  # an open file cannot be removed there
            with suppress(PermissionError):
                path.unlink(missing_ok=True)


def _is_at(file: IO[bytes], path: Path) -> bool:
    # The run that held the lock before may have removed its file after it was opened here.
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


def _try_lock(file: IO[bytes]) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True
