"""A fresh Python process that stops at stages, so that this process can read its memory there.

The child imports nothing for being measured: it prints a line at a stage and waits for one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from sse.errors import SseError, require

_MARK = "@stage"
_PRELUDE = f"""\
import sys, time
def stage():
    now, peak = time.monotonic(), 0
    if sys.platform == "darwin":
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("{_MARK}", now, int("numpy" in sys.modules), peak, flush=True)
    sys.stdin.readline()
"""
MB = 1e6


@dataclass(frozen=True)
class Stage:
    """What the child said at a stage."""

    time: float
    """``time.monotonic()`` of the child; that clock is the same in all processes."""
    has_numpy: bool
    peak_mb: float
    """Peak of resident memory where only the process itself can ask for it (macOS), else 0."""


@dataclass(frozen=True)
class Resident:
    """Memory of a process, in millions of bytes."""

    rss_mb: float
    anonymous_mb: float | None
    """Without pages of files, such as a mapped table; None where the system does not tell."""
    peak_mb: float | None


class FreshProcess:
    """A child that runs Python source, in which ``stage()`` may be called.

    Args:
        source: The source.
        name: What it is called in errors.

    Raises:
        SseError: The child stopped; the message has its last line.
    """

    def __init__(self, source: str, name: str) -> None:
        self._name = name
        # A file and not a pipe: nobody reads it while the child runs, and a full pipe would stop the child.
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._child = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ.copy(),
        )

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.kill()
        self._child.communicate()
        self._errors.close()

    def wait_for_stage(self) -> Stage:
        """Wait until the child is at its next stage; other lines that it prints are passed over."""
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith(_MARK):
                _, now, numpy, peak = line.split()
                return Stage(float(now), bool(int(numpy)), int(peak) / MB)
        self._child.wait()
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or [f"exit code {self._child.returncode}"])[-1]
        raise SseError(f"{self._name}: the process that was measured stopped: {last}")

    def go_on(self) -> None:
        """Let the child leave its stage."""
        assert self._child.stdin is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()

    def resident(self) -> Resident:
        """Read the child's memory while it waits at a stage."""
        status = Path(f"/proc/{self._child.pid}/status")
        if status.exists():
            lines = (line.split() for line in status.read_text().splitlines())
            sizes = {line[0].rstrip(":"): int(line[1]) * 1024 / MB for line in lines if line[-1] == "kB"}
            return Resident(sizes["VmRSS"], sizes.get("RssAnon"), sizes.get("VmHWM"))
        info = require("psutil", "bench").Process(self._child.pid).memory_info()
        peak = getattr(info, "peak_wset", None)  # Windows
        return Resident(info.rss / MB, None, peak / MB if peak else None)

    def forget_peak(self) -> None:
        """Set the child's peak back to what it has now, where the system can (Linux)."""
        place = Path(f"/proc/{self._child.pid}/clear_refs")
        try:
            place.write_text("5")
        except OSError:  # another system, or a kernel that was built without it
            return
