"""From the start of a Python process to its first vector, and the memory that the process then holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sse.bench.fresh_process import FreshProcess, Resident
from sse.bench.methods import Method
from sse.bench.pairing import Spread, ratios_to
from sse.errors import SseError

TEXT = "how do static embeddings compare with transformers for retrieval on a processor?"


@dataclass(frozen=True)
class ColdStart:
    """One method, each time in a fresh process, its files in the system's page cache."""

    method: str
    milliseconds: Spread
    rss_mb: float
    """Resident memory after the first vector, millions of bytes."""
    anonymous_mb: float | None
    """Of that, without pages of files; None where the system does not tell."""
    times_peer: dict[str, Spread]
    """How many times sooner than each peer."""
    times_less_memory: dict[str, Spread]
    """How many times less resident memory than each peer."""


def measure_cold_start(methods: Sequence[Method], runs: int) -> list[ColdStart]:
    """Start every method ``runs`` times, in turn; a run before that does not count.

    Raises:
        SseError: A method failed, or the native path without numpy imported numpy.
    """
    seconds: dict[str, list[float]] = {method.name: [] for method in methods}
    resident: dict[str, list[Resident]] = {method.name: [] for method in methods}
    for number in range(runs + 1):
        for method in methods:
            taken, memory = _start(method)
            if number:  # the first brings files into the page cache and writes bytecode
                seconds[method.name].append(taken)
                resident[method.name].append(memory)
    rss = {name: [memory.rss_mb for memory in values] for name, values in resident.items()}
    peers = [method.name for method in methods if method.is_peer]
    rows = []
    for name, values in resident.items():
        anonymous = [memory.anonymous_mb for memory in values if memory.anonymous_mb is not None]
        rows.append(
            ColdStart(
                name,
                Spread.of([1000 * value for value in seconds[name]]),
                median(rss[name]),
                median(anonymous) if anonymous else None,
                ratios_to(peers, name, seconds),
                ratios_to(peers, name, rss),
            )
        )
    return rows


def _start(method: Method) -> tuple[float, Resident]:
    begin = time.monotonic()
    with FreshProcess(f"{method.source}encode([{TEXT!r}])\nstage()\n", method.name) as process:
        stage = process.wait_for_stage()
        if method.without_numpy and stage.has_numpy:
            raise SseError(f"{method.name}: numpy was imported, so this is not the native path alone")
        return stage.time - begin, process.resident()
