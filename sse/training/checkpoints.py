"""Checkpoints that are whole or are not there: a marker is written last, and only marked ones count.

The trainer writes a checkpoint as a directory of several files. A run that is killed, or a disk that is full,
leaves a directory without the marker; it is never resumed from, and is removed by the next run. Older
checkpoints are deleted only after a newer one is marked.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sse.files import write_json

MARKER = "complete.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def step_of(checkpoint: Path) -> int:
    """The step in a name such as ``checkpoint-200``, or -1 for another name."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match[1]) if match else -1


def mark_complete(checkpoint: Path) -> None:
    """Say that every file of the checkpoint has been written."""
    write_json(checkpoint / MARKER, {"step": step_of(checkpoint)})


def complete_checkpoints(directory: Path) -> list[Path]:
    """Whole checkpoints in ``directory``, oldest first."""
    found = [
        path for path in directory.glob("checkpoint-*") if step_of(path) >= 0 and (path / MARKER).is_file()
    ]
    return sorted(found, key=step_of)


def remove_incomplete(directory: Path) -> None:
    """Delete what a killed run left half-written."""
    for path in directory.glob("checkpoint-*"):
        if step_of(path) >= 0 and not (path / MARKER).is_file():
            shutil.rmtree(path, ignore_errors=True)


def rotate(directory: Path, keep: int, best: Path | None = None) -> None:
    """Delete all but the newest ``keep`` whole checkpoints and the best one."""
    for path in complete_checkpoints(directory)[:-keep]:
        if best is None or path.name != best.name:
            (path / MARKER).unlink()  # first, so that a half-deleted one does not count
            shutil.rmtree(path)
