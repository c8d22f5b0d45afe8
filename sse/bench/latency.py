"""Time from one query to its vector in a warm process, by the clock on the wall.

The methods take turns every few queries. Each begins its turn with queries that do not count, since the turn
of another method has emptied the processor's caches of its data.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from sse.bench.methods import Loaded
from sse.bench.pairing import Spread, ratios_to

TURN, WARM_UP = 128, 32


@dataclass(frozen=True)
class Latency:
    """One method, one query at a time."""

    method: str
    queries: int
    p50_us: float
    p99_us: float
    times_peer_p50: dict[str, Spread]
    """How many times less than each peer, by the medians within a turn."""
    times_peer_p99: dict[str, float]


def measure_latency(
    loaded: Mapping[str, Loaded], peers: Sequence[str], queries: Sequence[str], warm_up: Sequence[str]
) -> list[Latency]:
    """Time every method on every query.

    Args:
        loaded: Method name to the loaded method, peers included.
        peers: Which of them are peers.
        queries: Different queries; every method sees each of them once.
        warm_up: Other queries, run at the beginning of every turn without being counted.
    """
    times: dict[str, list[float]] = {name: [] for name in loaded}
    medians: dict[str, list[float]] = {name: [] for name in loaded}
    for start in range(0, len(queries), TURN):
        turn = queries[start : start + TURN]
        for name, method in loaded.items():
            taken = _time_each(method, turn, warm_up[:WARM_UP])
            times[name] += taken
            medians[name].append(median(taken))
    p99 = {name: percentile(values, 99) for name, values in times.items()}
    return [
        Latency(
            name,
            len(queries),
            median(values) * 1e6,
            p99[name] * 1e6,
            ratios_to(peers, name, medians),
            {peer: p99[peer] / p99[name] for peer in peers if peer != name},
        )
        for name, values in times.items()
    ]


def percentile(values: Sequence[float], number: int) -> float:
    """Give the percentile ``number`` (1 to 99) by linear interpolation."""
    return values[0] if len(values) == 1 else quantiles(values, n=100, method="inclusive")[number - 1]


def _time_each(method: Loaded, queries: Sequence[str], warm_up: Sequence[str]) -> list[float]:
    one, clock = method.one, time.perf_counter
    for query in warm_up:
        one(query)
    taken = []
    for query in queries:
        start = clock()
        one(query)
        taken.append(clock() - start)
    return taken
